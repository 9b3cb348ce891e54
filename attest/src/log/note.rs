// SPDX-License-Identifier: Apache-2.0
//! Signed notes (C2SP signed-note, version 1) and cosignatures of them (C2SP tlog-cosignature, version 1): how a log signs its
//! checkpoints, and its witnesses after it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::Sha256;
use thiserror::Error;

use crate::key::signature;
use crate::{PublicKey, Signer, SignerError};

/// The longest note, in bytes.
pub const MAX_NOTE: usize = 64 << 10;

/// The most signatures of one note.
pub const MAX_SIGNATURES: usize = 64;

/// What a key's signature of a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// That the note is the signer's own: a log's checkpoint. Algorithm 1.
    Own,
    /// That the signer saw the note at a time, and that it goes with all that it saw before: a witness's. Algorithm 4.
    Cosigned,
}

impl NoteKind {
    fn number(self) -> u8 {
        match self {
            Self::Own => 1,
            Self::Cosigned => 4,
        }
    }
}

/// A key that signs notes, with the name that it does so under: `NAME+ID+KEY` (C2SP signed-note, "Verifier keys").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    kind: NoteKind,
    key: PublicKey,
    bytes: [u8; 32],
}

impl NoteKey {
    /// A key under a name.
    ///
    /// # Errors
    /// [`NoteError::Name`]; [`NoteError::Key`] where it is not of Ed25519.
    pub fn new(name: &str, kind: NoteKind, key: PublicKey) -> Result<Self, NoteError> {
        let bytes = key.ed25519_bytes().ok_or(NoteError::Key)?;
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        Ok(Self { name: name.to_owned(), kind, key, bytes })
    }

    /// Under which name it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its signatures say.
    #[must_use]
    pub fn kind(&self) -> NoteKind {
        self.kind
    }

    /// The 32 bytes of its key.
    pub(super) fn bytes(&self) -> [u8; 32] {
        self.bytes
    }

    /// The first four bytes of the SHA-256 of name, newline, algorithm and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let all = [self.name.as_bytes(), b"\n", &[self.kind.number()], &self.bytes].concat();
        let [a, b, c, d, ..] = *Sha256::of(&all).as_bytes();
        [a, b, c, d]
    }

    /// The key itself.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    /// Whether the note has a signature by this key that is good; the time that it says, in seconds since 1970, where it is
    /// a cosignature.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] where there is none by this key, [`NoteError::Signature`] where one is not good.
    pub fn verify(&self, note: &Note) -> Result<Option<u64>, NoteError> {
        let mut found = Err(NoteError::NotSigned(self.name.clone()));
        for signature in note.signatures.iter().filter(|s| s.name == self.name && s.id == self.id()) {
            let bad = || NoteError::Signature(self.name.clone());
            let (time, message, bytes) = match self.kind {
                NoteKind::Own => (None, note.text.clone(), signature.bytes.as_slice()),
                NoteKind::Cosigned => {
                    let (time, bytes) = signature.bytes.split_first_chunk::<8>().ok_or_else(bad)?;
                    let time = u64::from_be_bytes(*time);
                    (Some(time), cosigned(time, &note.text), bytes)
                }
            };
            self.key.verify(message.as_bytes(), bytes).map_err(|_| bad())?;
            found = Ok(time);
        }
        found
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+", self.name, u32::from_be_bytes(self.id()))?;
        f.write_str(&STANDARD.encode([&[self.kind.number()], self.bytes.as_slice()].concat()))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::KeyText);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::KeyText)?;
        let (kind, bytes) = match bytes.split_first() {
            Some((1, rest)) => (NoteKind::Own, rest),
            Some((4, rest)) => (NoteKind::Cosigned, rest),
            _ => return Err(NoteError::Key),
        };
        let bytes = bytes.try_into().map_err(|_| NoteError::KeyText)?;
        let key = Self::new(name, kind, PublicKey::ed25519(bytes).map_err(|_| NoteError::Key)?)?;
        if key.to_string() == text && id.len() == 8 { Ok(key) } else { Err(NoteError::KeyChanged) }
    }
}

