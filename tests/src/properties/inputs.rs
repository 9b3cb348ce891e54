// SPDX-License-Identifier: Apache-2.0
//! What a package index, a published archive, pip and Git say.

use std::collections::BTreeMap;

use reprove_inputs::fuzzing;
use reprove_model::{Ecosystem, PackageUrl, Recipe, TreePath};

use super::{assert_plain, split};

/// The recipe for any back end is a valid one, and each requirement is as [`requirement`] has it.
pub(super) fn pyproject(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let source = "pkg:pypi/demo@1.0".parse().unwrap();
    if let Ok((recipe, lines)) = fuzzing::pyproject(text, source) {
        recipe.check().unwrap();
        lines.iter().for_each(|line| one_requirement(line));
    }
}

/// A project with one file, whose name is the first line and whose text is the rest, has a recipe that is read, or none; no
/// text of its makes that an error, and no note does anything to a terminal.
pub(super) fn first_recipe(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (name, text) = text.split_once('\n').unwrap_or((text, ""));
    if let Some((recipe, notes)) = fuzzing::first_recipe(name, text).unwrap() {
        Recipe::from_toml(&recipe).unwrap();
        notes.iter().for_each(|note| assert_plain(note));
    }
}

/// A requirement, once written, is read as itself; and its line can't be anything else to pip: no option, file, URL,
/// comment or environment variable, nor a second line.
pub(super) fn requirement(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(line) = fuzzing::requirement(text) {
        one_requirement(&line);
    }
}

fn one_requirement(line: &str) {
    assert_eq!(fuzzing::requirement(line).as_deref().ok(), Some(line));
    assert_plain(line);
    assert!(line.starts_with(|c: char| c.is_ascii_alphanumeric()));
    assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b) && !b"@/\\#$`{}|&%?:".contains(&b)), "{line:?}");
}

