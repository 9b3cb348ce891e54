// SPDX-License-Identifier: Apache-2.0
//! The root filesystem inside: an empty one in memory, the parts mounted into it read-only, and the old one gone.
//!
//! Paths outside are resolved as the runner's user, before the user changes; from then on there are only descriptors.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{fchdir, pivot_root};
use reprove_model::FileSystem;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, symlinkat, unlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::derivation;
use super::helper::Failure;
use super::protocol::Spec;
use super::terminal::Terminal;
use super::views::MASKED;
use crate::determine::{Fixed, Told, device};
use crate::sys::{MountAttributes, mount_setattr};

/// What a build in namespaces can write to beside a file system in memory, as far as this machine's kernel says that it has it.
#[must_use]
pub fn other_file_system() -> Option<FileSystem> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_known = |kind: FileSystem| known.lines().any(|line| line.split_whitespace().last() == Some(kind.name()));
    Some(FileSystem::Overlay).filter(|kind| is_known(*kind))
}

/// Detached copies of everything that comes from outside.
pub(super) struct Sources {
    binds: Vec<(OwnedFd, String)>,
    inputs: Vec<(File, String)>,
    devices: Vec<(OwnedFd, &'static str)>,
    blobs: OwnedFd,
    /// What the build writes to, where that is on a disk.
    disk: Option<OwnedFd>,
}

/// The device nodes that a build sees.
pub(super) const DEVICES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];

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
        // Each input is held open, and a project can depend on thousands.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(Failure::at("reading the limit of open files"))?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(Failure::at("raising the limit of open files"))?;
        let read_only = MountAttributes::READ_ONLY_NO_SUID_NO_DEV;
        let binds = spec.binds.iter().map(|(path, inside)| Ok((clone(path, read_only)?, inside.clone())));
        let inputs = spec.inputs.iter().map(|(path, inside)| {
            let doing = format!("opening {}", path.display());
            Ok((File::open(path).map_err(Failure::at(doing))?, inside.clone()))
        });
        let device =
            |name: &&'static str| Ok((clone(&Path::new("/dev").join(name), MountAttributes::READ_ONLY)?, *name));
        Ok(Self {
            binds: binds.collect::<Result<_, _>>()?,
            inputs: inputs.collect::<Result<_, _>>()?,
            devices: DEVICES.iter().map(device).collect::<Result<_, _>>()?,
            blobs: clone(&spec.blob_root, read_only)?,
            disk: spec.disk.as_ref().map(|path| clone(path, MountAttributes::NO_SUID_NO_DEV)).transpose()?,
        })
    }
}

