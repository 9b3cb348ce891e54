// SPDX-License-Identifier: Apache-2.0
//! What several rebuilders say, as text and as JSON.

use reprove_attest::evidence::{Attested, Measured, Vendor, Voucher};
use reprove_attest::log::Logged;
use reprove_attest::{Appraisal, Artifact, Contrary, RebuilderClaim, Seen, Trust};
use reprove_model::IsolationLevel;
use serde_json::{Value, json};

use crate::plain;

pub(crate) fn as_json(proof_name: &str, artifacts: &[Artifact], at: &str, appraisal: &Appraisal) -> Value {
    let said = |code: &str, text: String| json!({ "code": code, "text": text });
    let claim = |claim: &RebuilderClaim| {
        let reasons: Vec<Value> = claim.reasons().iter().map(|r| said(r.code(), r.to_string())).collect();
        json!({
            "envelope": claim.envelope(),
            "keyid": claim.keyid().to_string(),
            "operator": claim.operator(),
            "platform": claim.platform(),
            "verdict": claim.proof().word(),
            "isolation": claim.isolation(),
            "isolationLevel": claim.isolation_level(),
            "evidence": claim.attested().iter().map(attested_json).collect::<Vec<_>>(),
            "comparedOn": claim.proof().compared_on().to_string(),
            "seenOn": claim.seen().map(|seen| seen.at().to_string()),
            "seenBy": claim.seen().map(Seen::by),
            "logged": claim.logged().map(logged_in),
            "reasons": reasons,
        })
    };
    let uncounted = appraisal.uncounted().iter().map(|each| {
        let (reason, keyid) = (each.reason(), each.keyid().to_string());
        json!({
            "envelope": each.envelope(), "keyid": keyid, "code": reason.code(), "text": reason.to_string(),
        })
    });
    let others = appraisal.others().iter().map(|other| {
        json!({
            "envelope": other.envelope(),
            "keyid": other.keyid().to_string(),
            "operator": other.operator(),
            "platform": other.platform(),
            "predicateType": other.predicate_type(),
            "seenOn": other.seen().map(|seen| seen.at().to_string()),
            "seenBy": other.seen().map(Seen::by),
        })
    });
    let shortfalls: Vec<Value> = appraisal.shortfalls().iter().map(|s| said(s.code(), s.to_string())).collect();
    let names: Vec<&str> = artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    json!({
        "verified": appraisal.is_enough(),
        "proof": proof_name,
        "artifacts": names,
        "at": at,
        "independent": appraisal.independent(),
        "claims": appraisal.claims().iter().map(claim).collect::<Vec<_>>(),
        "others": others.collect::<Vec<_>>(),
        "uncounted": uncounted.collect::<Vec<_>>(),
        "shortfalls": shortfalls,
        "contraryExcluded": matches!(appraisal.contrary(), Contrary::Excluded { .. }),
        "contrary": contrary(appraisal),
    })
}

fn logged_in(logged: &Logged) -> Value {
    let witnesses: Vec<&str> = logged.witnessed.iter().map(|(name, _)| name.as_str()).collect();
    json!({ "log": logged.checkpoint.origin, "index": logged.index, "witnesses": witnesses })
}

