// SPDX-License-Identifier: Apache-2.0
//! The normal form of a zip archive: see [`Form`].

use std::io;

use super::super::field::Group;
use super::super::files::State;
use super::super::format::Format;
use super::super::normal::Form;
use super::super::roles::Role;
use super::super::source::Source;
use super::contents::{self, Part};
use super::entry::{self, Item, Value};
use super::layout::{Entry, Layout};
use super::signed::Signed;
use super::{end, record};

/// Writes the archive's normal form.
pub(in crate::compare) fn write(
    layout: &Layout,
    source: &Source<'_>,
    form: &mut Form<'_>,
    state: &mut State<'_>,
) -> io::Result<()> {
    let signatures_stay = form.has(Format::Jar, Group::Signatures);
    let signed = if signatures_stay { Signed::default() } else { Signed::of((source, layout), state)? };
    let mut entries: Vec<&Entry> = layout.entries.iter().filter(|entry| !signed.has(&entry.key.0)).collect();
    form.part(Format::Zip.name().as_bytes())?;
    form.number(entries.len() as u64)?;
    if form.has(Format::Zip, Group::Order) || layout.order_decides() {
        for entry in layout.by_position().into_iter().filter(|entry| !signed.has(&entry.key.0)) {
            form.part(&entry.key.0)?;
            form.number(entry.key.1.into())?;
        }
    } else {
        entries.sort_by(|a, b| a.key.cmp(&b.key));
    }
    for entry in entries {
        let central = layout.central(entry).ok_or(io::ErrorKind::UnexpectedEof)?;
        form.part(&entry.key.0)?;
        let is_expanded = central.common.method == 0 || !form.has(Format::Zip, Group::Compression);
        let is_list = is_expanded && !form.has(Format::Zip, Group::Record) && record::is_record(&entry.key.0);
        let verified = (is_list && record::write(&entry.key.0, (source, layout), form, state)?)
            || data((source, entry, &central), signed.role(&entry.key.0), form, state)?;
        let methods_may_differ = !form.has(Format::Zip, Group::Compression);
        let view = entry::view(source, entry, &central, verified, methods_may_differ)?;
        for (group, fields) in [
            (Some(Group::Times), &view.times),
            (Some(Group::Umask), &view.umask),
            (Some(Group::Compression), &view.compression),
            (Some(Group::Form), &view.form),
            (None, &view.attributes),
            (None, &view.structure),
        ] {
            if group.is_none_or(|group| form.has(Format::Zip, group)) {
                items(form, fields)?;
            }
        }
        form.bytes(source, view.rest)?;
    }
    items(form, &end::items(layout))?;
    form.bytes(source, layout.prefix)
}

/// Writes an entry's data; whether it was expanded, and has the size and the checksum that its header gives.
fn data(part: Part<'_>, role: Option<Role>, form: &mut Form<'_>, state: &mut State<'_>) -> io::Result<bool> {
    if (part.2.common.method == 0 || !form.has(Format::Zip, Group::Compression))
        && let Ok(held) = contents::held(part, state)?
    {
        let verified = held.is_verified();
        form.expanded(held, role, state)?;
        return Ok(verified);
    }
    form.bytes(part.0, part.1.data)?;
    Ok(false)
}

fn items(form: &mut Form<'_>, items: &[Item]) -> io::Result<()> {
    form.number(items.len() as u64)?;
    for item in items {
        form.part(if item.local { b"local" } else { b"central" })?;
        form.part(item.label.as_bytes())?;
        match &item.value {
            Value::Text(text) => form.part(text.as_bytes())?,
            Value::Bytes(bytes) => form.part(bytes)?,
        }
    }
    Ok(())
}