/// A text, and who has signed it. Nothing of it is known to be true until [`NoteKey::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The text, with its last newline.
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Note {
    /// The text, which nobody has signed yet.
    ///
    /// # Errors
    /// [`NoteError::Text`] where it does not end with a newline, or has control characters besides those.
    pub fn new(text: &str) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || text.chars().any(|c| c.is_control() && c != '\n') || text.len() > MAX_NOTE {
            return Err(NoteError::Text);
        }
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// The text, with its last newline. Unverified.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The ids of the keys that have signed under `name`. Unverified.
    #[must_use]
    pub fn key_ids(&self, name: &str) -> Vec<[u8; 4]> {
        self.signatures.iter().filter(|signature| signature.name == name).map(|signature| signature.id).collect()
    }

    /// Adds a signature under `name`: the note is the signer's own.
    ///
    /// # Errors
    /// [`NoteError::Key`] where `key` is not of Ed25519, [`NoteError::Name`], [`NoteError::Signer`].
    pub fn sign(&mut self, name: &str, key: &dyn Signer) -> Result<(), NoteError> {
        let public = NoteKey::new(name, NoteKind::Own, key.public_key())?;
        self.add(&public, signature(key, self.text.as_bytes())?)
    }

    /// Adds a cosignature under `name`: that the signer saw the note at `time`, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Note::sign`].
    pub fn cosign(&mut self, name: &str, key: &dyn Signer, time: u64) -> Result<(), NoteError> {
        let public = NoteKey::new(name, NoteKind::Cosigned, key.public_key())?;
        let signature = signature(key, cosigned(time, &self.text).as_bytes())?;
        self.add(&public, [&time.to_be_bytes(), signature.as_slice()].concat())
    }

    fn add(&mut self, key: &NoteKey, bytes: Vec<u8>) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::Signatures);
        }
        self.signatures.push(NoteSignature { name: key.name.clone(), id: key.id(), bytes });
        Ok(())
    }
}

/// What a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|NoteSignature { name, id, bytes }| {
            writeln!(f, "\u{2014} {name} {}", STANDARD.encode([id.as_slice(), bytes].concat()))
        })
    }
}

impl FromStr for Note {
    type Err = NoteError;

    /// Reads what is written, and nothing else.
    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong(note.len()));
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, lines) = (note.get(..=end).unwrap_or_default(), note.get(end + 2..).unwrap_or_default());
        let mut read = Self::new(text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape)?;
        for line in lines.split('\n') {
            let (name, base64) =
                line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Shape)?;
            let bytes = STANDARD.decode(base64).map_err(|_| NoteError::Shape)?;
            let Some((id, bytes)) = bytes.split_first_chunk::<4>().filter(|(_, rest)| !rest.is_empty()) else {
                return Err(NoteError::Shape);
            };
            if !is_name(name) {
                return Err(NoteError::Name);
            }
            if read.signatures.len() >= MAX_SIGNATURES {
                return Err(NoteError::Signatures);
            }
            read.signatures.push(NoteSignature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() });
        }
        Ok(read)
    }
}

