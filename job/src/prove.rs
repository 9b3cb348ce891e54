// SPDX-License-Identifier: Apache-2.0
//! From a lock to a signed verdict.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reprove_attest::evidence::Evidence;
use reprove_attest::{AttestError, Proof, Signer};
use reprove_images::RootFilesystem;
use reprove_model::{BuildRecord, Clock, EpochUsed, Lock, ToolsAttempt, Verdict};
use reprove_runner::Built;
use reprove_verifier::{Wanted, conditions, judge};

use crate::builds::{Builds, Label, in_seconds};
use crate::causes::{asked_for, with_causes};
use crate::confidential::ConfidentialError;
use crate::dated::at_its_own_time;
use crate::epoch::candidates;
use crate::keep::keep;
use crate::mending::try_mends;
use crate::{BuildFailure, Context, Event, Finished, JobError, blocking, still_the_same};

/// Builds `lock` under two sets of conditions, judges, looks for causes, and signs with `key`.
pub(crate) async fn prove(
    context: &Context<'_>,
    key: &Arc<dyn Signer>,
    lock: Lock,
    root: RootFilesystem,
    wanted: Wanted,
) -> Result<Finished, JobError> {
    let machine = context.machine(&root).await?;
    let source = context.source_files(&lock).await?;
    let builds = Builds::new(context, &lock, &root, &source, machine);
    prove_begun(&builds, key, &wanted, None).await
}

/// A first build that was made already, and what else was tried before it.
pub(crate) struct Begun {
    pub(crate) first: Built,
    pub(crate) epoch: EpochUsed,
    pub(crate) tried: Vec<ToolsAttempt>,
}

/// As [`prove`], where the first build may have been made already.
pub(crate) async fn prove_begun(
    builds: &Builds<'_>,
    key: &Arc<dyn Signer>,
    wanted: &Wanted,
    begun: Option<Begun>,
) -> Result<Finished, JobError> {
    let Builds { context, lock, .. } = *builds;
    match verdict(builds, wanted, begun).await {
        Ok((built, verdict)) => {
            let finished = finish(context, key, lock.clone(), built, verdict).await?;
            // Nothing of this is in the proof, which is there now, whatever comes of it.
            let [first, second] = &finished.records;
            let asked = asked_for(context, &finished.verdict, first).await.unwrap_or_default();
            let dated = at_its_own_time(builds, &finished.verdict, first).await.unwrap_or_else(|error| {
                let text = format!("it was not built at the time of what was published: {error}");
                (context.events)(Event::Noticed(text));
                None
            });
            let mends = try_mends(builds, &finished.verdict, [first, second]).await;
            let mends = mends.unwrap_or_else(|error| {
                (context.events)(Event::Noticed(format!("no more mends were tried: {error}")));
                Vec::new()
            });
            Ok(Finished { asked, dated, mends, ..finished })
        }
        Err(JobError::Build(failure)) => Err(failed(builds, key, failure).await?),
        Err(error) => Err(error),
    }
}

/// Builds twice and judges.
async fn verdict(
    builds: &Builds<'_>,
    wanted: &Wanted,
    begun: Option<Begun>,
) -> Result<([Built; 2], Verdict), JobError> {
    let Builds { context, lock, root, .. } = builds;
    let (first_conditions, second_conditions) = conditions(wanted);
    if first_conditions == second_conditions && !lock.recipe.build.deterministic {
        return Err(JobError::NothingVaried);
    }
    // What the recipe has settled is not wanted any more.
    let varied = first_conditions.differing(&second_conditions);
    let not_here: Vec<&str> = (wanted.variations.iter())
        .filter(|wanted| context.search.variations.is_some() && !varied.contains(wanted))
        .map(|wanted| wanted.word())
        .collect();
    if !not_here.is_empty() {
        let text = format!("can't be varied here: {}; docs/explaining.md says where they can", not_here.join(", "));
        (context.events)(Event::Noticed(text));
    }

    let (first, epoch, tools_tried) = match begun {
        Some(Begun { first, epoch, tried }) => (first, epoch, tried),
        None => {
            let candidates = candidates(lock, &context.store).await?;
            let (first, epoch) = builds.first(&first_conditions, candidates).await?;
            (first, epoch, Vec::new())
        }
    };
    apart(&first.record).await;
    context.doing("building again, under other conditions");
    let second = builds.run(&second_conditions, epoch.seconds, Label::Second).await?;
    context.doing("comparing");
    let (one, other, published, store) =
        (first.record.clone(), second.record.clone(), lock.published.clone(), context.store.clone());
    let verdict = blocking(move || judge(&one, &other, published.as_ref(), epoch, &store)).await??;
    let verdict = Verdict { tools_tried, ..verdict };
    let verdict = with_causes(builds, verdict, &first.record, &second.record).await?;
    still_the_same(root).await?;
    Ok(([first, second], verdict))
}

