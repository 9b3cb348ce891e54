// SPDX-License-Identifier: Apache-2.0
//! The kernel's command line: what a guest is told, and what its measurement covers.

use std::fs;

use reprove_model::Digest;
use reprove_runner::vm::Verity;

use crate::Failure;

/// What a guest is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// `reprove.job`: of the job's whole disk.
    pub(crate) job: Digest,
    /// `reprove.usr`: of the disk with `/usr`, where there is a build.
    pub(crate) usr: Option<Verity>,
}

impl CommandLine {
    /// That of this machine.
    pub(crate) fn read() -> Result<Self, Failure> {
        let text = fs::read_to_string("/proc/cmdline").map_err(Failure::at("reading the command line"))?;
        Self::parse(&text).map_err(Failure::at("reading the command line"))
    }

    /// Each of ours stands there once, or the first and the last could be taken for different ones.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let value = |name: &str| -> Result<Option<&str>, &'static str> {
            let mut values =
                text.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            let first = values.next();
            if values.next().is_some() { Err("something of reprove's stands there twice") } else { Ok(first) }
        };
        let job = value("reprove.job")?.ok_or("reprove.job is not there")?;
        let job = job.parse().map_err(|_| "reprove.job is no digest")?;
        let usr =
            value("reprove.usr")?.map(str::parse).transpose().map_err(|_| "reprove.usr is no root of a hash tree")?;
        Ok(Self { job, usr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_told_once() {
        let job = Digest::of(b"job").to_string();
        let usr = format!("7:{}", "0a".repeat(32));
        let parse = |text: &str| CommandLine::parse(text);
        let whole = parse(&format!("quiet reprove.job={job} x.reprove.job=2 reprove.usr={usr}\n")).unwrap();
        assert_eq!((whole.job, whole.usr), (Digest::of(b"job"), usr.parse().ok()));
        assert_eq!(parse(&format!("reprove.job={job}")).unwrap().usr, None);
        for bad in [
            String::new(),
            format!("reprove.job={job} reprove.job={job}"),
            format!("reprove.job={job}0"),
            format!("reprove.job={job} reprove.usr={usr}0"),
            format!("reprove.job={job} reprove.usr={usr} reprove.usr={usr}"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
