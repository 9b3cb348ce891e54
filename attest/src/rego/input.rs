// SPDX-License-Identifier: Apache-2.0
//! What a policy in Rego sees: `docs/schema/rego-input.json`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use reprove_model::{DigestSet, Isolation, IsolationLevel, Sha256};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::appraise::FailureClaim;
use crate::evidence::{Attested, Nonce, Sha384, Vendor};
use crate::log::Logged;
use crate::{
    Appraisal, Artifact, Contrary, KeyId, OtherStatement, Reason, RebuildVerdict, RebuilderClaim, Seen, Shortfall,
    Statement,
};

/// The longest input, in bytes: as long as the longest proof.
pub const MAX_REGO_INPUT: usize = crate::Proof::MAX_BYTES;

/// Why there is no input.
#[derive(Debug, Error)]
pub enum RegoInputError {
    /// Longer than [`MAX_REGO_INPUT`].
    #[error("what a policy in Rego would see has more than {MAX_REGO_INPUT} bytes")]
    TooLong,
    /// A value that can't be written.
    #[error("what a policy in Rego would see can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a policy in Rego sees of an appraisal of `artifacts` at the time `now`, in JSON. Statements are in it where a trusted
/// key has signed them and they make up a claim about the artifacts; none else.
///
/// # Errors
/// See [`RegoInputError`].
pub fn rego_input(appraisal: &Appraisal, artifacts: &[Artifact], now: Timestamp) -> Result<String, RegoInputError> {
    let input = Input {
        time: now.to_string(),
        artifacts: artifacts.iter().map(|each| Named { name: &each.name, digest: each.digest }).collect(),
        claims: appraisal.claims().iter().map(|claim| Claim::of(claim, now)).collect(),
        failures: appraisal.failures.iter().map(Failure::of).collect(),
        others: appraisal.others().iter().map(Other::of).collect(),
        uncounted: appraisal.uncounted().iter().map(Uncounted::of).collect(),
        independent: appraisal.independent(),
        contrary_excluded: match appraisal.contrary() {
            Contrary::Excluded { log, at } => Some(Excluded { log, at: at.to_string() }),
            Contrary::Possible(_) => None,
        },
        shortfalls: appraisal.shortfalls().iter().map(Shortfall::code).collect(),
    };
    written(&input, MAX_REGO_INPUT)
}

fn written(input: &impl Serialize, most: usize) -> Result<String, RegoInputError> {
    let mut bounded = Bounded { bytes: Vec::new(), most };
    match serde_json::to_writer(&mut bounded, input) {
        Err(error) if error.is_io() => Err(RegoInputError::TooLong),
        written => {
            written?;
            String::from_utf8(bounded.bytes).map_err(|_| RegoInputError::TooLong)
        }
    }
}

/// Takes so many bytes, and no more.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most - self.bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    time: String,
    artifacts: Vec<Named<'a>>,
    claims: Vec<Claim<'a>>,
    failures: Vec<Failure<'a>>,
    others: Vec<Other<'a>>,
    uncounted: Vec<Uncounted>,
    independent: usize,
    contrary_excluded: Option<Excluded<'a>>,
    shortfalls: Vec<&'static str>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    digest: DigestSet,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claim<'a> {
    envelope: usize,
    keyid: KeyId,
    operator: &'a str,
    platform: &'a str,
    reproduced: bool,
    verdict: RebuildVerdict,
    isolation: Isolation,
    isolation_level: Option<IsolationLevel>,
    evidence: Vec<Evidence<'a>>,
    compared_on: String,
    age_seconds: i64,
    seen: Option<SeenBy<'a>>,
    logged: Option<LoggedIn<'a>>,
    counted: bool,
    reasons: Vec<&'static str>,
    statements: Statements<'a>,
}

#[derive(Serialize)]
struct Statements<'a> {
    comparison: &'a Statement,
    provenances: Vec<&'a Statement>,
}

