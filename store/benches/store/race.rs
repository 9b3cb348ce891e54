// SPDX-License-Identifier: Apache-2.0
//! Contestants in turn, round after round, each with an empty directory to write to.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{ALONE, note};

/// A program that is measured from its start to its end.
pub(crate) struct Contestant {
    name: String,
    /// The last argument but one, or the last, is where it writes to: see [`Contestant::command`].
    command: Vec<OsString>,
    is_this: bool,
    first: Option<Box<Contestant>>,
    path: OsString,
}

impl Contestant {
    /// This program, started again to do one thing with a store and `path`.
    pub(crate) fn this(name: &str, arguments: [&str; 1], path: &Path) -> io::Result<Self> {
        let this = std::env::current_exe()?.into_os_string();
        let command = [this, ALONE.into()].into_iter().chain(arguments.map(OsString::from)).collect();
        Ok(Self { name: name.into(), command, is_this: true, first: None, path: path.into() })
    }

    /// A script, to which `path` is `$1`, and an empty directory `$2`.
    pub(crate) fn shell(name: &str, script: &str, path: &Path) -> Self {
        let command = ["sh", "-c", script, "sh"].map(OsString::from).into();
        Self { name: name.into(), command, is_this: false, first: None, path: path.into() }
    }

    /// The same, after something that is not measured.
    pub(crate) fn after(mut self, first: Self) -> Self {
        self.first = Some(Box::new(first));
        self
    }

    fn once(&self, out: &Path) -> io::Result<Duration> {
        if let Some(first) = &self.first {
            first.once(out)?;
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        if self.is_this {
            command.arg(out.join("store")).arg(&self.path);
        } else {
            command.arg(&self.path).arg(out);
        }
        // What was written before is none of its work.
        rustix::fs::syncfs(File::open(out)?)?;
        let start = Instant::now();
        let status = command.status()?;
        let took = start.elapsed();
        if status.success() { Ok(took) } else { Err(io::Error::other(format!("{}: {status}", self.name))) }
    }
}

/// When what a contestant wrote is removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remove {
    /// At once: there is too much of it.
    Each,
    /// After the last round: ext4 is slow to make files for some time after many were removed.
    Last,
}

/// Measures all; the one with the number `reference` is what the others are held against. Gives a table.
pub(crate) fn race(
    title: &str,
    reference: usize,
    contestants: &[Contestant],
    rounds: usize,
    work: &Path,
    remove: Remove,
) -> io::Result<String> {
    note(&format!("{title}: {} contestants, {rounds} rounds", contestants.len()));
    let all = work.join("out");
    fs::create_dir(&all)?;
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contestants.len()];
    // The first round warms up.
    for round in 0..=rounds {
        for turn in 0..contestants.len() {
            let who = (round + turn) % contestants.len();
            let (Some(contestant), Some(times)) = (contestants.get(who), times.get_mut(who)) else { continue };
            let out = all.join(format!("{round}-{who}"));
            fs::create_dir(&out)?;
            let took = contestant.once(&out)?;
            if remove == Remove::Each {
                fs::remove_dir_all(&out)?;
            }
            if round > 0 {
                times.push(took);
            }
        }
    }
    fs::remove_dir_all(&all)?;
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    let unit = medians.get(reference).copied().unwrap_or(f64::NAN);
    let mut table = format!("{title}\n");
    for ((contestant, times), median) in contestants.iter().zip(&times).zip(&medians) {
        let least = times.iter().min().copied().unwrap_or_default().as_secs_f64();
        let _ =
            writeln!(table, "  {:<34} {median:>8.3} s  {least:>8.3} s least  {:>6.2}", contestant.name, median / unit);
    }
    Ok(table)
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}
