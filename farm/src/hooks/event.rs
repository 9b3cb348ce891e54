// SPDX-License-Identifier: Apache-2.0
//! What is told: events of CDEvents (specification 0.4.1), `pipelineRun` queued and finished. A build is a run of the pipeline
//! that its request asks for.

use serde::Serialize;
use serde_json::{Value, json};

use crate::Millis;
use crate::views::BuildRow;

/// What happened to a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was asked for.
    Queued,
    /// It came to an end.
    Finished,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Finished => "finished",
        }
    }

    /// The type of its events (CDEvents, "Core Events").
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Queued => "dev.cdevents.pipelinerun.queued.0.2.0",
            Self::Finished => "dev.cdevents.pipelinerun.finished.0.2.0",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Queued, Self::Finished].into_iter().find(|kind| kind.name() == word)
    }
}

/// Of which version the events are.
pub(super) const VERSION: &str = "0.4.1";

/// The context of an event.
#[derive(Serialize)]
struct Context<'a> {
    version: &'a str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
}

/// The event: `id` is its own, `source` the farm's address, where the build's page is.
pub(super) fn event(kind: Kind, id: &str, source: &str, build: &BuildRow, happened: Millis) -> Value {
    let timestamp = happened.timestamp().to_string();
    let context = Context { version: VERSION, id, source, kind: kind.event_type(), timestamp };
    let mut content = json!({
        "pipelineName": build.subject,
        "url": format!("{source}/builds/{}", build.id),
    });
    if let (Kind::Finished, Some(content)) = (kind, content.as_object_mut()) {
        content.insert("outcome".to_owned(), outcome(&build.word).into());
        if build.word != "bit-identical" {
            content.insert("errors".to_owned(), format!("it came to: {}", build.word).into());
        }
    }
    json!({
        "context": context,
        "subject": { "id": build.id.to_string(), "source": source, "type": "pipelineRun", "content": content },
        "customData": build,
        "customDataContentType": "application/json",
    })
}

/// What CDEvents calls what a build came to: `error` is where there is no verdict.
fn outcome(word: &str) -> &'static str {
    match word {
        "bit-identical" | "repacked" => "success",
        "normalized-equal" | "different" | "disputed" | "unbuildable" => "failure",
        "cancelled" => "cancel",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_reproduced_is_a_success() {
        let outcomes = [
            ("bit-identical", "success"),
            ("repacked", "success"),
            ("normalized-equal", "failure"),
            ("different", "failure"),
            ("disputed", "failure"),
            ("unbuildable", "failure"),
            ("failed", "error"),
            ("cancelled", "cancel"),
            ("a word of tomorrow", "error"),
        ];
        for (word, expected) in outcomes {
            assert_eq!(outcome(word), expected, "{word}");
        }
    }
}
