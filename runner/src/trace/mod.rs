// SPDX-License-Identifier: Apache-2.0
//! What a build asks for, seen from outside: seccomp's notifications, which the helper answers.
//!
//! The first process inside puts a filter before its system calls that has the kernel ask before each one that names a file
//! (`filter`, `calls`), and hands the descriptor that the kernel asks on to the helper. The helper reads the path from
//! the memory of whoever makes the call, keeps it, and has the call go on (`watch`): watching decides nothing. In a deterministic build, some calls are answered in
//! place of the kernel (`crate::determine`).
//! What it saw (`Seen`) goes to the runner when the build has ended, which says what each path was and gives it its digest
//! (`listing`).
//!
//! A process that has threads can change a path after it was read, so that what is seen of a hostile build is a hint. What
//! is mounted is what a build could read, whatever it does.

pub(crate) mod arguments;
mod calls;
mod digests;
mod filter;
mod hand_over;
mod interpreter;
mod listing;
pub(crate) mod memory;
mod network;
pub(crate) mod onward;
pub(crate) mod paths;
mod plan;
mod seen;
mod watch;

pub(crate) use hand_over::{Channel, read_seen};
pub use interpreter::{Beyond, MAX_HEAD, interpreter};
pub use listing::{ListingError, read, unused};
pub(crate) use listing::{Sources, listing};
pub(crate) use plan::{Plan, Wanted};
pub(crate) use seen::Seen;
