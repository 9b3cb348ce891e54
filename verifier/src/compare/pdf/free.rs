// SPDX-License-Identifier: Apache-2.0
//! Whether the rest of a file leaves its times and names alone: whether anything is signed or encrypted with them, and what
//! else leads to the object about the document.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use super::scan::{Scan, decoded, has_name};
use super::{Piece, entries_of, entry, is_zlib};

/// How many times its own bytes what is in a file's objects of objects may expand to, and this many bytes more.
const TIMES: u64 = 16;
const MORE: u64 = 64 << 10;
/// How many times all bytes may be looked at to find what leads to an object.
const LOOKS: usize = 4;

/// What objects of objects expand to; `None`: one of them can't be expanded here, or all are too large.
pub(super) fn inner(scan: &Scan<'_>, pieces: &[Piece]) -> Option<Vec<Vec<u8>>> {
    let mut left = TIMES * scan.bytes.len() as u64 + MORE;
    let mut all = Vec::new();
    for piece in pieces {
        let Some(stream) = piece.stream else { continue };
        let has = |name: &[u8]| entries_of(scan, &piece.entries, name).next().is_some();
        let is_type = |value: &[u8]| *decoded(value) == *b"/ObjStm";
        // One that does not say so may be led to as such, but not without what each has.
        if !has(b"/First") && !entries_of(scan, &piece.entries, b"/Type").any(|each| is_type(scan.part(each.value))) {
            continue;
        }
        let bytes = scan.part(stream);
        let mut expanded = Vec::new();
        if is_zlib(scan, piece, stream) && !has(b"/DecodeParms") && !has(b"/F") {
            let decoder = flate2::read::ZlibDecoder::new(bytes);
            let len = decoder.take(left + 1).read_to_end(&mut expanded).ok()? as u64;
            left = left.checked_sub(len)?;
        } else if entry(scan, &piece.entries, b"/Filter").is_none() && !has(b"/Filter") && !has(b"/F") {
            expanded.extend_from_slice(bytes);
        } else {
            return None;
        }
        all.push(expanded);
    }
    Some(all)
}

/// Whether nothing is encrypted or signed.
pub(super) fn is_free(bytes: &[u8], inner: Option<&[Vec<u8>]>) -> bool {
    let is_bound = |bytes: &[u8]| has_name(bytes, &[b"Encrypt", b"ByteRange"]);
    inner.is_some_and(|inner| !is_bound(bytes) && !inner.iter().any(|bytes| is_bound(bytes)))
}

/// Of these objects, each with how often it is known to be led to, those to which nothing else leads.
pub(super) fn alone(about: BTreeMap<(u64, u64), usize>, bytes: &[u8], inner: &[Vec<u8>]) -> BTreeSet<(u64, u64)> {
    let mut found = BTreeMap::new();
    for bytes in std::iter::once(bytes).chain(inner.iter().map(Vec::as_slice)) {
        if about.is_empty() || references(bytes, &about, &mut found).is_none() {
            return BTreeSet::new();
        }
    }
    let is_alone = |(object, known): ((u64, u64), usize)| (found.get(&object) == Some(&known)).then_some(object);
    about.into_iter().filter_map(is_alone).collect()
}

/// Counts what looks like a reference to one of these, wherever it stands: more rather than fewer. `None`: it would take too
/// long to find out.
fn references(
    bytes: &[u8],
    wanted: &BTreeMap<(u64, u64), usize>,
    found: &mut BTreeMap<(u64, u64), usize>,
) -> Option<()> {
    let mut left = bytes.len().saturating_mul(LOOKS);
    let (mut at, numbers): (_, BTreeSet<u64>) = (0, wanted.keys().map(|(number, _)| *number).collect());
    while let Some(next) = bytes.get(at..)?.iter().position(u8::is_ascii_digit) {
        let mut scan = Scan { bytes, at: at + next };
        let number = scan.digits();
        at = scan.at;
        let Some(number) = number.filter(|number| numbers.contains(number)) else { continue };
        scan.skip_space();
        let generation = scan.digits();
        scan.skip_space();
        left = left.checked_sub(scan.at - at)?;
        if let Some(generation) = generation.filter(|_| scan.rest().starts_with(b"R"))
            && wanted.contains_key(&(number, generation))
        {
            *found.entry((number, generation)).or_default() += 1;
        }
    }
    Some(())
}
