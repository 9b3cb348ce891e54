// SPDX-License-Identifier: Apache-2.0
//! `Cargo.lock`, and the crates that it names.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use reprove_model::Sha256;
use reprove_store::Store;
use serde::Deserialize;
use tokio::process::Command;

use super::{Checksum, DependencyError, Wanted, plain};
use crate::cargo::{cached, is_version};
use crate::workplace::{Fetched, Workplace, failed};
use crate::{Cargo, InputsError, blocking};

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// None: it is in the project's own directories.
    source: Option<String>,
    checksum: Option<String>,
}

/// What every version of cargo since 1.38 writes.
const WITH_CHECKSUMS: &str = "a cargo of 1.53 or newer writes it: cargo update --workspace";

/// The crates that a `Cargo.lock` names.
pub(super) fn read(text: &str) -> Result<Vec<Wanted>, DependencyError> {
    let clean = |error: toml::de::Error| error.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
    let lock: LockFile = toml::from_str(text).map_err(|error| DependencyError::Unread(clean(error)))?;
    let registries: BTreeSet<&str> = lock
        .package
        .iter()
        .filter_map(|package| package.source.as_deref()?.split_once('+'))
        .map(|(_, at)| at)
        .collect();
    let wanted = lock.package.iter().filter_map(|package| wanted(package).transpose());
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    if registries.len() > 1 {
        let names: Vec<String> = registries.into_iter().map(plain).collect();
        return Err(DependencyError::Registries(names.join(", ")));
    }
    Ok(wanted)
}

/// None where it is in the project itself.
fn wanted(package: &Package) -> Result<Option<Wanted>, DependencyError> {
    let Package { name, version, source, checksum } = package;
    let shown = || format!("{} {}", plain(name), plain(version));
    let Some(source) = source else { return Ok(None) };
    let is_sparse_or_not = source.starts_with("registry+") || source.starts_with("sparse+");
    if source.starts_with("git+") {
        return Err(DependencyError::Git(shown()));
    }
    if !is_sparse_or_not {
        return Err(DependencyError::Elsewhere(shown()));
    }
    let ok = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(ok) && name.len() <= 64;
    if !is_name || !is_version(version) {
        return Err(DependencyError::Name(shown()));
    }
    let none = || DependencyError::NoChecksum(shown(), WITH_CHECKSUMS);
    let checksum: Sha256 = checksum.as_deref().and_then(|text| text.parse().ok()).ok_or_else(none)?;
    let wrong = || DependencyError::Name(shown());
    let file_name = format!("{name}-{version}.crate").parse().map_err(|_| wrong())?;
    let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")).parse().map_err(|_| wrong())?;
    let (name, version) = (name.clone(), version.clone());
    Ok(Some(Wanted { name, version, file_name, purl, checksum: Checksum::Sha256(checksum) }))
}

const FETCHING: &str = "fetching dependencies with cargo";

/// Has cargo fetch the crates into its own home, and gives where each is, in their order.
///
/// Cargo is given an empty package that depends on every one of them in its version, and the lock file, by which it takes no other
/// versions of anything; none of the project's manifests and settings.
pub(super) async fn fetch(
    cargo: &Cargo,
    wanted: &[Wanted],
    lock_file: &str,
    store: &Store,
) -> Result<(Workplace, Vec<Fetched>), InputsError> {
    let workplace = Workplace::new(store)?;
    if let Some(fetched) = found(cargo, wanted).await? {
        return Ok((workplace, fetched));
    }
    let project = workplace.path("tmp/project");
    let write = |file: &str, text: &str| {
        let path = project.join(file);
        fs::write(&path, text).map_err(|source| InputsError::Io { path, source })
    };
    fs::create_dir_all(&project).map_err(|source| InputsError::Io { path: project.clone(), source })?;
    write("lib.rs", "")?;
    write("Cargo.toml", &manifest(wanted))?;
    write("Cargo.lock", lock_file)?;
    let mut command = Command::new(&cargo.program);
    if let Some(env) = &cargo.env {
        command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    }
    command.env("CARGO_HOME", &cargo.home).current_dir(&project).args(["fetch", "--quiet"]);
    let install = "install cargo (Debian and Ubuntu: apt install cargo)";
    let finished = workplace.run(command, FETCHING, cargo.time_limit, install).await?;
    if !finished.status.success() {
        return Err(failed(FETCHING, finished));
    }
    let missing = || {
        let why = "not each crate is where cargo keeps crates, with the checksum that the lock file has".to_owned();
        InputsError::Answer { doing: FETCHING, why }
    };
    Ok((workplace, found(cargo, wanted).await?.ok_or_else(missing)?))
}

