// SPDX-License-Identifier: Apache-2.0
//! The build farm: what is to be rebuilt, by whom, and what came of it.
//!
//! ```text
//! Request ──submit──▶ Build ─┬─ Job 1 ──lease──▶ worker ──Report──▶ Decision ──▶ journal
//!                            └─ Job n ──lease──▶ another worker ─────▶ …
//! ```
//!
//! A *job* is one build by one rebuilder; a build has as many as its request asks for, and no two are given to workers that
//! the request does not count as independent. The [`Queue`] only carries: jobs are handed out under a *lease*, each with a
//! number that only grows, its *epoch*. What was decided is in the coordinator's database, once, and in its log; whatever has
//! no decision there is put into the queue again.
//!
//! The crate reads no clock, no environment variable and no home directory: whoever calls it passes these in.

pub mod access;
pub mod api;
mod client;
mod clock;
mod coordinator;
mod database;
pub mod hooks;
mod independence;
mod job;
mod ledger;
mod live;
mod page;
pub mod queue;
mod report;
mod request;
pub mod source;
pub mod tls;
pub mod traces;
pub mod views;
pub mod worker;

pub use client::{Client, ClientError};
pub use clock::{Clock, Millis};
pub(crate) use coordinator::causes;
pub use coordinator::{
    Accepted, Admission, Assignment, Brought, Coordinator, FarmError, FarmEvent, Parts, Profile, Refusal, Settings,
    Submitted, Worker,
};
pub use database::{Database, DatabaseError, SCHEMA_VERSION};
pub use independence::{Claim, Distinct, may_run};
pub use job::{Architecture, BuildId, InvalidId, InvalidName, JobId, Lane, Name, Priority, Requires};
pub use ledger::{Ledger, LedgerError};
pub use live::Live;
pub use queue::{Entry, Epoch, Lease, Offer, Queue, QueueError, Settled, Waiting};
pub use report::{Failure, FailureClass, Outcome, Report, ReportError, VerifiedReport};
pub use request::{Request, RequestError, Work};
