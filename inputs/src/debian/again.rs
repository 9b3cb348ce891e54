// SPDX-License-Identifier: Apache-2.0
//! What was built again without a change of its source (a binNMU): its builder put an entry on top of the changelog, which is
//! in no source, but in the package.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use crate::InputsError;

/// A version of a source, and the one that was built of it without a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions<'a> {
    /// What the source is called.
    pub(crate) source: &'a str,
    /// The binary package's version.
    pub(crate) binary: &'a str,
}

/// The entry that was put on top of the changelog, as the package in `path` has it; none where that has none. debhelper puts it
/// into a file of its own, `changelog.Debian.ARCHITECTURE.gz`; others leave it where it was.
///
/// # Errors
/// [`InputsError::NoProgram`] where there is no dpkg-deb, [`InputsError::Answer`] for what is no package.
pub(super) fn entry(path: &Path, of: Versions<'_>) -> Result<Option<String>, InputsError> {
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(super::package::no_dpkg)?;
    let found = dpkg.stdout.take().map_or(Ok(None), |files| in_files(files, of));
    // It may not have been read to its end.
    let _ = dpkg.kill();
    let _ = dpkg.wait();
    found.map_err(|error| InputsError::Answer { doing: "reading a package with dpkg-deb", why: error.to_string() })
}

/// The most files of a package that are looked at, and the most bytes of a changelog.
const MOST_FILES: usize = 1 << 20;
const MOST_CHANGELOG: u64 = 16 << 20;

/// The entry in the files of a package, as a tar archive has them.
pub(crate) fn in_files(files: impl Read, of: Versions<'_>) -> io::Result<Option<String>> {
    for file in tar::Archive::new(files).entries()?.take(MOST_FILES) {
        let file = file?;
        let path = file.path_bytes();
        let Ok(path) = str::from_utf8(&path) else { continue };
        let Some((_, name)) =
            path.trim_start_matches("./").strip_prefix("usr/share/doc/").unwrap_or("").split_once('/')
        else {
            continue;
        };
        if !name.starts_with("changelog") || !name.ends_with(".gz") || name.contains('/') {
            continue;
        }
        let mut text = Vec::new();
        GzDecoder::new(file).take(MOST_CHANGELOG).read_to_end(&mut text)?;
        if let Some(entry) = str::from_utf8(&text).ok().and_then(|text| first(text, of)) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The most bytes of an entry.
const MOST_ENTRY: usize = 64 << 10;

/// The first entry of a changelog (Debian Policy 4.4), where it is that of this version, and says that its source was not
/// changed.
pub(crate) fn first(text: &str, of: Versions<'_>) -> Option<String> {
    let text = text.trim_start();
    let heading = text.lines().next()?;
    let said = heading.strip_prefix(of.source)?.strip_prefix(" (")?.strip_prefix(of.binary)?.strip_prefix(") ")?;
    let says_so = said.split_once(';')?.1.split(',').any(|word| word.trim() == "binary-only=yes");
    let end = text.lines().position(|line| line.starts_with(" -- "))?;
    let lines: Vec<&str> = text.lines().take(end.saturating_add(1)).collect();
    let of_entry = |(number, line): (usize, &&str)| match number {
        0 => true,
        _ if number == end => true,
        _ => line.is_empty() || line.starts_with("  "),
    };
    let is_one = says_so && lines.iter().enumerate().all(of_entry) && !lines.concat().contains(char::is_control);
    let entry: String = lines.iter().map(|line| format!("{line}\n")).collect();
    (is_one && entry.len() <= MOST_ENTRY).then(|| format!("{entry}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    const OF: Versions<'static> = Versions { source: "bc", binary: "1.07-3+b1" };
    const ENTRY: &str = "bc (1.07-3+b1) sid; urgency=low, binary-only=yes\n\n  * Rebuild on buildd\n\n -- A Builder <b@example.org>  Sun, 05 Sep 2021 16:01:18 +0000\n";

    #[test]
    fn an_entry_is_of_the_version_and_says_that_nothing_was_changed() {
        let whole = format!("{ENTRY}\nbc (1.07-3) sid; urgency=low\n\n  * Older\n\n -- A B <c@d>  Mon\n");
        assert_eq!(first(&whole, OF), Some(format!("{ENTRY}\n")));
        assert_eq!(first(&format!("\n{ENTRY}"), OF), Some(format!("{ENTRY}\n")));
        for wrong in [
            ENTRY.replace("+b1", "+b2"),
            ENTRY.replace("bc (", "bcc ("),
            ENTRY.replace(", binary-only=yes", ""),
            ENTRY.replace("binary-only=yes", "binary-only=no"),
            ENTRY.replace("  * Rebuild", "* Rebuild"),
            ENTRY.replace("Rebuild", "Re\u{7}build"),
            ENTRY.replace(" -- A", "-- A"),
            String::new(),
        ] {
            assert_eq!(first(&wrong, OF), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_bound_on_an_entry_holds_on_both_sides() {
        let of = |bytes: usize| ENTRY.replace("Rebuild", &"x".repeat(bytes - ENTRY.len() + "Rebuild".len()));
        assert!(first(&of(MOST_ENTRY), OF).is_some());
        assert!(first(&of(MOST_ENTRY + 1), OF).is_none());
    }

    /// A package's files, with a changelog of this name.
    fn files(name: &str, text: &str) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let (mut archive, bytes) = (tar::Builder::new(Vec::new()), gzip.finish().unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
        archive.into_inner().unwrap()
    }

    #[test]
    fn it_is_looked_for_where_changelogs_are() {
        let of = |name: &str| in_files(&files(name, ENTRY)[..], OF).unwrap();
        assert!(of("./usr/share/doc/bc/changelog.Debian.amd64.gz").is_some());
        assert!(of("usr/share/doc/bc/changelog.gz").is_some());
        assert!(of("./usr/share/doc/bc/examples/changelog.gz").is_none());
        assert!(of("./usr/share/doc/bc/changes.gz").is_none());
        assert!(of("./etc/changelog.gz").is_none());
        assert!(in_files(&b"no archive, and longer than none"[..], OF).is_err());
    }
}
