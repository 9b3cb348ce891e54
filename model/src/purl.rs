// SPDX-License-Identifier: Apache-2.0
//! Package URLs (ECMA-427): how an input is named without naming the registry that served it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::Sha256;

/// A package URL such as `pkg:pypi/idna@3.20`, in its normal form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageUrl {
    text: String,
    kind: String,
    namespace: Option<String>,
    name: String,
    version: Option<String>,
}

/// Why a text is no package URL.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a package URL: {why}; one looks like pkg:pypi/idna@3.20")]
pub struct InvalidPackageUrl {
    text: String,
    why: String,
}

/// The longest package URL, as it is read and in its normal form, in bytes.
const MAX_PURL: usize = 2048;

impl PackageUrl {
    /// The type, lower case: `pypi`, `npm`, `cargo`, `deb`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The namespace, such as an npm scope.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The package's name, in the form that its type calls normal.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, where there is one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The value of a qualifier, where there is one.
    #[must_use]
    pub fn qualifier(&self, key: &str) -> Option<String> {
        let purl = packageurl::PackageUrl::from_str(&self.text).ok()?;
        purl.qualifiers().get(key).map(|value| value.to_string())
    }

    /// A PyPI package's URL; `file_name` tells its artifacts apart (the `file_name` qualifier of the type's definition).
    ///
    /// # Errors
    /// Where the name or version can't be part of a package URL.
    pub fn pypi(name: &str, version: &str, file_name: Option<&str>) -> Result<Self, InvalidPackageUrl> {
        let fail =
            |why: packageurl::Error| InvalidPackageUrl { text: format!("{name}@{version}"), why: why.to_string() };
        let mut purl = packageurl::PackageUrl::new("pypi", name.to_owned()).map_err(fail)?;
        purl.with_version(version.to_owned()).map_err(fail)?;
        if let Some(file_name) = file_name {
            purl.add_qualifier("file_name", file_name.to_owned()).map_err(fail)?;
        }
        purl.to_string().parse()
    }

    /// An npm package's URL; a scope begins with `@`.
    ///
    /// # Errors
    /// Where the scope, the name or the version can't be part of a package URL.
    pub fn npm(scope: Option<&str>, name: &str, version: &str) -> Result<Self, InvalidPackageUrl> {
        let fail =
            |why: packageurl::Error| InvalidPackageUrl { text: format!("{name}@{version}"), why: why.to_string() };
        let mut purl = packageurl::PackageUrl::new("npm", name.to_owned()).map_err(fail)?;
        if let Some(scope) = scope {
            purl.with_namespace(scope.to_owned()).map_err(fail)?;
        }
        purl.with_version(version.to_owned()).map_err(fail)?;
        purl.to_string().parse()
    }
}

impl PackageUrl {
    /// The URL of a binary package of Debian's, for an architecture (the `arch` qualifier of the type's definition).
    ///
    /// # Errors
    /// Where a part can't be one of a package URL.
    pub fn debian(name: &str, version: &str, architecture: &str) -> Result<Self, InvalidPackageUrl> {
        let fail =
            |why: packageurl::Error| InvalidPackageUrl { text: format!("{name}@{version}"), why: why.to_string() };
        let mut purl = packageurl::PackageUrl::new("deb", name.to_owned()).map_err(fail)?;
        purl.with_namespace("debian").map_err(fail)?;
        purl.with_version(version.to_owned()).map_err(fail)?;
        purl.add_qualifier("arch", architecture.to_owned()).map_err(fail)?;
        purl.to_string().parse()
    }
}

impl PackageUrl {
    /// The URL of an OCI image, by the digest of its manifest; of one of its blobs, where that is named: the subpath is the
    /// blob's place in a layout.
    ///
    /// # Errors
    /// Where the name can't be part of a package URL.
    pub fn oci(name: &str, manifest: &Sha256, blob: Option<&Sha256>) -> Result<Self, InvalidPackageUrl> {
        let fail = |why: packageurl::Error| InvalidPackageUrl { text: name.to_owned(), why: why.to_string() };
        let mut purl = packageurl::PackageUrl::new("oci", name.to_owned()).map_err(fail)?;
        purl.with_version(format!("sha256:{manifest}")).map_err(fail)?;
        if let Some(blob) = blob {
            purl.with_subpath(format!("blobs/sha256/{blob}")).map_err(fail)?;
        }
        purl.to_string().parse()
    }
}

impl FromStr for PackageUrl {
    type Err = InvalidPackageUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |why: String| InvalidPackageUrl { text: text.chars().take(200).collect(), why };
        let too_long = || fail(format!("it is longer than {MAX_PURL} bytes"));
        if text.len() > MAX_PURL {
            return Err(too_long());
        }
        let purl = packageurl::PackageUrl::from_str(text).map_err(|e| fail(e.to_string()))?;
        if purl.name().is_empty() {
            return Err(fail("it names no package".into()));
        }
        // What is written has to be read again, as the same: characters that have to be encoded make it longer, and there
        // are odd ones, as `pkg:a././b`, whose normal form has another.
        let normal = purl.to_string();
        if normal.len() > MAX_PURL {
            return Err(too_long());
        }
        if normal != text && !packageurl::PackageUrl::from_str(&normal).is_ok_and(|again| again == purl) {
            return Err(fail("it has no normal form".into()));
        }
        Ok(Self {
            kind: purl.ty().to_owned(),
            namespace: purl.namespace().map(str::to_owned),
            name: purl.name().to_owned(),
            version: purl.version().map(str::to_owned),
            text: normal,
        })
    }
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageUrl({self})")
    }
}

impl Serialize for PackageUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PackageUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purl_has_its_parts_and_one_form() {
        let purl: PackageUrl = "pkg:PyPI/Typing_Extensions@4.16.0".parse().unwrap();
        assert_eq!((purl.kind(), purl.name(), purl.version()), ("pypi", "typing-extensions", Some("4.16.0")));
        assert_eq!(purl.to_string(), "pkg:pypi/typing-extensions@4.16.0");
        assert_eq!(purl.to_string().parse(), Ok(purl));
        let scoped = PackageUrl::npm(Some("@babel"), "core", "7.23.0").unwrap();
        assert_eq!(scoped.to_string(), "pkg:npm/%40babel/core@7.23.0");
        assert_eq!((scoped.namespace(), scoped.name()), (Some("@babel"), "core"));
        assert_eq!(scoped.to_string().parse(), Ok(scoped));
    }

    #[test]
    fn what_is_no_purl_is_refused() {
        for bad in ["", "idna", "pypi/idna@1", "pkg:pypi/", "pkg:", "https://idna"] {
            assert!(bad.parse::<PackageUrl>().is_err(), "{bad}");
        }
        assert!("pkg:a././b".parse::<PackageUrl>().is_err());
        let long = |n: usize| format!("pkg:pypi/{}", "a".repeat(n - 9)).parse::<PackageUrl>();
        assert!(long(MAX_PURL).is_ok());
        assert!(long(MAX_PURL + 1).is_err());
        let encoded = |n: usize| format!("pkg:pypi/{}", "{".repeat(n)).parse::<PackageUrl>();
        assert!(encoded((MAX_PURL - 9) / 3).is_ok());
        assert!(encoded((MAX_PURL - 9) / 3 + 1).is_err());
    }
}
