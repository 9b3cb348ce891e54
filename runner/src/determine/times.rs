// SPDX-License-Identifier: Apache-2.0
//! The times of files that a build writes, as its own programs see them.
//!
//! Where the clock is moved, they are those of that clock. In a deterministic build all of them are of one second. Within it they keep their order, by their nanoseconds, since `make` and its like decide by
//! that what is to be made again; so nanoseconds do depend on how long things took. Files that the build did not write have
//! the times that they have.

use std::io;
use std::os::fd::OwnedFd;

use libc::c_long;
use nix::sys::prctl;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{Gid, Pid, Uid, getppid, setfsgid, setfsuid};
use rustix::fs::{Mode, OFlags};

use super::moved::{MovedClock, now};
use super::{Answer, Asker, Refusal};
use crate::sys::seccomp::Notification;
use crate::sys::stat::{STAT, STATX, Shape, stat, statx};
use crate::trace::arguments::low;
use crate::trace::memory;
use crate::trace::onward::{Onward, onward};
use crate::trace::paths::{Root, TooLong, absolute};

/// The latest nanosecond of a file; the clock is after it.
pub(super) const LATEST_FILE: u64 = 998_999_999;

/// By which clock files are told.
#[derive(Clone, Copy)]
pub(super) enum FileClock {
    /// All are of one second.
    Fixed(u64),
    Moved(MovedClock),
}

pub(super) struct Times {
    clock: FileClock,
    /// When the build started, and when it will have ended, in nanoseconds since 1970 by the machine's clock.
    start: u64,
    end: u64,
    outside: (Uid, Gid),
    /// The number that the user and the group have inside.
    user: u32,
    /// Who has started this process.
    runner: Pid,
}

impl Times {
    pub(super) fn new(
        clock: FileClock,
        limit_seconds: u32,
        (outside, group): (u32, u32),
        user: u32,
    ) -> io::Result<Self> {
        let now = now()?;
        let before = match clock {
            // Kernels stamp files with a clock that may be behind by a tick.
            FileClock::Fixed(_) => TICK,
            FileClock::Moved(_) => MADE_READY,
        };
        let start = now.saturating_sub(before);
        let end = now.saturating_add((u64::from(limit_seconds) + SLACK_SECONDS) * 1_000_000_000);
        Ok(Self { clock, start, end, outside: (Uid::from_raw(outside), Gid::from_raw(group)), user, runner: getppid() })
    }

    /// What is said in place of a time of the machine's; none where it is not one of while the build runs.
    fn told(&self, time: u64) -> Option<(u64, u64)> {
        if !(self.start..=self.end).contains(&time) {
            return None;
        }
        Some(match self.clock {
            FileClock::Fixed(second) => {
                let span = (self.end - self.start) / LATEST_FILE + 1;
                (second, (time - self.start) / span)
            }
            FileClock::Moved(clock) => {
                let told = clock.told(time);
                (told / 1_000_000_000, told % 1_000_000_000)
            }
        })
    }

    /// Answers a call of `stat`'s kin where a file has times that the build gave it. All else is the kernel's to answer.
    pub(super) fn answer(&self, asked: &Notification, asker: &Asker<'_>, root: &Root) -> io::Result<Answer> {
        let Some(look) = Look::of(asked) else { return Ok(Answer::GoOn) };
        let found = match self.find(&look, asker.pid, root) {
            Ok(Some(found)) => found,
            Ok(None) | Err(Refusal::GoOn | Refusal::Error(_)) => return Ok(Answer::GoOn),
            Err(Refusal::Unreached) => return Ok(Answer::Unreached),
            Err(Refusal::Unresolved) => return Ok(Answer::Unresolved),
        };
        let looked = match look.statx {
            Some((flags, mask)) => statx(&found, flags & SYNC, mask).map(|bytes| (&STATX, bytes)),
            None => stat(&found).map(|bytes| (&STAT, bytes)),
        };
        // What is wrong with the call, the kernel says.
        let Ok((shape, mut bytes)) = looked else { return Ok(Answer::GoOn) };
        drop(found);
        if !self.retell(shape, &mut bytes) {
            return Ok(Answer::GoOn);
        }
        self.rename_owners(shape, &mut bytes);
        let bytes = bytes.get(..shape.size).unwrap_or_default();
        Ok(match asker.write_all(&[(look.to, bytes)]) {
            Ok(()) => Answer::Value(0),
            Err(Refusal::Error(error)) => Answer::Fails(error as i32),
            Err(Refusal::GoOn) => Answer::GoOn,
            Err(Refusal::Unreached) => Answer::Unreached,
            Err(Refusal::Unresolved) => Answer::Unresolved,
        })
    }

