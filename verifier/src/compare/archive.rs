// SPDX-License-Identifier: Apache-2.0
//! Two archives whose members stand one after the other: tar, ar and cpio; and files that are made of parts in the same way,
//! as ELF files are of sections and PNG files of chunks.
//!
//! Each byte of an archive belongs to one member's head, data or tail, or to what follows the last of them. Members are
//! compared by name and occurrence; a head and a tail are compared as [`Field`]s, which together make up their bytes, data
//! as a file of its own. Members, their order and the rest make up the file, so that archives without a finding are equal.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::rc::Rc;

use reprove_model::{FindingKind, HashBoth, Sha256};

use super::bytes::ByteDiff;
use super::code::{self, Code};
use super::field::{Field, Group, Groups};
use super::files::{self, State};
use super::format::Format;
use super::oci::{Files, Pairs};
use super::roles::Role;
use super::source::{Source, Span};
use super::{CompareError, ar, bytes, cpio, nar, number, order, png, preview, tar, wasm};

/// An archive's parts.
pub(super) struct Archive {
    pub(super) format: Format,
    /// In the order of the file.
    pub(super) members: Vec<Member>,
    /// What follows the last member.
    pub(super) rest: Span,
}

/// One member: head, data and tail stand one after the other.
pub(super) struct Member {
    /// Its name, and which of the members of this name it is.
    pub(super) key: Key,
    pub(super) head: Span,
    pub(super) data: Span,
    pub(super) tail: Span,
    pub(super) data_is: Data,
}

/// What the data of a member is.
#[derive(Clone, Default)]
pub(super) enum Data {
    /// A file, to be compared as one.
    #[default]
    File,
    /// The same, of a member that is more than a file.
    Special(Special),
    /// One field.
    Field(Group),
    /// Seconds since 1970 in 4 bytes, little-endian.
    Seconds,
    /// A checksum of all the rest, and the right one.
    Right,
    /// Fields one after the other, which are all of the data: what each is called, and how many bytes it has.
    Table(Rc<[(String, usize)]>),
    /// Code or variables, with the names of what stands where.
    Code(Rc<[Symbol]>),
    /// A file that is compressed as zlib does (RFC 1950), and does not say so by itself.
    Zlib,
    /// The same, where the compressed bytes are signed or encrypted: how they came about is never left out.
    SignedZlib,
    /// Code that is run, whose instructions can be told.
    Instructions(Code),
}

impl Data {
    /// Whether it is compared as a file of its own. All the rest is fields or bytes, whatever it begins with.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File | Self::Special(_))
    }

    fn is_zlib(&self) -> bool {
        matches!(self, Self::Zlib | Self::SignedZlib)
    }

    /// What the member is beside a file.
    pub(super) fn special(&self) -> Option<&Special> {
        if let Self::Special(special) = self { Some(special) } else { None }
    }

    /// The names of what stands where.
    fn symbols(&self) -> &[Symbol] {
        match self {
            Self::Code(symbols) | Self::Instructions(Code { symbols, .. }) => symbols,
            _ => &[],
        }
    }
}

/// What a member of an archive is beside its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// One file under several names; the name of the first of them, which may be this one.
    Hard(Key),
    /// A symbolic link: members behind it may be unpacked through it.
    Symbolic,
    /// What means something by where it stands: a hard link, which comes after what it leads to, a header for all members
    /// after it, and what is not known.
    Ordered,
}

/// The name of some bytes of a member.
pub(super) struct Symbol {
    /// From where on, from the start of the member's data.
    pub(super) start: u64,
    /// How many bytes have it; `None`: all up to the next one.
    pub(super) len: Option<u64>,
    pub(super) name: Vec<u8>,
}

/// The name of the byte at `offset`, of these that are sorted.
pub(super) fn symbol_at(symbols: &[Symbol], offset: u64) -> Option<&Symbol> {
    let before = symbols.partition_point(|symbol| symbol.start <= offset);
    let symbol = symbols.get(before.checked_sub(1)?)?;
    symbol.len.is_none_or(|len| offset - symbol.start < len).then_some(symbol)
}

/// The longest data that is told as fields, in bytes.
const MAX_FIELDS: u64 = 1 << 20;

pub(super) type Key = (Vec<u8>, u32);

/// Counts the members of one name.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<Vec<u8>, u32>);

impl Keys {
    pub(super) fn of(&mut self, name: &[u8]) -> Key {
        let occurrence = self.0.entry(name.to_vec()).or_default();
        let key = (name.to_vec(), *occurrence);
        *occurrence = occurrence.saturating_add(1);
        key
    }
}

