// SPDX-License-Identifier: Apache-2.0
//! Evidence of processors: what a machine's maker vouches for. Verified offline, and refused wherever anything is missing.

pub mod tdx;
