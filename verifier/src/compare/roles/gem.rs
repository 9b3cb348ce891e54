// SPDX-License-Identifier: Apache-2.0
//! What is in a gem beside its files (RubyGems, "Gem::Package"): a tar archive with a specification, the files, and the
//! digests of both.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256, Sha512};

use super::super::archive::{Archive, Member};
use super::super::field::Group;
use super::super::files::State;
use super::super::format::Format;
use super::super::source::{Source, Span};
use super::{Pieces, Role, Text, dates, lines};

const SPECIFICATION: &[u8] = b"metadata.gz";
const FILES: &[u8] = b"data.tar.gz";
const CHECKSUMS: &[u8] = b"checksums.yaml.gz";
/// The longest specification that is read, in lines.
const MAX_LINES: usize = 100_000;

/// The digests of a gem's members in hexadecimal, by the name of the function and that of the member.
pub(in crate::compare) type Digests = BTreeMap<(&'static str, &'static [u8]), String>;

/// What this member of a tar archive is for, where that is a gem. What digests are made of is charged as if it was expanded;
/// where there is not so much left, the list of them is compared as any other text.
pub(super) fn role(
    (source, archive): (&Source<'_>, &Archive),
    member: &Member,
    state: &mut State<'_>,
) -> io::Result<Option<Role>> {
    if ![SPECIFICATION, CHECKSUMS].contains(&&*member.key.0) {
        return Ok(None);
    }
    let of = |name: &[u8]| {
        let mut found = archive.members.iter().filter(|member| member.key.0 == name);
        found.next().filter(|_| found.next().is_none())
    };
    let (Some(specification), Some(files)) = (of(SPECIFICATION), of(FILES)) else { return Ok(None) };
    if member.key.0 == SPECIFICATION {
        return Ok(Some(Role::GemSpecification));
    }
    if of(CHECKSUMS).is_none() {
        return Ok(None);
    }
    let expanded = state.expanded.saturating_add(specification.data.len).saturating_add(files.data.len);
    if expanded > state.bounds.expansion {
        state.is_exhausted = true;
        return Ok(None);
    }
    state.expanded = expanded;
    let mut digests = Digests::new();
    for (name, member) in [(SPECIFICATION, specification), (FILES, files)] {
        let [short, long] = hashed(source, member.data)?;
        digests.extend([(("SHA256", name), short), (("SHA512", name), long)]);
    }
    Ok(Some(Role::GemChecksums(digests.into())))
}

fn hashed(source: &Source<'_>, span: Span) -> io::Result<[String; 2]> {
    let (mut short, mut long) = (Sha256::new(), Sha512::new());
    let (mut reader, mut buffer) = (source.reader(span), vec![0; 64 << 10]);
    loop {
        let read = reader.read(&mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        short.update(bytes);
        long.update(bytes);
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([hex(&short.finalize()), hex(&long.finalize())])
}

/// The digests that are right, and all around them.
pub(super) fn checksums(bytes: &[u8], digests: &Digests) -> Option<Text> {
    let mut pieces = Pieces::of_lines(bytes)?;
    let mut function: &[u8] = b"";
    for (start, line) in lines(bytes) {
        let Some(entry) = line.strip_prefix(b"  ") else {
            function = line.strip_suffix(b":").unwrap_or_default();
            continue;
        };
        for ((of, name), digest) in digests.iter().filter(|((of, _), _)| of.as_bytes() == function) {
            let value = entry.strip_prefix(*name).and_then(|rest| rest.strip_prefix(b": "));
            // Digits that could be a number are in quotation marks.
            let quoted = value.and_then(|value| value.strip_prefix(b"'")?.strip_suffix(b"'"));
            if quoted.or(value) == Some(digest.as_bytes()) {
                let label = format!("{of} of {}", String::from_utf8_lossy(name));
                let before = if quoted.is_some() { name.len() + 5 } else { name.len() + 4 };
                pieces.field(Group::Record, &label, start + before, digest.len());
            }
        }
    }
    pieces.text(Format::Gem)
}

/// The day on which the gem was packed, the version of what packed it, and all around them.
pub(super) fn specification(bytes: &[u8]) -> Option<Text> {
    if lines(bytes).nth(MAX_LINES).is_some() {
        return None;
    }
    let of = |key: &[u8]| {
        let mut found = lines(bytes).filter(|(_, line)| line.starts_with(key));
        let first = found.next().filter(|_| found.next().is_none());
        first.and_then(|(start, line)| Some((start + key.len(), line.get(key.len()..)?)))
    };
    let date = of(b"date: ").filter(|(_, value)| {
        let day = value.strip_suffix(b" 00:00:00.000000000 Z").unwrap_or(value);
        dates::is_like(day, b"0000-00-00")
    });
    let is_of_version = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
    let version = of(b"rubygems_version: ").filter(|(_, value)| !value.is_empty() && value.iter().all(is_of_version));
    let mut found: Vec<_> = [(Group::Times, "date", date), (Group::Origin, "rubygems_version", version)]
        .into_iter()
        .filter_map(|(group, label, found)| found.map(|(start, value)| (start, value.len(), group, label)))
        .collect();
    found.sort_unstable();
    let mut pieces = Pieces::of_lines(bytes)?;
    found.into_iter().for_each(|(start, len, group, label)| pieces.field(group, label, start, len));
    pieces.text(Format::Gem)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256, Sha512};

    use super::super::super::Bounds;
    use super::super::super::archive::tests::{FILE, File, find_within, gzip, tar_of};
    use super::super::tests::{compared, different, equal};

    const SPECIFICATION: &str = "--- !ruby/object:Gem::Specification\nname: p\nversion: !ruby/object:Gem::Version\n  \
        version: '1'\nauthors: []\ndate: 2023-11-14 00:00:00.000000000 Z\ndependencies: []\nrubygems_version: 3.4.20\n";

    fn checksums(of: &[(&str, &[u8])]) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let list = |hash: &dyn Fn(&[u8]) -> String| -> String {
            of.iter().map(|(name, data)| format!("  {name}: {}\n", hash(data))).collect()
        };
        let (short, long) = (list(&|data| hex(&Sha256::digest(data))), list(&|data| hex(&Sha512::digest(data))));
        format!("---\nSHA256:\n{short}SHA512:\n{long}")
    }

    /// A gem with this specification, these files, and what `with` makes of the list of their digests.
    fn gem(specification: &str, files: &[u8], with: impl Fn(String) -> String) -> Vec<u8> {
        let (specification, files) = (gzip(specification.as_bytes(), 0, 6), gzip(files, 0, 6));
        let list = with(checksums(&[("metadata.gz", &specification), ("data.tar.gz", &files)]));
        let list = gzip(list.as_bytes(), 0, 6);
        let members = [("metadata.gz", &specification), ("data.tar.gz", &files), ("checksums.yaml.gz", &list)];
        tar_of(&members.map(|(name, data)| File { name, data, ..FILE }))
    }

    fn of(left: &[u8], right: &[u8]) -> (super::super::super::Level, Vec<String>) {
        compared(left, right, "p-1.gem")
    }

    #[test]
    fn when_and_with_what_a_gem_was_packed_is_left_out() {
        let base = gem(SPECIFICATION, b"files", |list| list);
        let with = |from: &str, to: &str| {
            assert!(SPECIFICATION.contains(from));
            of(&base, &gem(&SPECIFICATION.replace(from, to), b"files", |list| list))
        };
        let day = "2023-11-14 00:00:00.000000000 Z";
        assert_eq!(with("2023-11-14", "1980-01-02"), equal(&["gzip-compression", "gem-times", "gem-checksums"]));
        assert_eq!(with(day, "1980-01-02"), equal(&["gzip-compression", "gem-times", "gem-checksums"]));
        assert_eq!(with("3.4.20", "3.6.7.pre1"), equal(&["gzip-compression", "gem-origin", "gem-checksums"]));
        for (from, to) in [
            (day, "a day"),
            (day, "1980-01-02 00:00:01.000000000 Z"),
            ("3.4.20", "3.4.20 "),
            ("3.4.20", "\"3.4.20\""),
            ("name: p", "name: q"),
            ("version: '1'", "version: '2'"),
            // Twice, or not where it belongs: what it says is not known.
            ("authors: []", "date: 2023-11-15\nauthors: []"),
            ("\ndate", "\n  date"),
            ("rubygems_version: 3.4.20\n", ""),
        ] {
            assert_eq!(with(from, to), different(), "{from} {to}");
        }
        // Where a line ends at CR alone for some readers.
        let with_cr = |day: &str, end: &str| {
            gem(&SPECIFICATION.replace("2023", day).replace("name: p\n", &format!("name: p{end}")), b"files", |list| {
                list
            })
        };
        for (end, is_equal) in [("\r\n", true), ("\r", false), ("\rx: 1\n", false)] {
            let found = of(&with_cr("2023", end), &with_cr("2024", end));
            assert_eq!(found == different(), !is_equal, "{end:?}");
        }
        // In what is no gem, and under another name.
        let member = |name: &str, day: &str| {
            let data = gzip(SPECIFICATION.replace("2023", day).as_bytes(), 0, 6);
            tar_of(&[File { name, data: &data, ..FILE }, File { name: "data.tar.gz", ..FILE }])
        };
        assert_eq!(of(&member("metadata.gz", "2023"), &member("metadata.gz", "2024")).0, equal(&[]).0);
        assert_eq!(of(&member("meta.gz", "2023"), &member("meta.gz", "2024")), different());
        let alone = |day: &str| {
            let data = gzip(SPECIFICATION.replace("2023", day).as_bytes(), 0, 6);
            tar_of(&[File { name: "metadata.gz", data: &data, ..FILE }])
        };
        assert_eq!(of(&alone("2023"), &alone("2024")), different());
    }

    #[test]
    fn members_are_read_for_their_digests_to_a_bound() {
        let inner = |time| tar_of(&[File { time, ..FILE }]);
        let packed = gzip(SPECIFICATION.as_bytes(), 0, 6).len() + gzip(&inner(1), 0, 6).len();
        let list = checksums(&[("metadata.gz", b""), ("data.tar.gz", b"")]).len();
        // Both sides: each member that differs is expanded; and beside that, those of which there are digests are read.
        let all = 2 * (packed + inner(1).len() + list) as u64;
        let needs = |left: &[u8], right: &[u8], expansion| {
            find_within(left, right, &Bounds { expansion, ..Bounds::default() }).1
        };
        let gem_of = |time| gem(SPECIFICATION, &inner(time), |list| list);
        assert_eq!(gzip(&inner(1), 0, 6).len(), gzip(&inner(2), 0, 6).len());
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let found = names(&["gzip-compression", "tar-times", "gem-checksums"]);
        let of = |expansion| needs(&gem_of(1), &gem_of(2), expansion);
        assert_eq!((of(all), of(all - 1)), (found, None));
        // What has no list of digests, or two, is not read for any.
        let without = |time| {
            let (data, specification) = (gzip(&inner(time), 0, 6), gzip(SPECIFICATION.as_bytes(), 0, 6));
            let members = [("metadata.gz", &specification), ("data.tar.gz", &data)];
            tar_of(&members.map(|(name, data)| File { name, data, ..FILE }))
        };
        let of = |expansion| needs(&without(1), &without(2), expansion);
        let all = 2 * inner(1).len() as u64;
        assert_eq!((of(all), of(all - 1)), (names(&["gzip-compression", "tar-times"]), None));
        let twice = |day: &str| {
            let list = gzip(format!("x: {day}\n").as_bytes(), 0, 6);
            let list = File { name: "checksums.yaml.gz", data: &list, ..FILE };
            let files = gzip(&inner(1), 0, 6);
            let [specification, files] = ["metadata.gz", "data.tar.gz"].map(|name| File { name, data: &files, ..FILE });
            tar_of(&[specification, files, list.clone(), list])
        };
        let expands = |expansion| {
            let found = find_within(&twice("1"), &twice("2"), &Bounds { expansion, ..Bounds::default() }).0;
            found.iter().all(|finding| !finding.summary.contains("expands to more"))
        };
        // Each of both lists on each side, and nothing else.
        assert!(expands(4 * 5) && !expands(4 * 5 - 1));
    }

    #[test]
    fn digests_follow_from_members_only_where_they_are_right() {
        let inner = |time| tar_of(&[File { time, ..FILE }]);
        let base = gem(SPECIFICATION, &inner(1), |list| list);
        let with = |with: &dyn Fn(String) -> String| of(&base, &gem(SPECIFICATION, &inner(2), with));
        let all = ["gzip-compression", "tar-times", "gem-checksums"];
        assert_eq!(with(&|list| list), equal(&all));
        let digest = |list: &str| list.split(": ").nth(1).unwrap()[..64].to_owned();
        for with_other in [
            &(|list: String| list.replace(&digest(&list), &"0".repeat(64))) as &dyn Fn(String) -> String,
            &|list| list.replace("SHA256", "SHA1"),
            &|list| list.replace("  data.tar.gz", "  data.tar.xz"),
            &|list| format!("{list}  more: 1\n"),
            &|list| list.replace("SHA512", "SHA256"),
            &|list| list.replace(&digest(&list), &format!("'{}'", digest(&list))),
            &|_| String::new(),
        ] {
            assert_eq!(with(with_other), different());
        }
        // In quotation marks on both sides.
        let quoted = |time| {
            gem(SPECIFICATION, &inner(time), |list| list.replace(&digest(&list), &format!("'{}'", digest(&list))))
        };
        assert_eq!(of(&quoted(1), &quoted(2)), equal(&all));
        // Lists that say the same wrong thing are equal, and follow from nothing.
        let wrong = |time| gem(SPECIFICATION, &inner(time), |_| "x".to_owned());
        assert_eq!(of(&wrong(1), &wrong(2)), equal(&["gzip-compression", "tar-times"]));
        // Each says what the other gem has.
        let of_other = |time, other| {
            gem(SPECIFICATION, &inner(time), |_| {
                let files = [gzip(SPECIFICATION.as_bytes(), 0, 6), gzip(&inner(other), 0, 6)];
                checksums(&[("metadata.gz", &files[0]), ("data.tar.gz", &files[1])])
            })
        };
        assert_eq!(of(&of_other(1, 2), &of_other(2, 1)), different());
        let content = |files: &[u8]| gem(SPECIFICATION, files, |list| list);
        assert_eq!(of(&content(b"one"), &content(b"two")), different());
        // Members that come twice.
        let twice = |time| {
            [&gem(SPECIFICATION, &inner(time), |list| list)[..2048], &gem(SPECIFICATION, &inner(time), |list| list)]
                .concat()
        };
        assert_eq!(of(&twice(1), &twice(2)), different());
    }
}
