// SPDX-License-Identifier: Apache-2.0
//! The essential packages, unpacked, so that they can install themselves and the others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reprove_model::{InvalidTreePath, Node, TreePath};
use reprove_store::{Layout, Store, UnpackError, UnpackLimits, Unpacked, UnpackedEntry};
use thiserror::Error;

use super::TIME;

/// What is unpacked before anything can be installed.
#[derive(Clone, Debug)]
pub struct Base {
    /// All files.
    pub files: Unpacked,
    /// Which of the packages they are of, by their places in what was given.
    pub packages: BTreeSet<usize>,
}

/// Why the essential packages can't be unpacked.
#[derive(Debug, Error)]
pub enum BaseError {
    /// `dpkg-deb` can't be started.
    #[error("dpkg-deb can't be started, which reads packages ({0}); install `dpkg`")]
    NoProgram(io::Error),
    /// `dpkg-deb` says that it is no package, or a damaged one.
    #[error("{}: dpkg-deb can't read it as a package: {said}", path.display())]
    Unread {
        /// Which file.
        path: PathBuf,
        /// What was said.
        said: String,
    },
    /// None of them is essential, so that there is nothing to install with.
    #[error("none of the packages is one of Debian's essential ones; the list is not whole: remove it, and lock again")]
    NoneEssential,
    /// What is in a package can't be unpacked.
    #[error("{}: {error}", path.display())]
    Unpack {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: UnpackError,
    },
    /// Two packages that are essential both have a path, one as a directory and the other as something else.
    #[error("{}: it has {place} as something else than another package", path.display())]
    Both {
        /// Which file.
        path: PathBuf,
        /// The path in it.
        place: TreePath,
    },
}

/// Unpacks those of `packages`, files that are each a `.deb`, that are essential or that those depend on. Their files are blobs
/// of `store` afterwards.
///
/// # Errors
/// See [`BaseError`].
pub fn base(store: &Store, packages: &[PathBuf]) -> Result<Base, BaseError> {
    let controls = packages.iter().map(|path| control(path)).collect::<Result<Vec<_>, _>>()?;
    let chosen = essential(&controls);
    if chosen.is_empty() {
        return Err(BaseError::NoneEssential);
    }
    let mut entries = BTreeMap::new();
    for path in chosen.iter().filter_map(|&number| packages.get(number)) {
        let unpacked = files(store, path)?;
        for (place, entry) in unpacked.entries {
            add(&mut entries, place, entry).map_err(|place| BaseError::Both { path: path.clone(), place })?;
        }
    }
    Ok(Base { files: Unpacked { entries }, packages: chosen })
}

/// What a package says of itself, as far as it counts here.
#[derive(Debug, Default)]
struct Control {
    essential: bool,
    /// Its own name, and those that it provides.
    names: Vec<String>,
    /// What it depends on: any of each.
    depends: Vec<Vec<String>>,
}

