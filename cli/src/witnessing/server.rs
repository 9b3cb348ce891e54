// SPDX-License-Identifier: Apache-2.0
//! A witness's HTTP server: bounded in how many it answers at once, in how long each takes, and in what it reads of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use reprove_attest::log::{MAX_ADD_CHECKPOINT, WitnessRefusal};
use reprove_log::{Witness, WitnessError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::app::blocking;
use crate::progress::Progress;

/// The most that is read of a request before its body, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How much of a witness those who ask can take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How many ask at once; who comes later waits.
    connections: usize,
    /// How long one connection may take for all of its requests.
    time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 64, time: Duration::from_secs(10) }
    }
}

/// The type of what is asked and answered.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers those who come to `listener` for as long as the future is waited for.
pub(super) async fn answer(listener: TcpListener, witness: Arc<Witness>, progress: Progress, bounds: Bounds) {
    let free = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        // A connection that could not be taken is its caller's to try again; where there are too many, one waits a moment.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (witness, progress) = (Arc::clone(&witness), progress.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(Arc::clone(&witness), progress.clone(), request));
            let mut server = http1::Builder::new();
            server.max_buf_size(MAX_HEAD);
            // What goes wrong with one connection is that caller's alone.
            let _ = tokio::time::timeout(bounds.time, server.serve_connection(TokioIo::new(stream), service)).await;
            drop(permit);
        });
    }
}

