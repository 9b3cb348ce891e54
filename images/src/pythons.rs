// SPDX-License-Identifier: Apache-2.0
//! Which Pythons a root filesystem has, and which C library, as its files say. Nothing of it is run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::RootFilesystem;

/// Where a Python that a build calls by its name is.
const PROGRAMS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// The most of a C library that is read, in bytes.
const MAX_LIBRARY: u64 = 16 << 20;
/// What glibc says of itself before the second number of its version.
const VERSION: &[u8] = b"stable release version 2.";

/// The second numbers of the Pythons 3 that a build in `root` can call, sorted, and that of its glibc 2, where it has one.
///
/// # Errors
/// What the file system says.
pub fn pythons(root: &RootFilesystem) -> io::Result<(Vec<u8>, Option<u8>)> {
    let mut minors = BTreeSet::new();
    for folder in PROGRAMS {
        minors.extend(names(root, folder)?.iter().filter_map(|name| name.strip_prefix("python3.")?.parse::<u8>().ok()));
    }
    let machine = std::env::consts::ARCH;
    let libraries = [format!("/usr/lib/{machine}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned()];
    let merged = libraries.iter().cloned();
    let apart = libraries.iter().map(|folder| folder.replacen("/usr", "", 1));
    for folder in merged.chain(apart) {
        if let Some(path) = on_disk(root, &format!("{folder}/libc.so.6")).filter(|path| path.is_file()) {
            return Ok((minors.into_iter().collect(), version_of(&path)?));
        }
    }
    Ok((minors.into_iter().collect(), None))
}

/// What a folder has in it, where there is one.
#[expect(clippy::disallowed_methods, reason = "the caller sorts what it takes of them")]
fn names(root: &RootFilesystem, folder: &str) -> io::Result<Vec<String>> {
    let Some(path) = on_disk(root, folder).filter(|path| path.is_dir()) else { return Ok(Vec::new()) };
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Where that is which a build sees at `inside`; none where it sees nothing there, or by a link that leads out of its part.
fn on_disk(root: &RootFilesystem, inside: &str) -> Option<PathBuf> {
    let inside = Path::new(inside);
    if root.hidden.iter().any(|hidden| inside.starts_with(hidden)) {
        return None;
    }
    let (part, below) = root.binds.iter().find_map(|(part, at)| Some((part, inside.strip_prefix(at).ok()?)))?;
    let found = fs::canonicalize(part.join(below)).ok()?;
    found.starts_with(fs::canonicalize(part).ok()?).then_some(found)
}

/// The second number of its version, as a glibc has it.
fn version_of(library: &Path) -> io::Result<Option<u8>> {
    let mut bytes = Vec::new();
    File::open(library)?.take(MAX_LIBRARY).read_to_end(&mut bytes)?;
    let found = bytes.windows(VERSION.len()).position(|window| window == VERSION);
    let digits = found.and_then(|at| bytes.get(at + VERSION.len()..)).unwrap_or_default();
    let digits: String = digits.iter().take(3).map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
    Ok(digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use reprove_model::{DigestSet, Environment, LockedEnvironment};

    use super::*;

    fn system(binds: Vec<(PathBuf, String)>, hidden: &[&str]) -> RootFilesystem {
        let locked =
            LockedEnvironment { kind: Environment::HostUsr, description: String::new(), digest: DigestSet::of(b"") };
        let hidden = hidden.iter().map(|path| (*path).to_owned()).collect();
        RootFilesystem {
            locked,
            fingerprint: reprove_store::Fingerprint::none(),
            binds,
            hidden,
            links: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn what_a_system_has_is_told_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let usr = dir.path().join("usr");
        for folder in ["bin", "local/bin", "lib64"] {
            fs::create_dir_all(usr.join(folder)).unwrap();
        }
        for program in
            ["bin/python3", "bin/python3.11", "bin/python3.9", "bin/python3.11-config", "local/bin/python3.13"]
        {
            fs::write(usr.join(program), "").unwrap();
        }
        let of = |hidden: &[&str]| pythons(&system(vec![(usr.clone(), "/usr".into())], hidden)).unwrap();
        assert_eq!(of(&[]), (vec![9, 11, 13], None));
        assert_eq!(of(&["/usr/local"]).0, [9, 11]);
        let says = "GNU C Library (made up) stable release version 2.36.\n";
        fs::write(usr.join("lib64/libc.so.6"), [b"\x7fELF\0".as_slice(), says.as_bytes()].concat()).unwrap();
        assert_eq!(of(&[]).1, Some(36));
        assert_eq!(pythons(&system(Vec::new(), &[])).unwrap(), (Vec::new(), None));
        fs::rename(usr.join("lib64/libc.so.6"), usr.join("lib64/libc-2.36.so")).unwrap();
        symlink("libc-2.36.so", usr.join("lib64/libc.so.6")).unwrap();
        assert_eq!(of(&[]).1, Some(36));
        // Another system's.
        fs::remove_file(usr.join("lib64/libc.so.6")).unwrap();
        fs::rename(usr.join("lib64/libc-2.36.so"), dir.path().join("libc.so.6")).unwrap();
        symlink(dir.path().join("libc.so.6"), usr.join("lib64/libc.so.6")).unwrap();
        assert_eq!(of(&[]).1, None);
    }

    #[test]
    fn the_bound_on_a_library_holds_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libc.so.6");
        let says = [VERSION, b"36."].concat();
        let of = |before: u64| {
            fs::write(&path, [vec![0; usize::try_from(before).unwrap()], says.clone()].concat()).unwrap();
            version_of(&path).unwrap()
        };
        assert_eq!(of(MAX_LIBRARY - says.len() as u64), Some(36));
        assert_eq!(of(MAX_LIBRARY), None);
    }
}
