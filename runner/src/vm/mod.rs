// SPDX-License-Identifier: Apache-2.0
//! Builds in virtual machines that nothing else runs in.
//!
//! A machine has a kernel, a first file system with our one program in it (`runner/guest/`), and three disks: the job and
//! `/usr`, which it can only read and whose digests are on the kernel's command line; and one that it leaves its report on.
//! A fourth is there where the build is to write to one. It has no network device. Inside, the same runner builds in the same namespaces. `docs/vm.md` says what each part is.
//!
//! ```text
//! reprove ──starts──▶ holder ──clone──▶ first process ──▶ engine ═ guest: runner ──▶ helper ──▶ steps
//!    ▲                                                      │
//!    └── console, report's disk ────────────────────────────┘
//! ```

mod build;
mod engine;
mod hardware;
mod holder;
mod job;
mod processor;
mod report;
mod root;
mod running;
mod scratch;
mod tried;

pub use build::{Machine, MachineEvidence, hello};
pub(crate) use build::{build, write_log};
pub use engine::Guest;
pub use hardware::{Closed, Protection, ProtectionError};
pub use holder::machine_main;
pub use job::{Blob, Job, JobBuild, JobError, JobEvidence, MAX_JOB};
pub use processor::{Confidential, SecureProcessor, Speaker, Started, bytes_of, firmware, hexadecimal};
pub use report::{Fault, GuestEvidence, MAX_BLOBS, MAX_EVIDENCE, MAX_TEXT, Report, ReportError, ReportedEnd};
pub use reprove_images::guest::{InvalidVerity, Verity};
pub use root::{JobRoot, RootError};
pub use running::HELLO;
pub use scratch::Formatter;
pub use tried::{Tried, remembered, try_out};

use std::io;
use std::path::PathBuf;

use reprove_model::Digest;
use thiserror::Error;

/// Why a machine did not build.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The runner's own side failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The job can't be put on a disk.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The guest's report can't be read. The text is the end of what the console said.
    #[error("{error}; the machine's console ended with:\n{said}")]
    Report {
        /// Why.
        #[source]
        error: ReportError,
        /// The end of what the console said.
        said: String,
    },
    /// The guest's program did not run in time.
    #[error("the machine did not start within {seconds} seconds; its console ended with:\n{said}")]
    NoHello {
        /// How long it had.
        seconds: u64,
        /// The end of what the console said.
        said: String,
    },
    /// The guest did not end in time.
    #[error(
        "the machine did not end within {seconds} seconds, which is more than its build may take; its console ended with:\n{said}"
    )]
    Late {
        /// How long it had.
        seconds: u64,
        /// The end of what the console said.
        said: String,
    },
    /// The console said far too much.
    #[error("the machine was ended, since its console says more than any guest of ours does")]
    Talkative,
    /// The guest says that it could not build.
    #[error("in the virtual machine: {text}")]
    Inside {
        /// Whose fault that is.
        fault: Fault,
        /// Why, in the guest's words.
        text: String,
    },
    /// The guest's record is not of the build that was asked for.
    #[error("the guest's record is of another build than the one that was asked for: its {0} differs")]
    OtherBuild(&'static str),
    /// A clock that the runner answers for.
    #[error("a machine's own clock is set, and nobody answers for another")]
    MovedClock,
    /// A processor of another model, where there is none.
    #[error("only machines of QEMU's, without evidence, have a processor of another model")]
    Model,
    /// Another kernel than those that there are.
    #[error("no machine here has the kernel with the BLAKE3 digest {0}, which the build is to run on")]
    NoKernel(Digest),
    /// A file system that nothing makes here, or that the kernel does not have.
    #[error("no machine here has a disk with {0}, which the build is to write to")]
    NoFileSystem(&'static str),
    /// Something that a machine with evidence can't have.
    #[error("a machine with evidence has no {0}: who judges it expects the one that each has")]
    WithEvidence(&'static str),
    /// A file system could not be made.
    #[error("{}: it could not make the file system of the disk to build on: {said}", program.display())]
    Format {
        /// What was to make it.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// More processors than the engine can give.
    #[error("the build is to have {wanted} processors, and this machine can have {most}")]
    Processors {
        /// How many are asked for.
        wanted: u32,
        /// How many there can be.
        most: u32,
    },
    /// A machine that is to have evidence, and an engine that has no place for a secure processor.
    #[error("evidence of a machine is made of QEMU's, and {0} was asked for; say --engine qemu-kvm or qemu-tcg")]
    NoProcessor(&'static str),
    /// A machine that the host's processor closes, and an engine that does not run on it.
    #[error("{0} runs no machine that the processor closes; say --engine qemu-kvm, or leave it out")]
    NotClosed(&'static str),
    /// No firmware to measure.
    #[error("the firmware that such machines start with is not there (Debian: install `{0}`)")]
    NoFirmware(&'static str),
    /// A guest that has no evidence of a build that ended well.
    #[error("the guest has no evidence of its build, and was asked for it")]
    NoEvidence,
}

fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> MachineError {
    move |source| MachineError::Io { doing, source }
}
