// SPDX-License-Identifier: Apache-2.0
//! The first process inside: makes the root filesystem, gives up every power, runs the steps, ends what they left.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, recv};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Pid, Uid, getgroups, setgroups, sethostname, setresgid, setresuid, setsid};
use reprove_model::{Closure, RecordMode, Surroundings};
use rustix::process::{WaitOptions, wait};
use rustix::system::setdomainname;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::helper::{Failure, send};
use super::populate::populate;
use super::protocol::{End, Report, Spec, WRITING_SOURCE, Walls};
use super::rootfs::{Sources, enter, home};
use super::terminal::Terminal;
use super::{clocks, formats, landlock, loopback};
use crate::determine::{Settings, Told};
use crate::filter;
use crate::sys::{close_on_exec_from, handle_by_default};
use crate::trace::{Channel, Wanted};

/// Lets the first process go on.
pub(super) fn release(go: &mut PipeWriter) -> io::Result<()> {
    go.write_all(b"!")
}

/// The first process's whole life.
pub(super) fn main(mut wait: PipeReader, watched: Channel, id: u32) -> Result<(), Failure> {
    wait.read_exact(&mut [0]).map_err(Failure::at("waiting for the user mapping"))?;
    tie_to_helper(&mut wait)?;
    // What a build sends to its whole process group must not reach the helper.
    setsid().map_err(Failure::at("starting a session of its own"))?;
    let spec = &specification()?;
    let sources = Sources::open(spec)?;
    become_build_user(id)?;
    formats::own()?;
    let time = clocks::enter()?;
    // With the user, the kernel has forgotten it.
    tie_to_helper(&mut wait)?;
    drop(wait);
    umask(Mode::from_bits_truncate(0o022));
    let (blobs, terminal) = enter(spec, sources)?;
    sethostname(&spec.hostname).map_err(Failure::at("setting the host name"))?;
    if spec.loopback {
        loopback::bring_up().map_err(Failure::at("bringing the loopback device up"))?;
    }
    if let Some(domain) = &spec.surroundings.domain {
        setdomainname(domain.as_bytes()).map_err(Failure::at("setting the domain"))?;
    }
    let source = Path::new(&spec.build_path).join("source");
    populate(&source, &spec.source, blobs).map_err(Failure::at(WRITING_SOURCE))?;
    limit(spec)?;
    // The standard library's handlers of these end the process where one comes in while the other runs; without one, a build
    // can't have its first process get either.
    for signal in [Signal::SIGBUS, Signal::SIGSEGV] {
        handle_by_default(signal).map_err(Failure::at("leaving signals to the kernel"))?;
    }
    close_on_exec_from(3).map_err(Failure::at("closing descriptors"))?;
    let folder = File::open(&source).map_err(Failure::at("opening the source folder"))?;
    let no_groups = getgroups().map_err(Failure::at("reading the groups"))?.is_empty();
    take_on(spec)?;
    let landlock = give_up_power(spec)?;
    match wanted(spec) {
        Some(wanted) => watched.hand_over(&wanted).map_err(Failure::at("having the build watched"))?,
        None => drop(watched),
    }
    let walls = Walls { filter: true, landlock, time, no_groups };
    send(&Report::Ready(walls), Some(folder.as_fd())).map_err(Failure::at("reporting"))?;
    drop(folder);
    if spec.wait {
        hear()?;
    }

    let log = File::from(io::stderr().as_fd().try_clone_to_owned().map_err(Failure::at("taking the log"))?);
    let copying = match &terminal {
        Some(terminal) => Some(terminal.copy_to(log)?),
        None => {
            // Numbers of processes are the same with a terminal and without.
            use_up_numbers(1)?;
            None
        }
    };
    surround(spec)?;
    let started = Instant::now();
    let directory = spec.store.as_ref().map_or(source.as_path(), |_| Path::new(Closure::BUILD));
    let end = run_steps(spec, directory, terminal.as_ref())?;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    end_everything();
    if let (Some(copying), Some(terminal)) = (copying, terminal) {
        copying.end(terminal)?;
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Failure::at("reading the resource usage"))?;
    let largest_process_bytes = u64::try_from(usage.max_rss()).unwrap_or(0).saturating_mul(1024);
    send(&Report::Ended { end, duration_ms, largest_process_bytes }, None).map_err(Failure::at("reporting the end"))
}

