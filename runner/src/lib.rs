// SPDX-License-Identifier: Apache-2.0
//! Locked inputs to build records, in isolation.
