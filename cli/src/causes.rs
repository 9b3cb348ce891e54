// SPDX-License-Identifier: Apache-2.0
//! What caused a difference, and what mends it, as people and programs read it.

use std::collections::{BTreeMap, BTreeSet};

use reprove_job::{Dated, DatedResult, EPOCH, Finished, Tried, TriedResult};
use reprove_model::{Between, Cause, Finding, Variation, Verdict};
use reprove_verifier::explain::{Advice, MOST_BUILDS, Setting, advice};
use serde_json::{Value, json};

use crate::plain;
use crate::render::{date, listed};

/// What was seen, beside the verdict: which programs asked for what a condition decides.
pub(crate) type Asked = BTreeMap<Variation, Vec<String>>;

/// The lines that say what caused a finding between rebuilds; none of another. A mend that is in `said` is not said again.
pub(crate) fn lines(finding: &Finding, verdict: &Verdict, asked: &Asked, said: &mut BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    if finding.causes.is_empty() {
        for proposal in &finding.proposed {
            lines.push(format!(
                "proposed, not shown: the {} ({})",
                proposal.variation.name(),
                plain::line(&proposal.why)
            ));
        }
        if finding.between == Between::Rebuilds {
            lines.push(format!("cause: {}", no_cause(verdict)));
        }
        return lines;
    }
    lines.push(format!("cause: {}", cause(finding, verdict)));
    for variation in finding.causes.iter().flat_map(Cause::variations) {
        lines.extend(asked.get(variation).into_iter().flatten().map(|seen| format!("seen: {}", plain::line(seen))));
    }
    for Advice { text, setting, link } in advised(finding) {
        let set = setting.map(|setting| format!("; {}", plain::line(&setting.said()))).unwrap_or_default();
        let line = format!("mend: {text}{set} ({link})");
        if said.insert(line.clone()) {
            lines.push(line);
        }
    }
    lines
}

/// What mends a finding, each once.
fn advised(finding: &Finding) -> Vec<Advice> {
    let mut all: Vec<Advice> = Vec::new();
    for advice in finding.causes.iter().flat_map(|cause| advice(finding, cause, EPOCH)) {
        if !all.contains(&advice) {
            all.push(advice);
        }
    }
    all
}

fn cause(finding: &Finding, verdict: &Verdict) -> String {
    let builds = match verdict.experiments.len() {
        1 => "1 more build".to_owned(),
        many => format!("{many} more builds"),
    };
    let mut parts = Vec::new();
    let mut is_exact = true;
    for cause in &finding.causes {
        match cause {
            Cause::Unstable { .. } => {
                return format!(
                    "the build itself: it came out otherwise under the same conditions (time passing, randomness or a race; \
                     {builds})"
                );
            }
            Cause::Varied { variation, kept, .. } => {
                parts.push(format!("the {}", variation.name()));
                is_exact &= kept.is_some();
            }
            Cause::Together { variations, .. } => {
                let names: Vec<String> = variations.iter().map(|v| format!("the {}", v.name())).collect();
                parts.push(format!("{} together", listed(&names)));
                is_exact = false;
            }
        }
    }
    let named = parts.join(", or ");
    if is_exact {
        format!("proved: of what was varied, it differs exactly when {named} differs ({builds})")
    } else if is_still(finding, verdict) {
        format!(
            "shown in deterministic builds: {named} makes it differ, changed alone; something else may as well ({builds})"
        )
    } else {
        format!("shown: {named} makes it differ, changed alone; something else may as well ({builds})")
    }
}

/// Whether deterministic builds have shown it.
fn is_still(finding: &Finding, verdict: &Verdict) -> bool {
    let by = |cause: &Cause| verdict.experiments.iter().any(|e| e.deterministic && e.record == cause.record());
    finding.causes.iter().any(by)
}

