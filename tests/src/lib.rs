// SPDX-License-Identifier: Apache-2.0
//! The shared parts of the end-to-end tests: a freshly built `reprove`, a place of its own for each test, and a look at what
//! a run has left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod authority;
mod bench;
mod clients;
mod derivations;
mod doorway;
pub mod layouts;
mod leftovers;
mod machines;
mod network;
mod program;
pub mod properties;
mod referrers;
mod registry;
mod running;
mod schemas;
mod terminal;

pub use authority::Authority;
pub use bench::{Bench, sorted_names};
pub use clients::python_client;
pub use derivations::NixStore;
pub use doorway::Doorway;
pub use leftovers::{Leftovers, control_groups, is_root, processes};
pub use machines::{Descendants, engine, guest_program, kernel_package, other_kernel_package, shared_store};
pub use network::{Cut, Network};
pub use program::{once, program, workspace};
pub use referrers::ListingRegistry;
pub use registry::Registry;
pub use running::{Ran, Running, wait_until};
pub use schemas::{faults, valid};
