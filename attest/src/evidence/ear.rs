// SPDX-License-Identifier: Apache-2.0
//! Attestation results of Confidential Containers: what its verifier, Trustee, says of a confidential guest, as an EAR in a
//! JWT. Not a processor's word but a verifier's, and worth what its key is: one that the auditor names.
//!
//! EAR (`draft-ietf-rats-ear`), as Trustee writes it under its profile of 2024; JWS (RFC 7515) with ES256 (RFC 7518, section
//! 3.4). `docs/evidence.md` says what is asked.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::{KeyId, PublicKey, ecdsa_p256_signature};

/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 1 << 16;
/// The most parts of a machine that a token is about.
pub const MAX_SUBMODULES: usize = 32;
/// The profile that is read: Trustee's of 2024.
pub const PROFILE: &str = "tag:github.com,2024:confidential-containers/Trustee";

/// What a token is expected to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What the guest was asked to put into its processor's report.
    pub report_data: [u8; 64],
    /// The part of the machine that the guest is: `cpu0`.
    pub submodule: String,
    /// The kinds of processors that are taken, as Trustee calls them: `tdx`, `snp`. `sample` is an emulation's.
    pub tees: BTreeSet<String>,
    /// The policies of Trustee's that are taken, by their names.
    pub policies: BTreeSet<String>,
}

/// A token that was verified: nothing but [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedResult {
    key: KeyId,
    developer: String,
    build: String,
    tee: String,
    policy: String,
    issued: Timestamp,
    expires: Timestamp,
}

impl VerifiedResult {
    /// The key that signed it, one of those that were named.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Who made the verifier, by its own word.
    #[must_use]
    pub fn developer(&self) -> &str {
        &self.developer
    }

    /// Which build of the verifier it is, by its own word.
    #[must_use]
    pub fn build(&self) -> &str {
        &self.build
    }

    /// The kind of processor, one of those that are expected.
    #[must_use]
    pub fn tee(&self) -> &str {
        &self.tee
    }

    /// The verifier's policy, one of those that are expected.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// When it was said.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// From when on it does not hold any more.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// Verifies `token` with the keys that are named (ECDSA over P-256), as of the time `at`: that every part of the machine is
/// affirmed, and that the guest is what is `expected`. A key in the token itself is not looked at.
///
/// # Errors
/// See [`EarError`].
pub fn verify(
    token: &[u8],
    keys: &[PublicKey],
    expected: &Expected,
    at: Timestamp,
) -> Result<VerifiedResult, EarError> {
    if token.len() > MAX_TOKEN {
        return Err(EarError::TooLong(token.len()));
    }
    let (key, claims) = signed(token, keys)?;
    let claims: Claims =
        serde_json::from_slice(&claims).map_err(|_| EarError::Form("its claims are not those of an EAR"))?;
    if claims.profile != PROFILE {
        return Err(EarError::Profile);
    }
    let moment = |second| Timestamp::from_second(second).map_err(|_| EarError::Form("a time in it is none"));
    let (issued, expires) = (moment(claims.iat)?, moment(claims.exp)?);
    if claims.nbf.map(moment).transpose()?.is_some_and(|from| at < from) || at < issued {
        return Err(EarError::NotYet(issued));
    }
    if at >= expires {
        return Err(EarError::Expired(expires));
    }
    if claims.submods.is_empty() || claims.submods.len() > MAX_SUBMODULES {
        return Err(EarError::Submodules(claims.submods.len()));
    }
    for (name, submodule) in &claims.submods {
        submodule.is_affirmed().map_err(|why| EarError::NotAffirmed(plain(name), why))?;
    }
    let guest = claims.submods.get(&expected.submodule);
    let guest = guest.ok_or_else(|| EarError::NoSubmodule(plain(&expected.submodule)))?;
    if !guest.says(&expected.report_data) {
        return Err(EarError::ReportData);
    }
    // The evidence of one processor is there, under the name of its kind.
    let mut tees = expected.tees.iter().filter(|tee| guest.evidence.get(*tee).is_some_and(Value::is_object));
    let (Some(tee), None) = (tees.next(), tees.next()) else { return Err(EarError::Tee) };
    let policy = guest.policy.as_ref().filter(|policy| expected.policies.contains(*policy));
    let policy = policy.ok_or(EarError::Policy)?;
    Ok(VerifiedResult {
        key,
        developer: plain(&claims.verifier.developer),
        build: plain(&claims.verifier.build),
        tee: tee.clone(),
        policy: policy.clone(),
        issued,
        expires,
    })
}

/// The content of a JWS in its compact form (RFC 7515, section 7.1), and which of `keys` has signed it.
fn signed(token: &[u8], keys: &[PublicKey]) -> Result<(KeyId, Vec<u8>), EarError> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(content), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(EarError::Form("it has not three parts"));
    };
    let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| EarError::Form("a part is not base64url"));
    let message = token.get(..header.len() + 1 + content.len()).unwrap_or_default();
    let (header, content, signature) = (decode(header)?, decode(content)?, decode(signature)?);
    let header: Header =
        serde_json::from_slice(&header).map_err(|_| EarError::Form("its header is not that of a JWT"))?;
    if header.alg != "ES256" || header.crit.is_some() || header.typ.is_some_and(|typ| typ != "JWT") {
        return Err(EarError::Form("its header is not that of a JWT with ES256 and nothing critical"));
    }
    if signature.len() != 64 {
        return Err(EarError::Signature);
    }
    let signature = ecdsa_p256_signature(&signature).map_err(|_| EarError::Signature)?;
    let by = keys.iter().find(|key| key.verify(message, &signature).is_ok()).ok_or(EarError::Signature)?;
    Ok((by.id(), content))
}

