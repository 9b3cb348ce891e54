// SPDX-License-Identifier: Apache-2.0
//! What every queue promises: one set of tests, which each of them passes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod queues {
    mod nats;
    pub(crate) mod promises;
    pub(crate) mod random;
    #[allow(dead_code, reason = "each test program uses a part of it")]
    pub(crate) mod servers;
    mod sqlite;
}
