// SPDX-License-Identifier: Apache-2.0
//! Environments: the root filesystem that a recipe asks for, and the exact packages that one is made of.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::{Closure, Digest, DigestSet, Image, ImageLock, ImageReference, InputName, PackageUrl, Sha256};

/// The root filesystem that the build sees. In a file it is `"host-usr"`, or a table as [`Debian`], [`Image`] or [`Closure`] has
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// This machine's `/usr`, without `/usr/local`, read-only.
    #[default]
    HostUsr,
    /// Packages of Debian's, and nothing else, read-only.
    Debian(Debian),
    /// Paths of a store as Nix has them, and nothing else, read-only.
    Closure(Closure),
    /// The files of an OCI image, and nothing else, read-only.
    Image(Image),
}

/// Which packages of Debian's an environment is made of: these, what they depend on, and Debian's essential ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Debian {
    /// The release's code name, such as `bookworm`.
    pub debian: String,
    /// The names of packages, each once.
    #[serde(default)]
    pub packages: Vec<String>,
}

impl Debian {
    /// The most packages that may be asked for by name.
    pub const MAX_PACKAGES: usize = 1000;

    /// Whether the release and the packages have names that such can have.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.wrong().is_none()
    }

    /// What can't be, where something can't: the field's name, and why.
    pub(crate) fn wrong(&self) -> Option<(&'static str, String)> {
        let is_release = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let release = &self.debian;
        if !release.starts_with(|c: char| c.is_ascii_lowercase())
            || release.len() > 32
            || !release.chars().all(is_release)
        {
            let why = "must be a release's code name, such as `bookworm`: at most 32 small letters, digits and `-`";
            return Some(("environment.debian", why.into()));
        }
        if self.packages.len() > Self::MAX_PACKAGES {
            return Some(("environment.packages", format!("names more than {} packages", Self::MAX_PACKAGES)));
        }
        let mut named = BTreeSet::new();
        let wrong = self.packages.iter().find(|name| !is_package_name(name) || !named.insert(name.as_str()))?;
        let shown: String = wrong.chars().filter(|c| !c.is_control()).take(80).collect();
        let why = "is not a name of a package of Debian's, or is there twice";
        Some(("environment.packages", format!("has `{shown}`, which {why}")))
    }
}

/// Whether it is a package's name (Debian Policy 5.6.1), of at most 128 bytes.
fn is_package_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c);
    (2..=128).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(ok)
}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::HostUsr => serializer.serialize_str(HOST_USR),
            Self::Debian(debian) => debian.serialize(serializer),
            Self::Closure(closure) => closure.serialize(serializer),
            Self::Image(image) => image.serialize(serializer),
        }
    }
}

