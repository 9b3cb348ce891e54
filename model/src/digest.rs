// SPDX-License-Identifier: Apache-2.0
//! Digests: BLAKE3 is the identity of everything inside; SHA-256 goes with everything that leaves.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use thiserror::Error;

/// A BLAKE3 digest (32 bytes), written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A SHA-256 digest (32 bytes), written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// The same bytes under both functions: in-toto's `DigestSet` with the two keys that reprove always gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// The identity inside reprove.
    pub blake3: Digest,
    /// What in-toto subjects, registries and people use.
    pub sha256: Sha256,
}

impl DigestSet {
    /// Digests `bytes` with both functions.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { blake3: Digest::of(bytes), sha256: Sha256::of(bytes) }
    }
}

/// Computes both digests of a stream; also counts its bytes.
#[derive(Default)]
pub struct HashBoth {
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
    size: u64,
}

impl HashBoth {
    /// The digests of, and the number of, all bytes written so far.
    #[must_use]
    pub fn finish(self) -> (DigestSet, u64) {
        let digests = DigestSet {
            blake3: Digest(*self.blake3.finalize().as_bytes()),
            sha256: Sha256(self.sha256.finalize().into()),
        };
        (digests, self.size)
    }
}

impl io::Write for HashBoth {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Digest {
    /// The BLAKE3 digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl Sha256 {
    /// The digest that these bytes are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a digest is 64 lower-case hexadecimal digits, and this is not: {0:?}")]
pub struct ParseDigestError(String);

fn parse_hex(text: &str) -> Result<[u8; 32], ParseDigestError> {
    let error = || ParseDigestError(text.chars().take(80).collect());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return Err(error());
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(error()),
    };
    let mut bytes = [0; 32];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Ok(bytes)
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let mut text = [0; 64];
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    text
}

macro_rules! digest_type {
    ($type:ident) => {
        impl $type {
            /// The 32 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $type {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $type {
            type Err = ParseDigestError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(str::from_utf8(&hex(&self.0)).map_err(|_| fmt::Error)?)
            }
        }

        written_as_text!($type);
    };
}

digest_type!(Digest);
digest_type!(Sha256);

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The empty input's digests, as the BLAKE3 specification's test vectors and FIPS 180-4's examples give them.
    #[test]
    fn known_answers() {
        let empty = DigestSet::of(b"");
        assert_eq!(empty.blake3.to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(empty.sha256.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Sha256::of(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn one_way_to_write_a_digest() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!(digest.to_string()[1..].parse::<Digest>().is_err());
        assert!(format!("{digest}0").parse::<Digest>().is_err());
        assert!(format!("{}g", &digest.to_string()[1..]).parse::<Sha256>().is_err());
    }

    #[test]
    fn a_stream_digests_like_its_bytes() {
        let mut both = HashBoth::default();
        both.write_all(b"a").unwrap();
        both.write_all(b"bc").unwrap();
        assert_eq!(both.finish(), (DigestSet::of(b"abc"), 3));
    }
}
