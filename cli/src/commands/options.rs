// SPDX-License-Identifier: Apache-2.0
//! How builds run: what `build`, `check` and `rebuild` share.

use clap::Args;
use reprove_model::{Engine, Isolation, IsolationLevel, RecordMode};
use reprove_runner::Sandbox;

use super::isolation_level;
use crate::error::CommandError;

/// How builds run. An option that is added here is one of every command that builds.
#[derive(Args, Debug)]
pub(crate) struct BuildOptions {
    /// In what builds run: namespaces of this machine, or vm, a virtual machine for each; docs/vm.md says what that is
    #[arg(long, value_name = "KIND", value_parser = isolation, default_value = "namespaces")]
    isolation: Isolation,
    /// What runs virtual machines: qemu-kvm, user-mode-linux or qemu-tcg [default: the first of them that works here]
    #[arg(long, value_name = "ENGINE", value_parser = engine)]
    engine: Option<Engine>,
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

    /// Whether there is to be a virtual machine around each, and by what; none: there is not.
    pub(crate) fn machine(&self) -> Result<Option<Option<Engine>>, CommandError> {
        match (self.isolation, self.engine) {
            (Isolation::Namespaces, None) => Ok(None),
            (Isolation::Namespaces, Some(_)) => {
                let error = CommandError::bad_usage("`--engine` is of virtual machines, and none is asked for");
                Err(error.next("add `--isolation vm`"))
            }
            (Isolation::Vm, engine) => Ok(Some(engine)),
            (other, _) => {
                let text = format!("builds can't run in {} here yet", other.name());
                Err(CommandError::cannot(text))
            }
        }
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

/// Reads the name of an isolation.
fn isolation(name: &str) -> Result<Isolation, String> {
    let found = [Isolation::Namespaces, Isolation::Vm].into_iter().find(|isolation| isolation.name() == name);
    found.ok_or_else(|| "there are namespaces and vm".to_owned())
}

/// Reads the name of an engine.
fn engine(name: &str) -> Result<Engine, String> {
    let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    found.ok_or_else(|| "there are qemu-kvm, user-mode-linux and qemu-tcg".to_owned())
}
