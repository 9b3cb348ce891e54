// SPDX-License-Identifier: Apache-2.0
//! Asking somebody over HTTP, with the machine's curl as it is set up: a timestamp authority (RFC 3161, section 3.4), a
//! witness (C2SP tlog-witness).

pub(crate) mod exchange;

use std::io::{self, Write as _};
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;

use crate::process::{self, ProcessError};

/// How long one answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// What came with it.
    pub body: Vec<u8>,
}

/// Sends `body`, which is of the type `content_type`, to `url`, and gives back the answer of at most `most` bytes.
///
/// # Errors
/// See [`AskError`].
pub async fn post(url: &str, content_type: &str, body: &[u8], most: u64) -> Result<Answer, AskError> {
    ask(Command::new("curl"), TIME_LIMIT, url, content_type, body, most).await
}

/// The same by this `curl`, which has so much time.
async fn ask(
    mut curl: Command,
    limit: Duration,
    url: &str,
    content_type: &str,
    body: &[u8],
    most: u64,
) -> Result<Answer, AskError> {
    if !(url.starts_with("http://") || url.starts_with("https://")) || !url.chars().all(|c| c.is_ascii_graphic()) {
        return Err(AskError::Url(url.chars().take(200).collect()));
    }
    let mut question = tempfile::NamedTempFile::new()?;
    question.write_all(body)?;
    let mut data = std::ffi::OsString::from("@");
    data.push(question.path());
    curl.args([
        "--silent",
        // An address is one: not all that its brackets could stand for.
        "--globoff",
        "--show-error",
        "--proto",
        "=http,https",
        "--max-redirs",
        "0",
        "--write-out",
        "%{http_code}",
    ]);
    curl.arg("--header").arg(format!("Content-Type: {content_type}")).arg("--data-binary").arg(data);
    curl.args(["--url", url]);
    answer(curl, url, limit, most).await
}

/// Runs a curl that has been told what to ask of `url`, and to write the status after all else.
async fn answer(curl: Command, url: &str, limit: Duration, most: u64) -> Result<Answer, AskError> {
    let failed = |why: String| AskError::Failed { url: url.to_owned(), why };
    let written = most.saturating_add(STATUS as u64);
    let finished = process::run(curl, limit, written).await.map_err(|error| match error {
        ProcessError::Start(e) if e.kind() == io::ErrorKind::NotFound => AskError::NoCurl,
        ProcessError::TooMuch(_) => failed(format!("it has more than {most} bytes")),
        error => failed(error.to_string()),
    })?;
    if !finished.status.success() {
        return Err(failed(finished.said));
    }
    let mut body = finished.stdout;
    let status = body.split_off(body.len().saturating_sub(STATUS));
    let status = str::from_utf8(&status).ok().and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or_else(|| failed("curl says no status".into()))?, body })
}