const HOST_USR: &str = "host-usr";

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Environment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"host-usr\", or a table with `debian` and `packages`, or one with `image`, or one with `store`",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Environment, E> {
                if text == HOST_USR {
                    Ok(Environment::HostUsr)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Environment, A::Error> {
                let Table { debian, packages, image, store } = Table::deserialize(MapAccessDeserializer::new(map))?;
                match (debian, packages, image, store) {
                    (Some(debian), packages, None, None) => {
                        Ok(Environment::Debian(Debian { debian, packages: packages.unwrap_or_default() }))
                    }
                    (None, None, Some(image), None) => Ok(Environment::Image(Image { image })),
                    (None, None, None, Some(store)) => Ok(Environment::Closure(Closure { store })),
                    _ => Err(A::Error::custom(
                        "an environment has either `debian` and `packages`, or `image`, or `store`",
                    )),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// All that the tables have.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    debian: Option<String>,
    packages: Option<Vec<String>>,
    image: Option<ImageReference>,
    store: Option<String>,
}

/// What `reprove.lock` has: one of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentLock {
    /// Of an environment that is made of Debian's packages.
    Packages(PackageLock),
    /// Of one that is an image.
    Image(Box<ImageLock>),
}

impl EnvironmentLock {
    /// Reads a `reprove.lock`.
    ///
    /// # Errors
    /// See [`LockFileError`].
    pub fn from_toml(text: &str) -> Result<Self, LockFileError> {
        if text.len() > PackageLock::MAX_BYTES {
            return Err(LockFileError::TooLong(text.len()));
        }
        let table: toml::Table = toml::from_str(text)?;
        let asked = table.get("environment").and_then(toml::Value::as_table);
        if !asked.is_some_and(|asked| asked.contains_key("image")) {
            return PackageLock::from_toml(text).map(Self::Packages);
        }
        let lock: ImageLock = toml::from_str(text)?;
        lock.check()?;
        Ok(Self::Image(Box::new(lock)))
    }

    /// It as a `reprove.lock`; the same each time.
    ///
    /// # Errors
    /// Where a number has no place in TOML: none that [`EnvironmentLock::from_toml`] takes.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        match self {
            Self::Packages(lock) => lock.to_toml(),
            Self::Image(lock) => Ok(format!(
                "# Which image the environment is, by digest. Written by `reprove`; keep it with the recipe.\n{}",
                toml::to_string(lock)?
            )),
        }
    }

    /// The digests of the canonical list of all its files.
    #[must_use]
    pub fn tree(&self) -> DigestSet {
        match self {
            Self::Packages(lock) => lock.tree,
            Self::Image(lock) => lock.tree,
        }
    }
}

/// The exact packages that an environment is made of: what `reprove.lock` has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackageLock {
    /// The version of this format: [`PackageLock::VERSION`].
    pub version: u32,
    /// The BLAKE3 and SHA-256 digests of the canonical list of all its files, as whoever made it found them.
    pub tree: DigestSet,
    /// What Debian calls the architecture, such as `amd64`.
    pub architecture: String,
    /// What was asked for.
    pub environment: Debian,
    /// The packages, sorted by name, then by architecture.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// One package of Debian's, by digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture; `all` where it is for every one.
    pub architecture: String,
    /// Of the `.deb`, in bytes.
    pub size: u64,
    /// Of the `.deb`.
    pub blake3: Digest,
    /// The same; it is what the archive's signed index has.
    pub sha256: Sha256,
}

/// Why a text is no `reprove.lock`.
#[derive(Debug, Error)]
pub enum LockFileError {
    /// Not TOML, or not of that shape.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Of the right shape, with a value that can't be.
    #[error("`{0}` {1}")]
    Value(&'static str, String),
    /// Longer than [`PackageLock::MAX_BYTES`].
    #[error("it has {0} bytes; at most {max} are read", max = PackageLock::MAX_BYTES)]
    TooLong(usize),
}

impl PackageLock {
    /// The version of the format.
    pub const VERSION: u32 = 1;
    /// The longest that is read, in bytes.
    pub const MAX_BYTES: usize = 4 << 20;
    /// The most packages.
    pub const MAX_PACKAGES: usize = 10_000;

    /// Reads a `reprove.lock`.
    ///
    /// # Errors
    /// See [`LockFileError`].
    pub fn from_toml(text: &str) -> Result<Self, LockFileError> {
        if text.len() > Self::MAX_BYTES {
            return Err(LockFileError::TooLong(text.len()));
        }
        let lock: Self = toml::from_str(text)?;
        match lock.wrong() {
            Some((field, why)) => Err(LockFileError::Value(field, why)),
            None => Ok(lock),
        }
    }

    /// It as a `reprove.lock`; the same each time.
    ///
    /// # Errors
    /// Where a number has no place in TOML: none that [`PackageLock::from_toml`] takes.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let text = toml::to_string(self)?;
        Ok(format!(
            "# Which packages the environment is made of, by digest. Written by `reprove`; keep it with the recipe.\n{text}"
        ))
    }

