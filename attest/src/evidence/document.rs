// SPDX-License-Identifier: Apache-2.0
//! Evidence as a proof holds it: what a guest had the processor say at the beginning and at the end of one build, or what
//! somebody else says of it, and all that is needed to judge that without a network. `docs/evidence.md` has the format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{Digest, DigestSet, Sha256};
use serde::{Deserialize, Serialize};

use super::snp::{Firmware, Report};
use super::{Certificate, EMULATED, RevocationList, Sha384, ccf, ear, nitro, tdx};
use crate::{PAYLOAD_TYPE, pae};

/// What a verifier asks to have in evidence, so that it can't be older than the question: 32 bytes, in hexadecimal.
pub type Nonce = Sha256;

/// Evidence for the provenance of one build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// SHA-256 of the payload of the provenance that it is for.
    pub payload: Sha256,
    /// What the verifier asked to have in it.
    pub nonce: Nonce,
    /// What the guest was given to do: there for reports of SEV-SNP and TDX, and for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Dispatch>,
    /// What was said, and who vouches for it.
    pub report: Reports,
}

/// What a guest was given to do: bound by its first report, before anything of the build ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dispatch {
    /// Which build it is: BLAKE3 of the job's image, which is also on the guest's measured command line.
    pub build: Digest,
    /// Of the canonical JSON of the lock.
    pub lock: DigestSet,
    /// Of the canonical JSON of the recipe.
    pub recipe: DigestSet,
}

/// What a processor said of a guest at the beginning and at the end, or what was said of a whole build by something that ran
/// it in its own way. Binary values are in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Reports {
    /// AMD SEV-SNP, or what is emulated of it.
    SevSnp {
        /// How the guest was started, as far as it is measured and not in the provenance.
        started: Started,
        /// The report at dispatch: it binds `dispatch`.
        start: String,
        /// The report at the end: it binds the provenance.
        end: String,
        /// The certificate of the key that signed them, in DER.
        key: String,
        /// That of its signer.
        intermediate: String,
        /// That of the root.
        root: String,
        /// What the root took back, in DER.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revoked: Option<String>,
    },
    /// Intel TDX, or what is emulated of it.
    Tdx {
        /// What the host gave the guest, as far as it is measured and nobody can know it before.
        given: Given,
        /// The quote at dispatch: it binds `dispatch`.
        start: String,
        /// The quote at the end: it binds the provenance.
        end: String,
        /// What Intel says of the platform: see [`tdx::verify`].
        collateral: String,
        /// The certificate of the root, in DER.
        root: String,
    },
    /// AWS Nitro, or what is emulated of it: all of the build was in one enclave.
    Nitro {
        /// The attestation document, which binds the provenance: see [`nitro::verify`].
        document: String,
        /// The certificate of the root, in DER.
        root: String,
    },
    /// Confidential Containers: a verifier's word.
    Ear {
        /// The token, which binds the provenance, as it is written: see [`ear::verify`].
        token: String,
    },
    /// The Confidential Consortium Framework: a service's word that it has taken the provenance into its ledger.
    Ccf {
        /// The receipt, whose claims are of the provenance, as it is written: see [`ccf::verify`].
        receipt: String,
    },
}

/// What a host gave a guest under TDX, by the digests that the firmware has measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Given {
    /// Of the TD HOB: the memory that there is.
    pub memory: Sha384,
    /// Of what QEMU makes for its machines; not there where the machine had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<GivenTables>,
}

/// What QEMU makes for its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenTables {
    /// Of `etc/table-loader`.
    pub loader: Sha384,
    /// Of `etc/acpi/rsdp`.
    pub rsdp: Sha384,
    /// Of `etc/acpi/tables`.
    pub tables: Sha384,
    /// Of the tables of SMBIOS.
    pub smbios: Sha384,
}

/// How a guest was started, beside its kernel, initrd and command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Started {
    /// What ran first.
    pub firmware: Firmware,
    /// How many processors it had.
    pub processors: u32,
    /// Of which type: EAX of CPUID function 1.
    pub signature: u32,
    /// `SEV_FEATURES`.
    pub features: u64,
}

impl Evidence {
    /// SHA-256 of what it gives as the root's certificate, which nobody has verified; `None` where that can't be read, or
    /// there is none.
    #[must_use]
    pub fn stated_root(&self) -> Option<Sha256> {
        decoded(self.report.root()?).map(|der| Sha256::of(&der))
    }

    /// Whether it gives a root at all: else it is the word of somebody whom the auditor names.
    #[must_use]
    pub fn has_root(&self) -> bool {
        self.report.root().is_some()
    }

