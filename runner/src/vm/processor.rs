// SPDX-License-Identifier: Apache-2.0
//! The EMULATED secure processor's side of a machine: a serial line on which the guest asks for reports.
//!
//! ```text
//! guest:  report <report data, 128 hexadecimal digits>\n
//! host:   ok <report, in hexadecimal>\n    or    no <why, on one line>\n
//! ```
//!
//! A firmware writes on every serial line that there is, before the guest runs: what asks for nothing is passed over.

use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use reprove_model::{Digest, Isolation, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

use super::hardware::Closed;
use super::holder::Opened;
use super::{MachineError, io_error};

/// What speaks for a machine that was started. One that is EMULATED is a program of the host's, and proves nothing.
pub trait SecureProcessor: Debug + Send + Sync {
    /// What it says of a machine that was started like this, with what the guest asks to have in it.
    ///
    /// # Errors
    /// Why it says nothing, on one line.
    fn report(&self, started: &Started, data: &[u8; 64]) -> Result<Vec<u8>, String>;
}

/// How a machine was started: what a processor would have measured.
#[derive(Clone, PartialEq, Eq)]
pub struct Started {
    /// The bytes of its firmware.
    pub firmware: Arc<[u8]>,
    /// Those of its kernel's file, which was read again when it was started.
    pub kernel: Arc<[u8]>,
    /// Those of its initrd's file.
    pub initrd: Arc<[u8]>,
    /// What its kernel was told.
    pub command_line: String,
    /// The digest of its job's disk.
    pub job: Digest,
    /// In MiB.
    pub memory_mib: u64,
    /// How many processors it has.
    pub processors: u32,
    /// The number of this run, drawn when it was started.
    pub run: [u8; 32],
}

impl Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("command_line", &self.command_line).finish_non_exhaustive()
    }
}

/// That a machine's guest can ask for reports, and what has to be in them.
#[derive(Clone, Debug)]
pub struct Confidential {
    /// In what the build is said to run.
    pub isolation: Isolation,
    /// What the verifier asked to have in the reports.
    pub nonce: Sha256,
    /// Who makes them.
    pub speaker: Speaker,
}

impl Confidential {
    /// Whether a processor closes the machine to this host.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.speaker, Speaker::Hardware(_))
    }
}

/// Who makes a machine's reports.
#[derive(Clone, Debug)]
pub enum Speaker {
    /// A program of this host's, which the guest asks on a serial line.
    Emulated(Arc<dyn SecureProcessor>),
    /// The processor that closes the machine, which the guest asks by its own kernel.
    Hardware(Closed),
}

/// The most reports that one guest gets.
const MOST_REPORTS: usize = 8;
/// The longest request, in bytes, and room for its end.
const MOST_LINE: usize = 256;
/// The most bytes that are passed over.
const MOST_NOISE: usize = 64 << 10;

/// The two ends of the line that are the host's, and the two that are the engine's.
#[derive(Debug)]
pub(super) struct Port {
    requests: OwnedFd,
    answers: OwnedFd,
    theirs: (OwnedFd, OwnedFd),
}

impl Port {
    pub(super) fn new() -> Result<Self, MachineError> {
        let pipe = || io::pipe().map_err(io_error("making the secure processor's line"));
        let ((requests, their_requests), (their_answers, answers)) = (pipe()?, pipe()?);
        Ok(Self {
            requests: requests.into(),
            answers: answers.into(),
            theirs: (their_requests.into(), their_answers.into()),
        })
    }

