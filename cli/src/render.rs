// SPDX-License-Identifier: Apache-2.0
//! Verdicts, findings and audited proofs as text. Understandable without colour; words first, digests last.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reprove_attest::{Annotations, Trust, VerifiedFailure, VerifiedProof};
use reprove_job::{BuiltOnce, Finished};
use reprove_model::{
    Between, BuildRecord, Clock, Content, Derived, Detail, DigestSet, Enforced, EpochOrigin, EpochRule, EpochUsed,
    Exit, Finding, FindingKind, HeldBy, Input, Isolation, IsolationLevel, Loss, Node, Outcome, PackageUrl, Published,
    Recipe, Role, ToolsAttempt, TreePath, Variation, Verdict,
};
use reprove_verifier::compare::{Comparison, Level};

use crate::causes::{self, Asked};
use crate::{observed, plain};

/// The verdict's word, what it is about, and every finding.
pub(crate) fn verdict(name: &str, verdict: &Verdict, asked: &Asked) -> String {
    let mut text = format!("{}  {}\n\n", word(verdict.outcome), plain::line(name));
    if !verdict.findings.is_empty() {
        text.push_str(&findings(&verdict.findings, Some((verdict, asked))));
        if has_only_other_times(verdict) {
            text.push_str("  next: set `build.source-date-epoch = { at = SECONDS }` in the recipe\n");
        }
        text.push('\n');
    }
    text
}

/// Whether a project that is built without `SOURCE_DATE_EPOCH` differs in nothing but the times in archives.
fn has_only_other_times(verdict: &Verdict) -> bool {
    let used = &verdict.source_date_epoch;
    let is_unset = used.origin == EpochOrigin::Recipe && used.seconds.is_none();
    let are_times = verdict.findings.iter().all(|finding| finding.kind == FindingKind::ZipEntryTimes);
    is_unset && verdict.matches_published.is_none() && !verdict.findings.is_empty() && are_times
}

/// The outcome, as people say it.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Reproducible => "reproducible",
        Outcome::Different => "different",
    }
}

/// How many files of one build's outputs are shown as text; the record has all.
const SHOWN_FILES: usize = 10;

/// What one build gave, how it was built, and whom one has to believe. `digest` is the record's.
pub(crate) fn built(name: &str, built: &BuiltOnce, digest: &DigestSet) -> String {
    let BuiltOnce { lock, record, .. } = built;
    let mut lines = outputs(record, "record.json has them");
    let seconds = match lock.recipe.build.source_date_epoch {
        EpochRule::At(seconds) => Some(seconds),
        EpochRule::Unset | EpochRule::Search => None,
    };
    let used = EpochUsed { seconds, origin: EpochOrigin::Recipe, tried: Vec::new() };
    lines
        .push(("built once", format!("in {}; `reprove check` says whether it comes out the same again", time(record))));
    lines.push(("SOURCE_DATE_EPOCH", epoch(&used)));
    lines.extend(answered([(record.conditions.clock, record.undetermined.as_ref())].into_iter()));
    lines.push(("isolation", isolation(record.isolation)));
    lines.push(("", enforced(&record.enforced)));
    lines.extend(record.machine.as_ref().map(|machine| ("machine", plain::line(&crate::shown::machine(machine)))));
    lines.push(("record", digests(digest)));
    let head = format!("built  {}\n\n", plain::line(name));
    lines.into_iter().fold(head, |text, (label, line)| format!("{text}  {label:<18} {line}\n"))
}

/// What to know of such a package besides.
fn beyond(published: &Published, matches: bool) -> Option<&'static str> {
    let has = |derived| published.derived.contains(&derived);
    let is_debian = published.purl.as_ref().is_some_and(|purl| purl.kind() == "deb");
    match matches {
        true if has(Derived::Contents) => {
            Some("an audit says yes to that where it is asked with --accept own-contents")
        }
        false if is_debian && !has(Derived::Tools) => {
            Some("which packages its builder had is not known; where you have its .buildinfo: --buildinfo FILE")
        }
        _ => None,
    }
}

