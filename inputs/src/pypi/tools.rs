// SPDX-License-Identifier: Apache-2.0
//! The wheels of a build back end, and of the pip that installs them: resolved, fetched and checked.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use reprove_model::{InputName, Sha256};
use serde::Deserialize;

use super::backend::Backend;
use super::pip::{Before, Pip};
use super::requirement::{Requirement, is_name, is_version};
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Note, blocking, wheel};

/// One wheel of what the build uses.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// The distribution's name, as its metadata has it.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The wheel.
    pub(crate) file: Fetched,
}

impl Tool {
    /// Whether it is the pip that the build installs the others with.
    pub(crate) fn is_pip(&self) -> bool {
        self.name.eq_ignore_ascii_case("pip")
    }
}

/// What the published wheel says about the versions that made it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins {
    /// Lines of a constraints file.
    pub(crate) lines: Vec<String>,
    /// The distribution that made it, and its version.
    pub(crate) made_by: Option<(&'static str, String)>,
}

/// A set of tools that may have built something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// The newest that there were when it was uploaded.
    Before(Timestamp),
    /// The newest.
    Newest,
}

impl Set {
    /// What of an index belongs to it. What made the wheel does, whenever it was uploaded: that what it was installed beside is
    /// older is what an older set means.
    fn before(self, pins: &Pins) -> Option<Before> {
        let Self::Before(time) = self else { return None };
        let file = |(distribution, version): &(&str, String)| format!("{}-{version}-", distribution.replace('-', "_"));
        let but_for = pins.made_by.as_ref().map(file).unwrap_or_default().to_lowercase();
        Some(Before { time, but_for })
    }
}

/// Fetches what `backend` needs, at the versions of `pins` where the index has them and else as `set` says, and pip; nothing
/// where it needs nothing.
pub(crate) async fn fetch(
    backend: &Backend,
    pins: &Pins,
    set: Set,
    pip: &Pip,
    workplace: &Workplace,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Vec<Tool>, InputsError> {
    if backend.requires.is_empty() {
        return Ok(vec![]);
    }
    let mut requires = with_maker(&backend.requires, pins);
    requires.push(Requirement::any("pip"));
    let mut before = set.before(pins);
    let mut pins = pins.lines.as_slice();
    let mut resolved = resolve(&requires, pins, before.as_ref(), pip, workplace).await;
    if let Err(InputsError::NoDistribution(_)) = resolved
        && !pins.is_empty()
    {
        let pinned = pins.join(" and ");
        notes(Note::Noticed(format!("{pinned}, which made the wheel, can't be had here; the newest is taken")));
        pins = &[];
        before.iter_mut().for_each(|before| before.but_for.clear());
        requires = backend.requires.clone();
        requires.push(Requirement::any("pip"));
        resolved = resolve(&requires, pins, before.as_ref(), pip, workplace).await;
    }
    let mut resolved = resolved?;
    if needs_wheel(&resolved) {
        requires.push(Requirement::any("wheel"));
        resolved = resolve(&requires, pins, before.as_ref(), pip, workplace).await?;
    }
    notes(Note::Doing(format!("fetching {}", list(&resolved))));
    download(resolved, pip, workplace).await
}

/// What is asked for, with the version that made the wheel in place of what is said of that distribution's: a front end that
/// has a back end in itself asks for none (uv).
fn with_maker(requires: &[Requirement], pins: &Pins) -> Vec<Requirement> {
    let replaced = |requirement: &Requirement| match &pins.made_by {
        Some((distribution, version)) if requirement.is_for(distribution) => requirement.at(version),
        _ => requirement.clone(),
    };
    requires.iter().map(replaced).collect()
}

pub(crate) fn pins_of(generator: Option<&wheel::Generator>) -> (Pins, Option<String>) {
    let newest = "the newest back end that its source allows is taken";
    let Some(generator) = generator else {
        return (Pins::default(), Some(format!("the published wheel does not say what made it; {newest}")));
    };
    let name: String = generator.name.chars().filter(|c| !c.is_control()).take(100).collect();
    let Some(distribution) = generator.distribution() else {
        return (
            Pins::default(),
            Some(format!("the published wheel was made by {name:?}, which is not known; {newest}")),
        );
    };
    let Some(version) = &generator.version else {
        return (
            Pins::default(),
            Some(format!("the published wheel was made by {name}, of which version it does not say; {newest}")),
        );
    };
    let mut lines = vec![format!("{distribution}=={version}")];
    let made_by = Some((distribution, version.clone()));
    if distribution != "wheel" {
        return (Pins { lines, made_by }, None);
    }
    // From 70.1 on, setuptools uses its own command, and names itself.
    lines.push("setuptools<70.1".into());
    let note = format!(
        "the published wheel was made by wheel {version}, of which setuptools it does not say; the newest that used it is taken"
    );
    (Pins { lines, made_by }, Some(note))
}

/// One wheel of pip's report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    name: String,
    version: String,
    pub(crate) file_name: InputName,
    sha256: Sha256,
}

