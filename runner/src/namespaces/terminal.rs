// SPDX-License-Identifier: Apache-2.0
//! A terminal for a build's input and output, where it is to have one: nobody types, and what is written goes to the log as
//! it is.
//!
//! It is of a file system of its own, which has room for no second one and can't be written to. It is no controlling
//! terminal: what reads from the background is not stopped, and there is no `/dev/tty` on which somebody could be asked.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::Stdio;
use std::thread::{Builder, JoinHandle};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::MountAttrFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Winsize, tcgetattr, tcsetattr, tcsetwinsize,
};

use super::helper::Failure;
use super::rootfs::{attach, directories, mounted_with_devices};
use crate::sys::{MountAttributes, mount_setattr};

/// Where it is.
pub(super) const PLACE: &str = "/dev/pts";

/// Both ends of it.
pub(super) struct Terminal {
    master: File,
    /// What the build has.
    end: File,
}

/// How many characters a line has, and how many lines there are.
const SIZE: (u16, u16) = (80, 24);

const DOING: &str = "making a terminal";

impl Terminal {
    /// Makes it, and mounts it below `root`.
    pub(super) fn make(root: BorrowedFd<'_>) -> Result<Self, Failure> {
        let options = [("mode", "0600"), ("ptmxmode", "0600"), ("max", "1")];
        let tree = mounted_with_devices("devpts", &options, MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = openat(&tree, "ptmx", flags, Mode::empty()).map_err(Failure::at(DOING))?;
        unlockpt(&master).map_err(Failure::at(DOING))?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let end = ioctl_tiocgptpeer(&master, flags).map_err(Failure::at(DOING))?;
        let mut how = tcgetattr(&end).map_err(Failure::at(DOING))?;
        // What is written comes out as it went in, and who reads finds the end at once.
        how.output_modes.remove(OutputModes::OPOST);
        how.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        for index in [SpecialCodeIndex::VMIN, SpecialCodeIndex::VTIME] {
            how.special_codes[index] = 0;
        }
        tcsetattr(&end, OptionalActions::Now, &how).map_err(Failure::at(DOING))?;
        let (ws_col, ws_row) = SIZE;
        let size = Winsize { ws_col, ws_row, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&end, size).map_err(Failure::at(DOING))?;
        mount_setattr(tree.as_fd(), MountAttributes::READ_ONLY).map_err(Failure::at(DOING))?;
        directories(root, PLACE)?;
        attach(&tree, root, PLACE.trim_start_matches('/'))?;
        Ok(Self { master: master.into(), end: end.into() })
    }

    /// For a program to read from, or to write to.
    pub(super) fn end(&self) -> io::Result<Stdio> {
        self.end.try_clone().map(Stdio::from)
    }

    /// Copies what is written to it to `log` from now on, in a thread, until [`Copying::end`].
    pub(super) fn copy_to(&self, mut log: File) -> Result<Copying, Failure> {
        let mut from = self.master.try_clone().map_err(Failure::at(COPYING))?;
        let copy = move || -> io::Result<()> {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match from.read(&mut buffer) {
                    // All that could write to it have closed it, and everything is read.
                    Ok(0) => return Ok(()),
                    Err(e) if e.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return Ok(()),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                    Ok(n) => log.write_all(buffer.get(..n).unwrap_or_default())?,
                }
            }
        };
        Builder::new().stack_size(64 << 10).spawn(copy).map(Copying).map_err(Failure::at(COPYING))
    }
}

const COPYING: &str = "copying what the build writes to its terminal";

/// What copies to the log.
pub(super) struct Copying(JoinHandle<io::Result<()>>);

impl Copying {
    /// Waits until all is copied: nothing of the build may be there any more, and the terminal goes.
    pub(super) fn end(self, terminal: Terminal) -> Result<(), Failure> {
        drop(terminal.end);
        let ended = self.0.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended badly")));
        drop(terminal.master);
        ended.map_err(Failure::at(COPYING))
    }
}
