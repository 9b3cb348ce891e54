// SPDX-License-Identifier: Apache-2.0
//! Why an image can't be locked.

use reprove_model::Sha256;
use thiserror::Error;

/// Why an image can't be locked.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A document of an image that can't be read.
    #[error("the image's {what} can't be read: {why}")]
    Document {
        /// Which: its index, manifest or configuration.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It is larger than what is read.
    #[error("{what} of the image has {size} bytes; at most {most} are read")]
    TooLarge {
        /// What.
        what: String,
        /// As its descriptor says.
        size: u64,
        /// The most.
        most: u64,
    },
    /// A digest by another algorithm.
    #[error("the image names a blob by {0:?}; only SHA-256 is read")]
    Algorithm(String),
    /// Something is as large as nobody said.
    #[error("the blob {digest} of the image has {here} bytes, and {said} are said of it")]
    Size {
        /// Which one.
        digest: Sha256,
        /// In its descriptor.
        said: u64,
        /// What it has.
        here: u64,
    },
    /// A blob that is another than its digest says.
    #[error("the blob {said} of the image is another one: its SHA-256 is {here}; nothing was kept of it")]
    Digest {
        /// What it was asked for by.
        said: Sha256,
        /// What it has.
        here: Sha256,
    },
    /// A blob that is not there.
    #[error("the image is not whole: the blob {0} is not there")]
    NoBlob(Sha256),
    /// A place that has no image in it.
    #[error("{0} is no OCI layout: it has no {1}")]
    NoLayout(String, &'static str),
    /// A place that is not there.
    #[error("{0} is not there; a recipe's paths are relative to its own directory")]
    NoPlace(String),
    /// There is none of that name.
    #[error("there is no image {asked} there; there {}", shown(there))]
    NoImage {
        /// What was asked for.
        asked: String,
        /// The tags that are there.
        there: Vec<String>,
    },
    /// There are several.
    #[error("there are several images there, so a tag has to say which, as in oci:DIR:TAG; there {}", shown(.0))]
    Several(Vec<String>),
    /// None of an index's images is for this machine.
    #[error("the image is for {}, and this machine is {here}", .there.join(", "))]
    Platform {
        /// For what machines there is one.
        there: Vec<String>,
        /// What this machine is.
        here: String,
    },
    /// An index in an index.
    #[error("the image's index leads to another index ({0}), where an image has to be")]
    Nested(Sha256),
    /// Something that is no image, as a chart or a signature.
    #[error("it is no image that files could be taken of: {what} is of the type {media_type:?}")]
    NoSuchType {
        /// What of it.
        what: &'static str,
        /// What it says that it is.
        media_type: String,
    },
    /// Manifest and configuration do not fit.
    #[error("the image's manifest has {manifest} layers, and its configuration says {config}")]
    Layers {
        /// In the manifest.
        manifest: usize,
        /// In the configuration.
        config: usize,
    },
    /// Something that a registry does not give.
    #[error("{what} is not there: the registry answers {status} {said}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// What came with it.
        said: String,
    },
    /// Something that a registry does not take.
    #[error("the registry does not take {what}: it answers {status} {said}")]
    Refused {
        /// What was given.
        what: &'static str,
        /// The status.
        status: u16,
        /// What came with it.
        said: String,
    },
    /// An index that others write at the same time.
    #[error("the index {0} was written by somebody else each time; try again")]
    Contended(String),
    /// More artifacts than are looked at.
    #[error("more than {0} artifacts are attached to the image")]
    TooMany(usize),
    /// An archive, to which nothing can be attached.
    #[error("{0} is an archive, which nothing is attached to; use a layout, or a registry")]
    ReadOnly(String),
    /// What is locked is not there any more.
    #[error("the image that is locked is not there any more ({0}); remove reprove.lock to have what is there now")]
    Gone(Sha256),
}

fn shown(tags: &[String]) -> String {
    if tags.is_empty() { "are no tags".into() } else { format!("are {}", tags.join(", ")) }
}
