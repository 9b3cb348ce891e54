// SPDX-License-Identifier: Apache-2.0
//! Trees as Nix archives (NAR: Dolstra, "The Purely Functional Software Deployment Model", figure 5.2), which have each file's
//! bytes, whether it is executed, and nothing else that Nix forgets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};

use reprove_model::{DigestSet, Node, TreePath};

use crate::blobs::io_error;
use crate::{Store, StoreError};

/// What each archive begins with.
const MAGIC: &[u8] = b"nix-archive-1";

impl Store {
    /// Stores `entries`, whose files it has, as an archive: the one thing that stands at the top, or else a folder with all of
    /// them in it. Gives the archive's digests and how many bytes it has.
    ///
    /// # Errors
    /// As [`Store::add_reader`] and [`Store::open_blob`].
    pub fn add_nar(&self, entries: &BTreeMap<TreePath, Node>) -> Result<(DigestSet, u64), StoreError> {
        let mut file = self.temp_file()?;
        let path = file.path().to_owned();
        let fail = |e| io_error(&path, e);
        let mut out = BufWriter::new(file.as_file_mut());
        let mut children: BTreeMap<Option<TreePath>, Vec<&TreePath>> = BTreeMap::new();
        for path in entries.keys() {
            children.entry(path.parent()).or_default().push(path);
        }
        let mut archive = Archive { store: self, entries, children: &children, out: &mut out };
        archive.text(MAGIC).map_err(fail)?;
        match children.get(&None).map(Vec::as_slice) {
            Some([one]) => archive.node(Some(one))?,
            _ => archive.node(None)?,
        }
        out.flush().map_err(fail)?;
        drop(out);
        file.rewind().map_err(fail)?;
        self.add_reader(file.as_file_mut())
    }
}

struct Archive<'a, W> {
    store: &'a Store,
    entries: &'a BTreeMap<TreePath, Node>,
    /// In the order of their names, which is that of their paths where they are in one folder.
    children: &'a BTreeMap<Option<TreePath>, Vec<&'a TreePath>>,
    out: W,
}

impl<W: Write> Archive<'_, W> {
    /// What is at `path`; without one, the folder with all.
    fn node(&mut self, path: Option<&TreePath>) -> Result<(), StoreError> {
        let node = path.and_then(|path| self.entries.get(path));
        let fail = |e| io_error(&path.map(|path| path.as_path().to_owned()).unwrap_or_default(), e);
        self.texts(&[b"(", b"type"]).map_err(fail)?;
        match node {
            Some(Node::File { mode, digest, size }) => {
                self.text(b"regular").map_err(fail)?;
                if mode & 0o100 != 0 {
                    self.texts(&[b"executable", b""]).map_err(fail)?;
                }
                let mut file = self.store.open_blob(&digest.blake3)?;
                self.contents(&mut file, *size).map_err(fail)?;
            }
            Some(Node::Symlink { target }) => {
                self.texts(&[b"symlink", b"target", target.as_bytes()]).map_err(fail)?;
            }
            Some(Node::Directory { .. }) | None => {
                self.text(b"directory").map_err(fail)?;
                for child in self.children.get(&path.cloned()).into_iter().flatten() {
                    let name = child.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                    self.texts(&[b"entry", b"(", b"name", name, b"node"]).map_err(fail)?;
                    self.node(Some(child))?;
                    self.text(b")").map_err(fail)?;
                }
            }
        }
        self.text(b")").map_err(fail)
    }

    fn contents(&mut self, file: &mut File, size: u64) -> io::Result<()> {
        self.text(b"contents")?;
        self.out.write_all(&size.to_le_bytes())?;
        if io::copy(file, &mut self.out)? != size {
            return Err(io::Error::other("the file has another size than its tree says"));
        }
        self.pad(size)
    }

    fn texts(&mut self, texts: &[&[u8]]) -> io::Result<()> {
        texts.iter().try_for_each(|text| self.text(text))
    }

    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        let len = text.len() as u64;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(text)?;
        self.pad(len)
    }

    /// Zeros up to a multiple of eight.
    fn pad(&mut self, len: u64) -> io::Result<()> {
        let zeros = usize::try_from(len.next_multiple_of(8) - len).unwrap_or(0);
        self.out.write_all([0; 8].get(..zeros).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::IngestLimits;

    /// SHA-256 and size of what `nix-store --dump` of Nix 2.8 gave for the files of the test: all, those in `a`, and `run`.
    const FOLDER: (&str, u64) = ("578644ba9ad58a60dabda4c66e1e9429dc5f919717cebefcfed2878ea3ed134c", 1392);
    const INNER: (&str, u64) = ("967492ab05f6f74a14be3fc289dfaf6d23f3b6c6e5cd200d4ec26ec6aa9d7b2a", 456);
    const FILE: &str = "2eeefe953ea1cde31c27a0e6c6aad75213470c001f2762d3b39202ef10d37ffb";

    #[test]
    fn an_archive_is_the_one_that_nix_makes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        for folder in ["a", "a/empty", "a-b"] {
            fs::create_dir_all(files.join(folder)).unwrap();
        }
        fs::write(files.join("a/x"), "12345678").unwrap();
        fs::write(files.join("a.c"), "").unwrap();
        fs::write(files.join("run"), "#!x\n").unwrap();
        fs::set_permissions(files.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("a/x", files.join("link")).unwrap();
        let of = |path: &str| {
            let tree = store.add_tree(&files.join(path), IngestLimits::default(), &|_| false).unwrap();
            let (digest, size) = store.add_nar(tree.entries()).unwrap();
            (digest.sha256.to_string(), size)
        };
        assert_eq!(of("."), (FOLDER.0.to_owned(), FOLDER.1));
        assert_eq!(of("a"), (INNER.0.to_owned(), INNER.1));
        let one = TreePath::new("run").unwrap();
        let file = |mode| Node::File { mode, size: 4, digest: DigestSet::of(b"#!x\n") };
        let nar = |mode| store.add_nar(&[(one.clone(), file(mode))].into()).unwrap().0.sha256;
        assert_eq!(nar(0o755).to_string(), FILE);
        assert_eq!(nar(0o555), nar(0o755));
        assert_ne!(nar(0o644), nar(0o755));
        assert_eq!(nar(0o444), nar(0o611));
    }
}
