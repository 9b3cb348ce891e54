// SPDX-License-Identifier: Apache-2.0
//! What a builder wrote down of how it built a package: a `.buildinfo` file (deb-buildinfo(5)).

use std::collections::BTreeMap;

use reprove_model::{PackageLock, Sha256};
use thiserror::Error;

use super::fields::fields;
use super::lines::Offered;
use super::{is_possible, is_possible_for};

/// What one says: of which source, to which files, and with which packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    source: String,
    version: String,
    /// By name: what each file's digest is.
    files: BTreeMap<String, Sha256>,
    /// Sorted by name.
    installed: Vec<Installed>,
    changes: Option<String>,
    options: BTreeMap<String, String>,
}

/// A package that there was, of which architecture where that is said, and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Installed {
    pub(super) name: String,
    architecture: Option<String>,
    pub(super) version: String,
}

/// Why a `.buildinfo` file is of no use.
#[derive(Debug, Error)]
pub enum BuildInfoError {
    /// It is larger than [`BuildInfo::MAX_BYTES`].
    #[error("the .buildinfo file is larger than {} MiB; {GIVE}", BuildInfo::MAX_BYTES >> 20)]
    TooLarge,
    /// It is no text.
    #[error("the .buildinfo file is no text; {GIVE}")]
    NotText,
    /// A field is not there, or is not what it should be.
    #[error("the .buildinfo file has no field {0} as deb-buildinfo(5) describes it; {GIVE}")]
    Field(&'static str),
    /// It names more packages than an environment can have.
    #[error("the .buildinfo file names {0} packages; an environment can have {most}; {GIVE}", most = PackageLock::MAX_PACKAGES)]
    TooMany(usize),
    /// It is of other files.
    #[error(
        "the .buildinfo file is of other files: {0} is not among those that it names; give the one of the build that made it"
    )]
    NotNamed(String),
    /// It is of another build of the same version.
    #[error(
        "the .buildinfo file is of another build: its {name} has the SHA-256 digest {stated}, and what the archive has {there}; {GIVE}"
    )]
    Other {
        /// The file.
        name: String,
        /// By the `.buildinfo` file.
        stated: Sha256,
        /// Of what was published.
        there: Sha256,
    },
    /// The archive does not have what the build had.
    #[error(
        "of the {of} packages that it was built with, apt has {} no longer: {}; set apt up for an archive of that day, or leave out --buildinfo to build with what there is now",
        gone.len(),
        shown(gone)
    )]
    Gone {
        /// How many there were.
        of: usize,
        /// What is not there, as `NAME=VERSION`.
        gone: Vec<String>,
    },
}

/// What to do where one is of no use.
const GIVE: &str = "give the one that the builder wrote, or leave out --buildinfo";

/// A list that may be long.
fn shown(names: &[String]) -> String {
    const MOST: usize = 8;
    let more = names.len().saturating_sub(MOST);
    let first = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

impl BuildInfo {
    /// The most bytes of one.
    pub const MAX_BYTES: usize = 4 << 20;

    /// Reads one, with or without a signature around it, which is not looked at. It has to name the digest of what was
    /// published, and it may be from whoever published: it says which packages there are and what is on top of the changelog,
    /// and no more.
    ///
    /// # Errors
    /// See [`BuildInfoError`].
    pub fn read(bytes: &[u8]) -> Result<Self, BuildInfoError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(BuildInfoError::TooLarge);
        }
        let text = str::from_utf8(bytes).map_err(|_| BuildInfoError::NotText)?;
        let fields = fields(unsigned(text));
        let field = |name: &'static str| fields.get(name).map(String::as_str).ok_or(BuildInfoError::Field(name));
        if !field("Format")?.starts_with("1.") {
            return Err(BuildInfoError::Field("Format"));
        }
        let source = field("Source")?.split(' ').next().unwrap_or_default().to_owned();
        let version = field("Version")?.to_owned();
        if !is_possible(&source, &version) {
            return Err(BuildInfoError::Field("Source"));
        }
        let files = files(field("Checksums-Sha256")?).ok_or(BuildInfoError::Field("Checksums-Sha256"))?;
        let installed = field("Installed-Build-Depends")?;
        let installed = self::installed(installed).ok_or(BuildInfoError::Field("Installed-Build-Depends"))?;
        if installed.len() > PackageLock::MAX_PACKAGES {
            return Err(BuildInfoError::TooMany(installed.len()));
        }
        let changes = fields.get("Binary-Only-Changes").map(|text| format!("{}\n", text.trim_start_matches('\n')));
        let options = fields.get("Environment").map(|text| options(text)).unwrap_or_default();
        Ok(Self { source, version, files, installed, changes, options })
    }

    /// Fails where it is not of this file.
    pub(super) fn is_of(&self, name: &str, digest: Sha256) -> Result<(), BuildInfoError> {
        match self.files.get(name) {
            None => Err(BuildInfoError::NotNamed(name.to_owned())),
            Some(stated) if *stated != digest => {
                Err(BuildInfoError::Other { name: name.to_owned(), stated: *stated, there: digest })
            }
            Some(_) => Ok(()),
        }
    }

    /// The packages that there were.
    pub(super) fn installed(&self) -> &[Installed] {
        &self.installed
    }

    /// What the builder put on top of the changelog, where the source was not changed.
    pub(super) fn changes(&self, of: super::again::Versions<'_>) -> Option<String> {
        self.changes.as_deref().and_then(|text| super::again::first(text, of))
    }

    /// The variables that say what is built, and how.
    pub(super) fn options(&self) -> &BTreeMap<String, String> {
        &self.options
    }
}

