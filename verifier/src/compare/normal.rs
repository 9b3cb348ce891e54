// SPDX-License-Identifier: Apache-2.0
//! The normal form of a file: what is left of it when groups of fields are left out.
//!
//! A file that is no container is its bytes. A container is its format, then all of its fields but for those left out, and
//! each member's normal form; `docs/comparing.md` has the form byte by byte. Each part is written with its length, so that no
//! two files have one normal form unless they differ in nothing but what was left out.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write as _};
use std::rc::Rc;

use reprove_model::{Between, DigestSet, HashBoth, Normalization};

use super::archive::{self, Archive, Data, Member};
use super::compressed::{self, Head};
use super::field::{Field, Group, Normalizer, Value};
use super::files::{self, State};
use super::format::{self, Arrangement, Format};
use super::held::Held;
use super::roles::{self, Role};
use super::source::{Source, Span};
use super::{Bounds, Options, zip};

/// The digests of the left one's normal forms after the first of `normalizers`, the first two, and so on. None where all of
/// them together don't make the two equal.
pub(super) fn forms(
    (left, right): (&Source<'_>, &Source<'_>),
    role: Option<&Role>,
    normalizers: &BTreeSet<Normalizer>,
    like: &State<'_>,
) -> io::Result<Vec<Normalization>> {
    if normalizers.is_empty() {
        return Ok(Vec::new());
    }
    let digest = |source: &Source<'_>, left_out: &BTreeSet<Normalizer>| digest(source, role.cloned(), left_out, like);
    let last = digest(left, normalizers)?;
    if last.is_none() || digest(right, normalizers)? != last {
        return Ok(Vec::new());
    }
    let mut applied = BTreeSet::new();
    let mut all = Vec::new();
    for normalizer in normalizers {
        applied.insert(*normalizer);
        let digest = if applied.len() == normalizers.len() { last } else { digest(left, &applied)? };
        let Some(digest) = digest else { return Ok(Vec::new()) };
        all.push(Normalization { name: normalizer.name(), digest });
    }
    Ok(all)
}

/// The digests of the normal form of `source` without what `left_out` says, within the bounds of `like`; all those that are
/// made for one comparison share what they may expand to. `None`: there is not so much left.
pub(super) fn digest(
    source: &Source<'_>,
    role: Option<Role>,
    left_out: &BTreeSet<Normalizer>,
    like: &State<'_>,
) -> io::Result<Option<DigestSet>> {
    if like.has_no_forms.get() {
        return Ok(None);
    }
    let options = Options { between: Between::Given, scratch: like.scratch, tell: None };
    let bounds = Bounds { expansion: like.bounds.forms, ..like.bounds.clone() };
    let mut state = State::new(&options, &bounds);
    state.expanded = like.in_forms.get();
    state.kept = Rc::clone(&like.kept);
    state.roles = [role, None];
    let mut form = Form { hash: BufWriter::with_capacity(BUFFER, HashBoth::default()), left_out };
    form.part(b"reprove normal form 1")?;
    form.any(source, &mut state)?;
    like.in_forms.set(state.expanded);
    like.has_no_forms.set(state.is_exhausted);
    let hash = form.hash.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((!state.is_exhausted).then(|| hash.finish().0))
}

/// How many bytes are hashed at one time: most parts are a few bytes long.
const BUFFER: usize = 64 << 10;

/// A normal form, as far as it is written.
pub(super) struct Form<'a> {
    hash: BufWriter<HashBoth>,
    left_out: &'a BTreeSet<Normalizer>,
}

