// SPDX-License-Identifier: Apache-2.0
//! Programs that ask at a terminal, and such as have none.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::bench::Bench;
use crate::running::{LONG, Ran, Running};

impl Bench {
    /// Runs `reprove` without a terminal, whoever runs this.
    #[must_use]
    pub fn run_without_terminal(&self, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Ran {
        let mut command = self.program_in_this_place("setsid");
        command.arg("--wait").arg(self.command([""; 0]).get_program()).args(arguments).envs(variables.iter().copied());
        Running::start(command).wait(LONG)
    }

    /// Runs `reprove` at a terminal of its own, into which `typed` is typed: a line for each question. Gives what that shows.
    ///
    /// # Panics
    /// Where it can't be run.
    #[must_use]
    pub fn run_at_a_terminal(&self, arguments: &str, typed: &str, variables: &[(&str, &OsStr)]) -> String {
        let program = self.command([""; 0]).get_program().to_str().unwrap().to_owned();
        let mut command: Command = self.program_in_this_place("script");
        command.args(["--quiet", "--return", "--command", &format!("{program} {arguments}"), "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = typed.split_inclusive('\n');
        let (mut shown, mut part, mut answered) = (String::new(), [0; 4096], 0);
        loop {
            let read = output.read(&mut part).unwrap();
            if read == 0 {
                break;
            }
            shown.push_str(&String::from_utf8_lossy(part.get(..read).unwrap()));
            // A line for each question, once it is there.
            if shown.matches(": ").count() > answered {
                answered += 1;
                let _ = input.write_all(lines.next().unwrap_or_default().as_bytes());
            }
        }
        drop(input);
        child.wait().unwrap();
        shown
    }
}
