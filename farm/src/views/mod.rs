// SPDX-License-Identifier: Apache-2.0
//! What there is to see: for the API and for the pages, out of the database alone.
//!
//! What is counted is counted when it happens, and lists have a length, so that the usual pages take no longer the more there is.
//! Failures of the last days are counted one by one, and a cause with another condition is looked for among all of that cause.

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