async fn respond(
    witness: Arc<Witness>,
    progress: Progress,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::POST, "/add-checkpoint") => add_checkpoint(witness, &progress, request).await,
        (_, "/add-checkpoint") => (405, PLAIN, "only POST is answered here\n".into()),
        _ => (404, PLAIN, "there is only /add-checkpoint\n".into()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

async fn add_checkpoint(
    witness: Arc<Witness>,
    progress: &Progress,
    request: Request<Incoming>,
) -> (u16, &'static str, String) {
    let body = match Limited::new(request.into_body(), MAX_ADD_CHECKPOINT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(e) => return (400, PLAIN, format!("{e}\n")),
    };
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    match blocking(move || witness.add_checkpoint(&body, now)).await {
        Ok(Ok(line)) => (200, PLAIN, line),
        Ok(Err(WitnessError::Refused(refusal))) => {
            let kind = if matches!(refusal, WitnessRefusal::Stale(_)) { "text/x.tlog.size" } else { PLAIN };
            (refusal.status(), kind, format!("{refusal}\n"))
        }
        // What is wrong here is for whoever runs the witness, and is not told to others.
        Ok(Err(WitnessError::Log(error))) => cannot(progress, &error.to_string()),
        Err(_) => cannot(progress, "a part of the program failed"),
    }
}

fn cannot(progress: &Progress, why: &str) -> (u16, &'static str, String) {
    progress.note(&format!("no cosignature was given: {why}"));
    (500, PLAIN, "the witness can't answer now\n".into())
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::time::Instant;

    use reprove_attest::SigningKey;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    /// The longest wait for anything that should come.
    const LONG: Duration = Duration::from_secs(60);
    /// Whom nobody answers for this long waits.
    const SHORT: Duration = Duration::from_millis(500);

    /// A witness that answers until the test's runtime goes.
    async fn start(bounds: Bounds) -> (TempDir, SocketAddr) {
        let dir = tempfile::tempdir().unwrap();
        let signer = Arc::new(SigningKey::ed25519([2; 32]));
        let witness = Witness::open(&dir.path().join("state"), "witness.example", signer, vec![]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(answer(listener, Arc::new(witness), Progress::new(true), bounds)));
        (dir, address)
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(LONG, future).await.unwrap()
    }

    /// A connection on which this was sent.
    async fn sent(address: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = soon(TcpStream::connect(address)).await.unwrap();
        soon(stream.write_all(bytes)).await.unwrap();
        stream
    }

    /// All that comes until the other side closes.
    async fn all(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // What was read before a reset is what was answered.
        let _ = soon(stream.read_to_end(&mut bytes)).await;
        String::from_utf8(bytes).unwrap()
    }

    fn post(body: &[u8]) -> Vec<u8> {
        let head = "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
        [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n";

    #[tokio::test]
    async fn as_many_as_the_bound_are_answered_at_once_and_the_next_waits() {
        let bounds = Bounds { time: 2 * LONG, ..Bounds::default() };
        let (_dir, address) = start(bounds).await;
        // They are taken in the order in which they come.
        let mut silent = Vec::new();
        for _ in 1..bounds.connections {
            silent.push(sent(address, b"POST").await);
        }
        let mut last = sent(address, &post(b"x")).await;
        assert!(all(&mut last).await.starts_with("HTTP/1.1 400 "));
        silent.push(sent(address, b"POST").await);
        let mut late = sent(address, &post(b"x")).await;
        let mut byte = [0];
        assert!(tokio::time::timeout(SHORT, late.read(&mut byte)).await.is_err(), "one more was answered");
        drop(silent.pop());
        assert!(all(&mut late).await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test]
    async fn a_connection_is_answered_within_its_time_and_ended_after_it() {
        let time = Duration::from_secs(2);
        let (_dir, address) = start(Bounds { time, ..Bounds::default() }).await;
        let in_time = async {
            let request = post(b"x");
            let (first, second) = request.split_at(request.len() - 1);
            let mut stream = sent(address, first).await;
            tokio::time::sleep(time / 8).await;
            stream.write_all(second).await.unwrap();
            assert!(all(&mut stream).await.starts_with("HTTP/1.1 400 "));
        };
        // Without a word, a byte at a time of a head, of a body, and one good request after the other.
        let body = "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n";
        let whole = format!("{GET}\r\n");
        let ((), silent, head, body, busy) = tokio::join!(
            in_time,
            ended(address, "", ""),
            ended(address, GET, "x"),
            ended(address, body, "x"),
            ended(address, "", &whole)
        );
        assert!(busy.1.matches("HTTP/1.1 404 ").count() > 1, "{}", busy.1);
        for (after, answered) in [silent, head, body, busy] {
            assert!(after >= time && after < time + LONG / 2, "ended after {after:?}: {answered}");
        }
    }

    /// When a connection is ended on which `first` was sent, and `more` every now and then; and what was answered.
    async fn ended(address: SocketAddr, first: &str, more: &str) -> (Duration, String) {
        let start = Instant::now();
        let (mut read, mut write) = sent(address, first.as_bytes()).await.into_split();
        let talk = async {
            while write.write_all(more.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending().await
        };
        let mut answer = Vec::new();
        let listen = async { drop(read.read_to_end(&mut answer).await) };
        soon(async {
            tokio::select! { () = talk => {}, () = listen => {} }
        })
        .await;
        (start.elapsed(), String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn the_bounds_on_what_is_read_hold_on_both_sides() {
        let (_dir, address) = start(Bounds::default()).await;
        let answer = async |request: &[u8]| all(&mut sent(address, request).await).await;
        let body = |length: usize| vec![b'x'; length];
        assert!(answer(&post(&body(MAX_ADD_CHECKPOINT))).await.contains("this is no request"));
        assert!(answer(&post(&body(MAX_ADD_CHECKPOINT + 1))).await.contains("length limit exceeded"));
        // Whose length nobody says.
        let chunked = |length: usize| {
            let head =
                "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
            [format!("{head}{length:x}\r\n").as_bytes(), &body(length), b"\r\n0\r\n\r\n"].concat()
        };
        assert!(answer(&chunked(MAX_ADD_CHECKPOINT)).await.contains("this is no request"));
        assert!(answer(&chunked(MAX_ADD_CHECKPOINT + 1)).await.contains("length limit exceeded"));
        let head = |length: usize| {
            let before = format!("{GET}Connection: close\r\nX: ");
            [before.as_bytes(), &body(length - before.len() - 4), b"\r\n\r\n"].concat()
        };
        assert!(answer(&head(MAX_HEAD)).await.starts_with("HTTP/1.1 404 "));
        assert!(answer(&head(MAX_HEAD + 1)).await.starts_with("HTTP/1.1 431 "));
    }
}
