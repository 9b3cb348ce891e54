// SPDX-License-Identifier: Apache-2.0
//! The API and the pages, over real connections.

mod access;
mod certificates;
mod hostile;
pub(crate) mod served;
mod workers;
