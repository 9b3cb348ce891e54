// SPDX-License-Identifier: Apache-2.0
//! Kernels for guests, as Debian packs them: User-mode Linux where it is installed, and `linux-image-*` out of a package.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reprove_model::{Digest, FileSystem};
use reprove_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::initrd::{
    InitrdError, MODULES, Module, Modules, is_of_modules, modules, modules_for_disks, modules_with_asking,
};

/// Why there is no kernel.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The package is another one.
    #[error("the kernel's package has the BLAKE3 digest {found}, and {wanted} is wanted")]
    OtherPackage {
        /// What is wanted.
        wanted: Digest,
        /// What is there.
        found: Digest,
    },
    /// It is no package, or of something else.
    #[error("{}: {why}", path.display())]
    NotAKernel {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The other kernel is the one that guests have anyway.
    #[error("the package's kernel is the one that guests have anyway; the other one has to be of another package")]
    NotAnother,
    /// A module is missing.
    #[error(transparent)]
    Modules(#[from] InitrdError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A kernel, and the modules that a guest needs with it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its file.
    pub path: PathBuf,
    /// What is put into the first file system.
    pub modules: Modules,
}

/// Where Debian's package `user-mode-linux` puts the kernel, and its modules.
const USER_MODE: (&str, &str) = ("/usr/bin/linux.uml", "/usr/lib/uml/modules");

/// User-mode Linux, where it is installed; its newest modules, by name.
///
/// # Errors
/// [`KernelError::Modules`], [`KernelError::Io`].
pub fn user_mode_kernel() -> Result<Option<Kernel>, KernelError> {
    let (path, folder) = (Path::new(USER_MODE.0), Path::new(USER_MODE.1));
    if !path.is_file() {
        return Ok(None);
    }
    let Some(folder) = last_in(folder)? else { return Ok(None) };
    let always = modules(&folder, &MODULES)?;
    let for_disks = modules_for_disks(&folder, &always)?;
    Ok(Some(Kernel { path: path.to_owned(), modules: Modules { always, for_disks } }))
}

/// The modules that a guest needs beyond [`MODULES`] where its devices are virtio's. PCI is what QEMU's machine has. Behind
/// them come those that ask a processor of hardware, where the kernel has such.
const VIRTIO: [&str; 2] = ["virtio_pci", "virtio_blk"];

/// Which of the kernels that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that guests have.
    Usual,
    /// The one that they have where it is to be another.
    Other,
}

impl Which {
    /// The name of the folder in the store's folder `guest` that it is kept in.
    fn folder(self) -> &'static str {
        match self {
            Self::Usual => "kernel",
            Self::Other => "other-kernel",
        }
    }
}

/// The most that a package may unpack to, in bytes.
const MOST_UNPACKED: u64 = 2 << 30;

/// What was taken out of a package.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    package: Digest,
    kernel: Digest,
    modules: Vec<(String, Digest)>,
    /// What was kept before there were such has none.
    #[serde(default)]
    for_disks: Vec<(FileSystem, Vec<(String, Digest)>)>,
}

/// Takes the kernel and the modules out of the Debian package at `package`, and keeps them for [`kept_kernel`] in place of
/// what was kept before as this one. `wanted` is the package's digest, where somebody knows it.
///
/// # Errors
/// See [`KernelError`].
pub fn keep_kernel(store: &Store, which: Which, package: &Path, wanted: Option<Digest>) -> Result<Kernel, KernelError> {
    let found = reprove_store::digest_file(package).map_err(at(package))?;
    if let Some(wanted) = wanted.filter(|&wanted| wanted != found) {
        return Err(KernelError::OtherPackage { wanted, found });
    }
    let dir = store.temp_dir()?;
    let kernel = unpack(package, dir.path())?;
    let always = modules_with_asking(dir.path(), &[&MODULES[..], &VIRTIO[..]].concat())?;
    let modules = Modules { for_disks: modules_for_disks(dir.path(), &always)?, always };
    let (digest, _) = store.add_file(&kernel)?;
    if which == Which::Other && read_list(store, Which::Usual)?.is_some_and(|(_, kept)| kept.kernel == digest.blake3) {
        return Err(KernelError::NotAnother);
    }
    let added = |modules: &[Module]| -> Result<Vec<(String, Digest)>, KernelError> {
        modules.iter().map(|module| Ok((module.name.clone(), store.add_bytes(&module.bytes)?.0.blake3))).collect()
    };
    let for_disks = modules.for_disks.iter().map(|(kind, modules)| Ok((*kind, added(modules)?)));
    let for_disks = for_disks.collect::<Result<_, KernelError>>()?;
    let kept = Kept { package: found, kernel: digest.blake3, modules: added(&modules.always)?, for_disks };
    let folder = folder(store, which);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let put = |name: &str, digest: &Digest| -> Result<(), KernelError> {
        let path = folder.join(name);
        let temporary = store.temp_file()?;
        let mut to = File::create(temporary.path()).map_err(at(&path))?;
        io::copy(&mut store.open_blob(digest)?, &mut to).map_err(at(&path))?;
        temporary.persist(&path).map(drop).map_err(|e| at(&path)(e.error))
    };
    put("vmlinuz", &kept.kernel)?;
    for (name, digest) in kept.modules.iter().chain(kept.for_disks.iter().flat_map(|(_, modules)| modules)) {
        put(&format!("{name}.ko"), digest)?;
    }
    let list = folder.join(LIST);
    let json = serde_json::to_vec(&kept).map_err(|e| at(&list)(e.into()))?;
    let temporary = store.temp_file()?;
    fs::write(temporary.path(), json).map_err(at(&list))?;
    temporary.persist(&list).map_err(|e| at(&list)(e.error))?;
    Ok(Kernel { path: folder.join("vmlinuz"), modules })
}

