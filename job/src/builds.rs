// SPDX-License-Identifier: Apache-2.0
//! The builds of one job, one after the other.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use reprove_images::RootFilesystem;
use reprove_model::{BuildRecord, Conditions, EpochAttempt, EpochOrigin, EpochUsed, Exit, Lock, Variation};
use reprove_runner::vm::Machine;
use reprove_runner::{BuildRequest, Built, Runner, SourceFiles};
use reprove_verifier::artifact;

use crate::epoch::Candidate;
use crate::{BuildFailure, Context, Event, JobError};

/// What every build of one job shares.
pub(crate) struct Builds<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) lock: &'a Lock,
    pub(crate) root: &'a RootFilesystem,
    pub(crate) source: &'a SourceFiles,
    runner: Runner,
    /// Every build that a verdict would be about, in order, however it ended.
    pub(crate) attempts: Mutex<Vec<Built>>,
}

/// Which build it is, for its log's name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label<'a> {
    Only,
    First,
    Second,
    /// To look for causes, with these conditions changed.
    Cause(&'a [Variation]),
    /// At the time that what was published is of.
    Dated,
    /// To try a mend.
    Mended,
}

impl<'a> Builds<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        lock: &'a Lock,
        root: &'a RootFilesystem,
        source: &'a SourceFiles,
        machine: Option<Machine>,
    ) -> Self {
        let runner = Runner { store: context.store.clone(), sandbox: context.sandbox.clone(), machine };
        Self { context, lock, root, source, runner, attempts: Mutex::default() }
    }

    /// The same of another lock, of which no verdict will be about.
    pub(crate) fn of<'b>(&self, lock: &'b Lock) -> Builds<'b>
    where
        'a: 'b,
    {
        let Self { context, root, source, .. } = *self;
        Builds { context, lock, root, source, runner: self.runner.clone(), attempts: Mutex::default() }
    }

    /// Builds with one candidate after the other until the result is as published. Where none is, the last one that could
    /// be built counts: a value that is set leaves less to chance than one that is not.
    pub(crate) async fn first(
        &self,
        conditions: &Conditions,
        candidates: Vec<Candidate>,
    ) -> Result<(Built, EpochUsed), JobError> {
        let is_search = candidates.first().is_some_and(|(_, origin)| *origin != EpochOrigin::Recipe);
        let mut tried = Vec::new();
        let mut last = Err(JobError::Internal("there was nothing to build".into()));
        for (seconds, origin) in candidates {
            self.context.doing(&match seconds {
                _ if !is_search => "building".to_owned(),
                None => "building, with SOURCE_DATE_EPOCH not set".to_owned(),
                Some(seconds) => format!("building, with SOURCE_DATE_EPOCH={seconds}, from the published artifact"),
            });
            let built = match self.run(conditions, seconds, Label::First).await {
                Err(JobError::Build(failure)) if is_search => {
                    (self.context.events)(Event::Noticed(format!("{failure}; its log is {}", failure.log.display())));
                    tried.push(EpochAttempt { seconds, matched: false });
                    last = last.or(Err(JobError::Build(failure)));
                    continue;
                }
                built => built?,
            };
            let published = self.lock.published.as_ref();
            let matched = published.is_some_and(|p| artifact(&built.record, p) == Some(p.digest));
            if is_search {
                tried.push(EpochAttempt { seconds, matched });
            }
            last = Ok((built, seconds, origin));
            if matched {
                break;
            }
        }
        let (built, seconds, origin) = last?;
        Ok((built, EpochUsed { seconds, origin, tried }))
    }

    /// One build that has to end well.
    pub(crate) async fn run(
        &self,
        conditions: &Conditions,
        epoch: Option<u64>,
        label: Label<'_>,
    ) -> Result<Built, JobError> {
        let built = self.run_any(conditions, epoch, label).await?;
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.push(built.clone());
        drop(attempts);
        if built.record.exit == Exit::Success {
            return Ok(built);
        }
        Err(JobError::Build(Box::new(BuildFailure::of(built, matches!(label, Label::Second)))))
    }

    /// One build that no verdict is about, or why it did not end well.
    pub(crate) async fn well_ended(
        &self,
        conditions: &Conditions,
        epoch: Option<u64>,
        label: Label<'_>,
    ) -> Result<Result<BuildRecord, String>, JobError> {
        match self.run_any(conditions, epoch, label).await {
            Ok(built) if built.record.exit == Exit::Success => Ok(Ok(built.record)),
            Ok(built) => {
                let log = built.log.display().to_string();
                Ok(Err(format!("{}; its log is {log}", BuildFailure::of(built, false).how())))
            }
            Err(JobError::Run(error)) if error.is_of_project() => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// One build, however it ends.
    pub(crate) async fn run_any(
        &self,
        conditions: &Conditions,
        epoch: Option<u64>,
        label: Label<'_>,
    ) -> Result<Built, JobError> {
        let started = in_seconds((self.context.now)());
        let fixed;
        let mut conditions = conditions;
        if self.lock.recipe.build.deterministic {
            fixed = conditions.deterministic(epoch);
            conditions = &fixed;
        }
        let followed = matches!(label, Label::First);
        let name = &self.lock.recipe.package.name;
        let stamp = started.to_string().replace([':', '-'], "");
        let label = match label {
            Label::Only => "only".to_owned(),
            Label::First => "first".into(),
            Label::Second => "second".into(),
            Label::Cause([]) => "cause-nothing".into(),
            Label::Cause([variation]) => format!("cause-{variation}"),
            Label::Cause(several) => format!("cause-{}-conditions", several.len()),
            Label::Dated => "dated".into(),
            Label::Mended => "mended".into(),
        };
        let epoch_label = epoch.map(|seconds| format!("-{seconds}")).unwrap_or_default();
        let label = format!("{name}-{stamp}-{}-{label}{epoch_label}", std::process::id());
        let request = BuildRequest {
            lock: self.lock,
            root: self.root,
            source: self.source,
            conditions,
            epoch,
            started,
            watched: self.context.record,
            label: &label,
            followed,
        };
        Ok(self.runner.build(request).await?)
    }
}

/// Whole seconds: what records and statements keep.
pub(crate) fn in_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// How many of a log's last lines are shown, and from how many of its last bytes they are taken.
const LAST_LINES: usize = 20;
const LAST_BYTES: u64 = 64 << 10;

pub(crate) fn last_lines(log: &Path) -> io::Result<Vec<String>> {
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

    fn of(text: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        last_lines(file.path()).unwrap()
    }

    #[test]
    fn a_log_s_last_lines_are_the_last() {
        for (all, shown) in [(LAST_LINES, LAST_LINES), (LAST_LINES + 1, LAST_LINES), (3, 3), (0, 0)] {
            let text: String = (0..all).map(|n| format!("line {n}\n")).collect();
            let lines = of(&text);
            assert_eq!(lines.len(), shown);
            assert_eq!(lines.last().cloned(), (all > 0).then(|| format!("line {}", all - 1)));
        }
    }

    #[test]
    fn only_a_log_s_end_is_read() {
        let most = usize::try_from(LAST_BYTES).unwrap();
        assert_eq!(of(&"x".repeat(most)), ["x".repeat(most)]);
        assert_eq!(of(&format!("lost{}", "x".repeat(most))), ["x".repeat(most)]);
    }
}
