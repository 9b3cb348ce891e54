// SPDX-License-Identifier: Apache-2.0
//! Two compressed files: what they expand to, and how they are compressed.

use std::io::{self, BufRead as _, BufReader, Read};

use super::field::{Field, Group, Groups, Normalizer};
use super::files::{self, State};
use super::format::Format;
use super::held::Held;
use super::kept::{How, Key};
use super::roles::Roles;
use super::source::{Source, Span, SpanReader};
use super::{CompareError, bytes, frames, gzip, preview};

/// The most memory that decompressing may take beside what comes out, in KiB. As xz and zstd at their highest levels need.
const MAX_DICTIONARY_KIB: u32 = 160 << 10;
/// The same for zstd, as the exponent of a window in bytes.
const MAX_WINDOW_LOG: u32 = 27;

/// The smallest file, in bytes, for which another thread is worth its while.
const MIN_AT_ONCE: u64 = 8 << 10;

/// Adds every difference between two files that are both compressed with `format`. The inner error: why one of them could
/// not be expanded, and nothing was added.
pub(super) fn compare(
    format: Format,
    (left, right): (&Source<'_>, &Source<'_>),
    roles: Roles,
    place: &str,
    state: &mut State<'_>,
) -> Result<Result<(), String>, CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let (a, b) = match (Head::read(format, left).map_err(read)?, Head::read(format, right).map_err(read)?) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(why), _) => return Ok(Err(format!("the left one: {why}"))),
        (_, Err(why)) => return Ok(Err(format!("the right one: {why}"))),
    };
    let mut groups = Groups::default();
    groups.compare("", &a.fields, &b.fields);
    let first = bytes::first_between((left, a.rest), (right, b.rest)).map_err(read)?;
    if let Some(first) = first {
        let (left_held, right_held) = match both(format, left, right, state).map_err(read)? {
            Ok(both) => both,
            Err(why) => return Ok(Err(why)),
        };
        let compared = contents(format, (&left_held, &right_held), roles, place, state);
        left_held.give_back(state);
        right_held.give_back(state);
        if compared?.is_none() {
            let at = format!("compressed bytes, the first that differs at {first:#x}");
            let [l, r] = [a.rest.len, b.rest.len].map(|len| preview::count(len, "byte"));
            groups.of(Group::Compression).push(at, l, r);
        }
    }
    state.report(format, groups, place);
    Ok(Ok(()))
}

/// What both expand to.
fn both(
    format: Format,
    left: &Source<'_>,
    right: &Source<'_>,
    state: &mut State<'_>,
) -> io::Result<Result<(Held, Held), String>> {
    if left.len().max(right.len()) >= MIN_AT_ONCE {
        let keys = [left, right].map(|source| key(format, source));
        if let Some(both) = Held::both(keys, state, [left, right].map(|source| move || expander(format, source))) {
            return Ok(Ok(both));
        }
    }
    let left = match held(format, left, state)? {
        Ok(held) => held,
        Err(why) => return Ok(Err(format!("the left one: {why}"))),
    };
    match held(format, right, state)? {
        Ok(right) => Ok(Ok((left, right))),
        Err(why) => {
            left.give_back(state);
            Ok(Err(format!("the right one: {why}")))
        }
    }
}

/// Adds what differs between the expanded bytes; the first offset where they do.
fn contents(
    format: Format,
    (left, right): (&Held, &Held),
    roles: Roles,
    place: &str,
    state: &mut State<'_>,
) -> Result<Option<u64>, CompareError> {
    let inner = format!("{place}!{}", inner_name(place, format));
    let read = |source| CompareError::Read { place: inner.clone(), source };
    let (left, right) = (left.source().map_err(read)?, right.source().map_err(read)?);
    let first = bytes::first_between((&left, left.whole()), (&right, right.whole())).map_err(read)?;
    if first.is_some() {
        // Other bytes are compressed to other bytes.
        state.needs(Normalizer::of(format, Group::Compression));
        state.depth += 1;
        state.roles = roles;
        let compared = files::compare(&left, &right, &inner, state);
        state.depth -= 1;
        compared?;
    }
    Ok(first)
}

