// SPDX-License-Identifier: Apache-2.0
//! `package-lock.json` and `npm-shrinkwrap.json`, and the tarballs that they name.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reprove_model::PackageUrl;
use reprove_store::Store;
use serde::Deserialize;

use super::kept::hex;
use super::{Checksum, DependencyError, Wanted, plain};
use crate::npm::{Version, refused};
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Npm, blocking};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LockFile {
    lockfile_version: u64,
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    /// It leads to a directory of the project.
    #[serde(default)]
    link: bool,
    /// It is in the tarball of the package that it lies in.
    #[serde(default)]
    in_bundle: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    dev_optional: bool,
    #[serde(default)]
    os: Vec<String>,
    #[serde(default)]
    cpu: Vec<String>,
}

/// What npm calls this machine's processor.
pub(super) fn cpu() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

const WITH_CHECKSUMS: &str = "npm install --package-lock-only, without node_modules, writes it";

/// The tarballs that a lock file names, but for those that npm leaves out on a Linux machine with such a processor.
pub(super) fn read(text: &str, cpu: &str) -> Result<Vec<Wanted>, DependencyError> {
    let clean = |error: serde_json::Error| plain(&error.to_string());
    let lock: LockFile = serde_json::from_str(text).map_err(|error| DependencyError::Unread(clean(error)))?;
    if !(2..=3).contains(&lock.lockfile_version) {
        return Err(DependencyError::OldVersion(lock.lockfile_version));
    }
    let wanted = |(place, entry): (&String, &Entry)| wanted(place, entry, cpu).transpose();
    lock.packages.iter().filter_map(wanted).collect()
}

fn wanted(place: &str, entry: &Entry, cpu: &str) -> Result<Option<Wanted>, DependencyError> {
    // Others are the project itself, and directories of it.
    let Some((_, folder)) = place.rsplit_once("node_modules/") else { return Ok(None) };
    let is_left_out = (entry.optional || entry.dev_optional) && !(fits(&entry.os, "linux") && fits(&entry.cpu, cpu));
    if entry.link || entry.in_bundle || is_left_out {
        return Ok(None);
    }
    let (name, version) = (entry.name.as_deref().unwrap_or(folder), entry.version.as_deref().unwrap_or_default());
    let shown = || plain(&format!("{name} {version}"));
    match entry.resolved.as_deref().unwrap_or("https:") {
        from if from.starts_with("git") => return Err(DependencyError::Git(shown())),
        from if !from.starts_with("https:") && !from.starts_with("http:") => {
            return Err(DependencyError::Elsewhere(shown()));
        }
        _ => {}
    }
    let sha512 = entry.integrity.as_deref().unwrap_or_default().split_ascii_whitespace();
    let sha512 = sha512.filter_map(|one| BASE64.decode(one.strip_prefix("sha512-")?).ok()?.try_into().ok()).next();
    let checksum = sha512.map(Checksum::Sha512).ok_or_else(|| DependencyError::NoChecksum(shown(), WITH_CHECKSUMS))?;
    let wrong = || DependencyError::Name(shown());
    let (scope, bare) = name.split_once('/').map_or((None, name), |(scope, bare)| (Some(scope), bare));
    let purl = PackageUrl::npm(scope, bare, version).map_err(|_| wrong())?;
    let known = Version::new(scope, bare, version).ok_or_else(wrong)?;
    // No name has this sign, so that no two packages have one file name.
    let file_name = format!("{}-{version}.tgz", known.package().trim_start_matches('@').replace('/', "+"));
    let (file_name, name) = (file_name.parse().map_err(|_| wrong())?, name.to_owned());
    Ok(Some(Wanted { name, version: version.to_owned(), file_name, purl, checksum }))
}

/// Whether one of the words is asked for, as npm reads such a list: `!` says that it is not to be this one.
fn fits(list: &[String], word: &str) -> bool {
    let (not, only): (Vec<&str>, Vec<&str>) = list.iter().map(String::as_str).partition(|one| one.starts_with('!'));
    let is_any = only.is_empty() || only.contains(&word) || only == ["any"];
    is_any && !not.iter().any(|one| one.strip_prefix('!') == Some(word))
}

