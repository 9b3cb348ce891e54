// SPDX-License-Identifier: Apache-2.0
//! Why evidence proves nothing of a build.

use std::collections::BTreeMap;

use reprove_model::Sha256;
use thiserror::Error;

use crate::evidence::ccf::CcfError;
use crate::evidence::ear::EarError;
use crate::evidence::nitro::NitroError;
use crate::evidence::snp::{LaunchError, SnpError};
use crate::evidence::tdx::TdxError;
use crate::evidence::{EmulatedRootError, Sha384, TeeRoot};

/// Why evidence proves nothing of a build.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// It is for another provenance.
    #[error("it is for another provenance")]
    OtherProvenance,
    /// It says that something else was to be built.
    #[error("what the guest was given to do has another {0} than the provenance")]
    OtherJob(&'static str),
    /// A dispatch where there can be none, or none where there has to be one.
    #[error("it {0} what a guest was given to do, as evidence of its kind can't")]
    Dispatch(&'static str),
    /// Something in it is not base64.
    #[error("its {0} is not base64")]
    Base64(&'static str),
    /// A report that does not verify.
    #[error("the report at {at} does not hold: {why}")]
    Snp {
        /// Which.
        at: &'static str,
        /// Why.
        why: SnpError,
    },
    /// A quote that does not verify.
    #[error("the quote at {at} does not hold: {why}")]
    Tdx {
        /// Which.
        at: &'static str,
        /// Why.
        why: Box<TdxError>,
    },
    /// A document that does not verify.
    #[error("the attestation document does not hold: {0}")]
    Nitro(#[from] NitroError),
    /// A token that does not verify.
    #[error("the token does not hold: {0}")]
    Ear(#[from] EarError),
    /// A receipt that does not verify.
    #[error("the receipt does not hold: {0}")]
    Ccf(#[from] CcfError),
    /// No service.
    #[error("it is a service's word, and the trust file names no [[service]]")]
    NoService,
    /// No verifier.
    #[error("it is a verifier's word, and the trust file names no [[verifier]]")]
    NoVerifier,
    /// The root is none that is trusted.
    #[error("it ends at a root that the trust file does not name: its certificate has the SHA-256 {0}")]
    Root(Sha256),
    /// The root is none of an emulation.
    #[error("it ends at a root that no emulation has: {0}")]
    EmulatedRoot(#[from] EmulatedRootError),
    /// A report that binds something else.
    #[error("the report at {0} is for something else: it binds other data")]
    OtherData(&'static str),
    /// Two machines.
    #[error("the two reports are of two runs of a guest, or of two machines")]
    TwoMachines,
    /// The guest is one that the auditor does not know.
    #[error(
        "the guest is none that the trust file names: it has the firmware {firmware}, the kernel {kernel}, and the initrd {initrd}"
    )]
    UnknownGuest {
        /// See [`super::ReferenceGuest::firmware`].
        firmware: Sha256,
        /// Of its kernel's file.
        kernel: Sha256,
        /// Of its initrd's file.
        initrd: Sha256,
    },
    /// The domain is one that the auditor does not know.
    #[error(transparent)]
    UnknownDomain(Box<UnknownDomain>),
    /// The enclave is one that the auditor does not know.
    #[error(transparent)]
    UnknownEnclave(Box<UnknownEnclave>),
    /// No measurement follows from what is stated.
    #[error("what the guest was started from can't be measured: {0}")]
    Launch(#[from] LaunchError),
    /// The measurement of the firmware can't be named.
    #[error("what the firmware puts into memory can't be written down")]
    Firmware,
    /// Something else was started.
    #[error(
        "the processor measured {found} as {what}, and firmware, kernel, initrd and command line as stated give {expected}: \
         something else ran"
    )]
    Measurement {
        /// Which measurement.
        what: &'static str,
        /// By the report.
        found: Sha384,
        /// By what is stated.
        expected: Sha384,
    },
    /// Something of its start that no guest of ours has.
    #[error("the guest was started with {0}, as no guest that is known is")]
    Start(&'static str),
    /// The machine had another number of processors than is stated.
    #[error("the guest was measured with {measured} processors, and the provenance says {stated}")]
    Processors {
        /// By the evidence.
        measured: u32,
        /// By the provenance.
        stated: u32,
    },
    /// Evidence of another kind of machine.
    #[error("the provenance says that the isolation was {stated}, and the evidence is of {kind}")]
    Kind {
        /// By the provenance.
        stated: &'static str,
        /// Of what the evidence is.
        kind: &'static str,
    },
    /// An emulation that says that it is hardware, or the other way round.
    #[error("the provenance says that the isolation was {stated}, and the evidence is below {root}")]
    Class {
        /// By the provenance.
        stated: &'static str,
        /// By the evidence.
        root: TeeRoot,
    },
}

/// A domain that the auditor does not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the guest is none that the trust file names for TDX: it has the kernel {kernel} and the initrd {initrd}, and the processor \
     measured MRTD {mrtd} and RTMR1 {rtmr1}"
)]
pub struct UnknownDomain {
    /// Of its kernel's file, by the provenance.
    pub kernel: Sha256,
    /// Of its initrd's file, by the provenance.
    pub initrd: Sha256,
    /// By the quote.
    pub mrtd: Sha384,
    /// By the quote.
    pub rtmr1: Sha384,
}

/// An enclave that the auditor does not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the enclave is none that the trust file names: it measured {}", named(.0))]
pub struct UnknownEnclave(pub BTreeMap<u8, Sha384>);

fn named(registers: &BTreeMap<u8, Sha384>) -> String {
    let named = registers.iter().map(|(number, register)| format!("PCR{number} {register}"));
    named.collect::<Vec<_>>().join(", ")
}