/// Uses up the numbers that the build's processes are not to have, and starts the neighbours, which end with this process.
/// Threads have numbers as processes do.
fn surround(spec: &Spec) -> Result<(), Failure> {
    let Surroundings { processes_after, neighbours, .. } = &spec.surroundings;
    use_up_numbers(processes_after.unwrap_or(0))?;
    for _ in 0..neighbours.unwrap_or(0) {
        let busy = || {
            loop {
                std::hint::spin_loop();
            }
        };
        thread().spawn(busy).map(drop).map_err(Failure::at("starting the build's neighbours"))?;
    }
    Ok(())
}

fn use_up_numbers(count: u32) -> Result<(), Failure> {
    for _ in 0..count {
        let used = thread().spawn(|| ()).map_err(Failure::at("using up process ids"))?;
        used.join().map_err(|_| Failure::at("using up process ids")(io::Error::other("a thread ended badly")))?;
    }
    Ok(())
}

fn thread() -> std::thread::Builder {
    std::thread::Builder::new().stack_size(64 << 10)
}

/// Takes on what the build's processes inherit of its surroundings.
fn take_on(spec: &Spec) -> Result<(), Failure> {
    let Surroundings { fixed_addresses, old_release, umask: mask, .. } = &spec.surroundings;
    umask(Mode::from_bits_truncate(mask.unwrap_or(0o022)));
    let mut persona = Persona::empty();
    persona.set(Persona::ADDR_NO_RANDOMIZE, spec.told.and_then(Told::fixed).is_some() || *fixed_addresses);
    persona.set(Persona::UNAME26, *old_release);
    if persona.is_empty() {
        return Ok(());
    }
    personality::set(persona).map(drop).map_err(Failure::at("choosing addresses and the kernel's release"))
}

/// What is to be run, when the runner says that it is known. Until then this process waits, perhaps for long.
fn specification() -> Result<Spec, Failure> {
    let doing = "reading the specification";
    hear()?;
    let mut json = Vec::new();
    File::from(io::stdin().as_fd().try_clone_to_owned().map_err(Failure::at(doing))?)
        .read_to_end(&mut json)
        .map_err(Failure::at(doing))?;
    serde_json::from_slice(&json).map_err(Failure::at(doing))
}

/// Waits for a word of the runner's.
fn hear() -> Result<(), Failure> {
    let doing = "waiting for the runner";
    let heard = recv(io::stdout().as_fd().as_raw_fd(), &mut [0], MsgFlags::empty()).map_err(Failure::at(doing))?;
    if heard == 0 { Err(Failure::at(doing)(io::Error::other("it is gone"))) } else { Ok(()) }
}

/// What the helper is to watch and to answer; none where that is nothing.
fn wanted(spec: &Spec) -> Option<Wanted> {
    if spec.record == RecordMode::Declared && spec.told.is_none() {
        return None;
    }
    let (memory_bytes, limit_seconds) = (spec.memory_bytes, spec.seconds);
    let (hostname, user) = (spec.hostname.clone(), spec.surroundings.user_id());
    let settings = |told| Settings { told, memory_bytes, hostname, limit_seconds, user };
    Some(Wanted {
        mode: spec.record,
        build_path: spec.build_path.clone(),
        home: home(spec).map(str::to_owned),
        path: spec.env.get("PATH").cloned().unwrap_or_default(),
        programs: spec.commands.iter().filter_map(|command| command.first()).cloned().collect(),
        answers: spec.told.map(settings),
    })
}

