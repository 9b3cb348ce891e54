// SPDX-License-Identifier: Apache-2.0
//! Lists of builds, and what became of one package over time.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{NoPage, escaped, history as history_of, page, time};
use super::words;
use crate::access::Role;
use crate::api::{Api, Caller, Problem};
use crate::views::{self, BuildRow, Filter};

/// So many are on one page.
const ON_A_PAGE: u32 = 50;

pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let Query(filter) = filter.map_err(Problem::from)?;
    // A form sends what is not filled in as well.
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = Filter {
        word: filled(filter.word),
        ecosystem: filled(filter.ecosystem),
        package: filled(filter.package),
        cause: filled(filter.cause),
        limit: Some(ON_A_PAGE),
        ..filter
    };
    let rows = views::builds(api.coordinator.database(), filter.clone()).await?;
    let content = html! {
        (form(&filter))
        (list(&rows))
        (older(&rows, &filter))
    };
    Ok(page("Builds", "/builds", &content))
}

pub(super) async fn history(
    State(api): State<Api>,
    caller: Caller,
    Path((ecosystem, package)): Path<(String, String)>,
) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let filter = Filter {
        ecosystem: Some(ecosystem.clone()),
        package: Some(package.clone()),
        limit: Some(views::MAX_LISTED),
        ..Filter::default()
    };
    let rows = views::builds(api.coordinator.database(), filter).await?;
    if rows.is_empty() {
        return Err(Problem::new(404, format!("no build of {package} ({ecosystem}) was asked for")).into());
    }
    let content = html! {
        p { "Every build of this package that was asked for, the newest first." }
        (list(&rows))
    };
    Ok(page(&format!("{package} ({ecosystem})"), "", &content))
}

fn form(filter: &Filter) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        form method="get" action="/builds" role="search" {
            label { "Ecosystem " input name="ecosystem" value=(text(&filter.ecosystem)) size="8"; }
            label { "Package " input name="package" value=(text(&filter.package)) size="20"; }
            label {
                "Came to "
                select name="word" {
                    option value="" { "anything" }
                    @for said in words::ALL {
                        option value=(said.word) selected[filter.word.as_deref() == Some(said.word)] { (said.text) }
                    }
                }
            }
            label { "Cause " input name="cause" value=(text(&filter.cause)) size="16"; }
            button { "Show" }
        }
    }
}

fn list(rows: &[BuildRow]) -> Markup {
    html! {
        @if rows.is_empty() { p { "There is no such build." } }
        @else {
            div class="wide" tabindex="0" role="region" aria-label="Builds" {
                table {
                    thead { tr { th scope="col" { "Package" } th scope="col" { "Came to" } th scope="col" { "Asked for" } th scope="col" { "Finished" } th scope="col" { "History" } } }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { a href=(format!("/builds/{}", row.id)) { (row.subject) } }
                                td { (words::badge(&row.word)) }
                                td { (time(row.submitted)) }
                                td { @match row.finished { Some(at) => (time(at)), None => "-" } }
                                td { a href=(history_of(&row.ecosystem, &row.package)) { "all of " (row.package) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where those before the last of a full page are.
fn older(rows: &[BuildRow], filter: &Filter) -> Markup {
    let last = rows.last().filter(|_| rows.len() >= ON_A_PAGE as usize);
    let query = |last: &BuildRow| {
        let mut query = format!("/builds?before={}", last.number);
        let named = [
            ("word", &filter.word),
            ("ecosystem", &filter.ecosystem),
            ("package", &filter.package),
            ("cause", &filter.cause),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        query
    };
    html! { @if let Some(last) = last { p { a href=(query(last)) rel="next" { "Older builds" } } } }
}
