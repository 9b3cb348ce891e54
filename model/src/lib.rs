// SPDX-License-Identifier: Apache-2.0
//! The nouns of reprove: what one stage hands to the next.
//!
//! Everything here is plain data with one canonical encoding ([`canonical`]). This crate does no I/O, knows no clock and
//! has no unsafe code, so that two machines read, write and digest the same bytes alike.
//!
//! ```text
//! Recipe ──▶ Lock ──▶ BuildRecord ──▶ Verdict
//! ```

#[macro_use]
mod text;

pub mod canonical;
mod conditions;
mod dependencies;
mod derivation;
mod digest;
mod environment;
mod image;
mod lock;
mod observed;
mod path;
mod purl;
mod recipe;
mod record;
mod surroundings;
mod tree;
mod variation;
mod verdict;

pub use conditions::{Clock, Conditions, FileOrder};
pub use dependencies::{Dependencies, Ecosystem};
pub use derivation::Closure;
pub use digest::{Digest, DigestSet, HashBoth, ParseDigestError, Sha256};
pub use environment::{Debian, Environment, EnvironmentLock, LockFileError, LockedPackage, PackageLock};
pub use image::{
    Image, ImageLock, ImagePlace, ImageReference, InvalidImageReference, LockedBlob, LockedLayer, Platform,
};
pub use lock::{
    Content, Derived, Input, InputName, InvalidInputName, Lock, LockedEnvironment, Published, PublishedPart, Role,
};
pub use observed::{
    Asker, ListingFormat, Loss, Observed, ObservedListing, ObservedPath, Origin, RecordMode, UnknownRecordMode, Use,
};
pub use path::{InsidePath, InvalidTreePath, LinkTarget, TreePath};
pub use purl::{InvalidPackageUrl, PackageUrl};
pub use recipe::{Build, EpochRule, Limits, Outputs, Package, Recipe, RecipeError, Source};
pub use record::{
    BuildRecord, Enforced, Engine, Exit, HeldBy, Isolation, IsolationLevel, LogRecord, Machine, PeakMemory,
};
pub use surroundings::{FileSystem, Surroundings, User};
pub use tree::{Listing, Node, Tree, TreeError};
pub use variation::{NoVariation, Variation};
pub use verdict::{
    Between, Cause, Detail, EpochAttempt, EpochOrigin, EpochUsed, Experiment, Finding, FindingKind, Normalization,
    Outcome, Proposal, ToolsAttempt, Verdict,
};

/// The prefix of every type URI that reprove defines. It names formats; nothing is ever fetched from it.
pub const NAMESPACE: &str = "https://reprove.dev";
