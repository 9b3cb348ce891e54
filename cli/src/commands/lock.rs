// SPDX-License-Identifier: Apache-2.0
//! `reprove lock`: what a project's environment is from now on: which packages, or which image; and what it depends on, fetched.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use reprove_inputs::LOCK_FILE;
use reprove_job::Relocked;
use reprove_model::{EnvironmentLock, ImageLock, LockedBlob, LockedLayer, PackageLock};
use serde_json::{Value, json};

use super::check::read_recipe;
use crate::app::{App, absolute};
use crate::commands::BuildOptions;
use crate::error::{CommandError, YES};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory that has a reprove.toml
    #[arg(default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    options: BuildOptions,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let Arguments { directory, options } = arguments;
    let directory = absolute(&directory)?;
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let name = recipe.package.name.clone();
    let events = |event| app.tell(event);
    let context = app.context(app.store()?, &options, &events).await?;
    let Relocked { before, now, dependencies } = reprove_job::relock(&context, &recipe, &directory).await?;
    app.progress.clear();
    let fetched: Vec<_> = (dependencies.iter())
        .map(|input| json!({ "name": input.name, "purl": input.purl, "digest": input.content.digest() }))
        .collect();
    let line = |what: &str, text: String| format!("  {what:<18} {text}\n");
    let files: Vec<&str> = recipe.dependencies.lock_files().map(|(_, file)| file).collect();
    let depends = match files.as_slice() {
        [] => String::new(),
        files => line("dependencies", format!("{}, as {} settles them", dependencies.len(), files.join(", "))),
    };
    let Some(now) = now else {
        if !files.is_empty() {
            let text = format!("fetched  {name}\n\n{depends}");
            let value = json!({ "name": name, "dependencies": fetched });
            return print(app, &value, &text);
        }
        let error = CommandError::bad_usage("the environment is this machine's /usr, which is digested each time anew");
        return Err(error.next(
            "to lock packages, say in reprove.toml: environment = { debian = \"bookworm\", packages = [\"gcc\"] }",
        ));
    };
    let now = match now {
        EnvironmentLock::Packages(lock) => lock,
        EnvironmentLock::Image(lock) => return image(app, (&name, &fetched, &depends), before.as_ref(), &lock),
    };
    let before = before.and_then(|before| match before {
        EnvironmentLock::Packages(lock) => Some(lock),
        EnvironmentLock::Image(_) => None,
    });
    let changes = Changes::between(before.as_ref(), &now);
    let value = json!({
        "name": name,
        "dependencies": fetched,
        "file": LOCK_FILE,
        "environment": now.environment,
        "architecture": now.architecture,
        "tree": now.tree,
        "packages": now.packages,
        "changes": { "new": changes.new, "other": changes.other, "gone": changes.gone },
    });
    let release = &now.environment.debian;
    let mut text = format!("locked  {name}\n\n");
    text += &line("environment", format!("Debian {release} ({}), {} packages", now.architecture, now.packages.len()));
    text += &line("", format!("blake3 {}", now.tree.blake3));
    if before.is_some() {
        text += &line("changed", changes.text());
    }
    text += &depends;
    text += &line("written to", LOCK_FILE.into());
    print(app, &value, &text)
}

fn print(app: &App, value: &Value, text: &str) -> Result<u8, CommandError> {
    if app.global.json {
        output::json(value)?
    } else {
        output::text(text)?
    }
    Ok(YES)
}

fn image(
    app: &App,
    (name, fetched, depends): (&str, &[Value], &str),
    before: Option<&EnvironmentLock>,
    now: &ImageLock,
) -> Result<u8, CommandError> {
    let is_new = match before {
        Some(EnvironmentLock::Image(before)) => before.manifest != now.manifest,
        _ => true,
    };
    let value = json!({
        "name": name,
        "dependencies": fetched,
        "file": LOCK_FILE,
        "environment": now.environment,
        "platform": now.platform,
        "tree": now.tree,
        "index": now.index.as_ref().map(blob),
        "manifest": blob(&now.manifest),
        "config": blob(&now.config),
        "layers": now.layers.iter().map(layer).collect::<Vec<_>>(),
        "changed": is_new,
    });
    let line = |what: &str, text: String| format!("  {what:<18} {text}\n");
    let (of, image) = (&now.platform, &now.environment.image);
    let mut text = format!("locked  {name}\n\n");
    text += &line("environment", format!("image {image} ({}/{}), {} layers", of.os, of.architecture, now.layers.len()));
    text += &line("", format!("manifest sha256:{}", now.manifest.sha256));
    text += &line("", format!("blake3 {}", now.tree.blake3));
    if before.is_some() {
        text += &line("changed", if is_new { "another image" } else { "nothing" }.into());
    }
    text += depends;
    text += &line("written to", LOCK_FILE.into());
    print(app, &value, &text)
}

fn blob(blob: &LockedBlob) -> Value {
    let LockedBlob { media_type, size, blake3, sha256 } = blob;
    json!({ "mediaType": media_type, "size": size, "blake3": blake3, "sha256": sha256 })
}

fn layer(layer: &LockedLayer) -> Value {
    let LockedLayer { media_type, size, blake3, sha256, diff_id } = layer;
    json!({ "mediaType": media_type, "size": size, "blake3": blake3, "sha256": sha256, "diffId": diff_id })
}

/// What is another than it was: lines for a person.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    new: Vec<String>,
    other: Vec<String>,
    gone: Vec<String>,
}

impl Changes {
    fn between(before: Option<&PackageLock>, now: &PackageLock) -> Self {
        let versions = |lock: &PackageLock| -> BTreeMap<(String, String), String> {
            let each = lock.packages.iter();
            each.map(|p| ((p.name.clone(), p.architecture.clone()), p.version.clone())).collect()
        };
        let (before, now) = (before.map(versions).unwrap_or_default(), versions(now));
        let mut changes = Self::default();
        for (key, version) in &now {
            match before.get(key) {
                None => changes.new.push(format!("{} {version}", key.0)),
                Some(old) if old != version => changes.other.push(format!("{} {old} -> {version}", key.0)),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
        changes.gone = gone.map(|((name, _), version)| format!("{name} {version}")).collect();
        changes
    }

    fn text(&self) -> String {
        let part = |what: &str, list: &[String]| (!list.is_empty()).then(|| format!("{what}: {}", list.join(", ")));
        let parts = [part("new", &self.new), part("other versions", &self.other), part("gone", &self.gone)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing".into() } else { parts.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use reprove_model::{Debian, Digest, DigestSet, LockedPackage, Sha256};

    use super::*;

    fn lock(packages: &[(&str, &str)]) -> PackageLock {
        let package = |(name, version): &(&str, &str)| LockedPackage {
            name: (*name).into(),
            version: (*version).into(),
            architecture: "all".into(),
            size: 1,
            blake3: Digest::of(b"x"),
            sha256: Sha256::of(b"x"),
        };
        PackageLock {
            version: PackageLock::VERSION,
            tree: DigestSet::of(b""),
            architecture: "amd64".into(),
            environment: Debian { debian: "bookworm".into(), packages: Vec::new() },
            packages: packages.iter().map(package).collect(),
        }
    }

    #[test]
    fn what_changed_is_told() {
        let before = lock(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = lock(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let text = Changes::between(Some(&before), &now).text();
        assert_eq!(text, "new: d 1; other versions: b 1 -> 2; gone: c 1");
        assert_eq!(Changes::between(Some(&now), &now).text(), "nothing");
        assert_eq!(Changes::between(None, &now).new.len(), 3);
    }
}
