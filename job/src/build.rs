// SPDX-License-Identifier: Apache-2.0
//! One build of a project directory, without a verdict.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reprove_model::{BuildRecord, EpochRule, Lock, Recipe};
use reprove_runner::Built;
use reprove_verifier::{JudgeError, Wanted, conditions};

use crate::builds::{Builds, Label};
use crate::keep::keep;
use crate::{Context, JobError, still_the_same};

/// One build that ended well. It says nothing of whether another would give the same.
#[derive(Clone, Debug)]
pub struct BuiltOnce {
    /// What was built.
    pub lock: Lock,
    /// What the build read, ran and wrote.
    pub record: BuildRecord,
    /// Where what it printed is.
    pub log: PathBuf,
}

/// Locks a project directory and builds it once, under the conditions of a first build, with the machine's clock. The
/// outputs, the lock and the record are in the store afterwards.
///
/// # Errors
/// See [`JobError`].
pub async fn build(context: &Context<'_>, recipe: Recipe, directory: &Path) -> Result<BuiltOnce, JobError> {
    let (lock, root) = context.lock_directory(recipe, directory).await?;
    let epoch = match lock.recipe.build.source_date_epoch {
        EpochRule::Unset => None,
        EpochRule::At(seconds) => Some(seconds),
        EpochRule::Search => return Err(JobError::NothingToSearch),
    };
    let machine = context.machine(&root).await?;
    let source = context.source_files(&lock).await?;
    let builds = Builds::new(context, &lock, &root, &source, machine);
    let wanted = Wanted { clock: None, ..context.wanted(&lock, &root, BTreeSet::new()) };
    let (first, _) = conditions(&wanted);
    context.doing("building");
    let Built { record, log, .. } = builds.run(&first, epoch, Label::Only).await?;
    if record.outputs.files().next().is_none() {
        return Err(JudgeError::Empty.into());
    }
    still_the_same(&root).await?;
    keep(context, &lock, &[(&record, &log)]).await?;
    Ok(BuiltOnce { lock, record, log })
}
