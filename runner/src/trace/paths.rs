// SPDX-License-Identifier: Apache-2.0
//! What a path that a build asks for means: where it begins, and where it leads, inside the build's root and nowhere else.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use nix::unistd::Pid;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat};
use rustix::io::Errno;

use super::memory::MAX_PATH;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Kind {
    Absent,
    Directory,
    File,
    Link,
    Other,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Absolute, without links, `.` or `..` as far as there is anything.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Whether it led through a link that can't be followed from outside, so that something may be there after all.
    pub(super) unresolved: bool,
}

impl Place {
    /// See the field of this name.
    pub(crate) fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    fn new(path: Vec<u8>, kind: Kind) -> Self {
        Self { path, kind, unresolved: false }
    }
}

/// `path` with the directory before it that it is relative to: the process's own, or the one of its descriptor `directory`.
/// None where there is no such directory, so that the call can't find anything either.
///
/// # Errors
/// Where the whole is too long to be told, though the call may well find what it names.
pub(crate) fn absolute(pid: Pid, directory: Option<i32>, path: &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
    if path.starts_with(b"/") {
        return Ok(Some(plain(path)));
    }
    let link = match directory {
        None | Some(libc::AT_FDCWD) => format!("/proc/{pid}/cwd"),
        Some(descriptor) => format!("/proc/{pid}/fd/{descriptor}"),
    };
    let base = match fs::read_link(link) {
        Ok(base) => base.into_os_string().into_vec(),
        Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => return Err(TooLong),
        Err(_) => return Ok(None),
    };
    let whole = if path.is_empty() { base } else { [base.as_slice(), b"/", path].concat() };
    // A pipe has no path, and is written as `pipe:[1]`.
    if !whole.starts_with(b"/") {
        return Ok(None);
    }
    let whole = plain(&whole);
    if whole.len() < MAX_PATH { Ok(Some(whole)) } else { Err(TooLong) }
}

/// A path has more bytes than can be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Without empty names and `.`, which lead nowhere else; a `..` may, after a link, and stays. The numbers of processes,
/// which are others each time, become `PID`.
fn plain(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
        let is_number = name.iter().all(u8::is_ascii_digit);
        let is_process = is_number && (plain == b"/proc" || plain == b"/proc/PID/task" || plain == b"/proc/self/task");
        plain.push(b'/');
        plain.extend_from_slice(if is_process { b"PID" } else { name });
    }
    if plain.is_empty() {
        plain.push(b'/');
    }
    plain
}

/// Whether `path` is below what is made up for a build: devices, and the account of processes and of the machine. Nothing is
/// looked for there, since it would be this process's own.
pub(super) fn is_made_up(path: &[u8]) -> bool {
    let below = |folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
    below(b"/proc") || below(b"/sys") || (below(b"/dev") && !below(b"/dev/shm"))
}

/// Whether `path`, which is made up, goes on through a process to what is not.
fn leads_through_a_process(path: &[u8]) -> bool {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    let is_link = |name: &&[u8]| matches!(*name, b"root" | b"cwd" | b"exe" | b"fd" | b"map_files" | b"..");
    match names.as_slice() {
        [b"proc", rest @ ..] => rest.iter().any(is_link),
        [b"dev", b"fd" | b"stdin" | b"stdout" | b"stderr" | b"..", ..] => true,
        _ => false,
    }
}

/// The root of a build, from outside.
#[derive(Debug)]
pub(crate) struct Root(pub(super) OwnedFd);

/// The kernel follows as many links in one path.
const MAX_LINKS: usize = 40;

/// Directories above one that is not there are looked for this far up.
const MAX_STEPS: usize = 64;

impl Root {
    /// Where `path`, absolute and [`plain`], leads; a link at its end is followed where `follow` says so. Nothing is opened
    /// but the path itself, and no link leads out of the root.
    ///
    /// # Errors
    /// What the system says, but that there is no such thing.
    pub(crate) fn find(&self, path: &[u8], follow: bool) -> io::Result<Place> {
        self.find_after(path, follow, 0)
    }