    /// Changes the times in `bytes`; `false` where there is nothing to change.
    fn retell(&self, shape: &Shape, bytes: &mut [u8]) -> bool {
        let mut changed = false;
        for &at in shape.times {
            let Some(seconds) = bytes.get(at..at + 8).and_then(|b| b.first_chunk().copied()) else { continue };
            let Some(fraction) = bytes.get(at + 8..at + 12).and_then(|b| b.first_chunk().copied()) else { continue };
            let time = nanoseconds(i64::from_ne_bytes(seconds), i64::from(u32::from_ne_bytes(fraction)));
            let Some((second, nanosecond)) = self.told(time) else { continue };
            changed = true;
            if let Some(to) = bytes.get_mut(at..at + 8) {
                to.copy_from_slice(&second.to_ne_bytes());
            }
            if let Some(to) = bytes.get_mut(at + 8..at + 12) {
                to.copy_from_slice(&low(nanosecond).to_ne_bytes());
            }
        }
        changed
    }

    /// Has the owners be those that they are inside: the build's own, or what the kernel says for all that have no number there.
    fn rename_owners(&self, shape: &Shape, bytes: &mut [u8]) {
        for (at, own) in shape.owners.into_iter().zip([self.outside.0.as_raw(), self.outside.1.as_raw()]) {
            if let Some(owner) = bytes.get_mut(at..at + 4) {
                let id = if *owner == own.to_ne_bytes() { self.user } else { NOBODY };
                owner.copy_from_slice(&id.to_ne_bytes());
            }
        }
    }

    /// The kernel forgets with whom this process is to end whenever it becomes another user (`prctl(2)`,
    /// `PR_SET_PDEATHSIG`).
    fn die_with_runner(&self) {
        let is_tied = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
        if !is_tied || getppid() != self.runner {
            let _ = raise(Signal::SIGKILL);
        }
    }

    /// What is looked at, open by its name alone; none where the kernel has to say what there is.
    fn find(&self, look: &Look, pid: Pid, root: &Root) -> Result<Option<OwnedFd>, Refusal> {
        let path = match look.path {
            Some(at) => memory::path(pid, at)?,
            None => Vec::new(),
        };
        if path.is_empty() {
            let Some(descriptor) = look.directory.filter(|descriptor| *descriptor >= 0 && look.empty) else {
                return Ok(None);
            };
            return open(&format!("/proc/{pid}/fd/{descriptor}"));
        }
        let mut whole = match absolute(pid, look.directory, &path) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(None),
            Err(TooLong) => return Err(Refusal::Unresolved),
        };
        match onward(pid, &whole, look.follow) {
            Onward::Plain => {}
            Onward::Path(next) => whole = next,
            Onward::Link(link) => return open(&format!("/proc/{pid}/{link}")),
            Onward::Unknown => return Err(Refusal::Unresolved),
        }
        // What the build may not see, it is not told of.
        let (group, user) = (setfsgid(self.outside.1), setfsuid(self.outside.0));
        let found = root.open(&whole, look.follow);
        let place = if matches!(found, Ok(None)) { root.find(&whole, look.follow).ok() } else { None };
        setfsuid(user);
        setfsgid(group);
        self.die_with_runner();
        match found {
            Ok(None) if is_a_process_s(&whole) => Err(Refusal::Unresolved),
            Ok(None) if place.is_some_and(|place| !place.is_unresolved()) => Ok(None),
            Ok(Some(found)) => Ok(Some(found)),
            _ => Err(Refusal::Unresolved),
        }
    }
}

