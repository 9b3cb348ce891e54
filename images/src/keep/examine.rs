// SPDX-License-Identifier: Apache-2.0
//! Whether each environment is what its list says.

use std::fs;
use std::path::PathBuf;

use reprove_store::{HashTreeError, Store};

use super::{FOLDER, KeepError, Parts, Place, at, read};

/// What was found of the environments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExaminedEnvironments {
    /// How many were read.
    pub count: u64,
    /// The folders of those whose files are not what their lists say, sorted.
    pub wrong: Vec<PathBuf>,
    /// Where these were moved to.
    pub moved: Vec<PathBuf>,
}

/// Reads all files of each environment. With `repair`, moves each that is not what its list says to `damaged/`, with the list:
/// it is made again when it is needed. One without a list was not finished, and counts for nothing.
///
/// Nothing is named among the environments while one is read; who waits for that, waits for no more than this one.
///
/// # Errors
/// See [`KeepError`].
pub fn examine(store: &Store, repair: bool) -> Result<ExaminedEnvironments, KeepError> {
    let mut examined = ExaminedEnvironments::default();
    for place in Place::all(store)? {
        let _lock = place.lock()?;
        let Some(kept) = read(&place.list)? else { continue };
        let parts = Parts { place, named: kept.parts };
        examined.count += 1;
        let is_whole = match parts.digest() {
            Ok(digest) => digest == kept.tree,
            // What no tree can hold was not there.
            Err(KeepError::Hash(HashTreeError::Path(_) | HashTreeError::TooMany(_)) | KeepError::Top(_)) => false,
            Err(error) => return Err(error),
        };
        if is_whole {
            continue;
        }
        examined.wrong.push(parts.place.files.clone());
        if repair {
            examined.moved.extend(set_aside(store, &parts.place)?);
        }
    }
    Ok(examined)
}

/// The list goes first: it says that the files are whole.
fn set_aside(store: &Store, place: &Place) -> Result<Vec<PathBuf>, KeepError> {
    let folder = store.root().join("damaged");
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let mut moved = Vec::new();
    for path in [&place.list, &place.files].into_iter().filter(|path| path.exists()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut to = (0_u32..).map(|number| match number {
            0 => folder.join(format!("{FOLDER}-{name}")),
            _ => folder.join(format!("{FOLDER}-{name}.{number}")),
        });
        // An older one of the same name stays.
        let to = to.find(|to| !to.exists()).unwrap_or_default();
        fs::rename(path, &to).map_err(at(path))?;
        moved.push(to);
    }
    Ok(moved)
}
