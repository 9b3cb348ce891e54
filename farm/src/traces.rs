// SPDX-License-Identifier: Apache-2.0
//! What a build took, as spans of one trace (OpenTelemetry specification 1.x, "Trace"): the build, each of its jobs, and each
//! time that one was handed out. They are made of what was written down, when the build has come to an end. The trace's id is
//! the build's: the same 32 hexadecimal digits.

use reprove_model::Digest;

use crate::views::BuildView;
use crate::{BuildId, Millis};

/// One thing that took time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of all that belong to one build.
    pub trace: u128,
    /// Never 0.
    pub id: u64,
    /// What it is a part of.
    pub parent: Option<u64>,
    /// Of which kind: `build`, `job` or `attempt`.
    pub name: &'static str,
    /// When it began.
    pub start: Millis,
    /// When it ended.
    pub end: Millis,
    /// What is known of it.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it came to nothing, where it did. A verdict is something, whatever it is.
    pub error: Option<String>,
}

/// The spans of a build that came to an end, what contains others first; none of one that did not.
#[must_use]
pub fn spans(view: &BuildView) -> Vec<Span> {
    let Some(finished) = view.row.finished else { return Vec::new() };
    let (trace, start) = (number(view.row.id), view.row.submitted);
    let root = id(&view.row.id.to_string());
    let mut all = vec![Span {
        trace,
        id: root,
        parent: None,
        name: "build",
        start,
        end: finished,
        attributes: vec![
            ("reprove.subject", view.row.subject.clone()),
            ("reprove.ecosystem", view.row.ecosystem.clone()),
            ("reprove.verdict", view.row.word.clone()),
            ("reprove.submitter", view.submitter.clone()),
        ],
        error: (view.row.word == "failed").then(|| "no rebuilder came to a verdict".to_owned()),
    }];
    for job in &view.jobs {
        let own = id(&job.id.to_string());
        let mut attributes = vec![("reprove.job", job.id.to_string()), ("reprove.state", job.state.clone())];
        let known =
            [("reprove.verdict", &job.verdict), ("reprove.worker", &job.worker), ("reprove.isolation", &job.isolation)];
        attributes.extend(known.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        let end = job.finished.unwrap_or(finished);
        all.push(Span { trace, id: own, parent: Some(root), name: "job", start, end, attributes, error: None });
        for attempt in &job.attempts {
            let outcome = attempt.outcome.clone().unwrap_or_else(|| "cancelled".to_owned());
            let why =
                attempt.class.clone().zip(attempt.detail.clone()).map(|(class, detail)| format!("{class}: {detail}"));
            all.push(Span {
                trace,
                id: id(&format!("{}/{}", job.id, attempt.epoch)),
                parent: Some(own),
                name: "attempt",
                start: attempt.leased,
                end: attempt.ended.unwrap_or(end),
                attributes: vec![
                    ("reprove.epoch", attempt.epoch.to_string()),
                    ("reprove.worker", attempt.worker.clone()),
                    ("reprove.outcome", outcome),
                ],
                error: why,
            });
        }
    }
    all
}

fn number(build: BuildId) -> u128 {
    u128::from_str_radix(&build.to_string(), 16).unwrap_or(1)
}

/// An id of a name's own.
fn id(name: &str) -> u64 {
    let digits = Digest::of(name.as_bytes()).to_string();
    digits.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(1).max(1)
}
