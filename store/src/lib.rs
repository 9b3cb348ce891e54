// SPDX-License-Identifier: Apache-2.0
//! Content-addressed files and trees on one machine.
//!
//! A store is a directory: `blobs/ab/cdef…` holds files by BLAKE3 digest, `trees/` holds trees by the digest of their
//! canonical list, `shared/` what check-outs share, `roots/` says what is kept, `logs/` holds build logs, `tmp/` what is being
//! made. Nothing gets its name before it is whole, so that a process that is killed leaves nothing but files in `tmp/`, which
//! the next [`Store::open`] removes. [`Store::collect`] removes what no root reaches. `docs/store.md` says more.

mod blobs;
mod buffer;
mod check_out;
mod collect;
mod examine;
mod hash;
mod ingest;
mod lock;
mod nar;
mod options;
mod quota;
mod roots;
mod shared;
mod unpack;
mod workers;
mod write;

pub use blobs::{Store, StoreError};
pub use check_out::{CheckOutError, CheckedOut, Use};
pub use collect::{Collected, Collection};
pub use examine::{Examined, Wrong};
pub use hash::{Fingerprint, HashTreeError, MAPPED, Skip, digest_file, hash_tree, stat_fingerprint};
pub use ingest::{IngestError, IngestLimits, Mounts, SetId};
pub use options::{ByteSize, ParseByteSizeError, ParseVerifyRateError, StoreOptions, Tell, VerifyRate};
pub use roots::Root;
pub use unpack::{Layer, Layout, UnpackError, UnpackLimits, Unpacked, UnpackedEntry};
