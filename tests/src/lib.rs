// SPDX-License-Identifier: Apache-2.0
//! The shared parts of the end-to-end tests.
