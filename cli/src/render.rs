// SPDX-License-Identifier: Apache-2.0
//! Verdicts, findings and audited proofs as text. Understandable without colour; words first, digests last.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reprove_attest::{SigningKey, Trust, VerifiedProof};
use reprove_job::Finished;
use reprove_model::{
    Between, BuildRecord, Cause, Digest, DigestSet, EpochOrigin, EpochUsed, Finding, Isolation, Outcome, Package,
    Variation, Verdict,
};
use reprove_store::Store;
use serde_json::json;

use crate::app::{App, absolute};
use crate::commands::VerdictArguments;
use crate::error::{CommandError, NO, YES};
use crate::{keys, output};

/// What `rebuild` and `check` share: before the job, and after it.
pub(crate) struct Verdicted {
    pub(crate) store: Store,
    pub(crate) key: SigningKey,
    output: Option<PathBuf>,
    artifacts: Option<PathBuf>,
}

impl Verdicted {
    /// Opens the store, and loads the key or makes it.
    pub(crate) fn prepare(app: &App, arguments: VerdictArguments) -> Result<Self, CommandError> {
        let store = app.store()?;
        let path = keys::path(arguments.key.as_deref())?;
        let (key, made) = keys::load_or_make(&path)?;
        if made {
            let text = format!("made a key to sign with, {}; it is a plain local one: not encrypted", path.display());
            app.progress.note(&text);
        }
        Ok(Self { store, key, output: arguments.output, artifacts: arguments.artifacts })
    }

    /// Writes the proof, and prints the verdict.
    pub(crate) fn finish(self, app: &App, name: &str, finished: &Finished) -> Result<u8, CommandError> {
        let proof = self.output.clone().unwrap_or_else(|| proof_name(&finished.lock.recipe.package).into());
        if let Some(folder) = &self.artifacts {
            copy_artifacts(&self.store, finished, &absolute(folder)?)?;
        }
        output::file(&absolute(&proof)?, &finished.proof)?;
        app.progress.clear();
        let keyid = self.key.public_key().id().to_string();
        let verdict = &finished.verdict;
        if app.global.json {
            output::json(&json!({
                "name": name,
                "verdict": verdict,
                "published": finished.lock.published,
                "rebuilds": finished.records.iter().map(|record| json!({
                    "outputs": record.outputs.digest(),
                    "durationMs": record.duration_ms,
                    "peakMemory": record.peak_memory,
                    "conditions": record.conditions,
                })).collect::<Vec<_>>(),
                "isolation": finished.records[0].isolation,
                "proof": proof,
                "keyid": keyid,
            }))?;
        } else {
            let mut text = self::verdict(name, verdict);
            text.push_str(&facts(finished));
            text.push_str(&format!("  {:<18} {}, signed by {keyid}\n", "proof", proof.display()));
            output::text(&text)?;
        }
        Ok(if verdict.outcome == Outcome::Reproducible { YES } else { NO })
    }
}

fn proof_name(package: &Package) -> String {
    let version = package.version.iter().map(|version| format!("-{version}")).collect::<String>();
    format!("{}{version}.proof.json", package.name)
}

/// Copies what was published to `published/`, and the first rebuild's outputs to `rebuilt/`.
fn copy_artifacts(store: &Store, finished: &Finished, folder: &Path) -> Result<(), CommandError> {
    let copy = |digest: &Digest, to: &Path| {
        let parent = to.parent().unwrap_or(folder);
        let fail = |e: std::io::Error| CommandError::cannot(format!("can't write {}: {e}", to.display()));
        std::fs::create_dir_all(parent).map_err(fail)?;
        let mut from = store.open_blob(digest)?;
        let mut file = std::fs::File::create(to).map_err(fail)?;
        std::io::copy(&mut from, &mut file).map(drop).map_err(fail)
    };
    if let Some(published) = &finished.lock.published {
        copy(&published.digest.blake3, &folder.join("published").join(published.name.as_str()))?;
    }
    for (path, digest, _) in finished.records[0].outputs.files() {
        copy(&digest.blake3, &folder.join("rebuilt").join(path.as_path()))?;
    }
    Ok(())
}

/// The verdict's word, what it is about, and every finding.
fn verdict(name: &str, verdict: &Verdict) -> String {
    let mut text = format!("{}  {name}\n\n", word(verdict.outcome));
    if !verdict.findings.is_empty() {
        text.push_str(&findings(&verdict.findings));
        text.push('\n');
    }
    text
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Reproducible => "reproducible",
        Outcome::Different => "different",
    }
}

fn facts(finished: &Finished) -> String {
    let [first, _] = &finished.records;
    let verdict = &finished.verdict;
    let mut lines = Vec::new();
    if let Some(published) = &finished.lock.published {
        let says = match verdict.matches_published {
            Some(true) => "comes out of its source bit for bit",
            _ => "is not what came out of its source",
        };
        lines.push(("published", format!("{} {says}", published.name)));
        lines.push(("", format!("sha256 {}", published.digest.sha256)));
    }
    lines.push(("built twice", built_twice(verdict)));
    lines.push(("", times(&finished.records)));
    lines.push(("SOURCE_DATE_EPOCH", epoch(&verdict.source_date_epoch)));
    lines.push(("isolation", isolation(first.isolation)));
    lines.into_iter().map(|(label, line)| format!("  {label:<18} {line}\n")).collect()
}

