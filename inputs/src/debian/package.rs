// SPDX-License-Identifier: Apache-2.0
//! Which source a binary package says that it is of.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::fields::fields;
use crate::InputsError;

/// Which source a package is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OfSource {
    pub(super) source: String,
    pub(super) source_version: String,
}

/// What the package in `path` says.
pub(super) fn control(path: &Path) -> Result<OfSource, InputsError> {
    let doing = "reading a package with dpkg-deb";
    let output = Command::new("dpkg-deb")
        .arg("--field")
        .arg(path)
        .args(["Package", "Version", "Source"])
        .stdin(Stdio::null())
        .output()
        .map_err(no_dpkg)?;
    of_source(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| InputsError::Answer { doing, why: "it names no source".into() })
}

/// There is no dpkg-deb to read packages with.
pub(super) fn no_dpkg(source: io::Error) -> InputsError {
    InputsError::NoProgram { program: "dpkg-deb".into(), source, install: "install dpkg (a Debian machine has it)" }
}

/// Reads the fields of a binary package: `Source` is there where the source has another name or version than it (Debian Policy
/// 5.6.1).
fn of_source(text: &str) -> Option<OfSource> {
    let fields = fields(text);
    let field = |name| fields.get(name).map(String::as_str);
    let (name, version) = (field("Package")?, field("Version")?);
    let (source, source_version) = match field("Source") {
        None => (name, version),
        Some(source) => match source.split_once('(') {
            Some((source, version)) => (source.trim(), version.trim_end_matches(')').trim()),
            None => (source, version),
        },
    };
    super::is_possible(source, source_version)
        .then(|| OfSource { source: source.into(), source_version: source_version.into() })
}

impl OfSource {
    /// The version that the source has once its builder has said on top of the changelog that it is built again, where
    /// `binary` is the version of such a package (`+bN`, a binNMU).
    pub(super) fn built_again(&self, binary: &str) -> Option<String> {
        let again = |version: &str| {
            let at = version.rfind("+b")?;
            let (_, number) = version.split_at_checked(at)?;
            number.get(2..).is_some_and(|n| n.parse::<u32>().is_ok()).then(|| number.to_owned())
        };
        let number = again(binary)?;
        (!self.source_version.ends_with(&number)).then(|| format!("{}{number}", self.source_version))
    }

    /// What `dpkg-source --extract` calls the directory by itself: the name, and the version without epoch and revision.
    pub(super) fn directory(&self) -> String {
        let version = self.source_version.split_once(':').map_or(self.source_version.as_str(), |(_, rest)| rest);
        format!("{}-{}", self.source, version.rsplit_once('-').map_or(version, |(upstream, _)| upstream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_what_the_package_says() {
        let of = |text: &str| of_source(text).map(|of| (of.source, of.source_version));
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(of("Package: hello\nVersion: 2.10-3\n"), pair("hello", "2.10-3"));
        assert_eq!(of("Package: liblzma5\nVersion: 5.4\nSource: xz-utils\n"), pair("xz-utils", "5.4"));
        assert_eq!(of("Package: a1\nVersion: 5.4+b1\nSource: a2 (5.4)\n"), pair("a2", "5.4"));
        assert_eq!(of("Package: hello\n"), None);
        assert_eq!(of("Package: a1\nVersion: 1\nSource: ../x\n"), None);
    }

    #[test]
    fn what_was_built_again_is_told_from_what_has_a_version_of_its_own() {
        let of = |version: &str| OfSource { source: "a1".into(), source_version: version.into() };
        assert_eq!(of("1:5.4-1").built_again("1:5.4-1+b2").as_deref(), Some("1:5.4-1+b2"));
        assert_eq!(of("1.203").built_again("4:12.2.0-3+b1").as_deref(), Some("1.203+b1"));
        assert_eq!(of("1.203").built_again("4:12.2.0-3"), None);
        assert_eq!(of("1.0+b1").built_again("1.0+b1"), None);
        assert_eq!(of("1.0").built_again("1.0+beta"), None);
        assert_eq!(of("1:5.4-1").directory(), "a1-5.4");
        assert_eq!(of("3.0043+nmu1").directory(), "a1-3.0043+nmu1");
        assert_eq!(of("2.0-rc-1-1").directory(), "a1-2.0-rc-1");
    }
}