/// The first files of a build's outputs.
fn outputs(record: &BuildRecord, where_all_are: &str) -> Vec<(&'static str, String)> {
    let file = |(path, node): (_, &Node)| match node {
        Node::File { size, digest, .. } => Some((path, *size, *digest)),
        Node::Directory { .. } | Node::Symlink { .. } => None,
    };
    let files: Vec<(&TreePath, u64, DigestSet)> = record.outputs.entries().iter().filter_map(file).collect();
    let mut lines = Vec::new();
    for (path, size, digest) in files.iter().take(SHOWN_FILES) {
        lines.push(("output", format!("{}, {size} bytes", plain::line(&path.to_string()))));
        lines.push(("", digests(digest)));
    }
    if files.len() > SHOWN_FILES {
        lines.push(("", format!("and {} more files; {where_all_are}", files.len() - SHOWN_FILES)));
    }
    lines
}

/// What was built, where that is a file that somebody else can have too.
fn source(name: &str, purl: Option<&PackageUrl>, digest: &DigestSet) -> [(&'static str, String); 2] {
    let purl = purl.map(|purl| format!(", {purl}")).unwrap_or_default();
    [("source", plain::line(&format!("{name}{purl}"))), ("", format!("sha256 {}", digest.sha256))]
}

/// What was published, how it was built, and whom one has to believe.
pub(crate) fn facts(finished: &Finished) -> String {
    let [first, _] = &finished.records;
    let verdict = &finished.verdict;
    let mut lines = Vec::new();
    if let Some(published) = &finished.lock.published {
        let says = match verdict.matches_published {
            Some(true) if published.derived.contains(&Derived::Contents) => "comes out of its own contents bit for bit",
            Some(true) => "comes out of its source bit for bit",
            _ if published.derived.contains(&Derived::Contents) => "is not what its own contents are packed to",
            _ => "is not what came out of its source",
        };
        lines.push(("published", format!("{} {says}", plain::line(published.name.as_str()))));
        lines.push(("", format!("sha256 {}", published.digest.sha256)));
        let is_source = |input: &&Input| input.role == Role::Source && !matches!(input.content, Content::Tree { .. });
        for input in finished.lock.inputs.iter().filter(is_source) {
            lines.extend(source(input.name.as_str(), input.purl.as_ref(), input.content.digest()));
        }
        lines.extend(taken(published).map(|text| ("taken from it", text)));
        lines.extend(beyond(published, verdict.matches_published == Some(true)).map(|text| ("", text.to_owned())));
    } else if verdict.outcome == Outcome::Reproducible {
        lines.extend(outputs(first, "--artifacts DIR keeps all"));
    }
    lines.extend(tools(verdict).map(|text| ("tools", text)));
    lines.push(("built twice", built_twice(verdict, SHOWN_KEPT)));
    lines.extend(pinned(&finished.lock.recipe).map(|line| ("pinned", line)));
    lines.push(("", times(&finished.records)));
    lines.push(("SOURCE_DATE_EPOCH", epoch(&verdict.source_date_epoch)));
    lines.extend(answered(
        finished.records.iter().map(|record| (record.conditions.clock, record.undetermined.as_ref())),
    ));
    lines.push(("isolation", isolation(first.isolation)));
    lines.push(("", enforced(&first.enforced)));
    lines.extend(first.machine.as_ref().map(|machine| ("machine", plain::line(&crate::shown::machine(machine)))));
    lines.into_iter().map(|(label, line)| format!("  {label:<18} {line}\n")).collect()
}

/// What of the recipe and the inputs was taken from what was published.
fn taken(published: &Published) -> Option<String> {
    let mut taken: Vec<String> = published.derived.iter().map(|derived| derived.said().to_owned()).collect();
    let (all, given) = (published.parts.len(), published.parts.iter().filter(|part| part.in_source).count());
    if given > 0 {
        taken.push(format!(
            "{given} of the {all} files that it names lie in the source or are other inputs: nothing is stated of them"
        ));
    }
    (!taken.is_empty()).then(|| taken.join("; "))
}

/// Which tools were tried, and which came out as published.
fn tools(verdict: &Verdict) -> Option<String> {
    let (last, before) = verdict.tools_tried.split_last()?;
    let names = |tried: &[ToolsAttempt]| tried.iter().map(|one| plain::line(&one.name)).collect::<Vec<_>>();
    Some(match before {
        _ if !last.matched => format!("none of {} gives the same", listed(&names(&verdict.tools_tried))),
        [] => plain::line(&last.name),
        before => format!("{}; not {}", plain::line(&last.name), listed(&names(before))),
    })
}

/// How many conditions that were not varied are named where not all are.
const SHOWN_KEPT: usize = 3;

/// `most`: how many conditions that were not varied are named.
fn built_twice(verdict: &Verdict, most: usize) -> String {
    let names: Vec<&str> = verdict.varied.iter().map(|variation| variation.name()).collect();
    let same = if verdict.rebuilds_agree { "the same bytes" } else { "other bytes" };
    // Every build has entropy of its own.
    let is_kept = |v: &&Variation| !verdict.varied.contains(v) && **v != Variation::Entropy;
    let kept: Vec<&str> = Variation::ALL.iter().filter(is_kept).map(|v| v.name()).collect();
    let kept = match kept.split_at_checked(most) {
        None if kept.is_empty() => String::new(),
        Some((first, more)) if more.len() > 1 => {
            format!("; not varied: {} and {} others (--vary names them)", first.join(", "), more.len())
        }
        _ => format!("; not varied: {}", listed(&kept)),
    };
    format!("{same}, with another {}{kept}", listed(&names))
}

/// Which conditions the recipe keeps the same, and why.
fn pinned(recipe: &Recipe) -> impl Iterator<Item = String> {
    recipe.pinned.iter().map(|(variation, why)| format!("the {}: {}", variation.name(), plain::line(why)))
}

fn times(records: &[BuildRecord; 2]) -> String {
    format!("in {} and {}", time(&records[0]), time(&records[1]))
}

fn time(record: &BuildRecord) -> String {
    let hundredths = record.duration_ms / 10;
    format!("{}.{:02} s", hundredths / 100, hundredths % 100)
}

/// Names as one says them.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
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

/// A time of this many seconds since 1970, as people read it.
pub(crate) fn date(seconds: u64) -> String {
    instant(seconds).map_or_else(|| "out of range".into(), |time| time.to_string())
}

/// The time of this many seconds since 1970; `None`: past all that can be written.
pub(crate) fn instant(seconds: u64) -> Option<Timestamp> {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
}

/// What builds show in which the runner answers, and where they were told what the machine says; none where they were no such
/// builds, or where they are no deterministic ones and were told so everywhere.
fn answered<'a>(builds: impl Iterator<Item = (Clock, Option<&'a BTreeSet<Loss>>)>) -> Option<(&'static str, String)> {
    let builds: Vec<_> = builds.collect();
    let why: BTreeSet<&Loss> = builds.iter().filter_map(|(_, undetermined)| *undetermined).flatten().collect();
    let is_fixed = builds.iter().any(|(clock, _)| matches!(clock, Clock::Fixed(_)));
    let where_not = why.iter().map(observed::word).collect::<Vec<_>>().join(", ");
    let told = "clock, entropy and machine were the recipe's; this says nothing of builds where they are the machine's";
    match (is_fixed, why.is_empty()) {
        (true, true) => Some(("deterministic", told.into())),
        (true, false) => Some(("deterministic", format!("{told}; but not everywhere: {where_not}"))),
        (false, true) => None,
        (false, false) => {
            Some(("conditions", format!("not every program saw those that the runner answers for: {where_not}")))
        }
    }
}

