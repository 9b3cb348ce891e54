// SPDX-License-Identifier: Apache-2.0
//! What workers say while they work: the last lines of each job, in memory. What builds print is in the log of the report.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::JobId;

/// The last lines of each job that somebody works on.
#[derive(Debug, Default)]
pub struct Live {
    jobs: Mutex<BTreeMap<JobId, Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    /// How many there were before those that are kept.
    before: u64,
    kept: VecDeque<String>,
}

impl Live {
    /// So many lines of a job are kept.
    pub const MOST_LINES: usize = 500;
    /// The longest line, in characters.
    pub const MAX_LINE: usize = 500;

    /// Adds lines. Control characters are replaced, and what is longer than [`Live::MAX_LINE`] is cut.
    pub fn add(&self, job: JobId, lines: impl IntoIterator<Item = String>) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let of = jobs.entry(job).or_default();
        for line in lines {
            let plain = |c: char| if c.is_control() { ' ' } else { c };
            of.kept.push_back(line.chars().map(plain).take(Self::MAX_LINE).collect());
            if of.kept.len() > Self::MOST_LINES {
                of.kept.pop_front();
                of.before += 1;
            }
        }
    }

    /// The lines of a job from number `from` on, counted from 0, and the number of the next.
    #[must_use]
    pub fn since(&self, job: JobId, from: u64) -> (Vec<String>, u64) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of) = jobs.get(&job) else { return (Vec::new(), 0) };
        let skip = usize::try_from(from.saturating_sub(of.before)).unwrap_or(usize::MAX);
        (of.kept.iter().skip(skip).cloned().collect(), of.before + of.kept.len() as u64)
    }

    /// Forgets a job's lines.
    pub fn forget(&self, job: JobId) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_told_once_each() {
        let (live, job) = (Live::default(), "0123456789abcdef0123456789abcdef-1".parse().unwrap());
        assert_eq!(live.since(job, 0), (vec![], 0));
        live.add(job, (0..Live::MOST_LINES).map(|n| n.to_string()));
        assert_eq!(live.since(job, 0).0.len(), Live::MOST_LINES);
        live.add(job, ["x\u{1b}[1m".to_owned(), "ä".repeat(Live::MAX_LINE + 1)]);
        let (lines, next) = live.since(job, 499);
        assert_eq!((lines[1].as_str(), lines[2].chars().count(), next), ("x [1m", Live::MAX_LINE, 502));
        assert_eq!(live.since(job, 0).0.first().map(String::as_str), Some("2"));
        assert_eq!(live.since(job, next), (vec![], 502));
        live.forget(job);
        assert_eq!(live.since(job, 0), (vec![], 0));
    }
}
