// SPDX-License-Identifier: Apache-2.0
//! The first file system of a guest: our program as `/init`, and the kernel's modules in the order in which it loads them.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use reprove_model::FileSystem;
use thiserror::Error;

use super::cpio::{Archive, CpioError};

/// Why there is no first file system.
#[derive(Debug, Error)]
pub enum InitrdError {
    /// A module that is needed, or that another one needs, is nowhere below the folder.
    #[error("the kernel's module {name} is not below {}; is this kernel's package whole?", folder.display())]
    NoModule {
        /// Its name.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A module does not say which others it needs.
    #[error("{} is no kernel module: it does not say which others it needs", .0.display())]
    NotAModule(PathBuf),
    /// The program needs other files to run.
    #[error("the guest's program is not a static one for this machine; `scripts/guest` compiles it")]
    NotStatic,
    /// A compressed module can't be read.
    #[error("{}: it can't be decompressed: {why}", path.display())]
    Compressed {
        /// Which one.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Modules need each other in a circle, or there are far too many.
    #[error("the kernel's modules need each other in a circle, or more than {most} of them", most = MOST_MODULES)]
    TooMany,
    /// A file could not be put into it.
    #[error(transparent)]
    Archive(#[from] CpioError),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The modules that every guest needs where its kernel does not have them built in.
pub const MODULES: [&str; 2] = ["erofs", "dm_verity"];

/// The modules by which a guest asks the processor that closes its machine for reports, and how the names of those begin that
/// they need where the kernel has one interface for both (Linux 6.7, `configfs-tsm`). Where they don't need one, the kernel is
/// older, or has it built in, and they are left out.
pub const ASKING: ([&str; 2], &str) = (["sev_guest", "tdx_guest"], "tsm");

/// The most bytes of one module, decompressed.
const MAX_MODULE: usize = 64 << 20;
/// The most memory for what a module is decompressed with, in KiB.
const MAX_DICTIONARY_KIB: u32 = 64 << 10;

/// The most modules in one guest.
const MOST_MODULES: usize = 64;

/// A module of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_` for `-`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The modules of a kernel that guests have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// What each loads at its start, each after those that it needs.
    pub always: Vec<Module>,
    /// Which file systems the kernel can have on a disk, and what is loaded for each of them beside that.
    pub for_disks: Vec<(FileSystem, Vec<Module>)>,
}

/// What file systems take their sums with; none says itself that it needs it.
const SUMS: &str = "crc32c_generic";

/// The file systems of [`FileSystem::ON_DISK`] that the kernel of `folder` can have, and the modules for each where `always`
/// are loaded.
///
/// # Errors
/// See [`InitrdError`].
pub fn modules_for_disks(folder: &Path, always: &[Module]) -> Result<Vec<(FileSystem, Vec<Module>)>, InitrdError> {
    let mut disks = Vec::new();
    for kind in FileSystem::ON_DISK {
        let mut all = Available { ordered: always.to_vec(), ..Available::below(folder)? };
        if all.is_there(kind.name()) {
            for name in [SUMS, kind.name()] {
                if all.is_there(name) {
                    all.add(name, 0)?;
                }
            }
        } else if !all.is_built_in(kind.name()) {
            continue;
        }
        disks.push((kind, all.ordered.split_off(always.len())));
    }
    Ok(disks)
}

/// The modules `wanted` and all that they need, from below `folder` (a `/lib/modules/RELEASE`), each after those that it
/// needs. What the kernel has built in, by its list `modules.builtin` in there, is no module.
///
/// # Errors
/// See [`InitrdError`].
pub fn modules(folder: &Path, wanted: &[&str]) -> Result<Vec<Module>, InitrdError> {
    let mut all = Available::below(folder)?;
    for name in wanted.iter().filter(|name| !all.is_built_in(name)).copied().collect::<Vec<_>>() {
        all.add(name, 0)?;
    }
    Ok(all.ordered)
}

/// The same, and behind them those of [`ASKING`] that are there and can ask.
///
/// # Errors
/// See [`InitrdError`].
pub fn modules_with_asking(folder: &Path, wanted: &[&str]) -> Result<Vec<Module>, InitrdError> {
    let mut all = Available { ordered: modules(folder, wanted)?, ..Available::below(folder)? };
    let (names, interface) = ASKING;
    for name in names {
        if all.is_there(name) && all.read(name)?.1.iter().any(|needed| needed.starts_with(interface)) {
            all.add(name, 0)?;
        }
    }
    Ok(all.ordered)
}

/// The first file system: `program` as `/init`, the modules below `/modules`, and those for a disk's file system below
/// `/disks`, in a folder with the name of that.
///
/// # Errors
/// [`InitrdError::Archive`], [`InitrdError::NotStatic`].
pub fn initrd(program: &[u8], modules: &Modules) -> Result<Vec<u8>, InitrdError> {
    if !is_static(program) {
        return Err(InitrdError::NotStatic);
    }
    let mut archive = Archive::default();
    for folder in ["dev", "disks", "modules", "new", "proc"] {
        archive.directory(folder, 0o755)?;
    }
    archive.file("init", 0o755, program)?;
    add(&mut archive, "modules", &modules.always)?;
    for (kind, modules) in &modules.for_disks {
        let folder = format!("disks/{}", kind.name());
        archive.directory(&folder, 0o755)?;
        add(&mut archive, &folder, modules)?;
    }
    Ok(archive.finish())
}

/// Adds modules below `folder`, with names in their order.
fn add(archive: &mut Archive, folder: &str, modules: &[Module]) -> Result<(), CpioError> {
    for (number, module) in modules.iter().enumerate() {
        archive.file(&format!("{folder}/{number:02}-{}.ko", module.name), 0o644, &module.bytes)?;
    }
    Ok(())
}

/// Whether `program` is an executable of 64 bits that names no other program to load it (ELF, `PT_INTERP`).
fn is_static(program: &[u8]) -> bool {
    const INTERPRETER: usize = 3;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(size)?)?;
        usize::try_from(bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))).ok()
    };
    let headers = || -> Option<bool> {
        let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut kinds = (0..count).map(|n| number(first.checked_add(n.checked_mul(size)?)?, 4));
        Some(kinds.all(|kind| kind.is_some_and(|kind| kind != INTERPRETER)) && count > 0)
    };
    // 64 bits, the lowest byte first.
    program.starts_with(b"\x7fELF\x02\x01") && headers() == Some(true)
}

