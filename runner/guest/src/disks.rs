// SPDX-License-Identifier: Apache-2.0
//! The machine's three disks: the job, `/usr`, and the one for the report; and a fourth, where a build is to write to one.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reprove_model::Digest;
use reprove_runner::vm::MAX_JOB;

use crate::command_line::CommandLine;
use crate::{Failure, device};

/// How disks are called by the machines that there are: User-mode Linux, and those with virtio.
const KINDS: [&str; 2] = ["ubd", "vd"];

/// How long the last disk may take to be there.
const LONGEST: Duration = Duration::from_secs(30);

/// Where the disks are.
#[derive(Debug)]
pub(crate) struct Disks {
    job: PathBuf,
    usr: PathBuf,
    report: PathBuf,
    /// Only some machines have it.
    scratch: PathBuf,
}

impl Disks {
    /// Waits until all are there.
    pub(crate) fn find() -> Result<Self, Failure> {
        let until = Instant::now() + LONGEST;
        loop {
            for kind in KINDS {
                let path = |letter| Path::new("/dev").join(format!("{kind}{letter}"));
                let disks = Self { job: path('a'), usr: path('b'), report: path('c'), scratch: path('d') };
                if [&disks.job, &disks.usr, &disks.report].into_iter().all(|path| path.exists()) {
                    return Ok(disks);
                }
            }
            if Instant::now() > until {
                return Err(Failure::at("looking for the machine's disks")("they are not there"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The whole of the job's disk, which is the one that was told. What is on it is looked at afterwards.
    pub(crate) fn job(&self, told: &CommandLine) -> Result<Vec<u8>, Failure> {
        let doing = "reading the job's disk";
        let mut file = File::open(&self.job).map_err(Failure::at(doing))?;
        let size = file.seek(SeekFrom::End(0)).map_err(Failure::at(doing))?;
        if size > MAX_JOB {
            return Err(Failure::at(doing)("it is too large"));
        }
        file.rewind().map_err(Failure::at(doing))?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.take(size).read_to_end(&mut bytes).map_err(Failure::at(doing))?;
        if Digest::of(&bytes) != told.job {
            return Err(Failure::at("checking the job's disk")("it is not the one that the command line names"));
        }
        Ok(bytes)
    }

    /// The device that reads `/usr`, and checks every block against the root that was told.
    pub(crate) fn usr(&self, told: &CommandLine) -> Result<PathBuf, Failure> {
        let doing = "checking the disk with /usr";
        let verity = told.usr.ok_or_else(|| Failure::at(doing)("the command line does not name it"))?;
        device::verity("usr", &self.usr, verity).map_err(Failure::at(doing))
    }

    /// The disk to build on, when it is there.
    pub(crate) fn scratch(&self) -> Result<&Path, Failure> {
        let until = Instant::now() + LONGEST;
        while !self.scratch.exists() {
            if Instant::now() > until {
                return Err(Failure::at("looking for the disk to build on")("it is not there"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(&self.scratch)
    }

    /// The disk for the report.
    pub(crate) fn report(&self) -> Result<File, Failure> {
        File::options().read(true).write(true).open(&self.report).map_err(Failure::at("opening the report's disk"))
    }
}
