// SPDX-License-Identifier: Apache-2.0
//! Crates: a published `.crate`, and the cargo of Debian's that packs it again.
//!
//! The source is the crate itself: the manifest as its author wrote it is in there, and the lock that cargo made. What cargo had
//! around it when it was packed is made up from these, by a script that is an input as any other (`cargo/pack.py`). That shows how
//! it was packed, and nothing of where its contents come from. No code of the package runs, here or in the build.

mod client;

pub use client::Cargo;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reprove_model::{
    Build, Content, Derived, Environment, EpochRule, Input, InputName, Limits, Outputs, Package, PackageUrl, Published,
    Recipe, Role, Source, TreePath,
};
use reprove_store::{Store, UnpackLimits, Unpacked};

use self::client::is_version;
use crate::debian::{Apt, Rebuildable, tools};
use crate::workplace::Workplace;
use crate::{InputsError, Note, blocking};

/// Looks whether [`fetch_published`] could be asked for `purl` at all; nothing is fetched.
///
/// # Errors
/// [`InputsError::CargoPurl`], [`InputsError::NoVersion`].
pub fn check(purl: &PackageUrl) -> Result<(), InputsError> {
    asked(purl).map(drop)
}

/// Name and version.
fn asked(purl: &PackageUrl) -> Result<(&str, &str), InputsError> {
    let wrong = || InputsError::CargoPurl(purl.to_string());
    if purl.kind() != "cargo" || purl.namespace().is_some() || purl.to_string().contains(['?', '#']) {
        return Err(wrong());
    }
    let version = purl.version().ok_or_else(|| InputsError::NoVersion(purl.to_string()))?;
    let ok = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let is_name = purl.name().starts_with(|c: char| c.is_ascii_alphabetic()) && purl.name().chars().all(ok);
    if is_name && purl.name().len() <= 64 && is_version(version) { Ok((purl.name(), version)) } else { Err(wrong()) }
}

/// Fetches a crate, `pkg:cargo/NAME@VERSION`, and what packs it again. All is in `store` afterwards.
///
/// # Errors
/// See [`InputsError`]; [`InputsError::NoAuthorsManifest`] where it was packed by a cargo that kept none.
pub async fn fetch_published(
    purl: &PackageUrl,
    cargo: &Cargo,
    apt: &Apt,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Rebuildable, InputsError> {
    let (name, version) = asked(purl)?;
    notes(Note::Doing(format!("fetching {name} {version}")));
    let workplace = Workplace::new(store)?;
    let file = cargo.fetch(name, version, &workplace).await?;
    let (to, kept) = (store.clone(), file.clone());
    let (unpacked, script) = blocking::run(&file.path, move || {
        let _workplace = workplace;
        kept.keep(&to)?;
        let bad = |source| InputsError::Archive { name: kept.name.to_string(), source };
        let unpacked = to.unpack(&kept.digest.blake3, UnpackLimits::default()).map_err(bad)?;
        Ok::<_, InputsError>((unpacked, to.add_bytes(SCRIPT.as_bytes())?))
    })
    .await?;
    let tool = tool(&unpacked).ok_or_else(|| InputsError::NoAuthorsManifest(file.name.to_string()))?;
    let (environment, packages) = tools(&[tool, "git", "python3"], apt, store, notes).await?;
    let content = Content::Archive { digest: file.digest, size: file.size };
    let (digest, size) = script;
    let published = Published {
        purl: Some(purl.clone()),
        name: file.name.clone(),
        digest: file.digest,
        size: file.size,
        derived: BTreeSet::from([Derived::Contents, Derived::Tools]),
    };
    let recipe = recipe((name, version), purl, Environment::Debian(environment), &file.name);
    recipe.check()?;
    let inputs = vec![
        Input { name: file.name, role: Role::Source, purl: Some(purl.clone()), content },
        Input { name: SCRIPT_NAME.parse()?, role: Role::Tool, purl: None, content: Content::File { digest, size } },
    ];
    Ok(Rebuildable { recipe, inputs, packages, published })
}

/// What packs.
const SCRIPT: &str = include_str!("cargo/pack.py");
const SCRIPT_NAME: &str = "pack.py";

/// The time that cargo gives all files, since 1.54: 2006-07-24T01:21:28Z.
const CARGO_TIME: Duration = Duration::from_secs(1_153_704_088);

/// The package of Debian's with the cargo that packs so, by the times of a crate's files; none where it has no manifest of its
/// author's. Files that have times of their own were packed by an older one.
fn tool(unpacked: &Unpacked) -> Option<&'static str> {
    let of = |name: &str| unpacked.entries.get(&TreePath::new(name).ok()?);
    let manifest = of("Cargo.toml.orig")?;
    of("Cargo.toml")?;
    Some(if manifest.modified == CARGO_TIME { "cargo-web" } else { "cargo" })
}

fn recipe((name, version): (&str, &str), purl: &PackageUrl, environment: Environment, file: &InputName) -> Recipe {
    Recipe {
        package: Package { name: name.to_owned(), version: Some(version.to_owned()) },
        source: Source::Package(purl.clone()),
        environment,
        build: Build {
            steps: vec![format!("python3 -I /inputs/{SCRIPT_NAME}")],
            env: BTreeMap::new(),
            source_date_epoch: EpochRule::Unset,
            deterministic: false,
        },
        outputs: Outputs { directory: None, paths: vec![file.to_string()], set_id: false },
        limits: Limits::default(),
        pinned: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use reprove_model::{DigestSet, Node};
    use reprove_store::UnpackedEntry;

    use super::*;

    #[test]
    fn only_a_version_of_a_crate_is_taken() {
        let check = |text: &str| check(&text.parse().unwrap());
        assert!(check("pkg:cargo/serde_json@1.0.145").is_ok());
        assert!(check("pkg:cargo/a-b@1.0.0-rc.1%2Bbuild.5").is_ok());
        assert!(check(&format!("pkg:cargo/{}@1.0.0", "a".repeat(64))).is_ok());
        assert!(matches!(check("pkg:cargo/serde"), Err(InputsError::NoVersion(_))));
        for wrong in [
            "pkg:cargo/serde@1",
            "pkg:cargo/serde@^1.0.0",
            "pkg:cargo/serde@1.0.0?x=y",
            "pkg:cargo/-a@1.0.0",
            "pkg:cargo/a.b@1.0.0",
            "pkg:npm/serde@1.0.0",
            &format!("pkg:cargo/{}@1.0.0", "a".repeat(65)),
        ] {
            assert!(matches!(check(wrong), Err(InputsError::CargoPurl(_))), "{wrong}");
        }
    }

    #[test]
    fn the_times_say_which_cargo() {
        let entry = |seconds| UnpackedEntry {
            node: Node::File { mode: 0o644, size: 0, digest: DigestSet::of(b"") },
            modified: Duration::from_secs(seconds),
        };
        let unpacked = |files: &[(&str, u64)]| Unpacked {
            entries: files.iter().map(|(name, time)| (TreePath::new(*name).unwrap(), entry(*time))).collect(),
        };
        assert_eq!(tool(&unpacked(&[("Cargo.toml", 1), ("Cargo.toml.orig", 1_153_704_088)])), Some("cargo-web"));
        assert_eq!(tool(&unpacked(&[("Cargo.toml", 7), ("Cargo.toml.orig", 7)])), Some("cargo"));
        assert_eq!(tool(&unpacked(&[("Cargo.toml", 1)])), None);
    }
}
