// SPDX-License-Identifier: Apache-2.0
//! `log witness` and `log cosign`: the two ends of C2SP tlog-witness.

mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use reprove_attest::Signer;
use reprove_attest::log::{MAX_ADD_CHECKPOINT, NoteError, NoteKey, NoteKind};
use reprove_inputs::{Answer, post};
use reprove_log::{Log, LogError, Witness};
use serde_json::json;
use tokio::net::TcpListener;

use crate::app::{App, blocking};
use crate::commands::failed;
use crate::error::{CommandError, YES};
use crate::output;
use crate::timestamping::from_asking;
use server::{Bounds, PLAIN};

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
    server::answer(listener, witness, app.progress.clone(), Bounds::default()).await;
    Ok(YES)
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