impl<'a> Claim<'a> {
    fn of(claim: &'a RebuilderClaim, now: Timestamp) -> Self {
        let compared_on = claim.proof().compared_on();
        Self {
            envelope: claim.envelope(),
            keyid: claim.keyid(),
            operator: claim.operator(),
            platform: claim.platform(),
            reproduced: claim.is_reproduced(),
            verdict: claim.proof().word(),
            isolation: claim.isolation(),
            isolation_level: claim.isolation_level(),
            evidence: claim.attested().iter().map(Evidence::of).collect(),
            compared_on: compared_on.to_string(),
            age_seconds: now.as_second() - compared_on.as_second(),
            seen: claim.seen().map(SeenBy::of),
            logged: claim.logged().map(LoggedIn::of),
            counted: claim.reasons().is_empty(),
            reasons: claim.reasons().iter().map(Reason::code).collect(),
            statements: Statements { comparison: claim.comparison(), provenances: claim.provenances().collect() },
        }
    }
}

/// That one rebuild ran in a confidential machine, or in an EMULATED one, and by whose word.
#[derive(Serialize)]
struct Evidence<'a> {
    voucher: &'static str,
    by: Option<&'a str>,
    vendor: Option<&'static str>,
    emulated: Option<bool>,
    root: Sha256,
    guest: Option<&'a str>,
    firmware: &'a str,
    measurements: BTreeMap<&'static str, Sha384>,
    nonce: Nonce,
}

impl<'a> Evidence<'a> {
    fn of(attested: &'a Attested) -> Self {
        Self {
            voucher: attested.voucher().kind(),
            by: attested.voucher().name(),
            vendor: attested.vendor().map(Vendor::name),
            emulated: attested.emulated(),
            root: attested.voucher().fingerprint(),
            guest: attested.guest(),
            firmware: attested.firmware(),
            measurements: attested.measured().named().into_iter().collect(),
            nonce: attested.nonce(),
        }
    }
}

/// A rebuild that failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    envelope: usize,
    keyid: KeyId,
    operator: &'a str,
    platform: &'a str,
    attempted_on: String,
    statement: &'a Statement,
}

impl<'a> Failure<'a> {
    fn of(failure: &'a FailureClaim) -> Self {
        let FailureClaim { envelope, keyid, operator, platform, statement, attempted_on } = failure;
        let attempted_on = attempted_on.to_string();
        Self { envelope: *envelope, keyid: *keyid, operator, platform, attempted_on, statement }
    }
}

/// A statement of another type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Other<'a> {
    envelope: usize,
    keyid: KeyId,
    operator: &'a str,
    platform: &'a str,
    predicate_type: &'a str,
    seen: Option<SeenBy<'a>>,
    statement: &'a Value,
}

impl<'a> Other<'a> {
    fn of(other: &'a OtherStatement) -> Self {
        Self {
            envelope: other.envelope(),
            keyid: other.keyid(),
            operator: other.operator(),
            platform: other.platform(),
            predicate_type: other.predicate_type(),
            seen: other.seen().map(SeenBy::of),
            statement: other.statement(),
        }
    }
}

/// That a trusted authority has seen a signature.
#[derive(Serialize)]
struct SeenBy<'a> {
    at: String,
    by: &'a str,
}

impl<'a> SeenBy<'a> {
    fn of(seen: &'a Seen) -> Self {
        Self { at: seen.at().to_string(), by: seen.by() }
    }
}

/// That a trusted log has a statement.
#[derive(Serialize)]
struct LoggedIn<'a> {
    log: &'a str,
    index: u64,
    witnesses: Vec<&'a str>,
}

impl<'a> LoggedIn<'a> {
    fn of(logged: &'a Logged) -> Self {
        let witnesses = logged.witnessed.iter().map(|(name, _)| name.as_str()).collect();
        Self { log: &logged.checkpoint.origin, index: logged.index, witnesses }
    }
}

/// That nothing contrary can have been left out.
#[derive(Serialize)]
struct Excluded<'a> {
    log: &'a str,
    at: String,
}

#[derive(Serialize)]
struct Uncounted {
    envelope: usize,
    keyid: KeyId,
    code: &'static str,
    text: String,
}

impl Uncounted {
    fn of(each: &crate::Uncounted) -> Self {
        let reason = each.reason();
        Self { envelope: each.envelope(), keyid: each.keyid(), code: reason.code(), text: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_on_both_sides() {
        let text = "x".repeat(98);
        assert_eq!(written(&text, 100).unwrap(), format!("{text:?}"));
        assert!(matches!(written(&text, 99), Err(RegoInputError::TooLong)));
    }
}
