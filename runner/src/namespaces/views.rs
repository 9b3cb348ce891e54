// SPDX-License-Identifier: Apache-2.0
//! What a build sees of the machine in `/proc` and `/sys`: as many processors and as much memory as it is given, and
//! nothing that changes by itself.

use std::fmt::Write as _;
use std::fs;
use std::sync::OnceLock;

use crate::determine::{self, RELEASE, VERSION};

/// Files that a build sees in place of the kernel's, by their path below `/proc`, and what is in them. A deterministic one
/// sees nothing of the processor and the kernel.
pub(super) fn proc_files(processors: u32, memory_mib: u32, deterministic: bool) -> Vec<(String, String)> {
    let kib = u64::from(memory_mib) << 10;
    let mut memory = String::new();
    for (name, kib) in [("MemTotal", kib), ("MemFree", kib), ("MemAvailable", kib), ("Buffers", 0), ("Cached", 0)] {
        let _ = writeln!(memory, "{:<15}{kib:>9} kB", format!("{name}:"));
    }
    memory.push_str("SwapTotal:             0 kB\nSwapFree:              0 kB\n");
    let mut stat = String::from("cpu  0 0 0 0 0 0 0 0 0 0\n");
    for number in 0..processors {
        let _ = writeln!(stat, "cpu{number} 0 0 0 0 0 0 0 0 0 0");
    }
    stat.push_str("intr 0\nctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n");
    let cpuinfo = if deterministic { determine::cpuinfo() } else { cpuinfo(machine(), processors) };
    let fixed = [
        ("sys/kernel/osrelease", format!("{RELEASE}\n")),
        ("sys/kernel/random/uuid", "00000000-0000-4000-8000-000000000001\n".to_owned()),
        ("sys/kernel/version", format!("{VERSION}\n")),
        ("uptime", "100000.00 100000.00\n".to_owned()),
        ("version", format!("Linux version {RELEASE} {VERSION}\n")),
    ];
    let always = [
        ("cmdline", "\n".to_owned()),
        ("cpuinfo", cpuinfo),
        ("loadavg", "0.00 0.00 0.00 1/1 1\n".to_owned()),
        ("meminfo", memory),
        ("stat", stat),
        ("sys/kernel/random/boot_id", "00000000-0000-4000-8000-000000000000\n".to_owned()),
    ];
    let fixed = fixed.into_iter().filter(|_| deterministic);
    always.into_iter().chain(fixed).map(|(name, text)| (name.to_owned(), text)).collect()
}

/// Files below `/sys/devices/system/cpu` that say how many processors there are.
pub(super) fn processor_lists(processors: u32) -> Vec<(String, String)> {
    let text = if processors == 1 { "0\n".to_owned() } else { format!("0-{}\n", processors.saturating_sub(1)) };
    ["online", "possible", "present"].map(|name| (name.to_owned(), text.clone())).into()
}

/// What nobody in a build has any use for, below `/proc`: what is told there is the machine's, or the machine's user's.
pub(super) const MASKED: [&str; 15] = [
    "acpi",
    "asound",
    "bus",
    "driver",
    "fs",
    "interrupts",
    "irq",
    "kcore",
    "key-users",
    "keys",
    "pressure",
    "scsi",
    "sysrq-trigger",
    "timer_list",
    "tty",
];

/// How many processors a build gets that asks for `wanted` on this machine.
pub(super) fn given(wanted: u32) -> u32 {
    let here = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    wanted.clamp(1, u32::try_from(here).unwrap_or(u32::MAX))
}

fn machine() -> &'static str {
    static CPUINFO: OnceLock<String> = OnceLock::new();
    CPUINFO.get_or_init(|| fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

/// The first `processors` of the machine's, numbered from 0, all in one package, and without what changes by the moment.
fn cpuinfo(machine: &str, processors: u32) -> String {
    let mut text = String::new();
    let blocks = machine.split("\n\n").filter(|block| !block.trim().is_empty());
    for (number, block) in (0..processors).zip(blocks) {
        for line in block.lines() {
            let name = line.split(':').next().unwrap_or_default().trim();
            let _ = match name {
                "cpu MHz" | "bogomips" | "BogoMIPS" => Ok(()),
                "processor" | "core id" | "apicid" | "initial apicid" => writeln!(text, "{name}\t: {number}"),
                "siblings" | "cpu cores" => writeln!(text, "{name}\t: {processors}"),
                "physical id" => writeln!(text, "{name}\t: 0"),
                _ => writeln!(text, "{line}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "processor\t: 4\nmodel name\t: A\ncpu MHz\t\t: 2400.123\nsiblings\t: 8\ncore id\t\t: 2\n\n\
                           processor\t: 5\nmodel name\t: A\ncpu MHz\t\t: 2399.9\nsiblings\t: 8\ncore id\t\t: 3\n\n";

    #[test]
    fn processors_are_numbered_anew_and_nothing_changes_by_itself() {
        let one = "processor\t: 0\nmodel name\t: A\nsiblings\t: 1\ncore id\t: 0\n\n";
        assert_eq!(cpuinfo(MACHINE, 1), one);
        assert_eq!(cpuinfo(MACHINE, 2).matches("processor\t: ").count(), 2);
        assert!(cpuinfo(MACHINE, 2).contains("processor\t: 1\n"));
        assert_eq!(processor_lists(1)[0].1, "0\n");
        assert_eq!(processor_lists(4)[0].1, "0-3\n");
    }

    #[test]
    fn memory_is_what_is_given() {
        let files = proc_files(2, 512, false);
        let text = |wanted: &str| files.iter().find(|(name, _)| name == wanted).unwrap().1.as_str();
        assert!(text("meminfo").starts_with("MemTotal:         524288 kB\n"), "{}", text("meminfo"));
        assert_eq!(text("stat").lines().filter(|line| line.starts_with("cpu")).count(), 3);
    }

    #[test]
    fn no_one_gets_more_processors_than_there_are_or_none() {
        assert_eq!(given(0), 1);
        assert_eq!(given(1), 1);
        assert_eq!(given(u32::MAX), u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap());
    }
}
