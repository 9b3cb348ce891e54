// SPDX-License-Identifier: Apache-2.0
//! Opening the files that a user names. Only regular files: no pipe and no device can make a command wait for ever.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use crate::error::CommandError;

/// Whether the name may be a symbolic link's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Followed,
    Refused,
}

/// Opens a regular file for reading; `what` says in a message which one it is.
pub(crate) fn regular(what: &str, path: &Path, links: Links) -> Result<File, CommandError> {
    let fail = |e: io::Error| unreadable(what, path, &e);
    let refuse = |metadata: &Metadata| {
        let why = if metadata.is_symlink() { "a symbolic link, and is not followed" } else { "not a regular file" };
        CommandError::bad_usage(format!("the {what} {} is {why}", path.display()))
    };
    let flags = match links {
        Links::Followed => OFlag::empty(),
        Links::Refused => OFlag::O_NOFOLLOW,
    };
    // Looked at first, because opening alone can make a device do something; and again, because it may be another by then.
    let before = match links {
        Links::Followed => path.metadata(),
        Links::Refused => path.symlink_metadata(),
    };
    let before = before.map_err(fail)?;
    if !before.is_file() {
        return Err(refuse(&before));
    }
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).map_err(fail)?;
    let opened = file.metadata().map_err(fail)?;
    if opened.is_file() { Ok(file) } else { Err(refuse(&opened)) }
}

/// Reads a regular file, at most `most` bytes and one more, by which the caller sees that it is too large.
pub(crate) fn read(what: &str, path: &Path, links: Links, most: usize) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let file = regular(what, path, links)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|e| unreadable(what, path, &e))?;
    Ok(bytes)
}

/// As [`read`], for text.
pub(crate) fn read_text(what: &str, path: &Path, links: Links, most: usize) -> Result<String, CommandError> {
    String::from_utf8(read(what, path, links, most)?)
        .map_err(|_| CommandError::bad_usage(format!("the {what} {} is not UTF-8 text", path.display())))
}

/// As [`read_text`], for what nobody else may read; `mend` says what to do besides where somebody could have.
pub(crate) fn secret(what: &str, path: &Path, most: usize, mend: &str) -> Result<Zeroizing<String>, CommandError> {
    let file = regular(what, path, Links::Followed)?;
    let fail = |e: io::Error| unreadable(what, path, &e);
    let mode = file.metadata().map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        let text = format!("others can read the {what} {shown} (mode {:o})", mode & 0o777);
        return Err(
            CommandError::bad_usage(text).next(format!("chmod 600 {shown}, and {mend} if somebody may have read it"))
        );
    }
    let mut text = Zeroizing::default();
    file.take(most as u64 + 1).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// It is there, perhaps, and can't be read.
pub(crate) fn unreadable(what: &str, path: &Path, error: &io::Error) -> CommandError {
    CommandError::bad_usage(format!("can't read the {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "text").unwrap();
        symlink(path("file"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read("text", &path(name), Links::Followed, 9).unwrap(), b"text");
        }
        assert_eq!(read("text", &path("file"), Links::Refused, 2).unwrap(), b"tex");
        for (name, links, why) in [
            ("link", Links::Refused, "is a symbolic link, and is not followed"),
            ("pipe", Links::Followed, "is not a regular file"),
            ("socket", Links::Followed, "is not a regular file"),
            (".", Links::Followed, "is not a regular file"),
            ("/dev/null", Links::Refused, "is not a regular file"),
            ("missing", Links::Refused, "No such file"),
        ] {
            let error = regular("text", &path(name), links).unwrap_err();
            assert_eq!(error.code, crate::error::BAD_USAGE);
            let (message, _) = error.into_parts();
            assert!(message.contains(why), "{message}");
        }
    }
}
