// SPDX-License-Identifier: Apache-2.0
//! `reprove compare`: what differs between two files or directories?

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use reprove_model::{Between, Finding};
use reprove_store::IngestLimits;
use reprove_verifier::compare::{Side, compare, compare_files};
use serde_json::json;

use crate::app::App;
use crate::error::{CommandError, NO, YES, from_error};
use crate::{output, render};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A file or a directory
    left: PathBuf,
    /// Another one
    right: PathBuf,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<u8, CommandError> {
    let Arguments { left, right } = arguments;
    app.progress.doing(format!("comparing {} with {}", left.display(), right.display()));
    let findings = match (is_directory(left)?, is_directory(right)?) {
        (true, true) => directories(app, left, right)?,
        (false, false) => files(left, right)?,
        (left_is, _) => {
            let (directory, file) = if left_is { (left, right) } else { (right, left) };
            let text = format!("{} is a directory and {} is a file", directory.display(), file.display());
            return Err(CommandError::bad_usage(text).next("compare two files, or two directories"));
        }
    };
    app.progress.clear();
    let identical = findings.is_empty();
    if app.global.json {
        output::json(&json!({ "identical": identical, "findings": findings }))?;
    } else if identical {
        output::text("identical\n")?;
    } else {
        output::text(&format!("different\n\n{}", render::findings(&findings)))?;
    }
    Ok(if identical { YES } else { NO })
}

fn is_directory(path: &Path) -> Result<bool, CommandError> {
    path.metadata().map(|m| m.is_dir()).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

fn files(left: &Path, right: &Path) -> Result<Vec<Finding>, CommandError> {
    let open = |path: &Path| {
        File::open(path).map_err(|e| CommandError::bad_usage(format!("can't read {}: {e}", path.display())))
    };
    let place = left.file_name().unwrap_or(left.as_os_str()).to_string_lossy();
    compare_files(&open(left)?, &open(right)?, &place, Between::Given)
        .map_err(|e| from_error(crate::error::BAD_USAGE, &e))
}

fn directories(app: &App, left: &Path, right: &Path) -> Result<Vec<Finding>, CommandError> {
    let store = app.store()?;
    let tree = |path: &Path| {
        store.add_tree(path, IngestLimits::default(), &|_| false).map_err(|e| from_error(crate::error::BAD_USAGE, &e))
    };
    let (left, right) = (tree(left)?, tree(right)?);
    let (left, right) = (Side { tree: &left, blobs: &store }, Side { tree: &right, blobs: &store });
    compare(left, right, Between::Given).map_err(|e| from_error(crate::error::CANNOT, &e))
}
