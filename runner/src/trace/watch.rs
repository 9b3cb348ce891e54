// SPDX-License-Identifier: Apache-2.0
//! The helper's part: asks no question back, keeps what it sees, and has every call go on that is not answered.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use nix::unistd::Pid;
use reprove_model::{InsidePath, Loss, Use};
use rustix::event::{PollFd, PollFlags, poll};

use super::arguments::{Makes, RESOLVE_IN_ROOT, descriptor, has, low, open_how, opening, two_numbers};
use super::calls::{Call, Doing, Links, Named, Tells, watched};
use super::interpreter::{MAX_HEAD, interpreter};
use super::memory::{self, Unread};
use super::network::{address_text, family_name};
use super::onward::{Onward, onward};
use super::paths::{Kind, Root, TooLong, absolute, head_of};
use super::plan::Plan;
use super::seen::{Seen, SeenPath};
use crate::determine::{Answer, Answers, Asker};
use crate::filter::program::{AUDIT_ARCH, X32};
use crate::sys::seccomp::{self, Notification, go_on, is_waiting, receive, take_turns};

/// A build that is watched.
pub(super) struct Watch<'a> {
    listener: OwnedFd,
    root: Root,
    first: Pid,
    /// Where a build can write.
    writable: Vec<Vec<u8>>,
    /// For each step, the paths that its program is looked for at, in order.
    programs: Vec<Vec<InsidePath>>,
    /// By number.
    calls: Vec<Option<&'static Call>>,
    /// The program that this process, and the first one inside, run.
    own: Option<Vec<u8>>,
    /// Where the build is told something in place of what the kernel says.
    answers: Option<Answers>,
    seen: &'a mut Seen,
}

/// So many messages at once are sent at most (`UIO_MAXIOV`).
const MAX_MESSAGES: u64 = 1024;
/// From one `struct mmsghdr` to the next.
const MESSAGE_BYTES: u64 = size_of::<libc::mmsghdr>() as u64;

/// Scripts may name scripts as their interpreters this deep; the kernel follows four.
const MAX_INTERPRETERS: usize = 5;

impl<'a> Watch<'a> {
    pub(super) fn new(listener: OwnedFd, root: OwnedFd, plan: Plan, seen: &'a mut Seen) -> io::Result<Self> {
        let mut calls = Vec::new();
        for call in watched(plan.mode) {
            let Ok(number) = usize::try_from(call.number) else { continue };
            if calls.len() <= number {
                calls.resize(number + 1, None);
            }
            if let Some(place) = calls.get_mut(number) {
                *place = Some(call);
            }
        }
        let own = fs::read_link("/proc/self/exe").ok().map(|path| path.into_os_string().into_vec());
        let Plan { first, outside, writable, programs, answers, .. } = plan;
        let answers = answers.map(|settings| Answers::new(settings, outside)).transpose()?;
        Ok(Self { listener, root: Root(root), first, writable, programs, calls, own, answers, seen })
    }

