// SPDX-License-Identifier: Apache-2.0
//! What is asked of a farm: packages, and projects whose source is sent.

use std::path::Path;

use reprove_farm::{Client, Request, Requires, Work, source};
use reprove_inputs::directory;
use reprove_model::{Digest, InvalidPackageUrl, PackageUrl, Source, Tree};
use reprove_store::Store;

use super::from_client;
use crate::app::{App, absolute, blocking};
use crate::commands::AskedOptions;
use crate::commands::check::read_recipe;
use crate::error::CommandError;
use crate::open::{self, Links};
use crate::plain;

/// The largest list of packages, in bytes.
const MAX_LIST: usize = 16 << 20;

/// How many requests are made at once: a farm reads a mebibyte, and a recipe may have 64 KiB.
pub(super) fn at_once(requests: &[Request]) -> usize {
    if requests.iter().any(|request| request.work.source().is_some()) { 12 } else { 500 }
}

/// The package URLs of a list: one a line; empty lines, and what follows a `#`, are left out.
pub(super) fn list(path: &Path) -> Result<Vec<String>, CommandError> {
    let text = open::read_text("list of packages", &absolute(path)?, Links::Followed, MAX_LIST)?;
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

/// A request for a package.
pub(super) fn package(text: &str, asked: &AskedOptions) -> Result<Request, CommandError> {
    let purl: PackageUrl =
        text.parse().map_err(|error: InvalidPackageUrl| CommandError::bad_usage(plain::line(&error.to_string())))?;
    reprove_inputs::check(&purl).map_err(reprove_job::JobError::from)?;
    request(Work::Package { purl }, asked)
}

/// A request for a project, whose source the farm has afterwards.
pub(super) async fn project(
    app: &App,
    client: &Client,
    path: &Path,
    asked: &AskedOptions,
) -> Result<Request, CommandError> {
    let folder = absolute(path)?;
    let mut recipe = read_recipe(&folder.join("reprove.toml"))?;
    app.progress.doing(&format!("reading the source of {}", path.display()));
    let store = app.store()?;
    let input = directory::source(&recipe, &folder, &store).await.map_err(reprove_job::JobError::from)?;
    // Where it was does not matter to whoever gets it.
    recipe.source = Source::Directory(".".to_owned());
    let tree = input.content.digest().blake3;
    let (tree, packed) = blocking(move || pack(&store, &tree)).await??;
    let request = request(Work::Project { recipe: Box::new(recipe), source: tree }, asked)?;
    if !client.has_source(&tree).await.map_err(from_client)? {
        let kib = packed.len().div_ceil(1024);
        app.progress.doing(&format!("sending the source of {}: {kib} KiB", path.display()));
        client.send_source(&tree, packed).await.map_err(from_client)?;
    }
    app.progress.clear();
    Ok(request)
}

/// A source as it is sent, and its digest: that of the tree as it arrives.
fn pack(store: &Store, tree: &Digest) -> Result<(Digest, Vec<u8>), CommandError> {
    let wrong = |error: &dyn std::fmt::Display| CommandError::cannot(error.to_string());
    let tree: Tree = source::portable(&store.load_tree(tree)?).map_err(|error| wrong(&error))?;
    let packed = source::pack(store, &tree).map_err(|error| wrong(&error))?;
    Ok((tree.digest().blake3, packed))
}

fn request(work: Work, asked: &AskedOptions) -> Result<Request, CommandError> {
    let request = Request {
        work,
        rebuilders: asked.rebuilders,
        distinct: asked.distinct.iter().copied().collect(),
        requires: Requires { domain: asked.domain.clone(), architecture: None, isolation: asked.isolation },
        priority: asked.priority,
    };
    request.check().map_err(|e| CommandError::bad_usage(e.to_string()))?;
    Ok(request)
}
