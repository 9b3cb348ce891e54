// SPDX-License-Identifier: Apache-2.0
//! What the bucket has of a job, and under which key.

use std::fmt;
use std::str::FromStr;

use reprove_model::Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Epoch, JobId, Lane, Millis, Name, Priority};

/// Where a job's record is: `job`, the lane, the priority and the job, with dots between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) lane: Lane,
    pub(super) priority: Priority,
    pub(super) job: JobId,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job.{}.{}.{}", self.lane, self.priority.name(), self.job)
    }
}

/// A text that is no [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is not the key of a job")]
pub(super) struct InvalidKey;

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let rest = text.strip_prefix("job.").ok_or(InvalidKey)?;
        let (rest, job) = rest.rsplit_once('.').ok_or(InvalidKey)?;
        let (lane, priority) = rest.rsplit_once('.').ok_or(InvalidKey)?;
        Ok(Self {
            lane: Lane::read(lane).ok_or(InvalidKey)?,
            priority: priority.parse().map_err(|_| InvalidKey)?,
            job: job.parse().map_err(|_| InvalidKey)?,
        })
    }
}

/// What is so of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum State {
    /// It can be handed out.
    Ready,
    /// It waits for its time.
    Later {
        /// When that is.
        at: Millis,
    },
    /// Somebody has it.
    Leased {
        /// Who.
        holder: Name,
        /// Until when.
        until: Millis,
    },
    /// It is done.
    Settled {
        /// Who had it.
        holder: Name,
        /// What came of it.
        result: Digest,
    },
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    /// In which order it goes.
    pub(super) place: u64,
    /// Under which it was handed out last.
    pub(super) epoch: Epoch,
    /// What is so.
    pub(super) state: State,
    /// The process that wrote it, by a name that no other has.
    pub(super) by: String,
    /// Which of its writes this is: so it knows its own again.
    pub(super) write: u64,
}

#[cfg(test)]
mod tests {
    use crate::{BuildId, Requires};

    use super::*;

    #[test]
    fn keys_are_read_in_the_one_way_in_which_they_are_written() {
        let job = BuildId::new(&Digest::of(b"request"), 0).job(2);
        for priority in Priority::ALL {
            let key = Key { lane: Requires::default().lane(), priority, job };
            assert_eq!(key.to_string(), format!("job.default.any.any.{}.{job}", priority.name()));
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for wrong in ["coordinator", "job", "job.a.any.any.high", "job.a.any.high.x-1", "job.A.any.any.high.x-1"] {
            assert_eq!(wrong.parse::<Key>(), Err(InvalidKey), "{wrong}");
        }
        for lane in ["a.any", "a.any.any.any", "a.Any.any", "a.>.any", "a..any", "-.any.any"] {
            assert_eq!(format!("job.{lane}.high.{job}").parse::<Key>(), Err(InvalidKey), "{lane}");
        }
    }

    #[test]
    fn records_are_what_an_operator_can_read() {
        let state = State::Leased { holder: "w1".parse().unwrap(), until: Millis(7) };
        let record = Record { place: 3, epoch: Epoch(2), state, by: "x".to_owned(), write: 9 };
        let text = r#"{"place":3,"epoch":2,"state":{"leased":{"holder":"w1","until":7}},"by":"x","write":9}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert_eq!(serde_json::from_str::<Record>(text).unwrap(), record);
        assert!(serde_json::from_str::<Record>(&text.replace("\"by\"", "\"of\"")).is_err());
    }
}
