// SPDX-License-Identifier: Apache-2.0
//! What the farm promises: each queue by one set of tests, the coordinator with workers that do as they are told, the API and the
//! pages over real connections, and all of it while servers of NATS are killed, and cut off.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, reason = "seeds, times and measurements are told")]

mod api;
mod coordinator;
mod hooks;
mod load;
mod model;
mod nats_cuts;
mod nats_faults;
#[path = "../../../tests/src/network.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is there for the tests of the whole as well")]
mod network;
mod queues;
mod servers;
mod support;
