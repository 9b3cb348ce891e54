// SPDX-License-Identifier: Apache-2.0
//! What has to hold for every parser of outside bytes, whatever the bytes.
//!
//! A property takes bytes and panics where it does not hold; where the bytes are refused, that has to happen without a
//! panic and within bounds. `tests/fuzz` has a target for each, `tests/corpora` a directory of files for each, and the test
//! `corpus` replays those files, and mutations of them, without a fuzzer.

mod archives;
mod attest;
mod compare;
pub mod evidence;
mod farm;
mod inputs;
mod model;
mod runner;
mod token;

/// What has to hold for one parser.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// The name of the fuzz target and of the corpus's directory.
    pub name: &'static str,
    /// Panics where it does not hold for these bytes.
    pub check: fn(&[u8]),
}

/// All of them, sorted by name.
pub const ALL: [Property; 72] = [
    Property { name: "add_checkpoint", check: attest::add_checkpoint },
    Property { name: "apt_packages", check: inputs::apt_packages },
    Property { name: "audit", check: attest::audit },
    Property { name: "authority", check: attest::authority },
    Property { name: "bazel_action", check: inputs::bazel_action },
    Property { name: "bearer", check: inputs::bearer },
    Property { name: "binary_only_changes", check: inputs::binary_only_changes },
    Property { name: "build_info", check: inputs::build_info },
    Property { name: "bundle", check: attest::bundle },
    Property { name: "bytes_compare", check: compare::bytes },
    Property { name: "cargo_lock", check: inputs::cargo_lock },
    Property { name: "cargo_manifest", check: inputs::cargo_manifest },
    Property { name: "ccf_receipt", check: evidence::ccf_receipt },
    Property { name: "certificate", check: evidence::certificate },
    Property { name: "container_compare", check: compare::containers },
    Property { name: "crate_digest", check: inputs::crate_digest },
    Property { name: "derivation", check: inputs::derivation },
    Property { name: "ear_token", check: evidence::ear_token },
    Property { name: "farm_profile", check: farm::profile },
    Property { name: "farm_report", check: farm::report },
    Property { name: "farm_request", check: farm::request },
    Property { name: "first_recipe", check: inputs::first_recipe },
    Property { name: "git_files", check: inputs::git_files },
    Property { name: "guest_job", check: runner::guest_job },
    Property { name: "guest_report", check: runner::guest_report },
    Property { name: "image_documents", check: inputs::image_documents },
    Property { name: "image_layers", check: archives::image_layers },
    Property { name: "inputs_listing", check: model::inputs_listing },
    Property { name: "interpreter", check: runner::interpreter },
    Property { name: "key_uri", check: token::key_uri },
    Property { name: "lock", check: model::lock },
    Property { name: "log_proof", check: attest::log_proof },
    Property { name: "names", check: model::names },
    Property { name: "nitro_document", check: evidence::nitro_document },
    Property { name: "npm_form", check: inputs::npm_form },
    Property { name: "npm_lock", check: inputs::npm_lock },
    Property { name: "npm_view", check: inputs::npm_view },
    Property { name: "package_lock", check: model::package_lock },
    Property { name: "path", check: model::path },
    Property { name: "pip_report", check: inputs::pip_report },
    Property { name: "pip_requirements", check: inputs::pip_requirements },
    Property { name: "policy", check: attest::policy },
    Property { name: "private_key", check: attest::private_key },
    Property { name: "proof", check: attest::proof },
    Property { name: "public_key", check: attest::public_key },
    Property { name: "purl", check: model::purl },
    Property { name: "pyproject", check: inputs::pyproject },
    Property { name: "recipe", check: model::recipe },
    Property { name: "record", check: model::record },
    Property { name: "recorded", check: attest::recorded },
    Property { name: "rego", check: attest::rego },
    Property { name: "release", check: inputs::release },
    Property { name: "requirement", check: inputs::requirement },
    Property { name: "sdist_packing", check: inputs::sdist_packing },
    Property { name: "snp_certificates", check: evidence::snp_certificates },
    Property { name: "snp_firmware", check: evidence::snp_firmware },
    Property { name: "snp_report", check: evidence::snp_report },
    Property { name: "statement", check: attest::statement },
    Property { name: "svid", check: farm::svid },
    Property { name: "tdx_collateral", check: evidence::tdx_collateral },
    Property { name: "tdx_firmware", check: evidence::tdx_firmware },
    Property { name: "tdx_quote", check: evidence::tdx_quote },
    Property { name: "text_compare", check: compare::text },
    Property { name: "timestamp", check: attest::timestamp },
    Property { name: "tree", check: model::tree },
    Property { name: "tree_compare", check: compare::trees },
    Property { name: "trust", check: attest::trust },
    Property { name: "unpack", check: archives::unpack },
    Property { name: "verdict", check: model::verdict },
    Property { name: "wheel_pins", check: inputs::wheel_pins },
    Property { name: "wheel_times", check: archives::wheel_times },
    Property { name: "zip_compare", check: compare::zip },
];

/// Checks the property of this name.
///
/// # Panics
/// Where there is none of this name, or it does not hold for `bytes`.
pub fn check(name: &str, bytes: &[u8]) {
    let property = ALL.iter().find(|property| property.name == name).unwrap();
    (property.check)(bytes);
}

/// Two inputs in one file: the length of the left one as a little-endian `u16`, then both.
///
/// # Panics
/// Where `left` is longer than 65535 bytes.
#[must_use]
pub fn join(left: &[u8], right: &[u8]) -> Vec<u8> {
    let length = u16::try_from(left.len()).unwrap().to_le_bytes();
    [&length, left, right].concat()
}

/// Undoes [`join`], and makes two inputs of any other bytes too.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.split_first_chunk() {
        Some((length, rest)) => rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len())),
        None => (bytes, &[]),
    }
}

/// `bytes` with one of them changed, chosen by what they are, so that a property can be about what is nearly the same.
fn nearly(bytes: &[u8]) -> Option<Vec<u8>> {
    let digest = reprove_model::Digest::of(bytes);
    let (at, rest) = digest.as_bytes().split_first_chunk()?;
    let at = u64::from_le_bytes(*at).checked_rem(bytes.len() as u64)?;
    let mut changed = bytes.to_vec();
    *changed.get_mut(usize::try_from(at).ok()?)? ^= rest.first()? | 1;
    Some(changed)
}

/// Text that can't do anything to a terminal.
fn assert_plain(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?} has a control character");
}
