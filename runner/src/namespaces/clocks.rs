// SPDX-License-Identifier: Apache-2.0
//! The clocks that count from the machine's start: a build sees its own, that say the same at the start of every build.

use std::fs::{self, File};
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::time::{ClockId, clock_gettime};

use super::helper::Failure;

/// What both clocks say at the start of a build, in seconds. Some programs subtract from them, and fail below zero.
const START: i64 = 100_000;

/// Moves this process, which has one thread, into a new time namespace. `false` where the kernel has none.
pub(super) fn enter() -> Result<bool, Failure> {
    match unshare(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)) {
        Ok(()) => {}
        Err(Errno::EINVAL) => return Ok(false),
        Err(e) => return Err(Failure::at("making the time namespace")(e)),
    }
    let doing = "setting the clocks of the time namespace";
    let mut offsets = String::new();
    for (name, clock) in [("monotonic", ClockId::CLOCK_MONOTONIC), ("boottime", ClockId::CLOCK_BOOTTIME)] {
        let now = clock_gettime(clock).map_err(Failure::at(doing))?;
        offsets.push_str(&format!("{name} {} 0\n", START - now.tv_sec()));
    }
    fs::write("/proc/self/timens_offsets", offsets).map_err(Failure::at(doing))?;
    let namespace = File::open("/proc/self/ns/time_for_children").map_err(Failure::at(doing))?;
    setns(namespace, CloneFlags::from_bits_retain(libc::CLONE_NEWTIME))
        .map_err(|e| Failure::at("entering the time namespace")(io::Error::from(e)))?;
    Ok(true)
}
