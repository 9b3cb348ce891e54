// SPDX-License-Identifier: Apache-2.0
//! The headers of one entry as fields, each under the kind of finding that it belongs to.

use std::io;

use super::super::findings::Details;
use super::super::number;
use super::super::preview::{self, Around};
use super::super::source::{Source, Span};
use super::layout::Entry;
use super::records::{self, Central, Common, Local, Reader, ZIP64};
use super::times;

/// All that the headers of one entry say. Together with the entry's data, the items make up the headers' bytes.
pub(super) struct View {
    pub(super) times: Vec<Item>,
    /// Whether the group and others may write.
    pub(super) umask: Vec<Item>,
    pub(super) attributes: Vec<Item>,
    pub(super) compression: Vec<Item>,
    /// How the same is written.
    pub(super) form: Vec<Item>,
    pub(super) structure: Vec<Item>,
    /// What follows the data and its descriptor.
    pub(super) rest: Span,
}

/// One field.
pub(super) struct Item {
    pub(super) label: String,
    /// Whether it stands in the local header, or after the data, and not in the central directory.
    pub(super) local: bool,
    pub(super) value: Value,
}

#[derive(PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

impl Item {
    pub(super) fn text(label: &str, local: bool, value: impl Into<String>) -> Self {
        Self { label: label.to_owned(), local, value: Value::Text(value.into()) }
    }

    pub(super) fn bytes(label: &str, local: bool, value: impl Into<Vec<u8>>) -> Self {
        Self { label: label.to_owned(), local, value: Value::Bytes(value.into()) }
    }
}

/// Adds each field that both sides have and that differs. A local header that says what the central directory says is
/// not listed twice.
pub(super) fn differences(name: &str, left: &[Item], right: &[Item], details: &mut Details) {
    let find = |items: &'_ [Item], label: &str, local| items.iter().position(|i| i.label == label && i.local == local);
    for item in left {
        let Some(other) = find(right, &item.label, item.local).and_then(|at| right.get(at)) else { continue };
        if item.value == other.value {
            continue;
        }
        if item.local {
            let central = |items| find(items, &item.label, false);
            let central = (central(left).and_then(|at| left.get(at)), central(right).and_then(|at| right.get(at)));
            if let (Some(a), Some(b)) = central
                && (&a.value, &b.value) == (&item.value, &other.value)
            {
                continue;
            }
        }
        let local = if item.local { "local header" } else { "" };
        let parts = [name, local, &item.label].into_iter().filter(|part| !part.is_empty());
        let at = parts.collect::<Vec<_>>().join(": ");
        let (left, right) = show(&item.value, &other.value);
        details.push(at, left, right);
    }
}

/// The fields of an entry's headers.
///
/// `verified`: both sides' contents were read, and have the size and checksum that their central headers give.
/// `methods_differ`: so do the versions, which follow from the method, and belong to it then.
pub(super) fn view(
    source: &Source<'_>,
    entry: &Entry,
    central: &Central<'_>,
    verified: bool,
    methods_differ: bool,
) -> io::Result<View> {
    let bytes = source.read(entry.local)?;
    let local = Local::read(&mut Reader::new(&bytes)).ok_or(io::ErrorKind::UnexpectedEof)?;
    let (central_times, central_extra) = times::split(central.extra, &central.common, false);
    let (local_times, local_extra) = times::split(local.extra, &local.common, true);
    let mut times = central_times;
    times.extend(local_times);

    let mut compression = compression(&central.common, false);
    compression.extend(self::compression(&local.common, true));
    let [made_by, _] = central.made_by.to_le_bytes();
    let versions = [
        Item::text("version made by", false, made_by.to_string()),
        Item::text("version needed", false, central.common.version_needed.to_string()),
        Item::text("version needed", true, local.common.version_needed.to_string()),
    ];
    let mut structure = central_structure(central, central_extra, verified);
    structure.extend(local_structure(&local, local_extra, central));
    let mut form = form(&local, central);
    if methods_differ {
        compression.extend(versions);
    } else {
        form.extend(versions);
    }
    let (descriptor, len) = descriptor(source, entry, &local, central)?;
    // Where the local header leaves it to a descriptor that is not there, that is no way to write the same.
    let left_to_it = local_numbers(&local, central).into_iter();
    let left_to_it =
        left_to_it.filter(|(_, written, number)| matches!(place(&local, *written, *number), Place::Descriptor));
    let left_to_it: Vec<_> = left_to_it.map(|(label, _, _)| label).collect();
    let missing = (descriptor == NO_DESCRIPTOR).then(|| format!("{descriptor}, for: {}", left_to_it.join(", ")));
    structure.push(Item::text("data descriptor", true, missing.unwrap_or_else(|| "as its flag says".to_owned())));
    form.push(Item::text("data descriptor", true, descriptor));
    let rest = Span { start: entry.gap.start + len, len: entry.gap.len - len };
    Ok(View { times, umask: umask(central), attributes: attributes(central), compression, form, structure, rest })
}

