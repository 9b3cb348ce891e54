// SPDX-License-Identifier: Apache-2.0
//! `proof show`: what a proof says, as text and as JSON. Nothing of it is verified, and all of it is somebody else's text.

use std::collections::BTreeMap;

use reprove_attest::evidence::{Evidence, TeeRoot};
use reprove_attest::log::{RecordedSubject, Said};
use reprove_attest::{Comparison, Envelope, Predicate, Proof, Rebuilder, ResourceDescriptor, Statement};
use reprove_model::{Engine, Finding, IsolationLevel, Machine, Sha256};
use serde_json::{Value, json};

use crate::causes::Asked;
use crate::{plain, render};

/// How many subjects, inputs and words of logs are shown as text, of each; `--json` has all.
const SHOWN: usize = 20;

pub(crate) fn as_json(name: &str, proof: &Proof) -> Value {
    let mut evidence = by_payload(proof);
    let mut of = |envelope: &Envelope| evidence.remove(&envelope.payload_digest()).unwrap_or_default();
    let envelopes: Vec<Value> =
        proof.envelopes.iter().map(|envelope| envelope_json(envelope, proof, &of(envelope))).collect();
    let recorded: Vec<Value> = proof.recorded.iter().map(recorded_json).collect();
    json!({ "proof": name, "verified": Value::Null, "envelopes": envelopes, "recorded": recorded })
}

fn envelope_json(envelope: &Envelope, proof: &Proof, evidence: &[&Evidence]) -> Value {
    let statement: Value = serde_json::from_slice(envelope.payload()).unwrap_or(Value::Null);
    let seen = proof.timestamped.iter().filter(|seen| seen.is_of(envelope));
    let timestamps: Vec<_> = seen.map(|seen| seen.time().ok().map(|at| at.to_string())).collect();
    let logged = proof.logged.iter().filter(|logged| logged.is_of(envelope)).count();
    let known = Statement::from_payload(envelope.payload()).ok();
    let of_each = |each: fn(&Predicate) -> Vec<Value>| known.as_ref().map(|statement| each(&statement.predicate));
    json!({
        "keyid": envelope.keyid().to_string(),
        "statement": statement,
        "timestamps": timestamps,
        "logged": logged,
        "evidence": evidence.iter().map(|one| evidence_json(one)).collect::<Vec<_>>(),
        "inputs": of_each(|predicate| inputs(predicate).iter().map(input_json).collect()),
        "findings": of_each(|predicate| findings(predicate).iter().map(finding_json).collect()),
    })
}

/// The evidence by the payload that it goes with. It is shown with the first envelope of that: there may be many.
fn by_payload(proof: &Proof) -> BTreeMap<Sha256, Vec<&Evidence>> {
    let mut all: BTreeMap<Sha256, Vec<&Evidence>> = BTreeMap::new();
    for evidence in &proof.evidence {
        all.entry(evidence.payload).or_default().push(evidence);
    }
    all
}

fn evidence_json(evidence: &Evidence) -> Value {
    let root = evidence.stated_root();
    json!({
        "kind": evidence.kind(),
        "root": root,
        "statedHardware": root.and_then(TeeRoot::hardware_name),
        "marked": evidence.is_marked_emulated(),
        "nonce": evidence.nonce,
    })
}

fn evidence_text(evidence: &Evidence) -> String {
    if !evidence.has_root() {
        return format!("{}, by the word of whoever has signed it; not verified", evidence.kind());
    }
    let Some(root) = evidence.stated_root() else {
        return format!("{}, with a root that can't be read", evidence.kind());
    };
    match TeeRoot::hardware_name(root) {
        _ if evidence.is_marked_emulated() => {
            format!("{}, EMULATED, by its own certificates; the root that it gives is {root}", evidence.kind())
        }
        Some(name) => format!("{}, said to be below {name}, {root}; not verified", evidence.kind()),
        None => format!("{}, EMULATED: its root is none of hardware, {root}", evidence.kind()),
    }
}