/// Which walls and limits held, so that nobody takes a weak run for a strong one.
fn enforced(enforced: &Enforced) -> String {
    let level = enforced.level().map_or("below `basic`", IsolationLevel::name);
    let missing: Vec<&str> = [
        (enforced.filter, "a filter of system calls"),
        (enforced.namespaces.len() == Enforced::NAMESPACES.len(), "a namespace of each kind"),
        (enforced.landlock >= Enforced::LANDLOCK_SCOPES, "Landlock"),
        (enforced.separate_user, "a user of its own"),
        (enforced.separate_groups, "no groups of its caller's"),
        (enforced.memory == HeldBy::ControlGroup, "a limit of memory by a control group"),
        (enforced.processes == HeldBy::ControlGroup, "a limit of processes by a control group"),
    ]
    .into_iter()
    .filter_map(|(held, name)| (!held).then_some(name))
    .collect();
    if missing.is_empty() { level.to_owned() } else { format!("{level}; without: {}", listed(&missing)) }
}

fn isolation(isolation: Isolation) -> String {
    format!("{}; holds as long as {}", isolation.said(), Trust::unjudged(isolation).holds_as_long_as)
}

/// How many of a finding's details are shown as text; `--json` has more.
const SHOWN_DETAILS: usize = 10;
/// How many findings are shown as text.
const SHOWN_FINDINGS: usize = 50;

