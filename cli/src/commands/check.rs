// SPDX-License-Identifier: Apache-2.0
//! `reprove check`: does this project build to the same bytes wherever and whenever it is built?

use std::path::{Path, PathBuf};

use clap::Args;
use reprove_model::{Package, Recipe};

use crate::app::{App, absolute};
use crate::commands::{BuildOptions, SearchOptions, VerdictArguments};
use crate::error::CommandError;
use crate::open::{self, Links};
use crate::verdicted::Verdicted;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory that has a reprove.toml
    #[arg(default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    options: BuildOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    verdict: VerdictArguments,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let directory = absolute(&arguments.directory)?;
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let Package { name, version } = recipe.package.clone();
    let project = Some((&recipe, directory.as_path()));
    let prepared = Verdicted::prepare(app, arguments.verdict, &name, version.as_deref(), project).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let finished = reprove_job::check(&context, recipe, &directory, &prepared.key).await;
    prepared.finish(app, &name, finished).await
}

/// A project may come from anybody: its recipe is no link to a file whose lines a message would show.
pub(crate) fn read_recipe(path: &Path) -> Result<Recipe, CommandError> {
    let text = open::read_text("recipe", path, Links::Refused, Recipe::MAX_BYTES).map_err(|e| {
        e.next("name the directory of a project that has a reprove.toml; `reprove init DIR` writes a first one")
    })?;
    let shown = path.display();
    Recipe::from_toml(&text).map_err(|e| CommandError::bad_usage(format!("{shown}: {}", e.to_string().trim_end())))
}
