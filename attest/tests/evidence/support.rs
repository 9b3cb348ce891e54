// SPDX-License-Identifier: Apache-2.0
//! Where the real reports are, and keys for emulated ones.

use std::path::PathBuf;

use cargo_metadata::MetadataCommand;
use jiff::Timestamp;

/// The folder of a package that the tests depend on.
pub(crate) fn package(name: &str) -> PathBuf {
    let mut command = MetadataCommand::new();
    command.other_options(["--locked".to_owned(), "--offline".to_owned()]);
    let metadata = command.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).exec().unwrap();
    let package = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
    package.manifest_path.parent().unwrap().into()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
