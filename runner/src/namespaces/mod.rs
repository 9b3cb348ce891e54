// SPDX-License-Identifier: Apache-2.0
//! Builds in Linux namespaces.

mod cgroup;
mod helper;
mod ids;
mod init;
mod log;
mod populate;
mod protocol;
mod rootfs;
mod supervise;

pub use helper::helper_main;
pub(crate) use log::take_name;
pub(crate) use protocol::{SourceEntry, SourceKind};
pub use supervise::{Sandbox, SandboxError, SandboxOutcome, SandboxRequest};
