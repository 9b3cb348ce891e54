// SPDX-License-Identifier: Apache-2.0
//! Locking Python packages with the machine's real pip: from an index in a directory, and from the real one.
#![expect(clippy::unwrap_used, reason = "a test file: its helpers fail tests")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use reprove_inputs::{InputsError, Kind, Note, Pip, pypi};
use reprove_model::{Content, Digest, DigestSet, Environment, EpochRule, Lock, LockedEnvironment, Role, Sha256};
use reprove_store::Store;
use tempfile::TempDir;

#[tokio::test]
async fn a_release_is_locked_without_running_it() {
    let index = Index::new().with_demo();
    let (lock, notes) = index.lock("pkg:pypi/Demo@1.0").await;
    let lock = lock.unwrap();
    let names: Vec<&str> = lock.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["demo-1.0.tar.gz", "hatchling-1.2.3-py3-none-any.whl", "pip-99.0-py3-none-any.whl"]);
    assert_eq!(lock.inputs.iter().filter(|input| input.role == Role::Source).count(), 1);
    for input in &lock.inputs {
        index.store().verify_blob(&input.content.digest().blake3).unwrap();
    }
    let published = lock.published.as_ref().unwrap();
    assert_eq!(published.name.as_str(), "demo-1.0-py3-none-any.whl");
    assert_eq!(published.digest, DigestSet::of(&demo_wheel()));
    index.store().verify_blob(&published.digest.blake3).unwrap();
    lock.recipe.check().unwrap();
    assert_eq!(lock.recipe.build.source_date_epoch, EpochRule::Search);
    assert!(!index.mark().exists(), "the package's own code ran");
    assert!(notes.iter().all(|note| matches!(note, Note::Doing(_))), "{notes:?}");
    let json = serde_json::to_string(&lock).unwrap();
    assert!(!json.contains("file:") && !json.contains("simple"), "{json}");
    index.has_no_temporary_files();
}

#[tokio::test]
async fn a_wrong_digest_keeps_nothing_and_says_so() {
    for wrong in ["demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl"] {
        let mut index = Index::new().with_demo();
        index.promise(wrong, Some(Sha256::of(b"something else")));
        let error = index.lock("pkg:pypi/demo@1.0").await.0.unwrap_err();
        assert!(matches!(&error, InputsError::Mismatch { name, .. } if name == wrong), "{error}");
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains("nothing was kept"), "{error}");
        assert!(index.store().open_blob(&Digest::of(&index.files[wrong].bytes)).is_err());
        assert_eq!(entries(&index.store().blob_root()), Vec::<String>::new());
        index.has_no_temporary_files();
    }
}

#[tokio::test]
async fn a_back_end_that_is_not_as_promised_is_not_used() {
    let mut index = Index::new().with_demo();
    index.promise("pip-99.0-py3-none-any.whl", Some(Sha256::of(b"something else")));
    assert!(index.lock("pkg:pypi/demo@1.0").await.0.is_err());
    index.has_no_temporary_files();
}

#[tokio::test]
async fn without_a_digest_a_note_says_that_nothing_was_checked() {
    let mut index = Index::new().with_demo();
    index.promise("demo-1.0.tar.gz", None);
    let (lock, notes) = index.lock("pkg:pypi/demo@1.0").await;
    lock.unwrap();
    let note = "the index gives no SHA-256 for demo-1.0.tar.gz; it was not checked";
    assert!(notes.contains(&Note::Noticed(note.into())), "{notes:?}");
}

