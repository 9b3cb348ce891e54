// SPDX-License-Identifier: Apache-2.0
//! Requirements files, as pip reads them, as far as they settle what is installed: one version and a hash for each line.

use std::collections::BTreeSet;

use reprove_model::Sha256;
use serde::Serialize;

use crate::dependencies::{DependencyError, MAX_PACKAGES, plain};
use crate::pypi::requirement::{Requirement, normalized};

/// A line: one version of a package, and the hashes that its files may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Pin {
    pub(crate) name: String,
    pub(crate) version: String,
    /// When it is installed; none where it always is.
    pub(crate) marker: Option<String>,
    pub(crate) hashes: BTreeSet<Sha256>,
    /// Whether pip may take no source archive in its place.
    pub(crate) is_wheel: bool,
}

/// Options that say where packages come from, which the machine's own settings say, and which versions, which lines say.
const WITHOUT_EFFECT: [&str; 10] = [
    "--extra-index-url",
    "--find-links",
    "--index-url",
    "--no-index",
    "--pre",
    "--prefer-binary",
    "--require-hashes",
    "--trusted-host",
    "-f",
    "-i",
];

const WITH_HASHES: &str = "pip-compile --generate-hashes, uv pip compile --generate-hashes and uv export --no-emit-project write SHA-256 for everything";

/// The lines of a requirements file.
pub(crate) fn read(text: &str) -> Result<Vec<Pin>, DependencyError> {
    let (mut pins, mut wheels) = (BTreeSet::new(), Wheels::default());
    for line in joined(text) {
        let line = without_comment(&line).trim();
        if let Some(names) = line.strip_prefix("--only-binary").filter(|rest| rest.starts_with(['=', ' ', '\t'])) {
            wheels.add(names)?;
        } else if line.starts_with('-') {
            option(line)?;
        } else if !line.is_empty() {
            pins.insert(pin(line)?);
        }
        if pins.len() > MAX_PACKAGES {
            return Err(DependencyError::TooMany);
        }
    }
    // An option is of the whole file, wherever it stands.
    Ok(pins.into_iter().map(|pin| Pin { is_wheel: wheels.has(&pin.name), ..pin }).collect())
}

/// Of which packages pip takes no source archive (`--only-binary`).
#[derive(Default)]
struct Wheels {
    all: bool,
    /// Normalized.
    names: BTreeSet<String>,
}

impl Wheels {
    fn add(&mut self, names: &str) -> Result<(), DependencyError> {
        for name in names.split(['=', ' ', '\t', ',']).filter(|name| !name.is_empty()) {
            match name {
                ":all:" => self.all = true,
                ":none:" => *self = Self::default(),
                name if name.starts_with('-') => return Err(DependencyError::Option(plain(name))),
                name => drop(self.names.insert(normalized(name))),
            }
            if self.names.len() > MAX_PACKAGES {
                return Err(DependencyError::TooMany);
            }
        }
        Ok(())
    }

    fn has(&self, package: &str) -> bool {
        self.all || self.names.contains(&normalized(package))
    }
}

/// Lines that end with a backslash, with those that they go on in. A comment ends one.
fn joined(text: &str) -> Vec<String> {
    let (mut all, mut open) = (Vec::new(), String::new());
    for line in text.lines() {
        let is_comment = line.trim_start().starts_with('#');
        match line.strip_suffix('\\').filter(|_| !is_comment) {
            Some(line) => open.push_str(line),
            None if is_comment => all.push(std::mem::take(&mut open)),
            None => all.push(std::mem::take(&mut open) + line),
        }
    }
    all.push(open);
    all
}

fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| {
        line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    };
    line.match_indices('#').find(begins).and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

