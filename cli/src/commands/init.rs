// SPDX-License-Identifier: Apache-2.0
//! `reprove init`: a first recipe for a project, by what lies in its directory.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use reprove_inputs::init::{Detected, Top, Wish, detect, looked_for};
use reprove_job::JobError;
use reprove_model::Debian;
use serde_json::json;

use crate::app::{App, absolute};
use crate::error::{CommandError, YES};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The project's directory
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// What its builds see: packages of a release of Debian's, by its code name, or host-usr, this machine's /usr
    #[arg(long, value_name = "RELEASE", default_value = "bookworm", value_parser = environment)]
    environment: String,
    /// Print the recipe, and write nothing
    #[arg(long)]
    print: bool,
}

/// The word for this machine's `/usr`.
const HOST_USR: &str = "host-usr";
/// What is written.
const FILE: &str = "reprove.toml";

fn environment(word: &str) -> Result<String, String> {
    let release = Debian { debian: word.to_owned(), packages: Vec::new() };
    if release.is_possible() { Ok(word.to_owned()) } else { Err("a release is called as bookworm is".into()) }
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let directory = absolute(&arguments.directory)?;
    if !directory.is_dir() {
        let text = format!("{} is no directory", arguments.directory.display());
        return Err(CommandError::bad_usage(text).next("name the project's directory"));
    }
    let epoch =
        u64::try_from(reprove_inputs::directory::last_commit(&directory).await.unwrap_or_else(now)).unwrap_or(0);
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let debian = Some(arguments.environment).filter(|word| word != HOST_USR);
    let top = Top::read(&directory).map_err(JobError::from)?;
    let detected = detect(&top, &Wish { debian, epoch, name }).map_err(JobError::from)?;
    let Some(Detected { kind, because, also, notes, recipe }) = detected else {
        let text = format!("nothing in {} says how it is built", arguments.directory.display());
        let next = format!("write a {FILE} (docs/recipe.md); what is looked for at the top: {}", looked_for());
        return Err(CommandError::bad_usage(text).next(next));
    };
    if !arguments.print {
        write(&directory.join(FILE), &recipe)?;
    }
    let file = (!arguments.print).then_some(FILE);
    if app.global.json {
        let value = json!({
            "kind": kind, "because": because, "also": also, "notes": notes, "file": file, "recipe": recipe,
        });
        output::json(&value)?;
        return Ok(YES);
    }
    if arguments.print {
        output::text(&recipe)?;
        return Ok(YES);
    }
    let line = |what: &str, text: &str| format!("  {what:<18} {text}\n");
    let wrote = arguments.directory.join(FILE);
    let wrote = wrote.strip_prefix(".").unwrap_or(&wrote).display();
    let mut text = format!("wrote  {wrote}\n\n{}", line("detected", &format!("{kind}, by {because}")));
    if !also.is_empty() {
        text += &line("could also be", &also.join(", "));
    }
    notes.iter().for_each(|note| text += &line("to do", note));
    let shown = if directory == absolute(Path::new("."))? {
        String::new()
    } else {
        format!(" {}", arguments.directory.display())
    };
    text += &line("next", &format!("reprove check{shown}"));
    output::text(&text)?;
    Ok(YES)
}

/// Where Git says nothing.
fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Writes a file that is not there yet; whole, or not at all.
fn write(path: &Path, recipe: &str) -> Result<(), CommandError> {
    let fail = |error: io::Error| CommandError::bad_usage(format!("{}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(fail)?;
    io::Write::write_all(&mut file, recipe.as_bytes()).map_err(fail)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            let text = format!("{} is there already; it is not overwritten", path.display());
            let anew = format!("rm {}, and reprove init writes it anew", path.display());
            Err(CommandError::bad_usage(text).next("reprove init --print shows what would be written").next(anew))
        }
        Err(error) => Err(fail(error.error)),
    }
}
