// SPDX-License-Identifier: Apache-2.0
//! Sources of projects: kept for as long as the farm is, so that what was built from them can be built again.

use std::collections::BTreeMap;

use reprove_model::Digest;
use reprove_store::Root;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::reports::blocking;
use super::{Coordinator, FarmError};
use crate::source;

impl Coordinator {
    /// Keeps the source that is the tree of this digest, in the archive that it is sent in. Says whether it is new.
    ///
    /// # Errors
    /// [`FarmError::Source`] where it is not that; see [`FarmError`].
    pub async fn add_source(&self, tree: Digest, packed: Vec<u8>, submitter: &str) -> Result<bool, FarmError> {
        let known = self.find_source(tree).await?;
        if known.is_some_and(|archive| self.parts.store.open_blob(&archive).is_ok()) {
            return Ok(false);
        }
        // Each may write a gigabyte.
        let _few = self.unpacking.acquire().await.map_err(|error| FarmError::Internal(error.to_string()))?;
        let (store, now, submitter) = (self.parts.store.clone(), self.parts.clock.now(), submitter.to_owned());
        let size = i64::try_from(packed.len()).unwrap_or(i64::MAX);
        let kept = blocking(move || {
            source::unpack(&store, &packed, &tree)?;
            let archive = store.add_bytes(&packed)?.0.blake3;
            let about = format!("source {tree}");
            let root = Root { since: now.timestamp().as_second(), about, blobs: [archive].into(), ..Root::default() };
            store.set_roots(&BTreeMap::from([(format!("farm-source-{archive}"), root)]))?;
            Ok::<_, FarmError>(archive)
        });
        let archive = kept.await??;
        let add = move |connection: &Connection| {
            const ADD: &str =
                "INSERT OR REPLACE INTO source (tree, archive, size, added, submitter) VALUES (?1, ?2, ?3, ?4, ?5)";
            let row = params![tree.to_string(), archive.to_string(), size, now.0, submitter];
            connection.prepare_cached(ADD)?.execute(row)?;
            Ok::<_, FarmError>(())
        };
        self.parts.database.write(add).await?;
        Ok(true)
    }

    /// The source that is the tree of this digest, as it was sent.
    ///
    /// # Errors
    /// [`FarmError::NoSource`]; see [`FarmError`].
    pub async fn source(&self, tree: Digest) -> Result<Vec<u8>, FarmError> {
        let archive = self.find_source(tree).await?.ok_or(FarmError::NoSource(tree))?;
        let store = self.parts.store.clone();
        Ok(blocking(move || store.read_blob(&archive, source::MAX_SOURCE as u64)).await??)
    }

    async fn find_source(&self, tree: Digest) -> Result<Option<Digest>, FarmError> {
        self.parts.database.read(move |connection| archive(connection, &tree)).await
    }
}

/// In which archive a source is; none, where it was not sent.
pub(super) fn archive(connection: &Connection, tree: &Digest) -> Result<Option<Digest>, FarmError> {
    let mut sql = connection.prepare_cached("SELECT archive FROM source WHERE tree = ?1")?;
    let found: Option<String> = sql.query_row([tree.to_string()], |row| row.get(0)).optional()?;
    found.map(|text| text.parse().map_err(|_| FarmError::Damaged(format!("{text} is no digest")))).transpose()
}