    fn wrong(&self) -> Option<(&'static str, String)> {
        if self.version != Self::VERSION {
            return Some(("version", format!("is {}; this reprove reads {}", self.version, Self::VERSION)));
        }
        if !is_architecture(&self.architecture) {
            return Some(("architecture", "is none of Debian's".into()));
        }
        if self.packages.is_empty() || self.packages.len() > Self::MAX_PACKAGES {
            return Some(("package", format!("must be there from 1 to {} times", Self::MAX_PACKAGES)));
        }
        let wrong = self.packages.iter().find(|package| !package.is_possible());
        if let Some(LockedPackage { name, .. }) = wrong {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            return Some(("package", format!("has a name, a version or an architecture that can't be: {shown}")));
        }
        let key = |package: &LockedPackage| (package.name.clone(), package.architecture.clone());
        if !self.packages.is_sorted_by(|a, b| key(a) < key(b)) {
            return Some(("package", "must be sorted by name and architecture, each once".into()));
        }
        self.environment.wrong()
    }
}

impl LockedPackage {
    /// Whether its name, version and architecture are of the signs that those have (Debian Policy 5.6).
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let version = |c: char| c.is_ascii_alphanumeric() || ".+-~:".contains(c);
        is_package_name(&self.name)
            && is_architecture(&self.architecture)
            && self.version.starts_with(|c: char| c.is_ascii_digit())
            && self.version.len() <= 128
            && self.version.chars().all(version)
    }
}

impl LockedPackage {
    /// What it is called among the inputs of a build: as the file in an archive, which leaves an epoch out.
    #[must_use]
    pub fn file_name(&self) -> Option<InputName> {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.name, self.architecture).parse().ok()
    }

    /// Its package URL.
    #[must_use]
    pub fn purl(&self) -> Option<PackageUrl> {
        PackageUrl::debian(&self.name, &self.version, &self.architecture).ok()
    }

    /// The digests of the `.deb`.
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        DigestSet { blake3: self.blake3, sha256: self.sha256 }
    }
}