fn option(line: &str) -> Result<(), DependencyError> {
    let name = line.split(|c: char| c.is_whitespace() || c == '=').next().unwrap_or(line);
    match name {
        name if WITHOUT_EFFECT.contains(&name) => Ok(()),
        "--requirement" | "--constraint" => Err(DependencyError::OtherFile(plain(line))),
        "--editable" => Err(DependencyError::Directory(plain(line))),
        name if name.starts_with("--") => Err(DependencyError::Option(plain(name))),
        name if name.starts_with("-r") || name.starts_with("-c") => Err(DependencyError::OtherFile(plain(line))),
        name if name.starts_with("-e") => Err(DependencyError::Directory(plain(line))),
        name => Err(DependencyError::Option(plain(name))),
    }
}

fn pin(line: &str) -> Result<Pin, DependencyError> {
    let at = line.find(" --").or_else(|| line.find("\t--")).unwrap_or(line.len());
    let (asked, options) = line.split_at(at);
    let requirement = asked.parse::<Requirement>().map_err(|_| not_read(asked))?;
    let shown = || plain(asked);
    let (name, version) = requirement.pinned().ok_or_else(|| DependencyError::Open(shown()))?;
    let mut hashes = BTreeSet::new();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let hash = match word.strip_prefix("--hash") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        let hash = hash.ok_or_else(|| DependencyError::Option(plain(word)))?;
        if let Some(sha256) = hash.strip_prefix("sha256:") {
            hashes.insert(sha256.parse().map_err(|_| DependencyError::Unread(format!("{} is no hash", plain(hash))))?);
        }
    }
    if hashes.is_empty() {
        return Err(DependencyError::NoChecksum(shown(), WITH_HASHES));
    }
    Ok(Pin {
        name: name.to_owned(),
        version: version.to_owned(),
        marker: requirement.marker().map(str::to_owned),
        hashes,
        is_wheel: false,
    })
}

