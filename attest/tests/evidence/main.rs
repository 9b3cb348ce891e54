// SPDX-License-Identifier: Apache-2.0
//! Evidence of confidential machines: real reports, read where the packages that carry them lie, and emulated ones of all kinds
//! that those do not have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod judged;
mod keys;
mod launch;
mod snp;
mod snp_real;
mod support;
