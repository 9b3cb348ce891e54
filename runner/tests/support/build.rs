// SPDX-License-Identifier: Apache-2.0
//! Builds under conditions that do not matter to a test.

use reprove_images::RootFilesystem;
use reprove_model::{Clock, Conditions, FileOrder, Lock, RecordMode, Surroundings};
use reprove_runner::vm::Machine;
use reprove_runner::{BuildRequest, Built, RunError, Runner, SourceFiles};
use reprove_store::Store;

/// Builds what is locked, in a machine where there is one. What does not matter here is always the same.
pub(crate) async fn build(
    (store, machine): (&Store, Option<Machine>),
    (lock, root): (&Lock, &RootFilesystem),
    clock: Clock,
    watched: RecordMode,
) -> Result<Built, RunError> {
    let conditions = Conditions {
        build_path: "/build".into(),
        hostname: "reprove".into(),
        processors: 1,
        file_order: FileOrder::Sorted,
        clock,
        surroundings: Surroundings::default(),
    };
    let runner = Runner { store: store.clone(), sandbox: super::sandbox(), machine };
    let request = BuildRequest {
        lock,
        root,
        source: &SourceFiles::of(lock, store).unwrap(),
        conditions: &conditions,
        epoch: None,
        started: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        watched,
        label: "label",
        followed: false,
    };
    runner.build(request).await
}
