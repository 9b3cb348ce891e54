// SPDX-License-Identifier: Apache-2.0
//! What goes on, on standard error: a spinner on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::farm::logs;
use crate::plain;

/// The display. Without a terminal each step is one line. A clone is the same display.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, quiet }
    }

    /// A step begins.
    pub(crate) fn doing(&self, text: &str) {
        let text = plain::line(text);
        match &self.bar {
            Some(bar) => {
                bar.reset_elapsed();
                bar.set_message(text);
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            None if !self.quiet && !logs::are_written() => line(&format!("{text} …")),
            None => {}
        }
    }

    /// Where in a step it is, which is shown on a terminal alone: there may be thousands.
    pub(crate) fn at(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(plain::line(text));
        }
    }

    /// Something to know. Shown even when quiet: it may explain a result.
    pub(crate) fn note(&self, text: &str) {
        if logs::are_written() {
            return tracing::info!(event = "note", text);
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| line(&format!("note: {text}"))),
            None => line(&format!("note: {text}")),
        }
    }

    /// Takes the display away, before results are printed.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{}", plain::text(text));
}
