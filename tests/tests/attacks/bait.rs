// SPDX-License-Identifier: Apache-2.0
//! One attack, the whole way: the bait is laid, the builds run amid it, and what is outside is looked at again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use reprove_tests::{Running, control_groups, is_root, processes};

use crate::header::{Attack, Builds, Outcome, Way};
use crate::inside::{ARGUMENT, Report};
use crate::program;

/// The id that stands for an ordinary user.
const ORDINARY: &str = "65534";

/// What came of an attack, and why, in its own words or those of what was found outside.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) outcome: Outcome,
    pub(crate) why: String,
}

/// Runs an attack.
///
/// # Errors
/// What went wrong with the attack itself: it did not end as it should, or said nothing.
pub(crate) fn run(attack: &Attack, way: Way) -> Result<Measured, String> {
    let folder = tempfile::Builder::new().prefix("reprove-attack-").tempdir().unwrap();
    let measured = run_in(folder.path(), attack, way);
    if way.is_bubblewrap() {
        // Folders can be nested deeper there than the standard library's way of removing them goes. It takes a minute on a
        // busy machine, and is none of bubblewrap's time.
        Command::new("rm").arg("-rf").arg(folder.path()).status().expect("rm can be started");
    }
    measured
}

fn run_in(folder: &Path, attack: &Attack, way: Way) -> Result<Measured, String> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(folder.join("source")).unwrap();
    fs::copy(program::of(attack), folder.join("source/attack")).unwrap();
    fs::set_permissions(folder.join("source/attack"), fs::Permissions::from_mode(0o755)).unwrap();
    // What two of them leave at the same time on what all machines' programs share would be taken for one's own.
    let alone = fs::File::open(&attack.path).unwrap();
    if attack.builds == Builds::AtOnce {
        alone.lock().unwrap();
    }
    let mut command = as_user(way);
    command.env("RUST_BACKTRACE", "0");
    if !way.is_by_root() && is_root() {
        std::os::unix::fs::chown(folder, ORDINARY.parse().ok(), ORDINARY.parse().ok()).unwrap();
    }
    let terminal = if attack.wants_terminal() { "terminal" } else { "no-terminal" };
    command.arg(folder).arg(terminal).arg(fs::read_link("/proc/self/exe").unwrap());
    command.arg(ARGUMENT).arg(folder).arg(&attack.name).arg(way.name());
    command.env("REPROVE_HELPER", reprove_tests::program()).current_dir(folder);
    let builds = if attack.builds == Builds::One { 1 } else { 2 };
    let most = Duration::from_secs(u64::from(builds * attack.seconds()) + 10);
    let mut running = Running::start(command);
    let mut ran = running.ended(most);
    let too_long = ran.is_none().then(|| format!("it had not ended after {most:?}"));
    if too_long.is_some() {
        // The bait ends what it has started, and takes itself away.
        running.signal(Signal::SIGTERM);
        ran = running.ended(Duration::from_secs(20));
    }
    let ran = ran.ok_or("the bait does not end")?;
    let read = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let mut outside: Vec<String> = read("outside").lines().map(str::to_owned).collect();
    if outside.pop().as_deref() != Some("done") {
        return Err(format!("what is outside was not looked at: {ran:?}"));
    }
    let escaped = |why| Ok(Measured { outcome: Outcome::Escaped, why });
    if let Some(why) = too_long {
        return escaped(why);
    }
    // The bait's own word for a program that a signal has ended.
    if ran.code == Some(9) && read("report.json").is_empty() {
        return escaped("what had started the build was ended by it".into());
    }
    let report: Report = serde_json::from_str(&read("report.json")).map_err(|error| format!("{error}: {ran:?}"))?;
    outside.extend(left(folder, &report));
    judge(attack, way, &report, &outside)
}

/// The bait's program, as the user that `way` asks for.
fn as_user(way: Way) -> Command {
    if way.is_by_root() || !is_root() {
        return Command::new(program::bait());
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups"]).arg(program::bait());
    command
}

/// What a run has left on this machine.
fn left(folder: &Path, report: &Report) -> Vec<String> {
    let mut left = processes(folder.to_str().unwrap());
    left.extend(control_groups(report.runner).iter().map(|group| format!("control group {}", group.display())));
    if folder.join("planted").exists() {
        left.push("a file was planted".to_owned());
    }
    left.iter().map(|what| format!("left behind: {what}")).collect()
}

/// What the log of an attack that sets no limit may have.
const MOST_LOG_MIB: u32 = 64;

fn judge(attack: &Attack, way: Way, report: &Report, outside: &[String]) -> Result<Measured, String> {
    let log = &report.log;
    let measured = |outcome, why: &str| Ok(Measured { outcome, why: why.to_owned() });
    if let Some(changed) = outside.first() {
        return measured(Outcome::Escaped, changed);
    }
    if report.leaked {
        return measured(Outcome::Escaped, "a secret of the host's is in the outputs");
    }
    let log_mib = attack.limits.get("log-mib").copied().unwrap_or(MOST_LOG_MIB);
    let most_log = (u64::from(log_mib) << 20) + (64 << 10);
    if report.log_bytes > most_log {
        return measured(Outcome::Escaped, &format!("its log has {} bytes", report.log_bytes));
    }
    // Where a log was cut, what came before is a hole.
    let last = log.lines().last().unwrap_or_default().trim_start_matches('\0');
    if let Some(what) = last.strip_prefix("escaped: ") {
        return measured(Outcome::Escaped, what);
    }
    if let Some(late) = &report.late {
        return measured(Outcome::Escaped, late);
    }
    // Bubblewrap has none of the limits; what would have run into them only says so.
    let ends = if way.is_bubblewrap() && attack.ends == "out-of-memory" { "well" } else { &attack.ends };
    if !ends.split('|').any(|end| end == report.ended || (end == "cut" && report.ended == "well")) {
        return Err(format!("it ended {:?} and not {ends:?}; its log:\n{log}", report.ended));
    }
    match last.strip_prefix("held: ") {
        Some(why) => measured(Outcome::Held, why),
        None if report.ended != "well" || ends.contains("cut") => measured(Outcome::Held, &report.ended),
        None => Err(format!("it did not say what came of it; its log:\n{log}")),
    }
}
