// SPDX-License-Identifier: Apache-2.0
//! The machine's secure processor: how this guest asks it for reports.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use reprove_model::Sha256;
use reprove_runner::vm::{GuestEvidence, JobEvidence, MAX_EVIDENCE, bytes_of, hexadecimal};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::Failure;
use crate::hardware::{CONFIGFS, LOG, Said, ask, mount_configfs, provider};

/// The line of an EMULATED one.
const EMULATED: &str = "/dev/ttyS1";

/// What speaks for this machine.
pub(crate) enum Processor {
    /// A program of the host's, on a serial line.
    Emulated(File),
    /// Hardware, which the kernel asks: by the name that it has for it.
    Hardware(&'static str),
}

impl Processor {
    /// The one that a build of this kind has.
    pub(crate) fn open(asked: &JobEvidence) -> Result<Self, Failure> {
        if let Some(provider) = provider(asked.isolation) {
            mount_configfs()?;
            return Ok(Self::Hardware(provider));
        }
        let doing = "opening the secure processor's line";
        if !asked.isolation.is_emulated() {
            return Err(Failure::at(doing)("machines of this kind have none"));
        }
        let line = File::options().read(true).write(true).open(EMULATED).map_err(Failure::at(doing))?;
        let mut raw = tcgetattr(&line).map_err(Failure::at(doing))?;
        raw.make_raw();
        tcsetattr(&line, OptionalActions::Now, &raw).map_err(Failure::at(doing))?;
        Ok(Self::Emulated(line))
    }

    /// A report with this in it, and what there is beside it: in hexadecimal.
    pub(crate) fn report(&mut self, data: &[u8; 64]) -> Result<(String, Option<String>), Failure> {
        match self {
            Self::Emulated(line) => Ok((emulated(line, data)?, None)),
            Self::Hardware(provider) => {
                let Said { report, beside } = ask(Path::new(CONFIGFS), Path::new(LOG), provider, data)?;
                Ok((hexadecimal(&report), beside.map(|bytes| hexadecimal(&bytes))))
            }
        }
    }
}

/// What an EMULATED processor answers on its line, in hexadecimal.
fn emulated(line: &mut File, data: &[u8; 64]) -> Result<String, Failure> {
    let doing = "asking the secure processor for a report";
    let request = format!("report {}\n", hexadecimal(data));
    line.write_all(request.as_bytes()).map_err(Failure::at(doing))?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < MAX_EVIDENCE + 16 {
        line.read_exact(&mut byte).map_err(Failure::at(doing))?;
        match byte {
            [b'\n'] => break,
            [byte] => answer.push(byte),
        }
    }
    let answer = String::from_utf8(answer).map_err(Failure::at(doing))?;
    match answer.strip_prefix("ok ") {
        Some(report) if bytes_of(report).is_some() => Ok(report.to_owned()),
        _ => Err(Failure::at(doing)(answer.chars().take(200).collect::<String>())),
    }
}

/// What was asked of this machine, and what was said so far.
pub(crate) struct Evidence<'a> {
    asked: &'a JobEvidence,
    processor: Processor,
    start: String,
}

impl<'a> Evidence<'a> {
    /// Has the processor bind what is to be done, before anything of it is.
    pub(crate) fn start(
        asked: &'a JobEvidence,
        bound: impl FnOnce(&Sha256) -> Result<[u8; 64], Failure>,
    ) -> Result<Self, Failure> {
        let mut processor = Processor::open(asked)?;
        let (start, _) = processor.report(&bound(&asked.nonce)?)?;
        Ok(Self { asked, processor, start })
    }

    /// Has it bind what came of it.
    pub(crate) fn end(mut self, data: impl FnOnce(&Sha256) -> [u8; 64]) -> Result<GuestEvidence, Failure> {
        let (end, beside) = self.processor.report(&data(&self.asked.nonce))?;
        Ok(GuestEvidence { start: self.start, end, beside })
    }
}