/// The name of a member as text; of two with one name, the second is `name#2`.
pub(super) fn name((name, occurrence): &Key) -> String {
    let name = preview::name(name);
    if *occurrence == 0 { name } else { format!("{name}#{}", u64::from(*occurrence) + 1) }
}

impl Archive {
    /// Whether the order of the members says something that nothing else does.
    pub(super) fn order_decides(&self) -> bool {
        let special = |member: &Member| member.data_is.special().cloned();
        match self.format {
            // Names are compared as they are: those of the tables are `/` and `//`.
            Format::Ar => self.members.iter().any(|member| member.key.1 > 0),
            Format::Tar | Format::Cpio => {
                let mut specials = self.members.iter().filter_map(special);
                let names = self.members.iter().map(|m| (&*m.key.0, special(m) == Some(Special::Symbolic)));
                specials.any(|special| special != Special::Symbolic) || order::decides(names)
            }
            _ => true,
        }
    }

    /// All that a member's head and tail say.
    pub(super) fn fields(&self, source: &Source<'_>, member: &Member) -> io::Result<Vec<Field>> {
        let (head, tail) = (source.read(member.head)?, source.read(member.tail)?);
        let is_portable = cpio::is_portable(&head);
        let mut fields = match self.format {
            Format::Ar => ar::fields(&head, member),
            Format::Cpio => cpio::fields(&head, member),
            Format::Nar => return Ok(nar::fields(&head, member)),
            Format::Png => return png::fields(source, member, &head, tail),
            Format::Wasm => wasm::fields(&head, member),
            Format::Elf
            | Format::Pe
            | Format::Coff
            | Format::MachO
            | Format::MachOFat
            | Format::Pyc
            | Format::Rpm
            | Format::Mo
            | Format::UImage
            | Format::Sqlite
            | Format::Class
            | Format::Pdf => {
                vec![Field::bytes(Group::Structure, "header", head)]
            }
            _ => tar::fields(&head, member),
        };
        let zeros = tail.iter().all(|byte| *byte == 0);
        fields.push(if self.is_padding(member.data.len, &tail, is_portable) {
            Field::text(Group::Structure, "padding", "up to where the next member begins")
        } else if zeros {
            Field::text(Group::Structure, "padding", format!("{} zeros", tail.len()))
        } else {
            Field::bytes(Group::Structure, "padding", tail)
        });
        Ok(fields)
    }

    /// Whether this is what stands behind data of this length, which follows from that.
    fn is_padding(&self, len: u64, tail: &[u8], is_portable: bool) -> bool {
        let (unit, with) = match self.format {
            Format::Tar => (tar::BLOCK, 0),
            Format::Ar => (2, b'\n'),
            Format::Cpio if is_portable => (1, 0),
            Format::Cpio => (4, 0),
            _ => return false,
        };
        tail.len() as u64 == len.next_multiple_of(unit) - len && tail.iter().all(|byte| *byte == with)
    }

    /// The member's data as fields, where it is that.
    pub(super) fn data_fields(&self, source: &Source<'_>, member: &Member) -> io::Result<Option<Vec<Field>>> {
        if member.data.len > MAX_FIELDS {
            return Ok(None);
        }
        Ok(match &member.data_is {
            Data::File | Data::Special(_) | Data::Code(_) | Data::Instructions(_) | Data::Zlib | Data::SignedZlib => {
                None
            }
            Data::Field(group) => Some(vec![Field::bytes(*group, "", source.read(member.data)?)]),
            Data::Seconds => {
                let data = source.read(member.data)?;
                let seconds = number::fixed(&data, 0, data.len(), false).map(number::time);
                Some(vec![seconds.map_or_else(
                    || Field::bytes(Group::Structure, "", data),
                    |seconds| Field::text(Group::Times, "", seconds),
                )])
            }
            Data::Right => Some(vec![Field::text(Group::Structure, "", "the right one")]),
            Data::Table(columns) => {
                let data = source.read(member.data)?;
                let mut rest = data.as_slice();
                let mut fields = Vec::new();
                for (label, len) in columns.iter() {
                    let (value, after) = rest.split_at(rest.len().min(*len));
                    fields.push(Field::bytes(Group::Structure, label.as_str(), value));
                    rest = after;
                }
                fields.push(Field::bytes(Group::Structure, "the rest", rest));
                Some(fields)
            }
        })
    }
}

/// An archive: its bytes, and where its parts are.
type Side<'a> = (&'a Source<'a>, &'a Archive);

