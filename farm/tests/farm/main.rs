// SPDX-License-Identifier: Apache-2.0
//! What the farm promises: each queue by one set of tests, the coordinator with workers that do as they are told, the API and the
//! pages over real connections, and all of it while servers of NATS are killed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, reason = "seeds, times and measurements are told")]

mod api;
mod coordinator;
mod hooks;
mod load;
mod nats_faults;
mod queues;
mod servers;
mod support;
