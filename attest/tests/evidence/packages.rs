// SPDX-License-Identifier: Apache-2.0
//! The files of packages that Cargo has fetched, read where they lie.

use std::path::PathBuf;
use std::sync::OnceLock;

use cargo_metadata::{Metadata, MetadataCommand};

/// The file `path` of the package `name` with a version that begins with `version`.
#[expect(clippy::disallowed_methods, reason = "a test reads its vectors")]
pub(crate) fn file(name: &str, version: &str, path: &str) -> Vec<u8> {
    std::fs::read(folder(name, version).join(path)).unwrap()
}

/// The folder of the package `name` with a version that begins with `version`.
pub(crate) fn folder(name: &str, version: &str) -> PathBuf {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    let metadata = METADATA.get_or_init(|| {
        let mut command = MetadataCommand::new();
        command.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        command.other_options(["--locked".to_owned()]).exec().unwrap()
    });
    let is_it = |package: &&cargo_metadata::Package| {
        package.name.as_str() == name && package.version.to_string().starts_with(version)
    };
    let package = metadata.packages.iter().find(is_it).unwrap_or_else(|| panic!("{name} {version} is no dependency"));
    package.manifest_path.parent().unwrap().into()
}
