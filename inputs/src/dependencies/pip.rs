// SPDX-License-Identifier: Apache-2.0
//! A requirements file, and the files of the packages that it names.
//!
//! A line has the hashes of all files of a version, for every machine and Python. Which of them a build installs depends on the
//! Pythons that it has, which are told by its root filesystem; a marker, too. Nothing but what that takes is fetched: a wheel
//! where there is one that fits, and else the source archive, which the build has to build.

mod requirements;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use reprove_model::{Content, Digest, Input, InputName, PackageUrl};
use reprove_store::Store;
use serde::{Deserialize, Serialize};

use self::requirements::Pin;
pub(crate) use self::requirements::read;
use super::kept::{self, Choice};
use super::{Checksum, DependencyError, Wanted, plain};
use crate::workplace::{Fetched, MAX_FILE, Workplace, failed};
use crate::{InputsError, Note, Pip, blocking};

/// What a build has that decides which files pip takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pythons {
    /// The second numbers of its Pythons 3.
    pub minors: Vec<u8>,
    /// The second number of its C library, which is glibc 2; none where it is another.
    pub glibc: Option<u8>,
}

/// How many lines are fetched in one call.
const AT_ONCE: usize = 50;
const FETCHING: &str = "fetching dependencies with pip";

/// The files that a build installs of what the lines name, out of the store where they are there.
pub(super) async fn inputs(
    (file, text): (&str, &str),
    pip: &Pip,
    pythons: &Pythons,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Vec<Input>, InputsError> {
    let bad = |source| InputsError::Dependencies { file: file.to_owned(), source };
    let pins = read(text).map_err(bad)?;
    if pins.is_empty() {
        return Ok(Vec::new());
    }
    if pythons.minors.is_empty() {
        return Err(bad(DependencyError::NoPython));
    }
    let glibc = pythons.glibc.ok_or_else(|| bad(DependencyError::NoGlibc))?;
    let (from, of) = (store.clone(), pythons.clone());
    let (mut found, missing) = blocking::run(store.root(), move || there(&from, pins, &of)).await?;
    if !missing.is_empty() {
        let count = missing.len();
        notes(Note::Doing(format!("fetching {count} packages that the source depends on, with pip")));
    }
    for pins in missing.chunks(AT_ONCE) {
        let request = Request { pins, minors: &pythons.minors, glibc, machine: std::env::consts::ARCH };
        found.extend(fetch(file, &request, pythons, pip, store).await?);
    }
    let is_sdist = |input: &&Input| !input.name.as_str().ends_with(".whl");
    for input in found.iter().filter(is_sdist) {
        let name = &input.name;
        notes(Note::Noticed(format!("{name} has no wheel for the build's Python: the build has to make one of it")));
    }
    Ok(each_once(found))
}

/// The inputs, sorted, each once: two lines may be one version, spelt in two ways. Which of them counts does not depend on what
/// was there before.
fn each_once(mut found: Vec<Input>) -> Vec<Input> {
    found.sort_by_cached_key(|input| (input.name.clone(), input.purl.as_ref().map(ToString::to_string)));
    found.dedup_by(|b, a| a.name == b.name && a.content == b.content);
    found
}

/// The inputs of those lines whose files are in the store, and the other lines.
fn there(store: &Store, pins: Vec<Pin>, pythons: &Pythons) -> Result<(Vec<Input>, Vec<Pin>), InputsError> {
    let (mut inputs, mut missing) = (Vec::new(), Vec::new());
    for pin in pins {
        let chosen = kept::choice(store, &key(&pin, pythons)?).filter(|choice| is_of(choice, &pin));
        let wanted = chosen.map(|choice| choice.into_iter().map(|(name, sha256)| wanted(&pin, name, sha256)).collect());
        let Some(wanted) = wanted.transpose()? else {
            missing.push(pin);
            continue;
        };
        match kept::find(store, wanted)? {
            (found, lost) if lost.is_empty() => inputs.extend(found),
            _ => missing.push(pin),
        }
    }
    Ok((inputs, missing))
}

/// Whether the line has the hash of each file.
fn is_of(choice: &Choice, pin: &Pin) -> bool {
    choice.iter().all(|(_, sha256)| pin.hashes.contains(sha256))
}

/// By what it is remembered what is taken of a line.
fn key(pin: &Pin, pythons: &Pythons) -> Result<Digest, InputsError> {
    let all = serde_json::to_vec(&("reprove pip 1", pin, pythons, std::env::consts::ARCH));
    Ok(Digest::of(&all.map_err(|error| answer(&error.to_string()))?))
}

fn wanted(pin: &Pin, file_name: InputName, sha256: reprove_model::Sha256) -> Result<Wanted, InputsError> {
    let Pin { name, version, .. } = pin;
    let purl = PackageUrl::pypi(name, version, Some(file_name.as_str()))?;
    let (name, version) = (name.clone(), version.clone());
    Ok(Wanted { name, version, file_name, purl, checksum: Checksum::Sha256(sha256) })
}

/// What the script is asked.
#[derive(Serialize)]
struct Request<'a> {
    pins: &'a [Pin],
    minors: &'a [u8],
    glibc: u8,
    machine: &'a str,
}

