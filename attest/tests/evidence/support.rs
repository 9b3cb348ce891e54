// SPDX-License-Identifier: Apache-2.0
//! Where the real reports are, and keys for emulated ones.

use std::path::PathBuf;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use cargo_metadata::MetadataCommand;
use jiff::Timestamp;
use reprove_attest::evidence::emulated::EmulatedKeys;

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

/// Keys of an emulation. A real one has longer ones; these are made in less time.
pub(crate) struct Keys([Vec<u8>; 3]);

impl Keys {
    pub(crate) fn new() -> Self {
        let rsa = || KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap().as_ref().to_vec();
        let chip = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self([rsa(), rsa(), chip.to_pkcs8v1().unwrap().as_ref().to_vec()])
    }

    pub(crate) fn borrowed(&self) -> EmulatedKeys<'_> {
        let [root, signer, chip] = &self.0;
        EmulatedKeys { root, signer, chip }
    }
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(Keys::new);
