// SPDX-License-Identifier: Apache-2.0
//! What a build is told in place of what the kernel says. A deterministic one: the clock, entropy, the machine and file times,
//! the same for every build of a recipe. One whose clock is moved: the time of day, and file times to go with it. One whose
//! file order is another: directories, backwards.
//!
//! The kernel asks the helper before these calls (`crate::trace`), and here is what it answers in place of the kernel. A
//! program asks for the time without a call, by code that the kernel maps into it (vDSO); so that code is replaced, in each
//! program when it begins, by the calls themselves (`vdso`). What is not reached by that is in `docs/determinism.md`.

mod asker;
mod clocks;
mod counts;
mod entropy;
mod listings;
mod machine;
mod moved;
mod times;
mod vdso;
mod waits;

use std::io;

use libc::c_long;
use nix::errno::Errno;
use reprove_model::{Clock, Conditions, Digest, FileOrder, Surroundings};
use serde::{Deserialize, Serialize};

use crate::filter::program::{Action, Rule};
use crate::sys::seccomp::Notification;
use crate::trace::arguments::low;
use crate::trace::memory::Unread;
use crate::trace::paths::Root;
use clocks::Clocks;
use entropy::Entropy;
use times::{FileClock, Times};
use vdso::Vdso;

pub(crate) use asker::Asker;
pub(crate) use entropy::device;
pub(crate) use machine::{RELEASE, VERSION, cpuinfo};
pub(crate) use moved::Moved;

/// What a build is told in place of what the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Of time, and with it of other things.
    pub(crate) clock: Option<ToldClock>,
    /// Whether directories are listed backwards.
    pub(crate) backwards: bool,
}

/// What a build is told of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToldClock {
    /// The same of everything for every build of a recipe.
    Fixed(Fixed),
    /// Another time of day.
    Moved(Moved),
}

impl Told {
    /// For a build under `conditions` of the recipe with this digest; none where nothing is answered in it.
    pub(crate) fn of(conditions: &Conditions, recipe: Digest) -> Option<Self> {
        let Surroundings { entropy, clock_speed, .. } = conditions.surroundings;
        let clock = match conditions.clock {
            Clock::Fixed(second) => Some(ToldClock::Fixed(Fixed::of(second, recipe, entropy))),
            Clock::MovedTo(second) => Some(ToldClock::Moved(Moved { second, speed: clock_speed.unwrap_or(1) })),
            Clock::Host | Clock::SetTo(_) => None,
        };
        let told = Self { clock, backwards: conditions.file_order == FileOrder::Reversed };
        conditions.are_answered().then_some(told)
    }

    /// That it is this second, since 1970, and what else does not change; all entropy comes from `seed`.
    pub(crate) fn fixed_at(second: u64, seed: Digest) -> Self {
        Self { clock: Some(ToldClock::Fixed(Fixed::of(second, seed, None))), backwards: false }
    }

    /// What a deterministic build is told.
    pub(crate) fn fixed(self) -> Option<Fixed> {
        if let Some(ToldClock::Fixed(fixed)) = self.clock { Some(fixed) } else { None }
    }
}

/// What the answers to a deterministic build depend on, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fixed {
    /// All entropy comes from it.
    pub(crate) seed: [u8; 32],
    /// The second in which everything happens, since 1970.
    pub(crate) second: u64,
}

impl Fixed {
    /// Of this second, for the recipe with this digest. `number` is what the entropy depends on beside it, where there is
    /// something.
    fn of(second: u64, recipe: Digest, number: Option<u32>) -> Self {
        let mut from = recipe.as_bytes().to_vec();
        from.extend(number.iter().flat_map(|number| number.to_le_bytes()));
        Self { seed: blake3::derive_key("reprove deterministic build v1", &from), second }
    }
}

/// What is asked before, beside what is watched.
pub(crate) fn rules(told: Told) -> Vec<(c_long, Rule)> {
    let mut rules = told.clock.map(rules_of_clock).unwrap_or_default();
    if told.backwards {
        rules.extend(listings::ANSWERED.iter().map(|&number| (number, Rule::Always(Action::Ask))));
    }
    rules
}

fn rules_of_clock(told: ToldClock) -> Vec<(c_long, Rule)> {
    let (clocks, calls) = match told {
        ToldClock::Fixed(_) => (clocks::ANSWERED, [ANSWERED, FIXED].concat()),
        ToldClock::Moved(_) => (&clocks::OF_DAY[..], ANSWERED.to_vec()),
    };
    let mut rules = vec![(libc::SYS_clock_gettime, Rule::OneOf(0, clocks, Action::Ask, Action::Allow))];
    rules.extend(calls.iter().map(|&number| (number, Rule::Always(Action::Ask))));
    #[cfg(target_arch = "x86_64")]
    rules.push((libc::SYS_arch_prctl, Rule::OneOf(0, &[ARCH_SET_FS], Action::Ask, Action::Allow)));
    if matches!(told, ToldClock::Moved(_)) {
        rules.extend(waits::rules());
    }
    rules
}