/// RFC 7515, section 4.1. What else is in it, as a key, is not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    crit: Option<Value>,
}

/// What is read of an EAR. Extensions may be there.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "eat_profile")]
    profile: String,
    iat: i64,
    exp: i64,
    nbf: Option<i64>,
    #[serde(rename = "ear.verifier-id")]
    verifier: Verifier,
    submods: BTreeMap<String, Submodule>,
}

#[derive(Deserialize)]
struct Verifier {
    developer: String,
    build: String,
}

/// What is said of a part of the machine.
#[derive(Deserialize)]
struct Submodule {
    #[serde(rename = "ear.status")]
    status: String,
    #[serde(rename = "ear.trustworthiness-vector", default)]
    vector: BTreeMap<String, i8>,
    #[serde(rename = "ear.appraisal-policy-id")]
    policy: Option<String>,
    #[serde(rename = "ear.veraison.annotated-evidence", default)]
    evidence: BTreeMap<String, Value>,
}

impl Submodule {
    /// The status is `affirming`, and so is each claim that says something (AR4SI, section 2.3: -32 to -2, and 2 to 31). What
    /// a verifier could not make out (-1 and 1), is no affirmation.
    fn is_affirmed(&self) -> Result<(), &'static str> {
        let affirms = |claim: &i8| matches!(claim, -32..=-2 | 2..=31);
        if self.status != "affirming" {
            return Err("its status is not affirming");
        }
        if self.vector.values().any(|claim| *claim != 0 && !affirms(claim)) {
            return Err("a claim of it is no affirmation");
        }
        if !self.vector.values().any(affirms) {
            return Err("no claim of it affirms anything");
        }
        Ok(())
    }

    /// The processor's report data, which are written in base64 or, by older verifiers, in hexadecimal digits.
    fn says(&self, report_data: &[u8; 64]) -> bool {
        let Some(Value::String(said)) = self.evidence.get("report_data") else { return false };
        let hex: String = report_data.iter().map(|byte| format!("{byte:02x}")).collect();
        *said == hex || *said == STANDARD.encode(report_data)
    }
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EarError {
    /// More than [`MAX_TOKEN`] bytes.
    #[error("the token has {0} bytes; the most is {MAX_TOKEN}")]
    TooLong(usize),
    /// Not the form of a token.
    #[error("this is not a token of Trustee's: {0}")]
    Form(&'static str),
    /// Another profile than [`PROFILE`].
    #[error("the token's profile is not {PROFILE}")]
    Profile,
    /// By none of the keys that are named.
    #[error("none of the keys that are named has signed the token")]
    Signature,
    /// Issued later.
    #[error("the token was issued on {0}, and does not hold yet at the time that is asked about")]
    NotYet(Timestamp),
    /// Expired.
    #[error("the token expired on {0}, and does not hold any more at the time that is asked about")]
    Expired(Timestamp),
    /// None, or more than [`MAX_SUBMODULES`].
    #[error("the token is about {0} parts of a machine; there are 1 to {MAX_SUBMODULES}")]
    Submodules(usize),
    /// A part that the verifier does not affirm.
    #[error("the verifier does not affirm {0:?}: {1}")]
    NotAffirmed(String, &'static str),
    /// Not about the guest.
    #[error("the token says nothing of {0:?}")]
    NoSubmodule(String),
    /// Of another question.
    #[error("the token's report data are not what was expected: it answers another question")]
    ReportData,
    /// Of another kind of processor, or of none.
    #[error("the token is not about one of the kinds of processors that are expected")]
    Tee,
    /// Of another policy.
    #[error("the verifier's policy is none of those that are expected")]
    Policy,
}

/// A text from elsewhere that does nothing to a terminal.
fn plain(text: &str) -> String {
    text.chars().take(256).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
