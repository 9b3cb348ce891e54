// SPDX-License-Identifier: Apache-2.0
//! What is varied between rebuilds, and what is done about differences: what `check` and `rebuild` share.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use reprove_job::Search;
use reprove_model::{FileSystem, Variation};
use reprove_verifier::Wanted;
use reprove_verifier::explain::Depth;

use crate::error::CommandError;

/// What is varied between rebuilds, and what is done about differences.
#[derive(Args, Debug)]
pub(crate) struct SearchOptions {
    /// What to make different in the second build: names with commas between them, `usual`, or `all` [default: usual for
    /// `check`, what every rebuilder has its own of for `rebuild`]; docs/explaining.md has the names
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = variations)]
    vary: Option<Vec<BTreeSet<Variation>>>,
    /// Leave one the same, and say in the proof why, as a recipe does below [pinned]; may be given several times
    #[arg(long, value_name = "NAME=WHY", value_parser = pinned)]
    pin: Vec<(Variation, String)>,
    /// What the second build writes to, which varies the file system: overlay, or ext4 or xfs on a disk of a virtual
    /// machine's [default, where that is varied: the first of them that can be had there]
    #[arg(long, value_name = "KIND", value_parser = file_system)]
    file_system: Option<FileSystem>,
    /// How far to look for what caused a difference: full builds again, fast only says what its form suggests
    #[arg(long, value_name = "HOW", value_parser = depth, default_value = "full")]
    explain: Depth,
    /// Build twice more with each change of the recipe that may mend a difference, and say what came of it
    #[arg(long)]
    try_mends: bool,
}

impl SearchOptions {
    /// What the second build writes to, where somebody says so.
    pub(crate) fn file_system(&self) -> Option<FileSystem> {
        self.file_system
    }

    /// For a job.
    pub(crate) fn search(&self) -> Result<Search, CommandError> {
        if self.try_mends && self.explain == Depth::Fast {
            let error = CommandError::bad_usage("mends are of causes, and `--explain fast` shows none");
            return Err(error.next("leave out `--explain fast`"));
        }
        let mut pinned = BTreeMap::new();
        for (variation, why) in &self.pin {
            if pinned.insert(*variation, why.clone()).is_some() {
                return Err(CommandError::bad_usage(format!("`--pin {variation}=…` is given twice")));
            }
        }
        let variations = self.vary.as_ref().map(|sets| sets.iter().flatten().copied().collect());
        let also = self.file_system.map(|_| Variation::FileSystem).into_iter().collect();
        Ok(Search { variations, also, pinned, depth: self.explain, try_mends: self.try_mends })
    }
}

fn variations(text: &str) -> Result<BTreeSet<Variation>, String> {
    match text {
        "all" => Ok(Variation::ALL.into()),
        "usual" => Ok(Wanted::usually()),
        name => name.parse().map(|one| [one].into()).map_err(|error: reprove_model::NoVariation| error.to_string()),
    }
}

fn pinned(text: &str) -> Result<(Variation, String), String> {
    let (name, why) = text.split_once('=').ok_or("give the name, `=`, and why")?;
    let variation = name.parse().map_err(|error: reprove_model::NoVariation| error.to_string())?;
    if why.trim().is_empty() || why.len() > 200 || why.contains(char::is_control) {
        return Err("say why after the `=`, in one line of at most 200 bytes".into());
    }
    Ok((variation, why.to_owned()))
}

fn file_system(text: &str) -> Result<FileSystem, String> {
    let found = [FileSystem::Overlay].into_iter().chain(FileSystem::ON_DISK).find(|kind| kind.name() == text);
    found.ok_or_else(|| "there are overlay, ext4 and xfs".to_owned())
}

fn depth(text: &str) -> Result<Depth, String> {
    match text {
        "fast" => Ok(Depth::Fast),
        "full" => Ok(Depth::Full),
        _ => Err("there are full and fast".into()),
    }
}
