// SPDX-License-Identifier: Apache-2.0
//! What a proof proves, and what the audit refuses.

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod appraisal;
#[cfg(test)]
#[path = "../../../tests/src/authority.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "it is there for the tests of the whole as well, and starts a program that reads files"
)]
mod authority;
#[cfg(test)]
mod bytes;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod confidential;
#[cfg(test)]
mod construction;
#[cfg(test)]
mod contrary;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod images;
#[cfg(test)]
#[path = "../evidence/keys.rs"]
mod keys;
#[cfg(test)]
mod others;
#[cfg(test)]
mod own_contents;
#[cfg(test)]
mod rego;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod support;
#[cfg(test)]
mod verdicts;
