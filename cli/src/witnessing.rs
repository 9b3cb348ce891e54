// SPDX-License-Identifier: Apache-2.0
//! `log witness` and `log cosign`: the two ends of C2SP tlog-witness.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use reprove_attest::Signer;
use reprove_attest::log::{MAX_ADD_CHECKPOINT, NoteError, NoteKey, NoteKind, WitnessRefusal};
use reprove_inputs::{Answer, post};
use reprove_log::{Log, LogError, Witness, WitnessError};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::app::{App, blocking};
use crate::commands::failed;
use crate::error::{CommandError, YES};
use crate::output;
use crate::progress::Progress;
use crate::timestamping::from_asking;

/// How many ask at once; who comes later waits.
const CONNECTIONS: usize = 64;
/// How long one connection may take for all of its requests.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Who a witness is, and whom it knows.
pub(crate) struct Serving {
    pub(crate) state: PathBuf,
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    pub(crate) logs: Vec<NoteKey>,
    pub(crate) signer: Arc<dyn Signer>,
}

/// Answers until it is ended.
pub(crate) async fn serve(app: &App, serving: Serving) -> Result<u8, CommandError> {
    let Serving { state, name, listen, logs, signer } = serving;
    let open = move || Witness::open(&state, &name, signer, logs).map_err(failed);
    let witness = Arc::new(blocking(open).await??);
    let refused = |e: std::io::Error| CommandError::cannot(format!("can't listen at {listen}: {e}"));
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let url = format!("http://{}", listener.local_addr().map_err(refused)?);
    let key = witness.key().to_string();
    if app.global.json {
        output::json(&json!({ "listening": url, "key": key }))?;
    } else {
        output::text(&format!("{key}\n  listening at {url}\n"))?;
    }
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return Ok(YES) };
        // A connection that could not be taken is its caller's to try again; where there are too many, one waits a moment.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (witness, progress) = (Arc::clone(&witness), app.progress.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&witness), progress.clone(), request));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
            // What goes wrong with one connection is that caller's alone.
            let _ = tokio::time::timeout(TIME_LIMIT, server.serve_connection(TokioIo::new(stream), service)).await;
            drop(permit);
        });
    }
}

async fn answer(
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

const PLAIN: &str = "text/plain; charset=utf-8";

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

/// Asks a witness to cosign what a log is now, and adds its cosignature to the checkpoint.
pub(crate) async fn cosign(app: &App, directory: PathBuf, url: &str, witness: NoteKey) -> Result<u8, CommandError> {
    let opened = directory.clone();
    let mut log = blocking(move || Log::open(&opened, None)).await?.map_err(failed)?;
    if witness.kind() != NoteKind::Cosigned {
        let text = format!(
            "{witness} is a log's key, and no witness's: a log's signs (algorithm 1), a witness's cosigns (algorithm 4)"
        );
        return Err(CommandError::bad_usage(text).next("`reprove log witness` prints the witness's key when it starts"));
    }
    app.progress.doing("asking the witness");
    let place = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    // The witness says what it has cosigned last; the second time it is asked about that.
    let mut old = 0;
    let mut asked = 0;
    let line = loop {
        let size = log.checkpoint().size;
        if old > size {
            let text = format!("the witness at {url} has cosigned {old} entries of this log, and here are {size}");
            return Err(
                CommandError::bad_usage(text).next("this is an older copy of the log, or another history of it")
            );
        }
        let request = log.for_witness(old).map_err(failed)?.to_string();
        let answer = post(&place, PLAIN, request.as_bytes(), MAX_ADD_CHECKPOINT as u64).await.map_err(from_asking)?;
        asked += 1;
        let Answer { status, body } = answer;
        let text = String::from_utf8_lossy(&body).into_owned();
        match (status, text.trim_end().parse::<u64>()) {
            (200, _) => break text,
            (409, Ok(size)) if asked < 3 && size != old => old = size,
            _ => {
                let text = format!("the witness at {url} answered with the status {status}: {}", text.trim_end());
                return Err(CommandError::cannot(text).next("ask again later, or ask whoever runs the witness"));
            }
        }
    };
    let (url, name) = (url.to_owned(), witness.name().to_owned());
    let added =
        blocking(move || log.add_cosignature(&line, &witness).map(|()| log)).await?.map_err(|error| match error {
            LogError::Note(NoteError::NotSigned(_)) => {
                let text = format!("the witness at {url} has not cosigned by the key of {name} that was given");
                CommandError::bad_usage(text).next("ask whoever runs the witness for its key")
            }
            error => failed(error),
        })?;
    app.progress.clear();
    let checkpoint = added.checkpoint();
    if app.global.json {
        output::json(&json!({ "origin": checkpoint.origin, "size": checkpoint.size, "cosigned": true }))?;
    } else {
        output::text(&format!("the checkpoint of {} entries is cosigned\n", checkpoint.size))?;
    }
    Ok(YES)
}