impl Installed {
    /// Whether what an archive offers is it. One without an architecture is of this machine's, or of every one.
    pub(super) fn is(&self, offered: &Offered, native: &str) -> bool {
        let is_of = |wanted: &str| offered.architecture == wanted;
        let fits = self.architecture.as_deref().map_or_else(|| is_of(native) || is_of("all"), is_of);
        fits && offered.name == self.name && offered.version == self.version
    }

    /// How apt is asked for it, and for no other.
    pub(super) fn spec(&self) -> String {
        match &self.architecture {
            None => format!("{}={}", self.name, self.version),
            Some(architecture) => format!("{}:{architecture}={}", self.name, self.version),
        }
    }
}

/// What is within a signature (RFC 9580, 7).
fn unsigned(text: &str) -> &str {
    let Some(signed) = text.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----") else { return text };
    let body = signed.split_once("\n\n").map_or("", |(_, body)| body);
    body.split_once("\n-----BEGIN PGP SIGNATURE-----").map_or(body, |(body, _)| body)
}

/// Lines of a digest, a size in bytes and a name.
fn files(text: &str) -> Option<BTreeMap<String, Sha256>> {
    let one = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (digest, size, name) = (words.next()?, words.next()?, words.next()?);
        size.parse::<u64>().ok()?;
        words.next().is_none().then_some((name.to_owned(), digest.parse().ok()?))
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(one).collect()
}

/// Packages as `NAME (= VERSION)`, with commas between them; the name may have an architecture.
fn installed(text: &str) -> Option<Vec<Installed>> {
    let one = |text: &str| {
        let (named, version) = text.strip_suffix(')')?.split_once(" (= ")?;
        let (name, architecture) = named.split_once(':').map_or((named, None), |(name, of)| (name, Some(of)));
        is_possible_for(name, version, architecture.unwrap_or("all")).then(|| Installed {
            name: name.into(),
            architecture: architecture.map(str::to_owned),
            version: version.into(),
        })
    };
    let named = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let mut packages = named.map(one).collect::<Option<Vec<_>>>()?;
    packages.sort();
    packages.dedup();
    (!packages.is_empty()).then_some(packages)
}

/// Words that say which parts of a package are built, and that can have nothing else run or compiled: what a builder writes
/// down comes from whoever published, and may not say how.
const HARMLESS: [&str; 4] = ["noautodbgsym", "nocheck", "nodoc", "nostrip"];

