// SPDX-License-Identifier: Apache-2.0
//! Checkpoints (C2SP tlog-checkpoint): what a log says of its whole tree at one size.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::merkle::Hash;

/// What a log says of its tree: which log, how many entries, and the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: a name that no other has, as a URL without its scheme.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// Of all of them.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    /// The text of the note that is signed; without extension lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root_text())
    }
}

impl Checkpoint {
    /// The root as the note has it: in base64.
    #[must_use]
    pub fn root_text(&self) -> String {
        STANDARD.encode(self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads a note's text; extension lines after the root are allowed, and mean nothing here.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Shape)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Shape);
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(CheckpointError::Shape);
        }
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = hash(root).ok_or(CheckpointError::Root)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A number as it is written: ASCII digits without leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in standard base64.
pub(super) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Not the lines of one.
    #[error("a checkpoint has a line each for its origin, its size and its root, and none that is empty")]
    Shape,
    /// No number.
    #[error("the checkpoint's size is no number in decimal digits")]
    Size,
    /// No hash.
    #[error("the checkpoint's root is no 32 bytes in standard base64")]
    Root,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_is_written() {
        // The example of C2SP's tlog-checkpoint.
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let read: Checkpoint = text.parse().unwrap();
        assert_eq!((read.size, read.to_string().as_str()), (20_852_163, text));
        assert_eq!(format!("{text}extension\n").parse(), Ok(read));
        for (bad, why) in [
            (text.trim_end().to_owned(), CheckpointError::Shape),
            ("\n".to_owned() + text.split_once('\n').unwrap().1, CheckpointError::Shape),
            ("a\n1\n".into(), CheckpointError::Shape),
            (format!("{text}\n"), CheckpointError::Shape),
            (text.replace("20852163", "020852163"), CheckpointError::Size),
            (text.replace("20852163", "+1"), CheckpointError::Size),
            (text.replace("20852163", "18446744073709551616"), CheckpointError::Size),
            (text.replace("CsUY", "CsU"), CheckpointError::Root),
            (text.replace("CsUY", ""), CheckpointError::Root),
        ] {
            assert_eq!(bad.parse::<Checkpoint>(), Err(why), "{bad:?}");
        }
        assert!(text.replace("20852163", "18446744073709551615").parse::<Checkpoint>().is_ok());
    }
}
