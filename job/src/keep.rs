// SPDX-License-Identifier: Apache-2.0
//! What stays in the store after a job: build records, and all that they name by digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reprove_model::{BuildRecord, Content, Exit, Lock, canonical};
use reprove_store::{Root, Store};

use crate::{Context, JobError, blocking};

/// Stores `lock` and the records of builds of it, and keeps each with its inputs, its outputs and its log: as a root that
/// is named after the record. Waits until all that is on the disk.
pub(crate) async fn keep(context: &Context<'_>, lock: &Lock, built: &[(&BuildRecord, &Path)]) -> Result<(), JobError> {
    let (store, lock, now) = (context.store.clone(), lock.clone(), (context.now)());
    let built: Vec<(BuildRecord, PathBuf)> =
        built.iter().map(|(record, log)| ((*record).clone(), log.to_path_buf())).collect();
    blocking(move || keep_now(&store, &lock, &built, now)).await?
}

fn keep_now(store: &Store, lock: &Lock, built: &[(BuildRecord, PathBuf)], now: Timestamp) -> Result<(), JobError> {
    let (lock_digest, _) = store.add_bytes(&canonical::to_vec(lock)?)?;
    let mut roots = BTreeMap::new();
    for (record, log) in built {
        let (digest, _) = store.add_bytes(&canonical::to_vec(record)?)?;
        let recipe = &lock.recipe.package;
        let mut root = Root {
            since: now.as_second(),
            about: format!("{} {}", recipe.name, recipe.version.as_deref().unwrap_or_default()).trim_end().to_owned(),
            blobs: [digest.blake3, lock_digest.blake3].into(),
            logs: log.file_name().and_then(|name| name.to_str()).map(str::to_owned).into_iter().collect(),
            ..Root::default()
        };
        root.blobs.extend(record.observed.listing.iter().map(|listing| listing.blake3));
        root.blobs.extend(lock.published.iter().map(|published| published.digest.blake3));
        let parts = lock.published.iter().flat_map(|published| &published.parts);
        root.blobs.extend(parts.map(|part| part.digest.blake3));
        for input in &record.inputs {
            match &input.content {
                Content::Tree { digest } => root.trees.insert(digest.blake3),
                Content::File { digest, .. } | Content::Archive { digest, .. } => root.blobs.insert(digest.blake3),
            };
        }
        // What failed has none.
        if record.exit == Exit::Success {
            root.trees.insert(record.outputs.digest().blake3);
        }
        roots.insert(format!("record-{}", digest.blake3), root);
    }
    Ok(store.set_roots(&roots)?)
}