/// What it prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", deny_unknown_fields)]
enum Answer {
    Found { packages: Vec<Vec<Named>> },
    NothingFits { name: String, version: String, files: Vec<String> },
    BadMarker { name: String, marker: String },
    NoPip,
    OldPip { version: String },
    TooLarge { name: String },
    Unreachable { why: String },
    FullDisk,
}

/// A file that was fetched: its name, and what it is called in the workplace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    number: u32,
}

/// Has pip's own finder find the files, and its session fetch them; keeps them, and which they are.
async fn fetch(
    file: &str,
    request: &Request<'_>,
    pythons: &Pythons,
    pip: &Pip,
    store: &Store,
) -> Result<Vec<Input>, InputsError> {
    let workplace = Workplace::new(store)?;
    let path = workplace.path("request.json");
    let whole = serde_json::json!({
        "pins": request.pins, "minors": request.minors, "glibc": request.glibc, "machine": request.machine,
        "directory": workplace.path("files"), "most": MAX_FILE,
    });
    fs::write(&path, whole.to_string()).map_err(|source| InputsError::Io { path: path.clone(), source })?;
    let script = concat!(include_str!("../pypi/index.py"), include_str!("pip/fetch.py"));
    let finished = pip.run(FETCHING, &workplace, [OsString::from("-c"), script.into(), path.into()]).await?;
    if !finished.status.success() {
        return Err(failed(FETCHING, finished));
    }
    let packages = packages(&finished.stdout, file, &pip.python)?;
    if packages.len() != request.pins.len() {
        return Err(answer("it has not as many packages as were asked for"));
    }
    let (to, pins, pythons, file) = (store.clone(), request.pins.to_vec(), pythons.clone(), file.to_owned());
    blocking::run(store.root(), move || {
        let one = |(pin, files): (Pin, Vec<Named>)| keep(&file, &pin, files, &pythons, &workplace, &to);
        Ok::<_, InputsError>(pins.into_iter().zip(packages).map(one).collect::<Result<Vec<_>, _>>()?.concat())
    })
    .await
}

/// Keeps the files of one line, where it has the hash of each.
fn keep(
    file: &str,
    pin: &Pin,
    files: Vec<Named>,
    pythons: &Pythons,
    workplace: &Workplace,
    store: &Store,
) -> Result<Vec<Input>, InputsError> {
    let (mut inputs, mut choice) = (Vec::new(), Choice::new());
    for Named { name, number } in files {
        let name: InputName = name.parse()?;
        let fetched = Fetched::check(name.clone(), &workplace.file(&number.to_string()), None)?;
        if !pin.hashes.contains(&fetched.digest.sha256) {
            let source = DependencyError::OtherBytes(name.to_string());
            return Err(InputsError::Dependencies { file: file.to_owned(), source });
        }
        let wanted = wanted(pin, name.clone(), fetched.digest.sha256)?;
        fetched.keep(store)?;
        kept::note(store, &wanted, &fetched)?;
        inputs.push(wanted.input(Content::File { digest: fetched.digest, size: fetched.size }));
        choice.push((name, fetched.digest.sha256));
    }
    kept::note_choice(store, &key(pin, pythons)?, &choice)?;
    Ok(inputs)
}

fn packages(stdout: &[u8], file: &str, python: &Path) -> Result<Vec<Vec<Named>>, InputsError> {
    let said = serde_json::from_slice(stdout).map_err(|error| answer(&error.to_string()))?;
    Err(match said {
        Answer::Found { packages } => return Ok(packages),
        Answer::NothingFits { name, version, files } => {
            let (name, files) = (plain(&format!("{name} {version}")), files.iter().map(|name| plain(name)).collect());
            InputsError::Dependencies { file: file.to_owned(), source: DependencyError::NothingFits { name, files } }
        }
        Answer::BadMarker { name, marker } => {
            let source = DependencyError::Marker { name: plain(&name), marker: plain(&marker) };
            InputsError::Dependencies { file: file.to_owned(), source }
        }
        Answer::NoPip => InputsError::NoPip(python.to_owned()),
        Answer::OldPip { version } => InputsError::OldPip { python: python.to_owned(), version: plain(&version) },
        Answer::TooLarge { name } => InputsError::TooLarge { name: plain(&name), most: MAX_FILE },
        Answer::Unreachable { why } => InputsError::Unreachable(plain(&why)),
        Answer::FullDisk => InputsError::FullDisk(nix::errno::Errno::ENOSPC.into()),
    })
}