/// Whether a path is one of a process's account, which is another for each that asks.
fn is_a_process_s(path: &[u8]) -> bool {
    let name = path.strip_prefix(b"/proc/").and_then(|rest| rest.split(|byte| *byte == b'/').next());
    name.is_some_and(|name| {
        name == b"self" || name == b"thread-self" || (!name.is_empty() && name.iter().all(u8::is_ascii_digit))
    })
}

/// What a link in somebody's account leads to; none where there is no such link.
fn open(link: &str) -> Result<Option<OwnedFd>, Refusal> {
    match rustix::fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(_) => Err(Refusal::Unreached),
    }
}

/// One call of `stat`'s kin.
struct Look {
    directory: Option<i32>,
    path: Option<u64>,
    follow: bool,
    /// Whether an empty path means the descriptor itself.
    empty: bool,
    to: u64,
    /// For `statx`: flags and mask.
    statx: Option<(u32, u32)>,
}

impl Look {
    fn of(asked: &Notification) -> Option<Self> {
        let [first, second, third, fourth, fifth, _] = asked.arguments;
        let descriptor = Some(low(first).cast_signed());
        let flag = |flags: u64, flag: libc::c_int| low(flags) & flag.cast_unsigned() != 0;
        let plain = |follow| Self { directory: None, path: Some(first), follow, empty: false, to: second, statx: None };
        match c_long::from(asked.number) {
            libc::SYS_fstat => {
                Some(Self { directory: descriptor, path: None, follow: true, empty: true, to: second, statx: None })
            }
            libc::SYS_newfstatat => Some(Self {
                directory: descriptor,
                path: Some(second).filter(|path| *path != 0 || !flag(fourth, libc::AT_EMPTY_PATH)),
                follow: !flag(fourth, libc::AT_SYMLINK_NOFOLLOW),
                empty: flag(fourth, libc::AT_EMPTY_PATH),
                to: third,
                statx: None,
            }),
            libc::SYS_statx => Some(Self {
                directory: descriptor,
                path: Some(second).filter(|path| *path != 0 || !flag(third, libc::AT_EMPTY_PATH)),
                follow: !flag(third, libc::AT_SYMLINK_NOFOLLOW),
                empty: flag(third, libc::AT_EMPTY_PATH),
                to: fifth,
                statx: Some((low(third), low(fourth))),
            }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => Some(plain(true)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => Some(plain(false)),
            _ => None,
        }
    }
}

/// `AT_STATX_SYNC_TYPE`.
const SYNC: u32 = 0x6000;
/// What the kernel calls an owner that has no number in a user namespace.
const NOBODY: u32 = 65_534;
/// Ten milliseconds: the longest tick.
const TICK: u64 = 10_000_000;
/// An hour: what the sandbox has made before is not older, unless it has waited for a build for longer.
const MADE_READY: u64 = 3_600_000_000_000;
/// How long after its limit a build may still be there.
const SLACK_SECONDS: u64 = 60;

/// Both together.
pub(super) fn nanoseconds(seconds: i64, fraction: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(fraction).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use reprove_model::User;

    use super::*;
    use crate::determine::moved::tests::clock;

    #[test]
    fn times_of_the_build_are_those_of_a_moved_clock() {
        let second = 1_000_000_000;
        let (start, end) = (999_999_000 * second, 1_000_000_100 * second);
        let (clock, outside) = (FileClock::Moved(clock(2)), (Uid::from_raw(0), Gid::from_raw(0)));
        let times = Times { clock, start, end, outside, user: 7, runner: getppid() };
        assert_eq!(times.told(1_000_000_003 * second + 4), Some((1_040_000_006, 8)));
        assert_eq!(times.told(start), Some((1_039_999_000, 0)));
        // What programs set themselves is of the moved clock already.
        assert_eq!([times.told(start - 1), times.told(end + 1), times.told(1_040_000_006 * second)], [None; 3]);
    }

    fn times(limit_seconds: u32) -> Times {
        let outside = (Uid::from_raw(0), Gid::from_raw(0));
        let start = 1_700_000_000_000_000_000;
        let end = start + (u64::from(limit_seconds) + SLACK_SECONDS) * 1_000_000_000;
        Times { clock: FileClock::Fixed(7), start, end, outside, user: User::USUAL_ID, runner: getppid() }
    }

    #[test]
    fn times_of_the_build_are_of_one_second_in_order_and_no_others_change() {
        for limit in [1, 1800, 604_800] {
            let times = times(limit);
            assert_eq!(times.told(times.start - 1), None);
            assert_eq!(times.told(times.end + 1), None);
            assert_eq!(times.told(times.start), Some((7, 0)));
            let (second, last) = times.told(times.end).unwrap();
            assert!(second == 7 && last <= LATEST_FILE, "{last}");
            let steps: Vec<_> =
                (0..1000).map(|n| times.told(times.start + n * (times.end - times.start) / 1000)).collect();
            assert!(steps.is_sorted() && steps.iter().all(Option::is_some));
        }
    }

    #[test]
    fn only_times_are_retold() {
        let times = times(60);
        for shape in [&STAT, &STATX] {
            let mut bytes = vec![0x11; 256];
            for &at in shape.times {
                bytes[at..at + 8].copy_from_slice(&5_i64.to_ne_bytes());
                bytes[at + 8..at + 12].copy_from_slice(&6_u32.to_ne_bytes());
            }
            let before = bytes.clone();
            assert!(!times.retell(shape, &mut bytes) && bytes == before);
            let at = shape.times[1];
            bytes[at..at + 8].copy_from_slice(&1_700_000_001_i64.to_ne_bytes());
            let mut expected = bytes.clone();
            assert!(times.retell(shape, &mut bytes));
            expected[at..at + 8].copy_from_slice(&7_i64.to_ne_bytes());
            let (_, nanosecond) = times.told(1_700_000_001_000_000_006).unwrap();
            expected[at + 8..at + 12].copy_from_slice(&u32::try_from(nanosecond).unwrap().to_ne_bytes());
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn owners_are_those_inside() {
        let times = times(60);
        for shape in [&STAT, &STATX] {
            let mut bytes = vec![0; 256];
            bytes[shape.owners[1]] = 9;
            times.rename_owners(shape, &mut bytes);
            let owner = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(shape.owners.map(owner), [User::USUAL_ID, NOBODY]);
        }
    }

    #[test]
    fn each_call_says_where_to_look() {
        let of = |number: c_long, arguments| {
            Look::of(&Notification { number: number.try_into().unwrap(), arguments, ..Notification::default() })
        };
        assert!(of(libc::SYS_openat, [0; 6]).is_none());
        let look = of(libc::SYS_fstat, [3, 9, 0, 0, 0, 0]).unwrap();
        assert!(look.directory == Some(3) && look.path.is_none() && look.empty && look.to == 9);
        let look = of(libc::SYS_newfstatat, [u64::MAX - 99, 8, 9, 0x100, 0, 0]).unwrap();
        assert!(look.directory == Some(-100) && look.path == Some(8) && !look.follow && !look.empty && look.to == 9);
        let look = of(libc::SYS_statx, [3, 0, 0x1000, 0xfff, 9, 0]).unwrap();
        assert!(look.path.is_none() && look.empty && look.to == 9 && look.statx == Some((0x1000, 0xfff)));
    }
}