const FETCHING: &str = "fetching dependencies with npm";
/// How many tarballs are fetched in one call.
const AT_ONCE: usize = 50;

/// Has npm fetch the tarballs into a cache of its own, where each is called by its SHA-512, and gives where each is, in their order.
pub(super) async fn fetch(
    npm: &Npm,
    wanted: &[Wanted],
    store: &Store,
) -> Result<(Workplace, Vec<Fetched>), InputsError> {
    let workplace = Workplace::new(store)?;
    let cache = workplace.path("cache");
    let option = format!("--cache={}", cache.display());
    for some in wanted.chunks(AT_ONCE) {
        let some: Vec<Version<'_>> = some.iter().filter_map(version).collect();
        let names: Vec<String> = some.iter().map(Version::spec).collect();
        let mut arguments = vec!["cache", "add", option.as_str()];
        arguments.extend(names.iter().map(String::as_str));
        if npm.run(FETCHING, &workplace, &arguments).await?.status.success() {
            continue;
        }
        // Which of them it was, npm does not always say.
        for version in &some {
            let finished = npm.run(FETCHING, &workplace, &["cache", "add", &option, &version.spec()]).await?;
            if !finished.status.success() {
                return Err(refused(FETCHING, finished, version));
            }
        }
    }
    let (place, path, wanted) = (workplace.clone(), cache.clone(), wanted.to_vec());
    let fetched = blocking::run(&path, move || {
        let one = |wanted: &Wanted| {
            let Checksum::Sha512(bytes) = wanted.checksum else { return Err(other(wanted)) };
            let name = hex(&bytes);
            let (Some(a), Some(b), Some(rest)) = (name.get(..2), name.get(2..4), name.get(4..)) else {
                return Err(other(wanted));
            };
            let path = cache.join("_cacache/content-v2/sha512").join(a).join(b).join(rest);
            if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
                Fetched::check(wanted.file_name.clone(), &path, None)
            } else {
                Err(other(wanted))
            }
        };
        let fetched = wanted.iter().map(one).collect::<Result<Vec<_>, _>>();
        drop(place);
        fetched
    });
    let fetched = fetched.await?;
    Ok((workplace, fetched))
}

fn version(wanted: &Wanted) -> Option<Version<'_>> {
    let (scope, name) =
        wanted.name.split_once('/').map_or((None, wanted.name.as_str()), |(scope, bare)| (Some(scope), bare));
    Version::new(scope, name, &wanted.version)
}

