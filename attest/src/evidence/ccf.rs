// SPDX-License-Identifier: Apache-2.0
//! Receipts of the Confidential Consortium Framework: that a service has something in its ledger, by the word of one of its
//! nodes, whom the service's certificate endorses. Not a processor's word but a service's, and worth what it is: one that
//! the auditor names.
//!
//! ```text
//! service's certificate ─▶ node's certificate ─▶ root of the ledger's Merkle tree ─▶ leaf: write set, evidence, claims
//! ```
//!
//! CCF, "Receipts" and "Verifying transactions". `docs/evidence.md` says what is asked.

mod certificate;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reprove_model::Sha256;
use serde::Deserialize;
use thiserror::Error;

use certificate::Link;

/// The longest receipt, in bytes.
pub const MAX_RECEIPT: usize = 64 << 10;
/// The longest certificate in PEM, in bytes.
pub const MAX_CERTIFICATE: usize = 8 << 10;
/// The most steps from a leaf to the root: as many as there are bits in the number of a transaction.
pub const MAX_PROOF: usize = 64;
/// The most endorsements of earlier identities of a service.
pub const MAX_ENDORSEMENTS: usize = 8;
/// The longest evidence of a commit, in bytes.
pub const MAX_COMMIT_EVIDENCE: usize = 256;

/// A service that an auditor names, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CcfService {
    der: Vec<u8>,
    is_emulated: bool,
}

impl CcfService {
    /// Reads the certificate in PEM, which signs itself, with a key of P-256 or P-384.
    ///
    /// # Errors
    /// [`CcfError::Certificate`].
    pub fn from_pem(pem: &str) -> Result<Self, CcfError> {
        let link = Link::from_pem("the service's certificate", pem)?;
        link.is_authority(0)?;
        link.is_issued_by(&link)?;
        Ok(Self { is_emulated: link.is_marked(), der: link.der().to_vec() })
    }

    /// SHA-256 of the certificate in DER.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        Sha256::of(&self.der)
    }

    /// Whether its name says that it is an emulation's.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.is_emulated
    }
}

/// A receipt that was verified: nothing but [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    transaction: String,
    node: Sha256,
    root: Sha256,
    holds_until: Timestamp,
}

impl VerifiedReceipt {
    /// The transaction that it is of: view and number, `2.15`.
    #[must_use]
    pub fn transaction(&self) -> &str {
        &self.transaction
    }

    /// The node that signed it: SHA-256 of its key (DER SubjectPublicKeyInfo).
    #[must_use]
    pub fn node(&self) -> Sha256 {
        self.node
    }

    /// The root of the ledger's tree.
    #[must_use]
    pub fn root(&self) -> Sha256 {
        self.root
    }

    /// The last moment at which every certificate still holds.
    #[must_use]
    pub fn holds_until(&self) -> Timestamp {
        self.holds_until
    }
}

/// Verifies `receipt`, in JSON as CCF gives it, as of the time `at`: that `service` has in its ledger a transaction whose
/// claims have the digest `claims`.
///
/// # Errors
/// See [`CcfError`].
pub fn verify(
    receipt: &[u8],
    service: &CcfService,
    claims: &[u8; 32],
    at: Timestamp,
) -> Result<VerifiedReceipt, CcfError> {
    if receipt.len() > MAX_RECEIPT {
        return Err(CcfError::TooLong(receipt.len()));
    }
    let receipt: Receipt = serde_json::from_slice(receipt).map_err(|_| CcfError::Form("it is not JSON of one"))?;
    if receipt.is_signature_transaction == Some(true) {
        return Err(CcfError::Form("it is of a signature of the ledger, which has no claims"));
    }
    if receipt.proof.len() > MAX_PROOF || receipt.service_endorsements.len() > MAX_ENDORSEMENTS {
        return Err(CcfError::Form("it has more steps or endorsements than there can be"));
    }
    let transaction = transaction(&receipt.leaf_components.commit_evidence)?;
    let node = Link::from_receipt("the node's certificate", &receipt.cert)?;
    let holds_until = endorsed(&node, &receipt.service_endorsements, service, at)?;
    let id = Sha256::of(&node.key_info()?);
    if receipt.node_id.is_some_and(|stated| stated != id) {
        return Err(CcfError::Form("its node_id is not that of the node's key"));
    }
    let signed = receipt.signed();
    let signature = STANDARD.decode(&receipt.signature).map_err(|_| CcfError::Signature)?;
    // What is signed is a digest, so that the bytes that it is of are the message.
    node.has_signed(&signed, &signature)?;
    if receipt.leaf_components.claims_digest.as_bytes() != claims {
        return Err(CcfError::Claims);
    }
    Ok(VerifiedReceipt { transaction, node: id, root: Sha256::of(&signed), holds_until })
}

