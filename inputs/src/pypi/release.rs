// SPDX-License-Identifier: Apache-2.0
//! Finding and fetching a release's source archive, and a wheel of it.

use std::ffi::OsString;

use jiff::Timestamp;
use reprove_model::{InputName, Sha256};
use serde::Deserialize;

use super::pip::Pip;
use crate::workplace::{Fetched, MAX_FILE, Workplace, failed};
use crate::{InputsError, Note, blocking};

/// The files of a release that a rebuild is about.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// The source archive.
    pub(crate) sdist: Fetched,
    /// The wheel that is to be rebuilt; where the source archive is, the one that says what made both.
    pub(crate) wheel: Option<Fetched>,
    /// When what is to be rebuilt was uploaded, where the index says so.
    pub(crate) uploaded: Option<Timestamp>,
}

impl Release {
    /// What is to be rebuilt: the source archive or the wheel.
    pub(crate) fn published(&self, is_sdist: bool) -> &Fetched {
        self.wheel.as_ref().filter(|_| !is_sdist).unwrap_or(&self.sdist)
    }
}

/// Fetches a release's source archive and a wheel: the one called `wanted`, or else the pure one, or else the one for the
/// Python that builds run in. `name` and `version` were checked to be such.
pub(crate) async fn fetch(
    (name, version): (&str, &str),
    wanted: Option<&InputName>,
    pip: &Pip,
    workplace: &Workplace,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Release, InputsError> {
    let files = workplace.path("files");
    let most = MAX_FILE.to_string();
    let arguments =
        ["-c", concat!(include_str!("index.py"), include_str!("release.py")), name, version].map(OsString::from);
    let arguments = arguments.into_iter().chain([files.into_os_string(), most.into(), pip.interpreter.clone().into()]);
    let arguments = arguments.chain(wanted.map(|name| name.as_str().into()));
    let finished = pip.run(DOING, workplace, arguments).await?;
    if !finished.status.success() {
        return Err(failed(DOING, finished));
    }
    let Found { sdist, wheel } = found(&finished.stdout, (name, version), wanted, pip)?;
    let is_of_sdist = wanted.is_some_and(is_sdist);
    let published = wheel.as_ref().filter(|_| !is_of_sdist).unwrap_or(&sdist);
    let uploaded = published.uploaded.as_deref().and_then(|time| time.parse().ok());
    if uploaded.is_none() {
        let name = clean(&published.name);
        notes(Note::Noticed(format!("the index does not say when {name} was uploaded; the newest tools are taken")));
    }
    let sdist = sdist.check("sdist", workplace, notes).await?;
    let wheel = match wheel {
        Some(wheel) => Some(wheel.check("wheel", workplace, notes).await?),
        None => None,
    };
    Ok(Release { sdist, wheel, uploaded })
}

/// Whether that is the name of a source archive.
pub(crate) fn is_sdist(name: &InputName) -> bool {
    name.as_str().ends_with(".tar.gz")
}

const DOING: &str = "fetching the release with pip";

/// What the script prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", deny_unknown_fields)]
enum Answer {
    Found(Found),
    NoPip,
    OldPip { version: String },
    NoPackage,
    NoVersion { newest: Vec<String> },
    NoSdist { files: Vec<String> },
    NoWheel { wheels: Vec<String> },
    NoFile { files: Vec<String> },
    NotHere { name: String },
    Conflict { name: String },
    TooLarge { name: String },
    Unreachable { why: String },
    FullDisk,
}

/// The files of a release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    pub(crate) sdist: Promised,
    pub(crate) wheel: Option<Promised>,
}

/// A file as the index describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promised {
    pub(crate) name: String,
    sha256: Option<Sha256>,
    yanked: bool,
    /// RFC 3339.
    uploaded: Option<String>,
}

impl Promised {
    async fn check(
        self,
        kind: &str,
        workplace: &Workplace,
        notes: &(dyn Fn(Note) + Sync),
    ) -> Result<Fetched, InputsError> {
        if self.yanked {
            notes(Note::Noticed(format!("{} was withdrawn (yanked) by its publisher", self.name)));
        }
        if self.sha256.is_none() {
            notes(Note::Noticed(format!("the index gives no SHA-256 for {}; it was not checked", self.name)));
        }
        let name = self.name.parse()?;
        let path = workplace.file(kind);
        blocking::run(&path.clone(), move || Fetched::check(name, &path, self.sha256)).await
    }
}

