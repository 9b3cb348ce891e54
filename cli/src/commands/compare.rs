// SPDX-License-Identifier: Apache-2.0
//! `reprove compare`: what differs between two files, directories or images?

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use reprove_inputs::Note;
use reprove_inputs::oci::{self, Found};
use reprove_job::{JobError, MANIFEST_NAME};
use reprove_model::{Between, DigestSet, ImageReference, Node, Tree, TreePath};
use reprove_store::{IngestLimits, Store};
use reprove_verifier::compare::{Comparison, Level, Options, Side, compare, compare_files, compare_images};
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::error::{BAD_USAGE, CANNOT, CommandError, NO, YES, from_error};
use crate::open::{self, Links};
use crate::output::{Document, Target};
use crate::progress::Progress;
use crate::{env_vars, output, page, plain, render, sarif};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A file, a directory, or an image: oci:DIR, oci-archive:FILE or docker://HOST/NAME, with :TAG or @sha256:…
    left: PathBuf,
    /// Another one, of the same kind
    right: PathBuf,
    /// Write the findings as SARIF 2.1.0, which code hosts and editors show
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write the findings as one page of HTML that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let Arguments { left, right, sarif, html } = arguments;
    let target =
        |path: Option<PathBuf>, document| path.map(|path| Target::document(&absolute(&path)?, document)).transpose();
    let (to_sarif, to_html) = (target(sarif, Document::SARIF)?, target(html, Document::PAGE)?);
    let names = [&left, &right].map(|path| path.to_string_lossy().into_owned());
    app.progress.doing(&format!("comparing {} with {}", left.display(), right.display()));
    let progress = app.progress.clone();
    let mut manifests = None;
    let comparison = match kinds(&left, &right)? {
        Kinds::Images(both) => {
            let (comparison, both) = images(app, &both).await?;
            manifests = Some(both);
            comparison
        }
        Kinds::Directories => {
            // Removed here, also where the thread is not waited for.
            let scratch = Scratch::new()?;
            let store = scratch.0.clone();
            blocking(move || directories(&store, &left, &right, &progress)).await??
        }
        Kinds::Files => blocking(move || files(&left, &right, &progress)).await??,
    };
    app.progress.clear();
    let [left, right] = &names;
    if let Some(target) = to_sarif {
        target.write(format!("{}\n", plain::json(&sarif::of(&comparison, left, right))).into_bytes()).await?;
    }
    if let Some(target) = to_html {
        target.write(page::of(&comparison, left, right).into_bytes()).await?;
    }
    let Comparison { level, normalizations, findings } = &comparison;
    let identical = *level == Level::BitIdentical;
    if app.global.json {
        let mut shown = json!({
            "identical": identical,
            "level": level,
            "normalizations": normalizations,
            "findings": findings,
        });
        if let (Some(shown), Some(manifests)) = (shown.as_object_mut(), manifests) {
            shown.insert("manifests".into(), json!(manifests));
        }
        output::json(&shown)?;
    } else {
        output::text(&render::comparison(&comparison))?;
    }
    Ok(if identical { YES } else { NO })
}

/// What both of the arguments are.
enum Kinds {
    Files,
    Directories,
    Images(Box<[ImageReference; 2]>),
}

fn kinds(left: &Path, right: &Path) -> Result<Kinds, CommandError> {
    let unlike = |(a, what_a): (&Path, &str), (b, what_b): (&Path, &str)| {
        let text = format!("{} is {what_a} and {} is {what_b}", a.display(), b.display());
        CommandError::bad_usage(text).next("compare two files, two directories, or two images")
    };
    match (image(left)?, image(right)?) {
        (Some(left), Some(right)) => return Ok(Kinds::Images(Box::new([left, right]))),
        (Some(_), None) => return Err(unlike((left, "an image"), (right, "none"))),
        (None, Some(_)) => return Err(unlike((right, "an image"), (left, "none"))),
        (None, None) => {}
    }
    match (is_directory(left)?, is_directory(right)?) {
        (true, true) => Ok(Kinds::Directories),
        (false, false) => Ok(Kinds::Files),
        (true, false) => Err(unlike((left, "a directory"), (right, "a file"))),
        (false, true) => Err(unlike((right, "a directory"), (left, "a file"))),
    }
}

/// The image that an argument names, unless there is a file of that name.
fn image(path: &Path) -> Result<Option<ImageReference>, CommandError> {
    let text = path.to_str().filter(|_| !path.exists()).unwrap_or_default();
    let transport = text.split_once(':').map(|(transport, _)| transport);
    if transport.is_none_or(|transport| !TRANSPORTS.contains(&transport)) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|e| from_error(BAD_USAGE, &e))
}

/// What names of images begin with (`containers-transports(5)`), also of those that are not read.
const TRANSPORTS: [&str; 9] =
    ["containers-storage", "dir", "docker", "docker-archive", "docker-daemon", "oci", "oci-archive", "ostree", "sif"];

