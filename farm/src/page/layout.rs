// SPDX-License-Identifier: Apache-2.0
//! What all pages have.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::Millis;
use crate::api::Problem;

/// What htmx may do: neither evaluate code nor write styles, which the policy forbids.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyCacheSize":0}"#;

/// A page.
pub(super) fn page(title: &str, here: &str, content: &Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="htmx-config" content=(HTMX);
                title { (title) " - reprove farm" }
                link rel="stylesheet" href="/assets/style-1.css";
                link rel="icon" href="/assets/icon-1.svg" type="image/svg+xml";
                script src="/assets/htmx-2.0.11.js" defer {}
                script src="/assets/sse-2.2.4.js" defer {}
            }
            body {
                a class="skip" href="#content" { "Skip to the content" }
                header {
                    nav aria-label="Pages" {
                        strong { "reprove farm" }
                        ul {
                            @for (path, name) in [("/", "Overview"), ("/builds", "Builds"), ("/operations", "Operations")] {
                                li { a href=(path) aria-current=[(path == here).then_some("page")] { (name) } }
                            }
                            li { a href="/openapi.json" { "API" } }
                        }
                    }
                }
                main id="content" tabindex="-1" { h1 { (title) } (content) }
                footer { p { "Nothing on this page has to be believed: each proof can be downloaded, and audited offline." } }
            }
        }
    };
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, markup).into_response()
}

/// Why there is no page, as one.
pub(super) struct NoPage(Problem);

impl<E: Into<Problem>> From<E> for NoPage {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let title = match problem.status {
            401 | 403 => "You may not see this",
            404 => "There is nothing here",
            _ => "That did not work",
        };
        let content = html! { p { (problem.detail) } p { a href="/" { "To the overview" } } };
        let mut response = page(title, "", &content);
        *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let own = problem.into_response();
        for value in own.headers().get_all(header::WWW_AUTHENTICATE) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, value.clone());
        }
        response
    }
}

/// A time, for people and for programs.
pub(super) fn time(at: Millis) -> Markup {
    let at = at.timestamp();
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// How long something took.
pub(super) fn duration(from: Millis, to: Millis) -> String {
    let seconds = to.since(from).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// A part of an address, with everything but letters, digits and a few marks escaped (RFC 3986, section 2.1).
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Where the history of a package is.
pub(super) fn history(ecosystem: &str, package: &str) -> String {
    let parts: Vec<String> = package.split('/').map(escaped).collect();
    format!("/packages/{}/{}", escaped(ecosystem), parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_nothing_that_means_something_else() {
        assert_eq!(escaped("a b/c?d#e%f\"g<ä"), "a%20b%2Fc%3Fd%23e%25f%22g%3C%C3%A4");
        assert_eq!(history("npm", "@scope/name"), "/packages/npm/%40scope/name");
    }

    #[test]
    fn durations_are_said_in_the_unit_that_fits() {
        let of = |ms| duration(Millis(0), Millis(ms));
        assert_eq!(
            [of(0), of(119_999), of(120_000), of(7_199_999), of(7_200_000)],
            ["0 s", "119 s", "2 min", "119 min", "2 h"]
        );
    }
}
