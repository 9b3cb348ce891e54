// SPDX-License-Identifier: Apache-2.0
//! What else a build can write to here, and which of that is taken.

use std::path::PathBuf;

use reprove_job::Context;
use reprove_model::FileSystem;
use reprove_runner::vm::Formatter;

use crate::env_vars;
use crate::error::CommandError;

/// Where Debian puts programs that make file systems, which is in the `PATH` of root alone.
const OF_ROOT: &str = "/usr/sbin";

/// What makes the file system of a machine's disk: of the kind that is wanted, or of the first that can be had. None where
/// there is none, and nothing is wanted.
pub(crate) fn formatter(context: &Context<'_>, wanted: Option<FileSystem>) -> Result<Option<Formatter>, CommandError> {
    match (wanted, &context.guest) {
        (Some(wanted), None) if wanted.is_on_disk() => {
            let text = format!("{} is on a disk of a virtual machine's, and none is asked for", wanted.name());
            Err(CommandError::bad_usage(text).next("add `--isolation vm`"))
        }
        (Some(FileSystem::Overlay), Some(_)) => {
            let error = CommandError::bad_usage("an overlay is of builds in namespaces of this machine");
            Err(error.next("say `--file-system ext4` or `--file-system xfs`, or leave out `--isolation`"))
        }
        (Some(_), Some(_)) if context.confidential.is_some() => {
            let error = CommandError::bad_usage("a machine with evidence has no other file system");
            Err(error.next("leave out `--file-system`, or say `--isolation vm`"))
        }
        (Some(wanted), Some(_)) => of(context, wanted).map(Some),
        (None, Some(_)) if context.confidential.is_none() => {
            Ok(FileSystem::ON_DISK.into_iter().find_map(|kind| of(context, kind).ok()))
        }
        (_, None) | (None, Some(_)) => Ok(None),
    }
}

/// What makes this kind, where each kernel of the machine's has it.
fn of(context: &Context<'_>, kind: FileSystem) -> Result<Formatter, CommandError> {
    let name = kind.name();
    if !context.guest.iter().chain(&context.other).all(|guest| guest.for_disks.contains(&kind)) {
        let error = CommandError::cannot(format!("a kernel of the virtual machine's has no {name}"));
        return Err(error.next("reprove image build guest --kernel FILE.deb, which keeps what the package has"));
    }
    let folders = env_vars::program_folders().into_iter().chain([PathBuf::from(OF_ROOT)]);
    let program = folders.map(|folder| folder.join(format!("mkfs.{name}"))).find(|path| path.is_file());
    let program = program.ok_or_else(|| {
        let package = if kind == FileSystem::Xfs { "xfsprogs" } else { "e2fsprogs" };
        CommandError::cannot(format!("there is no mkfs.{name}")).next(format!("apt install {package}"))
    })?;
    Ok(Formatter { kind, program })
}
