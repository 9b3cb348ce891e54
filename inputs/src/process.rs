// SPDX-License-Identifier: Apache-2.0
//! Running another program: bounded in time and in what it says, and gone with all its children when it is given up.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// All of its standard output.
    pub(crate) stdout: Vec<u8>,
    /// The last lines of its standard error, without control characters.
    pub(crate) said: String,
}

/// Why a program did not come to its end.
#[derive(Debug, Error)]
pub(crate) enum ProcessError {
    #[error("{0}")]
    Start(io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it took too long")]
    TimeOut,
    #[error("it wrote more than {0} bytes")]
    TooMuch(u64),
}

/// Runs `command`, without standard input, for at most `limit`, and reads at most `max_stdout` bytes of its output.
///
/// It leads a process group of its own. When this future is dropped, or the time is over, the whole group is killed.
pub(crate) async fn run(mut command: Command, limit: Duration, max_stdout: u64) -> Result<Finished, ProcessError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(ProcessError::Start)?;
    // Declared after the child, so dropped before it: a group whose leader nobody has waited for keeps its number.
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let all = async {
        let reading = async { tokio::try_join!(read_all(stdout, max_stdout), read_last(stderr)) };
        let (stdout, said) = reading.await?;
        Ok::<_, ProcessError>(Finished { status: child.wait().await?, stdout, said })
    };
    let finished = tokio::time::timeout(limit, all).await.map_err(|_| ProcessError::TimeOut)??;
    group.0 = None;
    Ok(finished)
}

/// A process group that is killed when this goes.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may be gone already, which is what is wanted.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, ProcessError> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > most { Err(ProcessError::TooMuch(most)) } else { Ok(bytes) }
}

/// How much of what a program says is kept, in bytes and in lines.
const SAID_BYTES: usize = 8192;
const SAID_LINES: usize = 12;

async fn read_last(pipe: Option<impl AsyncRead + Unpin>) -> Result<String, ProcessError> {
    let mut last = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut buffer = vec![0; SAID_BYTES];
        loop {
            let count = pipe.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            last.extend(buffer.iter().take(count));
            last.drain(..last.len().saturating_sub(SAID_BYTES));
        }
    }
    Ok(last_lines(&last))
}

/// Text from elsewhere, made harmless for a terminal.
fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines.get(lines.len().saturating_sub(SAID_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_program_is_heard() {
        let done = run(sh("echo out; printf 'a\\033[31m\\nb\\n' >&2; exit 3"), MINUTE, 100).await.unwrap();
        assert_eq!(
            (done.status.code(), done.stdout.as_slice(), done.said.as_str()),
            (Some(3), b"out\n".as_slice(), "a[31m\nb")
        );
    }

    #[tokio::test]
    async fn the_bound_on_output_holds_on_both_sides() {
        assert!(run(sh("printf 12345"), MINUTE, 5).await.is_ok());
        assert!(matches!(run(sh("printf 123456"), MINUTE, 5).await, Err(ProcessError::TooMuch(5))));
        assert!(run(sh("yes | head -c 100000; yes noise | head -c 1000000 >&2"), MINUTE, 100_000).await.is_ok());
    }

    #[tokio::test]
    async fn the_last_of_what_is_said_is_kept() {
        let said = async |script: &str| run(sh(script), MINUTE, 0).await.unwrap().said;
        assert_eq!(said("seq 12 >&2").await.lines().count(), SAID_LINES);
        assert_eq!(said("seq 13 >&2").await.lines().collect::<Vec<_>>()[..2], ["2", "3"]);
        assert_eq!(
            said("yes | head -c 8192 | tr -d '\\n' | tr y a >&2; yes | head -c 8192 | tr '\\n' y >&2").await,
            "y".repeat(SAID_BYTES)
        );
        assert_eq!(said("printf a >&2; yes | head -c 8191 | tr '\\n' y >&2").await.len(), SAID_BYTES);
    }

    /// The grandchild would write the file; the group dies with the time limit, or with the future.
    #[tokio::test]
    async fn nothing_outlives_a_program_that_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str| sh(&format!("(sleep 1; touch {}) & wait", dir.path().join(name).display()));
        let ended = run(script("late"), Duration::from_millis(200), 10).await;
        assert!(matches!(ended, Err(ProcessError::TimeOut)));
        let dropped = tokio::time::timeout(Duration::from_millis(200), run(script("dropped"), MINUTE, 10)).await;
        assert!(dropped.is_err());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let is_there = |name: &str| Path::new(&dir.path().join(name)).exists();
        assert!(!is_there("late") && !is_there("dropped"));
    }
}
