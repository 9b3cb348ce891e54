// SPDX-License-Identifier: Apache-2.0
//! What a build prints: read to its end, kept up to a limit.

use std::fs::File;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use reprove_model::{HashBoth, LogRecord};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

/// Copies what comes out of `pipe` to a new file at `path` until everyone has closed the other end. Past `limit` bytes,
/// the rest is read and dropped, so that the build isn't held up.
pub(super) async fn keep(pipe: PipeReader, path: &Path, limit: u64) -> io::Result<LogRecord> {
    let mut pipe = Receiver::from_owned_fd(OwnedFd::from(pipe))?;
    let mut file = File::create(path)?;
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
}