/// How deep the kernel's folders of modules are looked through.
const DEEPEST: usize = 16;

/// What stands behind a module's name.
const ENDS: [&str; 2] = [".ko", ".ko.xz"];
/// The list of what a kernel has built in.
const BUILT_IN: &str = "modules.builtin";

/// The modules of one kernel, and those of them that a guest gets.
struct Available<'a> {
    folder: &'a Path,
    files: Vec<(String, PathBuf)>,
    built_in: Vec<String>,
    ordered: Vec<Module>,
}

impl<'a> Available<'a> {
    fn below(folder: &'a Path) -> Result<Self, InitrdError> {
        let mut this = Self { folder, files: Vec::new(), built_in: Vec::new(), ordered: Vec::new() };
        this.find(folder, 0)?;
        Ok(this)
    }

    #[expect(clippy::disallowed_methods, reason = "each name is looked up, so that the order shows nowhere")]
    fn find(&mut self, folder: &Path, depth: usize) -> Result<(), InitrdError> {
        let fail = |source| InitrdError::Io { path: folder.to_owned(), source };
        for entry in fs::read_dir(folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let (path, file) = (entry.path(), entry.file_name());
            let Some(file) = file.to_str() else { continue };
            if entry.file_type().map_err(fail)?.is_dir() && depth < DEEPEST {
                self.find(&path, depth + 1)?;
            } else if let Some(name) = name_of(file) {
                self.files.push((name, path));
            } else if file == BUILT_IN {
                let list = fs::read_to_string(&path).map_err(|source| InitrdError::Io { path, source })?;
                self.built_in.extend(list.lines().filter_map(|line| name_of(line.rsplit('/').next()?)));
            }
        }
        Ok(())
    }

    fn is_there(&self, name: &str) -> bool {
        self.files.iter().any(|(there, _)| there == name)
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.built_in.iter().any(|there| there == name)
    }

    /// A module's bytes, and the names of those that it needs.
    fn read(&self, name: &str) -> Result<(Vec<u8>, Vec<String>), InitrdError> {
        let lacking = || InitrdError::NoModule { name: name.to_owned(), folder: self.folder.to_owned() };
        let (_, path) = self.files.iter().find(|(there, _)| there == name).ok_or_else(lacking)?;
        let bytes = fs::read(path).map_err(|source| InitrdError::Io { path: path.clone(), source })?;
        let is_compressed = path.extension().is_some_and(|end| end == "xz");
        let bytes = if is_compressed { decompressed(&bytes, path)? } else { bytes };
        let needs = needs(&bytes).ok_or_else(|| InitrdError::NotAModule(path.clone()))?;
        Ok((bytes, needs))
    }

