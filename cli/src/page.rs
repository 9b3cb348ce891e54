// SPDX-License-Identifier: Apache-2.0
//! A comparison as one page of HTML that needs nothing else: no script, no font, no network. It prints, and is read from the
//! keyboard: what can be folded is `details`, and every place has a link.

use reprove_attest::evidence::encoded;
use reprove_model::{Detail, Finding, Sha256};
use reprove_verifier::compare::Comparison;

use crate::plain;

/// How every page begins.
pub(crate) const START: &str = "<!DOCTYPE html>\n<!-- reprove compare -->\n";

/// The page. `left` and `right` are what was compared.
pub(crate) fn of(comparison: &Comparison, left: &str, right: &str) -> String {
    let (left, right) = (escaped(left), escaped(right));
    let level = comparison.level.name();
    let names: Vec<String> = comparison.normalizations.iter().map(|each| escaped(&each.name)).collect();
    let left_out = match names.as_slice() {
        [] => String::new(),
        names => format!("<p>Equal once these are left out: <b>{}</b>.</p>", names.join(", ")),
    };
    let mut index = String::new();
    let mut sections = String::new();
    for (number, finding) in (1_u64..).zip(&comparison.findings) {
        let (place, kind) = (escaped(&finding.place), finding.kind.name());
        index.push_str(&format!("<li><a href=\"#f{number}\">{place}</a> <span>{kind}</span></li>\n"));
        sections.push_str(&section(number, finding));
    }
    let index =
        if index.is_empty() { "<p>Every bit is the same.</p>".to_owned() } else { format!("<ol>\n{index}</ol>") };
    // Nothing but this style may be used, whatever the names in what was compared are.
    let style = encoded(Sha256::of(STYLE.as_bytes()).as_bytes());
    format!(
        "{START}<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{level}: {left}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{level}</h1>\n<dl><dt>left</dt><dd>{left}</dd><dt>right</dt><dd>{right}</dd></dl>\n\
         {left_out}\n<nav aria-label=\"Findings\">\n{index}\n</nav>\n{sections}</main>\n</body>\n</html>\n"
    )
}

fn section(number: u64, finding: &Finding) -> String {
    let (place, kind, summary) = (escaped(&finding.place), finding.kind.name(), escaped(&finding.summary));
    let mut rows = String::new();
    for detail in &finding.details {
        rows.push_str(&row(detail));
    }
    let hidden = finding.count.saturating_sub(finding.details.len() as u64);
    let more = if hidden > 0 && !rows.is_empty() { format!("<p>and {hidden} more</p>\n") } else { String::new() };
    let table = if rows.is_empty() {
        String::new()
    } else {
        let head = "<tr><th scope=\"col\">where</th><th scope=\"col\">left</th><th scope=\"col\">right</th></tr>";
        format!("<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
    };
    format!(
        "<section id=\"f{number}\">\n<h2>{place}</h2>\n<details open>\n<summary>{kind}: {summary}</summary>\n{table}{more}\
         </details>\n</section>\n"
    )
}

fn row(detail: &Detail) -> String {
    let (left, right) = marked(&detail.left, &detail.right);
    format!("<tr><th scope=\"row\">{}</th><td>{left}</td><td>{right}</td></tr>\n", escaped(&detail.at))
}

/// Both texts, with a mark around what is between what they begin and what they end with alike.
fn marked(left: &str, right: &str) -> (String, String) {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let before = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let most = left.len().min(right.len()) - before;
    let after = left.iter().rev().zip(right.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let mark = |text: &[char]| {
        let part = |from: usize, to| escaped(&text.get(from..to).unwrap_or_default().iter().collect::<String>());
        let end = text.len() - after;
        let middle = part(before, end);
        let middle = if middle.is_empty() { middle } else { format!("<mark>{middle}</mark>") };
        [part(0, before), middle, part(end, text.len())].concat()
    };
    (mark(&left), mark(&right))
}

/// Text that can't be taken for anything else in a page.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in plain::line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 80rem; margin: 0 auto; padding: 1rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dd { margin: 0; overflow-wrap: anywhere; }
nav li { overflow-wrap: anywhere; } nav span { opacity: .75; }
summary { cursor: pointer; } a:focus-visible, summary:focus-visible { outline: 2px solid; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { border: 1px solid #8888; padding: .2rem .4rem; text-align: left; vertical-align: top; }
td, tbody th { font-family: ui-monospace, monospace; font-size: .875rem; font-weight: normal; white-space: pre-wrap; overflow-wrap: anywhere; }
thead th:first-child { width: 24%; }
mark { background: #fd06; color: inherit; text-decoration: underline; }
@media print { main { max-width: none; padding: 0; } section, tr { break-inside: avoid; } a { color: inherit; text-decoration: none; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_marked_and_nothing_is_markup() {
        let (left, right) = marked("Nov <22> 2026", "Nov <23> 2026");
        assert_eq!(left, "Nov &lt;2<mark>2</mark>&gt; 2026");
        assert_eq!(right, "Nov &lt;2<mark>3</mark>&gt; 2026");
        assert_eq!(marked("aa", "aaa"), ("aa".to_owned(), "aa<mark>a</mark>".to_owned()));
        assert_eq!(marked("", "x").1, "<mark>x</mark>");
        assert_eq!(
            escaped("<a href='x' onclick=\"y\">&\u{1b}"),
            "&lt;a href=&#39;x&#39; onclick=&quot;y&quot;&gt;&amp;\u{fffd}"
        );
    }
}
