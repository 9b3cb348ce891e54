// SPDX-License-Identifier: Apache-2.0
//! Package URLs and recipes to locked inputs: the only code of reprove that touches a network.
//!
//! There is one module for each kind of source. Each takes what a person typed, finds every input that the build needs,
//! checks its digests, puts it into the store, and returns a [`Lock`](reprove_model::Lock). No code of what is to be built
//! runs here. The ecosystem's own client does the fetching, as the machine has it set up; where something came from is not
//! kept, so that any mirror serves.

mod blocking;
pub mod directory;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod notes;
mod process;
pub mod pypi;
mod wheel;

pub use error::{InputsError, Kind};
pub use notes::Note;

pub use http::{Answer, AskError, post};
pub use pypi::{BackendError, Pip};
pub use wheel::{WheelError, most_common_timestamp};