fn input_json(input: &ResourceDescriptor) -> Value {
    json!({ "name": input.name, "purl": input.uri, "sha256": input.digest.sha256 })
}

fn finding_json(finding: &Finding) -> Value {
    let Finding { between, place, kind, summary, causes, proposed, .. } = finding;
    json!({
        "between": between, "place": place, "kind": kind, "summary": summary, "causes": causes, "proposed": proposed,
    })
}

fn recorded_json(recorded: &RecordedSubject) -> Value {
    let Ok(Said { checkpoint, subject, time, count, .. }) = recorded.said() else { return Value::Null };
    json!({
        "subject": subject,
        "entries": count,
        "listed": recorded.entries.len(),
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root_text(),
        "at": render::instant(time).map(|at| at.to_string()),
    })
}

/// What went into the builds that a statement is about, as far as it names that.
fn inputs(predicate: &Predicate) -> &[ResourceDescriptor] {
    match predicate {
        Predicate::Provenance(provenance) => &provenance.build_definition.resolved_dependencies,
        Predicate::Unbuildable(failure) => &failure.resolved_dependencies,
        Predicate::Comparison(_) => &[],
    }
}

fn findings(predicate: &Predicate) -> &[Finding] {
    match predicate {
        Predicate::Comparison(comparison) => &comparison.details.findings,
        Predicate::Provenance(_) | Predicate::Unbuildable(_) => &[],
    }
}

pub(crate) fn as_text(name: &str, proof: &Proof) -> String {
    let head = format!("{}: {} envelopes, none of them verified here\n", plain::line(name), proof.envelopes.len());
    let mut page = Page { text: head, inputs: None };
    let mut evidence = by_payload(proof);
    for (number, envelope) in (1..).zip(&proof.envelopes) {
        page.text.push_str(&format!("\nenvelope {number}\n"));
        let evidence = evidence.remove(&envelope.payload_digest()).unwrap_or_default();
        page.envelope(number, envelope, proof, &evidence);
    }
    if !proof.recorded.is_empty() {
        page.text.push_str("\nwhat logs say that they have\n");
        page.some(&proof.recorded, Page::recorded);
    }
    page.text
}

/// Text that grows by lines.
struct Page {
    text: String,
    /// The inputs that were shown last, and of which envelope they are: most builds of a proof have the same.
    inputs: Option<(usize, Vec<ResourceDescriptor>)>,
}

impl Page {
    fn line(&mut self, label: &str, value: impl AsRef<str>) {
        self.text.push_str(&format!("  {label:<18} {}\n", plain::line(value.as_ref())));
    }

    /// The first of `all`, and how many more there are.
    fn some<T>(&mut self, all: &[T], show: impl Fn(&mut Self, &T)) {
        all.iter().take(SHOWN).for_each(|each| show(self, each));
        if all.len() > SHOWN {
            self.line("", format!("and {} more; --json has them", all.len() - SHOWN));
        }
    }

    fn envelope(&mut self, number: usize, envelope: &Envelope, proof: &Proof, evidence: &[&Evidence]) {
        self.line("names the key", envelope.keyid().to_string());
        let logged = proof.logged.iter().filter(|logged| logged.is_of(envelope)).count();
        if logged > 0 {
            self.line("logs", format!("{logged} are said to have it"));
        }
        for seen in proof.timestamped.iter().filter(|seen| seen.is_of(envelope)) {
            self.line("timestamp", seen.time().map_or_else(|e| e.to_string(), |at| at.to_string()));
        }
        self.some(evidence, |page, evidence| page.line("evidence", evidence_text(evidence)));
        match Statement::from_payload(envelope.payload()) {
            Ok(statement) => self.statement(number, &statement),
            Err(why) => self.line("holds", format!("no statement that is known: {why}")),
        }
    }

