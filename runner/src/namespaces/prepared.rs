// SPDX-License-Identifier: Apache-2.0
//! A sandbox before anyone knows what it is for: a helper, and the first process in its namespaces, which waits.
//!
//! Starting the helper and making the namespaces takes as long as all the rest, and nothing of it depends on the request.

use std::fs::File;
use std::io::{self, PipeReader, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, ThreadId};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use reprove_model::IsolationLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};

use super::cgroup::Cgroup;
use super::ids::OutsideIds;
use super::protocol::{Place, Spec};
use super::running::Running;
use super::supervise::{SandboxError, SandboxRequest, io_error};
use super::views;
use crate::HELPER_ARGUMENT;
use crate::determine::Told;
use crate::surroundings::files;

/// Ended, with everything that it started, when the value goes.
#[derive(Debug)]
pub(super) struct Prepared {
    running: Running,
    /// Where the specification is to be written to.
    spec: File,
    output: PipeReader,
    mounts: Mounts,
    /// The helper ends with it.
    thread: ThreadId,
    /// The user's id inside.
    inside: u32,
}

impl Prepared {
    /// Starts `program` as the helper, with a first process of the user `inside` inside.
    pub(super) fn start(program: &Path, inside: u32) -> Result<Self, SandboxError> {
        let starting = "starting the sandbox's helper";
        let mounts = Mounts::now().map_err(io_error("reading what is mounted"))?;
        let spec = memfd_create("reprove-sandbox", MemfdFlags::CLOEXEC).map_err(|e| io_error(starting)(e.into()))?;
        let theirs_to_read = spec.try_clone().map_err(io_error(starting))?;
        let (output, log) = io::pipe().map_err(io_error("making a pipe"))?;
        // The build's user may open it by its name, as in `>/dev/stderr`, and write to it; not read what was written.
        fchmod(&log, Mode::from_raw_mode(0o222)).map_err(|e| io_error("making a pipe")(e.into()))?;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|e| io_error("making the control socket")(e.into()))?;
        // Packets keep their bounds whatever type the standard library gives the socket.
        let ours = std::os::unix::net::UnixStream::from(ours);
        ours.set_nonblocking(true).map_err(io_error("making the control socket"))?;
        let child = Command::new(program)
            .arg(HELPER_ARGUMENT)
            .env_clear()
            .stdin(theirs_to_read)
            .stdout(Stdio::from(theirs))
            .stderr(log)
            .spawn()
            .map_err(io_error(starting))?;
        // The helper takes about as long to start as what it waits for takes to make.
        let (outside, is_separate) = OutsideIds::choose();
        let running = Running::new(child, ours, is_separate, Cgroup::new());
        let place = Place { groups: running.cgroup.groups().cloned().collect(), outside, inside };
        let place = serde_json::to_vec(&place).map_err(|e| io_error(starting)(e.into()))?;
        running.tell(&place).map_err(io_error(starting))?;
        Ok(Self { running, spec: spec.into(), output, mounts, thread: thread::current().id(), inside })
    }

    /// It, where it is as one that would be started now for the user `inside`.
    pub(super) fn if_usable(mut self, inside: u32) -> Option<Self> {
        let is_usable = self.thread == thread::current().id()
            && self.inside == inside
            && !self.mounts.have_changed()
            && self.running.is_there();
        is_usable.then_some(self)
    }

    /// Has it run `request`, where `demanded` is reached. Gives what the build prints as well.
    pub(super) fn run(
        self,
        request: &mut SandboxRequest<'_>,
        demanded: IsolationLevel,
    ) -> Result<(Running, PipeReader), SandboxError> {
        let Self { mut running, spec, output, .. } = self;
        let mut limits = request.limits;
        limits.processes = limits.processes.saturating_add(request.surroundings.threads());
        running.cgroup.limit(&limits);
        write_spec(request, demanded, &running.cgroup, spec)
            .map_err(io_error("writing the sandbox's specification"))?;
        running.tell(b"!").map_err(io_error("starting the sandbox"))?;
        Ok((running, output))
    }
}

/// What this thread had mounted at one time.
#[derive(Debug)]
struct Mounts(File);

impl Mounts {
    fn now() -> io::Result<Self> {
        File::open("/proc/thread-self/mounts").map(Self)
    }

    /// Whether anything was mounted or unmounted since.
    fn have_changed(&self) -> bool {
        let mut files = [PollFd::new(&self.0, PollFlags::PRI)];
        poll(&mut files, Some(&Timespec::default())) != Ok(0)
    }
}

/// Writes everything that the first process needs to know.
fn write_spec(
    request: &mut SandboxRequest<'_>,
    demanded: IsolationLevel,
    cgroup: &Cgroup,
    mut file: File,
) -> io::Result<()> {
    let processors = views::given(request.processors);
    let most = request.limits.memory_mib;
    let memory_mib = request.surroundings.memory_mib.map_or(most, |less| less.min(most));
    let spec = Spec {
        hostname: request.hostname.clone(),
        binds: request.root.binds.clone(),
        hidden: request.root.hidden.clone(),
        links: request.root.links.clone(),
        files: files(&request.root.files, &request.hostname, &request.surroundings),
        inputs: request.inputs.clone(),
        build_path: request.build_path.clone(),
        disk_bytes: u64::from(request.limits.disk_mib) << 20,
        disk: request.disk.clone(),
        blob_root: request.blob_root.clone(),
        source: std::mem::take(&mut request.source),
        installed: request.installed.clone(),
        store: request.store.clone(),
        processors,
        processes: request.limits.processes,
        process_bytes: (!cgroup.limits_memory()).then(|| u64::from(request.limits.memory_mib) << 20),
        proc_files: views::proc_files(processors, memory_mib, request.told.and_then(Told::fixed).is_some()),
        processor_lists: views::processor_lists(processors),
        loopback: request.loopback,
        commands: request.commands.clone(),
        env: request.env.clone(),
        surroundings: request.surroundings.clone(),
        record: request.record,
        told: request.told,
        wait: demanded > IsolationLevel::Basic,
        seconds: request.limits.seconds,
        memory_bytes: u64::from(request.limits.memory_mib) << 20,
    };
    let mut writer = io::BufWriter::new(&mut file);
    serde_json::to_writer(&mut writer, &spec)?;
    writer.flush()?;
    drop(writer);
    // The place in the file is the first process's as well.
    file.rewind()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    #[test]
    fn what_is_mounted_meanwhile_is_noticed() {
        // In a mount namespace of this thread's own, where this user may make one.
        let own = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).ok()?;
            let mounts = Mounts::now().unwrap();
            assert!(!mounts.have_changed());
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).ok()?;
            mount(Some("none"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&str>).ok()?;
            assert!(mounts.have_changed());
            Some(())
        });
        // Nobody but root has to be able to.
        let seen = own.join().unwrap();
        assert!(seen.is_some() || !nix::unistd::geteuid().is_root());
    }
}