/// Findings, one paragraph each.
///
/// `verdict` is what they are part of, where they are, and what was seen beside it; it says where causes were looked for.
pub(crate) fn findings(findings: &[Finding], verdict: Option<(&Verdict, &Asked)>) -> String {
    let mut text = String::new();
    let mut said = BTreeSet::new();
    for finding in findings.iter().take(SHOWN_FINDINGS) {
        text.push_str(&format!("  {}\n", plain::line(&finding.place)));
        text.push_str(&paragraph(finding, findings, verdict.map(|(verdict, asked)| (verdict, asked, &mut said))));
    }
    text.push_str(&omitted(findings));
    text
}

/// Findings as a tree: what is inside a container is below it, once.
fn tree(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut above: Vec<&str> = Vec::new();
    for finding in findings.iter().take(SHOWN_FINDINGS) {
        let places: Vec<&str> = finding.place.split('!').collect();
        let same = above.iter().zip(&places).take_while(|(a, b)| a == b).count();
        for (depth, place) in places.iter().enumerate().skip(same) {
            text.push_str(&format!("{}{}\n", "  ".repeat(depth + 1), plain::line(place)));
        }
        for line in paragraph(finding, findings, None).lines() {
            text.push_str(&format!("{}{line}\n", "  ".repeat(places.len() - 1)));
        }
        above = places;
    }
    text.push_str(&omitted(findings));
    text
}

fn omitted(findings: &[Finding]) -> String {
    match findings.len().saturating_sub(SHOWN_FINDINGS) {
        0 => String::new(),
        more => format!("  and {more} more findings; --json has them\n"),
    }
}

/// What one of `findings` says, but for its place.
fn paragraph(
    finding: &Finding,
    findings: &[Finding],
    verdict: Option<(&Verdict, &Asked, &mut BTreeSet<String>)>,
) -> String {
    let (left, right) = match finding.between {
        Between::PublishedAndRebuilt => ("published", "rebuilt"),
        Between::Rebuilds => ("first rebuild", "second rebuild"),
        Between::Given => ("left", "right"),
    };
    let mut text = format!("    {}: {}\n", finding.kind.name(), plain::line(&finding.summary));
    if finding.kind == FindingKind::ZipEntryTimes && is_alone(finding, findings) {
        text.push_str("    everything else in it is the same, byte for byte\n");
    }
    if let Some((verdict, asked, said)) = verdict {
        causes::lines(finding, verdict, asked, said).iter().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    // What people can read comes first.
    let readable = |detail: &&Detail| detail.left.starts_with('"') || detail.right.starts_with('"');
    let (first, rest): (Vec<_>, Vec<_>) = finding.details.iter().partition(readable);
    for detail in first.into_iter().chain(rest).take(SHOWN_DETAILS) {
        let [at, on_left, on_right] = [&detail.at, &detail.left, &detail.right].map(|text| plain::line(text));
        text.push_str(&format!("    {at}\n      {left}: {on_left}\n      {right}: {on_right}\n"));
    }
    let hidden = finding.count.saturating_sub(finding.details.len().min(SHOWN_DETAILS) as u64);
    if hidden > 0 && !finding.details.is_empty() {
        text.push_str(&format!("    and {hidden} more\n"));
    }
    text
}

/// Whether nothing else was found in the same archive, nor in anything inside it.
fn is_alone(finding: &Finding, findings: &[Finding]) -> bool {
    let inside = format!("{}!", finding.place);
    let same = |other: &&Finding| {
        other.between == finding.between && (other.place == finding.place || other.place.starts_with(&inside))
    };
    findings.iter().filter(same).count() == 1
}

/// What comparing two things came to: the word, what makes them equal, then every finding.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let Comparison { level, normalizations, findings: found } = comparison;
    let names: Vec<&str> = normalizations.iter().map(|each| each.name.as_str()).collect();
    match level {
        Level::BitIdentical => "identical\n".to_owned(),
        Level::NormalizedEqual | Level::CodeEqual => {
            let but = format!("equal once {} {} left out", listed(&names), if names.len() == 1 { "is" } else { "are" });
            format!("different, and {but} ({})\n\n{}", level.name(), tree(found))
        }
        Level::Different => format!("different\n\n{}", tree(found)),
    }
}