    fn add(&mut self, name: &str, depth: usize) -> Result<(), InitrdError> {
        if self.ordered.iter().any(|module| module.name == name) {
            return Ok(());
        }
        if depth > MOST_MODULES || self.ordered.len() >= MOST_MODULES {
            return Err(InitrdError::TooMany);
        }
        let (bytes, needs) = self.read(name)?;
        for other in needs {
            self.add(&other, depth + 1)?;
        }
        self.ordered.push(Module { name: name.to_owned(), bytes });
        Ok(())
    }
}

/// The name of the module in a file that is called so.
fn name_of(file: &str) -> Option<String> {
    let name = ENDS.iter().find_map(|end| file.strip_suffix(end))?;
    Some(name.replace('-', "_"))
}

/// Whether a file that is called so is one that [`modules`] looks at.
pub(super) fn is_of_modules(file: &str) -> bool {
    file == BUILT_IN || name_of(file).is_some()
}

fn decompressed(bytes: &[u8], path: &Path) -> Result<Vec<u8>, InitrdError> {
    let fail = |why: String| InitrdError::Compressed { path: path.to_owned(), why };
    let reader = lzma_rust2::XzReader::new_mem_limit(bytes, true, MAX_DICTIONARY_KIB);
    let mut module = Vec::new();
    reader.take(MAX_MODULE as u64 + 1).read_to_end(&mut module).map_err(|e| fail(e.to_string()))?;
    let too_long = || fail(format!("it has more than {} MiB", MAX_MODULE >> 20));
    if module.len() > MAX_MODULE { Err(too_long()) } else { Ok(module) }
}

