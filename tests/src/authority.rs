// SPDX-License-Identifier: Apache-2.0
//! A timestamp authority on loopback: OpenSSL's, behind a socket.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

/// OpenSSL's timestamp authority. It answers until the value goes.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What OpenSSL needs to be told, and nothing that it would look for elsewhere.
const CONFIGURATION: &str = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = test\n\
    [root]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\nsubjectKeyIdentifier = hash\n\
    [leaf]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n\
    extendedKeyUsage = critical, timeStamping\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n\
    [tsa]\ndefault_tsa = one\n[one]\nserial = serial\ncrypto_device = builtin\nsigner_cert = leaf.pem\ncerts = root.pem\n\
    signer_key = leaf.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1\n\
    ordering = yes\ntsa_name = yes\ness_cert_id_chain = no\ness_cert_id_alg = sha256\n";

impl Authority {
    /// Makes a root and an authority below it, of `days` days, and starts to answer.
    #[must_use]
    pub fn start(days: u32) -> Self {
        let dir = tempfile::Builder::new().prefix("reprove-test-").tempdir().unwrap();
        fs::write(dir.path().join("openssl.cnf"), CONFIGURATION).unwrap();
        fs::write(dir.path().join("serial"), "01\n").unwrap();
        let days = days.to_string();
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config openssl.cnf";
        openssl(
            dir.path(),
            &format!("req -x509 {curve} -keyout root.key -out root.pem -subj /CN=root -extensions root -days {days}"),
        );
        openssl(dir.path(), &format!("req {curve} -keyout leaf.key -out leaf.csr -subj /CN=authority"));
        let sign = "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -extfile openssl.cnf -extensions leaf";
        openssl(dir.path(), &format!("{sign} -set_serial 2 -out leaf.pem -days {days}"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (folder, end) = (dir.path().to_owned(), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                answer(&folder, stream.unwrap());
            }
        });
        Self { dir, address, ended, thread: Some(thread) }
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Its certificates in PEM, its own first.
    #[must_use]
    pub fn certificates(&self) -> String {
        ["leaf.pem", "root.pem"].map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap()).concat()
    }

    /// Its answer to a question.
    #[must_use]
    pub fn reply(&self, question: &[u8]) -> Vec<u8> {
        reply(self.dir.path(), question)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(folder: &Path, mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bytes = Vec::new();
    let body = loop {
        let mut more = [0; 4096];
        let count = stream.read(&mut more).unwrap_or(0);
        bytes.extend(more.iter().take(count));
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let Some(head) = head else {
            assert!(count > 0, "the question was cut");
            continue;
        };
        let text = String::from_utf8_lossy(bytes.get(..head).unwrap()).to_lowercase();
        assert!(text.contains("content-type: application/timestamp-query"), "{text}");
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        if bytes.len() >= head + length.parse::<usize>().unwrap() {
            break bytes.split_off(head);
        }
    };
    let reply = reply(folder, &body);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nConnection: close\r\n";
    let _ = stream.write_all(&[format!("{head}Content-Length: {}\r\n\r\n", reply.len()).as_bytes(), &reply].concat());
}

fn reply(folder: &Path, question: &[u8]) -> Vec<u8> {
    let (query, reply) = (tempfile::NamedTempFile::new_in(folder).unwrap(), folder.join("reply.tsr"));
    fs::write(query.path(), question).unwrap();
    let query = query.path().file_name().unwrap().to_str().unwrap().to_owned();
    openssl(folder, &format!("ts -reply -config openssl.cnf -queryfile {query} -out reply.tsr"));
    fs::read(reply).unwrap()
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
