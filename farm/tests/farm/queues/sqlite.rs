// SPDX-License-Identifier: Apache-2.0
//! The queue in the farm's own database.

use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;
use reprove_farm::queue::SqliteQueue;
use reprove_farm::{Database, Queue};
use tempfile::TempDir;

use super::promises::{Place, promises};
use super::random::{agrees_with_the_model, steps};

struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Place for Sqlite {
    async fn queue(&mut self) -> Arc<dyn Queue> {
        Arc::new(SqliteQueue::new(Database::open(&self.0.path().join("farm.db")).unwrap()))
    }
}

promises!(Sqlite::new());

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_agrees_with_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees_with_the_model(&mut Sqlite::new(), &steps));
    }
}
