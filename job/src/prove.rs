// SPDX-License-Identifier: Apache-2.0
//! From a lock to a signed verdict.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use reprove_attest::Proof;
use reprove_images::RootFilesystem;
use reprove_model::{
    BuildRecord, Conditions, EpochAttempt, EpochOrigin, EpochUsed, Exit, Lock, Variation, Verdict, canonical,
};
use reprove_runner::{BuildRequest, Built, SourceFiles};
use reprove_verifier::{artifact, attribute, conditions, judge};

use crate::epoch::{Candidate, candidates};
use crate::{BuildFailure, Context, Finished, JobError, blocking};

/// Builds `lock` under two sets of conditions, judges, looks for causes, and signs.
pub(crate) async fn prove(
    context: &Context<'_>,
    lock: Lock,
    root: &RootFilesystem,
    move_clock: bool,
) -> Result<Finished, JobError> {
    let (store, locked) = (context.store.clone(), lock.clone());
    let source = blocking(move || SourceFiles::of(&locked, &store)).await??;
    let builds = Builds { context, lock: &lock, root, source: &source };
    let (first_conditions, second_conditions) = conditions(context.processors, move_clock);

    let (first, epoch) = builds.first(&first_conditions, candidates(&lock, &context.store).await?).await?;
    context.doing("building again, under other conditions");
    let second = builds.run(&second_conditions, epoch.seconds, "second", 2).await?;
    context.doing("comparing");
    let verdict = judged(context, &lock, &first, &second, epoch).await?;
    let verdict = builds.with_causes(verdict, &first, &second).await?;

    context.doing("signing");
    let compared_on = in_seconds((context.now)());
    let proof = Proof::sign(context.key, &lock, &[&first, &second], &verdict, compared_on)?.to_bytes()?;
    for record in [&first, &second] {
        context.store.add_bytes(&canonical::to_vec(record)?)?;
    }
    context.store.add_bytes(&canonical::to_vec(&lock)?)?;
    Ok(Finished { lock, verdict, records: [first, second], proof })
}

/// Comparing reads what the outputs are made of, and may take long.
async fn judged(
    context: &Context<'_>,
    lock: &Lock,
    first: &BuildRecord,
    second: &BuildRecord,
    epoch: EpochUsed,
) -> Result<Verdict, JobError> {
    let (first, second, published, store) =
        (first.clone(), second.clone(), lock.published.clone(), context.store.clone());
    Ok(blocking(move || judge(&first, &second, published.as_ref(), epoch, &store)).await??)
}

struct Builds<'a> {
    context: &'a Context<'a>,
    lock: &'a Lock,
    root: &'a RootFilesystem,
    source: &'a SourceFiles,
}

impl Builds<'_> {
    /// Builds with one candidate after the other until the result is as published. Where none is, the last one counts: a
    /// value that is set leaves less to chance than one that is not.
    async fn first(
        &self,
        conditions: &Conditions,
        candidates: Vec<Candidate>,
    ) -> Result<(BuildRecord, EpochUsed), JobError> {
        let is_search = candidates.first().is_some_and(|(_, origin)| *origin != EpochOrigin::Recipe);
        let mut tried = Vec::new();
        let mut last = None;
        for (seconds, origin) in candidates {
            self.context.doing(&match seconds {
                _ if !is_search => "building".to_owned(),
                None => "building, with SOURCE_DATE_EPOCH not set".to_owned(),
                Some(seconds) => format!("building, with SOURCE_DATE_EPOCH={seconds}, from the published artifact"),
            });
            let record = self.run(conditions, seconds, "first", 1).await?;
            let published = self.lock.published.as_ref();
            let matched = published.is_some_and(|published| artifact(&record, published) == Some(published.digest));
            if is_search {
                tried.push(EpochAttempt { seconds, matched });
            }
            last = Some((record, seconds, origin));
            if matched {
                break;
            }
        }
        let (record, seconds, origin) = last.ok_or_else(|| JobError::Internal("there was nothing to build".into()))?;
        Ok((record, EpochUsed { seconds, origin, tried }))
    }

    /// One build that has to end well.
    async fn run(
        &self,
        conditions: &Conditions,
        epoch: Option<u64>,
        label: &str,
        rebuild: u32,
    ) -> Result<BuildRecord, JobError> {
        let Built { record, log } = self.run_any(conditions, epoch, label).await?;
        if record.exit == Exit::Success {
            return Ok(record);
        }
        Err(JobError::Build(Box::new(BuildFailure {
            rebuild,
            exit: record.exit,
            seconds: record.limits.seconds,
            memory_mib: record.limits.memory_mib,
            last_lines: last_lines(&log).unwrap_or_default(),
            log,
        })))
    }

    /// One build, however it ends.
    async fn run_any(&self, conditions: &Conditions, epoch: Option<u64>, label: &str) -> Result<Built, JobError> {
        let started = in_seconds((self.context.now)());
        let name = &self.lock.recipe.package.name;
        let stamp = started.to_string().replace([':', '-'], "");
        let label = format!("{name}-{stamp}-{}-{label}", std::process::id());
        let request = BuildRequest {
            lock: self.lock,
            root: self.root,
            source: self.source,
            conditions,
            epoch,
            started,
            label: &label,
        };
        Ok(self.context.runner().build(request).await?)
    }

    /// Adds to each difference between the rebuilds what was shown to cause it.
    async fn with_causes(
        &self,
        mut verdict: Verdict,
        first: &BuildRecord,
        second: &BuildRecord,
    ) -> Result<Verdict, JobError> {
        let epoch = verdict.source_date_epoch.seconds;
        let build = async |conditions: &Conditions, variation: Option<Variation>| {
            self.context.doing(&match variation {
                None => "looking for causes: building again with nothing changed".to_owned(),
                Some(variation) => format!("looking for causes: building with another {}", variation.name()),
            });
            let label = variation.map_or("cause-control", |variation| variation.name()).replace(' ', "-");
            let record = self.run_any(conditions, epoch, &label).await?.record;
            self.context.store.add_bytes(&canonical::to_vec(&record)?)?;
            Ok(record)
        };
        attribute(&mut verdict.findings, first, second, &self.context.store, build).await?;
        Ok(verdict)
    }
}

/// Whole seconds: what records and statements keep.
fn in_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// How many of a log's last lines are shown, and from how many of its last bytes they are taken.
const LAST_LINES: usize = 20;
const LAST_BYTES: u64 = 64 << 10;

fn last_lines(log: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    Ok(lines.iter().skip(from).map(|line| (*line).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_s_last_lines_are_the_last() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..30).map(|n| format!("line {n}\n")).collect();
        std::fs::write(file.path(), text).unwrap();
        let lines = last_lines(file.path()).unwrap();
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "line 10", "line 29"));
    }
}
