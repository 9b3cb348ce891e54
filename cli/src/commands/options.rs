// SPDX-License-Identifier: Apache-2.0
//! How builds run: what `build`, `check` and `rebuild` share.

use clap::Args;
use reprove_attest::evidence::Nonce;
use reprove_model::{Engine, Isolation, IsolationLevel, RecordMode};
use reprove_runner::Sandbox;

use super::isolation_level;
use crate::error::CommandError;

/// How builds run. An option that is added here is one of every command that builds.
#[derive(Args, Debug)]
pub(crate) struct BuildOptions {
    /// In what builds run: namespaces of this machine; vm, a virtual machine for each; sev-snp or tdx, one with evidence by
    /// this host's processor; or emulated-snp or emulated-tdx, one with evidence by an EMULATED processor, which proves
    /// nothing; docs/vm.md and docs/evidence.md say what these are
    #[arg(long, value_name = "KIND", value_parser = isolation, default_value = "namespaces")]
    isolation: Isolation,
    /// What runs virtual machines: qemu-kvm, user-mode-linux or qemu-tcg [default: the first of them that works here]
    #[arg(long, value_name = "ENGINE", value_parser = engine)]
    engine: Option<Engine>,
    /// What evidence of machines has to have in it: 32 bytes in hexadecimal, as whoever will judge it asks
    #[arg(long, value_name = "HEX")]
    nonce: Option<Nonce>,
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
            (Isolation::EmulatedSnp | Isolation::EmulatedTdx, Some(Engine::UserModeLinux)) => {
                let text = "evidence is of a machine that a processor starts, which User-mode Linux has none of";
                Err(CommandError::bad_usage(text)
                    .next("say `--engine qemu-kvm` or `--engine qemu-tcg`, or leave it out"))
            }
            (Isolation::EmulatedSnp | Isolation::EmulatedTdx, engine) => Ok(Some(engine)),
            (Isolation::SevSnp | Isolation::Tdx, None | Some(Engine::QemuKvm)) => Ok(Some(Some(Engine::QemuKvm))),
            (Isolation::SevSnp | Isolation::Tdx, Some(engine)) => {
                let text = format!("{} runs no machine that this host's processor closes", engine.name());
                Err(CommandError::bad_usage(text).next("say `--engine qemu-kvm`, or leave it out"))
            }
        }
    }

    /// In what each runs.
    pub(crate) fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Whether the machine has to have evidence.
    pub(crate) fn has_evidence(&self) -> bool {
        self.isolation.has_evidence()
    }

    /// What that has to have in it, where somebody asks for something.
    pub(crate) fn nonce(&self) -> Result<Option<Nonce>, CommandError> {
        if self.nonce.is_some() && !self.has_evidence() {
            let error = CommandError::bad_usage("`--nonce` is of evidence, which no machine of this isolation has");
            return Err(error.next("add `--isolation emulated-snp`"));
        }
        Ok(self.nonce)
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
pub(crate) fn isolation(name: &str) -> Result<Isolation, String> {
    let found = Isolation::ALL.into_iter().find(|isolation| isolation.name() == name);
    found.ok_or_else(|| "there are namespaces, vm, emulated-snp, emulated-tdx, sev-snp and tdx".to_owned())
}

/// Reads the name of an engine.
fn engine(name: &str) -> Result<Engine, String> {
    let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    found.ok_or_else(|| "there are qemu-kvm, user-mode-linux and qemu-tcg".to_owned())
}
