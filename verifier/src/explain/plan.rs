// SPDX-License-Identifier: Apache-2.0
//! How causes are looked for, and why they could not be.

use reprove_model::canonical::CanonicalError;
use thiserror::Error;

/// How far causes are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// What the form of each difference suggests; nothing is built.
    Fast,
    /// By experiment, with at most so many builds.
    #[default]
    Full,
}

/// How causes are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How far.
    pub depth: Depth,
    /// With how many builds at most.
    pub most_builds: usize,
    /// Whether there may be deterministic builds, for what is otherwise each time.
    pub deterministic: bool,
    /// Whether these may have another clock where the two rebuilds had not.
    pub any_clock: bool,
}

/// The most builds that are made to look for causes.
pub const MOST_BUILDS: usize = 64;

/// Why causes could not be looked for.
#[derive(Debug, Error)]
pub enum ExplainError<E> {
    /// A build could not be run, or its outputs not be compared.
    #[error(transparent)]
    Job(E),
    /// A record has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}