/// The permission bits for the group and others to write.
const WRITE: u32 = 0o022;

fn umask(central: &Central<'_>) -> Vec<Item> {
    let bits = (central.external >> 16) & WRITE;
    vec![Item::text("may be written by", false, number::writers(bits.into()))]
}

fn attributes(central: &Central<'_>) -> Vec<Item> {
    let [_, host] = central.made_by.to_le_bytes();
    let host = match host {
        0 => "MS-DOS".to_owned(),
        3 => "Unix".to_owned(),
        10 => "NTFS".to_owned(),
        19 => "macOS".to_owned(),
        other => format!("host system {other}"),
    };
    let (mode, dos) = ((central.external >> 16) & !WRITE, central.external & 0xffff);
    vec![
        Item::text("made by", false, host),
        Item::text("external attributes", false, format!("mode {mode:06o}, MS-DOS {dos:#06x}")),
        Item::text("internal attributes", false, format!("{:#06x}", central.internal)),
    ]
}

fn compression(common: &Common, local: bool) -> Vec<Item> {
    let method = match common.method {
        0 => "stored".to_owned(),
        8 => "deflated".to_owned(),
        9 => "deflated64".to_owned(),
        12 => "bzip2".to_owned(),
        14 => "lzma".to_owned(),
        93 => "zstd".to_owned(),
        95 => "xz".to_owned(),
        other => format!("method {other}"),
    };
    let level = match (common.flags & Common::LEVEL) >> 1 {
        0 => "normal",
        1 => "maximum",
        2 => "fast",
        _ => "super fast",
    };
    vec![Item::text("method", local, method), Item::text("level bits", local, level)]
}

/// The flags but for those that say how the same is written.
fn flags(common: &Common, local: bool, name: &[u8], comment: &[u8]) -> Item {
    let of_form = Common::LEVEL | Common::DESCRIPTOR | encoding(name, comment);
    Item::text("flags", local, format!("{:#06x}", common.flags & !of_form))
}

/// The flag that names are UTF-8, where that says nothing: they have ASCII alone.
fn encoding(name: &[u8], comment: &[u8]) -> u16 {
    if name.is_ascii() && comment.is_ascii() { Common::UTF_8 } else { 0 }
}

/// How the same is written: what is said of names, and where checksum and sizes are.
fn form(local: &Local<'_>, central: &Central<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let encodings = [encoding(central.name, central.comment), encoding(local.name, &[])];
    for ((common, is_local), encoding) in [(&central.common, false), (&local.common, true)].into_iter().zip(encodings) {
        let bits = common.flags & (Common::DESCRIPTOR | encoding);
        items.push(Item::text("flags of the form", is_local, format!("{bits:#06x}")));
    }
    for (label, written, central) in local_numbers(local, central) {
        let place = match place(local, written, central) {
            Place::Descriptor => "in the descriptor",
            // Which of these it is, the structure says.
            Place::Here | Place::ExtraField | Place::Nowhere => SAME,
        };
        items.push(Item::text(&format!("{label}, where it is"), true, place));
    }
    items
}