/// The registry has the version, and gave other bytes.
fn other(wanted: &Wanted) -> InputsError {
    InputsError::Integrity(wanted.file_name.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn integrity() -> String {
        format!("sha512-{}", BASE64.encode([7; 64]))
    }

    fn lock(place: &str, entry: Json) -> String {
        json!({ "name": "own", "lockfileVersion": 3, "packages": { "": { "name": "own" }, place: entry } }).to_string()
    }

    fn names(place: &str, entry: Json) -> Vec<String> {
        read(&lock(place, entry), "x64").unwrap().into_iter().map(|wanted| wanted.file_name.to_string()).collect()
    }

    #[test]
    fn each_tarball_is_wanted_with_its_checksum() {
        let entry = json!({ "version": "1.0.0", "integrity": format!("sha1-x {}", integrity()), "license": "MIT" });
        let found = read(&lock("node_modules/a/node_modules/@b/c", entry), "x64").unwrap();
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(only.file_name.as_str(), "b+c-1.0.0.tgz");
        assert_eq!(only.purl.to_string(), "pkg:npm/%40b/c@1.0.0");
        assert_eq!(only.checksum, Checksum::Sha512([7; 64]));
        let entry =
            json!({ "name": "real", "version": "1.0.0", "resolved": "https://a.invalid/", "integrity": integrity() });
        assert_eq!(names("node_modules/alias", entry), ["real-1.0.0.tgz"]);
    }

    #[test]
    fn what_is_in_the_source_or_in_another_tarball_is_not_fetched() {
        assert!(names("packages/b", json!({ "version": "1.0.0" })).is_empty());
        assert!(names("node_modules/b", json!({ "resolved": "packages/b", "link": true })).is_empty());
        assert!(names("node_modules/a/node_modules/b", json!({ "version": "1.0.0", "inBundle": true })).is_empty());
    }

    #[test]
    fn what_npm_leaves_out_on_this_machine_is_not_fetched() {
        let of = |os: &[&str], cpu: &[&str], optional: bool| {
            let entry =
                json!({ "version": "1.0.0", "integrity": integrity(), "os": os, "cpu": cpu, "optional": optional });
            names("node_modules/a", entry).len()
        };
        assert_eq!((of(&["linux"], &["x64"], true), of(&[], &[], true), of(&["any"], &[], true)), (1, 1, 1));
        assert_eq!(
            (of(&["darwin"], &[], true), of(&["linux"], &["arm64"], true), of(&["!linux"], &[], true)),
            (0, 0, 0)
        );
        assert_eq!((of(&["!win32"], &[], true), of(&["darwin"], &[], false)), (1, 1));
    }

    #[test]
    fn what_no_checksum_settles_is_refused() {
        let error = |entry: Json| read(&lock("node_modules/a", entry), "x64").unwrap_err();
        let from = |resolved: &str| json!({ "version": "1.0.0", "resolved": resolved, "integrity": integrity() });
        for git in ["git+ssh://git@a.invalid/a.git#1", "git://a.invalid/a.git#1"] {
            assert!(matches!(error(from(git)), DependencyError::Git(name) if name == "a 1.0.0"));
        }
        assert!(matches!(error(from("file:../a.tgz")), DependencyError::Elsewhere(_)));
        for none in [json!({ "version": "1.0.0" }), json!({ "version": "1.0.0", "integrity": "sha1-eA==" })] {
            assert!(matches!(error(none), DependencyError::NoChecksum(..)));
        }
        for (name, version) in
            [("-a", "1.0.0"), ("a b", "1.0.0"), ("a", "latest"), ("a", ""), ("@a", "1.0.0"), ("a/b", "1.0.0")]
        {
            let entry = json!({ "name": name, "version": version, "integrity": integrity() });
            assert!(matches!(error(entry), DependencyError::Name(_)), "{name} {version}");
        }
        assert_eq!(read("{\"lockfileVersion\":1}", "x64"), Err(DependencyError::OldVersion(1)));
        assert_eq!(read("{\"lockfileVersion\":4}", "x64"), Err(DependencyError::OldVersion(4)));
        assert!(matches!(read("{", "x64"), Err(DependencyError::Unread(_))));
    }

    #[test]
    fn one_name_and_version_has_one_checksum() {
        let entry =
            |byte: u8| json!({ "version": "1.0.0", "integrity": format!("sha512-{}", BASE64.encode([byte; 64])) });
        let lock = |byte| {
            json!({ "lockfileVersion": 3, "packages": { "node_modules/a": entry(1), "node_modules/b/node_modules/a": entry(byte) } })
                .to_string()
        };
        let wanted = |byte| super::super::wanted(reprove_model::Ecosystem::Npm, &lock(byte));
        assert_eq!(wanted(1).unwrap().len(), 1);
        assert_eq!(wanted(2).unwrap_err(), DependencyError::Twice("pkg:npm/a@1.0.0".into()));
    }

    #[test]
    fn the_bound_on_packages_holds_on_both_sides() {
        let many = |count: usize| {
            let entry = json!({ "version": "1.0.0", "integrity": integrity() });
            let all: BTreeMap<String, Json> =
                (0..count).map(|n| (format!("node_modules/p{n}"), entry.clone())).collect();
            let text = json!({ "lockfileVersion": 3, "packages": all }).to_string();
            super::super::wanted(reprove_model::Ecosystem::Npm, &text).map(|wanted| wanted.len())
        };
        assert_eq!(many(super::super::MAX_PACKAGES), Ok(super::super::MAX_PACKAGES));
        assert_eq!(many(super::super::MAX_PACKAGES + 1), Err(DependencyError::TooMany));
    }
}
