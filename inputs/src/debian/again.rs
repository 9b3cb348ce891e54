// SPDX-License-Identifier: Apache-2.0
//! What was built again without a change of its source (a binNMU): its builder put an entry on top of the changelog, which is
//! in no source, but in the package.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use reprove_model::{Node, TreePath};
use reprove_store::{Layout, Store, UnpackError, UnpackLimits, Unpacked};

use super::apt::Session;
use super::buildinfo::BuildInfo;
use super::package::{OfSource, no_dpkg};
use crate::workplace::Fetched;
use crate::{InputsError, blocking};

/// A version of a source, and the one that was built of it without a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions<'a> {
    /// What the source is called.
    pub(crate) source: &'a str,
    /// The binary package's version.
    pub(crate) binary: &'a str,
}

/// What a builder put on top of the changelog, and where it was found.
pub(super) struct Changes {
    pub(super) text: String,
    pub(super) from: &'static str,
}

/// What was put there, by the `.buildinfo` file or else by the package of this version; none where the source was changed.
///
/// # Errors
/// [`InputsError::BinNmu`] where neither has it; those of reading the package.
pub(super) async fn changes(
    session: &Session<'_>,
    file: &Fetched,
    (of, version): (&OfSource, &str),
    info: Option<&BuildInfo>,
    store: &Store,
) -> Result<Option<Changes>, InputsError> {
    let Some(built) = of.built_again(version) else { return Ok(None) };
    if let Some(text) = info.and_then(|info| info.changes(Versions { source: &of.source, binary: &built })) {
        return Ok(Some(Changes { text, from: "the .buildinfo file" }));
    }
    let (path, place, source) = (file.path.clone(), session.workplace().clone(), of.source.clone());
    let to = store.clone();
    let found = blocking::run(&file.path, move || {
        let _place = place;
        entry(&path, &to, Versions { source: &source, binary: &built })
    });
    let no_entry = || InputsError::BinNmu {
        binary: format!("{} {version}", file.name),
        source_version: of.source_version.clone(),
    };
    let text = found.await?.ok_or_else(no_entry)?;
    Ok(Some(Changes { text, from: "the package" }))
}

/// The entry as the package in `path` has it; none where that has none. debhelper puts it into a file of its own,
/// `changelog.Debian.ARCHITECTURE.gz`; others leave it where it was. The package's files are in `store` afterwards.
fn entry(path: &Path, store: &Store, of: Versions<'_>) -> Result<Option<String>, InputsError> {
    let doing = "reading a package with dpkg-deb";
    let bad = |why: String| InputsError::Answer { doing, why };
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(no_dpkg)?;
    let files = dpkg.stdout.take().map(|tar| store.unpack_tar(tar, Layout::AtTop, LIMITS));
    // It ends where nobody reads on.
    let ended = dpkg.wait().map_err(no_dpkg)?;
    let files = files.ok_or_else(|| bad("it says nothing".into()))?.map_err(|error| match error {
        UnpackError::Store(error) => InputsError::Store(error),
        error => bad(error.to_string()),
    })?;
    if !ended.success() {
        return Err(bad(ended.to_string()));
    }
    in_files(&files, store, of)
}

/// What is read of a package.
const LIMITS: UnpackLimits = UnpackLimits { entries: 500_000, bytes: 4 << 30 };

/// The entry in the files of a package.
fn in_files(files: &Unpacked, store: &Store, of: Versions<'_>) -> Result<Option<String>, InputsError> {
    for (path, entry) in &files.entries {
        let Node::File { digest, .. } = &entry.node else { continue };
        if is_changelog(path)
            && let Some(found) = changelog(store.open_blob(&digest.blake3)?, of)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_changelog(path: &TreePath) -> bool {
    let name =
        str::from_utf8(path.as_bytes()).ok().and_then(|path| path.strip_prefix("usr/share/doc/")?.split_once('/'));
    name.is_some_and(|(_, name)| name.starts_with("changelog") && name.ends_with(".gz") && !name.contains('/'))
}

/// The entry on top of a compressed changelog; none where there is none, or it is no changelog.
pub(crate) fn changelog(compressed: impl Read, of: Versions<'_>) -> Option<String> {
    let mut bytes = Vec::new();
    // Of one that is damaged, or longer, what comes before counts.
    let _: io::Result<usize> = MultiGzDecoder::new(compressed).take(MOST_READ).read_to_end(&mut bytes);
    // The entry is taken over as it is, or not at all.
    let text = match str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok())?,
    };
    first(text, of)
}

/// The most bytes of a changelog that are read: the entry is on top.
const MOST_READ: u64 = 2 * MOST_ENTRY as u64;

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

    fn compressed(text: &str) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn it_is_on_top_of_a_changelog_whatever_comes_after() {
        let of = |bytes: &[u8]| changelog(bytes, OF).is_some();
        let longer = |bytes: u64| format!("{ENTRY}{}", "é".repeat(usize::try_from(bytes / 2).unwrap()));
        for bytes in [0, MOST_READ - ENTRY.len() as u64, MOST_READ, 4 * MOST_READ] {
            assert!(of(&compressed(&longer(bytes))), "{bytes}");
        }
        let cut = compressed(&longer(MOST_READ));
        assert!(!of(&cut[..cut.len() / 50]) && !of(b"no gzip") && !of(&compressed("")));
    }

    #[test]
    fn it_is_looked_for_where_changelogs_are() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let of = |name: &str| {
            let mut archive = tar::Builder::new(Vec::new());
            let (mut header, bytes) = (tar::Header::new_gnu(), compressed(ENTRY));
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, &bytes[..]).unwrap();
            let files = store.unpack_tar(&archive.into_inner().unwrap()[..], Layout::AtTop, LIMITS).unwrap();
            in_files(&files, &store, OF).unwrap().is_some()
        };
        assert!(of("./usr/share/doc/bc/changelog.Debian.amd64.gz"));
        assert!(of("usr/share/doc/bc/changelog.gz"));
        assert!(!of("./usr/share/doc/bc/examples/changelog.gz"));
        assert!(!of("./usr/share/doc/bc/changes.gz"));
        assert!(!of("./etc/changelog.gz"));
    }
}
