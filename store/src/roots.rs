// SPDX-License-Identifier: Apache-2.0
//! Roots: what a collection keeps, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use reprove_model::{Digest, canonical};
use serde::{Deserialize, Serialize};

use crate::blobs::io_error;
use crate::lock::Kind;
use crate::{Store, StoreError};

/// What one name keeps. A file `roots/NAME.json`, in canonical JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Root {
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// What it is, for people.
    pub about: String,
    /// Files.
    pub blobs: BTreeSet<Digest>,
    /// Trees, with all their files.
    pub trees: BTreeSet<Digest>,
    /// Names in `logs/`.
    pub logs: BTreeSet<String>,
}

/// The longest root that is read, in bytes.
const MAX_ROOT: u64 = 16 << 20;

impl Store {
    /// Names roots, in place of those that have these names. What they keep must be there, and is on the disk before any of
    /// them has its name, where [`StoreOptions::sync`](crate::StoreOptions::sync) asks for that.
    ///
    /// # Errors
    /// [`StoreError::RootName`], [`StoreError::Missing`], [`StoreError::Io`], [`StoreError::Busy`].
    pub fn set_roots(&self, roots: &BTreeMap<String, Root>) -> Result<(), StoreError> {
        let mut drafts = Vec::new();
        for (name, root) in roots {
            let path = self.root_path(name)?;
            let in_root = format!("roots/{name}.json");
            let bytes = canonical::to_vec(root).map_err(|e| io_error(&path, io::Error::other(e)))?;
            if bytes.len() as u64 > MAX_ROOT {
                return Err(bad(&path, "it would be too long"));
            }
            drafts.push((self.draft_of(&bytes)?, in_root));
        }
        self.sync()?;
        let held = self.hold(Kind::WithOthers)?;
        for root in roots.values() {
            let paths = root.blobs.iter().map(|digest| (digest, self.blob_path(digest)));
            let lists = root.trees.iter().map(|digest| (digest, self.tree_path(digest)));
            for (digest, path) in paths.chain(lists) {
                if !path.is_file() {
                    return Err(StoreError::Missing(*digest));
                }
            }
        }
        for (draft, path) in drafts {
            draft.name(&path)?;
        }
        drop(held);
        self.sync_folder("roots")
    }

    /// Takes a root's name away; what it alone kept goes with the next collection. One that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::RootName`], [`StoreError::Io`], [`StoreError::Busy`].
    pub fn remove_root(&self, name: &str) -> Result<(), StoreError> {
        let path = self.root_path(name)?;
        let _held = self.hold(Kind::WithOthers)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error(&path, e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// All roots by name.
    ///
    /// # Errors
    /// [`StoreError::BadRoot`], [`StoreError::Io`].
    pub fn roots(&self) -> Result<BTreeMap<String, Root>, StoreError> {
        self.root_files()?.into_iter().map(|(name, path)| Ok((name, read(&path)?))).collect()
    }

    /// The files in `roots/` by the name of their root; what this program has not made there is an error.
    pub(crate) fn root_files(&self) -> Result<BTreeMap<String, PathBuf>, StoreError> {
        let named = |path: PathBuf| match name_of(&path) {
            Some(name) => Ok((name.to_owned(), path)),
            None => Err(bad(&path, "its name does not end with .json")),
        };
        self.in_roots()?.into_iter().map(named).collect()
    }

    /// All that is in `roots/`, whatever it is.
    #[expect(clippy::disallowed_methods, reason = "a set sorts them")]
    pub(crate) fn in_roots(&self) -> Result<BTreeSet<PathBuf>, StoreError> {
        let folder = self.root().join("roots");
        let fail = |e| io_error(&folder, e);
        fs::read_dir(&folder).map_err(fail)?.map(|entry| Ok(entry.map_err(fail)?.path())).collect()
    }

    fn root_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let ok = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(ok) {
            return Err(StoreError::RootName(name.chars().take(160).collect()));
        }
        Ok(self.root().join("roots").join(format!("{name}.json")))
    }

    /// Has all on the disk that was written so far, where that is asked for.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        if self.options().sync {
            let folder = File::open(self.root()).map_err(|e| io_error(self.root(), e))?;
            nix::unistd::syncfs(&folder).map_err(|e| io_error(self.root(), e.into()))?;
        }
        Ok(())
    }

    /// Has a folder's names on the disk, where that is asked for.
    pub(crate) fn sync_folder(&self, name: &str) -> Result<(), StoreError> {
        if self.options().sync {
            let path = self.root().join(name);
            let synced = File::open(&path).and_then(|folder| folder.sync_all());
            synced.map_err(|e| io_error(&path, e))?;
        }
        Ok(())
    }
}

