// SPDX-License-Identifier: Apache-2.0
//! Who is trusted for what: the row of the design's table that goes with an isolation.

use reprove_model::Isolation;

/// What a proof lets somebody believe, as long as whom can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// What is claimed.
    pub claim: &'static str,
    /// What has to be so.
    pub holds_as_long_as: &'static str,
    /// Who need not be trusted for it.
    pub does_not_need: &'static str,
}

impl Trust {
    /// The row for builds in `isolation`.
    #[must_use]
    pub fn of(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Namespaces => Self {
                claim: "these outputs came out of these inputs, built under namespaces",
                holds_as_long_as: "the operator of that rebuilder is honest: its kernel, its runner, its key",
                does_not_need: "the publisher",
            },
            Isolation::Vm => Self {
                claim: "these outputs came out of these inputs, built under vm",
                holds_as_long_as: "the operator of that rebuilder is honest: its kernel, its runner, its key",
                does_not_need: "the publisher",
            },
        }
    }
}
