// SPDX-License-Identifier: Apache-2.0
//! Every environment variable that `reprove` reads. Nothing else in the workspace reads any.

use std::path::PathBuf;

/// Where the store is. Default: `reprove` in [`data_home`].
pub(crate) const STORE: &str = "REPROVE_STORE";
/// The private key that signs. Default: `reprove/key.pem` in [`config_home`].
pub(crate) const KEY: &str = "REPROVE_KEY";
/// The Python that has the pip to fetch with. Default: `python3`.
pub(crate) const PYTHON: &str = "REPROVE_PYTHON";
/// Where programs are: `git` for one.
const PATH: &str = "PATH";
/// Where files are kept that nobody needs afterwards. Default: `/tmp`.
const TMPDIR: &str = "TMPDIR";

/// The variable's value as a path, where it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `XDG_DATA_HOME`, or `~/.local/share` (XDG Base Directory Specification).
pub(crate) fn data_home() -> Option<PathBuf> {
    path("XDG_DATA_HOME").filter(|path| path.is_absolute()).or_else(|| Some(home()?.join(".local/share")))
}

/// `XDG_CONFIG_HOME`, or `~/.config`.
pub(crate) fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| Some(home()?.join(".config")))
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
