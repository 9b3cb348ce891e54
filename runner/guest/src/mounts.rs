// SPDX-License-Identifier: Apache-2.0
//! What a guest mounts, the modules that it loads, and its clock.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use nix::unistd::{chdir, chroot};
use reprove_model::FileSystem;
use reprove_store::Store;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use crate::Failure;

/// Where `/usr` is, and the other parts of a build's root filesystem.
pub(crate) const USR: &str = "/parts/usr";
/// The other parts are below it.
pub(crate) const PARTS: &str = "/parts/others";

/// What everything else needs.
pub(crate) fn first() -> Result<(), Failure> {
    mounted("proc", "proc", "/proc", "")?;
    mounted("devtmpfs", "devtmpfs", "/dev", "")
}

/// The modules of the first file system, in the order of their names. A kernel may have them built in; those for a processor
/// that closes machines say in any other that there is no such device.
pub(crate) fn load_modules() -> Result<(), Failure> {
    load("/modules", "loading the kernel's modules")
}

/// The same for a disk with this file system.
pub(crate) fn load_modules_for(kind: FileSystem) -> Result<(), Failure> {
    load(&format!("/disks/{}", kind.name()), &format!("loading the modules for {}", kind.name()))
}

#[expect(clippy::disallowed_methods, reason = "they are sorted")]
fn load(folder: &str, doing: &str) -> Result<(), Failure> {
    let folder = fs::read_dir(folder).map_err(Failure::at(doing))?;
    let mut paths = folder.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>();
    if let Ok(paths) = &mut paths {
        paths.sort();
    }
    for path in paths.map_err(Failure::at(doing))? {
        let file = File::open(&path).map_err(Failure::at(doing))?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(Errno::EXIST | Errno::NODEV) => {}
            Err(error) => return Err(Failure::at(format!("loading {}", path.display()))(error)),
        }
    }
    Ok(())
}

/// What the machine's clock says from now on, in seconds since 1970.
pub(crate) fn set_clock(seconds: u64) -> Result<(), Failure> {
    let doing = "setting the clock";
    let seconds = i64::try_from(seconds).map_err(Failure::at(doing))?;
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0)).map_err(Failure::at(doing))
}

/// Makes a root in memory, with `/usr` from the device `usr`, and enters it: the first one can't be left by those who have
/// a root of their own.
pub(crate) fn root(usr: &Path) -> Result<(), Failure> {
    mounted("tmpfs", "tmpfs", "/new", "mode=0755,size=90%")?;
    for folder in ["dev", "parts", "parts/usr", "parts/others", "proc", "sys", "tmp", "usr"] {
        make(&format!("/new/{folder}"))?;
    }
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(Some(usr), "/new/parts/usr", Some("erofs"), flags, None::<&str>)
        .map_err(Failure::at("mounting the disk with /usr or the environment"))?;
    for moved in ["dev", "proc"] {
        move_to(&format!("/{moved}"), &format!("/new/{moved}"))?;
    }
    mounted("sysfs", "sysfs", "/new/sys", "")?;
    chdir("/new").map_err(Failure::at("entering the root"))?;
    move_to(".", "/")?;
    chroot(".").map_err(Failure::at("entering the root"))?;
    chdir("/").map_err(Failure::at("entering the root"))?;
    // Limits of memory and processes; a kernel without has them held as on any machine without.
    let _ = mounted("cgroup2", "cgroup2", "/sys/fs/cgroup", "");
    Ok(())
}

/// Where the disk to build on is.
const DISK: &str = "/disk";
/// What of it a build has.
pub(crate) const SCRATCH: &str = "/disk/scratch";

/// Mounts the disk to build on, and leaves `bytes` of it.
pub(crate) fn disk(device: &Path, kind: FileSystem, bytes: u64) -> Result<(), Failure> {
    let doing = "mounting the disk to build on";
    make(DISK)?;
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    // What it has not written yet of its tables it would write beside the build.
    let options = (kind == FileSystem::Ext4).then_some("noinit_itable");
    mount(Some(device), DISK, Some(kind.name()), flags, options).map_err(Failure::at(doing))?;
    make(SCRATCH)?;
    fs::set_permissions(SCRATCH, Permissions::from_mode(0o777)).map_err(Failure::at(doing))?;
    let there = statvfs(DISK).map_err(Failure::at(doing))?;
    let there = there.f_bavail.saturating_mul(there.f_frsize);
    let more = there.checked_sub(bytes).ok_or_else(|| Failure::at(doing)("it is too small"))?;
    if more > 0 {
        let rest = File::create_new(format!("{DISK}/rest")).map_err(Failure::at(doing))?;
        fallocate(&rest, FallocateFlags::empty(), 0, more).map_err(Failure::at(doing))?;
    }
    Ok(())
}

/// The guest's store, in memory.
pub(crate) fn store() -> Result<Store, Failure> {
    Store::open(Path::new("/store")).map_err(Failure::at("making the store"))
}

fn make(path: &str) -> Result<(), Failure> {
    fs::create_dir(path).map_err(Failure::at(format!("making {path}")))
}

fn mounted(what: &str, kind: &str, at: &str, options: &str) -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID;
    mount(Some(what), at, Some(kind), flags, Some(options)).map_err(Failure::at(format!("mounting {at}")))
}

fn move_to(from: &str, to: &str) -> Result<(), Failure> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>).map_err(Failure::at(format!("moving {from}")))
}
