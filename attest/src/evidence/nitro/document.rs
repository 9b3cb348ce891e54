// SPDX-License-Identifier: Apache-2.0
//! The form of a document: COSE_Sign1 (RFC 9052, section 4.2) around a map in CBOR (`attestation_process.md`, sections 2.2,
//! 3.1 and 3.2.2).

use std::collections::BTreeMap;

use coset::cbor::Value;
use coset::cbor::de::from_reader;
use coset::{CborSerializable as _, CoseSign1, Header, RegisteredLabelWithPrivate, iana};
use jiff::Timestamp;

use super::{MAX_BUNDLE, MAX_DOCUMENT, NitroError, Pcr};

/// The longest certificate, in bytes.
const MAX_CERTIFICATE: usize = 1024;
/// The longest key that an enclave gives, in bytes.
const MAX_KEY: usize = 1024;
/// The longest user data and nonce, in bytes.
const MAX_DATA: usize = 512;
/// The longest name of a module, in bytes; AWS says none.
const MAX_MODULE: usize = 256;
/// The longest name of a field that a message repeats, in characters.
const MAX_SHOWN: usize = 32;

/// A document, in its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) module_id: String,
    pub(super) timestamp: Timestamp,
    pub(super) pcrs: BTreeMap<u8, Pcr>,
    /// DER.
    pub(super) certificate: Vec<u8>,
    /// DER, the root first.
    pub(super) bundle: Vec<Vec<u8>>,
    pub(super) public_key: Option<Vec<u8>>,
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) nonce: Option<Vec<u8>>,
}

/// Reads a signed document: the envelope, and what is in it. Nothing is verified.
///
/// # Errors
/// See [`NitroError`].
pub(super) fn read(signed: &[u8]) -> Result<(CoseSign1, Document), NitroError> {
    if signed.len() > MAX_DOCUMENT {
        return Err(NitroError::TooLong(signed.len()));
    }
    let form = |_| NitroError::Form("it is no COSE_Sign1 without a tag");
    let cose = CoseSign1::from_slice(signed).map_err(form)?;
    // One encoding alone, so that nothing outside the signature can be changed.
    if cose.clone().to_vec().map_err(form)? != signed {
        return Err(NitroError::Form("its COSE_Sign1 is not in the shortest encoding"));
    }
    let es384 = Header { alg: Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES384)), ..Header::default() };
    if cose.protected.header != es384 || !cose.unprotected.is_empty() {
        return Err(NitroError::Form("its headers are not those of ES384 alone"));
    }
    let mut payload = cose.payload.as_deref().ok_or(NitroError::Form("it has no content"))?;
    let value: Value = from_reader(&mut payload).map_err(|_| NitroError::Form("its content is not CBOR"))?;
    let Value::Map(fields) = value else { return Err(NitroError::Form("its content is no map")) };
    if !payload.is_empty() {
        return Err(NitroError::Form("bytes are behind its content"));
    }
    Ok((cose, Document::of(fields)?))
}

impl Document {
    /// Section 3.2.2: every field that there has to be, once, none that nobody knows, and each within its bounds.
    fn of(fields: Vec<(Value, Value)>) -> Result<Self, NitroError> {
        let mut named = Fields(BTreeMap::new());
        for (name, value) in fields {
            let Value::Text(name) = name else {
                return Err(NitroError::Form("its content has a name that is no text"));
            };
            let shown: String = name.chars().take(MAX_SHOWN).filter(|c| !c.is_control()).collect();
            // Security modules write what is not there as null; section 3.2.2.1 says that it is left out.
            if named.0.insert(name, value).is_some() {
                return Err(NitroError::Field(shown, "is there twice"));
            }
        }
        let document = Self {
            module_id: named.text("module_id")?,
            timestamp: named.timestamp()?,
            pcrs: named.pcrs()?,
            certificate: named.needed("certificate", 1..=MAX_CERTIFICATE)?,
            bundle: named.bundle()?,
            public_key: named.bytes("public_key", 1..=MAX_KEY)?,
            user_data: named.bytes("user_data", 0..=MAX_DATA)?,
            nonce: named.bytes("nonce", 0..=MAX_DATA)?,
        };
        if named.text("digest")? != "SHA384" {
            return Err(wrong("digest", "is not SHA384"));
        }
        match named.0.into_keys().next() {
            None => Ok(document),
            Some(unknown) => {
                let shown = unknown.chars().take(MAX_SHOWN).filter(|c| !c.is_control()).collect();
                Err(NitroError::Field(shown, "is a field that nobody has defined"))
            }
        }
    }
}