/// What a verified proof proves, and what has to be trusted for it.
pub(crate) fn audited(proof_name: &str, verified: &VerifiedProof) -> String {
    let verdict = verified.verdict();
    let unchecked = if verified.artifacts().is_empty() { " (no file was given to compare with it)" } else { "" };
    let mut text = format!("verified  {}: {}{unchecked}\n\n", plain::line(proof_name), word(verdict.outcome));
    if verdict.outcome == Outcome::Different {
        text.push_str(
            "  The proof is genuine. What it proves is a difference; what caused it is the rebuilder's word:\n\n",
        );
        text.push_str(&findings(&verdict.findings, Some((verdict, &Asked::new()))));
        text.push('\n');
    }
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<18} {value}\n"));
    for subject in verified.subject() {
        let checked = verified.artifacts().iter().any(|artifact| artifact.subject() == subject.name);
        let note = if checked { "the file given is this one" } else { "no file was given to compare with it" };
        line("subject", format!("{}: {note}", plain::line(&subject.name)));
        line("", digests(&subject.digest));
    }
    let inputs = verified.provenances().take(1).flat_map(|first| &first.build_definition.resolved_dependencies);
    for input in inputs.filter(|_| verified.published().is_some()) {
        let annotations = input.annotations.as_ref();
        if let Some(Annotations::File { role, .. } | Annotations::Archive { role, .. }) = annotations
            && *role == Role::Source
        {
            source(&input.name, input.uri.as_ref(), &input.digest)
                .into_iter()
                .for_each(|(label, text)| line(label, text));
        }
    }
    if let Some(text) = verified.published().and_then(taken) {
        line("taken from it", text);
    }
    if let Some(text) = tools(verdict) {
        line("tools", text);
    }
    for signer in verified.signers() {
        line("signed by", signer.to_string());
    }
    line("built twice", built_twice(verdict, Variation::ALL.len()));
    pinned(verified.recipe()).for_each(|text| line("pinned", text));
    line("SOURCE_DATE_EPOCH", epoch(&verdict.source_date_epoch));
    let parameters = || verified.provenances().map(|p| &p.build_definition.internal_parameters);
    if let Some((label, text)) = answered(parameters().map(|p| (p.conditions.clock, p.undetermined.as_ref()))) {
        line(label, text);
    }
    line("compared on", format!("{}, by the rebuilder's clock", verified.compared_on()));
    let trust = verified.trust();
    line("isolation", verified.isolation().said());
    let walls = parameters().map(|each| &each.enforced);
    if let Some(weakest) = walls.min_by_key(|walls| walls.level()) {
        line("", enforced(weakest));
    }
    line("claim", trust.claim.into());
    line("holds as long as", trust.holds_as_long_as.into());
    line("does not need", trust.does_not_need.into());
    text
}

/// What a verified proof of failure proves.
pub(crate) fn unbuildable(proof_name: &str, verified: &VerifiedFailure) -> String {
    let failure = verified.failure();
    let mut text = format!("verified  {}: unbuildable\n\n", plain::line(proof_name));
    text.push_str("  The proof is genuine. What it proves is that rebuilding failed, and nothing of the artifact.\n\n");
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<18} {value}\n"));
    let subject = verified.subject();
    let checked = !verified.artifacts().is_empty();
    let note = if checked { "the file given is this one" } else { "no file was given to compare with it" };
    line("subject", format!("{}: {note}", plain::line(&subject.name)));
    line("", digests(&subject.digest));
    line("signed by", verified.signer().to_string());
    for attempt in &failure.attempts {
        line("build", ended(attempt.exit));
    }
    line("attempted on", format!("{}, by the rebuilder's clock", failure.attempted_on));
    line("isolation", failure.isolation.said());
    text
}

/// How a build ended.
pub(crate) fn ended(exit: Exit) -> String {
    match exit {
        Exit::Success => "ended well".into(),
        Exit::Status { step, status, .. } => format!("step {} ended with status {status}", step.saturating_add(1)),
        Exit::Signal { step, signal, .. } => format!("step {} was ended by signal {signal}", step.saturating_add(1)),
        Exit::TimeOut => "was ended after its limit of time".into(),
    }
}

fn digests(digest: &DigestSet) -> String {
    format!("sha256 {}", digest.sha256)
}
