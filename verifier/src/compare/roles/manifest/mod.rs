// SPDX-License-Identifier: Apache-2.0
//! The manifest of a JAR ("JAR File Specification"): attributes by their names and sections, what of them says when, by
//! whom and from which revision it was built, and how the same is written.

mod clauses;
mod sections;

use std::collections::BTreeSet;

use self::sections::{Attribute, End};
pub(in crate::compare) use self::sections::{Manifest, Section};
use super::super::field::{Field, Group};
use super::super::format::Format;
use super::super::room::Room;
use super::Text;

/// The longest value that is left out, in bytes.
pub(in crate::compare) const MAX_VALUE: usize = 1 << 10;
/// How long lines are, without what ends them: as Java writes them, and as it did once.
const WIDTHS: [usize; 2] = [72, 70];

/// What it is called in the archive.
pub(in crate::compare) const NAME: &[u8] = b"META-INF/MANIFEST.MF";

/// Digests of entries: the name of each, and the attribute's in small letters.
pub(in crate::compare) type Digests = BTreeSet<(String, String)>;

/// Each attribute with its value, then how they are written. `digests`: those that are right.
pub(super) fn read(bytes: &[u8], digests: &Digests) -> Option<Text> {
    let manifest = Manifest::read(bytes)?;
    let mut room = Room::default();
    let (mut fields, mut written, mut seen) = (Vec::new(), lines(&manifest), BTreeSet::new());
    let width = width(&manifest);
    for section in &manifest.sections {
        let entry = if fields.is_empty() { None } else { Some(section.name()?) };
        let is_right = |attribute: &Attribute<'_>| {
            let key = entry.map(|entry| (entry.to_owned(), attribute.name.to_ascii_lowercase()));
            key.is_some_and(|key| digests.contains(&key))
        };
        // Without its digests, nothing is said of the entry.
        let (_, said) = section.attributes.split_first()?;
        let is_signature = !said.is_empty() && said.iter().all(is_right);
        for (at, attribute) in section.attributes.iter().enumerate() {
            let label = match entry {
                None => attribute.name.to_owned(),
                Some(entry) => format!("{entry}: {}", attribute.name),
            };
            // Each is kept three times at most.
            room.take(label.len().saturating_mul(3)).ok()?;
            seen.insert((entry, attribute.name.to_ascii_lowercase()));
            if !attribute.is_broken_at(width.unwrap_or(WIDTHS[0])) {
                written.push(Field::text(Group::Form, format!("{label}: lines"), format!("{:?}", attribute.lines)));
            }
            let group = match entry {
                None => group(attribute.name, &attribute.value),
                Some(_) if is_right(attribute) || (at == 0 && is_signature) => Group::Signatures,
                Some(_) => Group::Structure,
            };
            match clauses::sorted(attribute.name, &attribute.value).filter(|_| entry.is_none()) {
                Some(sorted) => {
                    fields.push(Field::bytes(Group::Structure, label.clone(), sorted));
                    fields.push(Field::bytes(Group::Values, format!("{label}: order"), attribute.value.as_slice()));
                }
                None => fields.push(Field::bytes(group, label, attribute.value.as_slice())),
            }
        }
        if section.empty_lines != 1 {
            let label = format!("{}: empty lines", entry.unwrap_or_default());
            fields.push(Field::text(Group::Structure, label, section.empty_lines.to_string()));
        }
    }
    // A name that comes twice counts once, and the version is read before all else.
    let count: usize = manifest.sections.iter().map(|section| section.attributes.len()).sum();
    let starts = fields.first().is_some_and(|first| first.label == "Manifest-Version");
    let is_free = seen.len() == count && starts;
    fields.append(&mut written);
    Some(Text { format: Format::Jar, fields, is_free })
}

/// Of the widths at which lines may be broken, the first at which all are; `None`: none.
fn width(manifest: &Manifest<'_>) -> Option<usize> {
    let attributes = || manifest.sections.iter().flat_map(|section| &section.attributes);
    WIDTHS.into_iter().find(|width| attributes().all(|attribute| attribute.is_broken_at(*width)))
}

/// How lines end, and where they are broken.
fn lines(manifest: &Manifest<'_>) -> Vec<Field> {
    let name = |end: &End| match end {
        End::Lf => "LF",
        End::Cr => "CR",
        End::CrLf => "CR LF",
    };
    let ends = match manifest.ends.split_first() {
        Some((first, rest)) if rest.iter().all(|end| end == first) => name(first).to_owned(),
        _ => manifest.ends.iter().map(name).collect::<Vec<_>>().join(", "),
    };
    let width = width(manifest).map_or_else(|| "as each has them".to_owned(), |width| format!("{width} bytes at most"));
    vec![Field::text(Group::Form, "line ends", ends), Field::text(Group::Form, "lines", width)]
}

/// What this attribute of the main section says. Those that could also say what is required to run it are not among them
/// (`Java-Version`, `Os-Name`).
fn group(name: &str, value: &[u8]) -> Group {
    let is_text = value.len() <= MAX_VALUE && str::from_utf8(value).is_ok();
    match name.to_ascii_lowercase().as_str() {
        "bnd-lastmodified"
        | "build-date"
        | "build-date-utc"
        | "build-time"
        | "build-timestamp"
        | "built-date"
        | "built-on"
        | "dstamp"
        | "implementation-build-date"
        | "ion-java-build-time"
        | "jcabi-date"
        | "source-date-epoch"
        | "sunset-builton"
        | "today"
        | "tstamp"
            if is_time(value) =>
        {
            Group::Times
        }
        "ant-version"
        | "archiver-version"
        | "build-host"
        | "build-id"
        | "build-java-version"
        | "build-jdk"
        | "build-jdk-spec"
        | "build-job"
        | "build-number"
        | "build-os"
        | "build-tool"
        | "build-url"
        | "built-by"
        | "built-host"
        | "built-jdk"
        | "built-os"
        | "created-by"
        | "hudson-build-number"
        | "implementation-build-java-vendor"
        | "implementation-build-java-version"
        | "jenkins-build-number"
        | "maven-version"
        | "originally-created-by"
        | "tool"
            if is_text =>
        {
            Group::Origin
        }
        "eclipse-sourcereferences"
        | "git-branch"
        | "git-commit-id-describe"
        | "git-describe"
        | "git-descriptor"
        | "git-remote-origin-url"
        | "git-sha"
        | "git-tags"
        | "module-origin"
        | "scm-git-branch"
        | "scm-git-commit-abbrev"
        | "scm-git-commit-description"
        | "scm-git-commit-dirty"
        | "scm-git-commit-id"
        | "scm-git-commit-timestamp"
        | "scm-revision"
            if is_text =>
        {
            Group::Vcs
        }
        _ => Group::Structure,
    }
}

/// Whether a value is some time, however it is written: digits, and words no longer than the name of a day or of a month.
pub(super) fn is_time(value: &[u8]) -> bool {
    const LONGEST: usize = 9;
    const MOST: usize = 64;
    let is_of_one = |byte: &u8| byte.is_ascii_alphanumeric() || b" :.,+-/_()'".contains(byte);
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let words = || value.split(|byte| !byte.is_ascii_alphabetic());
    value.len() <= MOST && digits >= 4 && value.iter().all(is_of_one) && words().all(|word| word.len() <= LONGEST)
}

#[cfg(test)]
mod tests;
