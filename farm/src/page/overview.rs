// SPDX-License-Identifier: Apache-2.0
//! The first page.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{NoPage, escaped, page, time};
use super::{chart, words};
use crate::access::Role;
use crate::api::{Api, Caller};
use crate::views::{self, Change, Overview};

pub(super) async fn show(State(api): State<Api>, caller: Caller) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let now = api.coordinator.clock().now();
    let overview = views::overview(api.coordinator.database(), now).await?;
    let changes = views::changes(api.coordinator.database(), now).await?;
    let content = html! {
        (tallies(&overview))
        h2 { "Over time" }
        (chart::days(&overview.days, now))
        h2 { "What changed since yesterday" }
        (changed(&changes))
        h2 { "Why packages are different" }
        (causes(&overview))
    };
    Ok(page("Overview", "/", &content))
}

fn tallies(overview: &Overview) -> Markup {
    let mut rows: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for tally in &overview.tallies {
        *rows.entry(&tally.ecosystem).or_default().entry(&tally.word).or_default() += tally.builds;
    }
    let shown: Vec<words::Said> = words::ALL.into_iter().filter(|said| said.word != "waiting").collect();
    let all = |word: &str| rows.values().filter_map(|row| row.get(word)).sum::<u64>();
    html! {
        p {
            strong { (overview.waiting) } " " (words::badge("waiting")) ", and "
            strong { (shown.iter().map(|said| all(said.word)).sum::<u64>()) } " finished."
        }
        div class="wide" tabindex="0" role="region" aria-label="What builds came to" {
            table {
                caption { "What builds came to, by ecosystem" }
                thead {
                    tr { th scope="col" { "Ecosystem" } @for said in &shown { th scope="col" { (words::badge(said.word)) } } }
                }
                tbody {
                    @for (ecosystem, row) in &rows {
                        tr {
                            th scope="row" { (ecosystem) }
                            @for said in &shown {
                                td {
                                    @match row.get(said.word) {
                                        Some(builds) => a href=(format!("/builds?ecosystem={}&word={}", escaped(ecosystem), said.word)) {
                                            (builds) span class="hidden" { " " (said.text) " of " (ecosystem) }
                                        },
                                        None => "0",
                                    }
                                }
                            }
                        }
                    }
                    @if rows.len() != 1 { tr { th scope="row" { "All" } @for said in &shown { td { (all(said.word)) } } } }
                }
            }
        }
    }
}

fn changed(changes: &[Change]) -> Markup {
    html! {
        @if changes.is_empty() { p { "Nothing that was rebuilt again came to something else." } }
        @else {
            ul {
                @for change in changes {
                    li {
                        a href=(format!("/builds/{}", change.id)) { (change.subject) } ": "
                        (words::badge(&change.before)) " then, " (words::badge(&change.after)) " at " (time(change.finished))
                    }
                }
            }
        }
    }
}

fn causes(overview: &Overview) -> Markup {
    let most = overview.causes.iter().map(|(_, builds)| *builds).max().unwrap_or(0);
    let names: BTreeSet<&str> = overview.causes.iter().map(|(cause, _)| cause.as_str()).collect();
    html! {
        @if names.is_empty() { p { "No difference was found yet." } }
        @else {
            table {
                caption { "Causes that were shown, or else what differs; a package may have several" }
                thead { tr { th scope="col" { "Cause" } th scope="col" { "Builds" } th { span class="hidden" { "Bar" } } } }
                tbody {
                    @for (cause, builds) in &overview.causes {
                        tr {
                            th scope="row" { a href=(format!("/builds?cause={}", escaped(cause))) { (cause) } }
                            td { (builds) }
                            td { (chart::bar(*builds, most)) }
                        }
                    }
                }
            }
        }
    }
}
