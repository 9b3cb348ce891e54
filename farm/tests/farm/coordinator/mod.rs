// SPDX-License-Identifier: Apache-2.0
//! The coordinator: nothing that was submitted is lost, nothing is decided twice, and no lie counts.

mod builds;
mod faults;
mod lies;
mod logged;
mod nats;
mod projects;
