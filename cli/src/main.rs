// SPDX-License-Identifier: Apache-2.0
//! The `reprove` command.

fn main() {}
