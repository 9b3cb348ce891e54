// SPDX-License-Identifier: Apache-2.0
//! `reprove rebuild`: is what was published what its source builds to?

use std::path::{Path, PathBuf};

use clap::Args;
use reprove_inputs::debian::BuildInfo;
use reprove_inputs::{InputsError, bazel};
use reprove_job::JobError;
use reprove_model::{ImageReference, InputName, InvalidInputName, InvalidPackageUrl, Package, PackageUrl};

use crate::app::{App, absolute};
use crate::commands::check::read_recipe;
use crate::commands::{BuildOptions, RebuilderOptions, SearchOptions};
use crate::error::CommandError;
use crate::open::{self, Links};
use crate::plain;
use crate::verdicted::Verdicted;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The package, as in pkg:pypi/idna@3.20; a derivation of Nix's, as in /nix/store/HASH-NAME.drv, or a path that one gave; a
    /// target of Bazel's in the workspace here, as in //package:target; or, with --recipe, the file or the OCI image that was
    /// published
    #[arg(value_name = "PURL|DRV|TARGET|FILE|IMAGE")]
    artifact: String,
    /// The directory of the project that the file is built from, which has a reprove.toml; the file itself must not be in it
    #[arg(long, value_name = "DIR")]
    recipe: Option<PathBuf>,
    /// What the builder of a package of Debian's wrote down (.buildinfo): it is rebuilt with exactly these packages, as far as
    /// apt has them
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    buildinfo: Option<PathBuf>,
    #[command(flatten)]
    options: BuildOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    verdict: VerdictArguments,
}

/// What both `rebuild` and `check` take.
#[derive(Args, Debug)]
pub(crate) struct VerdictArguments {
    /// Where to write the proof [default: NAME-VERSION.proof.json, here]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write the published and the rebuilt files, the lock, the build records and the logs into this directory, which must
    /// be empty or not there yet
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) rebuilder: RebuilderOptions,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let names_package = arguments.artifact.starts_with("pkg:");
    if arguments.buildinfo.is_some() && !names_package {
        return Err(CommandError::bad_usage("--buildinfo is for packages of Debian's")
            .next("name one, as in pkg:deb/debian/NAME@VERSION"));
    }
    match &arguments.recipe {
        Some(directory) => {
            let given = absolute(directory)?;
            // The recipe itself may be named as well.
            let folder =
                given.parent().filter(|_| given.file_name() == Some("reprove.toml".as_ref()) && given.is_file());
            let folder = folder.unwrap_or(&given).to_owned();
            file(app, &folder, arguments).await
        }
        None if bazel::is_label(&arguments.artifact) => target(app, arguments).await,
        None if is_path(&arguments.artifact) => derivation(app, arguments).await,
        None => package(app, arguments).await,
    }
}

/// What a registry has published.
async fn package(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    if let Some((name, version)) = arguments.artifact.split_once("==") {
        let text = format!("in a package URL, {version:?} stands after one `@`");
        return Err(CommandError::bad_usage(text).next(plain::line(&format!("reprove rebuild {name}@{version}"))));
    }
    let purl: PackageUrl = arguments.artifact.parse().map_err(|error: InvalidPackageUrl| {
        CommandError::bad_usage(plain::line(&error.to_string()))
            .next("to rebuild a file, name the project that it is built from with --recipe DIR")
    })?;
    // Before a key is made, or anything else.
    reprove_inputs::check(&purl).map_err(JobError::from)?;
    let info = arguments.buildinfo.as_deref().map(|path| build_info(path, &purl)).transpose()?;
    let prepared = Verdicted::prepare(app, arguments.verdict, purl.name(), purl.version(), None).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let finished = match &info {
        Some(info) => reprove_job::rebuild_debian(&context, &purl, Some(info), &prepared.key).await,
        None => reprove_job::rebuild(&context, &purl, &prepared.key).await,
    };
    prepared.finish(app, &purl.to_string(), finished).await
}

/// What a builder wrote down.
fn build_info(path: &Path, of: &PackageUrl) -> Result<BuildInfo, CommandError> {
    if of.kind() != "deb" {
        return Err(CommandError::bad_usage("--buildinfo is for packages of Debian's")
            .next("leave it out, or name one, as in pkg:deb/debian/NAME@VERSION"));
    }
    let bytes = open::read(".buildinfo file", &absolute(path)?, Links::Followed, BuildInfo::MAX_BYTES)?;
    Ok(BuildInfo::read(&bytes).map_err(|error| JobError::from(InputsError::from(error)))?)
}

/// Whether what is to be rebuilt is a path, in a store or to one: a package URL begins with `pkg:`.
fn is_path(artifact: &str) -> bool {
    !artifact.starts_with("pkg:") && (artifact.contains('/') || artifact.ends_with(".drv"))
}

