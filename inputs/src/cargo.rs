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
    Build, Content, Derived, Environment, EpochRule, Input, InputName, Limits, LockedPackage, Outputs, Package,
    PackageUrl, Published, Recipe, Role, Source, TreePath,
};
use reprove_store::{Store, UnpackLimits, Unpacked};

use self::client::is_version;
use crate::debian::{Apt, Rebuildable, tools};
use crate::workplace::{Fetched, Workplace};
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

/// A published crate, in the store, and all that may have packed it.
#[derive(Clone, Debug)]
pub struct Crate {
    recipe: Recipe,
    inputs: Vec<Input>,
    /// The exact packages of the environment, in which it is packed.
    pub packages: Vec<LockedPackage>,
    published: Published,
    compressors: &'static [Compressor],
}

/// What a crate's bytes are compressed by: that of a cargo's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// zlib, by the C library that Python has.
    Zlib,
    /// zlib-rs, compiled from crates.
    ZlibRs,
}

impl Compressor {
    fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::ZlibRs => "zlib-rs",
        }
    }
}

/// The crates that zlib-rs is compiled from, as cargo has it.
const ZLIB_RS: [(&str, &str); 4] =
    [("cfg-if", "1.0.5"), ("crc32fast", "1.5.5"), ("flate2", "1.1.11"), ("zlib-rs", "0.6.8")];

impl Crate {
    /// Each way that it may have been packed, the likeliest first: what it is called, and all that packs it so.
    #[must_use]
    pub fn ways(&self) -> Vec<(String, Rebuildable)> {
        let way = |compressor: &Compressor| {
            let Self { mut recipe, mut inputs, packages, published, .. } = self.clone();
            recipe.build.steps = vec![format!("python3 -I /inputs/{SCRIPT_NAME} {}", compressor.name())];
            if *compressor == Compressor::Zlib {
                inputs.retain(|input| input.role == Role::Source || input.name.as_str() == SCRIPT_NAME);
            }
            let Environment::Debian(environment) = &recipe.environment else { return None };
            let cargo = environment.packages.first()?;
            let named = packages.iter().find(|package| package.name == *cargo)?;
            let name = format!("{cargo} {}, {}", named.version, compressor.name());
            Some((name, Rebuildable { recipe, inputs, packages, published }))
        };
        self.compressors.iter().filter_map(way).collect()
    }
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
) -> Result<Crate, InputsError> {
    let (name, version) = asked(purl)?;
    notes(Note::Doing(format!("fetching {name} {version}")));
    let workplace = Workplace::new(store)?;
    let file = cargo.fetch(name, version, &workplace).await?;
    let (to, kept) = (store.clone(), file.clone());
    let (unpacked, script) = blocking::run(&file.path, move || {
        kept.keep(&to)?;
        let bad = |source| InputsError::Archive { name: kept.name.to_string(), source };
        let unpacked = to.unpack(&kept.digest.blake3, UnpackLimits::default()).map_err(bad)?;
        Ok::<_, InputsError>((unpacked, to.add_bytes(SCRIPT.as_bytes())?))
    })
    .await?;
    let Form { tool, compressors } =
        Form::of(&unpacked).ok_or_else(|| InputsError::NoAuthorsManifest(file.name.to_string()))?;
    let content = Content::Archive { digest: file.digest, size: file.size };
    let (digest, size) = script;
    let mut inputs = vec![
        Input { name: file.name.clone(), role: Role::Source, purl: Some(purl.clone()), content },
        Input { name: SCRIPT_NAME.parse()?, role: Role::Tool, purl: None, content: Content::File { digest, size } },
    ];
    if compressors.contains(&Compressor::ZlibRs) {
        notes(Note::Doing("fetching what compresses as cargo does".into()));
        for (name, version) in ZLIB_RS {
            inputs.push(compressing(cargo.fetch(name, version, &workplace).await?, (name, version), store).await?);
        }
    }
    drop(workplace);
    let (environment, packages) = tools(&[tool, "git", "python3"], apt, store, notes).await?;
    let published = Published {
        purl: Some(purl.clone()),
        name: file.name.clone(),
        digest: file.digest,
        size: file.size,
        derived: BTreeSet::from([Derived::Bytes, Derived::Contents, Derived::Tools]),
    };
    let recipe = recipe((name, version), purl, Environment::Debian(environment), &file.name);
    recipe.check()?;
    Ok(Crate { recipe, inputs, packages, published, compressors })
}

/// A crate as a tool.
async fn compressing(file: Fetched, (name, version): (&str, &str), store: &Store) -> Result<Input, InputsError> {
    let (to, kept) = (store.clone(), file.clone());
    blocking::run(&file.path, move || kept.keep(&to)).await?;
    let purl = format!("pkg:cargo/{name}@{version}").parse()?;
    let content = Content::File { digest: file.digest, size: file.size };
    // No crate that is packed again is called so.
    Ok(Input { name: format!("{name}+{version}.crate").parse()?, role: Role::Tool, purl: Some(purl), content })
}

/// What packs.
const SCRIPT: &str = include_str!("cargo/pack.py");
const SCRIPT_NAME: &str = "pack.py";

/// The time that cargo gives all files, since 1.54: 2006-07-24T01:21:28Z.
const CARGO_TIME: Duration = Duration::from_secs(1_153_704_088);

/// How a crate was packed, by what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    /// The package of Debian's with the cargo that packs so.
    tool: &'static str,
    compressors: &'static [Compressor],
}

impl Form {
    /// By the times of a crate's files; none where it has no manifest of its author's. Files that have times of their own were
    /// packed by an older cargo; what cargo generated was dated one second after 1970 before 1.93, and in that time it came to
    /// compress by zlib-rs.
    fn of(unpacked: &Unpacked) -> Option<Self> {
        let of = |name: &str| unpacked.entries.get(&TreePath::new(name).ok()?);
        let (author, written) = (of("Cargo.toml.orig")?, of("Cargo.toml")?);
        Some(if author.modified != CARGO_TIME {
            Self { tool: "cargo", compressors: &[Compressor::Zlib] }
        } else if written.modified == CARGO_TIME {
            Self { tool: "cargo-web", compressors: &[Compressor::ZlibRs] }
        } else {
            Self { tool: "cargo-web", compressors: &[Compressor::Zlib, Compressor::ZlibRs] }
        })
    }
}

fn recipe((name, version): (&str, &str), purl: &PackageUrl, environment: Environment, file: &InputName) -> Recipe {
    Recipe {
        package: Package { name: name.to_owned(), version: Some(version.to_owned()) },
        source: Source::Package(purl.clone()),
        environment,
        build: Build {
            steps: vec![format!("python3 -I /inputs/{SCRIPT_NAME} {}", Compressor::Zlib.name())],
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
        let form =
            |written, author| Form::of(&unpacked(&[("Cargo.toml", written), ("Cargo.toml.orig", author)])).unwrap();
        let (zlib, rs) = (Compressor::Zlib, Compressor::ZlibRs);
        let now = 1_153_704_088;
        assert_eq!((form(now, now).tool, form(now, now).compressors), ("cargo-web", [rs].as_slice()));
        assert_eq!((form(1, now).tool, form(1, now).compressors), ("cargo-web", [zlib, rs].as_slice()));
        assert_eq!((form(7, 7).tool, form(7, 7).compressors), ("cargo", [zlib].as_slice()));
        assert_eq!(Form::of(&unpacked(&[("Cargo.toml", 1)])), None);
    }
}