/// Sets the register by which a thread finds what is its own: what every program does first, once.
#[cfg(target_arch = "x86_64")]
const ARCH_SET_FS: u32 = 0x1002;

/// What is answered to every build that is told something of time.
const ANSWERED: &[c_long] = &[
    libc::SYS_fstat,
    libc::SYS_gettimeofday,
    libc::SYS_newfstatat,
    libc::SYS_set_tid_address,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// What is answered to deterministic builds alone.
const FIXED: &[c_long] = &[libc::SYS_getcpu, libc::SYS_getrandom, libc::SYS_sysinfo, libc::SYS_uname];

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel runs it.
    GoOn,
    /// It gives this value, and was not run.
    Value(i64),
    /// It fails with this error, and was not run.
    Fails(i32),
    /// The kernel runs it, since whoever makes it can't be reached.
    Unreached,
    /// The kernel runs it, since what it names can't be found from outside.
    Unresolved,
}

/// Answers the calls of one build.
pub(crate) struct Answers {
    time: Option<Time>,
    backwards: bool,
}

/// Answers those that have to do with time.
struct Time {
    clocks: Clocks,
    vdso: Vdso,
    times: Times,
    /// Of a deterministic build.
    machine: Option<Machine>,
}

/// What a deterministic build is told of the machine.
struct Machine {
    memory_bytes: u64,
    hostname: String,
    entropy: Entropy,
}

/// What a build is told, as far as it is known before it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// What the answers depend on.
    pub(crate) told: Told,
    /// What is called the machine's memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// The host name, inside.
    pub(crate) hostname: String,
    /// How long the build may take, in seconds.
    pub(crate) limit_seconds: u32,
    /// The number that the build's user and group have inside.
    pub(crate) user: u32,
}

impl Answers {
    /// For a build that starts now, and whose user and group this process sees as `outside`.
    ///
    /// # Errors
    /// What the system says of this process's own vDSO.
    pub(crate) fn new(settings: Settings, outside: (u32, u32)) -> io::Result<Self> {
        let Told { clock, backwards } = settings.told;
        let time = clock.map(|clock| Time::new(clock, settings, outside)).transpose()?;
        Ok(Self { time, backwards })
    }

    /// Answers a call that is none of the first process's, of the table of this program's own architecture.
    ///
    /// # Errors
    /// What the system says, but of a process that is gone or can't be reached.
    pub(crate) fn answer(&mut self, asked: &Notification, asker: &Asker<'_>, root: &Root) -> io::Result<Answer> {
        if self.backwards && listings::ANSWERED.contains(&c_long::from(asked.number)) {
            return Ok(listings::list_backwards(asked, asker).into());
        }
        match &mut self.time {
            Some(time) => time.answer(asked, asker, root),
            None => Ok(Answer::GoOn),
        }
    }
}

impl From<Result<i64, Refusal>> for Answer {
    fn from(answer: Result<i64, Refusal>) -> Self {
        match answer {
            Ok(value) => Self::Value(value),
            Err(Refusal::Error(error)) => Self::Fails(error as i32),
            Err(Refusal::GoOn) => Self::GoOn,
            Err(Refusal::Unreached) => Self::Unreached,
            Err(Refusal::Unresolved) => Self::Unresolved,
        }
    }
}

impl Time {
    fn new(clock: ToldClock, settings: Settings, outside: (u32, u32)) -> io::Result<Self> {
        let Settings { memory_bytes, hostname, limit_seconds, user, .. } = settings;
        let (clocks, files, machine) = match clock {
            ToldClock::Fixed(Fixed { seed, second }) => {
                let entropy = Entropy::new(seed);
                let machine = Machine { memory_bytes, hostname, entropy };
                (Clocks::fixed(second), FileClock::Fixed(second), Some(machine))
            }
            ToldClock::Moved(moved) => {
                let clock = moved.begins_now()?;
                (Clocks::moved(clock), FileClock::Moved(clock), None)
            }
        };
        let times = Times::new(files, limit_seconds, outside, user)?;
        let vdso = Vdso::own(machine.is_some())?;
        Ok(Self { clocks, vdso, times, machine })
    }