    fn statement(&mut self, number: usize, statement: &Statement) {
        self.line(
            "says",
            match &statement.predicate {
                Predicate::Provenance(_) => "how something was built",
                Predicate::Comparison(_) => "what comparing rebuilds came to",
                Predicate::Unbuildable(_) => "that rebuilding failed",
            },
        );
        self.some(&statement.subject, |page, subject| {
            page.line("of", format!("{}, sha256 {}", subject.name, subject.digest.sha256));
        });
        self.inputs(number, inputs(&statement.predicate));
        match &statement.predicate {
            Predicate::Provenance(provenance) => {
                let (inside, run) = (&provenance.build_definition.internal_parameters, &provenance.run_details);
                let level = inside.enforced.level().map_or("below basic", IsolationLevel::name);
                self.line("isolation", format!("{}, {level}", inside.isolation.said()));
                if let Some(inside) = &inside.machine {
                    self.line("machine", machine(inside));
                }
                let conditions = &inside.conditions;
                self.line("build path", &conditions.build_path);
                self.line("host name", &conditions.hostname);
                self.line("processors", conditions.processors.to_string());
                self.line("started on", run.metadata.started_on.to_string());
            }
            Predicate::Comparison(comparison) => self.comparison(comparison),
            Predicate::Unbuildable(failure) => {
                self.line("verdict", failure.verdict.name());
                self.rebuilder(&failure.rebuilder);
                for attempt in &failure.attempts {
                    self.line("build", render::ended(attempt.exit));
                }
                self.line("attempted on", failure.attempted_on.to_string());
            }
        }
    }

    fn inputs(&mut self, number: usize, inputs: &[ResourceDescriptor]) {
        match &self.inputs {
            _ if inputs.is_empty() => {}
            Some((before, same)) if same == inputs => self.line("inputs", format!("those of envelope {before}")),
            _ => {
                self.some(inputs, |page, input| {
                    let purl = input.uri.as_ref().map(|purl| format!(" ({purl})")).unwrap_or_default();
                    page.line("input", format!("{}{purl}, sha256 {}", input.name, input.digest.sha256));
                });
                self.inputs = Some((number, inputs.to_vec()));
            }
        }
    }

    fn comparison(&mut self, comparison: &Comparison) {
        let details = &comparison.details;
        self.line("verdict", comparison.verdict.name());
        self.rebuilder(&comparison.rebuilder);
        self.line("rebuilds", comparison.rebuilds.len().to_string());
        self.line("compared on", comparison.compared_on.to_string());
        self.line("findings", details.findings.len().to_string());
        for line in render::findings(&details.findings, Some((details, &Asked::new()))).lines() {
            self.text.push_str(&format!("  {line}\n"));
        }
    }

    fn rebuilder(&mut self, rebuilder: &Rebuilder) {
        for (label, name) in [("calls itself", &rebuilder.operator), ("on", &rebuilder.platform)] {
            if let Some(name) = name {
                self.line(label, name);
            }
        }
    }

    fn recorded(&mut self, recorded: &RecordedSubject) {
        let Said { checkpoint, subject, time, count, .. } = match recorded.said() {
            Ok(said) => said,
            Err(why) => return self.line("recorded", why.to_string()),
        };
        let listed = recorded.entries.len();
        let besides = if listed as u64 == count { String::new() } else { format!("; the proof lists {listed}") };
        self.line("recorded", format!("{count} entries on sha256 {subject}{besides}"));
        let (origin, size, root) = (&checkpoint.origin, checkpoint.size, checkpoint.root_text());
        self.line("", format!("by {origin}, up to its checkpoint of {size} entries with the root {root}"));
        self.line("", format!("on {}, by its clock", render::date(time)));
    }
}

/// A virtual machine in one line.
pub(crate) fn machine(machine: &Machine) -> String {
    let emulated = if machine.engine == Engine::QemuTcg { ", a processor that is EMULATED" } else { "" };
    format!("{}{emulated}; kernel sha256 {}", machine.engine.name(), machine.kernel.sha256)
}