/// What is no name and version: an address, a path, or nothing that is known.
fn not_read(asked: &str) -> DependencyError {
    let shown = plain(asked.trim());
    let is_path = asked.starts_with(['.', '/']) || asked.contains("://") || asked.starts_with("file:");
    match asked {
        _ if ["git+", "hg+", "svn+", "bzr+"].iter().any(|kind| asked.contains(kind)) => DependencyError::Git(shown),
        _ if is_path || asked.contains('@') => DependencyError::Elsewhere(shown),
        _ => DependencyError::Name(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: &str) -> String {
        format!("--hash=sha256:{}", byte.repeat(32))
    }

    fn one(line: &str) -> Result<Pin, DependencyError> {
        read(line).map(|mut pins| pins.remove(0))
    }

    #[test]
    fn each_line_is_a_version_with_hashes() {
        let text = format!(
            "# by pip-compile\n--index-url https://a.invalid/\n-i x\nB.c[x, y]==1.0 ; python_version < '3.12' \\\n    {} \\\n    {}\n    # via d\n\n\
             a==2 {} # why\na==2 {}\n",
            hash("ab"),
            hash("cd"),
            hash("ab"),
            hash("ab").replace('=', " "),
        );
        let pins = read(&text).unwrap();
        let [b, a] = pins.as_slice() else { panic!("{pins:?}") };
        assert_eq!((b.name.as_str(), b.version.as_str(), b.hashes.len()), ("B.c", "1.0", 2));
        assert_eq!(b.marker.as_deref(), Some("python_version < '3.12'"));
        assert_eq!((a.name.as_str(), a.version.as_str(), a.marker.as_deref(), a.hashes.len()), ("a", "2", None, 1));
        assert_eq!(read("# nothing\n").unwrap(), []);
    }

    #[test]
    fn what_may_be_no_source_archive_is_told_wherever_the_option_stands() {
        let of = |options: &str| {
            let text = format!("{options}\na.b==1 {}\nc==1 {}\n", hash("ab"), hash("ab"));
            read(&text).unwrap().into_iter().map(|pin| pin.is_wheel).collect::<Vec<_>>()
        };
        assert_eq!(of("--pre"), [false, false]);
        assert_eq!(of("--only-binary :all:"), [true, true]);
        assert_eq!(of("--only-binary=A-B,d"), [true, false]);
        assert_eq!(of("--only-binary=:all:\n--only-binary :none:,c"), [false, true]);
        assert!(read(&format!("c==1 {}\n--only-binary=:all:", hash("ab"))).unwrap()[0].is_wheel);
        assert!(matches!(read("--only-binaryx"), Err(DependencyError::Option(_))));
        let two = read("--only-binary :all: --no-binary c");
        assert_eq!(two, Err(DependencyError::Option("--no-binary".into())));
        let many = |n: usize| {
            let names: Vec<String> = (0..n).map(|n| format!("p{n}")).collect();
            read(&format!("--only-binary={}", names.join(",")))
        };
        assert_eq!(many(MAX_PACKAGES), Ok(vec![]));
        assert_eq!(many(MAX_PACKAGES + 1), Err(DependencyError::TooMany));
    }

    #[test]
    fn a_long_marker_is_kept_whole() {
        let marker = format!("python_version < '3.12' and platform_release != '{}'", "x".repeat(400));
        assert_eq!(one(&format!("a==1 ; {marker} {}", hash("ab"))).unwrap().marker, Some(marker));
    }

    #[test]
    fn a_comment_ends_a_line_and_a_fragment_begins_none() {
        let text = format!("a==1 \\\n# via b\n  {}\n", hash("ab"));
        assert!(matches!(read(&text), Err(DependencyError::NoChecksum(..))));
        assert_eq!(without_comment("a#b #c"), "a#b ");
        assert_eq!(without_comment("#c"), "");
    }

    #[test]
    fn what_no_hash_settles_is_refused() {
        let h = hash("ab");
        for none in ["a==1".to_owned(), format!("a==1 {}", h.replace("256", "512"))] {
            assert!(matches!(one(&none), Err(DependencyError::NoChecksum(name, _)) if name == "a==1"), "{none}");
        }
        for open in ["a", "a>=1", "a==1.*", "a==1,<3"] {
            assert!(matches!(one(&format!("{open} {h}")), Err(DependencyError::Open(_))), "{open}");
        }
        for git in ["a @ git+https://a.invalid/a@1", "git+ssh://git@a.invalid/a"] {
            assert!(matches!(one(&format!("{git} {h}")), Err(DependencyError::Git(_))), "{git}");
        }
        for other in ["a @ https://a.invalid/a.whl", "./a", "/a.whl", "https://a.invalid/a.whl"] {
            assert!(matches!(one(&format!("{other} {h}")), Err(DependencyError::Elsewhere(_))), "{other}");
        }
        for directory in ["-e .", "-e.", "--editable=."] {
            assert!(matches!(one(directory), Err(DependencyError::Directory(_))), "{directory}");
        }
        for file in ["-r a.txt", "-ra.txt", "--requirement=a.txt", "-c a.txt", "--constraint a.txt"] {
            assert!(matches!(one(file), Err(DependencyError::OtherFile(_))), "{file}");
        }
        for option in ["--no-binary :all:", "-x", &format!("a==1 {h} --global-option=x")] {
            assert!(matches!(one(option), Err(DependencyError::Option(_))), "{option}");
        }
        assert!(matches!(one("a==1 --hash=sha256:12"), Err(DependencyError::Unread(_))));
        assert!(matches!(one("a==${HOME}"), Err(DependencyError::Name(_))));
    }

    #[test]
    fn the_bound_on_packages_holds_on_both_sides() {
        let of = |count: usize| (0..count).map(|n| format!("p{n}==1 {}\n", hash("ab"))).collect::<String>();
        assert_eq!(read(&of(MAX_PACKAGES)).unwrap().len(), MAX_PACKAGES);
        assert_eq!(read(&of(MAX_PACKAGES + 1)), Err(DependencyError::TooMany));
    }
}
