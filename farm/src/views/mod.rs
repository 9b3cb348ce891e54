// SPDX-License-Identifier: Apache-2.0
//! What there is to see: for the API and for the pages, out of the database alone.
//!
//! Nothing here takes longer the more there is: what is counted is counted when it happens, and lists have a length.

mod build;
mod builds;
mod changes;
mod overview;
mod workers;

pub use build::{Attempted, BuildView, JobView, build, build_of_job, report};
pub(crate) use builds::row_of;
pub use builds::{BuildRow, Filter, MAX_LISTED, builds};
pub use changes::{Change, changes};
pub use overview::{Day, FailureGroup, Overview, Tally, overview, waiting};
pub use workers::{WorkerView, workers};
