// SPDX-License-Identifier: Apache-2.0
//! Paths that lead through the account of a process: `/proc/self/root`, `/proc/self/cwd`, `/proc/self/fd`, and what leads
//! there. Followed from outside, they would lead through this process's own.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use nix::unistd::Pid;

/// What a path comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// It leads through no account of a process.
    Plain,
    /// It is one of the links in the asker's account, by its path from there, such as `fd/3`: what that leads to was opened
    /// or executed before.
    Link(String),
    /// It leads to this path, as the asker sees it.
    Path(Vec<u8>),
    /// It leads through what is not the asker's alone to say.
    Unknown,
}

/// What `path`, absolute and without empty names, comes to for `pid`; a link at its end is followed where `follow` says so.
pub(crate) fn onward(pid: Pid, path: &[u8], follow: bool) -> Onward {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    let (own, names) = match names.as_slice() {
        [b"proc", rest @ ..] if rest.contains(&&b".."[..]) => return Onward::Unknown,
        [b"proc", b"self" | b"thread-self", rest @ ..] => (true, rest),
        [b"proc", b"PID", rest @ ..] => (false, rest),
        [b"dev", b"fd", rest @ ..] if !rest.is_empty() => return link(pid, "fd", rest, follow),
        [b"dev", b"stdin", more @ ..] => return link(pid, "fd", &with(b"0", more), follow),
        [b"dev", b"stdout", more @ ..] => return link(pid, "fd", &with(b"1", more), follow),
        [b"dev", b"stderr", more @ ..] => return link(pid, "fd", &with(b"2", more), follow),
        _ => return Onward::Plain,
    };
    let (own, names) = match names {
        [b"task", _, rest @ ..] => (false, rest),
        _ => (own, names),
    };
    let (kind, rest) = match names {
        [kind @ (b"root" | b"cwd" | b"exe"), more @ ..] => (*kind, more),
        [kind @ (b"fd" | b"map_files"), more @ ..] if !more.is_empty() => (*kind, more),
        _ => return Onward::Plain,
    };
    let last = if matches!(kind, b"fd" | b"map_files") { rest.len() == 1 } else { rest.is_empty() };
    match kind {
        _ if last && !follow => Onward::Plain,
        b"map_files" => Onward::Unknown,
        _ if !own => Onward::Unknown,
        b"root" => Onward::Path(joined(b"", rest)),
        b"cwd" => link(pid, "", &with(kind, rest), true),
        b"exe" if last => Onward::Link("exe".into()),
        b"fd" => link(pid, "fd", rest, follow),
        // A program is no directory.
        _ => Onward::Plain,
    }
}

/// What the link that the first of `names` is, below `folder` of the asker's account, comes to with the other names.
fn link(pid: Pid, folder: &str, names: &[&[u8]], follow: bool) -> Onward {
    let Some((name, more)) = names.split_first() else { return Onward::Plain };
    let Ok(name) = str::from_utf8(name) else { return Onward::Plain };
    let link = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    if more.is_empty() && folder == "fd" {
        return if follow { Onward::Link(link) } else { Onward::Plain };
    }
    match fs::read_link(format!("/proc/{pid}/{link}")).map(|base| base.into_os_string().into_vec()) {
        Ok(base) if base.starts_with(b"/") => Onward::Path(joined(&base, more)),
        // There is no such thing, or it is a pipe, through which no path leads.
        Ok(_) => Onward::Plain,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Onward::Plain,
        Err(_) => Onward::Unknown,
    }
}

fn with<'n>(first: &'n [u8], more: &[&'n [u8]]) -> Vec<&'n [u8]> {
    std::iter::once(first).chain(more.iter().copied()).collect()
}

fn joined(base: &[u8], names: &[&[u8]]) -> Vec<u8> {
    let mut path = base.to_vec();
    for name in names {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn of(path: &str, follow: bool) -> Onward {
        onward(Pid::this(), path.as_bytes(), follow)
    }

    #[test]
    fn only_what_leads_through_a_process_leads_onward() {
        for path in
            ["/", "/usr/proc/self/root", "/proc", "/proc/self/status", "/proc/mounts", "/proc/self/fd", "/dev/fd"]
        {
            assert_eq!(of(path, true), Onward::Plain, "{path}");
        }
        assert_eq!(of("/proc/self/root", true), Onward::Path(b"/".into()));
        assert_eq!(of("/proc/self/root/usr/../x", true), Onward::Unknown);
        assert_eq!(of("/proc/thread-self/root/usr/x", false), Onward::Path(b"/usr/x".into()));
        assert_eq!(of("/proc/self/root", false), Onward::Plain);
        for path in
            ["/proc/PID/root/x", "/proc/PID/cwd", "/proc/self/task/PID/fd/3", "/proc/self/map_files/1-2", "/proc/.."]
        {
            assert_eq!(of(path, true), Onward::Unknown, "{path}");
        }
        assert_eq!(of("/proc/self/exe", true), Onward::Link("exe".into()));
        for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            assert_eq!((of(path, true), of(path, false)), (Onward::Link("fd/0".into()), Onward::Plain), "{path}");
        }
    }

    #[test]
    fn a_directory_of_the_asker_leads_to_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let open = std::fs::File::open(&real).unwrap();
        let expected = Onward::Path(real.join("x").into_os_string().into_vec());
        for path in ["/proc/self/fd", "/dev/fd"] {
            assert_eq!(of(&format!("{path}/{}/x", open.as_raw_fd()), false), expected);
        }
        assert_eq!(of("/proc/self/fd/999999/x", true), Onward::Plain);
        let here = std::fs::read_link("/proc/self/cwd").unwrap().join("x");
        assert_eq!(of("/proc/self/cwd/x", true), Onward::Path(here.into_os_string().into_vec()));
    }
}
