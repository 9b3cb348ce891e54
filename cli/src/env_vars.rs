// SPDX-License-Identifier: Apache-2.0
//! Every environment variable that `reprove` reads. Nothing else in the workspace reads any.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the store is. Default: `reprove` in [`data_home`].
pub(crate) const STORE: &str = "REPROVE_STORE";
/// How often what is read from the store is checked: `always`, `never`, or as in `1/20`. Default: `always`. What a build
/// reads is always checked.
pub(crate) const STORE_VERIFY: &str = "REPROVE_STORE_VERIFY";
/// The most that the store may hold, as in `20GiB`. Default: what the disk holds.
pub(crate) const STORE_QUOTA: &str = "REPROVE_STORE_QUOTA";
/// The farm that is asked, and worked for. Default: the one of this machine, `http://127.0.0.1:7077`.
pub(crate) const FARM: &str = "REPROVE_FARM";
/// The token that is shown to it. Default: the one that this machine's own farm has made for who started it.
pub(crate) const FARM_TOKEN: &str = "REPROVE_FARM_TOKEN";
/// Where this machine's farm keeps its database and its log. Default: `reprove-farm` in [`data_home`].
pub(crate) const FARM_DATA: &str = "REPROVE_FARM_DATA";
/// Where traces of a farm's builds are sent (OpenTelemetry's own variables, of which its exporter reads the others that begin so:
/// headers, protocol, time limit). Default: they are not sent.
pub(crate) const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The same, for traces alone.
pub(crate) const OTLP_TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// What the farm is called in them. Default: `reprove-farm`.
pub(crate) const OTEL_SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// The private key that signs: a file, or a PKCS#11 URI. Default: `reprove/key.pem` in [`config_home`].
pub(crate) const KEY: &str = "REPROVE_KEY";
/// The passphrase of the private key, where that is encrypted. Default: it is asked for at the terminal.
pub(crate) const KEY_PASSPHRASE: &str = "REPROVE_KEY_PASSPHRASE";
/// Who rebuilds, for statements. Default: nothing is said of that.
pub(crate) const OPERATOR: &str = "REPROVE_OPERATOR";
/// On what, for statements. Default: nothing is said of that.
pub(crate) const PLATFORM: &str = "REPROVE_PLATFORM";
/// The PIN of the token that the private key is on. Default: the file that the URI names, or it is asked for at the terminal.
pub(crate) const PKCS11_PIN: &str = "REPROVE_PKCS11_PIN";
/// The PKCS#11 module that a token is reached by, where the URI names none. No default.
pub(crate) const PKCS11_MODULE: &str = "REPROVE_PKCS11_MODULE";
/// The Python that has the pip to fetch with. Default: `python3`.
pub(crate) const PYTHON: &str = "REPROVE_PYTHON";
/// The npm to fetch with. Default: `npm`.
pub(crate) const NPM: &str = "REPROVE_NPM";
/// The Bazel that says how a target is made. Default: `bazel`.
pub(crate) const BAZEL: &str = "REPROVE_BAZEL";
/// The `nix-store` that says what a store has. Default: `nix-store`.
pub(crate) const NIX: &str = "REPROVE_NIX";
/// The cargo to fetch with. Default: `cargo`.
pub(crate) const CARGO: &str = "REPROVE_CARGO";
/// The directory that this has (Cargo's own variable). Default: `~/.cargo`.
const CARGO_HOME: &str = "CARGO_HOME";
/// The apt to fetch Debian's packages with. Default: `apt-get`.
pub(crate) const APT: &str = "REPROVE_APT";
/// The skopeo to fetch images from registries with. Default: `skopeo`.
pub(crate) const SKOPEO: &str = "REPROVE_SKOPEO";
/// The guest's program, which virtual machines are started with. Default: `reprove-guest` beside `reprove`.
pub(crate) const GUEST: &str = "REPROVE_GUEST";
/// The keys of the EMULATED secure processor of AMD's kind. Default: `reprove/emulated-snp.json` in [`config_home`].
pub(crate) const EMULATED: &str = "REPROVE_EMULATED";
/// Those of the one of Intel's kind. Default: `reprove/emulated-tdx.json` in [`config_home`].
pub(crate) const EMULATED_TDX: &str = "REPROVE_EMULATED_TDX";
/// The firmware of machines that this host's processor closes: an OVMF of edk2's AmdSev package for sev-snp, one with TDVF's
/// metadata for tdx. No default.
pub(crate) const FIRMWARE: &str = "REPROVE_FIRMWARE";
/// The folder with AMD's certificates of this host's processor, for sev-snp. Default: those that the host gives its guests.
pub(crate) const SNP_CERTIFICATES: &str = "REPROVE_SNP_CERTIFICATES";
/// The file with what Intel says of this host's platform, for tdx. No default.
pub(crate) const TDX_COLLATERAL: &str = "REPROVE_TDX_COLLATERAL";
/// Where programs are: `git` for one.
const PATH: &str = "PATH";
/// Where files are kept that nobody needs afterwards. Default: `/tmp`.
const TMPDIR: &str = "TMPDIR";

/// The variable's value as a path, where it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The variable's value, where it is set, not empty, and text.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether one of these is set, and not empty.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn is_any_set(names: &[&str]) -> bool {
    names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The variable's value as what it says, where it is set and not empty.
///
/// # Errors
/// The name, and what is wrong with the value.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn parsed<T: FromStr<Err: Display>>(name: &str) -> Result<Option<T>, String> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.to_string_lossy().parse().map(Some).map_err(|e| format!("{name}: {e}"))
}

/// `XDG_DATA_HOME`, or `~/.local/share` (XDG Base Directory Specification).
pub(crate) fn data_home() -> Option<PathBuf> {
    path("XDG_DATA_HOME").filter(|path| path.is_absolute()).or_else(|| Some(home()?.join(".local/share")))
}

/// `XDG_CONFIG_HOME`, or `~/.config`.
pub(crate) fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| Some(home()?.join(".config")))
}

/// `CARGO_HOME`, or `~/.cargo`.
pub(crate) fn cargo_home() -> PathBuf {
    let own = path(CARGO_HOME).filter(|path| path.is_absolute());
    own.or_else(|| Some(home()?.join(".cargo"))).unwrap_or_else(|| "/nonexistent".into())
}

/// The folders of `PATH`, in order.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    path(PATH).map_or_else(Vec::new, |folders| std::env::split_paths(&folders).collect())
}

/// `TMPDIR`, or `/tmp`.
pub(crate) fn temporary_folder() -> PathBuf {
    path(TMPDIR).filter(|path| path.is_absolute()).unwrap_or_else(|| "/tmp".into())
}

fn home() -> Option<PathBuf> {
    path("HOME").filter(|path| path.is_absolute())
}
