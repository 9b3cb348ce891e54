// SPDX-License-Identifier: Apache-2.0
//! Who has asked how often: what one is told depends on that, and not on what others do meanwhile.

use std::collections::BTreeMap;
use std::fs;

use nix::unistd::Pid;

use super::Refusal;

/// Of how many it is known how often they asked. Those beyond are counted together.
const MAX: usize = 1 << 16;

/// Counts by the number that somebody has inside.
pub(super) struct Counts {
    /// The line of `/proc/PID/status` that has that number.
    field: &'static str,
    asked: BTreeMap<u32, u64>,
    beyond: u64,
}

/// Who asks, as which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// The number that they have inside.
    pub(super) inside: u32,
    /// How often they have asked before.
    pub(super) before: u64,
}

impl Counts {
    pub(super) fn of_threads() -> Self {
        Self { field: "NSpid:", asked: BTreeMap::new(), beyond: 0 }
    }

    pub(super) fn of_processes() -> Self {
        Self { field: "NStgid:", asked: BTreeMap::new(), beyond: 0 }
    }

    /// The turn of the thread `pid`, or of its process.
    pub(super) fn turn(&mut self, pid: Pid) -> Result<Turn, Refusal> {
        let inside = number_inside(pid, self.field).ok_or(Refusal::GoOn)?;
        if !self.asked.contains_key(&inside) && self.asked.len() >= MAX {
            self.beyond += 1;
            return Ok(Turn { inside, before: u64::from(u32::MAX) + self.beyond });
        }
        let count = self.asked.entry(inside).or_default();
        *count += 1;
        Ok(Turn { inside, before: *count - 1 })
    }
}

/// A number in the innermost process namespace.
fn number_inside(pid: Pid, field: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix(field))?;
    numbers.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_counts_and_none_beyond_the_bound_is_remembered() {
        let mut counts = Counts::of_processes();
        let before = |counts: &mut Counts| counts.turn(Pid::this()).unwrap().before;
        assert_eq!([0; 3].map(|_| before(&mut counts)), [0, 1, 2]);
        let own = counts.turn(Pid::this()).unwrap().inside;
        counts.asked = (1..).filter(|n| *n != own).take(MAX - 1).map(|n| (n, 0)).collect();
        assert_eq!(before(&mut counts), 0);
        counts.asked.remove(&own);
        counts.asked.insert(0, 0);
        let beyond = [before(&mut counts), before(&mut counts)];
        assert!(beyond[0] > u64::from(u32::MAX) && beyond[1] > beyond[0] && counts.asked.len() == MAX);
    }

    #[test]
    fn threads_have_numbers_of_their_own() {
        let of = |field| std::thread::spawn(move || number_inside(nix::unistd::gettid(), field)).join().unwrap();
        assert_eq!(of("NStgid:"), Some(std::process::id()));
        assert_ne!(of("NSpid:"), of("NStgid:"));
    }
}
