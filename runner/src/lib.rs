// SPDX-License-Identifier: Apache-2.0
//! Locked inputs to build records, in isolation. Knows no network.
//!
//! [`Runner::build`] runs one build and gives its [`BuildRecord`]. Isolation needs a process with one thread, so the runner
//! starts this program again as a helper: whoever links this crate calls [`helper_main`] before anything else.
//!
//! ```text
//! reprove ──starts──▶ helper ──clone──▶ init (PID 1 inside: mounts, writes the source, waits) ──▶ steps
//!    ▲  ▲                                │
//!    │  └────── build's output ──────────┤
//!    └───── control: directory, outcome ─┘
//! ```
//!
//! [`BuildRecord`]: reprove_model::BuildRecord

mod determine;
mod filter;
mod install;
mod namespaces;
mod record;
mod source;
mod surroundings;
mod sys;
pub mod trace;
pub mod vm;

pub use install::{InstallError, Installation};
pub use namespaces::{
    Forbidden, Sandbox, SandboxError, SandboxOutcome, SandboxRequest, helper_main, other_file_system,
};
pub use record::{BuildRequest, Built, MAX_OUTPUT_FILES, RunError, Runner};
pub use source::{SourceError, SourceFile, SourceFiles};

/// The first argument with which this program starts itself as a helper.
pub const HELPER_ARGUMENT: &str = "__reprove-sandbox";

/// The first argument with which this program starts itself to hold a virtual machine: [`vm::machine_main`].
pub const MACHINE_ARGUMENT: &str = "__reprove-machine";