fn is_directory(path: &Path) -> Result<bool, CommandError> {
    path.metadata().map(|m| m.is_dir()).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

fn files(left: &Path, right: &Path, progress: &Progress) -> Result<Comparison, CommandError> {
    let open = |path: &Path| {
        let file = open::regular("file", path, Links::Followed)?;
        with_true_size(file).map_err(|e| open::unreadable("file", path, &e))
    };
    let place = left.file_name().unwrap_or(left.as_os_str()).to_string_lossy();
    let scratch = env_vars::temporary_folder();
    let tell = |place: &str| progress.at(place);
    let options = Options { between: Between::Given, scratch: Some(&scratch), tell: Some(&tell) };
    compare_files(&open(left)?, &open(right)?, &place, options).map_err(|e| from_error(BAD_USAGE, &e))
}

/// The most bytes of a file that does not say how many it has.
const MAX_UNSIZED: u64 = 1 << 30;

/// A file with as many bytes as it says: those that the kernel makes while they are read, as below `/proc` and `/sys`, say 0
/// or too many, and are read once into a temporary one.
fn with_true_size(mut file: File) -> io::Result<File> {
    let says = file.metadata()?.len();
    let mut byte = [0];
    let has_more = file.read_at(&mut byte, says)? > 0;
    let has_less = says > 0 && file.read_at(&mut byte, says - 1)? == 0;
    if !has_more && !has_less {
        return Ok(file);
    }
    let mut copy = tempfile::tempfile_in(env_vars::temporary_folder())?;
    if io::copy(&mut (&mut file).take(MAX_UNSIZED + 1), &mut copy)? > MAX_UNSIZED {
        return Err(io::Error::other("it does not say how large it is, and has no end within 1 GiB"));
    }
    Ok(copy)
}

/// A folder for the files of the directories, which the comparison takes in. Goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, CommandError> {
        let parent = env_vars::temporary_folder();
        let folder = tempfile::Builder::new().prefix("reprove-").tempdir_in(&parent);
        Ok(Self(folder.map_err(|e| output::cannot_write(&parent, output::without_name(e)))?.keep()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A thread that still works may add a file while this goes on.
        for _ in 0..16 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                break;
            }
        }
    }
}

/// Compares the images that there are for this machine, blob by blob, and names their manifests.
async fn images(app: &App, both: &[ImageReference; 2]) -> Result<(Comparison, [String; 2]), CommandError> {
    let scratch = Scratch::new()?;
    let store = Store::open(&scratch.0).map_err(|e| CommandError::from(e).in_temporary_folder())?;
    let (here, skopeo) = (absolute(Path::new("."))?, App::skopeo());
    let notes = |note| match note {
        Note::Doing(text) => app.progress.doing(&text),
        Note::Noticed(text) => app.progress.note(&text),
    };
    let found = async |image| {
        let found = oci::find(image, &here, &skopeo, &store, &notes).await;
        let found = found.map_err(|e| CommandError::from(JobError::from(e)).in_temporary_folder())?;
        if found.index.is_some() {
            app.progress
                .note(&format!("{image} is for several machines: its image for this one is compared, and no other"));
        }
        Ok::<_, CommandError>((tree_of(&found)?, format!("sha256:{}", found.manifest.sha256)))
    };
    let [left, right] = both;
    let ((left, left_is), (right, right_is)) = (found(left).await?, found(right).await?);
    app.progress.doing("comparing the images");
    let (folder, progress) = (scratch.0.clone(), app.progress.clone());
    let compared = blocking(move || {
        let (left, right) = (Side { tree: &left, blobs: &store }, Side { tree: &right, blobs: &store });
        let tell = |place: &str| progress.at(place);
        let options = Options { between: Between::Given, scratch: Some(&folder), tell: Some(&tell) };
        let manifest = path(MANIFEST_NAME)?;
        compare_images(left, right, &manifest, options).map_err(|e| from_error(CANNOT, &e))
    });
    Ok((compared.await??, [left_is, right_is]))
}

/// A manifest, and the blobs that it names as they are in a layout.
fn tree_of(image: &Found) -> Result<Tree, CommandError> {
    let file = |digest: DigestSet, size| Node::File { mode: 0o644, size, digest };
    let mut files = BTreeMap::from([(path(MANIFEST_NAME)?, file(image.manifest.digest(), image.manifest.size))]);
    for folder in ["blobs", "blobs/sha256"] {
        files.insert(path(folder)?, Node::Directory { mode: 0o755 });
    }
    let layers = image.layers.iter().map(|layer| (layer.digest(), layer.size));
    for (digest, size) in layers.chain([(image.config.digest(), image.config.size)]) {
        files.insert(path(&format!("blobs/sha256/{}", digest.sha256))?, file(digest, size));
    }
    Tree::new(files).map_err(|e| from_error(BAD_USAGE, &e))
}

fn path(text: &str) -> Result<TreePath, CommandError> {
    TreePath::new(text).map_err(|e| from_error(BAD_USAGE, &e))
}

fn directories(scratch: &Path, left: &Path, right: &Path, progress: &Progress) -> Result<Comparison, CommandError> {
    let store = Store::open(scratch)?;
    let tree = |path: &Path| {
        let tree = store.add_tree(path, IngestLimits::of_own_files(), &|_| false);
        tree.map_err(|e| from_error(BAD_USAGE, &e).in_temporary_folder())
    };
    let (left, right) = (tree(left)?, tree(right)?);
    let (left, right) = (Side { tree: &left, blobs: &store }, Side { tree: &right, blobs: &store });
    let tell = |place: &str| progress.at(place);
    let options = Options { between: Between::Given, scratch: Some(scratch), tell: Some(&tell) };
    compare(left, right, options).map_err(|e| from_error(CANNOT, &e))
}
