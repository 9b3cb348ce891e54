// SPDX-License-Identifier: Apache-2.0
//! A small registry that lists referrers itself, as distribution-spec 1.1 has it, one a page; and that wants a token. Debian's
//! has no such list.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use reprove_model::Sha256;
use serde_json::{Value, json};

/// What it has, by what it is asked for: `manifests/REFERENCE` or `blobs/DIGEST`.
type Kept = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A registry with one image, `some/base:1`. Its thread ends with the test's process.
#[derive(Clone, Debug)]
pub struct ListingRegistry {
    /// Where it answers.
    pub host: String,
    kept: Kept,
    asked: Arc<Mutex<Vec<String>>>,
}

const TOKEN: &str = "a-token";

impl ListingRegistry {
    /// Starts one with the first image of a layout.
    ///
    /// # Panics
    /// Where the layout can't be read.
    #[must_use]
    pub fn start(layout: &Path) -> Self {
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let digest = index.pointer("/manifests/0/digest").and_then(Value::as_str).unwrap().to_owned();
        let manifest = fs::read(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))).unwrap();
        let both = [("manifests/1".to_owned(), manifest.clone()), (format!("manifests/{digest}"), manifest)];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (kept, asked) = (Arc::new(Mutex::new(BTreeMap::from(both))), Arc::new(Mutex::new(Vec::new())));
        let registry = Self { host, kept, asked };
        let answering = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answering.answer(stream);
            }
        });
        registry
    }

    /// What was asked for so far, each as `METHOD PATH`.
    ///
    /// # Panics
    /// Where the registry's thread has.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
        let (mut length, mut is_known) = (0, false);
        loop {
            let mut header = String::new();
            let _ = reader.read_line(&mut header);
            let header = header.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            is_known |= header == format!("authorization: bearer {TOKEN}");
            if let Some(number) = header.strip_prefix("content-length: ") {
                length = number.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        self.asked.lock().unwrap().push(format!("{method} {path}"));
        let (status, headers, body) = if path.starts_with("/token?") {
            let is_right = path.contains("service=registry") && path.contains("scope=repository%3asome%2fbase");
            let status = if is_right { 200 } else { 403 };
            (status, String::new(), json!({ "token": TOKEN }).to_string().into_bytes())
        } else if is_known {
            self.known(&method, &path, body)
        } else {
            let wanted = format!(
                "Bearer realm=\"http://{}/token\",service=\"registry\",scope=\"repository:some/base:pull,push\"",
                self.host
            );
            (401, format!("Www-Authenticate: {wanted}\r\n"), Vec::new())
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        let _ = stream.write_all(head.as_bytes());
        if method != "HEAD" {
            let _ = stream.write_all(&body);
        }
    }

    fn known(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
        let none = || (404, String::new(), Vec::new());
        let Some(rest) = path.strip_prefix("/v2/some/base/") else { return none() };
        let mut kept = self.kept.lock().unwrap();
        match method {
            "GET" | "HEAD" if rest.starts_with("referrers/") => referrers(&kept, rest),
            "GET" | "HEAD" => kept.get(rest).map_or_else(none, |bytes| (200, String::new(), bytes.clone())),
            "POST" if rest == "blobs/uploads/" => {
                (202, "Location: /v2/some/base/blobs/uploads/1?a=b\r\n".into(), Vec::new())
            }
            "PUT" => {
                let digest = format!("sha256:{}", Sha256::of(&body));
                if let Some(said) = rest.strip_prefix("blobs/uploads/1?a=b&digest=") {
                    assert_eq!(said, digest);
                    kept.insert(format!("blobs/{digest}"), body);
                    return (201, String::new(), Vec::new());
                }
                let manifest: Value = serde_json::from_slice(&body).unwrap();
                let subject = manifest.pointer("/subject/digest").and_then(Value::as_str);
                let header = subject.map(|subject| format!("OCI-Subject: {subject}\r\n")).unwrap_or_default();
                kept.insert(rest.to_owned(), body);
                (201, header, Vec::new())
            }
            _ => none(),
        }
    }
}

/// One referrer of the type that is asked for, and where the next one is.
fn referrers(kept: &BTreeMap<String, Vec<u8>>, rest: &str) -> (u16, String, Vec<u8>) {
    let (subject, query) = rest.trim_start_matches("referrers/").split_once('?').unwrap();
    let kind = query.split('&').find_map(|part| part.strip_prefix("artifactType=")).unwrap().replace("%2B", "+");
    let after = query.split('&').find_map(|part| part.strip_prefix("n=")).map_or(0, |n| n.parse().unwrap());
    let of = |(name, bytes): (&String, &Vec<u8>)| {
        let digest = name.strip_prefix("manifests/sha256:")?;
        let manifest: Value = serde_json::from_slice(bytes).ok()?;
        let of = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
        let fits = of("/subject/digest") == Some(subject) && of("/artifactType") == Some(kind.as_str());
        fits.then(|| json!({ "mediaType": of("/mediaType"), "artifactType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
    };
    let all: Vec<Value> = kept.iter().filter_map(of).collect();
    let page: Vec<&Value> = all.iter().skip(after).take(1).collect();
    let next = after + 1;
    let link = format!(
        "Link: </v2/some/base/referrers/{subject}?artifactType={}&n={next}>; rel=\"next\"\r\n",
        kind.replace('+', "%2B")
    );
    let link = if next < all.len() { link } else { String::new() };
    let index =
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": page });
    (200, format!("OCI-Filters-Applied: artifactType\r\n{link}"), index.to_string().into_bytes())
}
