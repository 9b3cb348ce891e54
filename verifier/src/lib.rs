// SPDX-License-Identifier: Apache-2.0
//! Trees and records to verdicts and findings.
//!
//! [`compare`] explains what differs between two trees; [`judge`] compares rebuilds with each other and with what was
//! published; [`explain`] builds again, with some of the conditions changed, to show what caused a difference.

pub mod compare;
pub mod explain;
mod judge;
mod vary;

pub use judge::{JudgeError, against_published, artifact, judge};
pub use vary::{Differing, MovedClock, Wanted, conditions};