    /// The same, where so many links were followed one by one.
    fn find_after(&self, path: &[u8], follow: bool, links: usize) -> io::Result<Place> {
        if is_made_up(path) {
            let unresolved = links > 0 && leads_through_a_process(path);
            return Ok(Place { unresolved, ..Place::new(path.to_vec(), Kind::Other) });
        }
        if let Some(found) = self.open(path, follow)? {
            let kind = match FileType::from_raw_mode(fstat(&found)?.st_mode) {
                FileType::Directory => Kind::Directory,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            };
            return Ok(Place::new(name_of(&found)?, kind));
        }
        // What is not there has the name that it would get, if it were made, in the directory that is.
        let mut known = path;
        for _ in 0..MAX_STEPS {
            let Some(slash) = known.iter().rposition(|&byte| byte == b'/') else { break };
            known = path.get(..slash).unwrap_or_default();
            let above = if known.is_empty() { &b"/"[..] } else { known };
            if let Some(found) = self.open(above, true)? {
                let rest = path.get(slash..).unwrap_or_default();
                let mut whole = name_of(&found)?;
                let unresolved = is_made_up(&whole) || self.leads_elsewhere(&found, &whole, rest, follow, links)?;
                if whole == b"/" {
                    whole.clear();
                }
                whole.extend_from_slice(rest);
                return Ok(Place { unresolved, ..Place::new(whole, Kind::Absent) });
            }
        }
        Ok(Place::new(path.to_vec(), Kind::Absent))
    }

    /// Whether the first name of `rest`, which can't be opened in `folder`, whose path is `at`, is a link that leads where
    /// nobody can follow from outside; else it leads nowhere.
    fn leads_elsewhere(
        &self,
        folder: &OwnedFd,
        at: &[u8],
        rest: &[u8],
        follow: bool,
        links: usize,
    ) -> io::Result<bool> {
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let (name, more) = match rest.iter().position(|&byte| byte == b'/') {
            Some(end) => rest.split_at(end),
            None if follow => (rest, &[][..]),
            None => return Ok(false),
        };
        let Ok(target) = readlinkat(folder, OsStr::from_bytes(name), Vec::new()) else { return Ok(false) };
        if links >= MAX_LINKS {
            // The kernel follows no more either.
            return Ok(false);
        }
        let target = target.as_bytes();
        let base = if target.starts_with(b"/") { &[][..] } else { at };
        let next = plain(&[base, b"/", target, more].concat());
        Ok(next.len() >= MAX_PATH || self.find_after(&next, follow, links + 1)?.unresolved)
    }

