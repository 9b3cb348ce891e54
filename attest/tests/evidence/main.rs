// SPDX-License-Identifier: Apache-2.0
//! Evidence of processors: real ones from the packages of other verifiers, and made ones for what no package has.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test file")]

mod bits;
mod ear;
mod nitro_emulated;
mod nitro_vectors;
mod packages;
mod tdx_emulated;
mod tdx_vectors;
