// SPDX-License-Identifier: Apache-2.0
//! Which rebuilders count as independent of each other: a rule of placement.

use std::collections::BTreeSet;

use reprove_attest::KeyId;
use reprove_model::Isolation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Name;

/// In what two rebuilders of one build have to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distinct {
    /// In the worker.
    Worker,
    /// In the key that signs.
    Key,
    /// In who answers for it, by the farm's own list.
    Operator,
    /// In what it builds in.
    Isolation,
    /// In who made the confidential hardware. An emulation, and what is no such hardware, is of nobody: it is of no other
    /// vendor than anything else.
    Vendor,
}

impl Distinct {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Worker, Self::Key, Self::Operator, Self::Isolation, Self::Vendor];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Key => "key",
            Self::Operator => "operator",
            Self::Isolation => "isolation",
            Self::Vendor => "vendor",
        }
    }

    /// What is asked for where nothing is said: another worker with another key.
    #[must_use]
    pub fn usual() -> BTreeSet<Self> {
        [Self::Worker, Self::Key].into()
    }
}

/// Who has, or had, one of a build's jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The worker.
    pub worker: Name,
    /// Its key.
    pub key: KeyId,
    /// Who answers for it.
    pub operator: String,
    /// What it builds in.
    pub isolation: Isolation,
}

impl Claim {
    fn differs(&self, other: &Self, distinct: Distinct) -> bool {
        match distinct {
            Distinct::Worker => self.worker != other.worker,
            Distinct::Key => self.key != other.key,
            Distinct::Operator => self.operator != other.operator,
            Distinct::Isolation => self.isolation != other.isolation,
            Distinct::Vendor => match (vendor(self.isolation), vendor(other.isolation)) {
                (Some(one), Some(other)) => one != other,
                _ => false,
            },
        }
    }
}

/// Who made the confidential hardware that an isolation is of; nobody, where it is of none.
fn vendor(isolation: Isolation) -> Option<&'static str> {
    match isolation {
        Isolation::SevSnp => Some("amd"),
        Isolation::Tdx => Some("intel"),
        Isolation::Namespaces | Isolation::Vm | Isolation::EmulatedSnp | Isolation::EmulatedTdx => None,
    }
}

/// Whether `who` may run a job of a build whose other jobs `others` have, or have finished: it differs from each of them in
/// all of `distinct`.
#[must_use]
pub fn may_run<'a>(who: &Claim, others: impl IntoIterator<Item = &'a Claim>, distinct: &BTreeSet<Distinct>) -> bool {
    others.into_iter().all(|other| distinct.iter().all(|distinct| who.differs(other, *distinct)))
}

#[cfg(test)]
mod tests {
    use reprove_attest::SigningKey;

    use super::*;

    fn claim(worker: &str, key: u8, operator: &str, isolation: Isolation) -> Claim {
        let key = SigningKey::ed25519([key; 32]).public_key().id();
        Claim { worker: worker.parse().unwrap(), key, operator: operator.to_owned(), isolation }
    }

    #[test]
    fn each_condition_tells_apart_what_it_says_and_nothing_else() {
        let first = claim("a", 1, "x", Isolation::SevSnp);
        let others = [
            (Distinct::Worker, claim("b", 1, "x", Isolation::SevSnp)),
            (Distinct::Key, claim("a", 2, "x", Isolation::SevSnp)),
            (Distinct::Operator, claim("a", 1, "y", Isolation::SevSnp)),
            (Distinct::Isolation, claim("a", 1, "x", Isolation::Vm)),
        ];
        for (differs_in, other) in &others {
            for distinct in Distinct::ALL {
                let may = may_run(other, [&first], &[distinct].into());
                assert_eq!(may, distinct == *differs_in, "{distinct:?}: {other:?}");
            }
        }
        // Another vendor is another isolation as well.
        let intel = claim("a", 1, "x", Isolation::Tdx);
        assert!(may_run(&intel, [&first], &[Distinct::Vendor, Distinct::Isolation].into()));
        assert!(!may_run(&intel, [&first], &[Distinct::Vendor, Distinct::Worker].into()));
    }

    #[test]
    fn no_emulation_and_no_plain_machine_is_of_another_vendor() {
        for isolation in Isolation::ALL {
            let one = claim("a", 1, "x", Isolation::SevSnp);
            let other = claim("b", 2, "y", isolation);
            assert_eq!(
                may_run(&other, [&one], &[Distinct::Vendor].into()),
                isolation == Isolation::Tdx,
                "{isolation:?}"
            );
        }
    }

    #[test]
    fn whoever_is_first_may_and_every_other_is_looked_at() {
        let distinct = Distinct::usual();
        let [a, b, c] = [1, 2, 3].map(|n| claim(&format!("w{n}"), n, "x", Isolation::Namespaces));
        assert!(may_run(&a, [], &distinct));
        assert!(may_run(&c, [&a, &b], &distinct));
        assert!(!may_run(&b, [&a, &b], &distinct));
    }
}