    /// What the engine writes to, and what it reads.
    pub(super) fn opened(&self) -> [Opened; 2] {
        let path = |end: &OwnedFd| PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), end.as_raw_fd()));
        let (requests, answers) = &self.theirs;
        [Opened { path: path(requests), writable: true }, Opened { path: path(answers), writable: false }]
    }

    /// Answers what the guest asks, until it asks what can't be answered.
    pub(super) async fn serve(self, processor: &dyn SecureProcessor, started: &Started) {
        let Self { requests, answers, theirs } = self;
        let ends = (pipe::Receiver::from_owned_fd(requests), pipe::Sender::from_owned_fd(answers));
        if let (Ok(mut requests), Ok(mut answers)) = ends {
            let mut noise = 0;
            for _ in 0..MOST_REPORTS {
                let Some(request) = request(&mut requests, &mut noise).await else { break };
                let answer = match asked(&request).map(|data| processor.report(started, &data)) {
                    Some(Ok(report)) => format!("ok {}\n", hexadecimal(&report)),
                    Some(Err(why)) => format!("no {}\n", why.replace('\n', " ")),
                    None => "no that is no request\n".to_owned(),
                };
                if answers.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
        drop(theirs);
    }
}

/// What the next line asks for that asks for something; `None` where there is none, or too much before it.
async fn request(from: &mut pipe::Receiver, noise: &mut usize) -> Option<String> {
    let mut line = Vec::new();
    loop {
        match from.read_u8().await.ok()? {
            b'\n' => {
                let text = String::from_utf8_lossy(&line);
                if let Some((before, asked)) = text.rsplit_once("report ") {
                    *noise += before.len();
                    return (*noise <= MOST_NOISE).then(|| asked.to_owned());
                }
                *noise += line.len() + 1;
                line.clear();
            }
            b'\r' => {}
            byte => {
                if line.len() == MOST_LINE {
                    line.remove(0);
                    *noise += 1;
                }
                line.push(byte);
            }
        }
        if *noise > MOST_NOISE {
            return None;
        }
    }
}

/// What a guest asks to have in a report.
fn asked(text: &str) -> Option<[u8; 64]> {
    bytes_of(text)?.try_into().ok()
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that are written in lower-case hexadecimal.
#[must_use]
pub fn bytes_of(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hexadecimal.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>()?;
    rest.is_empty().then_some(bytes)
}

/// The firmware that machines with an EMULATED processor of AMD's kind start with: SeaBIOS, as Debian has it.
const SEABIOS: &[&str] = &["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin"];
/// Those of Intel's kind: an OVMF with what TDX measures of it, as Debian has it.
const OVMF: &[&str] = &["/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd"];

/// The file of the firmware that EMULATED machines of this isolation start with, and its bytes.
///
/// # Errors
/// [`MachineError::NoFirmware`].
pub fn firmware(isolation: Isolation) -> Result<(PathBuf, Arc<[u8]>), MachineError> {
    let (paths, package) = if isolation == Isolation::EmulatedTdx { (OVMF, "ovmf") } else { (SEABIOS, "seabios") };
    let mut found = paths.iter().filter_map(|path| Some((PathBuf::from(path), std::fs::read(path).ok()?)));
    found.next().map(|(path, bytes)| (path, bytes.into())).ok_or(MachineError::NoFirmware(package))
}

/// All of a file that is about to be started.
pub(super) fn bytes_of_file(mut file: File) -> io::Result<Arc<[u8]>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Echo;

    impl SecureProcessor for Echo {
        fn report(&self, _: &Started, data: &[u8; 64]) -> Result<Vec<u8>, String> {
            if data[0] == 0 { Err("no\nzeros".into()) } else { Ok(data.to_vec()) }
        }
    }

    fn started() -> Started {
        let none: Arc<[u8]> = [].into();
        let (firmware, kernel, initrd) = (Arc::clone(&none), Arc::clone(&none), none);
        let (command_line, job) = (String::new(), Digest::of(b""));
        Started { firmware, kernel, initrd, command_line, job, memory_mib: 1, processors: 1, run: [0; 32] }
    }

    /// What the host answers to these lines, behind which there is more than it passes over.
    fn answers(asked: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let port = Port::new().unwrap();
            let (to, from) = (port.theirs.0.try_clone().unwrap(), port.theirs.1.try_clone().unwrap());
            let mut to = pipe::Sender::from_owned_fd(to).unwrap();
            let mut from = pipe::Receiver::from_owned_fd(from).unwrap();
            let all = [asked.as_bytes(), &[b'x'; MOST_LINE + MOST_NOISE + 1]].concat();
            let machine = started();
            let served = port.serve(&Echo, &machine);
            // All of it is more than a pipe holds, and the last of it may never be read.
            tokio::select! {
                () = async { to.write_all(&all).await.unwrap(); std::future::pending().await } => {}
                () = served => {}
            }
            let mut said = String::new();
            from.read_to_string(&mut said).await.unwrap();
            said
        })
    }

    #[test]
    fn a_guest_is_answered_on_one_line() {
        let (good, zero) = ("ab".repeat(64), "00".repeat(64));
        let said = answers(&format!("report {good}\r\nreport {zero}\nreport {}\n", &good[2..]));
        assert_eq!(said, format!("ok {good}\nno no zeros\nno that is no request\n"));
    }

    #[test]
    fn what_a_firmware_says_before_is_passed_over_up_to_a_bound() {
        let good = "ab".repeat(64);
        let asks = |noise: &str| answers(&format!("{noise}report {good}\n")) == format!("ok {good}\n");
        assert!(asks("\u{1b}[2J\u{1b}[=3h") && asks("BdsDxe: starting\r\n\n") && asks(&"x".repeat(MOST_LINE + 1)));
        assert!(asks(&"x".repeat(MOST_NOISE)) && !asks(&"x".repeat(MOST_NOISE + 1)));
        assert!(asks(&"\n".repeat(MOST_NOISE)) && !asks(&"\n".repeat(MOST_NOISE + 1)));
    }

    #[test]
    fn a_guest_is_answered_so_often_and_no_more() {
        let one = format!("report {}\n", "ab".repeat(64));
        let said = answers(&one.repeat(MOST_REPORTS + 1));
        assert_eq!(said.lines().count(), MOST_REPORTS);
    }

    #[test]
    fn hexadecimal_is_read_as_it_was_written() {
        for bytes in [vec![], vec![0, 255, 16]] {
            assert_eq!(bytes_of(&hexadecimal(&bytes)), Some(bytes));
        }
        for bad in ["0", "0g", "0A", "000"] {
            assert_eq!(bytes_of(bad), None);
        }
    }
}
