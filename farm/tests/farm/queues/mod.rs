// SPDX-License-Identifier: Apache-2.0
//! What every queue promises: one set of tests, which each of them passes.

mod nats;
pub(crate) mod promises;
pub(crate) mod random;
mod sqlite;
