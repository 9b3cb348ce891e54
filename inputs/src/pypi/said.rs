// SPDX-License-Identifier: Apache-2.0
//! What pip says when it fails. The texts are the same from 23.0 to 26.3.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use reprove_model::Sha256;

use super::tools::decode;
use crate::InputsError;

/// The error that the last lines of a failed pip tell of; `None` where it is no certain one.
pub(crate) fn error(said: &str) -> Option<InputsError> {
    let begins = |text: &str| said.lines().any(|line| line.starts_with(text));
    if begins(HASHES) {
        return Some(mismatch(said).unwrap_or_else(|| InputsError::PipMismatch(said.to_owned())));
    }
    let nothing_fits = begins("ERROR: No matching distribution found for ") || begins("ERROR: ResolutionImpossible: ");
    nothing_fits.then(|| InputsError::NoDistribution(said.to_owned()))
}

const HASHES: &str = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES";

/// Reads the three lines of one file: its requirement and URL, the digest expected, the digest got.
fn mismatch(said: &str) -> Option<InputsError> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with(HASHES)).skip(1);
    let (_, url) = lines.next()?.split_once(" from ")?;
    let url = url.split(['#', '?', ' ']).next()?;
    let name = decode(url.trim_end_matches(':').rsplit('/').next()?);
    let digest = |line: &str, label: &str| line.trim().strip_prefix(label)?.trim().parse::<Sha256>().ok();
    let expected = digest(lines.next()?, "Expected sha256 ")?;
    let actual = digest(lines.next()?, "Got ")?;
    // A name that is none would hide what pip said.
    let name = reprove_model::InputName::try_from(name).ok()?.to_string();
    Some(InputsError::Mismatch { name, expected, actual })
}

/// How much of pip's log is read, in bytes.
const MAX_LOG: u64 = 64 << 20;

/// Why a page of the index could not be read, by pip's log; `None` where all could, or are not there. pip itself takes such
/// a page for one that names nothing, and then finds nothing that fits.
pub(crate) fn unreadable_page(log: &Path) -> io::Result<Option<String>> {
    for line in BufReader::new(File::open(log)?.take(MAX_LOG)).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let Some((_, why)) = line.split_once("Could not fetch URL ") else { continue };
        if !why.contains(": 404 Client Error") && !why.contains(": 410 Client Error") {
            let why = why.trim_end().trim_end_matches(" - skipping");
            return Ok(Some(why.chars().filter(|c| !c.is_control()).take(1000).collect()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    const GOT: &str = "3307862e3be7dabca5f007c69e6f3a7db9a458db03d17a3c5e3c63fcb45380a8";

    /// As pip 23.0.1, 23.2.1 and 26.3 say it.
    fn hashes(requirement: &str, expected: &str, got: &str) -> String {
        format!(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package \
             versions, please update the hashes. Otherwise, examine the package contents carefully; someone may have \
             tampered with them.\n    {requirement}:\n        Expected {expected}\n             Got        {got}"
        )
    }

    #[test]
    fn a_wrong_digest_is_named() {
        for requirement in [
            format!("bad from file:///tmp/ix/simple/bad-1%2Bx-py3-none-any.whl#sha256={ZEROS}"),
            "bad from https://files.example/a/bad-1+x-py3-none-any.whl".into(),
            format!("bad==1 from https://a/bad-1+x-py3-none-any.whl#sha256={ZEROS} (from -r l.txt (line 1))"),
        ] {
            let found = error(&hashes(&requirement, &format!("sha256 {ZEROS}"), GOT));
            let Some(InputsError::Mismatch { name, expected, actual }) = found else { panic!("{found:?}") };
            assert_eq!(name, "bad-1+x-py3-none-any.whl");
            assert_eq!((expected.to_string().as_str(), actual.to_string().as_str()), (ZEROS, GOT));
        }
    }

    #[test]
    fn a_wrong_digest_of_another_kind_is_told_as_pip_does() {
        let url = "bad from https://a/bad-1-py3-none-any.whl";
        for said in [
            hashes(url, "md5 00000000000000000000000000000000", "7cb4d23f13a3b2c02c0d61d487f08ffd"),
            hashes("bad", &format!("sha256 {ZEROS}"), GOT),
            hashes("bad from https://a/-r", &format!("sha256 {ZEROS}"), GOT),
            hashes(url, &format!("sha256 {ZEROS}\n                      or {GOT}"), GOT),
        ] {
            let found = error(&said);
            assert!(matches!(&found, Some(InputsError::PipMismatch(text)) if *text == said), "{found:?}");
        }
    }

    #[test]
    fn only_what_says_so_is_nothing_that_fits() {
        for said in [
            "ERROR: Could not find a version that satisfies the requirement good==7 (from versions: 1)\n\
             ERROR: No matching distribution found for good==7",
            "ERROR: No matching distribution found for good==2 (from needs)",
            "ERROR: Cannot install good==1 and needs==1 because these package versions have conflicting dependencies.\n\
             ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/dependency-resolution/",
        ] {
            assert!(matches!(error(said), Some(InputsError::NoDistribution(_))), "{said}");
        }
        for said in [
            "",
            "ERROR: HTTP error 500 while getting https://a/No matching distribution found for a",
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "WARNING: Retrying (Retry(total=4)) after connection broken",
        ] {
            assert!(error(said).is_none(), "{said}");
        }
    }

    #[test]
    fn a_page_that_is_not_there_could_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let page = |text: &str| {
            fs::write(&log, format!("2026-11-22T21:58:37,953 Created temporary directory\n{text}\n")).unwrap();
            unreadable_page(&log).unwrap()
        };
        for code in ["404 Client Error: Not Found", "410 Client Error: Gone"] {
            let line =
                format!("2026-11-22T21:58:37,953 Could not fetch URL https://a/x/: {code} for url: https://a/x/");
            assert_eq!(page(&format!("{line} - skipping")), None);
        }
        let lines = "x Could not fetch URL https://a/x/: 404 Client Error: Not Found for url: https://a/x/ - skipping\n\
                     x Could not fetch URL https://b/x/: connection error: [Errno 111] Connection refused - skipping";
        assert_eq!(page(lines).unwrap(), "https://b/x/: connection error: [Errno 111] Connection refused");
        let line = "Could not fetch URL https://a/: gone - skipping\n";
        let room = usize::try_from(MAX_LOG).unwrap();
        let with = |blank: usize| {
            fs::write(&log, [vec![b'x'; blank - 1], b"\n".into(), line.into()].concat()).unwrap();
            unreadable_page(&log).unwrap()
        };
        assert_eq!(with(room - line.len()).unwrap(), "https://a/: gone");
        assert_eq!(with(room), None);
    }
}
