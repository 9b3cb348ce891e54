// SPDX-License-Identifier: Apache-2.0
//! The coordinator: nothing that was submitted is lost, nothing is decided twice, and no lie counts. And how it is asked, over
//! real connections.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

#[path = "queues/servers.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod servers;
mod support;
mod coordinator {
    mod builds;
    mod faults;
    mod lies;
    mod logged;
    mod nats;
}
mod api {
    mod access;
    mod certificates;
    mod hostile;
    mod served;
    mod workers;
}
