// SPDX-License-Identifier: Apache-2.0
//! Waiting until a time of day. A program works that out from a clock that is moved, and the kernel waits by the machine's: it
//! would wait for as long as the two are apart. So the time is changed where it stands, before the kernel reads it.
//!
//! The program sees that it was changed, if it looks at it again: a time that is over. One that waits until then once more
//! waits until the same moment, since a time of the machine's stays as it is.

use libc::c_long;

use super::moved::MovedClock;
use super::times::nanoseconds;
use super::{Asker, Refusal, pair};
use crate::filter::program::{Action, Rule};
use crate::sys::seccomp::Notification;
use crate::trace::memory;

/// Operations of `futex(2)` that wait until a time of day, with and without `FUTEX_PRIVATE_FLAG`: those with
/// `FUTEX_CLOCK_REALTIME`, and `FUTEX_LOCK_PI`, which always does.
const FUTEX: &[u32] = &[6, 134, 265, 267, 269, 393, 395, 397];

/// `futex_wait`, of Linux 6.7.
const SYS_FUTEX_WAIT: c_long = 455;
/// `ENOSYS`.
const NO_SUCH_CALL: u16 = 38;

/// What is asked before.
pub(super) fn rules() -> Vec<(c_long, Rule)> {
    let one_of = |place, values| Rule::OneOf(place, values, Action::Ask, Action::Allow);
    vec![
        // Its second argument says whether it is until a time, and its first by which clock.
        (libc::SYS_clock_nanosleep, one_of(1, &[1])),
        (libc::SYS_futex, one_of(1, FUTEX)),
        (libc::SYS_mq_timedreceive, Rule::Always(Action::Ask)),
        (libc::SYS_mq_timedsend, Rule::Always(Action::Ask)),
        (libc::SYS_timer_settime, one_of(1, &[1])),
        (libc::SYS_timerfd_settime, one_of(1, &[1, 3])),
        // As on a kernel that has them not: they wait until a time as well, of a list in memory.
        (libc::SYS_futex_waitv, Rule::Always(Action::Errno(NO_SUCH_CALL))),
        (SYS_FUTEX_WAIT, Rule::Always(Action::Errno(NO_SUCH_CALL))),
    ]
}

/// Where a call's time is; none where it is no such call.
fn place(asked: &Notification) -> Option<u64> {
    let [_, _, third, fourth, fifth, _] = asked.arguments;
    // What it is repeated by comes first, and is as long as a time.
    let after = size_of::<libc::timespec>() as u64;
    match c_long::from(asked.number) {
        libc::SYS_clock_nanosleep => Some(third),
        libc::SYS_futex => Some(fourth),
        libc::SYS_mq_timedreceive | libc::SYS_mq_timedsend => Some(fifth),
        libc::SYS_timer_settime | libc::SYS_timerfd_settime => third.checked_add(after),
        _ => None,
    }
}

/// Changes the time that a call waits until to the machine's, where it is one of the moved clock's; none where it is no call
/// that waits. Clocks that count from a start never say what a moved one does, so that it need not be known which is meant.
pub(super) fn shorten(asked: &Notification, asker: &Asker<'_>, clock: MovedClock) -> Option<Result<(), Refusal>> {
    let place = place(asked)?;
    Some(if place == 0 { Ok(()) } else { change(asker, place, clock) })
}

fn change(asker: &Asker<'_>, place: u64, clock: MovedClock) -> Result<(), Refusal> {
    let time: [u8; 16] = match memory::bytes(asker.pid, place) {
        Ok(time) => time,
        // The kernel says what there is to say.
        Err(memory::Unread::NotThere | memory::Unread::Gone) => return Ok(()),
        Err(memory::Unread::Closed) => return Err(Refusal::Unreached),
    };
    let (seconds, fraction) = time.split_at(8);
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(-1, |bytes| i64::from_ne_bytes(*bytes));
    let (seconds, fraction) = (number(seconds), number(fraction));
    // No other is a time (`timespec(3)`).
    if seconds < 0 || !(0..1_000_000_000).contains(&fraction) {
        return Ok(());
    }
    match clock.machines(nanoseconds(seconds, fraction)) {
        // It may be where the program itself can't write.
        Some(time) => {
            asker.write_all(&[(place, &pair(time / 1_000_000_000, time % 1_000_000_000))]).map_err(|refusal| {
                // The kernel would not have written there at all.
                if matches!(refusal, Refusal::Error(_)) { Refusal::Unreached } else { refusal }
            })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::moved::tests::clock;
    use super::*;

    fn notification(number: c_long, arguments: [u64; 6]) -> Notification {
        Notification { number: number.try_into().unwrap(), arguments, ..Notification::default() }
    }

    /// What stands there after a call that waits until `time`, of this process's own.
    fn after(number: c_long, time: [i64; 2]) -> [i64; 2] {
        let mut timer = Box::new([[1, 1], time]);
        let times = timer.as_mut_ptr().expose_provenance() as u64;
        let own = times + 16;
        let arguments = [0, 0, if number == libc::SYS_clock_nanosleep { own } else { times }, own, own, 0];
        assert_eq!(shorten(&notification(number, arguments), &Asker::this(), clock(2)), Some(Ok(())));
        let timer = std::hint::black_box(timer);
        assert_eq!(timer[0], [1, 1]);
        timer[1]
    }

    #[test]
    fn a_time_of_the_moved_clock_becomes_one_of_the_machines_and_no_other_is_changed() {
        for call in [
            libc::SYS_clock_nanosleep,
            libc::SYS_futex,
            libc::SYS_mq_timedreceive,
            libc::SYS_mq_timedsend,
            libc::SYS_timer_settime,
            libc::SYS_timerfd_settime,
        ] {
            assert_eq!(after(call, [1_040_000_010, 4]), [1_000_000_005, 2]);
            for same in
                [[1_000_000_005, 2], [100_000, 0], [0, 0], [-1, 0], [1_040_000_010, -1], [1_040_000_010, 1_000_000_000]]
            {
                assert_eq!(after(call, same), same);
            }
        }
    }

    #[test]
    fn no_time_and_no_memory_are_the_kernels_to_answer() {
        let of = |at| shorten(&notification(libc::SYS_futex, [0, 265, 0, at, 0, 0]), &Asker::this(), clock(1));
        assert_eq!((of(0), of(8)), (Some(Ok(())), Some(Ok(()))));
        assert_eq!(shorten(&notification(libc::SYS_fstat, [0; 6]), &Asker::this(), clock(1)), None);
    }

    #[test]
    fn all_operations_that_wait_until_a_time_of_day_are_asked_for() {
        let with =
            [libc::FUTEX_WAIT_BITSET, libc::FUTEX_WAIT_REQUEUE_PI, 13].map(|each| each | libc::FUTEX_CLOCK_REALTIME);
        let all = with.into_iter().chain([libc::FUTEX_LOCK_PI]);
        let mut all: Vec<u32> = all.flat_map(|each| [each, each | 128]).map(i32::cast_unsigned).collect();
        all.sort_unstable();
        assert_eq!(all, FUTEX);
    }
}
