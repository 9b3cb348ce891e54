// SPDX-License-Identifier: Apache-2.0
//! Verdicts: what a comparison came to, and every difference that it found.

use serde::{Deserialize, Serialize};

use crate::{DigestSet, Variation};

/// What comparing rebuilds, with each other and with what was published, came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    /// The word.
    pub outcome: Outcome,
    /// Whether the rebuilds' output trees have one digest.
    pub rebuilds_agree: bool,
    /// Whether the rebuilds agree, and the artifact that they rebuilt has the published one's digest; `None` where nothing
    /// published was compared.
    pub matches_published: Option<bool>,
    /// What was made different on purpose between the rebuilds, sorted.
    pub varied: Vec<Variation>,
    /// Which of them were also changed alone, in builds that ended well, to look for causes; sorted. Empty where the
    /// rebuilds agree, and where the build did not even end well with nothing changed.
    pub changed_alone: Vec<Variation>,
    /// Every build that was made to look for causes, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<Experiment>,
    /// `SOURCE_DATE_EPOCH`: what it was, and where that came from.
    pub source_date_epoch: EpochUsed,
    /// Every set of tools that was tried, where those that built the published artifact were not known; in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools_tried: Vec<ToolsAttempt>,
    /// What made the published artifact and the rebuilt one equal, applied in this order to both: only where they differ, and
    /// all of it was needed. Empty where nothing known does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normalizations: Vec<Normalization>,
    /// Every difference, sorted by place. Empty if and only if the outcome is `reproducible`.
    pub findings: Vec<Finding>,
}

/// One kind of difference that was taken out of two files before they were compared again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// What it is called.
    pub name: String,
    /// Of what the published artifact is after it and all before it; the last one's is the rebuilt artifact's as well.
    pub digest: DigestSet,
}

/// The word of a verdict. A build that did not finish is called neither: there is no verdict then, only a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every rebuild gave the same bytes, and they are the published ones where any were compared.
    Reproducible,
    /// Some did not.
    Different,
}

/// `SOURCE_DATE_EPOCH`: what it was for the rebuilds that the verdict is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochUsed {
    /// Seconds since 1970-01-01T00:00:00Z; `None`: not set.
    pub seconds: Option<u64>,
    /// Where the value came from.
    pub origin: EpochOrigin,
    /// Every value that a search tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<EpochAttempt>,
}

/// Where a value of `SOURCE_DATE_EPOCH` came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochOrigin {
    /// The recipe says so.
    Recipe,
    /// A search's first try: not set. Nothing was taken from the artifact.
    SearchUnset,
    /// Derived from the published artifact: its most common timestamp. It proves nothing about when it was built.
    PublishedArtifact,
}

/// One value that a search tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochAttempt {
    /// Seconds since 1970-01-01T00:00:00Z; `None`: not set.
    pub seconds: Option<u64>,
    /// Whether the first rebuild with it came out as published, bit for bit. A build that failed did not.
    pub matched: bool,
}

impl EpochUsed {
    /// What a recipe says.
    #[must_use]
    pub fn as_said(seconds: Option<u64>) -> Self {
        Self { seconds, origin: EpochOrigin::Recipe, tried: Vec::new() }
    }
}

/// One set of tools that may have built what was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolsAttempt {
    /// What they are, for a person.
    pub name: String,
    /// Of the canonical JSON of the lock that has them.
    pub lock: DigestSet,
    /// Whether the first rebuild with them came out as published, bit for bit. A build that failed did not.
    pub matched: bool,
}

/// One difference: where it is, what it is, and what caused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    /// Which two things differ.
    pub between: Between,
    /// Where: the output's path, and below `!` the member of an archive.
    pub place: String,
    /// What it is.
    pub kind: FindingKind,
    /// One line for a person.
    pub summary: String,
    /// The single differences, at most [`Finding::MAX_DETAILS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// How many single differences there are in all.
    pub count: u64,
    /// What caused it, where that was shown and not guessed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// What its form suggests, where nothing was shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposed: Vec<Proposal>,
}

/// What the form of a difference suggests as its cause. It shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proposal {
    /// The condition.
    pub variation: Variation,
    /// Why, for a person: what the two sides have in them.
    pub why: String,
}

/// One build that was made to look for causes: under the first rebuild's conditions, but for those that are named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Experiment {
    /// Which conditions were the second rebuild's, sorted; none: nothing was changed. Of deterministic ones: which were others
    /// than in the first of them.
    pub changed: Vec<Variation>,
    /// Whether it was a deterministic build, as `docs/determinism.md` has them: to find out what is behind something that is
    /// otherwise each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deterministic: bool,
    /// Of its build record.
    pub record: DigestSet,
    /// Whether it ended well. One that did not shows nothing.
    pub ended_well: bool,
}