/// Every wheel of a report has a file name that ends in `.whl`, and a line that names one version and one digest alone.
pub(super) fn pip_report(bytes: &[u8]) {
    if let Ok(found) = fuzzing::pip_report(bytes) {
        for (line, file_name) in found {
            assert!(file_name.as_str().ends_with(".whl"));
            let (requirement, digest) = line.split_once(" --hash=sha256:").unwrap();
            assert!(digest.len() == 64 && requirement.contains("=="), "{line:?}");
            assert!(requirement.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+!=".contains(&b)), "{line:?}");
        }
    }
}

/// What is said about a release does nothing to a terminal.
pub(super) fn release(bytes: &[u8]) {
    if let Err(error) = fuzzing::release(bytes) {
        assert_plain(&error.to_string());
    }
}

/// Each recipe that a tarball's form gives is a valid one, and what is said of it does nothing to a terminal.
pub(super) fn npm_form(bytes: &[u8]) {
    match fuzzing::npm_form(bytes) {
        Ok(recipes) => {
            assert!(!recipes.is_empty());
            recipes.iter().for_each(|recipe| recipe.check().unwrap());
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// The recipe of what Bazel says is a valid one, and what is wrong does nothing to a terminal.
pub(super) fn bazel_action(bytes: &[u8]) {
    match fuzzing::bazel_action(bytes) {
        Ok(recipe) => {
            recipe.check().unwrap();
            assert_eq!((recipe.build.steps.len(), recipe.outputs.directory.is_some()), (3, true));
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// The recipe of a derivation is a valid one of a store's, and what is wrong does nothing to a terminal.
pub(super) fn derivation(bytes: &[u8]) {
    match fuzzing::derivation(bytes) {
        Ok(recipe) => {
            recipe.check().unwrap();
            assert!(recipe.build.steps.is_empty() && recipe.outputs.nar.is_some());
            assert!(recipe.outputs.paths.iter().all(|path| TreePath::new(path.as_str()).is_ok()));
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What npm says of a version does nothing to a terminal.
pub(super) fn npm_view(bytes: &[u8]) {
    if let Err(error) = fuzzing::npm_view(bytes) {
        assert_plain(&error.to_string());
    }
}

/// As [`dependencies`].
pub(super) fn cargo_lock(bytes: &[u8]) {
    dependencies(Ecosystem::Cargo, bytes, ".crate");
}

/// As [`dependencies`].
pub(super) fn npm_lock(bytes: &[u8]) {
    dependencies(Ecosystem::Npm, bytes, ".tgz");
}

/// Each package that a lock file names has a file of its own, sorted, and a version; and what is wrong does nothing to a terminal.
fn dependencies(ecosystem: Ecosystem, bytes: &[u8], end: &str) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match fuzzing::dependencies(ecosystem, text) {
        Ok(found) => {
            assert!(found.iter().all(|(name, purl)| name.as_str().ends_with(end) && purl.version().is_some()));
            assert!(found.is_sorted_by(|(a, _), (b, _)| a < b));
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// Each line that is taken is one version with a hash, can be nothing else to pip, and is in order; and what is wrong does
/// nothing to a terminal.
pub(super) fn pip_requirements(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match fuzzing::requirements(text) {
        Ok(found) => {
            assert!(found.is_sorted_by(|a, b| (&a.0, &a.1) <= (&b.0, &b.1)));
            for (name, version, hashes) in found {
                assert!(hashes > 0);
                assert_eq!(
                    fuzzing::requirement(&format!("{name}=={version}")).ok(),
                    Some(format!("{name}=={version}"))
                );
                assert!(PackageUrl::pypi(&name, &version, None).is_ok());
            }
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// Each package that apt would fetch can be locked, and what is wrong does nothing to a terminal.
pub(super) fn apt_packages(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match fuzzing::apt_packages(text) {
        Ok(packages) => assert!(packages.iter().all(|package| package.is_possible() && package.file_name().is_some())),
        Err(why) => assert_plain(&why),
    }
}

/// What apt is asked for begins with a name, and means nothing else to it; what is put on top of a changelog is one entry.
pub(super) fn build_info(bytes: &[u8]) {
    match fuzzing::build_info(bytes, "1.0-1+b1") {
        Ok((specs, changes)) => {
            let is_word = |spec: &String| !spec.contains(|c: char| !c.is_ascii_graphic()) && !spec.starts_with('-');
            assert!(!specs.is_empty() && specs.iter().all(|spec| is_word(spec) && spec.contains('=')));
            changes.iter().for_each(|text| assert_one_entry(text));
        }
        Err(why) => assert_plain(&why.to_string()),
    }
}

/// What is put on top of a changelog is one entry, and of that version.
pub(super) fn binary_only_changes(bytes: &[u8]) {
    if let Some(text) = fuzzing::binary_only_changes(bytes, "1.0-1+b1") {
        assert_one_entry(&text);
    }
}

fn assert_one_entry(text: &str) {
    assert!(text.starts_with("demo (1.0-1+b1) ") && text.ends_with("\n\n"), "{text:?}");
    assert_eq!(text.lines().filter(|line| line.starts_with(" -- ")).count(), 1, "{text:?}");
    assert_eq!(text.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).count(), 1, "{text:?}");
}

/// A promise is of the crate and version that was asked for, and a comment behind it changes none.
pub(super) fn crate_digest(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Some(promised) = fuzzing::crate_digest(text, "demo", "1.0.0") {
        let more = format!("{text}\n# more\n");
        assert_eq!(fuzzing::crate_digest(&more, "demo", "1.0.0"), Some(promised));
        assert_eq!(fuzzing::crate_digest(text, "demo", "no-version"), None);
    }
}

/// What a manifest says is said with a comment behind it as well, and not where something behind it is no TOML.
pub(super) fn cargo_manifest(bytes: &[u8]) {
    if fuzzing::cargo_manifest(bytes) {
        assert!(fuzzing::cargo_manifest(&[bytes, b"\n# more\n"].concat()));
        assert!(!fuzzing::cargo_manifest(&[bytes, b"\n]"].concat()));
    }
}

/// A question for a token has nothing in it that ends a line or does something to a terminal, and says no more than the server.
pub(super) fn bearer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for part in fuzzing::bearer(&text).into_iter().flatten() {
        assert!(part.chars().all(|c| c.is_ascii_graphic() || c == ' ') && text.contains(&part), "{part:?}");
    }
}

/// What is read of an image's documents has nothing in it that does something to a terminal, nor has what is said of them.
pub(super) fn image_documents(bytes: &[u8]) {
    let artifact = fuzzing::image_artifact(bytes).map(Option::unwrap_or_default);
    for read in fuzzing::image_documents(bytes).into_iter().chain([artifact]) {
        match read {
            Ok(text) => assert_plain(&text),
            Err(error) => assert_plain(&error.to_string()),
        }
    }
}

/// The constraints that a wheel gives name one version of one distribution each; what is told does nothing to a terminal.
pub(super) fn wheel_pins(bytes: &[u8]) {
    if let Ok((lines, note)) = fuzzing::wheel_pins(bytes) {
        for line in lines {
            assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+!=<".contains(&b)), "{line:?}");
        }
        note.iter().for_each(|note| assert_plain(note));
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Packing {
    head: String,
    #[serde(rename = "members")]
    _members: BTreeMap<String, Member>,
}

#[derive(serde::Deserialize)]
struct Member {
    #[serde(rename = "time")]
    _time: String,
    #[serde(rename = "user")]
    _user: u64,
    #[serde(rename = "group")]
    _group: u64,
}

/// What is put in of a source archive is a gzip header, and a number for each time and owner.
pub(super) fn sdist_packing(bytes: &[u8]) {
    let Ok(json) = fuzzing::sdist_packing(bytes) else { return };
    let packing: Packing = serde_json::from_slice(&json).unwrap();
    assert!(packing.head.starts_with("1f8b08") && packing.head.len().is_multiple_of(2));
}

/// What Git lists is in the list, with the directories above it and whatever is below it.
pub(super) fn git_files(bytes: &[u8]) {
    let (list, other) = split(bytes);
    for name in list.split(|&b| b == 0).take(32) {
        let mut path = TreePath::new(name.strip_suffix(b"/").unwrap_or(name)).ok();
        if let Some(below) = path.as_ref().and_then(|path| path.join(b"below").ok()) {
            assert!(fuzzing::git_lists(list, &below));
        }
        while let Some(above) = path {
            assert!(fuzzing::git_lists(list, &above), "{above}");
            path = above.parent();
        }
    }
    if let Ok(path) = TreePath::new(other) {
        let listed = |path: &[u8]| list.split(|&b| b == 0).any(|name| name.strip_suffix(b"/").unwrap_or(name) == path);
        let below = list.split(|&b| b == 0).any(|name| name.starts_with(&[other, b"/"].concat()));
        let above = std::iter::successors(Some(path.clone()), TreePath::parent).any(|path| listed(path.as_bytes()));
        assert_eq!(fuzzing::git_lists(list, &path), below || above, "{path}");
    }
}