    fn answer(&mut self, asked: &Notification, asker: &Asker<'_>, root: &Root) -> io::Result<Answer> {
        let [first, second, third, ..] = asked.arguments;
        let number = c_long::from(asked.number);
        let answer = match number {
            libc::SYS_clock_gettime => self.clock(asker, first, second),
            libc::SYS_gettimeofday => self.time_of_day(asker, first, second),
            libc::SYS_set_tid_address => return Ok(self.begin(asker)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_arch_prctl => return Ok(self.begin(asker)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_time => self.seconds(asker, first),
            libc::SYS_getrandom => self.random(asker, first, second, third),
            libc::SYS_getcpu | libc::SYS_uname | libc::SYS_sysinfo => self.of_machine(asker, number, first, second),
            _ => match self.clocks.is_moved().and_then(|moved| waits::shorten(asked, asker, moved)) {
                Some(shortened) => shortened.and(Err(Refusal::GoOn)),
                None => return self.times.answer(asked, asker, root),
            },
        };
        Ok(answer.into())
    }

    /// A program begins: from here on it asks the kernel for the time, and, in a deterministic build, has the random bytes
    /// that it was given to begin with from the recipe.
    fn begin(&mut self, asker: &Asker<'_>) -> Answer {
        let Self { vdso, machine, .. } = self;
        let random = || {
            let machine = machine.as_mut()?;
            let mut bytes = [0; 16];
            // Without a number inside it is gone.
            let _ = machine.entropy.fill(asker.pid, &mut bytes);
            Some(bytes)
        };
        match vdso.replace(asker, random) {
            Ok(()) | Err(Unread::Gone) => Answer::GoOn,
            Err(Unread::Closed | Unread::NotThere) => Answer::Unreached,
        }
    }

    fn of_machine(&self, asker: &Asker<'_>, number: c_long, first: u64, second: u64) -> Result<i64, Refusal> {
        let Some(Machine { memory_bytes, hostname, .. }) = &self.machine else { return Err(Refusal::GoOn) };
        match number {
            libc::SYS_getcpu => asker.write_all(&[(first, &[0; 4]), (second, &[0; 4])])?,
            libc::SYS_uname => asker.write_all(&[(first, &machine::uname(hostname))])?,
            _ => asker.write_all(&[(first, &machine::sysinfo(*memory_bytes))])?,
        }
        Ok(0)
    }

    fn clock(&mut self, asker: &Asker<'_>, clock: u64, to: u64) -> Result<i64, Refusal> {
        let now = self.clocks.say(asker.pid, low(clock))?;
        asker.write_all(&[(to, &pair(now / 1_000_000_000, now % 1_000_000_000))])?;
        Ok(0)
    }

    fn time_of_day(&mut self, asker: &Asker<'_>, to: u64, zone: u64) -> Result<i64, Refusal> {
        let now = self.clocks.say(asker.pid, 0)?;
        let text = pair(now / 1_000_000_000, now / 1000 % 1_000_000);
        let places = [(to, &text[..]), (zone, &[0; 8])];
        asker.write_all(&places.into_iter().filter(|(to, _)| *to != 0).collect::<Vec<_>>())?;
        Ok(0)
    }

    #[cfg(target_arch = "x86_64")]
    fn seconds(&mut self, asker: &Asker<'_>, to: u64) -> Result<i64, Refusal> {
        let seconds = self.clocks.say(asker.pid, 0)? / 1_000_000_000;
        if to != 0 {
            asker.write_all(&[(to, &seconds.to_ne_bytes())])?;
        }
        i64::try_from(seconds).map_err(|_| Refusal::GoOn)
    }

    fn random(&mut self, asker: &Asker<'_>, to: u64, length: u64, flags: u64) -> Result<i64, Refusal> {
        let Some(machine) = &mut self.machine else { return Err(Refusal::GoOn) };
        // What the kernel would refuse, it refuses.
        if low(flags) & !7 != 0 || low(flags) & 6 == 6 {
            return Err(Refusal::GoOn);
        }
        // As with the kernel, it may be fewer than are asked for, where that is more than 256.
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(entropy::MAX_AT_ONCE);
        let mut bytes = vec![0; length];
        machine.entropy.fill(asker.pid, &mut bytes)?;
        asker.write_all(&[(to, &bytes)])?;
        i64::try_from(length).map_err(|_| Refusal::GoOn)
    }
}

/// Why a call gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It fails.
    Error(Errno),
    /// It is the kernel's to answer.
    GoOn,
    /// Who makes it can't be reached.
    Unreached,
    /// What it names can't be found from outside.
    Unresolved,
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NotThere => Self::Error(Errno::EFAULT),
            Unread::Gone => Self::GoOn,
            Unread::Closed => Self::Unreached,
        }
    }
}

/// Two numbers of 64 bits: `struct timespec`, `struct timeval`.
fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (low, high) = bytes.split_at_mut(8);
    low.copy_from_slice(&first.to_ne_bytes());
    high.copy_from_slice(&second.to_ne_bytes());
    bytes
}
