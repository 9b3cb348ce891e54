// SPDX-License-Identifier: Apache-2.0
//! A comparison as SARIF 2.1.0, which code hosts and editors show.

use reprove_model::{Finding, FindingKind};
use reprove_verifier::compare::Comparison;
use serde_json::{Value, json};

use crate::plain;

/// How many details of one finding are in its message; `--json` has more.
const SHOWN_DETAILS: usize = 10;

/// One run with a rule for each kind of finding, and a result for each finding. `left` and `right` are what was compared.
pub(crate) fn of(comparison: &Comparison, left: &str, right: &str) -> Value {
    let mut kinds: Vec<FindingKind> = comparison.findings.iter().map(|finding| finding.kind).collect();
    kinds.sort();
    kinds.dedup();
    let rules: Vec<Value> =
        kinds.iter().map(|kind| json!({ "id": id(*kind), "shortDescription": { "text": kind.name() } })).collect();
    let results: Vec<Value> = comparison.findings.iter().map(|finding| result(finding, left)).collect();
    let names: Vec<&str> = comparison.normalizations.iter().map(|each| each.name.as_str()).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "reprove", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "properties": { "level": comparison.level, "normalizations": names, "left": left, "right": right },
            "results": results,
        }],
    })
}

/// The kind as it is written in JSON.
fn id(kind: FindingKind) -> Value {
    serde_json::to_value(kind).unwrap_or_else(|_| kind.name().into())
}

fn result(finding: &Finding, left: &str) -> Value {
    let mut text = format!("{}: {}", plain::line(&finding.place), plain::line(&finding.summary));
    for detail in finding.details.iter().take(SHOWN_DETAILS) {
        let [at, on_left, on_right] = [&detail.at, &detail.left, &detail.right].map(|text| plain::line(text));
        text.push_str(&format!("\n{at}\n  left: {on_left}\n  right: {on_right}"));
    }
    let hidden = finding.count.saturating_sub(finding.details.len().min(SHOWN_DETAILS) as u64);
    if hidden > 0 && !finding.details.is_empty() {
        text.push_str(&format!("\nand {hidden} more"));
    }
    // Names in what was compared can be anything: only what was compared by its lines has some.
    let first = finding.details.first().filter(|_| finding.kind == FindingKind::Content);
    let line = first.and_then(|detail| line(&detail.at));
    let artifact = json!({ "uri": uri(left) });
    // A line of what is inside an archive is no line of the archive.
    let physical = match line.filter(|_| !finding.place.contains('!')) {
        Some(line) => json!({ "artifactLocation": artifact, "region": { "startLine": line } }),
        None => json!({ "artifactLocation": artifact }),
    };
    json!({
        "ruleId": id(finding.kind),
        "level": "error",
        "message": { "text": escaped(&text) },
        "locations": [{
            "physicalLocation": physical,
            "logicalLocations": [{ "fullyQualifiedName": plain::line(&finding.place), "kind": "member" }],
        }],
        "properties": { "count": finding.count },
    })
}

/// The number in `line 12` or `line 12, 13 on the right`, of the left side: from 1 on (SARIF 2.1.0, 3.30.5).
fn line(at: &str) -> Option<u64> {
    let at = at.strip_suffix(", on the right alone").map_or(Some(at), |_| None)?;
    let number: String = at.strip_prefix("line ")?.chars().take_while(char::is_ascii_digit).collect();
    number.parse().ok().filter(|number| *number > 0)
}

/// A message that is shown as it is: without links and placeholders (3.11.5, 3.11.6).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '[' | ']' | '\\' => escaped.extend(['\\', character]),
            '{' | '}' => escaped.extend([character; 2]),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    // A colon in the first part would make that a scheme; it is escaped above.
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_lines() {
        assert_eq!(uri("a b/c:ü.whl"), "a%20b/c%3A%C3%BC.whl");
        assert_eq!((line("line 12"), line("line 3, 4 on the right"), line("0x1, 2 bytes")), (Some(12), Some(3), None));
        assert_eq!((line("line 0"), line("line 7, on the right alone")), (None, None));
        assert_eq!(escaped(r"[a](b) {0} \"), r"\[a\](b) {{0}} \\");
    }
}