/// Has the kernel kill this process when the helper, which holds the other end of the pipe, is gone. A parent in another
/// process namespace has no id by which it could be known.
fn tie_to_helper(pipe: &mut PipeReader) -> Result<(), Failure> {
    let doing = "tying the build to the helper";
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Failure::at(doing))?;
    rustix::io::ioctl_fionbio(&*pipe, true).map_err(Failure::at(doing))?;
    match pipe.read(&mut [0]) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(e) => Err(Failure::at(doing)(e)),
        Ok(_) => Err(Failure::at(doing)(io::Error::other("the helper is gone"))),
    }
}

/// Changes to the one user that is mapped, keeping the powers over the new namespaces until they are set up.
///
/// The saved group stays that of the helper, which is mapped to none where it is another. It opens nothing, and no program
/// that is executed gets it; but the kernel lets a user change the resource limits of those processes alone all of whose
/// groups are that user's.
fn become_build_user(id: u32) -> Result<(), Failure> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    prctl::set_keepcaps(true).map_err(Failure::at("keeping capabilities"))?;
    match setgroups(&[]) {
        // So it is where an ordinary user has made the user namespace by itself; the record says so.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(e) => return Err(Failure::at("leaving the caller's groups")(e)),
    }
    setresgid(group, group, UNCHANGED).map_err(Failure::at("changing the group"))?;
    setresuid(user, user, user).map_err(Failure::at("changing the user"))?;
    let all = rustix::thread::capabilities(None).map_err(Failure::at("reading capabilities"))?;
    let sets = CapabilitySets { effective: all.permitted, ..all };
    rustix::thread::set_capabilities(None, sets).map_err(Failure::at("keeping capabilities"))?;
    // Else its own files in /proc would be root's from here on.
    prctl::set_dumpable(true).map_err(Failure::at("keeping this process's own files"))
}

/// What `setresgid(2)` takes for "as it is".
const UNCHANGED: Gid = Gid::from_raw(u32::MAX);

/// Fixes the processors and resource limits that the build sees.
fn limit(spec: &Spec) -> Result<(), Failure> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).map_err(Failure::at("reading the processors"))?;
    let mut given = CpuSet::new();
    let usable = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    for cpu in usable.take(usize::try_from(spec.processors).unwrap_or(usize::MAX)) {
        given.set(cpu).map_err(Failure::at("choosing processors"))?;
    }
    sched_setaffinity(this, &given).map_err(Failure::at("choosing processors"))?;
    let beside = 1 + u64::from(spec.surroundings.threads());
    let (processes, bytes) = (u64::from(spec.processes) + beside, spec.process_bytes.unwrap_or(u64::MAX));
    for (resource, soft, most) in [
        // Not 0, which does not keep a kernel whose pattern is a pipe from running that program, outside, as root.
        (Resource::RLIMIT_CORE, 1, 1),
        (Resource::RLIMIT_NOFILE, 4096, 65_536),
        (Resource::RLIMIT_STACK, 8 << 20, u64::MAX),
        // Of this user in this user namespace; this process is one of them.
        (Resource::RLIMIT_NPROC, processes, processes),
        (Resource::RLIMIT_DATA, bytes, bytes),
    ] {
        let (_, hard) = getrlimit(resource).map_err(Failure::at("reading resource limits"))?;
        let hard = hard.min(most);
        setrlimit(resource, hard.min(soft), hard).map_err(Failure::at("setting resource limits"))?;
    }
    let (_, core) = getrlimit(Resource::RLIMIT_CORE).map_err(Failure::at("reading resource limits"))?;
    let pipe = || fs::read_to_string("/proc/sys/kernel/core_pattern").is_ok_and(|pattern| pattern.starts_with('|'));
    if core == 0 && pipe() {
        let why = "this machine runs a program for each process that crashes, and a hard limit of 0 on core files does not \
                   keep it from that; start with `ulimit -Hc unlimited`";
        return Err(Failure::at("keeping crashes inside")(io::Error::other(why)));
    }
    Ok(())
}

