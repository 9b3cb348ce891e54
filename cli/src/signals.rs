// SPDX-License-Identifier: Apache-2.0
//! The signals that end a command, but for those that whoever started it has it ignore: `nohup` does that with SIGHUP, and
//! a shell with SIGINT where it starts something in the background of a script.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the signals do to this process.
const STATUS: &str = "/proc/self/status";

/// The signals that are waited for, each with its number; none where it is ignored.
pub(crate) struct Interrupts {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

impl Interrupts {
    /// From here on a signal no longer ends the process by itself. Looks first at which are ignored, and leaves those alone.
    pub(crate) fn watch() -> io::Result<Self> {
        // Where nobody says so, none is.
        let ignored = std::fs::read_to_string(STATUS).ok().and_then(|text| ignored(&text)).unwrap_or(0);
        let watch = |kind: SignalKind| (!is_in(ignored, kind)).then(|| signal(kind)).transpose();
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hang_up: watch(SignalKind::hangup())?,
        })
    }

    /// Waits for the first, and gives its number.
    pub(crate) async fn first(&mut self) -> u8 {
        tokio::select! {
            biased;
            () = heard(&mut self.interrupt) => 2,
            () = heard(&mut self.terminate) => 15,
            () = heard(&mut self.hang_up) => 1,
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}

/// The set of ignored signals, out of what the kernel says of a process (proc_pid_status(5)).
fn ignored(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Signal 1 is the lowest bit.
fn is_in(set: u64, kind: SignalKind) -> bool {
    let number = u32::try_from(kind.as_raw_value()).unwrap_or(0);
    number.checked_sub(1).and_then(|bit| set.checked_shr(bit)).is_some_and(|rest| rest & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_set_is_read() {
        let set = ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0\n").unwrap();
        assert!(is_in(set, SignalKind::hangup()) && is_in(set, SignalKind::interrupt()));
        assert!(!is_in(set, SignalKind::terminate()));
        assert_eq!((ignored("SigBlk:\t1\n"), ignored("SigIgn:\tx\n")), (None, None));
    }
}
