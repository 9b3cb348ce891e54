// SPDX-License-Identifier: Apache-2.0
//! Builds in Linux namespaces.

mod cgroup;
mod clocks;
mod derivation;
mod forbidden;
mod formats;
mod helper;
mod ids;
mod init;
mod landlock;
mod log;
mod loopback;
mod populate;
mod prepared;
mod protocol;
mod rootfs;
mod running;
mod supervise;
mod terminal;
mod views;
mod watchdog;

pub use forbidden::Forbidden;
pub use helper::helper_main;
pub(crate) use log::take_name;
pub(crate) use protocol::{SourceEntry, SourceKind};
pub use rootfs::other_file_system;
pub use supervise::{Sandbox, SandboxError, SandboxOutcome, SandboxRequest};