/// Makes the root filesystem, and makes it the only one. Gives the store's blobs, which have no path inside, and the build's
/// terminal, where it is to have one.
pub(super) fn enter(spec: &Spec, sources: Sources) -> Result<(OwnedFd, Option<Terminal>), Failure> {
    let inputs = sources.inputs.iter().map(|(file, _)| file.metadata().map_or(0, |metadata| metadata.len()));
    let owner = spec.surroundings.user_id();
    let root = tmpfs(inputs.fold(16 << 20, u64::saturating_add), "0755", owner)?;
    // Any directory does: what it hides is not used any more, and the place is gone with the old root.
    attach(&root, CWD, "/usr")?;
    // With the old root it is taken apart in one go, and can be read until the descriptor is closed. Where it is mounted
    // nowhere, closing the descriptor is a taking apart of its own, for which the kernel waits a second time.
    attach(&sources.blobs, CWD, "/dev")?;
    fchdir(&root).map_err(Failure::at("entering the new root"))?;
    let root = root.as_fd();

    for (tree, inside) in sources.binds.iter().filter(|(_, inside)| Some(inside) != spec.store.as_ref()) {
        directories(root, inside)?;
        attach(tree, root, relative(inside))?;
    }
    for inside in &spec.hidden {
        let empty = tmpfs(0, "0755", owner)?;
        mount_setattr(empty.as_fd(), MountAttributes::READ_ONLY).map_err(Failure::at("hiding a directory"))?;
        attach(&empty, root, relative(inside))?;
    }
    for (inside, target) in &spec.links {
        symlinkat(target.as_str(), root, relative(inside)).map_err(Failure::at(format!("making the link {inside}")))?;
    }
    for (number, (inside, text)) in spec.files.iter().enumerate() {
        let is_in =
            |(_, at): &&(OwnedFd, String)| inside.strip_prefix(at.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if sources.binds.iter().find(is_in).is_some() {
            cover(root, inside, text, number)?;
            continue;
        }
        directories(root, parent(inside))?;
        fs::write(relative(inside), text).map_err(Failure::at(format!("writing {inside}")))?;
    }
    for (input, inside) in &sources.inputs {
        directories(root, parent(inside))?;
        copy(root, input, relative(inside)).map_err(Failure::at(format!("copying {inside}")))?;
    }
    devices(root, &sources.devices, spec.told.and_then(Told::fixed))?;
    proc_and_sys(root, spec)?;
    writable(root, spec, sources.disk)?;
    if let Some(store) = &spec.store {
        let paths = sources.binds.iter().find(|(_, inside)| inside == store);
        derivation::places(root, spec, store, paths.map(|(tree, _)| tree))?;
    }
    for name in &spec.installed {
        let made = format!("{}/source/{name}", spec.build_path);
        directories(root, &made)?;
        directories(root, name)?;
        attach(&part(root, relative(&made))?, root, name)?;
    }
    let terminal = spec.surroundings.terminal.then(|| Terminal::make(root)).transpose()?;
    if spec.installed.is_empty() {
        root_read_only(root)?;
    }

    pivot_root(".", ".").map_err(Failure::at("changing the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Failure::at("letting go of the old root"))?;
    nix::unistd::chdir("/").map_err(Failure::at("entering the new root"))?;
    Ok((sources.blobs, terminal))
}

/// Puts a file over one of a part, which can't be written to. It is made where `/proc` will be, so that there is no other way
/// to it.
fn cover(root: BorrowedFd<'_>, inside: &str, text: &str, number: usize) -> Result<(), Failure> {
    directories(root, "/proc")?;
    let made = format!("proc/.file-{number}");
    fs::write(&made, text).map_err(Failure::at(format!("writing {inside}")))?;
    attach(&part(root, &made)?, root, relative(inside))
}

/// A copy, not a mount: that would tell where on the machine it comes from.
fn copy(root: BorrowedFd<'_>, mut input: &File, path: &str) -> io::Result<()> {
    let mode = Mode::from_raw_mode(input.metadata()?.permissions().mode() & 0o777);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut to = File::from(openat(root, path, flags, mode)?);
    io::copy(&mut input, &mut to).map(drop)
}

fn devices(root: BorrowedFd<'_>, nodes: &[(OwnedFd, &str)], fixed: Option<Fixed>) -> Result<(), Failure> {
    directories(root, "/dev")?;
    for (tree, name) in nodes {
        let inside = format!("dev/{name}");
        if let Some(fixed) = fixed.filter(|_| matches!(*name, "random" | "urandom")) {
            fs::write(&inside, device(&fixed.seed)).map_err(Failure::at(format!("writing /{inside}")))?;
            continue;
        }
        file(root, &inside)?;
        attach(tree, root, &inside)?;
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlinkat(format!("/proc/self/{target}"), root, format!("dev/{name}"))
            .map_err(Failure::at("making links in /dev"))?;
    }
    Ok(())
}

/// The processes inside, read-only; and what is told of the machine in other files than those the kernel has.
///
/// The files are made where `/proc` is mounted over them, so that there is no other way to them.
fn proc_and_sys(root: BorrowedFd<'_>, spec: &Spec) -> Result<(), Failure> {
    for name in ["/proc/.empty", "/sys/devices/system/cpu"] {
        directories(root, name)?;
    }
    file(root, "proc/.nothing")?;
    let mut covers = Vec::new();
    for (number, (name, text)) in spec.proc_files.iter().enumerate() {
        let made = format!("proc/.{number}");
        fs::write(&made, text).map_err(Failure::at(format!("writing {name}")))?;
        covers.push((part(root, &made)?, name.as_str(), false));
    }
    for name in MASKED {
        let path = format!("/proc/{name}");
        // Of this process's own /proc, which has the same files.
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            let empty = if metadata.is_dir() { "proc/.empty" } else { "proc/.nothing" };
            covers.push((part(root, empty)?, name, true));
        }
    }
    for (name, text) in &spec.processor_lists {
        let path = format!("sys/devices/system/cpu/{name}");
        fs::write(&path, text).map_err(Failure::at(format!("writing /{path}")))?;
    }
    for number in 0..spec.processors {
        directories(root, &format!("/sys/devices/system/cpu/cpu{number}"))?;
    }
    let proc = mounted("proc", &[], MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    attach(&proc, root, "proc")?;
    no_user_namespaces()?;
    mount_setattr(proc.as_fd(), MountAttributes::READ_ONLY).map_err(Failure::at("making /proc read-only"))?;
    for (cover, name, _) in covers {
        attach(&cover, root, &format!("proc/{name}"))?;
    }
    Ok(())
}

/// Of nobody in the new user namespace: beside the filter of system calls, which refuses the calls themselves.
fn no_user_namespaces() -> Result<(), Failure> {
    fs::write("proc/sys/user/max_user_namespaces", "0").map_err(Failure::at("forbidding user namespaces"))
}

/// A part of the root, to be mounted in another place as well.
pub(super) fn part(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(root, path, flags).map_err(Failure::at(format!("taking /{path} to another place")))
}

/// Has files be made, and nothing left of them but that their numbers are not given again.
fn pass_over(scratch: &OwnedFd, numbers: u32) -> Result<(), Failure> {
    let doing = "passing over inode numbers";
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    for _ in 0..numbers {
        openat(scratch, "number", flags, Mode::from_raw_mode(0o600)).map_err(Failure::at(doing))?;
        unlinkat(scratch, "number", AtFlags::empty()).map_err(Failure::at(doing))?;
    }
    Ok(())
}

/// On a disk a number is given again when its file is gone, and is near that of the directory where the file was made: each
/// file is made where the source will be, and stays where no build sees it.
fn pass_over_on_disk(scratch: &OwnedFd, numbers: u32) -> Result<(), Failure> {
    let doing = "passing over inode numbers";
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    mkdirat(scratch, "passed", Mode::from_raw_mode(0o700)).map_err(Failure::at(doing))?;
    for number in 0..numbers {
        openat(scratch, "build/source/number", flags, Mode::from_raw_mode(0o600)).map_err(Failure::at(doing))?;
        let to = format!("passed/{number}");
        renameat(scratch, "build/source/number", scratch, to).map_err(Failure::at(doing))?;
    }
    Ok(())
}

/// The only places where a build can write. They are parts of one file system in memory, so that the limit of disk holds
/// for all of them together; its own root, where all of them can be seen, lies below the build directory.
fn writable(root: BorrowedFd<'_>, spec: &Spec, disk: Option<OwnedFd>) -> Result<(), Failure> {
    let inside = spec.build_path.as_str();
    let scratch = tmpfs(spec.disk_bytes, "0755", spec.surroundings.user_id())?;
    pass_over(&scratch, spec.surroundings.inodes_after.unwrap_or(0))?;
    directories(root, inside)?;
    attach(&scratch, root, relative(inside))?;
    let scratch = match spec.surroundings.file_system {
        None => scratch,
        Some(FileSystem::Overlay) => {
            let overlay = overlay(root, &scratch)?;
            attach(&overlay, root, relative(inside))?;
            overlay
        }
        Some(kind) => {
            let why = || io::Error::other(format!("a build writes to {} in a virtual machine alone", kind.name()));
            let disk = disk.ok_or_else(why).map_err(Failure::at("choosing the file system"))?;
            attach(&disk, root, relative(inside))?;
            disk
        }
    };
    let mut places = vec![("build", inside, 0o755), ("shm", "/dev/shm", 0o1777), ("tmp", "/tmp", 0o1777)];
    places.extend(home(spec).map(|home| ("home", home, 0o755)));
    let mut parts = Vec::new();
    for (name, at, mode) in places {
        mkdirat(&scratch, name, Mode::from_raw_mode(0o755)).map_err(Failure::at(format!("making {at}")))?;
        let made = part(scratch.as_fd(), name)?;
        rustix::fs::fchmod(&open_directory(&made)?, Mode::from_raw_mode(mode))
            .map_err(Failure::at(format!("making {at}")))?;
        parts.push((made, at));
    }
    for (made, at) in parts {
        directories(root, at)?;
        attach(&made, root, relative(at))?;
    }
    let source = format!("{inside}/source");
    directories(root, &source)?;
    if spec.surroundings.file_system.is_some_and(FileSystem::is_on_disk) {
        pass_over_on_disk(&scratch, spec.surroundings.inodes_after.unwrap_or(0))?;
    }
    if let Some(path) = &spec.surroundings.temporary_directory {
        directories(root, path)?;
    }
    if home(spec).is_none() { directories(root, &format!("{inside}/home")) } else { Ok(()) }
}

/// An overlay over an empty directory, whose files are `scratch`'s.
fn overlay(root: BorrowedFd<'_>, scratch: &OwnedFd) -> Result<OwnedFd, Failure> {
    const DIRECTORIES: [(&str, &str); 3] = [("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")];
    for (_, name) in DIRECTORIES {
        mkdirat(scratch, name, Mode::from_raw_mode(0o755)).map_err(Failure::at(format!("making {name}")))?;
    }
    // The kernel takes the names as this process would; the build directory's own could have signs with a meaning in it.
    fchdir(scratch).map_err(Failure::at("entering the overlay's directories"))?;
    let mut options = DIRECTORIES.to_vec();
    options.push(("userxattr", ""));
    let made = mounted("overlay", &options, MountAttrFlags::empty());
    fchdir(root).map_err(Failure::at("entering the new root"))?;
    made
}

/// The home directory, where it is a place of its own.
pub(super) fn home(spec: &Spec) -> Option<&str> {
    spec.surroundings.home.as_deref()
}

/// A directory that is open by name alone can't be changed.
fn open_directory(tree: &OwnedFd) -> Result<OwnedFd, Failure> {
    openat(tree, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Failure::at("opening a directory"))
}

fn tmpfs(bytes: u64, mode: &str, owner: u32) -> Result<OwnedFd, Failure> {
    let (size, id) = (bytes.max(4096).to_string(), owner.to_string());
    // A file takes at least a page; without a bound of their own, empty ones would take kernel memory instead.
    let inodes = (bytes / 4096).clamp(1024, 1 << 20).to_string();
    let options = [("size", size.as_str()), ("nr_inodes", &inodes), ("mode", mode), ("uid", &id), ("gid", &id)];
    mounted("tmpfs", &options, MountAttrFlags::empty())
}

fn mounted(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Failure> {
    mounted_with_devices(kind, options, attributes | MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// A new file system of this kind. An option without a value is set.
pub(super) fn mounted_with_devices(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    let fail = || Failure::at::<rustix::io::Errno>(format!("mounting {kind}"));
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail())?;
    for (key, value) in options {
        match *value {
            "" => fsconfig_set_flag(context.as_fd(), *key),
            value => fsconfig_set_string(context.as_fd(), *key, value),
        }
        .map_err(fail())?;
    }
    fsconfig_create(context.as_fd()).map_err(fail())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes | MountAttrFlags::MOUNT_ATTR_NOSUID)
        .map_err(fail())
}

pub(super) fn attach(tree: &OwnedFd, directory: BorrowedFd<'_>, path: &str) -> Result<(), Failure> {
    move_mount(tree.as_fd(), "", directory, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Failure::at(format!("mounting at {path}")))
}

/// The file system of the root itself, wherever it is mounted; what others are mounted in it keep what they have.
fn root_read_only(root: BorrowedFd<'_>) -> Result<(), Failure> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    fchdir(root).map_err(Failure::at("entering the new root"))?;
    mount(None::<&str>, ".", None::<&str>, flags, None::<&str>).map_err(Failure::at("making the root read-only"))
}

/// Makes the directories that lead to `inside`, and it.
pub(super) fn directories(root: BorrowedFd<'_>, inside: &str) -> Result<(), Failure> {
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

pub(super) fn file(root: BorrowedFd<'_>, path: &str) -> Result<(), Failure> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(root, path, flags, Mode::from_raw_mode(0o444)).map(drop).map_err(Failure::at(format!("making /{path}")))
}

pub(super) fn relative(inside: &str) -> &str {
    inside.trim_start_matches('/')
}

fn parent(inside: &str) -> &str {
    inside.rsplit_once('/').map_or("/", |(parent, _)| parent)
}
