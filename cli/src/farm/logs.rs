// SPDX-License-Identifier: Apache-2.0
//! What happens in a farm and its workers, for programs that read logs: one JSON object a line, to standard error.

use clap::{Args, ValueEnum};

/// Whether it is logged what happens.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LogOptions {
    /// Write what happens to standard error, one JSON object a line, with its time, its kind and what it is about [default: what
    /// a person wants to know, as text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log: Option<Format>,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Json,
}

impl LogOptions {
    /// Begins to write, where that is asked for.
    pub(crate) fn begin(self) {
        if self.log == Some(Format::Json) {
            let lines =
                tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_span_list(false);
            lines.with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
        }
    }
}

/// Whether they are.
pub(crate) fn are_written() -> bool {
    tracing::dispatcher::has_been_set()
}