pub(crate) fn found(
    stdout: &[u8],
    (name, version): (&str, &str),
    wanted: Option<&InputName>,
    pip: &Pip,
) -> Result<Found, InputsError> {
    let answer = serde_json::from_slice(stdout)
        .map_err(|error| InputsError::Answer { doing: DOING, why: clean(&error.to_string()) })?;
    let python = pip.python.clone();
    Err(match answer {
        Answer::Found(found) => return Ok(found),
        Answer::NoPip => InputsError::NoPip(python),
        Answer::OldPip { version } => InputsError::OldPip { python, version: clean(&version) },
        Answer::NoPackage => InputsError::UnknownPackage(name.into()),
        Answer::NoVersion { newest } => {
            InputsError::UnknownVersion { name: name.into(), version: version.into(), newest: clean_all(&newest) }
        }
        Answer::NoSdist { files } => InputsError::NoSdist(clean_all(&files)),
        Answer::NoWheel { wheels } => InputsError::NoWheel(clean_all(&wheels)),
        Answer::NoFile { files } => {
            let name = wanted.map(InputName::to_string).unwrap_or_default();
            InputsError::NoFile { name, files: clean_all(&files) }
        }
        Answer::NotHere { name } => InputsError::NotHere(clean(&name)),
        Answer::Conflict { name } => InputsError::Conflict(clean(&name)),
        Answer::TooLarge { name } => InputsError::TooLarge { name: clean(&name), most: MAX_FILE },
        Answer::Unreachable { why } => InputsError::Unreachable(clean(&why)),
        Answer::FullDisk => InputsError::FullDisk(nix::errno::Errno::ENOSPC.into()),
    })
}

/// Text of the index's, made harmless for a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1000).collect()
}

fn clean_all(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| clean(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Result<Found, InputsError> {
        let wanted = "a-2.tar.gz".parse().unwrap();
        found(json.as_bytes(), ("a", "1"), Some(&wanted), &Pip::new("/python", "/python"))
    }

    #[test]
    fn each_answer_has_its_error() {
        for (json, text) in [
            (r#"{"answer":"no-pip"}"#, "/python has no pip"),
            (r#"{"answer":"old-pip","version":"9.0"}"#, "pip 9.0"),
            (r#"{"answer":"no-package"}"#, "no package \"a\""),
            (r#"{"answer":"no-version","newest":["3","2"]}"#, "a has no version 1; the newest are 3, 2"),
            (r#"{"answer":"no-sdist","files":["a-1-py3-none-any.whl"]}"#, "it has a-1-py3-none-any.whl"),
            (r#"{"answer":"no-wheel","wheels":[]}"#, "the release has none"),
            (r#"{"answer":"no-file","files":["a-1.tar.gz"]}"#, "the release has no file a-2.tar.gz; it has a-1.tar.gz"),
            (
                r#"{"answer":"not-here","name":"a-1-cp27-cp27m-win32.whl"}"#,
                "a-1-cp27-cp27m-win32.whl is for another Python",
            ),
            (r#"{"answer":"conflict","name":"a-1.tar.gz"}"#, "a-1.tar.gz"),
            (r#"{"answer":"too-large","name":"a-1.tar.gz"}"#, "larger than 536870912 bytes"),
            (r#"{"answer":"unreachable","why":"no\u001b[31m"}"#, "can't be read: no[31m"),
            (r#"{"answer":"full-disk"}"#, "No space left on device"),
            (r#"{"answer":"other"}"#, "can't be read"),
            ("", "can't be read"),
        ] {
            let error = answer(json).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_digest_is_read_strictly() {
        let with = |digest: &str| {
            let file = format!(r#"{{"name":"a-1.tar.gz","sha256":{digest},"yanked":false,"uploaded":null}}"#);
            answer(&format!(r#"{{"answer":"found","sdist":{file},"wheel":{file}}}"#))
        };
        assert!(with("null").unwrap().sdist.sha256.is_none());
        assert!(with(&format!("\"{}\"", "0".repeat(64))).unwrap().sdist.sha256.is_some());
        assert!(with("\"00\"").is_err());
    }
}
