// SPDX-License-Identifier: Apache-2.0
//! The first file system of a guest: our program as `/init`, and the kernel's modules in the order in which it loads them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

/// The modules `wanted` and all that they need, from below `folder` (a `/lib/modules/RELEASE`), each after those that it
/// needs.
///
/// # Errors
/// See [`InitrdError`].
pub fn modules(folder: &Path, wanted: &[&str]) -> Result<Vec<Module>, InitrdError> {
    let mut files = Vec::new();
    find(folder, &mut files, 0)?;
    let mut ordered = Vec::new();
    for name in wanted {
        add(name, folder, &files, &mut ordered, 0)?;
    }
    Ok(ordered)
}

/// The first file system: `program` as `/init`, and the modules below `/modules`.
///
/// # Errors
/// [`InitrdError::Archive`], [`InitrdError::NotStatic`].
pub fn initrd(program: &[u8], modules: &[Module]) -> Result<Vec<u8>, InitrdError> {
    if !is_static(program) {
        return Err(InitrdError::NotStatic);
    }
    let mut archive = Archive::default();
    for folder in ["dev", "modules", "new", "proc"] {
        archive.directory(folder, 0o755)?;
    }
    archive.file("init", 0o755, program)?;
    for (number, module) in modules.iter().enumerate() {
        archive.file(&format!("modules/{number:02}-{}.ko", module.name), 0o644, &module.bytes)?;
    }
    Ok(archive.finish())
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

#[expect(clippy::disallowed_methods, reason = "each name is looked up, so that the order shows nowhere")]
fn find(folder: &Path, files: &mut Vec<(String, PathBuf)>, depth: usize) -> Result<(), InitrdError> {
    let fail = |source| InitrdError::Io { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        if entry.file_type().map_err(fail)?.is_dir() && depth < DEEPEST {
            find(&path, files, depth + 1)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".ko")) {
            files.push((name.replace('-', "_"), path));
        }
    }
    Ok(())
}

fn add(
    name: &str,
    folder: &Path,
    files: &[(String, PathBuf)],
    ordered: &mut Vec<Module>,
    depth: usize,
) -> Result<(), InitrdError> {
    if ordered.iter().any(|module| module.name == name) {
        return Ok(());
    }
    if depth > MOST_MODULES || ordered.len() >= MOST_MODULES {
        return Err(InitrdError::TooMany);
    }
    let lacking = || InitrdError::NoModule { name: name.to_owned(), folder: folder.to_owned() };
    let (_, path) = files.iter().find(|(there, _)| there == name).ok_or_else(lacking)?;
    let bytes = fs::read(path).map_err(|source| InitrdError::Io { path: path.clone(), source })?;
    let needs = needs(&bytes).ok_or_else(|| InitrdError::NotAModule(path.clone()))?;
    for other in needs {
        add(&other, folder, files, ordered, depth + 1)?;
    }
    ordered.push(Module { name: name.to_owned(), bytes });
    Ok(())
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

    #[test]
    fn the_same_parts_make_the_same_bytes() {
        let modules = [Module { name: "a".into(), bytes: vec![1; 100] }];
        let program = elf(1);
        let made = initrd(&program, &modules).unwrap();
        assert_eq!(made, initrd(&program, &modules).unwrap());
        assert_ne!(made, initrd(&[&program[..], b"!"].concat(), &modules).unwrap());
        assert_ne!(made, initrd(&program, &[]).unwrap());
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
