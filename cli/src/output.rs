// SPDX-License-Identifier: Apache-2.0
//! Results on standard output, and files that are whole or not there.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl};
use nix::unistd::linkat;
use reprove_attest::{Envelope, Proof};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::app::blocking;
use crate::error::{BAD_USAGE, CANNOT, CommandError, from_error};
use crate::open::{self, Links};
use crate::plain;

/// Prints a result.
pub(crate) fn text(text: &str) -> Result<(), CommandError> {
    print(&plain::text(text))
}

/// Prints one JSON object. The only way for one to standard output.
pub(crate) fn json(value: &Value) -> Result<(), CommandError> {
    print(&format!("{}\n", plain::json(value)))
}

fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads only the first lines has what they want.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(CommandError::cannot(format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// Where one file is to be written, once there is something to write. What would keep it from being written is found now.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// A file in the same folder that has no name; it gets one when it is whole. Nothing of it stays if it does not.
    Unnamed(File),
    /// The same with a name, where the file system has no files without one.
    Named(NamedTempFile),
    /// A device or a pipe is written to as it is.
    Direct(File),
}

impl Target {
    /// Looks at `path`, which is absolute. A proof, or an empty file, that is there will be replaced; any other file will not.
    pub(crate) fn new(path: &Path) -> Result<Self, CommandError> {
        Self::replacing(path, "proof", is_proof)
    }

    /// The same, of a document: one of the same kind that is there will be replaced.
    pub(crate) fn document(path: &Path, document: Document) -> Result<Self, CommandError> {
        Self::replacing(path, document.what, |path| begins(path, document.start))
    }

    /// The same, where what will be replaced is a `what` by `is_one`.
    pub(crate) fn replacing(
        path: &Path,
        what: &str,
        is_one: impl FnOnce(&Path) -> io::Result<bool>,
    ) -> Result<Self, CommandError> {
        let fail = |e: io::Error| {
            let next = "name a file, in a directory that is there and that you may write to";
            from_error(BAD_USAGE, &WriteError(path.display().to_string(), e)).next(next)
        };
        let way = match path.metadata() {
            Ok(there) if there.is_dir() => return Err(fail(io::ErrorKind::IsADirectory.into())),
            Ok(there) if !there.is_file() || path.is_symlink() && stream(&there).is_some() => {
                Way::Direct(open_direct(path, &there).map_err(fail)?)
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(e)),
            Ok(there) if there.len() > 0 && !is_one(path).map_err(fail)? => {
                let text = format!("{} is there already and is not a {what}; it is not overwritten", path.display());
                return Err(CommandError::bad_usage(text).next("name another file"));
            }
            Ok(_) | Err(_) => beside(path).map_err(fail)?,
        };
        Ok(Self { path: path.to_owned(), way })
    }

    /// The file that will be replaced, where there is one and something is in it: its first bytes, one more than `most`.
    pub(crate) fn replaced(&self, most: usize) -> Option<Vec<u8>> {
        if matches!(self.way, Way::Direct(_)) {
            return None;
        }
        let mut bytes = Vec::new();
        let file = open::regular("proof", &self.path, Links::Followed).ok()?;
        file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Whether `proof` can take the place of what is there: a proof that is there has no envelope, no timestamp and no evidence
    /// that would be lost, and no log's word on all that it has, unless there is another.
    pub(crate) fn keeps(&self, proof: &Proof) -> Result<(), CommandError> {
        let there = self.replaced(Proof::MAX_BYTES).and_then(|bytes| Proof::from_bytes(&bytes).ok());
        let Some(there) = there else { return Ok(()) };
        let name = |envelope: &Envelope| (envelope.keyid(), envelope.signature().to_vec());
        let kept: BTreeSet<_> = proof.envelopes.iter().map(name).collect();
        let seen: BTreeSet<_> = proof.timestamped.iter().collect();
        let words = if proof.recorded.is_empty() { there.recorded.len() } else { 0 };
        let lost = [
            (there.envelopes.iter().filter(|one| !kept.contains(&name(one))).count(), "envelope"),
            (there.timestamped.iter().filter(|one| !seen.contains(one)).count(), "timestamp"),
            (words, "log record"),
            (there.evidence.iter().filter(|one| !proof.evidence.contains(one)).count(), "machine's evidence"),
        ];
        let Some((lost, what)) = lost.into_iter().find(|(lost, _)| *lost > 0) else { return Ok(()) };
        let path = self.path.display();
        let text = format!("{path} is there already, with {} that would be lost", count(lost, what));
        Err(CommandError::bad_usage(text).next("name another file; `reprove proof merge` puts proofs together"))
    }

    /// Writes all of `bytes`. A file has all of them or is as it was.
    pub(crate) async fn write(self, bytes: Vec<u8>) -> Result<(), CommandError> {
        let Self { path, way } = self;
        let fail = |e: io::Error| cannot_write(&path, e);
        let temp = match way {
            // Whoever reads a pipe may be slow.
            Way::Direct(mut file) => return blocking(move || file.write_all(&bytes)).await?.map_err(fail),
            Way::Unnamed(mut file) => {
                complete(&mut file, &bytes).map_err(fail)?;
                with_name(file, folder(&path)).map_err(fail)?
            }
            Way::Named(mut temp) => {
                complete(temp.as_file_mut(), &bytes).map_err(fail)?;
                temp
            }
        };
        temp.persist(&path).map(drop).map_err(|e| fail(e.error))
    }
}

/// A kind of document, and how every one begins: its members have one order.
#[derive(Clone, Copy)]
pub(crate) struct Document {
    what: &'static str,
    start: &'static [u8],
}

impl Document {
    pub(crate) const ENVELOPE: Self = Self { what: "signed statement", start: br#"{"payload":"# };
    pub(crate) const CYCLONEDX: Self =
        Self { what: "bill of materials in CycloneDX", start: br#"{"$schema":"http://cyclonedx.org/"# };
    pub(crate) const SPDX: Self = Self { what: "bill of materials in SPDX", start: br#"{"SPDXID":"# };
    pub(crate) const SARIF: Self =
        Self { what: "report in SARIF", start: br#"{"$schema":"https://json.schemastore.org/sarif-"# };
    pub(crate) const PAGE: Self = Self { what: "page of `reprove compare`", start: crate::page::START.as_bytes() };
    pub(crate) const REGO_INPUT: Self = Self { what: "policy's input", start: br#"{"time":"# };
}

/// So many of something.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Whether the file begins as every proof does.
fn is_proof(path: &Path) -> io::Result<bool> {
    begins(path, PROOF_START)
}

fn begins(path: &Path, with: &[u8]) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(with.len() as u64).read_to_end(&mut start)?;
    Ok(start == with)
}

const PROOF_START: &[u8] = br#"{"envelopes":"#;

fn complete(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A file beside `path`.
fn beside(path: &Path) -> io::Result<Way> {
    let folder = folder(path);
    let unnamed = File::options().write(true).mode(0o600).custom_flags(OFlag::O_TMPFILE.bits()).open(folder);
    match unnamed {
        Ok(file) => Ok(Way::Unnamed(file)),
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory) => {
            Ok(Way::Named(NamedTempFile::new_in(folder).map_err(without_name)?))
        }
        Err(e) => Err(e),
    }
}

/// Gives a file without a name a temporary one, so that it can take the place of another.
fn with_name(file: File, folder: &Path) -> io::Result<NamedTempFile> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |path: &Path| {
        linkat(AT_FDCWD, own.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW).map_err(io::Error::from)
    };
    let (_, path) = tempfile::Builder::new().make_in(folder, link).map_err(without_name)?.into_parts();
    Ok(NamedTempFile::from_parts(file, path))
}

/// A device or a pipe, open for writing.
fn open_direct(path: &Path, there: &Metadata) -> io::Result<File> {
    if let Some(stream) = stream(there) {
        return Ok(stream);
    }
    // A pipe that nobody reads would be waited for.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().write(true).custom_flags(flags.bits()).open(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// Standard output or standard error, where one of them is what was found: as a socket or a file it can't be opened by its
/// name without losing its place.
fn stream(there: &Metadata) -> Option<File> {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    [stdout.as_fd(), stderr.as_fd()].into_iter().find_map(|fd| {
        let file = File::from(fd.try_clone_to_owned().ok()?);
        let metadata = file.metadata().ok()?;
        ((metadata.dev(), metadata.ino()) == (there.dev(), there.ino())).then_some(file)
    })
}

/// What the system said of a temporary file, without that file's name, which says nothing to anybody.
pub(crate) fn without_name(error: io::Error) -> io::Error {
    if error.get_ref().is_some() { error.kind().into() } else { error }
}

/// A file or a directory can't be written.
pub(crate) fn cannot_write(path: &Path, error: io::Error) -> CommandError {
    from_error(CANNOT, &WriteError(path.display().to_string(), error))
}

#[derive(Debug, thiserror::Error)]
#[error("can't write {0}")]
pub(crate) struct WriteError(pub(crate) String, #[source] pub(crate) io::Error);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(target: Target, bytes: &[u8]) -> Result<(), CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(target.write(bytes.to_vec()))
    }

    #[expect(clippy::disallowed_methods, reason = "counting needs no order")]
    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let old = [PROOF_START, b"old"].concat();
        fs::write(path("there"), &old).unwrap();
        std::os::unix::fs::symlink(path("there"), path("link")).unwrap();
        let target = Target::new(&path("link")).unwrap();
        assert_eq!(fs::read(path("link")).unwrap(), old);
        write(target, b"new").unwrap();
        assert_eq!((fs::read(path("link")).unwrap(), fs::read(path("there")).unwrap()), (b"new".into(), old));
        assert_eq!(path("link").symlink_metadata().unwrap().mode() & 0o7777, 0o644);
        drop(Target::new(&path("never")).unwrap());
        assert_eq!(count(dir.path()), 2, "nothing temporary stays");
    }

    #[test]
    fn only_a_proof_or_an_empty_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (bytes, replaced) in [(b"".as_slice(), true), (PROOF_START, true), (b"[package]", false), (b"{", false)] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(Target::new(&path).is_ok(), replaced, "{bytes:?}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Target::new(&path).is_err(), "nobody reads it");
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || fs::read(path).unwrap())
        };
        let target = loop {
            if let Ok(target) = Target::new(&path) {
                break target;
            }
        };
        // More than a pipe holds.
        write(target, &vec![7; 1 << 20]).unwrap();
        assert_eq!(reader.join().unwrap(), vec![7; 1 << 20]);
        assert_eq!(count(dir.path()), 1);
    }

    #[test]
    fn a_place_that_can_t_be_written_is_named_at_once() {
        let dir = tempfile::Builder::new().prefix("place-").tempdir().unwrap();
        for name in ["missing/proof.json", ".", "/proc/proof.json"] {
            let error = Target::new(&dir.path().join(name)).unwrap_err();
            assert_eq!(error.code, BAD_USAGE);
            let (message, next) = error.into_parts();
            assert!(message.contains(name) && !message.contains(".tmp"), "{message}");
            assert_eq!(next.len(), 1);
        }
    }
}
