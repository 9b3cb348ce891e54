// SPDX-License-Identifier: Apache-2.0
//! Crates: a published `.crate`, and the cargo of Debian's that packs it again.
//!
//! The source is the crate itself: the manifest as its author wrote it is in there, and the lock that cargo made. What cargo had
//! around it when it was packed is made up from these, by a script that is an input as any other (`cargo/pack.py`). That shows how
//! it was packed, and nothing of where its contents come from. No code of the package runs, here or in the build.

mod client;

pub use client::Cargo;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use reprove_model::{
    Build, Content, Dependencies, Derived, Environment, EpochRule, Input, InputName, Limits, LockedPackage, Node,
    Outputs, Package, PackageUrl, Published, Recipe, Role, Source, TreePath,
};
use reprove_store::{Store, UnpackLimits, Unpacked};

pub(crate) use self::client::{cached, is_version, promised};
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
    /// zlib-rs 0.5, compiled from crates. The last bytes of some archives come out another way than with 0.6.
    ZlibRs5,
    /// zlib-rs 0.6, compiled from crates.
    ZlibRs6,
}

impl Compressor {
    /// What the script calls it.
    fn argument(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::ZlibRs5 | Self::ZlibRs6 => "zlib-rs",
        }
    }

    /// The crates that it is compiled from, as cargo has them.
    fn crates(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Zlib => &[],
            Self::ZlibRs5 => &[
                ("adler2", "2.0.1"),
                ("cfg-if", "1.0.5"),
                ("crc32fast", "1.5.5"),
                ("flate2", "1.1.5"),
                ("libz-rs-sys", "0.5.2"),
                ("miniz_oxide", "0.8.9"),
                ("simd-adler32", "0.3.10"),
                ("zlib-rs", "0.5.2"),
            ],
            Self::ZlibRs6 => &[("cfg-if", "1.0.5"), ("crc32fast", "1.5.5"), ("flate2", "1.1.11"), ("zlib-rs", "0.6.8")],
        }
    }

    fn needs(self, input: &Input) -> bool {
        self.crates().iter().any(|(name, version)| input.name.as_str() == tool_name(name, version))
    }
}

impl fmt::Display for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.crates().iter().find(|(name, _)| *name == self.argument());
        match version {
            Some((name, version)) => write!(f, "{name} {version}"),
            None => f.write_str(self.argument()),
        }
    }
}