/// Adds every difference between two archives of one format.
pub(super) fn compare(left: Side<'_>, right: Side<'_>, place: &str, state: &mut State<'_>) -> Result<(), CompareError> {
    let mut groups = Groups::default();
    let (lefts, rights) = (by_key(left.1), by_key(right.1));
    let blobs = layouts((left, &lefts), (right, &rights), place)?;
    for (key, a) in &lefts {
        match rights.get(key) {
            Some(b) => members((left, a), (right, b), &name(key), place, &mut groups, state)?,
            None if blobs.has_left(&key.0) => {}
            None => only(place, a, FindingKind::OnlyLeft, state),
        }
    }
    for (key, b) in rights.iter().filter(|(key, _)| !lefts.contains_key(*key)) {
        if blobs.has_right(&key.0) {
            continue;
        }
        debug_assert_eq!(*key, &b.key);
        only(place, b, FindingKind::OnlyRight, state);
    }
    for pair in &blobs.pairs {
        let (a, b) = (lefts.get(&(pair.left.clone(), 0)), rights.get(&(pair.right.clone(), 0)));
        if let (Some(a), Some(b)) = (a, b) {
            members((left, a), (right, b), &pair.place, place, &mut groups, state)?;
        }
    }
    blobs.report(&format!("{place}!"), ", and so may where they stand", state);
    let a = left.1.members.iter().filter(|member| rights.contains_key(&member.key));
    let b = right.1.members.iter().filter(|member| lefts.contains_key(&member.key));
    for (position, (a, b)) in (1_u64..).zip(a.zip(b)) {
        if a.key != b.key {
            if groups.of(Group::Order).count == 0 && (left.1.order_decides() || right.1.order_decides()) {
                state.needs(None);
            }
            groups.of(Group::Order).push(format!("member {position}"), name(&a.key), name(&b.key));
        }
    }
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    rest((left.0, left.1.rest), (right.0, right.1.rest), &mut groups).map_err(read)?;
    state.report(left.1.format, groups, place);
    Ok(())
}

/// The members of an archive by their names.
type ByKey<'a> = BTreeMap<&'a Key, &'a Member>;

/// The blobs of container images that are compared with each other, whatever their names.
fn layouts(
    (left, lefts): (Side<'_>, &ByKey<'_>),
    (right, rights): (Side<'_>, &ByKey<'_>),
    place: &str,
) -> Result<Pairs, CompareError> {
    let mut pairs = Pairs::default();
    if left.1.format == Format::Tar {
        let left = Members { source: left.0, members: lefts, place };
        let right = Members { source: right.0, members: rights, place };
        for prefix in [&b""[..], b"./"] {
            pairs.find((&left, &right), prefix)?;
        }
    }
    Ok(pairs)
}

/// The members of an archive as files.
struct Members<'a> {
    source: &'a Source<'a>,
    members: &'a ByKey<'a>,
    place: &'a str,
}

impl Members<'_> {
    /// The only member of this name, where it is a file.
    fn member(&self, name: &[u8]) -> Option<&Member> {
        let is_twice = self.members.contains_key(&(name.to_vec(), 1));
        let member = self.members.get(&(name.to_vec(), 0)).filter(|_| !is_twice)?;
        matches!(member.data_is, Data::File).then_some(*member)
    }
}

impl Files for Members<'_> {
    fn has(&self, name: &[u8]) -> bool {
        self.member(name).is_some()
    }

    fn read(&self, name: &[u8], most: u64) -> Result<Option<Vec<u8>>, CompareError> {
        let Some(member) = self.member(name).filter(|member| member.data.len <= most) else { return Ok(None) };
        let read = |source| CompareError::Read { place: self.place.to_owned(), source };
        self.source.read(member.data).map(Some).map_err(read)
    }

    fn sha256(&self, name: &[u8]) -> Result<Option<Sha256>, CompareError> {
        let Some(member) = self.member(name) else { return Ok(None) };
        let mut hash = HashBoth::default();
        let read = |source| CompareError::Read { place: self.place.to_owned(), source };
        io::copy(&mut self.source.reader(member.data), &mut hash).map_err(read)?;
        Ok(Some(hash.finish().0.sha256))
    }
}

fn by_key(archive: &Archive) -> ByKey<'_> {
    archive.members.iter().map(|member| (&member.key, member)).collect()
}

fn only(place: &str, member: &Member, kind: FindingKind, state: &mut State<'_>) {
    let what = format!("a member of {}", preview::count(member.data.len, "byte"));
    state.only(format!("{place}!{}", name(&member.key)), kind, &what);
}