/// What the file is called once it is expanded.
fn inner_name(place: &str, format: Format) -> String {
    let name = place.rsplit(['/', '!']).next().unwrap_or(place);
    let endings: [(&str, &str); 2] = match format {
        Format::Gzip => [(".gz", ""), (".tgz", ".tar")],
        Format::Xz => [(".xz", ""), (".txz", ".tar")],
        Format::Zstd => [(".zst", ""), (".tzst", ".tar")],
        Format::Zlib => return if name.ends_with(".xml") { "content.xml" } else { "content" }.to_owned(),
        _ => [(".bz2", ""), (".tbz2", ".tar")],
    };
    let stem = |(ending, after): (&str, &str)| Some(format!("{}{after}", name.strip_suffix(ending)?));
    endings.into_iter().find_map(stem).filter(|stem| !stem.is_empty()).unwrap_or_else(|| "content".to_owned())
}

fn key(format: Format, source: &Source<'_>) -> Option<Key> {
    source.place(source.whole()).map(|place| Key::of(place, How::File(format)))
}

/// What a compressed file expands to. The inner error: why it can't be expanded.
pub(super) fn held(format: Format, source: &Source<'_>, state: &mut State<'_>) -> io::Result<Result<Held, String>> {
    Held::once(key(format, source), state, |state| Held::read(expander(format, source)?, state))
}

/// The bytes that a compressed file expands to; an error in their place where the file has others beside them.
pub(super) fn expander<'a>(format: Format, source: &'a Source<'a>) -> io::Result<Box<dyn Read + 'a>> {
    let input: BufReader<SpanReader<'a>> = BufReader::with_capacity(64 << 10, source.reader(source.whole()));
    Ok(match format {
        Format::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, MAX_DICTIONARY_KIB)),
        Format::Zstd => {
            if let Err(why) = frames::whole(source)? {
                return Ok(Box::new(Refused(why)));
            }
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Format::Zlib => Box::new(OneStream(flate2::bufread::ZlibDecoder::new(input))),
        _ => Box::new(OneMember(flate2::bufread::GzDecoder::new(input))),
    })
}

/// The first member of a gzip file, which has to be the only one: what another one's header says, and where it begins,
/// would be looked at by nobody.
struct OneMember<'a>(flate2::bufread::GzDecoder<BufReader<SpanReader<'a>>>);

impl Read for OneMember<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 && !buffer.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes follow its first member"));
        }
        Ok(read)
    }
}

/// A stream of zlib, and nothing behind it.
struct OneStream<'a>(flate2::bufread::ZlibDecoder<BufReader<SpanReader<'a>>>);

impl Read for OneStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 && !buffer.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes follow its end"));
        }
        Ok(read)
    }
}

/// A file that is not expanded, and why.
struct Refused(&'static str);

impl Read for Refused {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::InvalidData, self.0))
    }
}

/// What stands before the compressed bytes.
pub(super) struct Head {
    pub(super) fields: Vec<Field>,
    /// All that follows.
    pub(super) rest: Span,
}

impl Head {
    /// Reads it; the inner error says why there is none.
    pub(super) fn read(format: Format, source: &Source<'_>) -> io::Result<Result<Self, &'static str>> {
        let first = source.read(Span { start: 0, len: source.len().min(gzip::MAX_HEADER) })?;
        let of = |label: &str, at: usize, len| {
            let bytes = first.get(at..at + len).unwrap_or_default();
            Field::bytes(Group::Compression, label, bytes)
        };
        let (fields, len) = match format {
            Format::Gzip => match gzip::header(&first) {
                Some(header) => header,
                None => return Ok(Err("its header makes no sense")),
            },
            Format::Xz => (vec![of("stream flags", 6, 2), of("stream flags' checksum", 8, 4)], 12),
            Format::Zstd => (vec![of("frame header's descriptor", 4, 1)], 5),
            Format::Zlib => (vec![of("header", 0, 2)], 2),
            _ => (vec![of("block size", 3, 1)], 4),
        };
        let len = len.min(source.len());
        Ok(Ok(Self { fields, rest: Span { start: len, len: source.len() - len } }))
    }
}
