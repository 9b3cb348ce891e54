// SPDX-License-Identifier: Apache-2.0
//! What a derivation has in place of other builds' folders: one to be built in, and a store that it can add to.

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::mount::{MntFlags, umount2};
use reprove_model::Closure;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdirat, openat, readlinkat, statat, symlinkat, unlinkat};

use super::helper::Failure;
use super::protocol::Spec;
use super::rootfs::{attach, directories, file, part, relative};

/// Where all paths of the store are for a moment, so that they can be mounted one by one.
const ALL: &str = ".closure";

/// Mounts both folders, and in the store each of the paths that `tree` has, read-only as that is.
pub(super) fn places(root: BorrowedFd<'_>, spec: &Spec, store: &str, tree: Option<&OwnedFd>) -> Result<(), Failure> {
    for (name, at) in Closure::FOLDERS.into_iter().zip([Closure::BUILD, store]) {
        let made = format!("{}/source/{name}", spec.build_path);
        directories(root, &made)?;
        directories(root, at)?;
        attach(&part(root, relative(&made))?, root, relative(at))?;
    }
    let Some(tree) = tree else { return Ok(()) };
    directories(root, ALL)?;
    attach(tree, root, ALL)?;
    for name in names(root)? {
        path(root, &name, &format!("{}/{name}", relative(store)))?;
    }
    umount2(ALL, MntFlags::MNT_DETACH).map_err(Failure::at("letting go of the store's paths"))?;
    unlinkat(root, ALL, AtFlags::REMOVEDIR).map_err(Failure::at("letting go of the store's paths"))
}

/// Their names, sorted.
fn names(root: BorrowedFd<'_>) -> Result<Vec<String>, Failure> {
    let doing = "reading the store's paths";
    let folder = openat(root, ALL, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Failure::at(doing))?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&folder).map_err(Failure::at(doing))? {
        let entry = entry.map_err(Failure::at(doing))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names)
}

fn path(root: BorrowedFd<'_>, name: &str, to: &str) -> Result<(), Failure> {
    let (from, doing) = (format!("{ALL}/{name}"), format!("mounting {name} in the store"));
    let stat = statat(root, &from, AtFlags::SYMLINK_NOFOLLOW).map_err(Failure::at(doing.as_str()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = readlinkat(root, &from, Vec::new()).map_err(Failure::at(doing.as_str()))?;
            return symlinkat(target, root, to).map_err(Failure::at(doing));
        }
        FileType::Directory => mkdirat(root, to, Mode::from_raw_mode(0o755)).map_err(Failure::at(doing))?,
        _ => file(root, to)?,
    }
    attach(&part(root, &from)?, root, to)
}
