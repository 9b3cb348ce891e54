// SPDX-License-Identifier: Apache-2.0
//! Keys for emulated processors.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use reprove_attest::evidence::emulated::EmulatedKeys;

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