/// Why something is no note, no key, or not signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`].
    #[error("the note has {0} bytes; the most is {MAX_NOTE}")]
    TooLong(usize),
    /// No text.
    #[error("a note's text ends with a newline, and has no other control characters")]
    Text,
    /// Not a text, an empty line and signatures.
    #[error("this is no signed note: a text, an empty line, and a line for each signature")]
    Shape,
    /// More than [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    Signatures,
    /// A name that is none.
    #[error("the name of who signs a note is not empty, and has no white space and no plus sign")]
    Name,
    /// Not a key that signs notes.
    #[error("a note is signed by a key of Ed25519")]
    Key,
    /// Not a key's text.
    #[error("a key for notes is NAME+ID+KEY, as in log.example+0123abcd+AX…")]
    KeyText,
    /// The text of a key whose id is another key's, or another name's.
    #[error("its ID is not that of this name and this key: one of the three was changed")]
    KeyChanged,
    /// No signature by the key.
    #[error("the note is not signed by {0}")]
    NotSigned(String),
    /// A signature by the key that is not good.
    #[error("the signature by {0} is not that of this note: one of them was changed")]
    Signature(String),
    /// The key made no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, SigningKey};

    fn key(seed: u8) -> SigningKey {
        SigningKey::ed25519([seed; 32])
    }

    fn note() -> Note {
        let mut note = Note::new("log.example\n3\nroot\n").unwrap();
        note.sign("log.example", &key(1)).unwrap();
        note.cosign("witness.example", &key(2), 1_700_000_000).unwrap();
        note
    }

    fn keys() -> (NoteKey, NoteKey) {
        let log = NoteKey::new("log.example", NoteKind::Own, key(1).public_key()).unwrap();
        (log, NoteKey::new("witness.example", NoteKind::Cosigned, key(2).public_key()).unwrap())
    }

    /// The example of Go's package sumdb/note, which signed notes come from, and its key.
    #[test]
    fn the_first_implementations_example() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: NoteKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let read: Note = note.parse().unwrap();
        assert_eq!(read.to_string(), note);
        assert_eq!(key.verify(&read), Ok(None));
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let (log, witness) = keys();
        let written = note().to_string();
        let read: Note = written.parse().unwrap();
        assert_eq!((log.verify(&read), witness.verify(&read)), (Ok(None), Ok(Some(1_700_000_000))));
        for at in 0..written.len() {
            let mut changed = written.clone().into_bytes();
            changed[at] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            let Ok(read) = changed.parse::<Note>() else { continue };
            assert!(log.verify(&read).is_err() || witness.verify(&read).is_err(), "byte {at}: {changed}");
        }
        // A cosignature is no signature, and the other way round.
        let as_witness = NoteKey::new("log.example", NoteKind::Cosigned, key(1).public_key()).unwrap();
        assert_eq!(as_witness.verify(&read), Err(NoteError::NotSigned("log.example".into())));
        let other = NoteKey::new("log.example", NoteKind::Own, key(3).public_key()).unwrap();
        assert_eq!(other.verify(&read), Err(NoteError::NotSigned("log.example".into())));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let good = note().to_string();
        for (bad, why) in [
            (String::new(), NoteError::Shape),
            ("text\n".into(), NoteError::Shape),
            ("text\n\n".into(), NoteError::Shape),
            (good.trim_end().into(), NoteError::Shape),
            (good.replace("\u{2014} ", "- "), NoteError::Shape),
            (good.replace("log.example ", "log.example  "), NoteError::Shape),
            (good.replace("root", "ro\u{7}ot"), NoteError::Text),
            (good.replace("\u{2014} log.example", "\u{2014} log+example"), NoteError::Name),
        ] {
            assert_eq!(bad.parse::<Note>(), Err(why), "{bad:?}");
        }
        for (text, why) in [
            ("", NoteError::KeyText),
            ("name+00000000+AX", NoteError::KeyText),
            ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteError::KeyChanged),
            ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteError::KeyChanged),
            ("PeterNeumann+c74f20a3+AhpcAQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteError::Key),
        ] {
            assert_eq!(text.parse::<NoteKey>(), Err(why), "{text}");
        }
        let p256 = SigningKey::new(Algorithm::EcdsaP256, [1; 32]).unwrap();
        assert_eq!(Note::new("x\n").unwrap().sign("log", &p256), Err(NoteError::Key));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let mut many = Note::new("x\n").unwrap();
        (0..MAX_SIGNATURES).for_each(|_| many.sign("log", &key(1)).unwrap());
        assert_eq!(many.sign("log", &key(1)), Err(NoteError::Signatures));
        let written = many.to_string();
        assert_eq!(written.parse::<Note>().unwrap(), many);
        let last = written.lines().last().unwrap();
        assert_eq!(format!("{written}{last}\n").parse::<Note>(), Err(NoteError::Signatures));
        let signed = |length: usize| {
            let mut note = Note::new(&format!("{}\n", "x".repeat(length))).unwrap();
            note.sign("log", &key(1)).unwrap();
            note.to_string()
        };
        let rest = signed(0).len();
        assert!(signed(MAX_NOTE - rest).parse::<Note>().is_ok());
        assert_eq!(signed(MAX_NOTE - rest + 1).parse::<Note>(), Err(NoteError::TooLong(MAX_NOTE + 1)));
    }
}