#[tokio::test]
async fn a_pin_that_cannot_be_had_is_left_with_a_note() {
    let mut index = Index::new().with_demo();
    index.files.remove("hatchling-1.2.3-py3-none-any.whl");
    let (lock, notes) = index.lock("pkg:pypi/demo@1.0").await;
    let lock = lock.unwrap();
    assert!(lock.inputs.iter().any(|input| input.name.as_str() == "hatchling-1.3.0-py3-none-any.whl"));
    let noticed = |note: &Note| matches!(note, Note::Noticed(text) if text.starts_with("hatchling==1.2.3"));
    assert!(notes.iter().any(noticed), "{notes:?}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let mut index = Index::new().with_demo();
    index.add("nosdist-1.0-py3-none-any.whl", wheel("nosdist", "1.0", ""));
    index.add("nowheel-1.0.tar.gz", sdist("nowheel-1.0", ""));
    index.add("nowheel-1.0-cp311-cp311-win32.whl", wheel("nowheel", "1.0", ""));
    for (purl, text) in [
        ("pkg:pypi/demo@2.0", "demo has no version 2.0; the newest are 1.0, 0.9"),
        ("pkg:pypi/absent@1.0", "no package \"absent\""),
        ("pkg:pypi/nosdist@1.0", "it has nosdist-1.0-py3-none-any.whl"),
        ("pkg:pypi/nowheel@1.0", "the release has nowheel-1.0-cp311-cp311-win32.whl"),
        ("pkg:pypi/demo", "give one, as in pkg:pypi/demo@1.0"),
    ] {
        let error = index.lock(purl).await.0.unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(entries(&index.store().blob_root()), Vec::<String>::new());
    }
    index.has_no_temporary_files();
}

#[tokio::test]
async fn a_source_cannot_give_pip_orders() {
    let mut index = Index::new().with_demo();
    index.add("demo-1.0.tar.gz", sdist("demo-1.0", "[build-system]\nrequires = ['-r /etc/passwd']"));
    let error = index.lock("pkg:pypi/demo@1.0").await.0.unwrap_err();
    assert!(matches!(error, InputsError::Backend { .. }), "{error}");
}

#[tokio::test]
async fn an_index_that_is_not_there_is_no_missing_package() {
    let index = Index::new().with_demo();
    let mut pip = index.pip();
    let env = pip.env.get_or_insert_default();
    env.retain(|(name, _)| name != "PIP_INDEX_URL");
    env.extend([("PIP_INDEX_URL".into(), "http://127.0.0.1:1/".into()), ("PIP_RETRIES".into(), "0".into())]);
    let error = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, InputsError::Unreachable(_)), "{error}");
    assert_eq!(error.kind(), Kind::CannotHere);
}

#[tokio::test]
async fn a_python_that_cannot_help_is_named() {
    let index = Index::new().with_demo();
    let with = async |python: &Path| {
        let pip = Pip { python: python.into(), ..index.pip() };
        lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err()
    };
    let missing = with(Path::new("/nonexistent/python3")).await;
    assert!(matches!(missing, InputsError::NoProgram { .. }), "{missing}");
    let bare = index.dir.path().join("python-without-pip");
    fs::write(&bare, "#!/bin/sh\nexec /usr/bin/python3 -I -S \"$@\"\n").unwrap();
    fs::set_permissions(&bare, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let without = with(&bare).await;
    assert!(matches!(without, InputsError::NoPip(_)), "{without}");
    assert_eq!((missing.kind(), without.kind()), (Kind::CannotHere, Kind::CannotHere));
}

#[tokio::test]
async fn giving_up_leaves_nothing() {
    let index = Index::new().with_demo();
    let pip = Pip { time_limit: Duration::from_millis(20), ..index.pip() };
    let error = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, InputsError::TimeOut { .. }), "{error}");
    index.has_no_temporary_files();
    let locking = index.lock("pkg:pypi/demo@1.0");
    assert!(tokio::time::timeout(Duration::from_millis(200), locking).await.is_err());
    index.has_no_temporary_files();
}

/// Over the index that the machine's pip is set up with.
#[tokio::test]
async fn a_real_release_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let pip = Pip::new("python3", "/usr/bin/python3");
    let lock = lock_with("pkg:pypi/idna@3.20", &pip, &store, &|_| ()).await.unwrap();
    let published = lock.published.unwrap();
    let digest = "ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c";
    assert_eq!(published.digest.sha256.to_string(), digest);
    let source = lock.inputs.iter().find(|input| input.role == Role::Source).unwrap();
    let digest = "a7db850025b95ded1eae8a46181a1a6c56c92c96f0e2b005d9ff8dc0210cab44";
    assert!(matches!(source.content, Content::Archive { digest: d, .. } if d.sha256.to_string() == digest));
    let names: Vec<&str> = lock.inputs.iter().map(|input| input.name.as_str()).collect();
    assert!(names.contains(&"flit_core-4.1.0-py3-none-any.whl"), "{names:?}");
}

/// A package index in a directory, and a store beside it.
struct Index {
    dir: TempDir,
    files: BTreeMap<String, Served>,
}

struct Served {
    bytes: Vec<u8>,
    promised: Option<Sha256>,
}