/// How long after the first build the second begins, at least: what writes down when a file was made has another time then,
/// also where it counts every other second, as zip does.
const APART: Duration = Duration::from_millis(2100);

/// Waits until a build that begins now makes its files at other times than this one did, where those are the machine's.
pub(crate) async fn apart(record: &BuildRecord) {
    let is_unsure = record.undetermined.as_ref().is_some_and(|lost| !lost.is_empty());
    if record.conditions.clock == Clock::Host || is_unsure {
        tokio::time::sleep(APART.saturating_sub(Duration::from_millis(record.duration_ms))).await;
    }
}

/// Signs that the builds failed, keeps what that names by digest, and gives the failure back with its proof.
pub(crate) async fn failed(
    builds: &Builds<'_>,
    key: &Arc<dyn Signer>,
    mut failure: Box<BuildFailure>,
) -> Result<JobError, JobError> {
    let Builds { context, lock, root, .. } = builds;
    still_the_same(root).await?;
    context.doing("signing");
    let attempts: Vec<Built> = builds.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let records: Vec<BuildRecord> = attempts.iter().map(|built| built.record.clone()).collect();
    let attempted_on = since(context, &records.iter().collect::<Vec<_>>());
    let (key, rebuilder, lock_of) = (Arc::clone(key), context.rebuilder.clone(), (*lock).clone());
    let sign = move || {
        let records: Vec<&BuildRecord> = records.iter().collect();
        Proof::sign_failure(&*key, &lock_of, &records, &rebuilder, attempted_on)?.to_bytes().map_err(AttestError::from)
    };
    let proof = blocking(sign).await??;
    let kept: Vec<_> = attempts.iter().map(|built| (&built.record, built.log.as_path())).collect();
    keep(context, lock, &kept).await?;
    failure.proof = Some(proof);
    Ok(JobError::Build(failure))
}

/// Now. A clock that was set back in between does not make what is said of builds come before them.
fn since(context: &Context<'_>, records: &[&BuildRecord]) -> Timestamp {
    let started = records.iter().map(|record| record.started).max().unwrap_or(Timestamp::MIN);
    in_seconds((context.now)()).max(started)
}

/// Signs, and keeps what the proof names by digest.
async fn finish(
    context: &Context<'_>,
    key: &Arc<dyn Signer>,
    lock: Lock,
    built: [Built; 2],
    verdict: Verdict,
) -> Result<Finished, JobError> {
    context.doing("signing");
    let [first, second] = built;
    let evidence = evidence(context, &lock, [&first, &second], verdict.source_date_epoch.seconds)?;
    let records = [first.record, second.record];
    let compared_on = since(context, &[&records[0], &records[1]]);
    let (key, rebuilder) = (Arc::clone(key), context.rebuilder.clone());
    // What holds the key may take long, or wait for somebody to touch it.
    let sign = move || {
        let proof =
            Proof::sign(&*key, &lock, &records.each_ref(), &verdict, &rebuilder, compared_on, evidence)?.to_bytes()?;
        Ok::<_, AttestError>((proof, lock, records, verdict))
    };
    let (proof, lock, records, verdict) = blocking(sign).await??;
    let built = [(&records[0], first.log.as_path()), (&records[1], second.log.as_path())];
    keep(context, &lock, &built).await?;
    let logs = [first.log, second.log];
    Ok(Finished { lock, verdict, records, logs, proof, asked: BTreeMap::new(), dated: None, mends: Vec::new() })
}

/// The evidence of the machines that both ran in, where there were any that have some.
fn evidence(
    context: &Context<'_>,
    lock: &Lock,
    built: [&Built; 2],
    epoch: Option<u64>,
) -> Result<Vec<Evidence>, JobError> {
    let Some(machines) = &context.confidential else { return Ok(Vec::new()) };
    let of = |built: &&Built| {
        let machine = built.evidence.as_ref().ok_or(ConfidentialError::None)?;
        machines.evidence(lock, &built.record, epoch, machine, (context.now)())
    };
    Ok(built.iter().map(of).collect::<Result<_, ConfidentialError>>()?)
}