impl Form<'_> {
    fn any(&mut self, source: &Source<'_>, state: &mut State<'_>) -> io::Result<()> {
        let [role, _] = std::mem::take(&mut state.roles);
        self.of(format::claimed(source)?, role, source, state)
    }

    /// A file of this format, and for this.
    fn of(
        &mut self,
        format: Option<Format>,
        role: Option<Role>,
        source: &Source<'_>,
        state: &mut State<'_>,
    ) -> io::Result<()> {
        let format = format.filter(|_| state.depth < state.bounds.depth);
        let Some(format) = format else { return self.plain(source, role.as_ref(), state.bounds) };
        match format.arrangement() {
            Arrangement::Compressed => self.compressed(format, source, role, state),
            // Of an image, nobody tells what each of its bytes is for.
            Arrangement::Text | Arrangement::Image => self.bytes(source, source.whole()),
            Arrangement::Zip => match zip::layout(source, state.bounds)? {
                Ok(layout) => zip::write(&layout, source, self, state),
                Err(_) => self.bytes(source, source.whole()),
            },
            Arrangement::Parts => match files::archive(format, source, state.bounds)? {
                Ok(archive) => self.archive(&archive, source, state),
                Err(_) => self.bytes(source, source.whole()),
            },
        }
    }

    /// What is no container: as fields where it is a text that something is left out of.
    fn plain(&mut self, source: &Source<'_>, role: Option<&Role>, bounds: &Bounds) -> io::Result<()> {
        let is_wanted = |format: Format| self.left_out.iter().any(|normalizer| normalizer.format == format);
        let may_be = self.left_out.iter().any(|each| matches!(each.format.arrangement(), Arrangement::Text));
        if may_be && source.len() <= bounds.text {
            let text = roles::read(&source.read(source.whole())?, role);
            if let Some(text) = text.filter(|text| is_wanted(text.format)) {
                let mut fields = text.fields;
                if text.is_free && !self.has(text.format, Group::Order) {
                    fields.sort_by(|a, b| a.label.cmp(&b.label));
                }
                self.part(text.format.name().as_bytes())?;
                return self.fields(text.format, &fields);
            }
        }
        self.bytes(source, source.whole())
    }

    /// Whether this group of fields stays.
    pub(super) fn has(&self, format: Format, group: Group) -> bool {
        !self.left_out.contains(&Normalizer { format, group })
    }

    /// A number.
    pub(super) fn number(&mut self, number: u64) -> io::Result<()> {
        self.hash.write_all(&number.to_le_bytes())
    }

    /// Bytes, after their number.
    pub(super) fn part(&mut self, part: &[u8]) -> io::Result<()> {
        self.number(part.len() as u64)?;
        self.hash.write_all(part)
    }

    /// What is no container.
    pub(super) fn bytes(&mut self, source: &Source<'_>, span: Span) -> io::Result<()> {
        self.part(b"bytes")?;
        self.number(span.len)?;
        if let Some(bytes) = source.slice(span).filter(|bytes| bytes.len() as u64 == span.len) {
            return self.hash.write_all(bytes);
        }
        let copied = io::copy(&mut source.reader(span), &mut self.hash)?;
        if copied == span.len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A file inside another one.
    pub(super) fn inner(&mut self, source: &Source<'_>, state: &mut State<'_>) -> io::Result<()> {
        state.depth += 1;
        let written = self.any(source, state);
        state.depth -= 1;
        written
    }

    /// Fields, but for those that are left out.
    pub(super) fn fields(&mut self, format: Format, fields: &[Field]) -> io::Result<()> {
        let left: Vec<_> = fields.iter().filter(|field| self.has(format, field.group)).collect();
        self.number(left.len() as u64)?;
        for Field { label, value, .. } in left {
            self.part(label.as_bytes())?;
            match value {
                Value::Text(text) => self.part(text.as_bytes())?,
                Value::Bytes(bytes) => self.part(bytes)?,
            }
        }
        Ok(())
    }

    fn compressed(
        &mut self,
        format: Format,
        source: &Source<'_>,
        role: Option<Role>,
        state: &mut State<'_>,
    ) -> io::Result<()> {
        let Ok(head) = Head::read(format, source)? else { return self.bytes(source, source.whole()) };
        let held = match self.has(format, Group::Compression) {
            true => None,
            false => match compressed::held(format, source, state)? {
                Ok(held) => Some(held),
                Err(_) => return self.bytes(source, source.whole()),
            },
        };
        self.part(format.name().as_bytes())?;
        self.fields(format, &head.fields)?;
        match held {
            None => self.bytes(source, head.rest),
            Some(held) => self.expanded(held, role, state),
        }
    }

    fn archive(&mut self, archive: &Archive, source: &Source<'_>, state: &mut State<'_>) -> io::Result<()> {
        let mut members: Vec<&Member> = archive.members.iter().collect();
        if !self.has(archive.format, Group::Order) && !archive.order_decides() {
            members.sort_by(|a, b| a.key.cmp(&b.key));
        }
        self.part(archive.format.name().as_bytes())?;
        self.number(members.len() as u64)?;
        for member in members {
            self.part(&member.key.0)?;
            self.fields(archive.format, &archive.fields(source, member)?)?;
            match archive.data_fields(source, member)? {
                Some(fields) => self.fields(archive.format, &fields)?,
                None if member.data_is.is_file() => {
                    state.roles = [Role::of_member((source, archive), member, state)?, None];
                    self.inner(&source.part(member.data), state)?;
                }
                None if matches!(member.data_is, Data::Zlib) => {
                    state.depth += 1;
                    let written = self.of(Some(Format::Zlib), None, &source.part(member.data), state);
                    state.depth -= 1;
                    written?;
                }
                None => self.bytes(source, member.data)?,
            }
        }
        if !self.has(archive.format, Group::Form) && archive::zeros(source, archive.rest)? {
            return self.part(b"zeros");
        }
        self.bytes(source, archive.rest)
    }

    /// What was expanded, which is a file inside another one, for this.
    pub(super) fn expanded(&mut self, held: Held, role: Option<Role>, state: &mut State<'_>) -> io::Result<()> {
        state.roles = [role, None];
        self.inner(&held.source()?, state)?;
        held.give_back(state);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