impl Finding {
    /// How many details one finding keeps.
    pub const MAX_DETAILS: usize = 1000;
}

/// Which two things a finding sets side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Between {
    /// Left: the published artifact. Right: the rebuilt one.
    PublishedAndRebuilt,
    /// Left: the first rebuild. Right: the second, under other conditions.
    Rebuilds,
    /// Left and right as they were given.
    Given,
}

/// What a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A file is on the left alone.
    OnlyLeft,
    /// A file is on the right alone.
    OnlyRight,
    /// One is a file, the other a directory or a link.
    Type,
    /// Permission bits.
    Mode,
    /// A symbolic link's target.
    LinkTarget,
    /// The bytes of a file.
    Content,
    /// Modification times of a zip archive's entries.
    ZipEntryTimes,
    /// The order of a zip archive's entries.
    ZipEntryOrder,
    /// Permission bits and host system of a zip archive's entries.
    ZipEntryAttributes,
    /// How a zip archive's entries are compressed.
    ZipCompression,
    /// A zip archive's other structure: extra fields, comments, headers, padding.
    ZipStructure,
    /// Times in another archive's or a compressed file's headers.
    ArchiveTimes,
    /// The order of an archive's members.
    ArchiveOrder,
    /// Owners of an archive's members.
    ArchiveOwners,
    /// Permission bits of an archive's members.
    ArchiveModes,
    /// How bytes are compressed that are equal once they are expanded.
    Compression,
    /// An archive's or a compressed file's other structure: headers, how numbers are written, padding.
    ArchiveStructure,
    /// What names one build and follows from other things: a build-id, a link to debugging information.
    BuildIdentity,
}

impl FindingKind {
    /// The difference, as people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OnlyLeft => "only on the left",
            Self::OnlyRight => "only on the right",
            Self::Type => "type",
            Self::Mode => "permission bits",
            Self::LinkTarget => "link target",
            Self::Content => "content",
            Self::ZipEntryTimes => "zip entry times",
            Self::ZipEntryOrder => "zip entry order",
            Self::ZipEntryAttributes => "zip entry attributes",
            Self::ZipCompression => "zip compression",
            Self::ZipStructure => "zip structure",
            Self::ArchiveTimes => "archive times",
            Self::ArchiveOrder => "archive order",
            Self::ArchiveOwners => "archive owners",
            Self::ArchiveModes => "archive permission bits",
            Self::Compression => "compression",
            Self::ArchiveStructure => "structure",
            Self::BuildIdentity => "build identity",
        }
    }
}

/// One single difference inside a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Detail {
    /// Where: an entry's name, a byte offset.
    pub at: String,
    /// What is there on the left.
    pub left: String,
    /// What is there on the right.
    pub right: String,
}

/// What was shown to cause a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum Cause {
    /// Building again with this one condition changed, and nothing else, changed the same place.
    Varied {
        /// The condition.
        variation: Variation,
        /// Of the build record that shows it.
        record: DigestSet,
        /// Of the record of a build in which everything was changed but what is named as a cause of this finding, and the
        /// place was the same: it differs exactly when that differs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<DigestSet>,
    },
    /// Building again with these conditions changed, and nothing else, changed the same place; with any of them left out it
    /// stayed the same.
    Together {
        /// The conditions, at least two, sorted.
        variations: Vec<Variation>,
        /// Of the build record that shows it.
        record: DigestSet,
    },
    /// Building again under the same conditions gave something else in the same place: time passing, randomness or a race.
    Unstable {
        /// Of the build record that shows it.
        record: DigestSet,
    },
}

impl Cause {
    /// The conditions that it names.
    #[must_use]
    pub fn variations(&self) -> &[Variation] {
        match self {
            Self::Varied { variation, .. } => std::slice::from_ref(variation),
            Self::Together { variations, .. } => variations,
            Self::Unstable { .. } => &[],
        }
    }

    /// The same, without saying that nothing else is one.
    #[must_use]
    pub fn not_all(self) -> Self {
        match self {
            Self::Varied { variation, record, .. } => Self::Varied { variation, record, kept: None },
            other => other,
        }
    }

    /// The digest of the build record that shows it.
    #[must_use]
    pub fn record(&self) -> DigestSet {
        match self {
            Self::Varied { record, .. } | Self::Together { record, .. } | Self::Unstable { record } => *record,
        }
    }
}