/// Whether a path leads to a file that is in no store.
fn is_plain_file(path: &Path) -> bool {
    path.is_file() && path.canonicalize().is_ok_and(|path| !path.components().any(|part| part.as_os_str() == "store"))
}

/// What a target of Bazel's is, in the workspace here.
async fn target(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let target = arguments.artifact;
    let name = target.rsplit([':', '/']).next().unwrap_or_default();
    let prepared = Verdicted::prepare(app, arguments.verdict, name, None, None).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let workspace = absolute(Path::new("."))?;
    let finished = reprove_job::rebuild_target(&context, &target, &workspace, &App::bazel(), &prepared.key).await;
    prepared.finish(app, &target, finished).await
}

/// What a store of Nix's has.
async fn derivation(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let path = absolute(Path::new(&arguments.artifact))?;
    let is_derivation = arguments.artifact.ends_with(".drv");
    if !is_derivation && (!path.exists() || is_plain_file(&path)) {
        let what = if path.exists() {
            "a file: what it is built from is not known"
        } else {
            "neither a file nor a package URL"
        };
        return Err(CommandError::bad_usage(plain::line(&format!("{} is {what}", arguments.artifact)))
            .next("a package is named as in pkg:pypi/NAME@VERSION")
            .next(
                "a file that was published, and the project that it is built from: reprove rebuild FILE --recipe DIR",
            ));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.split_once('-').map_or(name.as_str(), |(_, name)| name);
    let name = name.strip_suffix(".drv").unwrap_or(name);
    let prepared = Verdicted::prepare(app, arguments.verdict, name, None, None).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let finished = reprove_job::rebuild_derivation(&context, &path, &App::nix(), &prepared.key).await;
    prepared.finish(app, &path.display().to_string(), finished).await
}

/// The image that an argument names, by its place or by its package URL; none where it names a file.
fn image(artifact: &str) -> Result<Option<ImageReference>, CommandError> {
    let purl = artifact.parse::<PackageUrl>().ok().filter(|purl| purl.kind() == "oci");
    let Some(purl) = purl else { return Ok(artifact.parse().ok()) };
    // The repository with all its path, and without a scheme ("oci" of the package URLs' types).
    let place = purl.qualifier("repository_url").zip(purl.version().map(str::to_owned));
    let image = place.and_then(|(repository, version)| format!("docker://{repository}@{version}").parse().ok());
    let next = "as in pkg:oci/NAME@sha256:DIGEST?repository_url=HOST/NAME";
    let wrong = || CommandError::bad_usage("the package URL of an image has its digest, and where it is").next(next);
    image.map(Some).ok_or_else(wrong)
}

/// An image, and the project in `directory` that it is built from.
async fn of_image(
    app: &App,
    directory: &Path,
    image: &ImageReference,
    arguments: Arguments,
) -> Result<u8, CommandError> {
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let Package { name: package, version } = recipe.package.clone();
    let project = Some((&recipe, directory));
    let prepared = Verdicted::prepare(app, arguments.verdict, &package, version.as_deref(), project).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let here = absolute(Path::new("."))?;
    let finished = reprove_job::rebuild_image(&context, recipe, directory, (image, &here), &prepared.key).await;
    prepared.finish(app, image.as_str(), finished).await
}

/// A file, and the project in `directory` that it is built from.
async fn file(app: &App, directory: &Path, arguments: Arguments) -> Result<u8, CommandError> {
    if let Some(image) = image(&arguments.artifact)? {
        return of_image(app, directory, &image, arguments).await;
    }
    let next = "name the file that was published, and with --recipe the directory of the project that it is built from";
    let path = absolute(Path::new(&arguments.artifact)).map_err(|e| e.next(next))?;
    let file = open::regular("published file", &path, Links::Followed).map_err(|e| e.next(next))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: InputName = name.parse().map_err(|e: InvalidInputName| CommandError::bad_usage(e.to_string()))?;
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let Package { name: package, version } = recipe.package.clone();
    let project = Some((&recipe, directory));
    let prepared = Verdicted::prepare(app, arguments.verdict, &package, version.as_deref(), project).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let shown = name.to_string();
    let finished = reprove_job::rebuild_file(&context, recipe, directory, (name, file), &prepared.key).await;
    prepared.finish(app, &shown, finished).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_its_place_or_its_package_url() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let named = |text: &str| image(text).map(|image| image.map(|image| image.to_string()));
        let purl = format!("pkg:oci/web@{digest}?repository_url=r.example/some/web");
        assert_eq!(named(&purl).unwrap(), Some(format!("docker://r.example/some/web@{digest}")));
        assert_eq!(named("oci:dir:1").unwrap().as_deref(), Some("oci:dir:1"));
        assert_eq!(named("some/file.tar").unwrap(), None);
        for wrong in [format!("pkg:oci/web@{digest}"), "pkg:oci/web@1?repository_url=r.example/web".into()] {
            assert!(named(&wrong).is_err(), "{wrong}");
        }
    }
}
