// SPDX-License-Identifier: Apache-2.0
//! What a build was seen to read, and what it was given and did not touch.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use reprove_job::BuiltOnce;
use reprove_model::{Content, Node, ObservedListing, ObservedPath, Origin, RecordMode, Role, TreePath};
use reprove_runner::trace;
use reprove_store::Store;
use serde_json::{Value, json};

use crate::error::CommandError;
use crate::plain;

/// The list of a build that was watched.
pub(crate) struct Inputs {
    listing: ObservedListing,
    unused: Vec<String>,
    unused_source: Vec<TreePath>,
}

impl Inputs {
    /// Takes it out of the store. `None` where the build was not watched.
    pub(crate) fn of(store: &Store, built: &BuiltOnce) -> Result<Option<Self>, CommandError> {
        let listing = trace::read(store, &built.record.observed).map_err(|e| CommandError::cannot(e.to_string()))?;
        let Some(listing) = listing else { return Ok(None) };
        let unused = trace::unused(&built.lock, &listing).into_iter().map(ToString::to_string).collect();
        let folder = format!("{}/source/", built.record.conditions.build_path);
        let touched = |path: &&ObservedPath| path.origin == Origin::Source;
        let touched: BTreeSet<Vec<u8>> = listing
            .paths
            .iter()
            .filter(|(_, observed)| touched(observed))
            .filter_map(|(path, observed)| {
                let target = observed.leads_to.as_ref().unwrap_or(path);
                target.as_bytes().strip_prefix(folder.as_bytes()).map(<[u8]>::to_vec)
            })
            .collect();
        let mut unused_source = Vec::new();
        for input in built.lock.inputs.iter().filter(|input| input.role == Role::Source) {
            if let Content::Tree { digest } = &input.content {
                let tree = store.load_tree(&digest.blake3)?;
                let files = tree.entries().iter().filter(|(_, node)| matches!(node, Node::File { .. }));
                unused_source.extend(files.map(|(p, _)| p.clone()).filter(|path| !touched.contains(path.as_bytes())));
            }
        }
        Ok(Some(Self { listing, unused, unused_source }))
    }

    /// What was read, and what was looked for and not there.
    pub(crate) fn read_json(&self) -> Value {
        let paths = self.listing.inputs().map(|(path, observed)| {
            json!({
                "path": path,
                "origin": observed.origin,
                "uses": observed.uses,
                "leadsTo": observed.leads_to,
                "digest": observed.digest,
                "by": observed.by,
            })
        });
        let paths: Vec<Value> = paths.collect();
        let ObservedListing { lost, calls, network, .. } = &self.listing;
        json!({ "paths": paths, "calls": calls, "network": network, "lost": lost })
    }

    /// What was given and not touched.
    pub(crate) fn unused_json(&self) -> Value {
        json!({ "inputs": self.unused, "source": self.unused_source, "lost": self.listing.lost })
    }

    /// One line a path: what it is, what was done with it, and the beginning of its digest.
    pub(crate) fn read_text(&self) -> String {
        let mut text = String::from("\nread, or looked for:\n");
        for (path, observed) in self.listing.inputs() {
            let uses: Vec<String> = observed.uses.iter().map(word).collect();
            let digest =
                observed.digest.map_or_else(String::new, |digest| digest.to_string().chars().take(12).collect());
            let line = plain::line(&path.to_string());
            let _ = writeln!(text, "  {:<11} {:<20} {digest:<12} {line}", word(&observed.origin), uses.join(","));
        }
        for (what, all) in [("call", &self.listing.calls), ("network", &self.listing.network)] {
            for asked in all.keys() {
                let _ = writeln!(text, "  {what:<11} {:<20} {:<12} {}", "", "", plain::line(asked));
            }
        }
        text + &self.incomplete()
    }

    /// One line each.
    pub(crate) fn unused_text(&self) -> String {
        let mut text = String::from("\nlocked, and not touched:\n");
        if self.unused.is_empty() && self.unused_source.is_empty() {
            text.push_str("  nothing\n");
        }
        for name in &self.unused {
            let _ = writeln!(text, "  input       {}", plain::line(name));
        }
        for path in &self.unused_source {
            let _ = writeln!(text, "  source      {}", plain::line(&path.to_string()));
        }
        if self.listing.mode == RecordMode::Files {
            text.push_str("  What a build only looked at without opening it counts as not touched; `--record full` sees that too.\n");
        }
        text + &self.incomplete()
    }

    fn incomplete(&self) -> String {
        if self.listing.lost.is_empty() {
            return String::new();
        }
        let why: Vec<String> = self.listing.lost.iter().map(word).collect();
        format!("  This is not all: {}; see docs/record-format.md.\n", why.join(", "))
    }
}

/// The word for it in JSON.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