fn built_twice(verdict: &Verdict) -> String {
    let names: Vec<&str> = verdict.varied.iter().map(|variation| variation.name()).collect();
    let same = if verdict.rebuilds_agree { "the same bytes" } else { "other bytes" };
    format!("{same}, with another {}", listed(&names))
}

fn times(records: &[BuildRecord; 2]) -> String {
    let seconds = |record: &BuildRecord| {
        let hundredths = record.duration_ms / 10;
        format!("{}.{:02} s", hundredths / 100, hundredths % 100)
    };
    format!("in {} and {}", seconds(&records[0]), seconds(&records[1]))
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn epoch(used: &EpochUsed) -> String {
    let value = match used.seconds {
        None => "not set".to_owned(),
        Some(seconds) => format!("{seconds} ({})", date(seconds)),
    };
    let matched = used.tried.last().is_some_and(|last| last.matched);
    match (used.origin, matched) {
        (EpochOrigin::Recipe, _) => format!("{value}, as the recipe says"),
        (EpochOrigin::SearchUnset, true) => format!("{value}; matched at the first try of a search"),
        (EpochOrigin::SearchUnset, false) => format!("{value}; the artifact has no timestamp to derive one from"),
        (EpochOrigin::PublishedArtifact, true) => {
            format!("{value}; derived from the published artifact, after not setting it did not match")
        }
        (EpochOrigin::PublishedArtifact, false) => {
            format!("{value}; derived from the published artifact; neither it nor not setting it matched")
        }
    }
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "out of range".into(), |time| time.to_string())
}

fn isolation(isolation: Isolation) -> String {
    format!("{}; holds as long as {}", isolation.name(), Trust::of(isolation).holds_as_long_as)
}

/// Text that came from elsewhere, without what a terminal would act on.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// How many of a finding's details are shown as text; `--json` has more.
const SHOWN_DETAILS: usize = 10;
/// How many findings are shown as text.
const SHOWN_FINDINGS: usize = 50;

/// Findings, one paragraph each.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().take(SHOWN_FINDINGS) {
        let (left, right) = match finding.between {
            Between::PublishedAndRebuilt => ("published", "rebuilt"),
            Between::Rebuilds => ("first rebuild", "second rebuild"),
            Between::Given => ("left", "right"),
        };
        let (place, kind, summary) = (plain(&finding.place), finding.kind.name(), plain(&finding.summary));
        text.push_str(&format!("  {place}\n    {kind}: {summary}\n"));
        for detail in finding.details.iter().take(SHOWN_DETAILS) {
            let [at, on_left, on_right] = [&detail.at, &detail.left, &detail.right].map(|text| plain(text));
            text.push_str(&format!(
                "    {at}
      {left}: {on_left}
      {right}: {on_right}
"
            ));
        }
        let hidden = finding.count.saturating_sub(finding.details.len().min(SHOWN_DETAILS) as u64);
        if hidden > 0 && !finding.details.is_empty() {
            text.push_str(&format!("    and {hidden} more\n"));
        }
        finding.causes.iter().for_each(|c| text.push_str(&format!("    cause: {}\n", cause(c))));
        if finding.causes.is_empty() && finding.between == Between::Rebuilds {
            text.push_str("    cause: not found; no single condition makes this difference by itself\n");
        }
    }
    if findings.len() > SHOWN_FINDINGS {
        text.push_str(&format!("  and {} more findings; --json has them\n", findings.len() - SHOWN_FINDINGS));
    }
    text
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Varied { variation, .. } => {
            let mend = match variation {
                Variation::BuildPath => "map it away, with gcc's -ffile-prefix-map or the like, or don't embed it",
                Variation::Clock => "take the time from SOURCE_DATE_EPOCH, or don't embed it",
                Variation::FileOrder => "sort what directories list",
                Variation::Hostname => "don't embed it",
                Variation::Processors => "make the result independent of what is finished first",
            };
            format!("the {}; changing it alone changes this ({mend})", variation.name())
        }
        Cause::Unstable { .. } => {
            "the build itself: it differs with nothing changed on purpose (time passing, randomness or a race)".into()
        }
    }
}

/// What a verified proof proves, and what has to be trusted for it.
pub(crate) fn audited(proof_name: &str, verified: &VerifiedProof) -> String {
    let verdict = verified.verdict();
    let mut text = format!("verified  {proof_name}: {}\n\n", word(verdict.outcome));
    if verdict.outcome == Outcome::Different {
        text.push_str("  The proof is genuine. What it proves is a difference:\n\n");
        text.push_str(&findings(&verdict.findings));
        text.push('\n');
    }
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<18} {value}\n"));
    for subject in verified.subject() {
        let checked = verified.artifacts().iter().any(|artifact| artifact.subject() == subject.name);
        let note = if checked { "the file given is this one" } else { "no file was given to compare with it" };
        line("subject", format!("{}: {note}", plain(&subject.name)));
        line("", digests(&subject.digest));
    }
    for signer in verified.signers() {
        line("signed by", signer.to_string());
    }
    line("built twice", built_twice(verdict));
    line("SOURCE_DATE_EPOCH", epoch(&verdict.source_date_epoch));
    line("compared on", format!("{}, by the rebuilder's clock", verified.compared_on()));
    let trust = verified.trust();
    line("isolation", verified.isolation().name().into());
    line("claim", trust.claim.into());
    line("holds as long as", trust.holds_as_long_as.into());
    line("does not need", trust.does_not_need.into());
    text
}

fn digests(digest: &DigestSet) -> String {
    format!("sha256 {}", digest.sha256)
}
