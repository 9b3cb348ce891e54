// SPDX-License-Identifier: Apache-2.0
//! The root filesystem inside: an empty one in memory, the parts mounted into it read-only, and the old one gone.
//!
//! Paths outside are resolved as the runner's user, before the user changes; from then on there are only descriptors.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{fchdir, pivot_root};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};

use super::helper::Failure;
use super::protocol::{INSIDE_ID, Spec};
use crate::sys::{MountAttributes, mount_setattr};

/// Detached copies of everything that comes from outside.
pub(super) struct Sources {
    binds: Vec<(OwnedFd, String)>,
    inputs: Vec<(OwnedFd, String)>,
    devices: Vec<(OwnedFd, &'static str)>,
    blobs: OwnedFd,
}

/// The device nodes that a build sees.
const DEVICES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];

impl Sources {
    pub(super) fn open(spec: &Spec) -> Result<Self, Failure> {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(Failure::at("making mounts private"))?;
        // With what is mounted below: without that, a part with a mount in it can't be taken at all.
        let clone = |path: &Path, attributes| {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
            let doing = format!("taking {} into the sandbox", path.display());
            let tree = open_tree(CWD, path, flags).map_err(Failure::at(doing.as_str()))?;
            mount_setattr(tree.as_fd(), attributes).map_err(Failure::at(doing))?;
            Ok(tree)
        };
        let read_only = MountAttributes::READ_ONLY_NO_SUID_NO_DEV;
        let all = |paths: &[(std::path::PathBuf, String)]| {
            paths
                .iter()
                .map(|(path, inside)| Ok((clone(path, read_only)?, inside.clone())))
                .collect::<Result<Vec<_>, _>>()
        };
        let device =
            |name: &&'static str| Ok((clone(&Path::new("/dev").join(name), MountAttributes::READ_ONLY)?, *name));
        Ok(Self {
            binds: all(&spec.binds)?,
            inputs: all(&spec.inputs)?,
            devices: DEVICES.iter().map(device).collect::<Result<_, _>>()?,
            blobs: clone(&spec.blob_root, read_only)?,
        })
    }
}

/// Makes the root filesystem, and makes it the only one. Gives the store's blobs, which have no path inside.
pub(super) fn enter(spec: &Spec, sources: Sources) -> Result<OwnedFd, Failure> {
    let root = tmpfs(16 << 20, "0755")?;
    // Any directory does: what it hides is not used any more, and the place is gone with the old root.
    attach(&root, CWD, "/usr")?;
    fchdir(&root).map_err(Failure::at("entering the new root"))?;
    let root = root.as_fd();

    for (tree, inside) in &sources.binds {
        directories(root, inside)?;
        attach(tree, root, relative(inside))?;
    }
    for inside in &spec.hidden {
        let empty = tmpfs(0, "0755")?;
        mount_setattr(empty.as_fd(), MountAttributes::READ_ONLY).map_err(Failure::at("hiding a directory"))?;
        attach(&empty, root, relative(inside))?;
    }
    for (inside, target) in &spec.links {
        symlinkat(target.as_str(), root, relative(inside)).map_err(Failure::at(format!("making the link {inside}")))?;
    }
    for (inside, text) in &spec.files {
        directories(root, parent(inside))?;
        fs::write(relative(inside), text).map_err(Failure::at(format!("writing {inside}")))?;
    }
    for (tree, inside) in &sources.inputs {
        directories(root, parent(inside))?;
        file(root, relative(inside))?;
        attach(tree, root, relative(inside))?;
    }
    devices(root, &sources.devices)?;
    writable(root, spec)?;
    mount_setattr_one_read_only(root)?;

    pivot_root(".", ".").map_err(Failure::at("changing the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Failure::at("letting go of the old root"))?;
    nix::unistd::chdir("/").map_err(Failure::at("entering the new root"))?;
    Ok(sources.blobs)
}

fn devices(root: BorrowedFd<'_>, nodes: &[(OwnedFd, &str)]) -> Result<(), Failure> {
    directories(root, "/dev")?;
    for (tree, name) in nodes {
        let inside = format!("dev/{name}");
        file(root, &inside)?;
        attach(tree, root, &inside)?;
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlinkat(format!("/proc/self/{target}"), root, format!("dev/{name}"))
            .map_err(Failure::at("making links in /dev"))?;
    }
    directories(root, "/proc")?;
    let proc = mounted("proc", &[], MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    attach(&proc, root, "proc")
}

/// The only places where a build can write.
fn writable(root: BorrowedFd<'_>, spec: &Spec) -> Result<(), Failure> {
    for (inside, bytes, mode) in [
        ("/dev/shm", spec.disk_bytes, "1777"),
        ("/tmp", spec.disk_bytes, "1777"),
        (&spec.build_path, spec.disk_bytes, "0755"),
    ] {
        directories(root, inside)?;
        attach(&tmpfs(bytes, mode)?, root, relative(inside))?;
    }
    directories(root, &format!("{}/source", spec.build_path))?;
    directories(root, &format!("{}/home", spec.build_path))
}

fn tmpfs(bytes: u64, mode: &str) -> Result<OwnedFd, Failure> {
    let (size, id) = (bytes.max(4096).to_string(), INSIDE_ID.to_string());
    // A file takes at least a page; without a bound of their own, empty ones would take kernel memory instead.
    let inodes = (bytes / 4096).clamp(1024, 1 << 20).to_string();
    let options = [("size", size.as_str()), ("nr_inodes", &inodes), ("mode", mode), ("uid", &id), ("gid", &id)];
    mounted("tmpfs", &options, MountAttrFlags::empty())
}

fn mounted(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Failure> {
    let fail = || Failure::at::<rustix::io::Errno>(format!("mounting {kind}"));
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail())?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value).map_err(fail())?;
    }
    fsconfig_create(context.as_fd()).map_err(fail())?;
    let attributes = attributes | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(fail())
}

fn attach(tree: &OwnedFd, directory: BorrowedFd<'_>, path: &str) -> Result<(), Failure> {
    move_mount(tree.as_fd(), "", directory, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Failure::at(format!("mounting at {path}")))
}

/// The root alone: what is mounted below it keeps what it has.
fn mount_setattr_one_read_only(root: BorrowedFd<'_>) -> Result<(), Failure> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    fchdir(root).map_err(Failure::at("entering the new root"))?;
    mount(None::<&str>, ".", None::<&str>, flags, None::<&str>).map_err(Failure::at("making the root read-only"))
}

/// Makes the directories that lead to `inside`, and it.
fn directories(root: BorrowedFd<'_>, inside: &str) -> Result<(), Failure> {
    let mut made = String::new();
    for name in inside.split('/').filter(|name| !name.is_empty()) {
        made.push_str(name);
        match mkdirat(root, made.as_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(Failure::at(format!("making /{made}"))(e)),
        }
        made.push('/');
    }
    Ok(())
}

fn file(root: BorrowedFd<'_>, path: &str) -> Result<(), Failure> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(root, path, flags, Mode::from_raw_mode(0o444)).map(drop).map_err(Failure::at(format!("making /{path}")))
}

fn relative(inside: &str) -> &str {
    inside.trim_start_matches('/')
}

fn parent(inside: &str) -> &str {
    inside.rsplit_once('/').map_or("/", |(parent, _)| parent)
}
