// SPDX-License-Identifier: Apache-2.0
//! Evidence of confidential machines: real reports, read where the packages that carry them lie, and EMULATED ones of all kinds
//! that those do not have.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test file")]

mod bits;
mod ccf;
mod ear;
mod foreign;
mod judged;
mod judged_tdx;
mod keys;
mod launch;
mod nitro_emulated;
mod nitro_vectors;
mod packages;
mod snp;
mod snp_real;
mod tdx_emulated;
mod tdx_measured;
mod tdx_vectors;

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