fn members(
    (left, a): (Side<'_>, &Member),
    (right, b): (Side<'_>, &Member),
    name: &str,
    place: &str,
    groups: &mut Groups,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let differ = |a, b| Ok(bytes::first_between((left.0, a), (right.0, b)).map_err(read)?.is_some());
    // What is special may follow from other members.
    let is_other = a.data.len != b.data.len || a.data_is.special() != b.data_is.special();
    if is_other || differ(a.head, b.head)? || differ(a.tail, b.tail)? {
        let fields = (left.1.fields(left.0, a).map_err(read)?, right.1.fields(right.0, b).map_err(read)?);
        groups.compare(name, &fields.0, &fields.1);
    }
    if !differ(a.data, b.data)? {
        return Ok(());
    }
    let fields = (left.1.data_fields(left.0, a).map_err(read)?, right.1.data_fields(right.0, b).map_err(read)?);
    if let (Some(a), Some(b)) = fields {
        groups.compare(name, &a, &b);
        return Ok(());
    }
    let (sources, place) = ((left.0.part(a.data), right.0.part(b.data)), format!("{place}!{name}"));
    if state.passes_over(&place) {
        return Ok(());
    }
    if a.data_is.is_zlib() && b.data_is.is_zlib() {
        if matches!(a.data_is, Data::SignedZlib) || matches!(b.data_is, Data::SignedZlib) {
            state.needs(None);
        }
        state.depth += 1;
        let compared = files::compare_as(Format::Zlib, (&sources.0, &sources.1), &place, state);
        state.depth -= 1;
        return compared;
    }
    if !a.data_is.is_file() || !b.data_is.is_file() {
        let whole = (sources.0.whole(), sources.1.whole());
        let diff = bytes::diff(sources.0.reader(whole.0), sources.1.reader(whole.1));
        let diff = diff.map_err(|source| CompareError::Read { place: place.clone(), source })?;
        files::differing_bytes(with_names(diff, a.data_is.symbols()), &place, None, state);
        if let (Data::Instructions(a), Data::Instructions(b)) = (&a.data_is, &b.data_is) {
            code::compare((&sources.0, a), (&sources.1, b), (name, &place), state)?;
        }
        return Ok(());
    }
    state.depth += 1;
    let mut role = |side, member| Role::of_member(side, member, state).map_err(read);
    state.roles = [role(left, a)?, role(right, b)?];
    let compared = files::compare(&sources.0, &sources.1, &place, state);
    state.depth -= 1;
    compared
}

/// With the name of what each run is in, as the left side has it.
fn with_names(mut diff: ByteDiff, symbols: &[Symbol]) -> ByteDiff {
    for detail in &mut diff.runs.kept {
        let offset = detail.at.strip_prefix("0x").and_then(|at| at.split(',').next());
        let Some(offset) = offset.and_then(|at| u64::from_str_radix(at, 16).ok()) else { continue };
        if let Some(symbol) = symbol_at(symbols, offset) {
            detail.at = format!("{}, in {}+{:#x}", detail.at, preview::name(&symbol.name), offset - symbol.start);
        }
    }
    diff
}

/// What follows the last member: the number of zeros, where there is nothing else on both sides.
fn rest((left, a): (&Source<'_>, Span), (right, b): (&Source<'_>, Span), groups: &mut Groups) -> io::Result<()> {
    if zeros(left, a)? && zeros(right, b)? {
        let field = |span: Span| [Field::text(Group::Form, "zeros after the last member", span.len.to_string())];
        groups.compare("", &field(a), &field(b));
        return Ok(());
    }
    let diff = bytes::diff(left.reader(a), right.reader(b))?;
    if diff.first.is_none() {
        return Ok(());
    }
    let details = groups.of(Group::Structure);
    let listed = diff.runs.kept.len() as u64;
    for run in diff.runs.kept {
        details.push(format!("after the last member: {}", run.at), run.left, run.right);
    }
    details.count += diff.runs.count - listed;
    Ok(())
}

/// Whether all of these bytes are zeros.
pub(super) fn zeros(source: &Source<'_>, span: Span) -> io::Result<bool> {
    const ZEROS: [u8; 4096] = [0; 4096];
    if let Some(bytes) = source.slice(span) {
        let all = bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk));
        return Ok(all && bytes.len() as u64 == span.len);
    }
    let zeros = io::repeat(0).take(span.len);
    Ok(bytes::first_difference(source.reader(span), zeros)?.is_none())
}

#[cfg(test)]
pub(super) mod tests;
