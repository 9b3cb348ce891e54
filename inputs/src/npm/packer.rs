// SPDX-License-Identifier: Apache-2.0
//! Which package manager, on which node, makes a tarball of a form. The rules are of forms and versions alone.
//!
//! Of node only its zlib counts: the one of 11 and before, and again of 20.6 to 20.9 (`FIRST`); that of 12 to 18.18 and
//! 20.0 to 20.5; and the newer one. All versions of npm from 7.10 on pack the same; npm 11 is the first that leaves
//! `prepare` alone when it is told to ignore scripts.

use std::collections::BTreeMap;
use std::fmt;

use super::form::{Effort, Form, FormError, Owner, Times};

/// A package manager and the node that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tools {
    pub(crate) packer: Packer,
    pub(crate) version: &'static str,
    pub(crate) node: &'static str,
}

/// A program that packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packer {
    /// npm 11, which takes a destination.
    Npm,
    /// npm 6 and before, which packs to where it is.
    OldNpm,
    /// pnpm.
    Pnpm,
    /// Yarn 2 and newer.
    Yarn,
}

impl Packer {
    /// Its name, and that of the package which has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Npm | Self::OldNpm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
        }
    }

    /// The package that has it: scope and name.
    pub(crate) fn package(self) -> (Option<&'static str>, &'static str) {
        match self {
            Self::Npm | Self::OldNpm => (None, "npm"),
            Self::Pnpm => (None, "pnpm"),
            Self::Yarn => (Some("@yarnpkg"), "cli-dist"),
        }
    }

    /// What it writes into gzip's byte 9 on Linux.
    pub(crate) fn system(self) -> u8 {
        if self == Self::Npm { 255 } else { 3 }
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} on node {}", self.packer.name(), self.version, self.node)
    }
}

/// The zlib of node 18.19, 20.10, 21 and newer.
const NEWEST: &str = "22.11.0";

/// The tools that make tarballs of this form, the likeliest first; at least one.
pub(crate) fn candidates(form: &Form) -> Result<Vec<Tools>, FormError> {
    let tools = |packer, versions: &[(&'static str, &'static str)]| {
        Ok(versions.iter().map(|&(version, node)| Tools { packer, version, node }).collect())
    };
    let unknown = |why: &str| Err(FormError::Unknown(why.to_owned()));
    match (form.effort, form.times, form.owner) {
        (Effort::Most, Times::Npm, Owner::None) if form.system == 255 => {
            tools(Packer::Npm, &[("11.6.2", NEWEST), ("11.6.2", "20.5.1"), ("11.6.2", "20.9.0")])
        }
        (Effort::Most, ..) => unknown("compressed as far as can be, as npm from 7.10 on does, and with other headers"),
        (Effort::Usual, Times::Npm, Owner::None) => tools(
            Packer::OldNpm,
            &[("6.14.18", "14.21.3"), ("6.14.18", "10.24.1"), ("6.4.1", "10.24.1"), ("5.6.0", "8.17.0")],
        ),
        (Effort::Usual, Times::Own, Owner::None) => tools(Packer::OldNpm, &[("5.6.0", "8.17.0")]),
        (Effort::Usual, Times::Own, Owner::Numbers(..)) => tools(Packer::OldNpm, &[("4.6.1", "6.17.1")]),
        (Effort::Usual, Times::Pnpm, _) => {
            tools(Packer::Pnpm, &[("9.15.9", NEWEST), ("8.15.9", "16.20.2"), ("8.15.9", "20.9.0")])
        }
        (Effort::Usual, Times::Yarn, _) => {
            tools(Packer::Yarn, &[("4.9.4", NEWEST), ("3.8.7", "16.20.2"), ("3.8.7", "20.9.0")])
        }
        (Effort::Usual, Times::Npm | Times::Own, _) => {
            unknown("its files are of several users, or have the times of one npm and the users of another")
        }
    }
}

/// Which permission bits have to be given back to files: by what is left of them in a source that was unpacked.
pub(crate) fn lost_modes(form: &Form) -> Result<BTreeMap<u16, u16>, FormError> {
    let mut lost = BTreeMap::new();
    for mode in &form.modes {
        let left = mode & 0o755 | 0o400;
        if lost.insert(left, *mode).is_some() {
            return Err(FormError::Unknown("permission bits that unpacking does not keep apart".into()));
        }
    }
    lost.retain(|left, mode| left != mode);
    Ok(lost)
}