/// The kernel that was kept last, where one was; every file of it has its digest.
///
/// # Errors
/// [`KernelError::NotAKernel`] where one has another, [`KernelError::Io`].
pub fn kept_kernel(store: &Store, which: Which) -> Result<Option<Kernel>, KernelError> {
    let Some((folder, kept)) = read_list(store, which)? else { return Ok(None) };
    let read = |name: &str, digest: &Digest| {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(at(&path))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(not(&path, "it is not the file that was kept")) }
    };
    read("vmlinuz", &kept.kernel)?;
    let module = |(name, digest): &(String, Digest)| {
        Ok(Module { name: name.clone(), bytes: read(&format!("{name}.ko"), digest)? })
    };
    let all = |modules: &[(String, Digest)]| modules.iter().map(module).collect::<Result<Vec<_>, KernelError>>();
    let for_disks = kept.for_disks.iter().map(|(kind, modules)| Ok((*kind, all(modules)?)));
    let for_disks = for_disks.collect::<Result<_, KernelError>>()?;
    Ok(Some(Kernel { path: folder.join("vmlinuz"), modules: Modules { always: all(&kept.modules)?, for_disks } }))
}

fn folder(store: &Store, which: Which) -> PathBuf {
    store.root().join(super::usr::FOLDER).join(which.folder())
}

/// The name of what says what was kept.
const LIST: &str = "kernel.json";

/// Where one was kept, and what of it.
fn read_list(store: &Store, which: Which) -> Result<Option<(PathBuf, Kept)>, KernelError> {
    let folder = folder(store, which);
    let list = folder.join(LIST);
    let bytes = match fs::read(&list) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(&list)(error)),
    };
    let kept = serde_json::from_slice(&bytes).map_err(|e| at(&list)(e.into()))?;
    Ok(Some((folder, kept)))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KernelError {
    let path = path.to_owned();
    move |source| KernelError::Io { path, source }
}

fn not(path: &Path, why: impl Into<String>) -> KernelError {
    KernelError::NotAKernel { path: path.to_owned(), why: why.into() }
}

/// Unpacks the kernel and all modules of a package into `folder`; gives where the kernel is. `dpkg-deb` reads the package.
fn unpack(package: &Path, folder: &Path) -> Result<PathBuf, KernelError> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(at(Path::new("dpkg-deb")))?;
    let files = reader.stdout.take().map(|stdout| take_out(stdout, package, folder));
    // It ends where nobody reads on.
    let status = reader.wait().map_err(at(package))?;
    let kernel = files.unwrap_or_else(|| Err(not(package, "nothing was read")))?;
    if status.success() { Ok(kernel) } else { Err(not(package, "dpkg-deb can't read it as a package")) }
}