pub(crate) fn as_text(proof_name: &str, artifacts: &[Artifact], appraisal: &Appraisal) -> String {
    let (name, independent) = (plain::line(proof_name), appraisal.independent());
    let many =
        if independent == 1 { "1 rebuilder".to_owned() } else { format!("{independent} independent rebuilders") };
    let mut text = if appraisal.is_enough() {
        format!("verified  {name}: reproduced by {many}\n\n")
    } else {
        format!("not enough  {name}\n\n")
    };
    for shortfall in appraisal.shortfalls() {
        text.push_str(&format!("  {}: {}\n", shortfall.code(), plain::line(&shortfall.to_string())));
    }
    if !appraisal.shortfalls().is_empty() {
        text.push('\n');
    }
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<18} {value}\n"));
    for artifact in artifacts {
        line("artifact", plain::line(&artifact.name));
        line("", format!("sha256 {}", artifact.digest.sha256));
    }
    if artifacts.is_empty() {
        line("artifact", "no file was given to compare with it".into());
    }
    for claim in appraisal.claims() {
        let (operator, platform) = (plain::line(claim.operator()), plain::line(claim.platform()));
        line("claim", format!("{operator} on {platform} says that it is {}", claim.proof().word().name()));
        line("", format!("signed by {}, compared on {} by its clock", claim.keyid(), claim.proof().compared_on()));
        if let Some(seen) = claim.seen() {
            line("", format!("its signature was there on {}, says {}", seen.at(), plain::line(seen.by())));
        }
        if let Some(logged) = claim.logged() {
            let witnesses: Vec<&str> = logged.witnessed.iter().map(|(name, _)| name.as_str()).collect();
            let saw = if witnesses.is_empty() { "no trusted witness".into() } else { witnesses.join(", ") };
            let log = &logged.checkpoint.origin;
            line("", plain::line(&format!("the log {log} has it as entry {}, seen by {saw}", logged.index)));
        }
        if let Some(since) = claim.since() {
            let since = plain::line(&since.to_string());
            line("", format!("it stands as it was signed before, and nothing that is signed now would: {since}"));
        }
        let level = claim.isolation_level().map_or("below basic", IsolationLevel::name);
        line("", format!("isolation {}, {level}", claim.isolation().said()));
        for (rebuild, attested) in (1..).zip(claim.attested()) {
            line("", plain::line(&attested_text(rebuild, attested)));
            if *attested.measured() != Measured::Elsewhere {
                line("", format!("it measured {}", attested.measured()));
            }
        }
        for reason in claim.reasons() {
            line("", format!("not counted, {}: {}", reason.code(), plain::line(&reason.to_string())));
        }
    }
    for other in appraisal.others() {
        let (operator, platform) = (plain::line(other.operator()), plain::line(other.platform()));
        line("statement", format!("{operator} on {platform} states a {}", plain::line(other.predicate_type())));
        line("", format!("signed by {}; what it says is not judged here", other.keyid()));
        if let Some(seen) = other.seen() {
            line("", format!("its signature was there on {}, says {}", seen.at(), plain::line(seen.by())));
        }
    }
    for each in appraisal.uncounted() {
        let (code, why) = (each.reason().code(), plain::line(&each.reason().to_string()));
        line("not counted", format!("envelope {}, {code}: {why}", each.envelope()));
        line("", format!("it names the key {}", each.keyid()));
    }
    line("contrary results", plain::line(&contrary(appraisal)));
    let counted = appraisal.claims().iter().filter(|claim| claim.reasons().is_empty());
    for trust in rows(counted) {
        line("claimed", trust.claim.into());
        line("holds as long as", trust.holds_as_long_as.into());
        line("does not need", trust.does_not_need.into());
    }
    text
}

fn attested_json(attested: &Attested) -> Value {
    json!({
        "voucher": attested.voucher().kind(),
        "by": attested.voucher().name(),
        "vendor": attested.vendor().map(Vendor::name),
        "emulated": attested.emulated(),
        "root": attested.voucher().fingerprint(),
        "guest": attested.guest(),
        "firmware": attested.firmware(),
        "measurements": measurements(attested),
        "nonce": attested.nonce(),
    })
}

fn measurements(attested: &Attested) -> Value {
    attested.measured().named().into_iter().map(|(name, digest)| (name.to_owned(), json!(digest))).collect()
}

fn attested_text(rebuild: usize, attested: &Attested) -> String {
    let firmware = attested.firmware();
    match attested.voucher() {
        Voucher::Processor(root) => {
            let by = if root.is_emulated() { "an EMULATED processor, which is no hardware," } else { "the processor" };
            let guest = attested.guest().unwrap_or_default();
            let what = match attested.measured() {
                Measured::Enclave(_) => format!("the enclave {guest} vouches for rebuild {rebuild}"),
                _ => format!("rebuild {rebuild} ran in the guest {guest}"),
            };
            format!("{what}: so says {by} {firmware}, below {root}")
        }
        Voucher::Verifier { name, .. } => {
            let of =
                if attested.is_emulated() { "EMULATED, which is no hardware" } else { "which nobody has asked here" };
            format!(
                "a guest vouches for rebuild {rebuild}: so says the verifier {name} of a processor {firmware}, {of}"
            )
        }
        Voucher::Service { name, .. } => {
            let of = if attested.is_emulated() { ", EMULATED" } else { "" };
            format!(
                "rebuild {rebuild} is in a ledger: so says the service {name}{of}, and no processor itself; {firmware}"
            )
        }
    }
}

/// Who is trusted for what, once for each kind of isolation.
fn rows<'a>(claims: impl Iterator<Item = &'a RebuilderClaim>) -> Vec<Trust> {
    let mut rows = Vec::new();
    for claim in claims {
        let row = Trust::of(claim.isolation());
        let row = if claim.proof().is_of_own_contents() { row.of_own_contents() } else { row };
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

/// What is known of statements that are not in the proof.
fn contrary(appraisal: &Appraisal) -> String {
    match appraisal.contrary() {
        Contrary::Excluded { log, at } => {
            format!("all that the log {log} had on {at}, by its own word, is in the proof")
        }
        Contrary::Possible(why) => format!("a contrary result can't be excluded: {why}"),
    }
}
