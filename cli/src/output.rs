// SPDX-License-Identifier: Apache-2.0
//! Results on standard output, and files that are whole or not there.

use std::io::{self, Write as _};
use std::path::Path;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::error::CommandError;

/// Prints a result.
pub(crate) fn text(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads only the first lines has what they want.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(CommandError::cannot(format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints one JSON object.
pub(crate) fn json(value: &Value) -> Result<(), CommandError> {
    text(&format!("{value}\n"))
}

/// Writes a file under a temporary name beside it, and renames it when it is whole.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let fail = |e: io::Error| cannot_write(path, e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp = NamedTempFile::new_in(folder).map_err(fail)?;
    temp.write_all(bytes).map_err(fail)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temp.as_file().set_permissions(readable).map_err(fail)?;
    temp.as_file().sync_all().map_err(fail)?;
    temp.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// A file or a directory can't be written.
pub(crate) fn cannot_write(path: &Path, error: io::Error) -> CommandError {
    crate::error::from_error(crate::error::CANNOT, &WriteError(path.display().to_string(), error))
}

#[derive(Debug, thiserror::Error)]
#[error("can't write {0}")]
struct WriteError(String, #[source] io::Error);