/// Whether the service endorses the node, itself or by identities that it had before, and all hold at the time `at`. Gives
/// until when they do.
fn endorsed(node: &Link, endorsements: &[String], service: &CcfService, at: Timestamp) -> Result<Timestamp, CcfError> {
    node.is_no_authority()?;
    let mut until = node.holds(at)?;
    let mut below = node;
    let earlier = endorsements.iter().map(|pem| Link::from_receipt("an endorsement", pem));
    let earlier = earlier.collect::<Result<Vec<_>, _>>()?;
    let service = Link::from_der("the service's certificate", &service.der)?;
    let mut authorities = 0;
    for above in earlier.iter().chain([&service]) {
        above.is_authority(authorities)?;
        authorities += usize::from(!above.is_self_issued());
        until = until.min(above.holds(at)?);
        below.is_issued_by(above)?;
        below = above;
    }
    Ok(until)
}

/// The transaction of a commit's evidence: `ce:VIEW.NUMBER:` and 64 hexadecimal digits.
fn transaction(evidence: &str) -> Result<String, CcfError> {
    let form = CcfError::Form("its commit_evidence is not that of a transaction");
    if evidence.len() > MAX_COMMIT_EVIDENCE {
        return Err(form);
    }
    let mut parts = evidence.split(':');
    let (Some("ce"), Some(transaction), Some(secret), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(form);
    };
    let is_number = |text: &str| text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    let is_transaction = transaction.split_once('.').is_some_and(|(view, number)| is_number(view) && is_number(number));
    if is_transaction && secret.parse::<Sha256>().is_ok() { Ok(transaction.to_owned()) } else { Err(form) }
}

/// A receipt as CCF writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    cert: String,
    leaf_components: Leaf,
    node_id: Option<Sha256>,
    proof: Vec<Step>,
    signature: String,
    #[serde(default)]
    service_endorsements: Vec<String>,
    is_signature_transaction: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaf {
    write_set_digest: Sha256,
    commit_evidence: String,
    claims_digest: Sha256,
}

/// What stands beside the digest that is known, on this side.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Left(Sha256),
    Right(Sha256),
}

impl Receipt {
    /// The bytes whose digest is the root of the tree.
    fn signed(&self) -> Vec<u8> {
        let Leaf { write_set_digest, commit_evidence, claims_digest } = &self.leaf_components;
        let commit = Sha256::of(commit_evidence.as_bytes());
        let leaf = [*write_set_digest.as_bytes(), *commit.as_bytes(), *claims_digest.as_bytes()].concat();
        self.proof.iter().fold(leaf, |below, step| {
            let below = Sha256::of(&below);
            match step {
                Step::Left(left) => [*left.as_bytes(), *below.as_bytes()].concat(),
                Step::Right(right) => [*below.as_bytes(), *right.as_bytes()].concat(),
            }
        })
    }
}

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CcfError {
    /// More than [`MAX_RECEIPT`] bytes.
    #[error("the receipt has {0} bytes; the most is {MAX_RECEIPT}")]
    TooLong(usize),
    /// Not the form of a receipt.
    #[error("this is not a receipt of CCF: {0}")]
    Form(&'static str),
    /// A certificate that is not one of such a chain.
    #[error("{0} is not taken: {1}")]
    Certificate(&'static str, &'static str),
    /// A certificate that does not hold at the time that is asked about.
    #[error("{what} holds from {from} until {until}, and not at the time that is asked about")]
    Time {
        /// Which.
        what: &'static str,
        /// From when on it does.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Not signed by the node.
    #[error("the receipt's signature is not that of its node")]
    Signature,
    /// Of something else.
    #[error("the receipt's claims are not what was expected: it is of something else")]
    Claims,
}