/// The crates, where cargo has all of them.
async fn found(cargo: &Cargo, wanted: &[Wanted]) -> Result<Option<Vec<Fetched>>, InputsError> {
    let (home, wanted) = (cargo.home.clone(), wanted.to_vec());
    blocking::run(&cargo.home, move || {
        let mut all = Vec::new();
        for Wanted { file_name, checksum, .. } in wanted {
            let Checksum::Sha256(promised) = checksum else { return Ok(None) };
            let Some(path) = cached(&home, file_name.as_str(), promised) else { return Ok(None) };
            all.push(Fetched::check(file_name, &path, Some(promised))?);
        }
        Ok::<_, InputsError>(Some(all))
    })
    .await
}

fn manifest(wanted: &[Wanted]) -> String {
    let mut text = "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2018\"\n[lib]\npath = \"lib.rs\"\n\
                    [workspace]\n[dependencies]\n"
        .to_owned();
    for (number, Wanted { name, version, .. }) in wanted.iter().enumerate() {
        // A text takes whatever is written.
        let _ = writeln!(
            text,
            "d{number} = {{ package = \"{name}\", version = \"={version}\", default-features = false }}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(source: &str, rest: &str) -> String {
        format!(
            "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\"a\"]\n\
             [[package]]\nname = \"a\"\nversion = \"1.0.0+b\"\nsource = \"{source}\"\n{rest}\n"
        )
    }

    fn with_checksum(source: &str) -> String {
        lock(source, &format!("checksum = \"{}\"", Sha256::of(b"a")))
    }

    #[test]
    fn each_crate_of_a_registry_is_wanted_with_its_checksum() {
        let found = read(&with_checksum("registry+https://registry.invalid/index")).unwrap();
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(only.file_name.as_str(), "a-1.0.0+b.crate");
        assert_eq!((only.purl.to_string().as_str(), only.purl.version()), ("pkg:cargo/a@1.0.0%2Bb", Some("1.0.0+b")));
        assert_eq!(only.checksum, Checksum::Sha256(Sha256::of(b"a")));
        assert!(
            manifest(&found).ends_with("d0 = { package = \"a\", version = \"=1.0.0+b\", default-features = false }\n")
        );
        assert_eq!(read("version = 3\n").unwrap(), []);
    }

    #[test]
    fn what_no_checksum_settles_is_refused() {
        let error = |text: &str| read(text).unwrap_err();
        let git = error(&lock("git+https://a.invalid/a?rev=1#1", ""));
        assert!(matches!(&git, DependencyError::Git(name) if name == "a 1.0.0+b"), "{git}");
        assert!(matches!(error(&lock("registry+x", "")), DependencyError::NoChecksum(..)));
        assert!(matches!(error(&lock("registry+x", "checksum = \"12\"")), DependencyError::NoChecksum(..)));
        assert!(matches!(error(&with_checksum("path+x")), DependencyError::Elsewhere(_)));
        assert!(matches!(error("package = 1"), DependencyError::Unread(_)));
        let two = format!("{}{}", with_checksum("registry+x"), with_checksum("sparse+y").replace("version = 4", ""));
        assert!(matches!(error(&two), DependencyError::Registries(_)));
        for (from, to) in [("\"a\"\nversion", "\"../a\"\nversion"), ("1.0.0+b", "1"), ("1.0.0+b", "1.0.0\\\"")] {
            let text = with_checksum("registry+x").replace(from, to);
            assert!(matches!(error(&text), DependencyError::Name(_)), "{to}");
        }
    }
}
