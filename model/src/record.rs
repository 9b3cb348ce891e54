// SPDX-License-Identifier: Apache-2.0
//! Build records: what one build read, ran and wrote.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Conditions, Digest, DigestSet, Input, Limits, LockedEnvironment, Loss, Observed, Tree};

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
    /// The machine that it ran in, where that was a virtual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Which limits and walls held; in a virtual machine, those inside.
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
    /// What it was seen to ask for.
    pub observed: Observed,
    /// Of a build in which the runner answers ([`Conditions::are_answered`]): where it was told what the machine says. Sorted; none where the build was no such one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<BTreeSet<Loss>>,
}

/// In what a build ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Linux namespaces on the operator's kernel.
    Namespaces,
    /// A virtual machine that nothing but the build runs in, in namespaces inside.
    Vm,
    /// The same, closed to its host by an AMD processor, which says so in evidence.
    SevSnp,
    /// The same, closed to its host by an Intel processor, which says so in evidence.
    Tdx,
    /// A virtual machine whose secure processor, of AMD's kind, is EMULATED: its evidence shows that everything else works.
    EmulatedSnp,
    /// A virtual machine whose secure processor, of Intel's kind, is EMULATED: its evidence shows that everything else works.
    EmulatedTdx,
}

impl Isolation {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Namespaces, Self::Vm, Self::EmulatedSnp, Self::EmulatedTdx, Self::SevSnp, Self::Tdx];

    /// The word for it in recipes, statements and policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Vm => "vm",
            Self::SevSnp => "sev-snp",
            Self::Tdx => "tdx",
            Self::EmulatedSnp => "emulated-snp",
            Self::EmulatedTdx => "emulated-tdx",
        }
    }

    /// The word as a person is shown it: what is EMULATED is never shown without saying so.
    #[must_use]
    pub fn said(self) -> String {
        let mark = if self.is_emulated() { " (EMULATED - NOT HARDWARE)" } else { "" };
        format!("{}{mark}", self.name())
    }

    /// Whether a build in it ran in a machine that can be named.
    #[must_use]
    pub fn has_machine(self) -> bool {
        match self {
            Self::Namespaces => false,
            Self::Vm | Self::SevSnp | Self::Tdx | Self::EmulatedSnp | Self::EmulatedTdx => true,
        }
    }

    /// Whether there has to be evidence of the machine: a processor's word, or an EMULATED one's.
    #[must_use]
    pub fn has_evidence(self) -> bool {
        match self {
            Self::Namespaces | Self::Vm => false,
            Self::SevSnp | Self::Tdx | Self::EmulatedSnp | Self::EmulatedTdx => true,
        }
    }

    /// Whether the secure processor was a program.
    #[must_use]
    pub fn is_emulated(self) -> bool {
        matches!(self, Self::EmulatedSnp | Self::EmulatedTdx)
    }
}

/// The virtual machine that a build ran in: all that decides what ran there, so that anybody can work out the digests again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Machine {
    /// What ran it.
    pub engine: Engine,
    /// Of the kernel's file.
    pub kernel: DigestSet,
    /// Of its first file system.
    pub initrd: DigestSet,
    /// Its `/usr`: the number of blocks and, behind a colon, the root of the hash tree in hexadecimal (dm-verity, SHA-256).
    pub usr: String,
    /// Of the job's image.
    pub job: Digest,
}

impl Machine {
    /// What its kernel is told where QEMU starts it, and so what is measured of that.
    #[must_use]
    pub fn command_line(&self) -> String {
        format!("{} reprove.job={} reprove.usr={}", Self::TOLD, self.job, self.usr)
    }

    /// What every kernel is told in a machine of QEMU's.
    pub const TOLD: &str = "console=ttyS0 rdinit=/init panic=-1 loglevel=4";

    /// Whether `usr` is written as it has to be: with anything else in it, the kernel would be told more.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let Some((blocks, root)) = self.usr.split_once(':') else { return false };
        let is_number = blocks.parse::<u64>().is_ok_and(|number| number.to_string() == blocks);
        let is_hexadecimal = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        is_number && root.len() == 64 && root.bytes().all(is_hexadecimal)
    }
}

/// What ran a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// QEMU, with the processor's own virtualisation.
    QemuKvm,
    /// User-mode Linux: the kernel as a program.
    UserModeLinux,
    /// QEMU, with a processor that is EMULATED.
    QemuTcg,
}

impl Engine {
    /// All of them, the one to be preferred first.
    pub const ALL: [Self; 3] = [Self::QemuKvm, Self::UserModeLinux, Self::QemuTcg];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QemuKvm => "qemu-kvm",
            Self::UserModeLinux => "user-mode-linux",
            Self::QemuTcg => "qemu-tcg",
        }
    }
}

/// Which limits and walls held, so that nobody takes a weak run for a strong one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enforced {
    /// The namespaces that were the build's own, sorted.
    pub namespaces: Vec<String>,
    /// Whether every system call went through the filter.
    pub filter: bool,
    /// The version of Landlock's interface that was used; 0: the kernel has no Landlock, and there was no second wall.
    pub landlock: u32,
    /// Who held the limit of memory.
    pub memory: HeldBy,
    /// Who held the limit of processes.
    pub processes: HeldBy,
    /// Whether the build's user is one that owns nothing else on the host.
    pub separate_user: bool,
    /// Whether the build was in none of its caller's supplementary groups.
    pub separate_groups: bool,
}

