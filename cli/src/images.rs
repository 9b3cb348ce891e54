// SPDX-License-Identifier: Apache-2.0
//! `image import` and `image export`: OCI images into the store, and environments out of it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use reprove_images::oci::{Exported, Packing, archive, export};
use reprove_model::{ImagePlace, ImageReference};
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::commands::BuildOptions;
use crate::commands::check::read_recipe;
use crate::error::{CANNOT, CommandError, YES, from_error};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct ImportArguments {
    /// The image: oci:DIR, oci-archive:FILE or docker://HOST/NAME, with :TAG, and @sha256:… for that one alone
    #[arg(value_name = "IMAGE")]
    image: ImageReference,
    #[command(flatten)]
    options: BuildOptions,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArguments {
    /// The directory that has a reprove.toml, whose environment is written
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where to: oci:DIR, which is not there yet or empty, or oci-archive:FILE, with :TAG
    #[arg(short, long, value_name = "IMAGE")]
    output: ImageReference,
    /// How its layer is packed
    #[arg(long, value_enum, default_value_t = Compression::Gzip)]
    compression: Compression,
    #[command(flatten)]
    options: BuildOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compression {
    Gzip,
    Zstd,
    None,
}

pub(crate) async fn import(app: &App, arguments: ImportArguments) -> Result<u8, CommandError> {
    let ImportArguments { image, options } = arguments;
    let events = |event| app.tell(event);
    let context = app.context(app.store()?, &options, &events).await?;
    let lock = reprove_job::import(&context, &image, &absolute(Path::new("."))?).await?;
    app.progress.clear();
    let (manifest, of) = (&lock.manifest.sha256, &lock.platform);
    let purl = lock.inputs().into_iter().find_map(|input| input.purl).map(|purl| purl.to_string());
    let purl = purl.as_deref().and_then(|purl| purl.split('#').next()).unwrap_or_default();
    if app.global.json {
        output::json(&json!({
            "image": image,
            "manifest": format!("sha256:{manifest}"),
            "purl": purl,
            "platform": of,
            "layers": lock.layers.len(),
            "tree": lock.tree,
        }))?;
        return Ok(YES);
    }
    let line = |what: &str, text: String| format!("  {what:<10} {text}\n");
    let mut text = format!("imported  {image}\n\n");
    text += &line("manifest", format!("sha256:{manifest}"));
    text += &line("", purl.to_owned());
    text += &line("platform", format!("{}/{}, {} layers", of.os, of.architecture, lock.layers.len()));
    text += &line("files", format!("sha256 {}", lock.tree.sha256));
    text += &line("", format!("blake3 {}", lock.tree.blake3));
    output::text(&text)?;
    Ok(YES)
}

pub(crate) async fn write(app: &App, arguments: ExportArguments) -> Result<u8, CommandError> {
    let ExportArguments { directory, output, compression, options } = arguments;
    let (path, is_archive) = match &output.place {
        ImagePlace::Layout(path) => (PathBuf::from(path), false),
        ImagePlace::Archive(path) => (PathBuf::from(path), true),
        ImagePlace::Registry { .. } => {
            return Err(CommandError::bad_usage(
                "an environment is written to a layout or an archive, not to a registry",
            )
            .next("skopeo copies what was written: skopeo copy oci:DIR docker://HOST/NAME"));
        }
    };
    if output.digest.is_some() {
        return Err(CommandError::bad_usage("the digest of what is written is what comes out; leave it out"));
    }
    let path = absolute(&path)?;
    let directory = absolute(&directory)?;
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let events = |event| app.tell(event);
    let context = app.context(app.store()?, &options, &events).await?;
    let root = reprove_job::packed_environment(&context, &recipe, &directory).await?;
    app.progress.doing("writing the environment as an image");
    let packing = match compression {
        Compression::Gzip => Packing::Gzip,
        Compression::Zstd => Packing::Zstd,
        Compression::None => Packing::Tar,
    };
    let tag = output.tag.clone().unwrap_or_else(|| "latest".into());
    let tree = root.locked.digest;
    let exported = blocking(move || {
        written(&path, is_archive, |to| {
            let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
            export(&root, (&tag, architecture), packing, to).map_err(|e| from_error(CANNOT, &e))
        })
    })
    .await??;
    app.progress.clear();
    let Exported { manifest, config, layer, diff_id, size } = exported;
    if app.global.json {
        output::json(&json!({
            "output": output,
            "manifest": format!("sha256:{manifest}"),
            "config": format!("sha256:{config}"),
            "layer": format!("sha256:{layer}"),
            "diffId": format!("sha256:{diff_id}"),
            "size": size,
            "tree": tree,
        }))?;
        return Ok(YES);
    }
    let line = |what: &str, text: String| format!("  {what:<10} {text}\n");
    let mut text = format!("exported  {}\n\n", recipe.package.name);
    text += &line("manifest", format!("sha256:{manifest}"));
    text += &line("layer", format!("sha256:{layer}, {size} bytes"));
    text += &line("files", format!("blake3 {}", tree.blake3));
    text += &line("written to", output.to_string());
    output::text(&text)?;
    Ok(YES)
}

/// Has `make` fill a directory without a name, and names that, or an archive of it, `path` at the end.
fn written(
    path: &Path,
    is_archive: bool,
    make: impl FnOnce(&Path) -> Result<Exported, CommandError>,
) -> Result<Exported, CommandError> {
    let fail = |e: std::io::Error| CommandError::bad_usage(format!("{}: {e}", path.display()));
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(fail)?;
    if !is_archive && path.exists() {
        // What can be removed so is empty.
        fs::remove_dir(path).map_err(|e| fail(e).next("name a directory that is not there yet, or an empty one"))?;
    }
    let made = tempfile::Builder::new().prefix(".reprove-").tempdir_in(folder).map_err(fail)?;
    let layout = made.path().join("layout");
    fs::create_dir(&layout).map_err(fail)?;
    let exported = make(&layout)?;
    if is_archive {
        let file = made.path().join("archive");
        archive(&layout, &exported, &file).map_err(|e| from_error(CANNOT, &e))?;
        fs::rename(&file, path).map_err(fail)?;
    } else {
        fs::rename(&layout, path).map_err(fail)?;
    }
    Ok(exported)
}