impl Crate {
    /// Each way that it may have been packed, the likeliest first: what it is called, and all that packs it so.
    #[must_use]
    pub fn ways(&self) -> Vec<(String, Rebuildable)> {
        let way = |compressor: &Compressor| {
            let Self { mut recipe, mut inputs, packages, published, .. } = self.clone();
            recipe.build.steps = vec![step(*compressor)];
            inputs.retain(|input| input.role == Role::Source || input.purl.is_none() || compressor.needs(input));
            let Environment::Debian(environment) = &recipe.environment else { return None };
            let cargo = environment.packages.first()?;
            let named = packages.iter().find(|package| package.name == *cargo)?;
            let name = format!("{cargo} {}, {compressor}", named.version);
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
    let (form, script) = blocking::run(&file.path, move || {
        kept.keep(&to)?;
        let bad = |source| InputsError::Archive { name: kept.name.to_string(), source };
        let unpacked = to.unpack(&kept.digest.blake3, UnpackLimits::default()).map_err(bad)?;
        Ok::<_, InputsError>((form_of(&unpacked, &to, &kept.name)?, to.add_bytes(SCRIPT.as_bytes())?))
    })
    .await?;
    let Form { tool, compressors } = form;
    let content = Content::Archive { digest: file.digest, size: file.size };
    let (digest, size) = script;
    let mut inputs = vec![
        Input { name: file.name.clone(), role: Role::Source, purl: Some(purl.clone()), content },
        Input { name: SCRIPT_NAME.parse()?, role: Role::Tool, purl: None, content: Content::File { digest, size } },
    ];
    let needed: BTreeSet<_> = compressors.iter().flat_map(|compressor| compressor.crates()).copied().collect();
    if !needed.is_empty() {
        notes(Note::Doing("fetching what compresses as cargo does".into()));
    }
    for (name, version) in needed {
        inputs.push(compressing(cargo.fetch(name, version, &workplace).await?, (name, version), store).await?);
    }
    drop(workplace);
    let (environment, packages) = tools(&[tool, "git", "python3"], apt, store, notes).await?;
    let published = file.clone().published(purl, BTreeSet::from([Derived::Bytes, Derived::Contents, Derived::Tools]));
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
    Ok(Input { name: tool_name(name, version).parse()?, role: Role::Tool, purl: Some(purl), content })
}

/// What the script knows it by. No crate that is packed again is called so.
fn tool_name(name: &str, version: &str) -> String {
    format!("{name}+{version}.crate")
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
    /// By when it says that what its author wrote (`author`) and what cargo wrote are of, and whether the manifest that cargo wrote
    /// `names_targets`. Files that have times of their own were packed by an older cargo; what cargo generated was dated one second
    /// after 1970 before 1.93, and in that time it came to compress by zlib-rs. Manifests say since 1.80 which targets there are.
    fn new(author: Duration, written: Duration, names_targets: bool) -> Self {
        let (tool, compressors): (_, &[_]) = if author != CARGO_TIME {
            ("cargo", &[Compressor::Zlib])
        } else if written == CARGO_TIME {
            ("cargo-web", &[Compressor::ZlibRs6, Compressor::ZlibRs5])
        } else if names_targets {
            ("cargo-web", &[Compressor::Zlib, Compressor::ZlibRs5])
        } else {
            ("cargo", &[Compressor::Zlib])
        };
        Self { tool, compressors }
    }
}

fn form_of(unpacked: &Unpacked, store: &Store, name: &InputName) -> Result<Form, InputsError> {
    let of = |name: &str| unpacked.entries.get(&TreePath::new(name).ok()?);
    let (Some(author), Some(written)) = (of("Cargo.toml.orig"), of("Cargo.toml")) else {
        return Err(InputsError::NoAuthorsManifest(name.to_string()));
    };
    let manifest = match &written.node {
        Node::File { digest, .. } => store.read_blob(&digest.blake3, MAX_MANIFEST)?,
        _ => Vec::new(),
    };
    Ok(Form::new(author.modified, written.modified, names_targets(&manifest)))
}

/// The largest manifest that is looked at, in bytes.
const MAX_MANIFEST: u64 = 4 << 20;

/// Whether a manifest that cargo wrote says itself which targets there are (`autobins` and the like, Cargo Book, "Target
/// auto-discovery"). One that can't be read says nothing.
pub(crate) fn names_targets(manifest: &[u8]) -> bool {
    let manifest = std::str::from_utf8(manifest).ok().and_then(|text| text.parse::<toml::Table>().ok());
    manifest.and_then(|manifest| manifest.get("package")?.get("autobins").cloned()).is_some()
}

fn step(compressor: Compressor) -> String {
    format!("python3 -I /inputs/{SCRIPT_NAME} {}", compressor.argument())
}

fn recipe((name, version): (&str, &str), purl: &PackageUrl, environment: Environment, file: &InputName) -> Recipe {
    Recipe {
        package: Package { name: name.to_owned(), version: Some(version.to_owned()) },
        source: Source::Package(purl.clone()),
        environment,
        build: Build {
            steps: vec![step(Compressor::Zlib)],
            env: BTreeMap::new(),
            program: Vec::new(),
            source_date_epoch: EpochRule::Unset,
            deterministic: false,
            loopback: false,
        },
        outputs: Outputs { directory: None, paths: vec![file.to_string()], set_id: false, nar: None },
        limits: Limits::default(),
        pinned: BTreeMap::new(),
        dependencies: Dependencies::default(),
    }
}

#[cfg(test)]
mod tests {
    use reprove_model::{Debian, DigestSet};
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
    fn the_times_and_the_manifest_say_which_cargo() {
        let form = |author, written, names_targets| {
            let Form { tool, compressors } =
                Form::new(Duration::from_secs(author), Duration::from_secs(written), names_targets);
            (tool, compressors.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let now = 1_153_704_088;
        for names_targets in [false, true] {
            let newest = vec!["zlib-rs 0.6.8".to_owned(), "zlib-rs 0.5.2".to_owned()];
            assert_eq!(form(now, now, names_targets), ("cargo-web", newest));
            assert_eq!(form(7, 7, names_targets), ("cargo", vec!["zlib".to_owned()]));
        }
        assert_eq!(form(now, 1, true), ("cargo-web", vec!["zlib".to_owned(), "zlib-rs 0.5.2".to_owned()]));
        assert_eq!(form(now, 1, false), ("cargo", vec!["zlib".to_owned()]));
    }

    #[test]
    fn only_what_cargo_wrote_about_the_package_names_its_targets() {
        assert!(names_targets(b"[package]\nname = \"a\"\nautobins = false\n"));
        for manifest in [
            b"[package]\nname = \"a\"\ndescription = \"autobins = false\"\n".as_slice(),
            b"[package.metadata]\nautobins = false\n",
            b"autobins = false\n",
            b"package = 1\n",
            b"[package]\nautobins = false\n[package]\n",
            b"[package]\nautobins = false\n#\xff",
        ] {
            assert!(!names_targets(manifest), "{}", String::from_utf8_lossy(manifest));
        }
    }

    #[test]
    fn a_crate_without_its_authors_manifest_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let manifest = |text: &[u8]| {
            let (digest, size) = store.add_bytes(text).unwrap();
            UnpackedEntry { node: Node::File { mode: 0o644, size, digest }, modified: CARGO_TIME }
        };
        let (long, longest) = (vec![b'\n'; 4_194_305], vec![b'\n'; 4_194_304]);
        let form = |files: &[(&str, &[u8])]| {
            let entries = files.iter().map(|(name, text)| (TreePath::new(*name).unwrap(), manifest(text))).collect();
            form_of(&Unpacked { entries }, &store, &"a-1.0.0.crate".parse().unwrap())
        };
        for one in ["Cargo.toml", "Cargo.toml.orig"] {
            assert!(matches!(form(&[(one, b"")]), Err(InputsError::NoAuthorsManifest(_))), "{one}");
        }
        assert!(form(&[("Cargo.toml", &longest), ("Cargo.toml.orig", b"")]).is_ok());
        assert!(form(&[("Cargo.toml", &long), ("Cargo.toml.orig", b"")]).is_err());
    }

    #[test]
    fn each_way_has_what_it_needs_and_nothing_else() {
        let input = |name: String, role, purl: Option<&str>| {
            let content = Content::File { digest: DigestSet::of(b""), size: 0 };
            Input { name: name.parse().unwrap(), role, purl: purl.map(|purl| purl.parse().unwrap()), content }
        };
        let purl: PackageUrl = "pkg:cargo/a@1.0.0".parse().unwrap();
        let mut inputs = vec![input("a-1.0.0.crate".into(), Role::Source, Some("pkg:cargo/a@1.0.0"))];
        inputs.push(input(SCRIPT_NAME.into(), Role::Tool, None));
        let compressors = &[Compressor::ZlibRs6, Compressor::ZlibRs5, Compressor::Zlib];
        let needed: BTreeSet<_> = compressors.iter().flat_map(|each| each.crates()).collect();
        inputs.extend(needed.iter().map(|(name, version)| {
            input(tool_name(name, version), Role::Tool, Some(&format!("pkg:cargo/{name}@{version}")))
        }));
        let environment = Debian { debian: "bookworm".into(), packages: vec!["cargo-web".into()] };
        let name = "a-1.0.0.crate".parse().unwrap();
        let recipe = recipe(("a", "1.0.0"), &purl, Environment::Debian(environment), &name);
        let digest = DigestSet::of(b"");
        let package = LockedPackage {
            name: "cargo-web".into(),
            version: "1.96.0".into(),
            architecture: "amd64".into(),
            size: 0,
            blake3: digest.blake3,
            sha256: digest.sha256,
        };
        let published =
            Published { purl: Some(purl), name, digest, size: 0, derived: BTreeSet::new(), parts: BTreeSet::new() };
        let ways = Crate { recipe, inputs, packages: vec![package], published, compressors }.ways();
        let told: Vec<_> = ways.iter().map(|(name, way)| (name.as_str(), way.inputs.len())).collect();
        let names = ["cargo-web 1.96.0, zlib-rs 0.6.8", "cargo-web 1.96.0, zlib-rs 0.5.2", "cargo-web 1.96.0, zlib"];
        assert_eq!(told, [(names[0], 6), (names[1], 10), (names[2], 2)]);
        assert!(ways[1].1.inputs.iter().any(|input| input.name.as_str() == "zlib-rs+0.5.2.crate"));
        assert!(!ways[1].1.inputs.iter().any(|input| input.name.as_str() == "zlib-rs+0.6.8.crate"));
    }
}