    /// Whether one of the certificates that it gives says in its name that it is an emulation's.
    #[must_use]
    pub fn is_marked_emulated(&self) -> bool {
        let has_mark = |der: Vec<u8>| der.windows(EMULATED.len()).any(|window| window == EMULATED.as_bytes());
        self.report.certificates().into_iter().any(|text| decoded(text).is_some_and(has_mark))
    }

    /// Whether each of its parts is as short as what it stands for can be.
    pub(crate) fn is_bounded(&self) -> bool {
        let within = |text: &str, bytes: usize| text.len() <= bytes.div_ceil(3) * 4;
        let is_said = match &self.report {
            Reports::SevSnp { start, end, revoked, .. } => {
                let is_kept = revoked.as_deref().is_none_or(|text| within(text, RevocationList::MAX_BYTES));
                is_kept && [start, end].into_iter().all(|text| within(text, Report::BYTES))
            }
            Reports::Tdx { start, end, collateral, .. } => {
                within(collateral, tdx::MAX_COLLATERAL)
                    && [start, end].into_iter().all(|text| within(text, tdx::MAX_QUOTE))
            }
            Reports::Nitro { document, .. } => within(document, nitro::MAX_DOCUMENT),
            Reports::Ear { token } => token.len() <= ear::MAX_TOKEN,
            Reports::Ccf { receipt } => receipt.len() <= ccf::MAX_RECEIPT,
        };
        let mut certificates = self.report.certificates().into_iter();
        is_said && certificates.all(|text| within(text, Certificate::MAX_BYTES))
    }

    /// The kind of machine that it is of, or of what is said.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.report {
            Reports::SevSnp { .. } => "sev-snp",
            Reports::Tdx { .. } => "tdx",
            Reports::Nitro { .. } => "nitro",
            Reports::Ear { .. } => "ear",
            Reports::Ccf { .. } => "ccf",
        }
    }

    /// What a comparison names it by: the digests of its canonical JSON.
    ///
    /// # Errors
    /// [`CanonicalError`] where it is too long.
    pub fn digest(&self) -> Result<DigestSet, CanonicalError> {
        Ok(DigestSet::of(&canonical::to_vec(self)?))
    }
}

impl Reports {
    fn root(&self) -> Option<&str> {
        match self {
            Self::SevSnp { root, .. } | Self::Tdx { root, .. } | Self::Nitro { root, .. } => Some(root),
            Self::Ear { .. } | Self::Ccf { .. } => None,
        }
    }

    /// The certificates that are not in the reports themselves.
    fn certificates(&self) -> Vec<&str> {
        match self {
            Self::SevSnp { key, intermediate, root, .. } => vec![key, intermediate, root],
            Self::Tdx { root, .. } | Self::Nitro { root, .. } => vec![root],
            Self::Ear { .. } | Self::Ccf { .. } => Vec::new(),
        }
    }
}

impl Dispatch {
    /// The `payloadType` under which it is bound.
    pub const PAYLOAD_TYPE: &str = "application/vnd.reprove.dispatch.v0.1+json";

    /// What the report at dispatch has to have in it.
    ///
    /// # Errors
    /// None that is known: it has digests alone.
    pub fn report_data(&self, nonce: &Nonce) -> Result<[u8; 64], CanonicalError> {
        Ok(bound(Self::PAYLOAD_TYPE, &canonical::to_vec(self)?, nonce))
    }
}

/// What the report at the end has to have in it: SHA-256 over the provenance's payload as DSSE would have it signed, which
/// says where it ends and what it is, and the nonce; then zeros.
#[must_use]
pub fn report_data(provenance: &[u8], nonce: &Nonce) -> [u8; 64] {
    bound(PAYLOAD_TYPE, provenance, nonce)
}

/// The part of [`report_data`] that is a digest: what stands where there is no place for zeros behind it.
#[must_use]
pub fn bound_digest(provenance: &[u8], nonce: &Nonce) -> [u8; 32] {
    digest(PAYLOAD_TYPE, provenance, nonce)
}

fn bound(payload_type: &str, payload: &[u8], nonce: &Nonce) -> [u8; 64] {
    let mut data = [0; 64];
    let (first, _) = data.split_at_mut(32);
    first.copy_from_slice(&digest(payload_type, payload, nonce));
    data
}

fn digest(payload_type: &str, payload: &[u8], nonce: &Nonce) -> [u8; 32] {
    let mut bytes = pae(payload_type, payload);
    bytes.extend_from_slice(nonce.as_bytes());
    *Sha256::of(&bytes).as_bytes()
}

/// Bytes as they stand in evidence.
#[must_use]
pub fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that stand there; `None` where that is not base64.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
