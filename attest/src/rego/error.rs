// SPDX-License-Identifier: Apache-2.0
//! Why a text is no policy, and why a policy does not allow.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::RegoPolicy;

/// Why a text is no policy in Rego.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegoError {
    /// Longer than [`RegoPolicy::MAX_BYTES`].
    #[error("it has {0} bytes; a policy in Rego has at most {max}", max = RegoPolicy::MAX_BYTES)]
    TooLong(usize),
    /// Deeper than [`RegoPolicy::MAX_DEPTH`].
    #[error("{0} of its brackets are in each other; a policy in Rego has at most {max}", max = RegoPolicy::MAX_DEPTH)]
    TooDeep(usize),
    /// Not Rego v1, or with something in it that can't be evaluated here.
    #[error("{0}")]
    Rego(String),
    /// Of another package.
    #[error("its package is {0}; a policy begins with: package reprove")]
    Package(String),
    /// Nothing that could allow.
    #[error(
        "it has no rule `allow`, so that nothing would be enough; say when it is true, as in: allow if count(deny) == 0"
    )]
    NoAllow,
}

/// Why a policy in Rego does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegoRefusal {
    /// `allow` is false, and `deny` says nothing.
    #[error("its rule `allow` is false")]
    NotAllowed,
    /// No rule of `allow` holds, and there is no default.
    #[error("its rule `allow` is undefined")]
    Undefined,
    /// `allow` is something else.
    #[error("its rule `allow` is neither true nor false")]
    AllowIsNoBoolean,
    /// A message of `deny`, in the policy's words.
    #[error("{0}")]
    Denied(String),
    /// More messages than are told one by one.
    #[error("and {0} more")]
    More(usize),
    /// `deny` is something else.
    #[error("its rule `deny` is no set of strings")]
    DenyIsNoSet,
    /// It can't be evaluated for this input.
    #[error("it can't be evaluated: {0}")]
    Failed(String),
    /// It was ended before it was evaluated.
    #[error("it was not evaluated to its end: {0}")]
    Unfinished(String),
}

/// One line of what the engine says: its messages show the line of the policy as well, and a pointer below it.
pub(super) fn said(error: &impl Display) -> String {
    let text = error.to_string();
    let place = text.lines().find_map(|line| line.trim_start().strip_prefix("--> ")?.split_once(':'));
    let what = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it does not say why");
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let line = match place {
        Some((_, place)) => format!("at {place}: {what}"),
        None => what.to_owned(),
    };
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(RegoPolicy::MAX_MESSAGE).collect()
}
