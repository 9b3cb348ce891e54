// SPDX-License-Identifier: Apache-2.0
//! What caused a difference between two rebuilds: what its form suggests, and what building again shows.

mod advice;
mod asked;
mod found;
mod plan;
mod propose;
mod search;

pub use advice::{Advice, Setting, advice};
pub use asked::asked;
pub use plan::{Depth, ExplainError, MOST_BUILDS, Plan};
pub use propose::propose;
pub use search::explain;