    /// Answers until the first process, which `ended` is a descriptor of, has ended.
    ///
    /// # Errors
    /// What the system says. No call goes on any more then: whoever calls this ends the build.
    pub(super) fn run(&mut self, ended: BorrowedFd<'_>) -> io::Result<()> {
        match take_turns(self.listener.as_fd()) {
            // Linux before 6.6 wakes as it always did.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            other => other?,
        }
        loop {
            let listener = self.listener.as_fd();
            let mut waiting =
                [PollFd::from_borrowed_fd(listener, PollFlags::IN), PollFd::from_borrowed_fd(ended, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let [asked, over] = waiting.map(|each| each.revents());
            if asked.contains(PollFlags::IN) {
                match receive(listener) {
                    Ok(Some(notification)) => {
                        // What can't be told of a call is a loss, and no reason to end the build.
                        if let Err(error) = self.look(&notification) {
                            let too_long = error.raw_os_error() == Some(libc::ENAMETOOLONG);
                            self.seen.lost.insert(if too_long { Loss::TooLong } else { Loss::Closed });
                        }
                        self.reply(&notification)?;
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            } else if !over.is_empty() || !asked.is_empty() {
                return Ok(());
            }
        }
    }

    /// Answers a call, or has it go on.
    fn reply(&mut self, asked: &Notification) -> io::Result<()> {
        let pid = Pid::from_raw(i32::try_from(asked.pid).unwrap_or(0));
        let is_own_table = asked.arch == AUDIT_ARCH && asked.number.cast_unsigned() < X32;
        let answer = match &mut self.answers {
            Some(answers) if pid != self.first && is_own_table => {
                let asker = Asker::new(pid, self.listener.as_fd(), asked.id);
                answers.answer(asked, &asker, &self.root)?
            }
            Some(_) if !is_own_table => {
                self.seen.undetermined.insert(Loss::OtherArchitecture);
                Answer::GoOn
            }
            _ => Answer::GoOn,
        };
        let listener = self.listener.as_fd();
        match answer {
            Answer::Value(value) => seccomp::answer(listener, asked.id, Ok(value))?,
            Answer::Fails(error) => seccomp::answer(listener, asked.id, Err(error))?,
            Answer::GoOn => go_on(listener, asked.id)?,
            Answer::Unreached => {
                if !is_copy_of(pid, self.first) {
                    self.seen.undetermined.insert(Loss::Closed);
                }
                go_on(listener, asked.id)?
            }
            Answer::Unresolved => {
                self.seen.undetermined.insert(Loss::Unresolved);
                go_on(listener, asked.id)?
            }
        };
        Ok(())
    }

    fn look(&mut self, asked: &Notification) -> io::Result<()> {
        // What it does itself, before the first step and between them, is no part of the build.
        let pid = Pid::from_raw(i32::try_from(asked.pid).unwrap_or(0));
        if pid == self.first || self.seen.is_full() {
            return Ok(());
        }
        let number = usize::try_from(asked.number).ok().filter(|_| asked.number.cast_unsigned() < X32);
        let Some(number) = number.filter(|_| asked.arch == AUDIT_ARCH) else {
            if self.calls.iter().any(Option::is_some) {
                self.seen.lost.insert(Loss::OtherArchitecture);
            }
            return Ok(());
        };
        // What is only answered is not watched.
        let Some(call) = self.calls.get(number).copied().flatten() else { return Ok(()) };
        match call.tells {
            Tells::Paths(names) => {
                for name in names {
                    self.path(asked, pid, name)?;
                }
            }
            Tells::Made => self.note(false, call.name, pid),
            Tells::Socket => self.socket(asked, pid),
            Tells::Address(at, length) => {
                let [at, length] = [at, length].map(|place| asked.argument(place));
                self.address(asked, pid, call.name, at, length)?;
            }
            Tells::Messages(at, count) => {
                let count = count.map_or(1, |place| low(asked.argument(place)).into());
                self.messages(asked, pid, call.name, asked.argument(at), count)?;
            }
            Tells::OtherRoot if has_power(pid) => drop(self.seen.lost.insert(Loss::OtherRoot)),
            Tells::OtherRoot => {}
            Tells::IoUring => drop(self.seen.lost.insert(Loss::IoUring)),
        }
        Ok(())
    }

    fn path(&mut self, asked: &Notification, pid: Pid, name: &Named) -> io::Result<()> {
        let argument = |place| asked.argument(place);
        let read = memory::path(pid, argument(name.path));
        let (flags, resolve) = match name.doing {
            Doing::Open(place) => (low(argument(place)).into(), 0),
            Doing::OpenHow(place) => memory::bytes(pid, argument(place)).map_or((0, 0), open_how),
            _ => (0, 0),
        };
        let path = match read {
            // Such a path is one of the directory, wherever it and its links seem to begin.
            Ok(path) if has(resolve, RESOLVE_IN_ROOT) => {
                self.seen.lost.insert(Loss::Unresolved);
                path.iter().copied().skip_while(|&byte| byte == b'/').collect()
            }
            Ok(path) => path,
            Err(Unread::NotThere | Unread::Gone) => return Ok(()),
            Err(Unread::Closed) => {
                self.closed(pid, name)?;
                return Ok(());
            }
        };
        let by_descriptor =
            matches!(name.doing, Doing::Execute(Some(place)) if has(argument(place), libc::AT_EMPTY_PATH));
        if path.is_empty() && !by_descriptor {
            return Ok(());
        }
        let directory = name.directory.map(|place| descriptor(argument(place)));
        let whole = match absolute(pid, directory, &path) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(()),
            Err(TooLong) => {
                self.seen.lost.insert(Loss::TooLong);
                return Ok(());
            }
        };
        // What was read may be of another process by now, if the one that asked is gone.
        if !is_waiting(self.listener.as_fd(), asked.id)? {
            return Ok(());
        }
        let (uses, follow, makes) = match name.doing {
            Doing::Open(_) | Doing::OpenHow(_) => opening(flags),
            Doing::Execute(flags) => (
                &[Use::Execute][..],
                !flags.is_some_and(|place| has(argument(place), libc::AT_SYMLINK_NOFOLLOW)),
                Makes::Nothing,
            ),
            Doing::Look(links) => {
                let keep = match links {
                    Links::Follow => false,
                    Links::Keep => true,
                    Links::Flags(place) => has(argument(place), libc::AT_SYMLINK_NOFOLLOW),
                };
                (&[Use::Look][..], !keep, Makes::Nothing)
            }
            Doing::Move => (&[Use::Open, Use::Write][..], false, Makes::Nothing),
            Doing::Alias => (&[Use::Open][..], false, Makes::Nothing),
            Doing::Make => (&[Use::Write][..], false, Makes::New),
            Doing::Replace => (&[Use::Write][..], false, Makes::Anew),
            Doing::Change => (&[Use::Write][..], false, Makes::Nothing),
        };
        let Ok(whole) = InsidePath::new(whole) else {
            self.seen.lost.insert(Loss::TooLong);
            return Ok(());
        };
        let mut place = self.see(whole.clone(), uses, follow, makes, Some(pid))?;
        match onward(pid, whole.as_bytes(), follow) {
            Onward::Path(next) => {
                if let Ok(next) = InsidePath::new(next) {
                    place = self.see(next, uses, follow, makes, Some(pid))?;
                }
            }
            Onward::Unknown => drop(self.seen.lost.insert(Loss::Unresolved)),
            Onward::Plain | Onward::Link(_) => {}
        }
        match name.doing {
            Doing::Move if self.is_folder_of_the_source(&whole) => drop(self.seen.lost.insert(Loss::Unresolved)),
            Doing::Execute(_) if path.is_empty() => self.interpreters_of(directory, pid)?,
            Doing::Execute(_) => place.map_or(Ok(()), |program| self.interpreters(program, pid))?,
            _ => {}
        }
        Ok(())
    }

    /// Whether a folder was there before the build, as far as that was seen.
    fn is_folder_of_the_source(&self, path: &InsidePath) -> bool {
        let seen = self.seen.paths.get(path);
        self.is_writable(path.as_bytes()) && seen.is_some_and(|seen| seen.kind == Kind::Directory && !seen.made)
    }

    /// Keeps one path. Gives the file that it leads to where that was not known before, or may have changed since.
    fn see(
        &mut self,
        path: InsidePath,
        uses: &[Use],
        follow: bool,
        makes: Makes,
        pid: Option<Pid>,
    ) -> io::Result<Option<InsidePath>> {
        let writable = self.is_writable(path.as_bytes());
        if let Some(known) = self.seen.paths.get_mut(&path) {
            known.add(uses);
            known.made |= makes != Makes::Nothing && known.kind == Kind::Absent;
            let again = (follow && !known.followed) || (writable && known.kind == Kind::Absent && !known.made);
            if !again {
                let target = known.leads_to.as_ref().unwrap_or(&path);
                return Ok(writable.then(|| target.clone()));
            }
            let place = self.root.find(path.as_bytes(), follow)?;
            if place.unresolved {
                self.seen.lost.insert(Loss::Unresolved);
            }
            known.made |= known.kind == Kind::Absent && place.kind != Kind::Absent;
            known.followed |= follow;
            known.kind = place.kind;
            known.leads_to = elsewhere(&path, place.path);
            return Ok(Some(known.leads_to.clone().unwrap_or(path)));
        }
        let place = self.root.find(path.as_bytes(), follow)?;
        if place.unresolved {
            self.seen.lost.insert(Loss::Unresolved);
        }
        let leads_to = elsewhere(&path, place.path);
        let target = leads_to.clone().unwrap_or_else(|| path.clone());
        let by = pid.and_then(|pid| self.program(pid));
        let mut seen = SeenPath::new(leads_to, place.kind, follow, by);
        seen.made = makes == Makes::Anew || (makes == Makes::New && place.kind == Kind::Absent);
        seen.add(uses);
        self.seen.add(path, seen);
        Ok(Some(target))
    }

    /// What the kernel opens to have `pid` run what it has open as `descriptor`, which may have no name any more.
    fn interpreters_of(&mut self, descriptor: Option<i32>, pid: Pid) -> io::Result<()> {
        let Some(descriptor) = descriptor else { return Ok(()) };
        let link = format!("/proc/{pid}/fd/{descriptor}");
        let name = fs::read_link(&link).map(|name| name.into_os_string().into_vec()).unwrap_or_default();
        let Ok(program) = InsidePath::new(name) else { return Ok(()) };
        match head_of(&link, MAX_HEAD)? {
            Some(head) => self.interpreters_from(program, Some(head), pid),
            None => Ok(()),
        }
    }

    /// What the kernel opens to have `pid` run `program`.
    fn interpreters(&mut self, program: InsidePath, pid: Pid) -> io::Result<()> {
        self.interpreters_from(program, None, pid)
    }

    /// The same, where it is known how the program begins.
    fn interpreters_from(&mut self, mut program: InsidePath, mut head: Option<Vec<u8>>, pid: Pid) -> io::Result<()> {
        for _ in 0..MAX_INTERPRETERS {
            let head = match head.take() {
                Some(head) => Some(head),
                None => self.root.head(program.as_bytes(), MAX_HEAD)?,
            };
            let Some(head) = head else { break };
            let Ok(name) = interpreter(&head) else {
                self.seen.lost.insert(Loss::Unresolved);
                break;
            };
            let Some(name) = name else { break };
            // One that is relative is so to the directory of who runs it.
            let whole = absolute(pid, None, name);
            if whole == Err(TooLong) {
                self.seen.lost.insert(Loss::TooLong);
            }
            let Some(name) = whole.ok().flatten().and_then(|name| InsidePath::new(name).ok()) else { break };
            let by = self.seen.program(program);
            let known = self.seen.paths.contains_key(&name);
            let Some(next) = self.see(name.clone(), &[Use::Execute], true, Makes::Nothing, None)? else { break };
            if let Some(seen) = self.seen.paths.get_mut(&name).filter(|_| !known) {
                seen.by = by;
            }
            program = next;
        }
        Ok(())
    }

    /// A process whose memory is closed. The one that the first process makes to run a step has what that has, until it runs
    /// the step: what it runs is known. Any other is a loss.
    fn closed(&mut self, pid: Pid, name: &Named) -> io::Result<()> {
        if is_copy_of(pid, self.first) {
            if !matches!(name.doing, Doing::Execute(_)) {
                return Ok(());
            }
            for place in self.programs.clone().into_iter().flat_map(Vec::into_iter) {
                if let Some(found) = self.see(place, &[Use::Execute], true, Makes::Nothing, None)? {
                    self.interpreters(found, pid)?;
                }
            }
            return Ok(());
        }
        self.seen.lost.insert(Loss::Closed);
        Ok(())
    }

    fn socket(&mut self, asked: &Notification, pid: Pid) {
        let [family, kind, ..] = asked.arguments.map(descriptor);
        let kind = kind & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        self.note(true, &format!("socket {} {kind}", family_name(family)), pid);
    }

    /// The address at `at`, which has `length` bytes.
    fn address(&mut self, asked: &Notification, pid: Pid, call: &str, at: u64, length: u64) -> io::Result<()> {
        let mut address = [0; 128];
        let length = usize::try_from(low(length)).unwrap_or(usize::MAX).min(address.len());
        let Some(part) = address.get_mut(..length).filter(|part| part.len() >= 2 && at != 0) else {
            return Ok(());
        };
        match memory::read(pid, at, part) {
            Ok(()) if is_waiting(self.listener.as_fd(), asked.id)? => {
                self.note(true, &format!("{call} {}", address_text(part)), pid);
            }
            Ok(()) | Err(Unread::NotThere | Unread::Gone) => {}
            Err(Unread::Closed) => drop(self.seen.lost.insert(Loss::Closed)),
        }
        Ok(())
    }

    /// The addresses of `count` messages whose headers begin at `first`.
    fn messages(&mut self, asked: &Notification, pid: Pid, call: &str, first: u64, count: u64) -> io::Result<()> {
        for number in 0..count.min(MAX_MESSAGES) {
            let header = first.checked_add(number * MESSAGE_BYTES).ok_or(Unread::NotThere);
            match header.and_then(|header| memory::bytes(pid, header)) {
                Ok(start) => {
                    let [at, length] = two_numbers(start);
                    self.address(asked, pid, call, at, length)?;
                }
                // The kernel gets no further either.
                Err(Unread::NotThere | Unread::Gone) => break,
                Err(Unread::Closed) => {
                    self.seen.lost.insert(Loss::Closed);
                    break;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, network: bool, what: &str, pid: Pid) {
        let own = self.own.as_deref();
        self.seen.note(network, what, |seen| program_of(pid, own).and_then(|path| seen.program(path)));
    }

    fn program(&mut self, pid: Pid) -> Option<usize> {
        program_of(pid, self.own.as_deref()).and_then(|path| self.seen.program(path))
    }

    fn is_writable(&self, path: &[u8]) -> bool {
        let below = |folder: &Vec<u8>| path.strip_prefix(folder.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        self.writable.iter().any(below)
    }
}

/// The program that a process runs; none where that is this one, or can't be told.
fn program_of(pid: Pid, own: Option<&[u8]>) -> Option<InsidePath> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?.into_os_string().into_vec();
    if own == Some(path.as_slice()) { None } else { InsidePath::new(path).ok() }
}

/// Whether `pid` is a child of `first`, and calls itself what that does.
fn is_copy_of(pid: Pid, first: Pid) -> bool {
    let status = |pid: Pid| fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
    };
    let (Some(its), Some(firsts)) = (status(pid), status(first)) else { return false };
    field(&its, "PPid:") == Some(first.to_string()) && field(&its, "Name:") == field(&firsts, "Name:")
}

/// Whether a process has any capability, in whatever namespace.
fn has_power(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.is_none_or(|digits| digits.trim().bytes().any(|digit| digit != b'0'))
}

fn elsewhere(path: &InsidePath, place: Vec<u8>) -> Option<InsidePath> {
    if path.as_bytes() == place { None } else { InsidePath::new(place).ok() }
}
