// SPDX-License-Identifier: Apache-2.0
//! What there is to count, in the text format that Prometheus reads (OpenMetrics 1.0).

use std::fmt;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Api, Caller, Problem};
use crate::FarmError;
use crate::access::Role;
use crate::queue::Waiting;
use crate::views::{self, Overview, WorkerView};

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<u64, AtomicU64>>;

/// Counts all that there is
#[utoipa::path(get, path = "/metrics", tag = "farm", security((), ("token" = [])), responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn metrics(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Role::Read)?;
    let database = api.coordinator.database();
    let waiting = api.coordinator.queue().waiting().await.map_err(FarmError::from)?;
    let overview = views::overview(database, api.coordinator.clock().now()).await?;
    let workers = views::workers(database).await?;
    let text = counted(waiting, &overview, &workers).map_err(|error| FarmError::Internal(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn counted(waiting: Waiting, overview: &Overview, workers: &[WorkerView]) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("reprove_farm");
    let mut add = |name: &str, help: &str, values: Vec<(Labels, u64)>| {
        let gauges = Gauges::default();
        for (labels, value) in values {
            gauges.get_or_create(&labels).set(value);
        }
        registry.register(name, help, gauges);
    };
    let state = |state: &str, jobs| (vec![("state", state.to_owned())], jobs);
    let jobs = vec![state("ready", waiting.ready), state("later", waiting.later), state("leased", waiting.leased)];
    add("jobs", "Jobs without a verdict", jobs);
    add("builds_waiting", "Builds that are not finished", vec![(vec![], overview.waiting)]);
    let finished = overview.tallies.iter();
    let finished = finished.map(|of| (vec![("ecosystem", of.ecosystem.clone()), ("word", of.word.clone())], of.builds));
    add("builds_finished", "Builds that are finished, by what they came to", finished.collect());
    let failures = overview.failures.iter().map(|of| (vec![("class", of.class.clone())], of.attempts));
    add("attempts_failed_7d", "Attempts of the last seven days without a verdict", failures.collect());
    let banned = workers.iter().filter(|worker| worker.banned.is_some()).count();
    let working = workers.iter().filter(|worker| worker.banned.is_none() && !worker.jobs.is_empty()).count();
    let idle = workers.len() - banned - working;
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    add(
        "workers",
        "Workers",
        vec![state("working", count(working)), state("idle", count(idle)), state("banned", count(banned))],
    );
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::views::Tally;

    use super::*;

    #[test]
    fn what_is_counted_is_written_with_its_labels() {
        let tally = Tally { ecosystem: "py\"pi".to_owned(), word: "different".to_owned(), builds: 7 };
        let overview = Overview { waiting: 3, tallies: vec![tally], ..Overview::default() };
        let text = counted(Waiting { ready: 1, later: 2, leased: 4 }, &overview, &[]).unwrap();
        for line in [
            "reprove_farm_jobs{state=\"leased\"} 4",
            "reprove_farm_builds_waiting 3",
            "reprove_farm_builds_finished{ecosystem=\"py\\\"pi\",word=\"different\"} 7",
            "reprove_farm_workers{state=\"idle\"} 0",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}: {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