impl Index {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), files: BTreeMap::new() }
    }

    /// Two versions of a package, two of the back end that builds it, and something called pip.
    fn with_demo(mut self) -> Self {
        let pyproject = "[build-system]\nrequires = ['hatchling >= 1']\nbuild-backend = 'hatchling.build'\n";
        let mut archive = tar_gz();
        add_file(&mut archive, "demo-1.0/pyproject.toml", pyproject);
        let code = format!("open({:?}, 'w').close()", self.mark());
        add_file(&mut archive, "demo-1.0/setup.py", &code);
        self.add("demo-1.0.tar.gz", archive.into_inner().unwrap().finish().unwrap());
        self.add("demo-1.0-py3-none-any.whl", demo_wheel());
        self.add("demo-0.9.tar.gz", sdist("demo-0.9", pyproject));
        for (name, version) in [("hatchling", "1.2.3"), ("hatchling", "1.3.0"), ("pip", "99.0")] {
            self.add(&format!("{name}-{version}-py3-none-any.whl"), wheel(name, version, ""));
        }
        self
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        let promised = Some(Sha256::of(&bytes));
        self.files.insert(name.into(), Served { bytes, promised });
    }

    fn promise(&mut self, name: &str, promised: Option<Sha256>) {
        self.files.get_mut(name).unwrap().promised = promised;
    }

    /// What the package's own code would make.
    fn mark(&self) -> PathBuf {
        self.dir.path().join("ran")
    }

    fn store(&self) -> Store {
        Store::open(&self.dir.path().join("store")).unwrap()
    }

    /// Writes the index as PEP 503 has it, and gives a pip that knows no other.
    fn pip(&self) -> Pip {
        let simple = self.dir.path().join("simple");
        let mut pages = BTreeMap::<&str, String>::new();
        for (name, Served { bytes, promised }) in &self.files {
            let fragment = promised.map(|digest| format!("#sha256={digest}")).unwrap_or_default();
            let page = pages.entry(name.split('-').next().unwrap()).or_default();
            page.push_str(&format!("<a href=\"../{name}{fragment}\">{name}</a>\n"));
            fs::create_dir_all(&simple).unwrap();
            fs::write(simple.join(name), bytes).unwrap();
        }
        for (project, page) in pages {
            fs::create_dir_all(simple.join(project)).unwrap();
            fs::write(simple.join(project).join("index.html"), format!("<!DOCTYPE html>\n{page}")).unwrap();
        }
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
        env.push(("HOME".into(), self.dir.path().into()));
        env.push(("PIP_CONFIG_FILE".into(), "/dev/null".into()));
        env.push(("PIP_INDEX_URL".into(), format!("file://{}", simple.display()).into()));
        Pip { env: Some(env), ..Pip::new("python3", "/usr/bin/python3") }
    }

    async fn lock(&self, purl: &str) -> (Result<Lock, InputsError>, Vec<Note>) {
        let notes = Mutex::new(vec![]);
        let note = |note| notes.lock().unwrap().push(note);
        let lock = lock_with(purl, &self.pip(), &self.store(), &note).await;
        (lock, notes.into_inner().unwrap())
    }

    /// A store that is not in use has no folder of its own in `tmp`.
    fn has_no_temporary_files(&self) {
        let left = entries(&self.dir.path().join("store/tmp"));
        assert!(left.iter().all(|name| name.starts_with('.')), "{left:?}");
    }
}

async fn lock_with(purl: &str, pip: &Pip, store: &Store, notes: &(dyn Fn(Note) + Sync)) -> Result<Lock, InputsError> {
    let environment =
        LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest: DigestSet::of(b"") };
    pypi::lock(&purl.parse().unwrap(), pip, store, environment, notes).await
}

#[expect(clippy::disallowed_methods, reason = "sorted at once")]
fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn demo_wheel() -> Vec<u8> {
    wheel("demo", "1.0", "Generator: hatchling 1.2.3\n")
}

fn wheel(name: &str, version: &str, generator: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (file, text) in [
        ("METADATA", format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")),
        ("WHEEL", format!("Wheel-Version: 1.0\n{generator}Root-Is-Purelib: true\nTag: py3-none-any\n")),
        ("RECORD", String::new()),
    ] {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("{name}-{version}.dist-info/{file}"), options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

type TarGz = tar::Builder<flate2::write::GzEncoder<Vec<u8>>>;

fn tar_gz() -> TarGz {
    tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()))
}

fn add_file(archive: &mut TarGz, path: &str, text: &str) {
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, text.as_bytes()).unwrap();
}

fn sdist(top: &str, pyproject: &str) -> Vec<u8> {
    let mut archive = tar_gz();
    add_file(&mut archive, &format!("{top}/pyproject.toml"), pyproject);
    archive.into_inner().unwrap().finish().unwrap()
}