/// The name of the root that is at `path`, where it has one.
pub(crate) fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(".json")
}

pub(crate) fn read(path: &Path) -> Result<Root, StoreError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    let read = file.take(MAX_ROOT + 1).read_to_end(&mut bytes).map_err(|e| io_error(path, e))?;
    if read as u64 > MAX_ROOT {
        return Err(bad(path, "it is too long"));
    }
    canonical::from_slice(&bytes).map_err(|e| bad(path, &e.to_string()))
}

fn bad(path: &Path, why: &str) -> StoreError {
    StoreError::BadRoot { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_read_as_it_was_named_and_only_names_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let here = store.add_bytes(b"here").unwrap().0.blake3;
        let root = |blob| Root { since: 7, about: "a test".into(), blobs: [blob].into(), ..Root::default() };
        let named = |name: &str, blob| BTreeMap::from([(name.to_owned(), root(blob))]);
        store.set_roots(&named("a", here)).unwrap();
        assert_eq!(store.roots().unwrap(), named("a", here));
        let missing = store.set_roots(&named("b", Digest::of(b"elsewhere")));
        assert!(matches!(missing, Err(StoreError::Missing(_))));
        let lists = BTreeMap::from([("c".to_owned(), Root { trees: [here].into(), ..Root::default() })]);
        assert!(matches!(store.set_roots(&lists), Err(StoreError::Missing(_))));
        assert_eq!(store.roots().unwrap().len(), 1);
        store.remove_root("a").unwrap();
        store.remove_root("a").unwrap();
        assert_eq!(store.roots().unwrap().len(), 0);
    }

    #[test]
    fn a_root_s_name_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let set = |name: String| store.set_roots(&BTreeMap::from([(name, Root::default())]));
        for name in ["", ".", "..", "a/b", "../a", ".a", "a b", "ä"] {
            assert!(matches!(set(name.into()), Err(StoreError::RootName(_))), "{name}");
        }
        assert!(set("n".repeat(128)).is_ok());
        assert!(matches!(set("n".repeat(129)), Err(StoreError::RootName(_))));
    }

    #[test]
    fn what_is_no_root_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (name, text) in [("a.json", "{"), ("b.json", "{\"since\":1}"), ("c.txt", "")] {
            let path = dir.path().join("roots").join(name);
            fs::write(&path, text).unwrap();
            assert!(matches!(store.roots(), Err(StoreError::BadRoot { .. })), "{name}");
            fs::remove_file(path).unwrap();
        }
        let path = dir.path().join("roots/long.json");
        let json = r#"{"about":"","blobs":[],"logs":[],"since":0,"trees":[]}"#;
        for (length, fits) in [(MAX_ROOT, true), (MAX_ROOT + 1, false)] {
            let padding = " ".repeat(usize::try_from(length).unwrap() - json.len());
            fs::write(&path, format!("{json}{padding}")).unwrap();
            let found = store.roots();
            let too_long = matches!(&found, Err(StoreError::BadRoot { why, .. }) if why.contains("too long"));
            assert_eq!(too_long, !fits, "{found:?}");
        }
    }
}
