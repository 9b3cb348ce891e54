// SPDX-License-Identifier: Apache-2.0
//! Programs of other formats: the machine may have programs of its own started for them (`binfmt_misc`), also such as are
//! in no mount of a build.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::helper::Failure;

/// Gives the build's user namespace formats of its own, of which there are none; Linux 6.7 and later can. They stay for as
/// long as the namespace does, mounted nowhere.
///
/// # Errors
/// Where this kernel can't, and the machine has such formats.
pub(super) fn own() -> Result<(), Failure> {
    match fresh() {
        // The kernel has none at all.
        Ok(()) | Err(Errno::NODEV) => Ok(()),
        Err(error) => match named(Path::new("/proc/sys/fs/binfmt_misc")) {
            Ok(None) => Ok(()),
            Ok(Some(name)) => {
                Err(Failure::at("keeping the machine's formats of programs out")(io::Error::other(format!(
                    "it starts a program of its own for `{name}` (binfmt_misc), and this kernel can't keep a build from that \
                 ({error}); Linux 6.7 can, or turn it off: echo 0 > /proc/sys/fs/binfmt_misc/status"
                ))))
            }
            Err(error) => Err(Failure::at("reading the machine's formats of programs")(error)),
        },
    }
}

fn fresh() -> rustix::io::Result<()> {
    let context = fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map(drop)
}

/// A format that is turned on, by what is mounted at `path`; none where nothing is.
#[expect(clippy::disallowed_methods, reason = "any one is as good as another")]
fn named(path: &Path) -> io::Result<Option<String>> {
    let is_on = |file: &Path| match fs::read_to_string(file) {
        Ok(text) => Ok(text.starts_with("enabled")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    if !is_on(&path.join("status"))? {
        return Ok(None);
    }
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "status" && name != "register" && is_on(&path.join(&name))? {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_is_on_is_found_where_formats_are_on() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(named(dir.path()).unwrap(), None);
        write("status", "enabled\n");
        write("off", "disabled\ninterpreter /x\n");
        assert_eq!(named(dir.path()).unwrap(), None);
        write("on", "enabled\ninterpreter /x\nflags: F\n");
        assert_eq!(named(dir.path()).unwrap().as_deref(), Some("on"));
        write("status", "disabled\n");
        assert_eq!(named(dir.path()).unwrap(), None);
    }
}