/// Of `NAME="VALUE"` lines, `DEB_BUILD_OPTIONS` and `DEB_BUILD_PROFILES`, with those of their words that are harmless.
fn options(text: &str) -> BTreeMap<String, String> {
    let one = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        let words = value.split_ascii_whitespace().filter(|word| HARMLESS.contains(word));
        let value = words.collect::<Vec<_>>().join(" ");
        let is_known = matches!(name, "DEB_BUILD_OPTIONS" | "DEB_BUILD_PROFILES");
        (is_known && !value.is_empty()).then(|| (name.to_owned(), value))
    };
    text.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::again::Versions;
    use super::*;

    fn text(packages: &str) -> String {
        format!(
            "Format: 1.0\nSource: bc (1.07-3)\nBinary: bc dc\nArchitecture: amd64\nVersion: 1.07-3+b1\n\
             Binary-Only-Changes:\n bc (1.07-3+b1) sid; urgency=low, binary-only=yes\n .\n   * Rebuild\n .\n  -- A B <c@d>  Sun\n\
             Checksums-Sha256:\n {} 109 bc_1.07-3+b1_amd64.deb\nBuild-Origin: Debian\nInstalled-Build-Depends:\n{packages}\n\
             Environment:\n DEB_BUILD_OPTIONS=\"noautodbgsym parallel=4\"\n DEB_BUILD_PROFILES=\"nodoc x\"\n DEB_CFLAGS_APPEND=\"-include x\"\n DEB_X=\"$(id)\"\n",
            Sha256::of(b"deb")
        )
    }

    const PACKAGES: &str = " autoconf (= 2.71-3),\n gcc:amd64 (= 4:12.2.0-3)";

    #[test]
    fn it_says_of_what_with_what_and_how() {
        let plain = text(PACKAGES);
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{plain}\n-----BEGIN PGP SIGNATURE-----\n\nxx\n-----END PGP SIGNATURE-----\n"
        );
        for text in [&plain, &signed] {
            let read = BuildInfo::read(text.as_bytes()).unwrap();
            assert_eq!((read.source.as_str(), read.version.as_str()), ("bc", "1.07-3+b1"));
            let specs: Vec<String> = read.installed().iter().map(Installed::spec).collect();
            assert_eq!(specs, ["autoconf=2.71-3", "gcc:amd64=4:12.2.0-3"]);
            // Nothing of it can have anything else compiled or run.
            let options = [("DEB_BUILD_OPTIONS", "noautodbgsym"), ("DEB_BUILD_PROFILES", "nodoc")];
            assert_eq!(read.options(), &options.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
            let changes = read.changes(Versions { source: "bc", binary: "1.07-3+b1" }).unwrap();
            assert!(changes.ends_with("\n\n  * Rebuild\n\n -- A B <c@d>  Sun\n\n"), "{changes}");
            assert_eq!(read.changes(Versions { source: "bc", binary: "1.07-3+b2" }), None);
        }
    }

    #[test]
    fn what_apt_has_is_it_only_in_its_architecture() {
        let read = BuildInfo::read(text(" gcc (= 1),\n libc6:i386 (= 1)").as_bytes()).unwrap();
        let [gcc, libc] = read.installed() else { panic!() };
        let is = |package: &Installed, name: &str, version: &str, architecture: &str| {
            let sha256 = Sha256::of(b"");
            let [name, version, architecture] = [name, version, architecture].map(str::to_owned);
            package.is(&Offered { name, version, architecture, size: 0, sha256 }, "amd64")
        };
        assert!(is(gcc, "gcc", "1", "amd64") && is(gcc, "gcc", "1", "all") && is(libc, "libc6", "1", "i386"));
        assert!(!is(gcc, "gcc", "1", "i386") && !is(gcc, "gcc", "2", "amd64") && !is(gcc, "g++", "1", "amd64"));
        assert!(!is(libc, "libc6", "1", "amd64") && !is(libc, "libc6", "1", "all"));
    }

    #[test]
    fn it_is_of_the_files_that_it_names() {
        let read = BuildInfo::read(text(PACKAGES).as_bytes()).unwrap();
        read.is_of("bc_1.07-3+b1_amd64.deb", Sha256::of(b"deb")).unwrap();
        let other = read.is_of("bc_1.07-3+b1_amd64.deb", Sha256::of(b"another")).unwrap_err();
        assert!(matches!(other, BuildInfoError::Other { .. }), "{other}");
        let unnamed = read.is_of("dc_1.07-3+b1_amd64.deb", Sha256::of(b"deb")).unwrap_err();
        assert!(matches!(unnamed, BuildInfoError::NotNamed(_)), "{unnamed}");
    }

    #[test]
    fn what_is_none_is_refused() {
        let field = |text: &str| match BuildInfo::read(text.as_bytes()) {
            Err(BuildInfoError::Field(name)) => name,
            other => panic!("{other:?}"),
        };
        let whole = text(PACKAGES);
        assert_eq!(field(""), "Format");
        assert_eq!(field(&whole.replace("1.0\n", "2.0\n")), "Format");
        assert_eq!(field(&whole.replace("Source: bc", "Source: ../bc")), "Source");
        assert_eq!(field(&whole.replace(" 109 ", " many ")), "Checksums-Sha256");
        for packages in ["", " gcc", " gcc (= v1)", " gcc (>= 1)", " -o=x (= 1)", " gcc:A (= 1)", " gcc (= 1) x"] {
            assert_eq!(field(&text(packages)), "Installed-Build-Depends", "{packages}");
        }
        assert!(matches!(BuildInfo::read(b"\xff"), Err(BuildInfoError::NotText)));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let many = |n: usize| (0..n).map(|i| format!(" p{i} (= 1),\n")).collect::<String>();
        assert!(BuildInfo::read(text(&many(PackageLock::MAX_PACKAGES)).as_bytes()).is_ok());
        let more = BuildInfo::read(text(&many(PackageLock::MAX_PACKAGES + 1)).as_bytes());
        assert!(matches!(more, Err(BuildInfoError::TooMany(_))));
        let of = |bytes: usize| format!("{0}X: {1}\n", text(PACKAGES), "x".repeat(bytes - text(PACKAGES).len() - 4));
        assert!(BuildInfo::read(of(BuildInfo::MAX_BYTES).as_bytes()).is_ok());
        assert!(matches!(BuildInfo::read(of(BuildInfo::MAX_BYTES + 1).as_bytes()), Err(BuildInfoError::TooLarge)));
    }
}
