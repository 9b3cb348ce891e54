// SPDX-License-Identifier: Apache-2.0
//! The farm, with real builds, real processes and a real browser.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, reason = "seeds and times are told")]

mod credentials;
mod cuts;
mod described;
mod evidence;
mod feeds;
mod killed;
mod nats;
mod page;
mod schemas;
mod served;
mod watched;
mod whole;