fn control(path: &Path) -> Result<Control, BaseError> {
    let output = Command::new("dpkg-deb")
        .args(["--field"])
        .arg(path)
        .args(["Package", "Essential", "Pre-Depends", "Depends", "Provides"])
        .stdin(Stdio::null())
        .output()
        .map_err(BaseError::NoProgram)?;
    if !output.status.success() {
        return Err(unread(path, &output.stderr));
    }
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

fn unread(path: &Path, stderr: &[u8]) -> BaseError {
    let said = String::from_utf8_lossy(stderr).chars().filter(|c| !c.is_control()).take(400).collect();
    BaseError::Unread { path: path.to_owned(), said }
}

/// Reads fields as `dpkg-deb` prints them: one a line, and lines that go on begin with a space (Debian Policy 5.1).
fn read(text: &str) -> Control {
    let mut control = Control::default();
    let joined = text.replace("\n ", " ");
    for (field, value) in joined.lines().filter_map(|line| line.split_once(':')) {
        match field.to_ascii_lowercase().as_str() {
            "package" => control.names.extend(names(value).into_iter().flatten()),
            "provides" => control.names.extend(names(value).into_iter().flatten()),
            "essential" => control.essential = value.trim() == "yes",
            "pre-depends" | "depends" => control.depends.extend(names(value)),
            _ => {}
        }
    }
    control
}

/// The packages of a list of relations (Debian Policy 7.1), without versions and architectures: of each, its alternatives.
fn names(value: &str) -> Vec<Vec<String>> {
    let name = |one: &str| one.split(['(', ' ', ':', '[', '<']).find(|part| !part.is_empty()).map(str::to_owned);
    let each = value.split(',').map(|any| any.split('|').filter_map(|one| name(one.trim())).collect::<Vec<_>>());
    each.filter(|any| !any.is_empty()).collect()
}

/// The essential ones, and what they depend on, by their places.
fn essential(controls: &[Control]) -> BTreeSet<usize> {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, control) in controls.iter().enumerate() {
        for name in &control.names {
            providers.entry(name).or_default().push(number);
        }
    }
    let mut chosen: BTreeSet<usize> =
        (0..).zip(controls).filter(|(_, c)| c.essential).map(|(number, _)| number).collect();
    let mut todo: Vec<usize> = chosen.iter().copied().collect();
    while let Some(number) = todo.pop() {
        let wanted = controls.get(number).into_iter().flat_map(|control| control.depends.iter().flatten());
        for &provider in wanted.filter_map(|name| providers.get(name.as_str())).flatten() {
            if chosen.insert(provider) {
                todo.push(provider);
            }
        }
    }
    chosen
}

/// The files of one package, each where it is once `/bin` and the like are links into `/usr`.
fn files(store: &Store, path: &Path) -> Result<Unpacked, BaseError> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(BaseError::NoProgram)?;
    let unpacked = match reader.stdout.take() {
        Some(tar) => store.unpack_tar(tar, Layout::AtTop, UnpackLimits::default()),
        None => Err(UnpackError::Archive(io::ErrorKind::BrokenPipe.into())),
    };
    // It ends where nobody reads on.
    let output = reader.wait_with_output().map_err(BaseError::NoProgram)?;
    let unpacked = unpacked.map_err(|error| BaseError::Unpack { path: path.to_owned(), error })?;
    if !output.status.success() {
        return Err(unread(path, &output.stderr));
    }
    let mut entries = BTreeMap::new();
    for (place, entry) in unpacked.entries {
        let merged = merged(&place)
            .map_err(|error| BaseError::Unpack { path: path.to_owned(), error: UnpackError::Path(error) })?;
        let Some(place) = merged else { continue };
        add(&mut entries, place, entry).map_err(|place| BaseError::Both { path: path.to_owned(), place })?;
    }
    Ok(Unpacked { entries })
}

/// The directories of `/` that are links into `/usr`.
pub(super) const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Where a path is when those are links; none where it is in no directory that an environment has, or is such a link itself.
fn merged(place: &TreePath) -> Result<Option<TreePath>, InvalidTreePath> {
    let bytes = place.as_bytes();
    let top = bytes.split(|&b| b == b'/').next().unwrap_or_default();
    if MERGED.iter().any(|name| name.as_bytes() == top) {
        return TreePath::new([b"usr/", bytes].concat()).map(Some);
    }
    let is_kept = super::DIRECTORIES.iter().any(|name| name.as_bytes() == top);
    Ok(is_kept.then(|| place.clone()))
}

/// Adds an entry, with the directories that lead to it. A directory may be there already. Gives back what is in the way.
fn add(entries: &mut BTreeMap<TreePath, UnpackedEntry>, place: TreePath, entry: UnpackedEntry) -> Result<(), TreePath> {
    let modified = Duration::from_secs(TIME);
    let is_directory = |entry: &UnpackedEntry| matches!(entry.node, Node::Directory { .. });
    let mut above = place.parent();
    while let Some(directory) = above {
        above = directory.parent();
        let implied = UnpackedEntry { node: Node::Directory { mode: 0o755 }, modified };
        if !is_directory(entries.entry(directory.clone()).or_insert(implied)) {
            return Err(directory);
        }
    }
    let new = UnpackedEntry { modified, ..entry };
    match entries.get(&place) {
        // Some packages still have a link there that is the directory of others, as `/lib64` was.
        Some(old) if is_directory(old) && !is_directory(&new) => Err(place),
        Some(old) if !is_directory(old) && is_directory(&new) => Err(place),
        _ => {
            entries.insert(place, new);
            Ok(())
        }
    }
}

