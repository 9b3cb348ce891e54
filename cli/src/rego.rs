// SPDX-License-Identifier: Apache-2.0
//! `audit --rego`: a policy in Rego, evaluated in a process of its own. A policy may run for ever, ask for all memory, or
//! call so deep that a stack ends; a process can be bounded in all that, and its end is a refusal.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use reprove_attest::{RegoError, RegoPolicy, RegoRefusal};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::error::CommandError;

/// The first argument of the process that evaluates.
pub(crate) const EVALUATOR_ARGUMENT: &str = "reprove-rego-evaluator";
/// How much processor time it has, in seconds.
const SECONDS: u64 = 10;
/// How much memory it may map, in MiB.
const MEMORY_MIB: u64 = 2048;
/// How much of that is for the stack.
const STACK_MIB: usize = 64;
/// More than any answer has, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// What the evaluator says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Refusals(Vec<RegoRefusal>),
    NoPolicy(String),
}

/// Why the policy is no policy, or else why it does not allow what `input` shows; empty where it does.
pub(crate) async fn evaluate(policy: &str, input: &str) -> Result<Result<Vec<RegoRefusal>, String>, CommandError> {
    if policy.len() > RegoPolicy::MAX_BYTES {
        return Ok(Err(RegoError::TooLong(policy.len()).to_string()));
    }
    let (answer, status) = asked(policy, input)
        .await
        .map_err(|e| CommandError::cannot(format!("the policy in Rego can't be evaluated: no process for it: {e}")))?;
    Ok(match serde_json::from_slice(&answer) {
        Ok(Answer::Refusals(refusals)) if status.success() => Ok(refusals),
        Ok(Answer::NoPolicy(why)) if status.success() => Err(why),
        _ => Ok(vec![RegoRefusal::Unfinished(why(status))]),
    })
}

async fn asked(policy: &str, input: &str) -> io::Result<(Vec<u8>, ExitStatus)> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(EVALUATOR_ARGUMENT).env_clear().current_dir("/").kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let question = format!("{}\n{input}", serde_json::Value::from(policy));
        // One that has ended already is known by its status.
        let _ = stdin.write_all(question.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    }
    Ok((answer, child.wait().await?))
}

fn why(status: ExitStatus) -> String {
    match status.signal().and_then(|number| Signal::try_from(number).ok()) {
        Some(Signal::SIGXCPU) => format!("it had not come to an end after {SECONDS} s of processor time"),
        Some(Signal::SIGABRT | Signal::SIGSEGV | Signal::SIGBUS) => {
            format!("it needs more than {MEMORY_MIB} MiB of memory, or a deeper stack than {STACK_MIB} MiB")
        }
        Some(signal) => format!("its process was ended by {signal}"),
        None => "its process ended without an answer".into(),
    }
}

/// The process that evaluates: reads the policy as a line of JSON and then the input, prints an [`Answer`].
pub(crate) fn evaluator_main() -> ExitCode {
    let limits = [(Resource::RLIMIT_CPU, SECONDS), (Resource::RLIMIT_AS, MEMORY_MIB << 20), (Resource::RLIMIT_CORE, 0)];
    if !limits.into_iter().all(|(resource, most)| bounded(resource, most).is_ok()) {
        return ExitCode::FAILURE;
    }
    let evaluator = thread::Builder::new().stack_size(STACK_MIB << 20).spawn(answered);
    let ended = evaluator.ok().and_then(|thread| thread.join().ok());
    if matches!(ended, Some(Ok(()))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lowers a limit; one that is lower already stays.
fn bounded(resource: Resource, most: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    setrlimit(resource, most.min(hard), hard)
}

fn answered() -> io::Result<()> {
    let mut question = String::new();
    io::stdin().lock().read_to_string(&mut question)?;
    let (policy, input) = question.split_once('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    let policy: String = serde_json::from_str(policy)?;
    let answer = match RegoPolicy::parse(&policy) {
        Ok(policy) => Answer::Refusals(policy.evaluate(input)),
        Err(why) => Answer::NoPolicy(why.to_string()),
    };
    io::stdout().lock().write_all(&serde_json::to_vec(&answer)?)
}
