// SPDX-License-Identifier: Apache-2.0
//! `reprove check`: does this project build to the same bytes wherever and whenever it is built?

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use reprove_model::Recipe;

use crate::app::{App, absolute};
use crate::commands::VerdictArguments;
use crate::error::CommandError;
use crate::verdicted::Verdicted;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory that has a reprove.toml
    #[arg(default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    verdict: VerdictArguments,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let directory = absolute(&arguments.directory)?;
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let prepared = Verdicted::prepare(app, arguments.verdict)?;
    let events = |event| app.tell(event);
    let context = app.context(prepared.store.clone(), &prepared.key, &events);
    let name = recipe.package.name.clone();
    let finished = reprove_job::check(&context, recipe, &directory).await?;
    prepared.finish(app, &name, &finished)
}

fn read_recipe(path: &Path) -> Result<Recipe, CommandError> {
    let shown = path.display();
    let mut text = String::new();
    let most = Recipe::MAX_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    read.map_err(|e| {
        CommandError::bad_usage(format!("can't read the recipe {shown}: {e}"))
            .next("name the directory of a project that has a reprove.toml; examples/hello-c is one")
    })?;
    Recipe::from_toml(&text).map_err(|e| CommandError::bad_usage(format!("{shown}: {}", e.to_string().trim_end())))
}
