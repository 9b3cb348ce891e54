// SPDX-License-Identifier: Apache-2.0
//! A package index of the test's own, for the machine's real pip.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use reprove_inputs::{InputsError, Note, Pip, pypi};
use reprove_model::{DigestSet, Environment, Lock, LockedEnvironment, Sha256};
use reprove_store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A package index in a directory, and a store beside it.
pub(crate) struct Index {
    pub(crate) dir: TempDir,
    pub(crate) files: BTreeMap<String, Served>,
}

pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    promised: Option<Sha256>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), files: BTreeMap::new() }
    }

    /// Two versions of a package, two of the back end that builds it, and something called pip.
    pub(crate) fn with_demo(mut self) -> Self {
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

    pub(crate) fn add(&mut self, name: &str, bytes: Vec<u8>) {
        let promised = Some(Sha256::of(&bytes));
        self.files.insert(name.into(), Served { bytes, promised });
    }

    pub(crate) fn promise(&mut self, name: &str, promised: Option<Sha256>) {
        self.files.get_mut(name).unwrap().promised = promised;
    }

    /// What the package's own code would make.
    pub(crate) fn mark(&self) -> PathBuf {
        self.dir.path().join("ran")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.dir.path().join("store")).unwrap()
    }

    /// Writes the index as PEP 503 has it, and gives a pip that knows no other.
    pub(crate) fn pip(&self) -> Pip {
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

    pub(crate) async fn lock(&self, purl: &str) -> (Result<Lock, InputsError>, Vec<Note>) {
        let notes = Mutex::new(vec![]);
        let note = |note| notes.lock().unwrap().push(note);
        let lock = lock_with(purl, &self.pip(), &self.store(), &note).await;
        (lock, notes.into_inner().unwrap())
    }

    /// The index over HTTP, on a thread that nobody waits for. `instead` may give another status and body for a path, by
    /// how often that was asked for before.
    pub(crate) fn serve(&self, instead: impl Fn(&str, usize) -> Option<Response> + Send + 'static) -> Pip {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut pip = self.pip();
        let env = pip.env.get_or_insert_default();
        env.retain(|(name, _)| name != "PIP_INDEX_URL");
        let url = format!("http://{}/", listener.local_addr().unwrap());
        env.extend(
            [("PIP_INDEX_URL", url.as_str()), ("PIP_RETRIES", "0"), ("PIP_NO_CACHE_DIR", "1")]
                .map(|(name, value)| (name.into(), value.into())),
        );
        let root = self.dir.path().join("simple");
        std::thread::spawn(move || {
            let mut times = BTreeMap::<String, usize>::new();
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let path = requested(&mut stream);
                let time = times.entry(path.clone()).or_default();
                let (status, body) = instead(&path, *time).unwrap_or_else(|| from_file(&root, &path));
                *time += 1;
                let kind = match (path.ends_with('/'), body.first()) {
                    (true, Some(b'{')) => "application/vnd.pypi.simple.v1+json",
                    (true, _) => "text/html",
                    _ => "application/octet-stream",
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
                let head = format!("{head}Connection: close\r\n\r\n").into_bytes();
                // A pip that is ended does not listen to the end.
                let _ = stream.get_mut().write_all(&[head, body].concat());
            }
        });
        pip
    }

    /// The index over HTTP, as PEP 691 and PEP 700 have it: what is not in `uploads` was uploaded when 2024 began.
    pub(crate) fn serve_uploads(&self, uploads: &[(&str, &str)]) -> Pip {
        let mut pages = BTreeMap::<String, Vec<Value>>::new();
        for (name, Served { promised, .. }) in &self.files {
            let time = uploads.iter().find(|(file, _)| file == name).map_or("2024-01-01T00:00:00Z", |(_, time)| time);
            let hashes = json!({"sha256": promised.map(|digest| digest.to_string())});
            let file = json!({"filename": name, "url": format!("../{name}"), "hashes": hashes, "upload-time": time});
            pages.entry(format!("/{}/", name.split('-').next().unwrap())).or_default().push(file);
        }
        self.serve(move |path, _| {
            let name = path.trim_matches('/');
            let page = json!({"meta": {"api-version": "1.1"}, "name": name, "files": pages.get(path)?});
            Some(("200 OK", page.to_string().into_bytes()))
        })
    }

    pub(crate) fn kept_nothing(&self) {
        assert_eq!(entries(&self.store().blob_root()), Vec::<String>::new());
        assert_eq!(entries(&self.store().root().join("trees")), Vec::<String>::new());
        self.has_no_temporary_files();
    }

    /// A store that is not in use has no folder of its own in `tmp`.
    pub(crate) fn has_no_temporary_files(&self) {
        let left = entries(&self.dir.path().join("store/tmp"));
        assert!(left.iter().all(|name| name.starts_with('.')), "{left:?}");
    }
}

/// A status, as the first line of an answer has it, and a body.
pub(crate) type Response = (&'static str, Vec<u8>);

/// Reads a request, and gives its path.
fn requested(stream: &mut BufReader<TcpStream>) -> String {
    let mut lines = stream.lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    lines.for_each(drop);
    path
}

fn from_file(root: &Path, path: &str) -> Response {
    let file = root.join(path.trim_start_matches('/'));
    let file = if path.ends_with('/') { file.join("index.html") } else { file };
    fs::read(file).map_or(("404 Not Found", vec![]), |body| ("200 OK", body))
}

/// What is locked first.
pub(crate) async fn lock_with(
    purl: &str,
    pip: &Pip,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Lock, InputsError> {
    let mut published = pypi::fetch(&purl.parse().unwrap(), pip, store, notes).await?;
    let first = published.next(pip, store, environment(), notes).await?;
    Ok(first.unwrap().1)
}

/// All that is locked, one after the other.
pub(crate) async fn lock_all(purl: &str, pip: &Pip, store: &Store) -> Result<Vec<(String, Lock)>, InputsError> {
    let mut published = pypi::fetch(&purl.parse().unwrap(), pip, store, &|_| ()).await?;
    let mut all = Vec::new();
    while let Some(next) = published.next(pip, store, environment(), &|_| ()).await? {
        all.push(next);
    }
    Ok(all)
}

fn environment() -> LockedEnvironment {
    LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest: DigestSet::of(b"") }
}

/// Whether there was nothing to notice but that the index does not say when files were uploaded.
pub(crate) fn is_quiet(notes: &[Note]) -> bool {
    let said = |text: &str| text.starts_with("the index does not say when ");
    notes.iter().all(|note| matches!(note, Note::Noticed(text) if said(text)) || matches!(note, Note::Doing(_)))
}

#[expect(clippy::disallowed_methods, reason = "sorted at once")]
fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn demo_wheel() -> Vec<u8> {
    wheel("demo", "1.0", "Generator: hatchling 1.2.3\n")
}

pub(crate) fn wheel(name: &str, version: &str, generator: &str) -> Vec<u8> {
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

pub(crate) fn sdist(top: &str, pyproject: &str) -> Vec<u8> {
    let mut archive = tar_gz();
    add_file(&mut archive, &format!("{top}/pyproject.toml"), pyproject);
    archive.into_inner().unwrap().finish().unwrap()
}
