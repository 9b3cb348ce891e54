// SPDX-License-Identifier: Apache-2.0
//! What is worth telling while inputs are found.

/// Something to tell a person at once; the caller says how. Each text is one line, without a final stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What is being done now.
    Doing(String),
    /// Something that is no error, and that may explain a result later.
    Noticed(String),
}
