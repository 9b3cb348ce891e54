// SPDX-License-Identifier: Apache-2.0
//! Build records: what one build read, ran and wrote.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Conditions, DigestSet, Input, Limits, LockedEnvironment, Tree};

/// What one build read, ran and wrote. Its identity is the digest of its canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildRecord {
    /// Of the canonical JSON of the lock that was built.
    pub lock: DigestSet,
    /// What was there to read, beside the environment.
    pub inputs: Vec<Input>,
    /// The root filesystem.
    pub environment: LockedEnvironment,
    /// What was run, one argument vector a step.
    pub commands: Vec<Vec<String>>,
    /// The whole of the environment variables.
    pub env: BTreeMap<String, String>,
    /// What the build was allowed to use.
    pub limits: Limits,
    /// In what it ran.
    pub isolation: Isolation,
    /// Which limits and walls held.
    pub enforced: Enforced,
    /// What must not matter.
    pub conditions: Conditions,
    /// When it started, by the machine's clock, in whole seconds.
    pub started: Timestamp,
    /// Wall-clock time of all steps together, in milliseconds.
    pub duration_ms: u64,
    /// The most memory that it held at one time.
    pub peak_memory: PeakMemory,
    /// How it ended.
    pub exit: Exit,
    /// What it wrote, as far as the recipe calls it output.
    pub outputs: Tree,
    /// What it printed.
    pub log: LogRecord,
}

/// In what a build ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Linux namespaces on the operator's kernel.
    Namespaces,
}

impl Isolation {
    /// The word for it in recipes, statements and policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
        }
    }
}

/// Which limits and walls held, so that nobody takes a weak run for a strong one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enforced {
    /// The namespaces that were the build's own, sorted.
    pub namespaces: Vec<String>,
    /// Whether the memory limit was held by a control group.
    pub memory: bool,
    /// Whether the limit of processes was held by a control group.
    pub processes: bool,
    /// Whether the build's user is one that owns nothing else on the host.
    pub separate_user: bool,
}

/// The most memory that a build held at one time, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "source", deny_unknown_fields)]
pub enum PeakMemory {
    /// All processes and what they wrote to memory together, by the control group.
    ControlGroup {
        /// Bytes.
        bytes: u64,
    },
    /// The largest single process, by `getrusage(2)`, where there was no control group.
    LargestProcess {
        /// Bytes.
        bytes: u64,
    },
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "how", deny_unknown_fields)]
pub enum Exit {
    /// Every step ended with status 0.
    Success,
    /// A step, counted from 0, ended with another status.
    Status {
        /// Which step.
        step: u32,
        /// Its exit status, 1 to 255.
        status: u8,
    },
    /// A step, counted from 0, was ended by a signal.
    Signal {
        /// Which step.
        step: u32,
        /// The signal's number.
        signal: u8,
        /// Whether the control group ended something for want of memory.
        out_of_memory: bool,
    },
    /// The wall-clock limit passed.
    TimeOut,
}

/// What a build printed, on standard output and standard error together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogRecord {
    /// Of what was kept.
    pub digest: DigestSet,
    /// Of what was kept, in bytes.
    pub size: u64,
    /// Whether more was printed than the limit keeps.
    pub truncated: bool,
}