/// The links in `/`, and what each points at.
#[must_use]
pub(crate) fn links(files: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let there = MERGED.iter().filter(|name| files(&format!("usr/{name}")));
    there.map(|name| (format!("/{name}"), format!("usr/{name}"))).collect()
}

impl Base {
    /// The links in `/` that the system has while it is installed: each that packages may write through.
    #[must_use]
    pub fn links() -> Vec<(String, String)> {
        links(|_| true)
    }

    /// It with the directories that links in `/` lead to.
    #[must_use]
    pub fn with_merged(mut self) -> Self {
        for name in MERGED.iter().map(|name| format!("usr/{name}")).chain(super::DIRECTORIES.map(str::to_owned)) {
            if let Ok(path) = TreePath::new(name.as_str()) {
                let node = Node::Directory { mode: 0o755 };
                let entry = UnpackedEntry { node, modified: Duration::from_secs(TIME) };
                self.files.entries.entry(path).or_insert(entry);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use reprove_model::LinkTarget;

    use super::*;

    #[test]
    fn relations_are_read_by_name() {
        let control = read(
            "Package: bash\nEssential: yes\nPre-Depends: libc6 (>= 2.36), libtinfo6 (>= 6) | tinfo\nDepends: base-files:any \
             (>= 2.1.12),\n debianutils (>= 5.6-0.1) [amd64] <!x>\nProvides: sh (= 1)\n",
        );
        assert!(control.essential);
        assert_eq!(control.names, ["bash", "sh"]);
        let depends: Vec<Vec<&str>> =
            control.depends.iter().map(|any| any.iter().map(String::as_str).collect()).collect();
        assert_eq!(depends, [vec!["libc6"], vec!["libtinfo6", "tinfo"], vec!["base-files"], vec!["debianutils"]]);
    }

    #[test]
    fn what_essential_ones_depend_on_comes_along() {
        let control = |text: &str| read(text);
        let controls = [
            control("Package: gcc\nDepends: libc6\n"),
            control("Package: libc6\nDepends: libgcc-s1\n"),
            control("Package: mawk\nProvides: awk\n"),
            control("Package: base-files\nEssential: yes\nPre-Depends: awk\nDepends: libc6 (>= 2) | libc7\n"),
            control("Package: libgcc-s1\n"),
            control("Package: make\n"),
        ];
        assert_eq!(essential(&controls), BTreeSet::from([1, 2, 3, 4]));
        assert!(essential(&controls[..3]).is_empty());
    }

    #[test]
    fn old_places_lead_into_usr() {
        let at = |text: &str| merged(&TreePath::new(text).unwrap()).unwrap().map(|path| path.to_string());
        assert_eq!(at("bin/sh").as_deref(), Some("usr/bin/sh"));
        assert_eq!(at("lib").as_deref(), Some("usr/lib"));
        assert_eq!(at("library/x"), None);
        assert_eq!(at("etc/passwd").as_deref(), Some("etc/passwd"));
        for other in ["boot/vmlinuz", "dev/null", "home", "proc", "run/x", "tmp"] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_is_in_no_directory_s_way() {
        let path = |text: &str| TreePath::new(text).unwrap();
        let entry = |node| UnpackedEntry { node, modified: Duration::ZERO };
        let link = || entry(Node::Symlink { target: LinkTarget::new("x").unwrap() });
        let mut entries = BTreeMap::new();
        add(&mut entries, path("usr/lib/a"), link()).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(add(&mut entries, path("usr/lib/a"), link()), Ok(()));
        assert_eq!(add(&mut entries, path("usr/lib"), link()), Err(path("usr/lib")));
        assert_eq!(add(&mut entries, path("usr/lib/a/b"), link()), Err(path("usr/lib/a")));
        assert_eq!(
            add(&mut entries, path("usr/lib/a"), entry(Node::Directory { mode: 0o755 })),
            Err(path("usr/lib/a"))
        );
        assert!(entries.values().all(|entry| entry.modified == Duration::from_secs(TIME)));
    }
}