/// From here on this process and all that it starts can do nothing that a user can't, and can't be looked into. Gives the
/// version of Landlock's interface.
fn give_up_power(spec: &Spec) -> Result<u32, Failure> {
    let doing = "dropping capabilities";
    for capability in CapabilitySet::all() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(e) => return Err(Failure::at(doing)(e)),
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(Failure::at(doing))?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(Failure::at(doing))?;
    prctl::set_no_new_privs().map_err(Failure::at("forbidding new privileges"))?;
    prctl::set_dumpable(false).map_err(Failure::at("closing this process to the build"))?;
    let wall = landlock::Wall {
        build_path: &spec.build_path,
        home: home(spec),
        store: spec.store.as_deref(),
        has_terminal: spec.surroundings.terminal,
        all: !spec.installed.is_empty(),
    };
    let landlock = landlock::enter(wall)?;
    filter::enter(!spec.installed.is_empty()).map_err(Failure::at("filtering system calls (seccomp)"))?;
    Ok(landlock)
}

fn run_steps(spec: &Spec, directory: &Path, terminal: Option<&Terminal>) -> Result<End, Failure> {
    for (step, command) in (0..).zip(&spec.commands) {
        if step > 0 {
            send(&Report::Step(step), None).map_err(Failure::at("reporting"))?;
        }
        let status = match start(command, spec, directory, terminal) {
            Ok(child) => wait_for(child)?,
            Err(failure) if step == 0 => return Err(failure),
            // What the steps before it did decides that: they may have made no such program, or have let nothing start.
            Err(failure) => {
                let status = if failure.is_not_found() { 127 } else { 126 };
                let _ = writeln!(io::stderr(), "{failure}");
                return Ok(End::Status { step, status });
            }
        };
        if let Some(signal) = status.signal() {
            return Ok(End::Signal { step, signal: u8::try_from(signal).unwrap_or(u8::MAX) });
        }
        if !status.success() {
            let status = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
            return Ok(End::Status { step, status });
        }
    }
    Ok(End::Success)
}

/// Starts a step; gives its process id.
fn start(command: &[String], spec: &Spec, directory: &Path, terminal: Option<&Terminal>) -> Result<i32, Failure> {
    let doing = || format!("starting {}", command.first().map_or("nothing", String::as_str));
    let (program, arguments) =
        command.split_first().ok_or_else(|| Failure::at(doing())(io::Error::other("the command is empty")))?;
    let end = || terminal.map(Terminal::end).transpose().map_err(Failure::at(doing()));
    let log = || -> Result<Stdio, Failure> {
        let log = || io::stderr().as_fd().try_clone_to_owned().map_err(Failure::at(doing()));
        end()?.map_or_else(|| log().map(Stdio::from), Ok)
    };
    let input = if spec.surroundings.piped_input { Stdio::piped() } else { end()?.unwrap_or_else(Stdio::null) };
    // A derivation's builder is called by its name alone.
    let name = Path::new(program).file_name().filter(|_| spec.store.is_some());
    let mut child = Command::new(program)
        .arg0(name.unwrap_or(program.as_ref()))
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(directory)
        .stdin(input)
        .stdout(log()?)
        .stderr(log()?)
        .spawn()
        .map_err(Failure::at(doing()))?;
    // A pipe that nobody writes to any more.
    drop(child.stdin.take());
    i32::try_from(child.id()).map_err(io::Error::other).map_err(Failure::at(doing()))
}

fn wait_for(child: i32) -> Result<ExitStatus, Failure> {
    loop {
        // Whatever a step leaves behind becomes this process's child, and is waited for here as well.
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child => {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Failure::at("waiting for a step")(e)),
        }
    }
}

/// Ends every other process inside, and waits until none is left, so that nothing writes while outputs are collected.
fn end_everything() {
    loop {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        match wait(WaitOptions::empty()) {
            Ok(_) => {}
            Err(rustix::io::Errno::CHILD) => return,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
