// SPDX-License-Identifier: Apache-2.0
//! A processor of hardware, as Linux 6.7 and newer speak for it: files below configfs, by one interface for AMD's and Intel's
//! (Linux, `Documentation/ABI/testing/configfs-tsm`).
//!
//! Nobody here had such a processor: what follows from the kernel's documentation is written down, and was never run.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use reprove_model::Isolation;
use reprove_runner::vm::MAX_EVIDENCE;

use crate::Failure;

/// Where the kernel's configfs is mounted.
pub(crate) const CONFIGFS: &str = "/sys/kernel/config";

/// Where the kernel has the firmware's log (ACPI, table CCEL).
pub(crate) const LOG: &str = "/sys/firmware/acpi/tables/data/CCEL";

/// The most bytes of one file: as many as a host takes, which are twice what Linux 6.7 has.
const MOST: usize = MAX_EVIDENCE / 2;
/// The most bytes of a file that is one word.
const MOST_WORD: usize = 64;

/// What the processor said once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// A report of AMD's, or a quote of Intel's.
    pub(crate) report: Vec<u8>,
    /// What there is beside it: of AMD's, the table of certificates that the host gave; of Intel's, the log of what the firmware
    /// has measured, where it keeps one.
    pub(crate) beside: Option<Vec<u8>>,
}

/// What the kernel calls those who make reports for machines of this isolation, where these are hardware's.
pub(crate) fn provider(isolation: Isolation) -> Option<&'static str> {
    match isolation {
        Isolation::SevSnp => Some("sev_guest"),
        Isolation::Tdx => Some("tdx_guest"),
        Isolation::Namespaces | Isolation::Vm | Isolation::EmulatedSnp | Isolation::EmulatedTdx => None,
    }
}

/// Mounts configfs.
pub(crate) fn mount_configfs() -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("configfs"), CONFIGFS, Some("configfs"), flags, None::<&str>).map_err(Failure::at("mounting configfs"))
}

/// One request: a directory that the kernel fills with files, and that goes with the value.
struct Request(PathBuf);

impl Drop for Request {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Asks the processor of `provider` for a report with `data` in it, by the configfs at `root`. The log of what an Intel's firmware
/// has measured is at `log`.
pub(crate) fn ask(root: &Path, log: &Path, provider: &str, data: &[u8; 64]) -> Result<Said, Failure> {
    let doing = "asking the processor for a report by configfs-tsm, which Linux 6.7 and newer have";
    let fail = |why: String| Failure::at(doing)(why);
    let folder = root.join("tsm/report/reprove");
    fs::create_dir(&folder).map_err(Failure::at(doing))?;
    let request = Request(folder);
    let file = |name: &str| request.0.join(name);
    let read = |name: &str, most| read(&file(name), most).map_err(|e| fail(format!("{name}: {e}")));
    let found = word(&read("provider", MOST_WORD)?);
    if found.as_deref() != Some(provider) {
        return Err(fail(format!("this kernel's reports are made by {}, not {provider}", found.unwrap_or_default())));
    }
    let generation = || Ok::<_, Failure>(number(&read("generation", MOST_WORD)?));
    let expected = generation()?.and_then(|before| before.checked_add(1));
    // The kernel takes the bytes when the file is closed.
    let write = || -> io::Result<()> { File::options().write(true).open(file("inblob"))?.write_all(data) };
    write().map_err(|e| fail(format!("inblob: {e}")))?;
    let report = read("outblob", MOST)?;
    let beside = match provider {
        "sev_guest" => Some(read("auxblob", MOST)?),
        _ => log_at(log).map_err(|e| fail(format!("the firmware's log: {e}")))?,
    };
    // Whoever wrote there in between would have got another report than the one that was asked for.
    if expected.is_none() || generation()? != expected {
        return Err(fail("what was asked for was changed in between".into()));
    }
    Ok(Said { report, beside })
}

/// The firmware's log; `None` where it keeps none.
fn log_at(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read(path, MOST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// All of a file that has at most so many bytes.
fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(io::Error::other(format!("it has more than {most} bytes"))) } else { Ok(bytes) }
}

/// The word that a file has, on one line.
fn word(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let word = text.strip_suffix('\n').unwrap_or(text);
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then(|| word.to_owned())
}

/// The number that a file has, in decimal.
fn number(bytes: &[u8]) -> Option<u64> {
    word(bytes)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hardware_is_asked_by_the_kernel() {
        for isolation in Isolation::ALL {
            assert_eq!(provider(isolation).is_some(), isolation.has_evidence() && !isolation.is_emulated());
        }
        assert_eq!(provider(Isolation::SevSnp), Some("sev_guest"));
        assert_eq!(provider(Isolation::Tdx), Some("tdx_guest"));
    }

    #[test]
    fn the_kernel_s_words_are_read_whole_or_not_at_all() {
        assert_eq!(word(b"sev_guest\n").as_deref(), Some("sev_guest"));
        assert_eq!(number(b"18446744073709551615\n"), Some(u64::MAX));
        for bad in [&b""[..], b"\n", b"a b\n", b"a\n\n", b"\xff", b"a\x1b"] {
            assert_eq!(word(bad), None, "{bad:?}");
        }
        for bad in [&b"18446744073709551616\n"[..], b"-1\n", b"0x1\n", b"1 2\n"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn files_are_bounded_on_both_sides() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, fits) in [(MOST, true), (MOST + 1, false)] {
            file.as_file().set_len(length as u64).unwrap();
            assert_eq!(read(file.path(), MOST).is_ok(), fits);
        }
    }

    #[test]
    fn without_the_interface_nothing_is_said() {
        let root = tempfile::tempdir().unwrap();
        let error = ask(root.path(), Path::new(LOG), "sev_guest", &[0; 64]).unwrap_err();
        assert!(error.to_string().contains("configfs-tsm"), "{error}");
        // A directory that no kernel fills is no interface either, and does not stay.
        fs::create_dir_all(root.path().join("tsm/report")).unwrap();
        let error = ask(root.path(), Path::new(LOG), "sev_guest", &[0; 64]).unwrap_err();
        assert!(error.to_string().contains("provider"), "{error}");
        assert!(!root.path().join("tsm/report/reprove").exists());
    }

    #[test]
    fn a_firmware_may_keep_no_log_and_one_is_bounded_on_both_sides() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, fits) in [(MOST, true), (MOST + 1, false)] {
            file.as_file().set_len(length as u64).unwrap();
            assert_eq!(log_at(file.path()).ok(), fits.then(|| Some(vec![0; length])));
        }
        assert_eq!(log_at(Path::new("/none/such")).unwrap(), None);
    }
}