const RESOLVING: &str = "resolving the build back end with pip";

async fn resolve(
    requires: &[Requirement],
    pins: &[String],
    before: Option<&Before>,
    pip: &Pip,
    workplace: &Workplace,
) -> Result<Vec<Resolved>, InputsError> {
    let lines: Vec<String> = requires.iter().map(|requirement| requirement.as_str().to_owned()).collect();
    let requirements = workplace.write("requirements.txt", &lines)?;
    let constraints = workplace.write("constraints.txt", pins)?;
    let report = workplace.path("report.json");
    let mut arguments: Vec<OsString> =
        ["install", "--dry-run", "--ignore-installed", "--only-binary", ":all:"].map(OsString::from).into();
    for (option, path) in [("--report", &report), ("-r", &requirements), ("-c", &constraints)] {
        arguments.extend([OsString::from(option), path.into()]);
    }
    pip.pip(RESOLVING, workplace, before, &arguments).await?;
    blocking::run(&report.clone(), move || read_report(&read_bounded(&report)?)).await
}

/// The most wheels that one back end may need, and the longest report.
const MAX_TOOLS: usize = 200;
const MAX_REPORT: u64 = 64 << 20;

fn read_bounded(path: &Path) -> Result<Vec<u8>, InputsError> {
    let io_error = |source| InputsError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io_error)?.take(MAX_REPORT + 1).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > MAX_REPORT { Err(answer("it is too long")) } else { Ok(bytes) }
}

/// pip's installation report, as far as it is used.
#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    download_info: DownloadInfo,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    archive_info: ArchiveInfo,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    hashes: Hashes,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Option<Sha256>,
}

pub(crate) fn read_report(bytes: &[u8]) -> Result<Vec<Resolved>, InputsError> {
    let report: Report = serde_json::from_slice(bytes).map_err(|error| answer(&error.to_string()))?;
    if report.install.len() > MAX_TOOLS {
        return Err(answer(&format!("the back end needs more than {MAX_TOOLS} wheels")));
    }
    report.install.into_iter().map(read_item).collect()
}

