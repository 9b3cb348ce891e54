// SPDX-License-Identifier: Apache-2.0
//! The memory of what stands beside a program in a sandbox: the processes that wait for it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Options;
use crate::contestant::{Contestant, Ended, Work, start_program};
use crate::report::{MemoryRow, MemoryTable};
use crate::startup::sandboxes;

/// What runs in the sandbox, and is told from what waits for it by its name.
const PAYLOAD: [&str; 2] = ["/usr/bin/sleep", "600"];
const PAYLOAD_NAME: &str = "sleep";

/// How long a sandbox may take to start.
const LONGEST_START: Duration = Duration::from_secs(10);

/// Starts one sandbox after the other, and reads from `/proc` what its own processes hold while a program runs in it.
pub(crate) async fn measure(options: &Options, directory: &Path) -> io::Result<MemoryTable> {
    let mut table = MemoryTable { rows: Vec::new(), left_out: Vec::new() };
    let payloads = sandboxes(options, directory, &PAYLOAD)?;
    let probes = sandboxes(options, directory, &["/bin/true"])?;
    for (contestant, probe) in payloads.into_iter().zip(probes) {
        if contestant.name == "no sandbox" {
            continue;
        }
        match probe.why_not() {
            Some(why) => table.left_out.push((contestant.name, why)),
            None => table.rows.push(of(contestant).await?),
        }
    }
    Ok(table)
}

async fn of(contestant: Contestant) -> io::Result<MemoryRow> {
    let this = std::process::id();
    match &contestant.work {
        Work::Program(command) => {
            let mut child = Ended(start_program(command)?);
            let row = watch(&contestant.name, child.0.id(), true).await;
            // The payload alone, so that the program cleans up after it: crun has control groups to remove.
            processes(child.0.id()).iter().filter(|process| process.name == PAYLOAD_NAME).for_each(|p| end(p.id));
            let start = Instant::now();
            while child.0.try_wait()?.is_none() && start.elapsed() < LONGEST_START {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            row
        }
        Work::Sandbox(run) => {
            // Given up as soon as it was looked at; that ends it.
            tokio::select! {
                biased;
                row = watch(&contestant.name, this, false) => row,
                ended = run.once(0) => Err(io::Error::other(format!("{}: {ended:?}", contestant.name))),
            }
        }
        Work::Build(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn end(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended with the one before.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}

/// Waits until the payload runs below `root`, and sums up all others there, and `root` itself where it is `counted`.
async fn watch(name: &str, root: u32, counted: bool) -> io::Result<MemoryRow> {
    let start = Instant::now();
    loop {
        let all = processes(root);
        if all.iter().any(|process| process.name == PAYLOAD_NAME) {
            let own = all.iter().filter(|process| process.name != PAYLOAD_NAME && (counted || process.id != root));
            return MemoryRow::of(name, own.map(|process| memory(process.id)).collect::<io::Result<_>>()?);
        }
        if start.elapsed() > LONGEST_START {
            return Err(io::Error::other(format!("{name}: nothing runs after {LONGEST_START:?}")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Process {
    id: u32,
    name: String,
}

/// `root` and all below it, parents first. What ends while this looks is left out.
fn processes(root: u32) -> Vec<Process> {
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        let Ok(name) = fs::read_to_string(format!("/proc/{id}/comm")) else { continue };
        found.push(Process { id, name: name.trim_end().to_owned() });
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        waiting.extend(children.split_ascii_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    found
}

/// The most that a process had resident at one time, and its share of what is resident now, in KiB.
fn memory(id: u32) -> io::Result<(u64, u64)> {
    let value = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{id}/{file}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("/proc/{id}/{file} has no {name}")))
    };
    Ok((value("status", "VmHWM")?, value("smaps_rollup", "Pss")?))
}