impl Enforced {
    /// All namespaces that there are, sorted.
    pub const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "net", "pid", "time", "user", "uts"];

    /// Every wall that there is, and every limit held by the kernel: what the strongest run has.
    #[must_use]
    pub fn full() -> Self {
        Self {
            namespaces: Self::NAMESPACES.map(str::to_owned).into(),
            filter: true,
            landlock: Self::LANDLOCK_SCOPES,
            memory: HeldBy::ControlGroup,
            processes: HeldBy::ControlGroup,
            separate_user: true,
            separate_groups: true,
        }
    }

    /// How strong the walls were, all together. Worked out from the fields, so that no record can claim more than they say.
    /// `None`: less than [`IsolationLevel::Basic`].
    #[must_use]
    pub fn level(&self) -> Option<IsolationLevel> {
        let has = |name: &&str| self.namespaces.iter().any(|own| own == name);
        let basic = self.filter && Self::NAMESPACES.iter().filter(|name| **name != "time").all(has);
        let strong =
            has(&"time") && self.landlock >= Self::LANDLOCK_SCOPES && self.separate_user && self.separate_groups;
        let full = self.memory == HeldBy::ControlGroup && self.processes == HeldBy::ControlGroup;
        match (basic, strong, full) {
            (false, _, _) => None,
            (true, false, _) => Some(IsolationLevel::Basic),
            (true, true, false) => Some(IsolationLevel::Strong),
            (true, true, true) => Some(IsolationLevel::Full),
        }
    }

    /// From this version on, Landlock keeps signals and abstract sockets inside.
    pub const LANDLOCK_SCOPES: u32 = 6;
}

/// How strong the walls around a build were, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationLevel {
    /// Namespaces of its own of every kind but perhaps time, and the filter of system calls. There is no run with less.
    Basic,
    /// And a time namespace, Landlock with its scopes, and a user and groups that are nobody's outside.
    Strong,
    /// And limits of memory and processes that the kernel holds for all processes together.
    Full,
}

impl IsolationLevel {
    /// All of them, from the weakest.
    pub const ALL: [Self; 3] = [Self::Basic, Self::Strong, Self::Full];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Strong => "strong",
            Self::Full => "full",
        }
    }
}

/// Who holds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBy {
    /// The kernel, for all processes together: a control group.
    ControlGroup,
    /// The kernel, for the build's user in its user namespace: a resource limit.
    ResourceLimit,
    /// The runner, that looks every now and then and ends a build that is past it; between two looks there may be more.
    Watchdog,
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
        /// Whether the control group ended something for want of memory: a shell that has run it gives 137.
        out_of_memory: bool,
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

impl Exit {
    /// Whether it did not end well, and something in it was ended for want of memory.
    #[must_use]
    pub fn is_out_of_memory(self) -> bool {
        matches!(self, Self::Status { out_of_memory: true, .. } | Self::Signal { out_of_memory: true, .. })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emulated_is_shown_to_be() {
        for (isolation, emulated) in [
            (Isolation::Namespaces, false),
            (Isolation::Vm, false),
            (Isolation::SevSnp, false),
            (Isolation::Tdx, false),
            (Isolation::EmulatedSnp, true),
            (Isolation::EmulatedTdx, true),
        ] {
            assert_eq!(isolation.said().contains("EMULATED - NOT HARDWARE"), emulated);
            assert!(isolation.said().starts_with(isolation.name()));
            assert_eq!(isolation.name().starts_with("emulated"), emulated);
        }
    }

    #[test]
    fn a_machine_s_kernel_is_told_nothing_but_digests() {
        let (job, digests) = (Digest::of(b"job"), DigestSet::of(b"file"));
        let machine = |usr: String| Machine { engine: Engine::QemuTcg, kernel: digests, initrd: digests, usr, job };
        let root = "0a".repeat(32);
        let good = machine(format!("12:{root}"));
        assert!(good.is_possible());
        assert_eq!(good.command_line(), format!("{} reprove.job={job} reprove.usr=12:{root}", Machine::TOLD));
        for bad in [
            String::new(),
            root.clone(),
            format!("12:{root} init=/bin/sh"),
            format!("12 init=/bin/sh:{root}"),
            format!("+12:{root}"),
            format!("012:{root}"),
            format!("12:{}", root.to_uppercase()),
            format!("12:{}", &root[1..]),
            format!("12:{root}0"),
            format!("12:\n{}", &root[1..]),
        ] {
            assert!(!machine(bad.clone()).is_possible(), "{bad:?}");
        }
    }

    #[test]
    fn a_level_has_every_wall_of_its_own_and_of_those_below() {
        assert_eq!(Enforced::full().level(), Some(IsolationLevel::Full));
        let without = |change: &dyn Fn(&mut Enforced)| {
            let mut enforced = Enforced::full();
            change(&mut enforced);
            enforced.level()
        };
        assert_eq!(without(&|e| e.memory = HeldBy::Watchdog), Some(IsolationLevel::Strong));
        assert_eq!(without(&|e| e.processes = HeldBy::ResourceLimit), Some(IsolationLevel::Strong));
        assert_eq!(without(&|e| e.separate_user = false), Some(IsolationLevel::Basic));
        assert_eq!(without(&|e| e.separate_groups = false), Some(IsolationLevel::Basic));
        assert_eq!(without(&|e| e.landlock = 5), Some(IsolationLevel::Basic));
        assert_eq!(without(&|e| e.filter = false), None);
        for name in Enforced::NAMESPACES {
            let expected = (name == "time").then_some(IsolationLevel::Basic);
            assert_eq!(without(&|e| e.namespaces.retain(|own| own != name)), expected, "{name}");
        }
        assert!(IsolationLevel::ALL.is_sorted());
    }
}
