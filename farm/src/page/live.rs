// SPDX-License-Identifier: Apache-2.0
//! What workers say while they work, as server-sent events (HTML, section 9.2): `line`, with a list item, and `finished`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use maud::html;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::layout::NoPage;
use crate::access::Role;
use crate::api::{Api, Caller, Problem, id};
use crate::views;
use crate::{BuildId, Coordinator, FarmEvent, JobId};

/// What is wanted.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    /// `finished`: no lines.
    #[serde(default)]
    only: Option<String>,
}

/// The longest that one connection is kept; browsers come again.
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    Path(build): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let build: BuildId = id(&build)?;
    let view = views::build(api.coordinator.database(), build).await?;
    let jobs: Vec<JobId> = view.jobs.iter().map(|job| job.id).collect();
    let lines = wanted.only.as_deref() != Some("finished");
    let full = || Problem::new(503, "too many watch builds now: load the page again to see what is new");
    let place = Arc::clone(&api.watching).try_acquire_owned().map_err(|_| full())?;
    let (send, receive) = mpsc::channel(16);
    let coordinator = api.coordinator.clone();
    tokio::spawn(async move {
        // Ends when nobody listens any more.
        let _ = tokio::time::timeout(LONGEST, tell(&coordinator, build, &jobs, lines, &send)).await;
        drop(place);
    });
    let stream = Receiving(receive);
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}

/// Tells what is new, until the build is finished or nobody listens.
async fn tell(
    coordinator: &Coordinator,
    build: BuildId,
    jobs: &[JobId],
    lines: bool,
    send: &mpsc::Sender<Result<Event, Infallible>>,
) -> Option<()> {
    let mut events = coordinator.events();
    let mut next = vec![0; jobs.len()];
    loop {
        for (job, next) in jobs.iter().zip(&mut next).filter(|_| lines) {
            let (new, after) = coordinator.live().since(*job, *next);
            // A job that was handed out again begins anew.
            *next = after;
            for line in new {
                let item = html! { li { span class="slot" { (job.slot) } " " (line) } };
                send.send(Ok(Event::default().event("line").data(item.into_string()))).await.ok()?;
            }
        }
        let view = views::build(coordinator.database(), build).await.ok()?;
        if view.row.word != "waiting" {
            send.send(Ok(Event::default().event("finished").data("finished"))).await.ok()?;
            return Some(());
        }
        let is_ours = |event: &FarmEvent| match event {
            FarmEvent::Said(job) | FarmEvent::Finished(job) | FarmEvent::Leased(job, _) => job.build == build,
            FarmEvent::Submitted(other) | FarmEvent::Decided(other) => *other == build,
        };
        let something = async {
            loop {
                match events.recv().await {
                    Ok(event) if is_ours(&event) => return,
                    Ok(_) => {}
                    // Some were missed, or the farm ends: looked at at once, and then every now and then.
                    Err(_) => return tokio::time::sleep(Duration::from_millis(500)).await,
                }
            }
        };
        tokio::select! {
            () = something => {}
            () = send.closed() => return None,
        }
    }
}

/// What is received, as a stream.
struct Receiving(mpsc::Receiver<Result<Event, Infallible>>);

impl futures_util::Stream for Receiving {
    type Item = Result<Event, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