fn take_out(tar: impl io::Read, package: &Path, folder: &Path) -> Result<PathBuf, KernelError> {
    let mut left = MOST_UNPACKED;
    let mut kernel = None;
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(at(package))? {
        let mut entry = entry.map_err(at(package))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let file = name.rsplit('/').next().unwrap_or_default().to_owned();
        let is_kernel =
            name.trim_start_matches("./").strip_prefix("boot/vmlinuz-").is_some_and(|rest| !rest.contains('/'));
        if !entry.header().entry_type().is_file() || !(is_kernel || is_of_modules(&file)) {
            continue;
        }
        left = left.checked_sub(entry.size()).ok_or_else(|| not(package, "it unpacks to too much"))?;
        let path = folder.join(if is_kernel { "vmlinuz" } else { &file });
        let mut to = File::create(&path).map_err(at(&path))?;
        let size = entry.size();
        io::copy(&mut entry.by_ref().take(size), &mut to).map_err(at(&path))?;
        if is_kernel && kernel.replace(path).is_some() {
            return Err(not(package, "it has two kernels"));
        }
    }
    kernel.ok_or_else(|| not(package, "there is no boot/vmlinuz-… in it"))
}

/// The last folder in `folder`, by name.
#[expect(clippy::disallowed_methods, reason = "the last by name is taken")]
fn last_in(folder: &Path) -> Result<Option<PathBuf>, KernelError> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders.into_iter().max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
        let tree = folder.join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = "Package: linux-image-x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n";
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        for (name, text) in files {
            let path = tree.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let deb = folder.join("x.deb");
        let built = Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).args([&tree, &deb]).output();
        assert!(built.unwrap().status.success());
        deb
    }

    const FILES: [(&str, &str); 6] = [
        ("boot/vmlinuz-6.1.0", "kernel"),
        ("lib/modules/6.1.0/kernel/fs/erofs.ko", "\0depends=\0"),
        ("lib/modules/6.1.0/kernel/fs/xfs.ko", "\0depends=erofs\0"),
        ("lib/modules/6.1.0/kernel/md/dm-verity.ko", "\0depends=\0"),
        ("lib/modules/6.1.0/kernel/virtio/virtio_pci.ko", "\0depends=\0"),
        ("lib/modules/6.1.0/kernel/block/virtio_blk.ko", "\0depends=\0"),
    ];

    #[test]
    fn a_kernel_is_taken_out_of_its_package_by_digest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        assert!(kept_kernel(&store, Which::Usual).unwrap().is_none());
        let deb = package(dir.path(), &FILES);
        let digest = reprove_store::digest_file(&deb).unwrap();
        let other = keep_kernel(&store, Which::Usual, &deb, Some(Digest::of(b"other"))).unwrap_err();
        assert!(matches!(other, KernelError::OtherPackage { found, .. } if found == digest));
        let kernel = keep_kernel(&store, Which::Usual, &deb, Some(digest)).unwrap();
        let names: Vec<&str> = kernel.modules.always.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["erofs", "dm_verity", "virtio_pci", "virtio_blk"]);
        let again = kept_kernel(&store, Which::Usual).unwrap().unwrap();
        assert_eq!((fs::read(&again.path).unwrap(), &again.modules), (b"kernel".to_vec(), &kernel.modules));
        let disks: Vec<(FileSystem, usize)> =
            again.modules.for_disks.iter().map(|(kind, modules)| (*kind, modules.len())).collect();
        assert_eq!(disks, [(FileSystem::Xfs, 1)]);
        fs::write(again.path, "kernes").unwrap();
        assert!(matches!(kept_kernel(&store, Which::Usual), Err(KernelError::NotAKernel { .. })));
    }

    #[test]
    fn another_kernel_is_kept_beside_it_and_has_to_be_another() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let deb = package(dir.path(), &FILES);
        keep_kernel(&store, Which::Usual, &deb, None).unwrap();
        assert!(matches!(keep_kernel(&store, Which::Other, &deb, None), Err(KernelError::NotAnother)));
        assert!(kept_kernel(&store, Which::Other).unwrap().is_none());
        let other = package(dir.path(), &[&[("boot/vmlinuz-6.1.0", "another")], &FILES[1..]].concat());
        keep_kernel(&store, Which::Other, &other, None).unwrap();
        let read = |which| fs::read(kept_kernel(&store, which).unwrap().unwrap().path).unwrap();
        assert_eq!((read(Which::Usual), read(Which::Other)), (b"kernel".to_vec(), b"another".to_vec()));
    }

    #[test]
    fn what_is_no_package_or_has_no_kernel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let deb = package(dir.path(), &FILES[1..]);
        assert!(matches!(keep_kernel(&store, Which::Usual, &deb, None), Err(KernelError::NotAKernel { .. })));
        fs::write(&deb, "no package").unwrap();
        assert!(matches!(keep_kernel(&store, Which::Usual, &deb, None), Err(KernelError::NotAKernel { .. })));
    }
}
