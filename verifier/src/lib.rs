// SPDX-License-Identifier: Apache-2.0
//! Trees and records to verdicts and findings.
//!
//! [`compare`] explains what differs between two trees; [`judge`] compares rebuilds with each other and with what was
//! published; [`attribute`] builds again, with one condition changed at a time, to show what caused a difference.

pub mod compare;
mod judge;
mod vary;

pub use judge::{JudgeError, artifact, judge};
pub use vary::{AttributeError, Differing, MovedClock, attribute, conditions};