/// How many digits a status has, which curl writes after all else.
const STATUS: usize = 3;

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Not an address.
    #[error("{0:?} is no address that can be asked; one starts with http:// or https://")]
    Url(String),
    /// There is no curl.
    #[error("there is no curl, which asks (Debian: install `curl`)")]
    NoCurl,
    /// It was not reached.
    #[error("{url} gave no answer: {why}")]
    Failed {
        /// Where it was asked.
        url: String,
        /// What was said.
        why: String,
    },
    /// The question could not be kept for sending.
    #[error("the question can't be kept for sending: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// What was asked, whole.
    type Asked = Arc<Mutex<Vec<String>>>;

    /// A server that hears each question to its end, then answers by `answer`, until the test's runtime goes.
    async fn start<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, Asked)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let heard = Arc::clone(&asked);
        let serving = async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let question = hear(&mut stream).await.unwrap();
                heard.lock().unwrap().push(question);
                drop(tokio::spawn(answer(stream)));
            }
        };
        drop(tokio::spawn(serving));
        (address, asked)
    }

    async fn hear(stream: &mut TcpStream) -> io::Result<String> {
        let mut text = String::new();
        loop {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await?;
            text.push_str(str::from_utf8(&bytes[..count]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.to_lowercase().split("content-length: ").nth(1).unwrap().to_owned();
            if body.len() >= length.lines().next().unwrap().parse().unwrap() {
                return Ok(text);
            }
        }
    }

    /// A server whose answer is these bytes, the same for all.
    async fn saying(bytes: impl Into<Vec<u8>>) -> (SocketAddr, Asked) {
        let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
        start(move |mut stream| {
            let bytes = Arc::clone(&bytes);
            async move { stream.write_all(&bytes).await }
        })
        .await
    }

    fn ok(length: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; length]].concat()
    }

    /// The machine's curl as nobody has set it up, but for what `folder` has in `.curlrc`.
    fn curl(folder: &Path) -> Command {
        let mut curl = Command::new("curl");
        curl.env("CURL_HOME", folder).env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("NO_PROXY", "*");
        curl
    }

    async fn asking(address: SocketAddr, limit: Duration, most: u64) -> Result<Answer, AskError> {
        let dir = tempfile::tempdir().unwrap();
        ask(curl(dir.path()), limit, &format!("http://{address}/"), "text/plain", b"question", most).await
    }

    fn why(answer: Result<Answer, AskError>) -> String {
        match answer {
            Err(AskError::Failed { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_asked_comes_whole_and_an_address_is_one() {
        let (address, asked) = saying(ok(3)).await;
        let dir = tempfile::tempdir().unwrap();
        let url = format!("http://{address}/{{a,b}}[1-3]?x");
        let answer = ask(curl(dir.path()), MINUTE, &url, "text/plain", b"@one\r\ntwo\n", 3).await.unwrap();
        assert_eq!(answer, Answer { status: 200, body: b"xxx".to_vec() });
        let asked = asked.lock().unwrap();
        let [question] = asked.as_slice() else { panic!("{asked:?}") };
        assert!(question.starts_with("POST /{a,b}[1-3]?x HTTP/1.1\r\n"), "{question}");
        assert!(question.contains("Content-Type: text/plain\r\n") && question.ends_with("\r\n\r\n@one\r\ntwo\n"));
    }

    #[tokio::test]
    async fn the_bound_on_an_answer_holds_on_both_sides() {
        for most in [0, 1, 70_000] {
            let length = usize::try_from(most).unwrap();
            let (address, _) = saying(ok(length)).await;
            assert_eq!(asking(address, MINUTE, most).await.unwrap().body.len(), length);
            let (address, _) = saying(ok(length + 1)).await;
            assert_eq!(why(asking(address, MINUTE, most).await), format!("it has more than {most} bytes"));
        }
        // One that never ends is given up at once.
        let (address, _) = start(|mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        })
        .await;
        let asked = Instant::now();
        assert_eq!(why(asking(address, 10 * MINUTE, 70_000).await), "it has more than 70000 bytes");
        assert!(asked.elapsed() < MINUTE);
    }

    #[tokio::test]
    async fn the_bound_on_time_holds_on_both_sides() {
        let limit = Duration::from_secs(2);
        let (late, _) = start(move |mut stream| async move {
            tokio::time::sleep(limit / 8).await;
            stream.write_all(&ok(1)).await
        })
        .await;
        assert_eq!(asking(late, limit, 9).await.unwrap().status, 200);
        let (silent, _) = start(|stream| async move {
            tokio::time::sleep(2 * MINUTE).await;
            drop(stream);
            Ok(())
        })
        .await;
        // A byte every now and then, of the head or of the body.
        let slow = |first: &'static str| {
            start(move |mut stream| async move {
                stream.write_all(first.as_bytes()).await?;
                loop {
                    stream.write_all(b"x").await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        };
        let ((head, _), (body, _)) = tokio::join!(slow("HTTP/1.1 200 OK\r\nX: "), slow("HTTP/1.1 200 OK\r\n\r\n"));
        let taken = async |address| {
            let asked = Instant::now();
            let said = why(asking(address, limit, 1 << 20).await);
            (said, asked.elapsed())
        };
        let (silent, head, body) = tokio::join!(taken(silent), taken(head), taken(body));
        for (said, after) in [silent, head, body] {
            assert_eq!(said, "it took too long");
            assert!(after >= limit && after < MINUTE / 4, "{after:?}");
        }
    }

    /// Nor where the machine's curl is set up to.
    #[tokio::test]
    async fn nobody_is_sent_elsewhere() {
        let (there, asked_there) = saying(ok(1)).await;
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let head = format!("HTTP/1.1 {status}\r\nLocation: http://{there}/\r\nConnection: close\r\n");
            let (here, asked) = saying(format!("{head}Content-Length: 0\r\n\r\n")).await;
            let answer = asking(here, MINUTE, 9).await.unwrap();
            assert_eq!((answer.status.to_string().as_str(), answer.body.as_slice()), (&status[..3], b"".as_slice()));
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(".curlrc"), "location\n").unwrap();
            let url = format!("http://{here}/");
            let said = why(ask(curl(dir.path()), MINUTE, &url, "text/plain", b"question", 9).await);
            assert!(said.contains("redirects"), "{said}");
            assert_eq!(asked.lock().unwrap().len(), 2);
        }
        assert_eq!(*asked_there.lock().unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn what_is_no_address_is_not_asked() {
        for url in ["", "file:///etc/passwd", "ftp://x/", "-o", "http:", " http://x/", "http://x/ y", "https://x/\n"] {
            let no_curl = Command::new("/nowhere/curl");
            let asked = ask(no_curl, MINUTE, url, "text/plain", b"", 9).await;
            assert!(matches!(asked, Err(AskError::Url(_))), "{url}: {asked:?}");
        }
        for url in ["http://127.0.0.1:9/", "https://[::1]/"] {
            let no_curl = Command::new("/nowhere/curl");
            assert!(matches!(ask(no_curl, MINUTE, url, "text/plain", b"", 9).await, Err(AskError::NoCurl)), "{url}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_none() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        assert!(why(asking(address, MINUTE, 9).await).contains("onnect"));
        for bytes in ["", "hello", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"] {
            let (address, _) = saying(bytes).await;
            assert_ne!(why(asking(address, MINUTE, 99).await), "", "{bytes}");
        }
    }
}
