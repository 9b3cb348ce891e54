// SPDX-License-Identifier: Apache-2.0
//! Content-addressed files and trees on one machine.
//!
//! A store is a directory: `blobs/ab/cdef…` holds files by BLAKE3 digest, `trees/` holds trees by the digest of their
//! canonical list, `logs/` holds build logs, `tmp/` what is being made. Nothing gets its name before it is whole, so that a
//! process that is killed leaves nothing but files in `tmp/`, which the next [`Store::open`] removes.

mod blobs;
mod hash;
mod ingest;
mod lock;
mod unpack;

pub use blobs::{Store, StoreError};
pub use hash::{HashTreeError, Skip, digest_file, hash_tree, stat_fingerprint};
pub use ingest::{IngestError, IngestLimits};
pub use unpack::{UnpackError, UnpackLimits, Unpacked, UnpackedEntry};
