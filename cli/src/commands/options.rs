// SPDX-License-Identifier: Apache-2.0
//! How builds run: what `build`, `check` and `rebuild` share.

use clap::Args;
use reprove_model::{IsolationLevel, RecordMode};
use reprove_runner::Sandbox;

use super::isolation_level;

/// How builds run. An option that is added here is one of every command that builds.
#[derive(Args, Debug)]
pub(crate) struct BuildOptions {
    /// Build nothing in a weaker sandbox: basic, strong or full; docs/sandbox.md says what is in each
    #[arg(long, value_name = "LEVEL", value_parser = isolation_level, default_value = "basic")]
    require_isolation: IsolationLevel,
    /// How closely to watch what a build reads: declared (not at all), files or full; docs/record-format.md says what each sees
    #[arg(long, value_name = "HOW", default_value = "files")]
    record: RecordMode,
    /// Have builds see a clock, entropy and a machine that depend on the recipe alone, as far as docs/determinism.md says
    #[arg(long)]
    deterministic: bool,
}

impl BuildOptions {
    /// In what they run.
    pub(crate) fn sandbox(&self) -> Sandbox {
        Sandbox::default().demanding(self.require_isolation)
    }

    /// Whether they see what depends on the recipe alone.
    pub(crate) fn deterministic(&self) -> bool {
        self.deterministic
    }

    /// How closely they are watched.
    pub(crate) fn record(&self) -> RecordMode {
        self.record
    }
}