/// Checksum and sizes as the local header has them, and as the central directory has them.
fn local_numbers(local: &Local<'_>, central: &Central<'_>) -> [(&'static str, u32, u64); 3] {
    let (common, sizes) = (&local.common, central.sizes());
    [
        ("checksum", common.crc, central.common.crc.into()),
        ("size", common.size, sizes.size),
        ("compressed size", common.compressed, sizes.compressed),
    ]
}

const SAME: &str = "as in the central directory";

/// Where the number is that the local header has room for.
enum Place {
    Here,
    ExtraField,
    Descriptor,
    Nowhere,
}

fn place(local: &Local<'_>, written: u32, central: u64) -> Place {
    let has_descriptor = local.common.flags & Common::DESCRIPTOR != 0;
    match written {
        written if u64::from(written) == central => Place::Here,
        u32::MAX => Place::ExtraField,
        0 if has_descriptor => Place::Descriptor,
        _ => Place::Nowhere,
    }
}

fn central_structure(central: &Central<'_>, extra: Vec<u8>, verified: bool) -> Vec<Item> {
    let form = |written: u32| if written == u32::MAX { "zip64" } else { "32-bit" };
    let common = &central.common;
    let (mut size, mut checksum) = (form(common.size).to_owned(), String::new());
    if !verified {
        size = format!("{}, {size}", preview::count(central.sizes().size, "byte"));
        checksum = format!("{:08x}", common.crc);
    }
    // Sizes and offsets follow from the entry's data and its place.
    let wide = [(common.size, verified), (common.compressed, true), (central.offset, true)];
    let wide = wide.into_iter().filter(|(written, _)| *written == u32::MAX).map(|(_, masked)| masked);
    vec![
        flags(common, false, central.name, central.comment),
        Item::text("checksum", false, checksum),
        Item::text("size", false, size),
        Item::text("compressed size", false, form(common.compressed)),
        Item::text("header offset", false, form(central.offset)),
        Item::text("disk", false, central.disk.to_string()),
        Item::bytes("extra field", false, without_zip64(extra, wide)),
        Item::bytes("comment", false, central.comment),
    ]
}

/// Zeroes those of the zip64 extra field's values for which `masked` is true, in their order.
fn without_zip64(mut extra: Vec<u8>, masked: impl Iterator<Item = bool>) -> Vec<u8> {
    let (found, _) = records::fields(&extra);
    let at: usize = found.iter().take_while(|(id, _)| *id != ZIP64).map(|(_, data)| data.len() + 4).sum();
    let Some(len) = found.iter().find(|(id, _)| *id == ZIP64).map(|(_, data)| data.len()) else { return extra };
    if let Some(data) = extra.get_mut(at + 4..at + 4 + len) {
        // A value that is cut short is not one.
        data.chunks_exact_mut(8).zip(masked).filter(|(_, masked)| *masked).for_each(|(value, _)| value.fill(0));
    }
    extra
}

fn local_structure(local: &Local<'_>, extra: Vec<u8>, central: &Central<'_>) -> Vec<Item> {
    let (common, sizes) = (&local.common, central.sizes());
    let name = match local.name {
        name if name == central.name => Value::Text(SAME.to_owned()),
        name => Value::Bytes(name.to_vec()),
    };
    let mut zip64 = Reader::new(records::zip64(local.extra).unwrap_or_default());
    let wide: Vec<bool> = [(common.size, sizes.size), (common.compressed, sizes.compressed)]
        .into_iter()
        .filter(|(written, _)| *written == u32::MAX)
        .map(|(_, central)| zip64.u64() == Some(central))
        .collect();
    let agree: Vec<_> = wide.iter().map(|same| if *same { SAME } else { "other" }).collect();
    let numbers = local_numbers(local, central).map(|(label, written, central)| {
        let shown = match place(local, written, central) {
            Place::Here | Place::Descriptor => SAME.to_owned(),
            Place::ExtraField => "zip64".to_owned(),
            Place::Nowhere => format!("{written:#x}"),
        };
        Item::text(label, true, shown)
    });
    let [checksum, size, compressed] = numbers;
    vec![
        flags(common, true, local.name, &[]),
        checksum,
        size,
        compressed,
        Item::text("zip64 sizes", true, agree.join(", ")),
        Item { label: "name".to_owned(), local: true, value: name },
        Item::bytes("extra field", true, without_zip64(extra, wide.into_iter())),
    ]
}

const NO_DESCRIPTOR: &str = "none that the central directory agrees with";

/// The form of the data descriptor (4.3.9), where one follows the data and says what the central directory says, and its
/// length.
fn descriptor(
    source: &Source<'_>,
    entry: &Entry,
    local: &Local<'_>,
    central: &Central<'_>,
) -> io::Result<(&'static str, u64)> {
    if local.common.flags & Common::DESCRIPTOR == 0 {
        return Ok(("none", 0));
    }
    let gap = source.read(Span { start: entry.gap.start, len: entry.gap.len.min(24) })?;
    let sizes = central.sizes();
    let crc = central.common.crc.to_le_bytes();
    let wide = [&crc[..], &sizes.compressed.to_le_bytes(), &sizes.size.to_le_bytes()].concat();
    let narrow = match (u32::try_from(sizes.compressed), u32::try_from(sizes.size)) {
        (Ok(compressed), Ok(size)) => Some([crc, compressed.to_le_bytes(), size.to_le_bytes()].concat()),
        _ => None,
    };
    let signed = |bytes: &[u8]| [b"PK\x07\x08", bytes].concat();
    let forms = [
        ("64-bit with signature", Some(signed(&wide))),
        ("32-bit with signature", narrow.as_deref().map(signed)),
        ("64-bit", Some(wide)),
        ("32-bit", narrow),
    ];
    for (form, bytes) in forms {
        if let Some(bytes) = bytes
            && gap.starts_with(&bytes)
        {
            return Ok((form, bytes.len() as u64));
        }
    }
    Ok((NO_DESCRIPTOR, 0))
}

fn show(left: &Value, right: &Value) -> (String, String) {
    match (left, right) {
        (Value::Bytes(left), Value::Bytes(right)) => {
            let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
            let around = |bytes: &[u8]| Around {
                before: bytes.get(same.saturating_sub(preview::CONTEXT_BEFORE)..same).unwrap_or_default().to_vec(),
                from: bytes.iter().skip(same).take(preview::CONTEXT_FROM).copied().collect(),
            };
            let len = left.len().max(right.len()) - same;
            preview::pair(&around(left), &around(right), len as u64)
        }
        (left, right) => (left.to_text(), right.to_text()),
    }
}

impl Value {
    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => preview::hexadecimal(bytes),
        }
    }
}