/// The names behind `depends=` in a module's own description, which is a list of texts that end with a zero.
fn needs(module: &[u8]) -> Option<Vec<String>> {
    const FIELD: &[u8] = b"\0depends=";
    let at = module.windows(FIELD.len()).position(|window| window == FIELD)?;
    let value = module.get(at + FIELD.len()..)?.split(|&byte| byte == 0).next()?;
    let value = std::str::from_utf8(value).ok()?;
    Some(value.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(modules: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("kernel")).unwrap();
        for (name, depends) in modules {
            let text = format!("ELF\0license=GPL\0depends={depends}\0name={name}\0");
            fs::write(dir.path().join("kernel").join(format!("{name}.ko")), text).unwrap();
        }
        dir
    }

    #[test]
    fn each_module_comes_after_those_that_it_needs() {
        let dir = folder(&[("dm-verity", "dm-bufio,dm-mod"), ("dm-bufio", "dm-mod"), ("dm-mod", ""), ("other", "")]);
        let names: Vec<String> =
            modules(dir.path(), &["dm_verity", "dm_mod"]).unwrap().into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["dm_mod", "dm_bufio", "dm_verity"]);
    }

    #[test]
    fn what_is_missing_or_no_module_or_a_circle_is_said() {
        let dir = folder(&[("a", "b"), ("c", "d"), ("d", "c")]);
        fs::write(dir.path().join("x.ko"), "no module").unwrap();
        let wanted = |name| modules(dir.path(), &[name]).unwrap_err();
        assert!(matches!(wanted("a"), InitrdError::NoModule { name, .. } if name == "b"));
        assert!(matches!(wanted("c"), InitrdError::TooMany));
        assert!(matches!(wanted("x"), InitrdError::NotAModule(_)));
        assert!(matches!(modules(&dir.path().join("none"), &["a"]), Err(InitrdError::Io { .. })));
    }

    fn names(modules: Result<Vec<Module>, InitrdError>) -> Vec<String> {
        modules.unwrap().into_iter().map(|module| module.name).collect()
    }

    /// As Debian has them with Linux 6.12: compressed, and some built in.
    #[test]
    fn modules_may_be_compressed_or_built_in() {
        let dir = folder(&[("virtio_blk", "")]);
        let kernel = dir.path().join("kernel");
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(6)).unwrap();
        io::Write::write_all(&mut writer, b"ELF\0depends=virtio_blk\0").unwrap();
        let compressed = writer.finish().unwrap();
        fs::write(kernel.join("dm-verity.ko.xz"), &compressed).unwrap();
        fs::write(dir.path().join(BUILT_IN), "kernel/drivers/virtio/virtio-pci.ko\nkernel/x/other.ko\n").unwrap();
        let found = modules(dir.path(), &["dm_verity", "virtio_pci"]).unwrap();
        assert_eq!(found[1], Module { name: "dm_verity".into(), bytes: b"ELF\0depends=virtio_blk\0".into() });
        assert_eq!(names(Ok(found)), ["virtio_blk", "dm_verity"]);
        assert!(matches!(modules(dir.path(), &["virtio_net"]), Err(InitrdError::NoModule { .. })));
        fs::write(kernel.join("dm-verity.ko.xz"), &compressed[..compressed.len() / 2]).unwrap();
        assert!(matches!(modules(dir.path(), &["dm_verity"]), Err(InitrdError::Compressed { .. })));
    }

    #[test]
    fn a_compressed_module_is_bounded_on_both_sides() {
        for (length, fits) in [(MAX_MODULE, true), (MAX_MODULE + 1, false)] {
            let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
            io::copy(&mut io::repeat(0).take(length as u64), &mut writer).unwrap();
            assert_eq!(decompressed(&writer.finish().unwrap(), Path::new("x")).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn what_asks_the_processor_is_there_where_the_kernel_has_one_interface_for_it() {
        // Linux 6.12, and what may come after it.
        for interface in ["tsm", "tsm-report"] {
            let dir = folder(&[
                ("sev-guest", interface),
                ("tdx-guest", interface),
                (interface, "configfs"),
                ("configfs", ""),
                ("erofs", ""),
            ]);
            let asking = interface.replace('-', "_");
            let expected = ["erofs", "configfs", &asking, "sev_guest", "tdx_guest"];
            assert_eq!(names(modules_with_asking(dir.path(), &["erofs"])), expected);
        }
        // Linux 6.1: it asks for itself, and not so.
        let old = folder(&[("sev-guest", ""), ("erofs", "")]);
        assert_eq!(names(modules_with_asking(old.path(), &["erofs"])), ["erofs"]);
        let none = folder(&[("erofs", "")]);
        assert_eq!(names(modules_with_asking(none.path(), &["erofs"])), ["erofs"]);
        let broken = folder(&[("sev-guest", "tsm"), ("erofs", "")]);
        assert!(matches!(modules_with_asking(broken.path(), &["erofs"]), Err(InitrdError::NoModule { .. })));
    }

    /// As Debian has them: Linux 6.1 has ext4 built in, and so the sums, and XFS as a module.
    #[test]
    fn a_kernel_has_the_disks_file_systems_that_it_has_built_in_or_as_modules() {
        use FileSystem::{Ext4, Xfs};
        let dir = folder(&[("erofs", "libcrc32c"), ("libcrc32c", ""), ("xfs", "libcrc32c,exportfs"), ("exportfs", "")]);
        let always = modules(dir.path(), &["erofs"]).unwrap();
        let found = |kinds: &[(FileSystem, &[&str])]| {
            let disks = modules_for_disks(dir.path(), &always).unwrap().into_iter();
            let disks: Vec<_> = disks.map(|(kind, modules)| (kind, names(Ok(modules)))).collect();
            let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
            assert_eq!(disks, kinds.iter().map(|(kind, names)| (*kind, named(names))).collect::<Vec<_>>());
        };
        found(&[(Xfs, &["exportfs", "xfs"])]);
        fs::write(dir.path().join(BUILT_IN), "kernel/fs/ext4/ext4.ko\n").unwrap();
        found(&[(Ext4, &[]), (Xfs, &["exportfs", "xfs"])]);
        fs::write(dir.path().join("kernel/crc32c_generic.ko"), "ELF\0depends=\0").unwrap();
        found(&[(Ext4, &[]), (Xfs, &["crc32c_generic", "exportfs", "xfs"])]);
    }

    #[test]
    fn the_same_parts_make_the_same_bytes() {
        let always = vec![Module { name: "a".into(), bytes: vec![1; 100] }];
        let modules = Modules { always, for_disks: vec![(FileSystem::Ext4, Vec::new())] };
        let program = elf(1);
        let made = initrd(&program, &modules).unwrap();
        assert_eq!(made, initrd(&program, &modules).unwrap());
        assert_ne!(made, initrd(&[&program[..], b"!"].concat(), &modules).unwrap());
        assert_ne!(made, initrd(&program, &Modules::default()).unwrap());
        assert_ne!(made, initrd(&program, &Modules { for_disks: Vec::new(), ..modules }).unwrap());
    }

    /// The head of a program with one header of this kind.
    fn elf(kind: u8) -> Vec<u8> {
        let mut program = vec![0; 64 + 56];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (program[32], program[54], program[56], program[64]) = (64, 56, 1, kind);
        program
    }

    #[test]
    fn only_a_static_program_is_taken() {
        assert!(is_static(&elf(1)) && !is_static(&elf(3)));
        assert!(!is_static(b"") && !is_static(b"#!/bin/sh\n") && !is_static(&elf(1)[..66]));
        assert!(!is_static(&fs::read("/usr/bin/env").unwrap()));
        let far = [&elf(1)[..32], &[255; 32]].concat();
        assert!(!is_static(&far));
    }
}