fn is_architecture(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=32).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian(release: &str, packages: &[&str]) -> Debian {
        Debian { debian: release.into(), packages: packages.iter().map(|&name| name.into()).collect() }
    }

    #[test]
    fn an_environment_is_a_word_or_a_table() {
        #[derive(Debug, Serialize, Deserialize, PartialEq)]
        struct Holder {
            environment: Environment,
        }
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.environment);
        assert_eq!(read("environment = 'host-usr'").unwrap(), Environment::HostUsr);
        let asked = Environment::Debian(debian("bookworm", &["gcc", "make"]));
        assert_eq!(read("environment = { debian = 'bookworm', packages = ['gcc', 'make'] }").unwrap(), asked);
        assert_eq!(read("[environment]\ndebian = 'bookworm'\npackages = ['gcc', 'make']").unwrap(), asked);
        let image = Environment::Image(Image { image: "oci:base:1".parse().unwrap() });
        assert_eq!(read("environment = { image = 'oci:base:1' }").unwrap(), image);
        let two = "{ image = 'oci:a', debian = 'bookworm' }";
        for wrong in
            [two, "{ image = 'a' }", "'host'", "3", "{ packages = [] }", "{ debian = 'x', more = 1 }", "{ debian = 1 }"]
        {
            assert!(read(&format!("environment = {wrong}")).is_err(), "{wrong}");
        }
        let said = read("environment = 'host'").unwrap_err().to_string();
        assert!(said.contains("host-usr") && said.contains("debian"), "{said}");
        for environment in [Environment::HostUsr, asked, image] {
            let json = crate::canonical::to_vec(&environment).unwrap();
            assert_eq!(crate::canonical::from_slice::<Environment>(&json).unwrap(), environment);
        }
    }

    #[test]
    fn what_debian_does_not_call_so_is_refused() {
        assert_eq!(debian("bookworm", &[]).wrong(), None);
        assert_eq!(debian("bookworm", &["g++", "libc6-dev", "7z", &"a".repeat(128)]).wrong(), None);
        for release in ["", "Bookworm", "12", "a b", "../a", "a/b", &"a".repeat(33)] {
            assert_eq!(debian(release, &[]).wrong().unwrap().0, "environment.debian", "{release}");
        }
        assert_eq!(debian(&"a".repeat(32), &[]).wrong(), None);
        for name in ["", "a", "-gcc", "GCC", "gcc=1", "gcc:amd64", "?x", "a b", "a*", &"a".repeat(129)] {
            assert_eq!(debian("bookworm", &[name]).wrong().unwrap().0, "environment.packages", "{name}");
        }
        assert!(debian("bookworm", &["gcc", "gcc"]).wrong().is_some());
        let many = |n: usize| Debian { debian: "x".into(), packages: (0..n).map(|i| format!("p{i}")).collect() };
        assert_eq!(many(Debian::MAX_PACKAGES).wrong(), None);
        assert!(many(Debian::MAX_PACKAGES + 1).wrong().is_some());
    }

    fn locked() -> PackageLock {
        let package = |name: &str, version: &str| LockedPackage {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            size: 1,
            blake3: Digest::of(b"x"),
            sha256: Sha256::of(b"x"),
        };
        PackageLock {
            version: 1,
            tree: DigestSet::of(b"tree"),
            architecture: "amd64".into(),
            environment: debian("bookworm", &["gcc"]),
            packages: vec![package("base-files", "12.4+deb12u1"), package("gcc", "4:12.2.0-3")],
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let text = locked().to_toml().unwrap();
        assert_eq!(PackageLock::from_toml(&text).unwrap(), locked());
        assert!(text.contains("[[package]]\nname = \"gcc\"\nversion = \"4:12.2.0-3\""), "{text}");
    }

    #[test]
    fn a_package_is_called_as_its_file_and_has_a_url() {
        let one = &locked().packages[1];
        assert_eq!(one.file_name().unwrap().as_str(), "gcc_12.2.0-3_amd64.deb");
        assert_eq!(one.purl().unwrap().to_string(), "pkg:deb/debian/gcc@4:12.2.0-3?arch=amd64");
    }

    #[test]
    fn a_lock_that_cannot_be_is_refused() {
        let text = locked().to_toml().unwrap();
        for (from, to) in [
            ("version = 1\n", "version = 2\n"),
            ("\"amd64\"", "\"AMD\""),
            ("name = \"gcc\"", "name = \"../gcc\""),
            ("name = \"gcc\"", "name = \"aaa\""),
            ("name = \"gcc\"", "name = \"base-files\""),
            ("\"4:12.2.0-3\"", "\"v12\""),
            ("\"bookworm\"", "\"Bookworm\""),
            ("size = 1", "size = -1"),
        ] {
            let other = text.replace(from, to);
            assert_ne!(other, text, "{from}");
            assert!(PackageLock::from_toml(&other).is_err(), "{to}");
        }
        let none = PackageLock { packages: Vec::new(), ..locked() };
        assert!(PackageLock::from_toml(&none.to_toml().unwrap()).is_err());
    }

    #[test]
    fn the_bounds_of_a_lock_hold_on_both_sides() {
        let text = locked().to_toml().unwrap();
        let long = |n: usize| PackageLock::from_toml(&format!("{text}#{}", "x".repeat(n - text.len() - 1)));
        assert!(long(PackageLock::MAX_BYTES).is_ok());
        assert!(matches!(long(PackageLock::MAX_BYTES + 1), Err(LockFileError::TooLong(_))));
        let one = locked().packages[0].clone();
        let many = |n: usize| PackageLock {
            packages: (0..n).map(|i| LockedPackage { name: format!("p{i:06}"), ..one.clone() }).collect(),
            ..locked()
        };
        assert_eq!(many(PackageLock::MAX_PACKAGES).wrong(), None);
        assert!(many(PackageLock::MAX_PACKAGES + 1).wrong().is_some());
    }
}
