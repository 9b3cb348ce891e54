// SPDX-License-Identifier: Apache-2.0
//! A first recipe for a project directory, by what lies at its top. No network, and nothing of the project is run.

mod cee;
mod kinds;
mod scripted;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;
use reprove_model::Recipe;

use crate::InputsError;

/// A project's recipe, as far as it can be told from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// What kind of project it is, such as `CMake`.
    pub kind: &'static str,
    /// The file that says so.
    pub because: String,
    /// What else it could be, by what lies there besides.
    pub also: Vec<&'static str>,
    /// What a person has to do, or to look at, before it can be built; often nothing.
    pub notes: Vec<String>,
    /// The text of a `reprove.toml`, which [`Recipe::from_toml`] reads.
    pub recipe: String,
}

/// What a recipe is to have beside what is detected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The release of Debian whose packages the environment is made of; `None`: this machine's `/usr`.
    pub debian: Option<String>,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub epoch: u64,
    /// What the project is called where it does not say so itself.
    pub name: String,
}

/// What lies at a project's top, as far as it counts: names, and the texts of a few small files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Names of files; those of directories end with a slash. What lies in `src` is there too, as `src/NAME`.
    pub names: BTreeSet<String>,
    /// By name.
    pub texts: BTreeMap<String, String>,
}

/// The most names that are looked at.
const MAX_NAMES: usize = 10_000;
/// The most that is read of one file, in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// The most files that are read.
const MAX_TEXTS: usize = 32;
/// The directory that is looked into as well: what a crate is, is told by the names there.
const LOOKED_INTO: &str = "src/";

impl Top {
    /// Reads it. No link is followed; a file that is no text, or too long, counts as an empty one.
    ///
    /// # Errors
    /// [`InputsError::Io`], [`InputsError::TooManyFiles`].
    pub fn read(directory: &Path) -> Result<Self, InputsError> {
        let mut top = Self::default();
        top.list(directory, "")?;
        if top.has(LOOKED_INTO) {
            top.list(&directory.join(LOOKED_INTO), LOOKED_INTO)?;
        }
        for name in top.names.iter().filter(|name| kinds::is_read(name)).take(MAX_TEXTS) {
            let path = directory.join(name);
            let text = text(&path).map_err(|source| InputsError::Io { path, source })?;
            top.texts.insert(name.clone(), text);
        }
        Ok(top)
    }

    /// Adds the names of what lies in a directory, with `before` in front.
    #[expect(clippy::disallowed_methods, reason = "the names are sorted by the set")]
    fn list(&mut self, directory: &Path, before: &str) -> Result<(), InputsError> {
        let io_error = |source| InputsError::Io { path: directory.to_owned(), source };
        for entry in fs::read_dir(directory).map_err(io_error)? {
            let entry = entry.map_err(io_error)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.names.len() >= MAX_NAMES {
                return Err(InputsError::TooManyFiles { path: directory.to_owned(), most: MAX_NAMES });
            }
            let kind = entry.file_type().map_err(io_error)?;
            if kind.is_dir() {
                self.names.insert(format!("{before}{name}/"));
            } else if kind.is_file() {
                self.names.insert(format!("{before}{name}"));
            }
        }
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// A file's text; empty where it has none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

fn text(path: &Path) -> io::Result<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    let fits = bytes.len() as u64 <= MAX_TEXT;
    Ok(fits.then(|| String::from_utf8(bytes).ok()).flatten().unwrap_or_default())
}

/// The recipe of what lies there; none where nothing is known that builds it.
///
/// # Errors
/// [`InputsError::Recipe`] where the wish can be in no recipe.
pub fn detect(top: &Top, wish: &Wish) -> Result<Option<Detected>, InputsError> {
    let mut found = kinds::KINDS.iter().filter_map(|kind| Some((kind, (kind.because)(top)?)));
    let Some((kind, because)) = found.next() else { return Ok(None) };
    let also = found.map(|(kind, _)| kind.name).collect();
    let because = text::plain(&because);
    let mut plan = (kind.plan)(top);
    if wish.debian.as_deref() == Some("bookworm") {
        plan.notes.append(&mut plan.of_bookworm);
        if !plan.in_bookworm.is_empty() {
            plan.packages = std::mem::take(&mut plan.in_bookworm);
        }
    }
    let recipe = text::recipe(kind.name, &because, &plan, wish);
    Recipe::from_toml(&recipe)?;
    Ok(Some(Detected { kind: kind.name, because, also, notes: plan.notes, recipe }))
}

/// The files that say what kind of project it is, for somebody who has none of them.
#[must_use]
pub fn looked_for() -> String {
    kinds::KINDS.iter().map(|kind| kind.by).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
