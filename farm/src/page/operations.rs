// SPDX-License-Identifier: Apache-2.0
//! How the farm is: queue, workers, leases, and why jobs failed.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::layout::{NoPage, duration, page, time};
use super::{chart, words};
use crate::access::Role;
use crate::api::{Api, Caller, id};
use crate::views::{self, FailureGroup, WorkerView};
use crate::{FarmError, Lease, Millis, Name, Waiting};

/// So many leases are shown, those that end first.
const MOST_LEASES: usize = 100;

pub(super) async fn show(State(api): State<Api>, caller: Caller) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let (database, now) = (api.coordinator.database(), api.coordinator.clock().now());
    let waiting = api.coordinator.queue().waiting().await.map_err(FarmError::from)?;
    let leases = api.coordinator.queue().leases(MOST_LEASES).await.map_err(FarmError::from)?;
    let workers = views::workers(database).await?;
    let overview = views::overview(database, now).await?;
    let content = html! {
        h2 { "Queue" }
        (queue(waiting))
        h2 { "Workers" }
        (table_of_workers(&workers))
        h2 { "Leases" }
        (table_of_leases(&leases, now))
        h2 { "Failures of the last seven days" }
        (failures(&overview.failures))
    };
    Ok(page("Operations", "/operations", &content))
}

fn queue(waiting: Waiting) -> Markup {
    html! {
        dl {
            div { dt { "Ready" } dd { (waiting.ready) } }
            div { dt { "Waiting for their time" } dd { (waiting.later) } }
            div { dt { "At work" } dd { (waiting.leased) } }
        }
    }
}

fn table_of_workers(workers: &[WorkerView]) -> Markup {
    html! {
        @if workers.is_empty() { p { "No worker has registered." } }
        @else {
            div class="wide" tabindex="0" role="region" aria-label="Workers" {
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "State" } th scope="col" { "Operator" } th scope="col" { "Builds in" } th scope="col" { "Processors" } th scope="col" { "Domain" } th scope="col" { "Last job" } th scope="col" { "Key" } } }
                    tbody {
                        @for worker in workers {
                            tr {
                                th scope="row" { (worker.name) }
                                td {
                                    @match &worker.banned {
                                        Some(why) => { strong { "gets no jobs" } ": " (why) },
                                        None => {
                                            @if worker.jobs.is_empty() { "idle" }
                                            @for job in &worker.jobs { a href=(format!("/builds/{}", job.build)) { (job) } " " }
                                        },
                                    }
                                }
                                td { (worker.operator) }
                                td { (words::isolation(&worker.isolation)) }
                                td { (worker.architecture) }
                                td { (worker.domain) }
                                td { (time(worker.seen)) }
                                td { a href=(format!("/workers/{}/key.pem", worker.name)) { code { (worker.keyid.chars().take(16).collect::<String>()) "…" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn table_of_leases(leases: &[Lease], now: Millis) -> Markup {
    html! {
        @if leases.is_empty() { p { "Nobody works on anything." } }
        @else {
            div class="wide" tabindex="0" role="region" aria-label="Leases" {
                table {
                    thead { tr { th scope="col" { "Job" } th scope="col" { "Worker" } th scope="col" { "Epoch" } th scope="col" { "Ends in" } } }
                    tbody {
                        @for lease in leases {
                            tr {
                                th scope="row" { a href=(format!("/builds/{}", lease.job.build)) { (lease.job) } }
                                td { (lease.holder) }
                                td { (lease.epoch.0) }
                                td { (duration(now, lease.until)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn failures(groups: &[FailureGroup]) -> Markup {
    let most = groups.iter().map(|group| group.attempts).max().unwrap_or(0);
    html! {
        @if groups.is_empty() { p { "None." } }
        @else {
            div class="wide" tabindex="0" role="region" aria-label="Failures" {
                table {
                    thead { tr { th scope="col" { "Kind" } th scope="col" { "Attempts" } th { span class="hidden" { "Bar" } } th scope="col" { "The newest" } } }
                    tbody {
                        @for group in groups {
                            tr { th scope="row" { (group.class) } td { (group.attempts) } td { (chart::bar(group.attempts, most)) } td { (group.detail) } }
                        }
                    }
                }
            }
        }
    }
}

/// The public key of a worker, as it registered with.
pub(super) async fn key(
    State(api): State<Api>,
    caller: Caller,
    Path(worker): Path<String>,
) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let worker = api.coordinator.worker(&id::<Name>(&worker)?)?;
    let name = format!("attachment; filename=\"{}.pem\"", worker.profile.name);
    let headers = [(header::CONTENT_TYPE, "application/x-pem-file".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, worker.profile.public_key.clone()).into_response())
}