/// Why no cause is named.
fn no_cause(verdict: &Verdict) -> &'static str {
    let control = verdict.experiments.iter().find(|experiment| experiment.changed.is_empty());
    match control {
        None => "not looked for",
        Some(control) if !control.ended_well => {
            "not found; the build did not even end well when it was done again with nothing changed"
        }
        Some(_) if verdict.experiments.len() >= MOST_BUILDS => "not found with as many builds as are made",
        Some(_) if verdict.experiments.iter().any(|experiment| !experiment.ended_well) => {
            "not found; some builds with other conditions failed, and show nothing"
        }
        Some(_) => "not found; no few conditions that were changed make it differ",
    }
}

/// What came of building at the time of what was published.
pub(crate) fn dated(dated: Option<&Dated>) -> String {
    let Some(Dated { clock, result }) = dated else { return String::new() };
    let result = match result {
        DatedResult::Failed(why) => format!("the build fails: {}", plain::line(why)),
        DatedResult::AsPublished => "it comes out as published, bit for bit".to_owned(),
        DatedResult::Different { gone, left } if gone.is_empty() => {
            format!("it differs from what was published in the same places; {left} left")
        }
        DatedResult::Different { gone, left } => {
            let places: Vec<String> = gone.iter().map(|place| plain::line(place)).collect();
            format!("{} as published; {left} left", listed(&places))
        }
    };
    format!("  with the clock at {}, the artifact's newest time: {result}\n", date(*clock))
}

/// The same, for programs; `null` where it was not done.
pub(crate) fn dated_json(dated: Option<&Dated>) -> Value {
    let Some(Dated { clock, result }) = dated else { return Value::Null };
    match result {
        DatedResult::Failed(why) => json!({ "clock": clock, "failed": why }),
        DatedResult::AsPublished => json!({ "clock": clock, "asPublished": true }),
        DatedResult::Different { gone, left } => json!({ "clock": clock, "gone": gone, "left": left }),
    }
}

/// What came of the mends that were tried.
pub(crate) fn tried(mends: &[Tried]) -> String {
    let line = |mend: &Tried| {
        let settings: Vec<String> = mend.settings.iter().map(|setting| plain::line(&setting.said())).collect();
        let result = match &mend.result {
            TriedResult::Failed(why) => format!("the build fails with it: {}", plain::line(why)),
            TriedResult::Built { gone, left: 0 } if !gone.is_empty() => "the rebuilds are the same with it".to_owned(),
            TriedResult::Built { gone, left } if gone.is_empty() => format!("mends nothing; {left} left"),
            TriedResult::Built { gone, left } => {
                let places: Vec<String> = gone.iter().map(|place| plain::line(place)).collect();
                format!("mends {}; {left} left", listed(&places))
            }
        };
        format!("  tried {}: {result}\n", settings.join("; "))
    };
    mends.iter().map(line).collect()
}

/// For programs: what mends each finding, what was tried, and who asked for what.
pub(crate) fn json(finished: &Finished) -> (Value, Value, Value) {
    let setting = |setting: &Setting| match setting {
        Setting::Epoch(seconds) => json!({ "sourceDateEpoch": seconds }),
        Setting::Variable(name, value) => json!({ "variable": name, "value": value }),
        Setting::Before(line) => json!({ "before": line }),
    };
    let of = |finding: &Finding| {
        let one = |Advice { text, setting: set, link }: Advice| {
            json!({
                "place": finding.place, "kind": finding.kind, "text": text, "set": set.as_ref().map(setting), "link": link,
            })
        };
        advised(finding).into_iter().map(one).collect::<Vec<_>>()
    };
    let advice: Vec<Value> = finished.verdict.findings.iter().flat_map(of).collect();
    let tried = |mend: &Tried| {
        let set: Vec<Value> = mend.settings.iter().map(setting).collect();
        match &mend.result {
            TriedResult::Failed(why) => json!({ "set": set, "failed": why }),
            TriedResult::Built { gone, left } => json!({ "set": set, "gone": gone, "left": left }),
        }
    };
    let tried: Vec<Value> = finished.mends.iter().map(tried).collect();
    (json!(advice), json!(tried), json!(finished.asked))
}
