// SPDX-License-Identifier: Apache-2.0
//! What a build prints: read to its end, kept up to a limit.

use std::fs::File;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use reprove_model::{HashBoth, LogRecord};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

/// Makes a new file `LABEL.log` in `folder`; where there is one, `LABEL-2.log`, and so on, so that no build ever writes over
/// another's log.
pub(crate) fn take_name(folder: &Path, label: &str) -> io::Result<PathBuf> {
    for number in 1..=MOST_OF_A_NAME {
        let name = if number == 1 { format!("{label}.log") } else { format!("{label}-{number}.log") };
        let path = folder.join(name);
        match File::options().write(true).create_new(true).mode(MODE).open(&path) {
            Ok(_) => return Ok(path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other(format!("there are {MOST_OF_A_NAME} logs with the name {label}")))
}

/// Copies what comes out of `pipe` to the file at `path`, in place of what it holds, until everyone has closed the other
/// end. Past `limit` bytes, the rest is read and dropped, so that the build isn't held up.
pub(super) async fn keep(pipe: PipeReader, path: &Path, limit: u64) -> io::Result<LogRecord> {
    let mut pipe = Receiver::from_owned_fd(OwnedFd::from(pipe))?;
    let mut file = File::options().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    let mut both = HashBoth::default();
    let mut left = limit;
    let mut truncated = false;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = pipe.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        let kept = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        truncated |= kept < n;
        left -= kept as u64;
        let bytes = buffer.get(..kept).unwrap_or_default();
        file.write_all(bytes)?;
        both.write_all(bytes)?;
    }
    let (digest, size) = both.finish();
    Ok(LogRecord { digest, size, truncated })
}

/// Logs are for those who build: they show of a source what it prints.
const MODE: u32 = 0o600;

/// How many builds may have one label.
const MOST_OF_A_NAME: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bound_holds_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for (limit, kept, cut) in [(5, "12345", false), (4, "1234", true), (0, "", true)] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"12345").unwrap();
            drop(writer);
            let log = keep(reader, &path, limit).await.unwrap();
            assert_eq!((log.size, log.truncated), (kept.len() as u64, cut));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
        }
    }
    #[test]
    fn no_log_is_written_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<PathBuf> = (0..3).map(|_| take_name(dir.path(), "a").unwrap()).collect();
        assert_eq!(names, ["a.log", "a-2.log", "a-3.log"].map(|name| dir.path().join(name)));
        assert_eq!(names[2].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // A link is not followed, wherever it leads.
        std::os::unix::fs::symlink("elsewhere", dir.path().join("b.log")).unwrap();
        assert_eq!(take_name(dir.path(), "b").unwrap(), dir.path().join("b-2.log"));
        assert!(take_name(&dir.path().join("none"), "a").is_err());
    }
}
