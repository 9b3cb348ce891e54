// SPDX-License-Identifier: Apache-2.0
//! A locale of a root filesystem that is another than `C.UTF-8`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::RootFilesystem;

/// Those that are looked for, the first that is there is taken: they sort other letters otherwise, have other words, and
/// write a comma where others have a point.
const WANTED: [&str; 8] = ["fr_FR", "de_DE", "fr_CH", "et_EE", "es_ES", "en_US", "en_GB", "en_CA"];

/// The longest list of names in an archive of locales that is read.
const MOST_NAMES: u32 = 1 << 20;

/// A locale in UTF-8 that programs in `root` can have, beside `C.UTF-8`, as `LANG` names it; none where there is none of
/// those that are looked for.
#[must_use]
pub fn another_locale(root: &RootFilesystem) -> Option<String> {
    let usr = root.binds.iter().find(|(_, inside)| inside == "/usr").map(|(path, _)| path)?;
    let folder = usr.join("lib/locale");
    let archived = archived(&folder.join("locale-archive")).unwrap_or_default();
    let is_there = |name: &&'static str| {
        let file = format!("{name}.utf8");
        folder.join(&file).is_dir() || archived.split(|byte| *byte == 0).any(|name| name == file.as_bytes())
    };
    WANTED.into_iter().find(is_there).map(|name| format!("{name}.UTF-8"))
}

/// The names of an archive of the C library's (`locale-archive`), each ended by a zero; the header says where they are.
fn archived(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut header = [0; 32];
    file.read_exact_at(&mut header, 0).ok()?;
    let number = |index: usize| {
        let bytes = header.get(4 * index..4 * index + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    if number(0)? != 0xde02_0109 {
        return None;
    }
    let mut names = vec![0; usize::try_from(number(6)?.min(MOST_NAMES)).ok()?];
    file.read_exact_at(&mut names, number(5)?.into()).ok()?;
    Some(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use reprove_model::{DigestSet, Environment, LockedEnvironment};

    use super::*;

    fn root(usr: &Path) -> RootFilesystem {
        let digest = DigestSet::of(b"");
        RootFilesystem {
            locked: LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest },
            fingerprint: reprove_store::Fingerprint::none(),
            binds: vec![(usr.into(), "/usr".into())],
            hidden: vec![],
            links: vec![],
            files: vec![],
        }
    }

    #[test]
    fn one_that_is_there_is_found_as_a_folder_or_in_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("lib/locale");
        fs::create_dir_all(folder.join("C.utf8")).unwrap();
        assert_eq!(another_locale(&root(dir.path())), None);
        fs::create_dir(folder.join("en_US.utf8")).unwrap();
        assert_eq!(another_locale(&root(dir.path())).unwrap(), "en_US.UTF-8");
        let names = b"xx_XX.utf8\0de_DE.utf8\0";
        let header = [0xde02_0109, 0, 0, 0, 0, 32, u32::try_from(names.len()).unwrap(), 0];
        let mut archive: Vec<u8> = header.iter().flat_map(|number: &u32| number.to_ne_bytes()).collect();
        archive.extend(names);
        fs::write(folder.join("locale-archive"), &archive).unwrap();
        assert_eq!(another_locale(&root(dir.path())).unwrap(), "de_DE.UTF-8");
        for broken in [&archive[..31], &archive[..40], b"no archive of locales at all, but some text"] {
            fs::write(folder.join("locale-archive"), broken).unwrap();
            assert_eq!(another_locale(&root(dir.path())).unwrap(), "en_US.UTF-8");
        }
    }
}