fn read_item(item: Item) -> Result<Resolved, InputsError> {
    let Metadata { name, version } = item.metadata;
    if !is_name(&name) || !is_version(&version) {
        return Err(answer("a distribution in it has no proper name and version"));
    }
    let url = item.download_info.url;
    let path = url.split(['?', '#']).next().unwrap_or(&url);
    let file_name: InputName = decode(path.rsplit('/').next().unwrap_or(path)).try_into()?;
    if !file_name.as_str().ends_with(".whl") {
        return Err(answer(&format!("{file_name} is no wheel")));
    }
    let sha256 = item.download_info.archive_info.hashes.sha256;
    let sha256 = sha256.ok_or_else(|| answer(&format!("the index gives no SHA-256 for {file_name}")))?;
    Ok(Resolved { name, version, file_name, sha256 })
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(why: &str) -> InputsError {
    InputsError::Answer { doing: RESOLVING, why: why.to_owned() }
}

/// setuptools before 70.1 asks for `wheel` only once it runs.
fn needs_wheel(resolved: &[Resolved]) -> bool {
    let before = |version: &str| {
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (70, 1)
    };
    let old = resolved.iter().any(|tool| tool.name == "setuptools" && before(&tool.version));
    old && !resolved.iter().any(|tool| tool.name == "wheel")
}

fn list(resolved: &[Resolved]) -> String {
    let names: Vec<String> = resolved.iter().map(|tool| format!("{} {}", tool.name, tool.version)).collect();
    names.join(", ")
}

/// The line that names one wheel in a requirements file.
pub(crate) fn locked_line(tool: &Resolved) -> String {
    format!("{}=={} --hash=sha256:{}", tool.name, tool.version, tool.sha256)
}

async fn download(resolved: Vec<Resolved>, pip: &Pip, workplace: &Workplace) -> Result<Vec<Tool>, InputsError> {
    let lines: Vec<String> = resolved.iter().map(locked_line).collect();
    let locked = workplace.write("locked.txt", &lines)?;
    let mut arguments: Vec<OsString> =
        ["download", "--no-deps", "--require-hashes", "--only-binary", ":all:"].map(OsString::from).into();
    arguments.extend(["-r".into(), locked.into(), "--dest".into(), workplace.path("files").into_os_string()]);
    pip.pip("fetching the build back end with pip", workplace, None, &arguments).await?;
    let workplace = workplace.clone();
    let files = workplace.path("files");
    let check = move |tool: Resolved| {
        let path = workplace.file(tool.file_name.as_str());
        let file = Fetched::check(tool.file_name, &path, Some(tool.sha256))?;
        Ok::<_, InputsError>(Tool { name: tool.name, version: tool.version, file })
    };
    blocking::run(&files, move || resolved.into_iter().map(check).collect()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins_for(name: &str, version: Option<&str>) -> (Vec<String>, bool) {
        let generator = wheel::Generator { name: name.into(), version: version.map(str::to_owned) };
        let (pins, note) = pins_of(Some(&generator));
        (pins.lines, note.is_some())
    }

    #[test]
    fn a_generator_pins_its_distribution() {
        assert_eq!(pins_for("flit", Some("4.1.0")), (vec!["flit_core==4.1.0".into()], false));
        assert_eq!(pins_for("uv", Some("0.8.0")), (vec!["uv_build==0.8.0".into()], false));
        let old = vec!["wheel==0.38.4".to_owned(), "setuptools<70.1".into()];
        assert_eq!(pins_for("bdist_wheel", Some("0.38.4")), (old, true));
        assert_eq!(pins_for("meson", None), (vec![], true));
        assert_eq!(pins_for("mine", Some("1")), (vec![], true));
        assert!(pins_of(None).1.is_some());
    }

    #[test]
    fn what_made_a_wheel_is_in_every_set() {
        let time: Timestamp = "2020-06-01T00:00:00Z".parse().unwrap();
        let but_for = |name, version: &str| {
            let pins = Pins { lines: vec![], made_by: Some((name, version.to_owned())) };
            Set::Before(time).before(&pins).unwrap().but_for
        };
        assert_eq!(but_for("wheel", "0.40.0"), "wheel-0.40.0-");
        assert_eq!(but_for("poetry-core", "1.9.0RC1"), "poetry_core-1.9.0rc1-");
        assert_eq!(Set::Before(time).before(&Pins::default()), Some(Before { time, but_for: String::new() }));
        assert_eq!(Set::Newest.before(&Pins::default()), None);
    }

    fn report(name: &str, version: &str, url: &str) -> Result<Vec<Resolved>, InputsError> {
        let hash = "0".repeat(64);
        read_report(
            format!(
                r#"{{"version":"1","install":[{{"metadata":{{"name":"{name}","version":"{version}","x":1}},
                "download_info":{{"url":"{url}","archive_info":{{"hash":"","hashes":{{"sha256":"{hash}"}}}}}}}}]}}"#
            )
            .as_bytes(),
        )
    }

    #[test]
    fn a_report_gives_names_and_digests_and_no_address() {
        let found = report("a", "1+x", "file:///w/a-1%2Bx-py3-none-any.whl#sha256=00").unwrap();
        assert_eq!(found[0].file_name.as_str(), "a-1+x-py3-none-any.whl");
        for (name, version, url) in [
            ("a b", "1", "file:///a.whl"),
            ("a", "1 --pre", "file:///a.whl"),
            ("a", "1", "file:///a.tar.gz"),
            ("a", "1", "file:///x/..%2Fa.whl"),
            ("a", "1", "file:///x/"),
            ("a", "1", "file:///x/$(a).whl"),
        ] {
            assert!(report(name, version, url).is_err(), "{name} {version} {url}");
        }
        assert!(read_report(br#"{"install":[{}]}"#).is_err());
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let many = |n: usize| {
            let item = format!(
                r#"{{"metadata":{{"name":"a","version":"1"}},
                "download_info":{{"url":"a.whl","archive_info":{{"hashes":{{"sha256":"{}"}}}}}}}}"#,
                "0".repeat(64)
            );
            read_report(format!(r#"{{"install":[{}]}}"#, vec![item; n].join(",")).as_bytes())
        };
        assert_eq!(many(MAX_TOOLS).unwrap().len(), MAX_TOOLS);
        assert!(many(MAX_TOOLS + 1).unwrap_err().to_string().contains("more than 200 wheels"));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_REPORT).unwrap();
        assert_eq!(read_bounded(file.path()).unwrap().len() as u64, MAX_REPORT);
        file.as_file().set_len(MAX_REPORT + 1).unwrap();
        assert!(matches!(read_bounded(file.path()), Err(InputsError::Answer { .. })));
    }

    #[test]
    fn old_setuptools_gets_wheel() {
        let tool = |name: &str, version: &str| Resolved {
            name: name.into(),
            version: version.into(),
            file_name: "a.whl".parse().unwrap(),
            sha256: Sha256::of(b""),
        };
        assert!(needs_wheel(&[tool("setuptools", "70.0.0")]));
        assert!(!needs_wheel(&[tool("setuptools", "70.1.0")]));
        assert!(!needs_wheel(&[tool("setuptools", "69.5"), tool("wheel", "0.43.0")]));
        assert!(!needs_wheel(&[tool("flit_core", "3.12.0")]));
    }

    #[test]
    fn percent_codes_are_undone_once() {
        assert_eq!(decode("a%2Bb%252B%zz%"), "a+b%2B%zz%");
    }
}
