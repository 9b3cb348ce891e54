// SPDX-License-Identifier: Apache-2.0
//! A manifest, and the file of a signature, as "JAR File Specification" has them: sections of attributes, whose lines go on
//! where the next one begins with a space.

/// The most attributes that are told apart.
const MAX_ATTRIBUTES: usize = 100_000;

/// All of a file's bytes.
pub(in crate::compare) struct Manifest<'a> {
    /// The main section, then one for each entry that something is said of.
    pub(in crate::compare) sections: Vec<Section<'a>>,
    /// How each line ends.
    pub(super) ends: Vec<End>,
}

/// Attributes, and the empty lines behind them.
pub(in crate::compare) struct Section<'a> {
    pub(in crate::compare) attributes: Vec<Attribute<'a>>,
    pub(super) empty_lines: usize,
    /// All of it.
    pub(in crate::compare) bytes: &'a [u8],
}

pub(in crate::compare) struct Attribute<'a> {
    /// As it is written.
    pub(in crate::compare) name: &'a str,
    /// Put together from its lines.
    pub(in crate::compare) value: Vec<u8>,
    /// How long each of its lines is.
    pub(super) lines: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lf,
    Cr,
    CrLf,
}

impl<'a> Manifest<'a> {
    /// Reads it; `None`: it is not written as a manifest is, or has more than [`MAX_ATTRIBUTES`].
    pub(in crate::compare) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut manifest = Self { sections: Vec::new(), ends: Vec::new() };
        let (mut at, mut start, mut count) = (0, 0, 0);
        let mut section: Option<Section<'a>> = None;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let len = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
            let line = rest.get(..len)?;
            let end = match rest.get(len..)? {
                [b'\r', b'\n', ..] => End::CrLf,
                [b'\r', ..] => End::Cr,
                _ => End::Lf,
            };
            manifest.ends.push(end);
            let next = at + len + if end == End::CrLf { 2 } else { 1 };
            if line.contains(&0) {
                return None;
            }
            match (line, &mut section) {
                (b"", Some(section)) => section.empty_lines += 1,
                (b"", None) => return None,
                ([b' ', more @ ..], Some(section)) if section.empty_lines == 0 => {
                    let attribute = section.attributes.last_mut()?;
                    attribute.value.extend_from_slice(more);
                    attribute.lines.push(len);
                }
                _ => {
                    count += 1;
                    let attribute = Attribute::read(line).filter(|_| count <= MAX_ATTRIBUTES)?;
                    if section.as_ref().is_none_or(|section| section.empty_lines > 0) {
                        let new = Section { attributes: Vec::new(), empty_lines: 0, bytes: &[] };
                        manifest.end(section.replace(new), bytes.get(start..at)?);
                        start = at;
                    }
                    section.as_mut()?.attributes.push(attribute);
                }
            }
            at = next;
        }
        manifest.end(section, bytes.get(start..)?);
        let named = manifest.sections.iter().skip(1).all(|section| section.name().is_some());
        // A second name in a section would read as two sections.
        let named = named && manifest.sections.iter().all(|section| section.names() <= 1);
        (named && !manifest.sections.is_empty()).then_some(manifest)
    }

    fn end(&mut self, section: Option<Section<'a>>, bytes: &'a [u8]) {
        self.sections.extend(section.map(|section| Section { bytes, ..section }));
    }
}

impl Section<'_> {
    /// How many attributes call it something.
    fn names(&self) -> usize {
        self.attributes.iter().filter(|attribute| attribute.is_name()).count()
    }

    /// The name of the entry that it is about, which comes first.
    pub(in crate::compare) fn name(&self) -> Option<&str> {
        let first = self.attributes.first().filter(|first| first.is_name())?;
        str::from_utf8(&first.value).ok()
    }
}

impl<'a> Attribute<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = str::from_utf8(line.get(..colon)?).ok()?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let value = line.get(colon + 1..)?.strip_prefix(b" ")?;
        is_name.then(|| Self { name, value: value.to_vec(), lines: vec![line.len()] })
    }

    fn is_name(&self) -> bool {
        self.name.eq_ignore_ascii_case("name")
    }

    /// Whether its lines are broken where each has `width` bytes.
    pub(super) fn is_broken_at(&self, width: usize) -> bool {
        let mut left = self.name.len() + 2 + self.value.len();
        let mut expected = Vec::new();
        while left > width {
            expected.push(width);
            // The space that the next line begins with.
            left = left - width + 1;
        }
        expected.push(left);
        self.lines == expected
    }
}
