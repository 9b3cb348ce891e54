// SPDX-License-Identifier: Apache-2.0
//! A build that failed: what its last lines and its limits say about what to do next.

use reprove_job::BuildFailure;
use reprove_model::Exit;

use crate::error::CommandError;

pub(crate) fn from_failure(failure: &BuildFailure) -> CommandError {
    let mut error = CommandError::build_failed(failure.to_string()).details(&failure.last_lines);
    error = hints(failure).into_iter().fold(error, CommandError::next);
    let log = failure.log.display();
    error = error.fact("log", log.to_string());
    error = match failure.exit {
        Exit::Status { step, status, .. } => error.fact("step", u64::from(step) + 1).fact("status", status),
        Exit::Signal { step, signal, .. } => error.fact("step", u64::from(step) + 1).fact("signal", signal),
        Exit::Success | Exit::TimeOut => error,
    };
    error.next(match failure.log_cut {
        None => format!("the whole log is {log}"),
        Some(mib) => {
            format!("the log is {log}; it was cut after {mib} MiB: raise `limits.log-mib` in the recipe for more of it")
        }
    })
}

fn hints(failure: &BuildFailure) -> Vec<&'static str> {
    let mut hints: Vec<&str> = missing_hints(&failure.last_lines).collect();
    if failure.exit.is_out_of_memory() {
        hints.push("raise `limits.memory-mib` in the recipe, or run fewer things at once");
    }
    if failure.exit == Exit::TimeOut {
        hints.push("raise `limits.seconds` in the recipe");
    }
    hints
}

/// What a build's last lines say when a program is not there, when there is no network, or no room; in lower case.
const NO_PROGRAM: [&str; 2] = ["not found", "no such file or directory"];
const NO_NETWORK: [&str; 6] = [
    "could not resolve",
    "couldn't resolve",
    "name resolution",
    "name or service not known",
    "network is unreachable",
    "getaddrinfo",
];
const NO_SPACE: [&str; 1] = ["no space left on device"];

/// What a build lacks that it would have outside, as far as its last lines show that it missed it.
fn missing_hints(last_lines: &[String]) -> impl Iterator<Item = &'static str> {
    let says = |words: &[&str]| {
        let mut lines = last_lines.iter().map(|line| line.to_lowercase());
        lines.any(|line| words.iter().any(|word| line.contains(word)))
    };
    let no_program = "where something was not found: a build sees its own source and its environment alone. That is this \
                      machine's /usr without /usr/local (`apt install …`), unless the recipe has `environment`: then \
                      name it among the packages there, or have it in the image";
    let no_network = "a build has no network: fetch what it needs before, and make it part of the source";
    let no_space =
        "raise `limits.disk-mib` in the recipe: the build directory, /tmp and /dev/shm together hold no more";
    let hints = [(says(&NO_PROGRAM), no_program), (says(&NO_NETWORK), no_network), (says(&NO_SPACE), no_space)];
    hints.into_iter().filter_map(|(holds, hint)| holds.then_some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(exit: Exit, last_line: &str, log_cut: Option<u32>) -> BuildFailure {
        let (last_lines, log) = (vec![last_line.to_owned()], "/log".into());
        BuildFailure { again: false, exit, seconds: 1, memory_mib: 16, log_cut, last_lines, log, proof: None }
    }

    #[test]
    fn a_limit_that_was_met_is_named() {
        let status = Exit::Status { step: 1, status: 1, out_of_memory: false };
        let next = |exit, line, cut| from_failure(&failure(exit, line, cut)).into_parts().1;
        assert_eq!(next(status, "", None), ["the whole log is /log"]);
        assert!(next(status, "dd: No space left on device", None)[0].starts_with("raise `limits.disk-mib`"));
        assert_eq!(next(Exit::TimeOut, "", None)[0], "raise `limits.seconds` in the recipe");
        let cut = next(status, "", Some(64));
        assert!(cut.len() == 1 && cut[0].contains("cut after 64 MiB: raise `limits.log-mib`"), "{cut:?}");
        let out_of_memory = Exit::Signal { step: 0, signal: 9, out_of_memory: true };
        assert!(next(out_of_memory, "", None)[0].starts_with("raise `limits.memory-mib`"));
    }

    #[test]
    fn what_a_build_misses_is_hinted_at_only_where_it_says_so() {
        let hints = |line: &str| missing_hints(&["make: entering".to_owned(), line.to_owned()]).collect::<Vec<_>>();
        for line in
            ["/bin/sh: 1: cmake: not found", "bash: line 1: cmake: command not found", "x.c: No such file or directory"]
        {
            assert!(hints(line).concat().starts_with("where something was not found"), "{line}");
        }
        for line in ["curl: (6) Could not resolve host: example", "Temporary failure in name resolution"] {
            assert!(hints(line).concat().starts_with("a build has no network"), "{line}");
        }
        assert_eq!(hints("git: not found; getaddrinfo failed").len(), 2);
        assert_eq!(hints("hello.c:3: error: expected ';'"), Vec::<&str>::new());
    }
}
