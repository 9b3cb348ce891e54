// SPDX-License-Identifier: Apache-2.0
//! Policies in Rego, for what `policy.toml` does not say. What they see is [`rego_input`]; `docs/rego.md` has its members.
//!
//! ```text
//! Appraisal ──rego_input──▶ JSON ──RegoPolicy::evaluate──▶ refusals ──Appraisal::refused_by──▶ Appraisal
//! ```
//!
//! An evaluation is a function of the policy and the input: there is no clock, no network and no chance in it. Nothing here
//! bounds how long it takes, or how much memory; the command line does, by giving it a process of its own.

mod error;
mod input;
mod nesting;
mod time;

use regorus::{Engine, Rc, Value};

pub use error::{RegoError, RegoRefusal};
pub use input::{MAX_REGO_INPUT, RegoInputError, rego_input};

use error::said;

/// What the engine calls the policy in its messages.
const NAME: &str = "policy";
/// The package that a policy is in.
const PACKAGE: &str = "data.reprove";
const ALLOW: &str = "data.reprove.allow";
const DENY: &str = "data.reprove.deny";

/// One file in Rego v1, of the package `reprove`, with a rule `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegoPolicy(String);

impl RegoPolicy {
    /// The longest policy, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;
    /// The most brackets, `[` and `{`, that are in each other.
    pub const MAX_DEPTH: usize = 12;
    /// The most refusals that are told one by one.
    pub const MAX_REFUSALS: usize = 64;
    /// The longest message of a policy that is told, in characters; what is longer is cut.
    pub const MAX_MESSAGE: usize = 500;

    /// Reads a policy.
    ///
    /// # Errors
    /// See [`RegoError`].
    pub fn parse(text: &str) -> Result<Self, RegoError> {
        if text.len() > Self::MAX_BYTES {
            return Err(RegoError::TooLong(text.len()));
        }
        let depth = nesting::deepest(text);
        if depth > Self::MAX_DEPTH {
            return Err(RegoError::TooDeep(depth));
        }
        loaded(text)?;
        Ok(Self(text.to_owned()))
    }

    /// Why the policy does not allow what `input` shows, the JSON of [`rego_input`]; empty where it does. It does where
    /// `data.reprove.allow` is `true`, and `data.reprove.deny` is undefined or an empty set.
    #[must_use]
    pub fn evaluate(&self, input: &str) -> Vec<RegoRefusal> {
        decided(&self.0, input).unwrap_or_else(|failed| vec![failed])
    }
}

/// An engine with the policy, which was looked through.
fn loaded(text: &str) -> Result<Engine, RegoError> {
    let mut engine = Engine::new();
    // Nothing is printed.
    engine.set_gather_prints(true);
    time::add_to(&mut engine)?;
    let package = engine.add_policy(NAME.into(), text.into()).map_err(|e| RegoError::Rego(said(&e)))?;
    if package != PACKAGE {
        let package = package.trim_start_matches("data.");
        return Err(RegoError::Package(package.chars().filter(|c| !c.is_control()).take(200).collect()));
    }
    if !engine.has_declared_rule_rooted_at(NAME, "allow").map_err(|e| RegoError::Rego(said(&e)))? {
        return Err(RegoError::NoAllow);
    }
    engine.compile_with_entrypoint(&Rc::from(ALLOW)).map_err(|e| RegoError::Rego(said(&e)))?;
    Ok(engine)
}

fn decided(text: &str, input: &str) -> Result<Vec<RegoRefusal>, RegoRefusal> {
    let mut engine = loaded(text).map_err(|e| RegoRefusal::Failed(e.to_string()))?;
    engine.set_input(Value::from_json_str(input).map_err(|e| RegoRefusal::Failed(said(&e)))?);
    let allow = value(&mut engine, ALLOW)?;
    let deny = value(&mut engine, DENY)?;
    let mut refusals = denied(&deny)?;
    match allow {
        Value::Bool(true) => {}
        // Where something else is said, that is why.
        Value::Bool(false) if !refusals.is_empty() => {}
        Value::Bool(false) => refusals.push(RegoRefusal::NotAllowed),
        Value::Undefined => refusals.push(RegoRefusal::Undefined),
        _ => refusals.push(RegoRefusal::AllowIsNoBoolean),
    }
    Ok(refusals)
}

/// What a rule comes to.
fn value(engine: &mut Engine, rule: &str) -> Result<Value, RegoRefusal> {
    let results = engine.eval_query(rule.into(), false).map_err(|e| RegoRefusal::Failed(said(&e)))?;
    let first = results.result.into_iter().next().and_then(|result| result.expressions.into_iter().next());
    Ok(first.map_or(Value::Undefined, |expression| expression.value))
}

/// The messages of `deny`. In JSON, as other engines give it, a set is an array.
fn denied(deny: &Value) -> Result<Vec<RegoRefusal>, RegoRefusal> {
    let messages: Vec<&Value> = match deny {
        Value::Undefined => Vec::new(),
        Value::Set(messages) => messages.iter().collect(),
        Value::Array(messages) => messages.iter().collect(),
        _ => return Err(RegoRefusal::DenyIsNoSet),
    };
    let mut refusals = Vec::new();
    for message in &messages {
        let Value::String(message) = message else { return Err(RegoRefusal::DenyIsNoSet) };
        if refusals.len() < RegoPolicy::MAX_REFUSALS {
            refusals.push(RegoRefusal::Denied(message.chars().take(RegoPolicy::MAX_MESSAGE).collect()));
        }
    }
    let more = messages.len() - refusals.len();
    if more > 0 {
        refusals.push(RegoRefusal::More(more));
    }
    Ok(refusals)
}
