// SPDX-License-Identifier: Apache-2.0
//! Evidence of processors: what a machine's maker vouches for. Verified offline, and refused wherever anything is missing.

pub mod ear;
mod emulation;
pub mod nitro;
pub mod tdx;

pub use emulation::{EMULATED, EmulatedRootError, MAX_ROOT};
