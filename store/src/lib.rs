// SPDX-License-Identifier: Apache-2.0
//! Content-addressed files and trees.