fn answer(why: &str) -> InputsError {
    InputsError::Answer { doing: FETCHING, why: plain(why) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const PYTHONS: Pythons = Pythons { minors: Vec::new(), glibc: Some(36) };

    #[test]
    fn of_one_version_that_is_spelt_in_two_ways_one_counts_whatever_comes_first() {
        let input = |purl: &str, bytes: &[u8]| Input {
            name: "a-1-py3-none-any.whl".parse().unwrap(),
            role: reprove_model::Role::Dependency,
            purl: Some(purl.parse().unwrap()),
            content: reprove_model::Content::File { digest: reprove_model::DigestSet::of(bytes), size: 1 },
        };
        let (short, long) = (input("pkg:pypi/a@1.0", b"a"), input("pkg:pypi/a@1.0.0", b"a"));
        assert_eq!(each_once(vec![long.clone(), short.clone()]), std::slice::from_ref(&short));
        assert_eq!(each_once(vec![short.clone(), long]), std::slice::from_ref(&short));
        // Other bytes of that name are no repetition; the runner refuses them.
        assert_eq!(each_once(vec![input("pkg:pypi/a@1.0", b"b"), short]).len(), 2);
    }

    /// Asks for `text`, of a pip that prints `said` after `before`; the names of the inputs.
    async fn asked(dir: &Path, text: &str, pythons: &Pythons, before: &str, said: &str) -> Result<Vec<String>, String> {
        let store = Store::open(&dir.join("store")).unwrap();
        let python = dir.join("python");
        fs::write(&python, format!("#!/bin/sh\n{before}\nprintf '%s' '{said}'\n")).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let pip = Pip::new(&python, "/usr/bin/python3");
        let found = inputs(("requirements.txt", text), &pip, pythons, &store, &|_| {}).await;
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|input| format!("{} {}", input.name, input.purl.unwrap())).collect())
    }

    #[tokio::test]
    async fn what_was_fetched_is_checked_and_remembered_for_the_pythons_that_it_was_fetched_for() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("A.b==1.0 --hash=sha256:{}", reprove_model::Sha256::of(b"a"));
        let said = r#"{"answer":"found","packages":[[{"name":"A.b-1.0-py3-none-any.whl","number":0}]]}"#;
        let on = |minor| Pythons { minors: vec![minor], ..PYTHONS };
        let ask = async |text: &str, minor, before: &str| asked(dir.path(), text, &on(minor), before, said).await;
        let other = ask(&text, 11, "printf b > ../files/0").await.unwrap_err();
        assert!(other.contains("A.b-1.0-py3-none-any.whl") && other.contains("nothing was kept"), "{other}");
        let expected = "A.b-1.0-py3-none-any.whl pkg:pypi/a.b@1.0?file_name=A.b-1.0-py3-none-any.whl";
        assert_eq!(ask(&text, 11, "printf a > ../files/0").await.unwrap(), [expected]);
        assert_eq!(ask(&text, 11, "exit 1").await.unwrap(), [expected]);
        assert!(ask(&text, 12, "exit 1").await.unwrap_err().contains(FETCHING));
        let both = format!("{text}\nc==1 --hash=sha256:{}", "ab".repeat(32));
        let unasked = ask(&both.replace("A.b==1.0", "A.b==2.0"), 11, "true").await.unwrap_err();
        assert!(unasked.contains("not as many"), "{unasked}");
    }

    #[tokio::test]
    async fn what_the_build_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("a==1 --hash=sha256:{}", "ab".repeat(32));
        let none = asked(dir.path(), &text, &PYTHONS, "exit 1", "").await.unwrap_err();
        assert!(none.contains("python3"), "{none}");
        let musl = Pythons { minors: vec![11], glibc: None };
        assert!(asked(dir.path(), &text, &musl, "exit 1", "").await.unwrap_err().contains("glibc"));
        assert_eq!(asked(dir.path(), "# none\n", &PYTHONS, "exit 1", "").await.unwrap(), [""; 0]);
    }

    #[test]
    fn each_answer_has_its_error() {
        for (json, text) in [
            (r#"{"answer":"nothing-fits","name":"a","version":"1","files":["a-1-cp27-none-any.whl"]}"#, "a 1"),
            (r#"{"answer":"nothing-fits","name":"a","version":"1","files":[]}"#, "has none of the files"),
            (r#"{"answer":"bad-marker","name":"a","marker":"x < 1"}"#, "only where x < 1"),
            (r#"{"answer":"no-pip"}"#, "/python has no pip"),
            (r#"{"answer":"old-pip","version":"9.0"}"#, "pip 9.0"),
            (r#"{"answer":"too-large","name":"a"}"#, "larger than"),
            (r#"{"answer":"unreachable","why":"no\u001b[31m"}"#, "no[31m"),
            (r#"{"answer":"full-disk"}"#, "No space left"),
            (r#"{"answer":"other"}"#, FETCHING),
            ("", FETCHING),
        ] {
            let error = packages(json.as_bytes(), "requirements.txt", Path::new("/python")).unwrap_err().to_string();
            assert!(error.contains(text), "{json}: {error}");
        }
    }
}