/// The fields that were not looked at yet, by their name.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn take(&mut self, name: &'static str) -> Result<Value, NitroError> {
        self.0.remove(name).ok_or(wrong(name, "is missing"))
    }

    fn text(&mut self, name: &'static str) -> Result<String, NitroError> {
        match self.take(name)? {
            Value::Text(text) if is_plain(&text) => Ok(text),
            _ => Err(wrong(name, "is not a text of 1 to 256 plain characters")),
        }
    }

    /// Bytes that may be missing, or be null.
    fn bytes(
        &mut self,
        name: &'static str,
        lengths: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<Vec<u8>>, NitroError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bytes(bytes)) if lengths.contains(&bytes.len()) => Ok(Some(bytes)),
            Some(_) => Err(wrong(name, "is not bytes of a length that is allowed")),
        }
    }

    fn needed(&mut self, name: &'static str, lengths: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, NitroError> {
        self.bytes(name, lengths)?.ok_or(wrong(name, "is missing"))
    }

    /// Milliseconds since 1970.
    fn timestamp(&mut self) -> Result<Timestamp, NitroError> {
        let Value::Integer(number) = self.take("timestamp")? else { return Err(wrong("timestamp", "is no number")) };
        let time = i64::try_from(number).ok().filter(|number| *number > 0);
        let time = time.and_then(|number| Timestamp::from_millisecond(number).ok());
        time.ok_or(wrong("timestamp", "is no number of milliseconds since 1970"))
    }

    fn pcrs(&mut self) -> Result<BTreeMap<u8, Pcr>, NitroError> {
        let Value::Map(entries) = self.take("pcrs")? else { return Err(wrong("pcrs", "is no map")) };
        let mut pcrs = BTreeMap::new();
        for (number, content) in entries {
            let number = number.as_integer().and_then(|number| u8::try_from(number).ok()).filter(|number| *number < 32);
            let number = number.ok_or(wrong("pcrs", "has a register that is none of 0 to 31"))?;
            let content = content.as_bytes().and_then(|bytes| Pcr::try_from(bytes.as_slice()).ok());
            let content = content.ok_or(wrong("pcrs", "has a register that is not of 48 bytes"))?;
            if pcrs.insert(number, content).is_some() {
                return Err(wrong("pcrs", "has a register twice"));
            }
        }
        Ok(pcrs)
    }

    fn bundle(&mut self) -> Result<Vec<Vec<u8>>, NitroError> {
        let Value::Array(certificates) = self.take("cabundle")? else { return Err(wrong("cabundle", "is no array")) };
        if certificates.is_empty() || certificates.len() > MAX_BUNDLE {
            return Err(NitroError::Bundle(certificates.len()));
        }
        let certificate = |value| match value {
            Value::Bytes(der) if (1..=MAX_CERTIFICATE).contains(&der.len()) => Ok(der),
            _ => Err(wrong("cabundle", "has something that is not 1 to 1,024 bytes")),
        };
        certificates.into_iter().map(certificate).collect()
    }
}

fn wrong(name: &'static str, why: &'static str) -> NitroError {
    NitroError::Field(name.to_owned(), why)
}

fn is_plain(text: &str) -> bool {
    (1..=MAX_MODULE).contains(&text.len()) && !text.chars().any(char::is_control)
}
