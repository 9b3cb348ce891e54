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

/// A machine that its processor closes to its host.
const CLOSED: Trust = Trust {
    claim: "",
    holds_as_long_as: "the processor's maker and its current firmware are sound, and the measured guest does what its source says (it can be rebuilt and measured by anyone); that `/usr` is the lock's environment, and that the tables (ACPI) which its host gives do no harm, is the operator's word",
    does_not_need: "that operator, its host kernel",
};
/// A machine of which a program says so.
const EMULATED: Trust = Trust {
    claim: "",
    holds_as_long_as: "the operator of that rebuilder is honest: its kernel, its runner, its key; the emulation proves the plumbing, nothing else",
    does_not_need: "the publisher",
};

impl Trust {
    /// The same, where the source is what was published itself: only who packed it need not be trusted.
    #[must_use]
    pub fn of_own_contents(self) -> Self {
        Self { does_not_need: "who packed it, and with what; what is in it is the publisher's alone", ..self }
    }

    /// The row for builds that say of themselves that they were in `isolation`, where no evidence of that was judged.
    #[must_use]
    pub fn unjudged(isolation: Isolation) -> Self {
        let by = match isolation {
            Isolation::Namespaces | Isolation::Vm => return Self::of(isolation),
            Isolation::SevSnp => {
                "these outputs came out of these inputs, built under sev-snp by the rebuilder's own word"
            }
            Isolation::Tdx => "these outputs came out of these inputs, built under tdx by the rebuilder's own word",
            Isolation::EmulatedSnp | Isolation::EmulatedTdx => return Self::of(isolation),
        };
        Self {
            claim: by,
            holds_as_long_as: "the operator of that rebuilder is honest: its kernel, its runner, its key; the evidence was not judged, which a trust file with [tee] does",
            does_not_need: "the publisher",
        }
    }

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
            Isolation::SevSnp => {
                Self { claim: "these outputs came out of these inputs, built under sev-snp", ..CLOSED }
            }
            Isolation::Tdx => Self { claim: "these outputs came out of these inputs, built under tdx", ..CLOSED },
            Isolation::EmulatedSnp => Self {
                claim: "these outputs came out of these inputs, built under emulated-snp (EMULATED - NOT HARDWARE)",
                ..EMULATED
            },
            Isolation::EmulatedTdx => Self {
                claim: "these outputs came out of these inputs, built under emulated-tdx (EMULATED - NOT HARDWARE)",
                ..EMULATED
            },
        }
    }
}
