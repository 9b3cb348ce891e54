// SPDX-License-Identifier: Apache-2.0
//! Who rebuilt, by their own word.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::TrustRoots;

/// Who rebuilt, and on what, as they call themselves. It proves nothing: an auditor's trust file says whose a key is, and
/// what it does not agree with does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuilder {
    /// Who holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// On what it is used: a build farm, a laboratory, a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

impl Rebuilder {
    /// Who rebuilt.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn new(operator: Option<String>, platform: Option<String>) -> Result<Self, InvalidName> {
        let rebuilder = Self { operator, platform };
        rebuilder.check()?;
        Ok(rebuilder)
    }

    pub(crate) fn check(&self) -> Result<(), InvalidName> {
        for (what, name) in [("operator", &self.operator), ("platform", &self.platform)] {
            if !name.as_deref().is_none_or(is_name) {
                return Err(InvalidName(what));
            }
        }
        Ok(())
    }
}

/// Whether a text can be the name of an operator or a platform.
pub(crate) fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= TrustRoots::MAX_NAME && !text.chars().any(char::is_control)
}

/// A text that is no name of an operator or a platform.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the {0} is empty, longer than {max} characters, or has control characters", max = TrustRoots::MAX_NAME)]
pub struct InvalidName(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_within_the_bound() {
        let rebuilder = |name: &str| Rebuilder::new(Some(name.into()), Some("farm".into()));
        let long = |n: usize| "ä".repeat(n);
        for good in ["one", "Reproducible Builds e. V.", &long(TrustRoots::MAX_NAME)] {
            assert_eq!(rebuilder(good).unwrap().operator.as_deref(), Some(good));
        }
        for bad in ["", " ", "a\nb", "\u{1b}[2J", &long(TrustRoots::MAX_NAME + 1)] {
            assert_eq!(rebuilder(bad), Err(InvalidName("operator")), "{bad:?}");
            assert_eq!(Rebuilder::new(None, Some(bad.into())), Err(InvalidName("platform")), "{bad:?}");
        }
        assert_eq!(Rebuilder::new(None, None), Ok(Rebuilder::default()));
    }
}