    /// The beginning of the regular file at `path`, up to `most` bytes; none where it is no regular file.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn head(&self, path: &[u8], most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(found) = self.open(path, true)?.filter(|_| !is_made_up(path)) else { return Ok(None) };
        head_of(&link_to(&found), most)
    }

    /// What is at `path`, open by its name alone; none where there is no such thing. No link leads out of the root.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(&self, path: &[u8], follow: bool) -> io::Result<Option<OwnedFd>> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // It has to be asked again where something was renamed meanwhile.
        for _ in 0..8 {
            match openat2(self.0.as_fd(), Path::new(OsStr::from_bytes(path)), flags, Mode::empty(), inside) {
                Ok(found) => return Ok(Some(found)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::ACCESS) => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

/// The beginning of the regular file that `link`, to what somebody has open, leads to: the same file, whatever has its name by
/// now.
///
/// # Errors
/// What the system says.
pub(super) fn head_of(link: &str, most: usize) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // The link may lead to something else each time that it is followed, as to a pipe that nobody writes into.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let found = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(link)?;
    if !found.metadata()?.is_file() {
        return Ok(None);
    }
    let mut head = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(link_to(&found.into()))?;
    file.take(most as u64).read_to_end(&mut head)?;
    Ok(Some(head))
}

fn link_to(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The path of what is open, in the file systems that it is mounted in.
fn name_of(file: &OwnedFd) -> io::Result<Vec<u8>> {
    Ok(fs::read_link(link_to(file))?.into_os_string().into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_nowhere_are_left_out() {
        for (path, clean) in [
            ("/", "/"),
            ("//a///b/", "/a/b"),
            ("/a/./b/.", "/a/b"),
            ("/a/../b", "/a/../b"),
            ("/proc/12/task/13/maps", "/proc/PID/task/PID/maps"),
            ("/proc/self/task/7/comm", "/proc/self/task/PID/comm"),
            ("/proc/12x/maps", "/proc/12x/maps"),
            ("/a/12", "/a/12"),
        ] {
            assert_eq!(String::from_utf8(plain(path.as_bytes())).unwrap(), clean);
        }
    }

    #[test]
    fn what_the_kernel_makes_up_is_not_looked_for() {
        for (path, made_up) in [
            ("/proc", true),
            ("/proc/self", true),
            ("/procs", false),
            ("/sys/devices", true),
            ("/system", false),
            ("/dev/null", true),
            ("/dev/shm/x", false),
        ] {
            assert_eq!(is_made_up(path.as_bytes()), made_up, "{path}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_root_and_only_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
        fs::write(dir.path().join("file"), "12345").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        link("/etc/passwd", "out");
        link("../../../../../../etc/passwd", "up");
        link("/file", "inside");
        link("loop", "loop");
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let root = Root(rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap());
        let kind = |path: &str, follow| root.find(path.as_bytes(), follow).unwrap().kind;
        for (path, followed, kept) in [
            ("/file", Kind::File, Kind::File),
            ("/folder", Kind::Directory, Kind::Directory),
            ("/pipe", Kind::Other, Kind::Other),
            ("/out", Kind::Absent, Kind::Link),
            ("/up", Kind::Absent, Kind::Link),
            ("/inside", Kind::File, Kind::Link),
            ("/loop", Kind::Absent, Kind::Link),
            ("/../../file", Kind::File, Kind::File),
            ("/file/below", Kind::Absent, Kind::Absent),
        ] {
            assert_eq!((kind(path, true), kind(path, false)), (followed, kept), "{path}");
        }
        let deep = "/a".repeat(2000);
        assert_eq!(root.find(deep.as_bytes(), true).unwrap(), Place::new(deep.into_bytes(), Kind::Absent));
        let absent = root.find(b"/folder/x/y", true).unwrap().path;
        assert!(absent.ends_with(b"/folder/x/y"));
        assert_eq!(root.head(b"/inside", 3).unwrap().as_deref(), Some(&b"123"[..]));
        for path in ["/pipe", "/folder", "/out", "/none"] {
            assert_eq!(root.head(path.as_bytes(), 3).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn a_link_that_cannot_be_followed_is_told_from_one_that_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
        for (name, target) in [
            ("nowhere", "none"),
            ("mounts", "/proc/mounts"),
            ("null", "/dev/null"),
            ("loop", "loop"),
            ("root", "/proc/self/root"),
            ("input", "/dev/stdin"),
            ("up", "/proc/../proc/self/root"),
        ] {
            link(target, name);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let root = Root(rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap());
        let unresolved = |path: &str, follow| root.find(path.as_bytes(), follow).unwrap().unresolved;
        for path in ["/nowhere", "/nowhere/x", "/mounts", "/null", "/loop", "/none", "/none/x"] {
            assert!(!unresolved(path, true), "{path}");
        }
        for path in ["/root", "/root/usr", "/input", "/up"] {
            assert!(unresolved(path, true), "{path}");
        }
        assert!(!unresolved("/root", false) && unresolved("/root/x", false));
    }

    #[test]
    fn a_relative_path_begins_where_its_process_is() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let open = fs::File::open(&real).unwrap();
        let whole = absolute(Pid::this(), Some(open.as_raw_fd()), b"x/./y").unwrap().unwrap();
        assert_eq!(whole, real.join("x/y").as_os_str().as_bytes());
        let (pipe, _other) = io::pipe().unwrap();
        assert_eq!(absolute(Pid::this(), Some(pipe.as_raw_fd()), b"x"), Ok(None));
        assert_eq!(absolute(Pid::this(), Some(-7), b"x"), Ok(None));
        assert!(absolute(Pid::this(), None, b"x").unwrap().unwrap().ends_with(b"/x"));
        assert_eq!(absolute(Pid::this(), None, &[b'x'; MAX_PATH]), Err(TooLong));
    }
}
