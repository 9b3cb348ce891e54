// SPDX-License-Identifier: Apache-2.0
//! PKCS#11 URIs (RFC 7512), as far as they name a key that signs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// What such a URI begins with.
pub const SCHEME: &str = "pkcs11:";

/// The longest URI, in bytes.
pub const MAX_URI: usize = 4096;

/// Which key on which token, and where the module and the PIN are. What it does not say, fits any.
///
/// An attribute that is not known here is refused, not passed over: it could be what tells two keys apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUri {
    text: String,
    pub(crate) token: Option<String>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) slot_id: Option<u64>,
    pub(crate) object: Option<String>,
    pub(crate) id: Option<Vec<u8>>,
    module_path: Option<PathBuf>,
    pin_source: Option<PathBuf>,
}

impl KeyUri {
    /// The module that the token is reached by: `module-path`, an absolute path.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    /// The file that the PIN is in: `pin-source`, an absolute path.
    #[must_use]
    pub fn pin_source(&self) -> Option<&Path> {
        self.pin_source.as_deref()
    }

    fn set_in_path(&mut self, name: &'static str, value: Vec<u8>) -> Result<(), UriError> {
        match name {
            "id" => self.id = Some(value),
            "token" => self.token = Some(text(name, value)?),
            "manufacturer" => self.manufacturer = Some(text(name, value)?),
            "model" => self.model = Some(text(name, value)?),
            "serial" => self.serial = Some(text(name, value)?),
            "object" => self.object = Some(text(name, value)?),
            "slot-id" => {
                let digits = text(name, value)?;
                // `parse` alone would take a sign.
                let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
                self.slot_id = Some(number.flatten().ok_or(UriError::SlotId)?);
            }
            _ if value != b"private" => return Err(UriError::Type),
            _ => {}
        }
        Ok(())
    }

    fn set_in_query(&mut self, name: &'static str, value: Vec<u8>) -> Result<(), UriError> {
        let value = text(name, value)?;
        if name == "module-path" {
            self.module_path = Some(absolute(&value).ok_or(UriError::ModulePath)?);
        } else {
            let path = match value.strip_prefix("file:") {
                // What a URI in a URI still has encoded could be meant in two ways.
                Some(path) if path.contains('%') => return Err(UriError::PinSource),
                Some(path) => path.strip_prefix("//").unwrap_or(path),
                None => &value,
            };
            self.pin_source = Some(absolute(path).ok_or(UriError::PinSource)?);
        }
        Ok(())
    }
}

/// In the part before the question mark.
const IN_PATH: [&str; 8] = ["token", "manufacturer", "model", "serial", "slot-id", "object", "id", "type"];

/// In the part behind it.
const IN_QUERY: [&str; 2] = ["module-path", "pin-source"];

impl FromStr for KeyUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        if uri.len() > MAX_URI {
            return Err(UriError::TooLong(uri.len()));
        }
        let rest = uri.strip_prefix(SCHEME).ok_or(UriError::Scheme)?;
        if let Some(other) = rest.chars().find(|c| !is_of_a_uri(*c)) {
            return Err(UriError::Character(other));
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        // Before all else, so that no other mistake keeps it where others read it.
        if query.is_some_and(|query| query.split('&').any(|one| one.starts_with("pin-value"))) {
            return Err(UriError::PinValue);
        }
        let mut this = Self {
            text: uri.to_owned(),
            token: None,
            manufacturer: None,
            model: None,
            serial: None,
            slot_id: None,
            object: None,
            id: None,
            module_path: None,
            pin_source: None,
        };
        for (name, value) in attributes(path, ';', &IN_PATH, "&")? {
            this.set_in_path(name, value)?;
        }
        if let Some(query) = query {
            for (name, value) in attributes(query, '&', &IN_QUERY, "/?|")? {
                this.set_in_query(name, value)?;
            }
        }
        if this.object.is_none() && this.id.is_none() {
            return Err(UriError::NoKey);
        }
        Ok(this)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no URI of a key that signs. None of them shows a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// Another scheme.
    #[error("a PKCS#11 URI begins with {SCHEME}")]
    Scheme,
    /// Longer than [`MAX_URI`].
    #[error("the PKCS#11 URI has {0} bytes; the most is {MAX_URI}")]
    TooLong(usize),
    /// A character that has to be encoded.
    #[error("the PKCS#11 URI has {0:?} in it; there, it is written as % and two hexadecimal digits for each byte")]
    Character(char),
    /// A percent sign without two digits behind it.
    #[error("the PKCS#11 URI has a % without two hexadecimal digits behind it")]
    Percent,
    /// An attribute without a value, or a value without an attribute.
    #[error("the PKCS#11 URI has an attribute without a value; each is NAME=VALUE")]
    Value,
    /// An attribute that is not known.
    #[error(
        "the PKCS#11 URI has {0:?} where it does not belong, or where nothing is known of it; before the question mark are \
         {before}, behind it {behind}", before = IN_PATH.join(", "), behind = IN_QUERY.join(", ")
    )]
    Unknown(String),
    /// An attribute that is there twice.
    #[error("the PKCS#11 URI has `{0}` twice")]
    Twice(&'static str),
    /// Bytes that are no UTF-8.
    #[error("the value of `{0}` in the PKCS#11 URI is not UTF-8 text")]
    NotText(&'static str),
    /// A PIN for all to see.
    #[error("the PKCS#11 URI has a PIN in it, which every process on this machine can read")]
    PinValue,
    /// A PIN from elsewhere than a file.
    #[error("`pin-source` in the PKCS#11 URI is file: and an absolute path; programs are not run for a PIN")]
    PinSource,
    /// A module that is searched for.
    #[error("`module-path` in the PKCS#11 URI is an absolute path")]
    ModulePath,
    /// No number.
    #[error("`slot-id` in the PKCS#11 URI is a decimal number")]
    SlotId,
    /// Another type of object.
    #[error("`type` in the PKCS#11 URI is private: nothing else signs")]
    Type,
    /// No word of a key.
    #[error("the PKCS#11 URI names no key: it has neither `object`, a label, nor `id`")]
    NoKey,
}

/// RFC 7512, section 2.3: the characters that are not encoded, the percent sign and what separates.
fn is_of_a_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:[]@!$'()*+,=&/?|;%".contains(c)
}

/// Names and decoded values. Besides what every value has unencoded, these have `also`.
fn attributes(
    part: &str,
    separator: char,
    known: &[&'static str],
    also: &str,
) -> Result<Vec<(&'static str, Vec<u8>)>, UriError> {
    let mut found: Vec<(&'static str, Vec<u8>)> = Vec::new();
    for attribute in part.split(separator) {
        let (name, value) = attribute.split_once('=').ok_or(UriError::Value)?;
        let name = *known.iter().find(|known| **known == name).ok_or_else(|| UriError::Unknown(name.to_owned()))?;
        if found.iter().any(|(other, _)| *other == name) {
            return Err(UriError::Twice(name));
        }
        if let Some(reserved) = value.chars().find(|c| "&/?|;".contains(*c) && !also.contains(*c)) {
            return Err(UriError::Character(reserved));
        }
        if value.is_empty() {
            return Err(UriError::Value);
        }
        found.push((name, decoded(value)?));
    }
    Ok(found)
}

fn decoded(value: &str) -> Result<Vec<u8>, UriError> {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(UriError::Percent)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(UriError::Percent);
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UriError::Percent)?);
        bytes.extend(rest.as_bytes());
    }
    Ok(bytes)
}

fn text(name: &'static str, value: Vec<u8>) -> Result<String, UriError> {
    String::from_utf8(value).map_err(|_| UriError::NotText(name))
}

/// A path that does not depend on where one is, and that the system takes.
fn absolute(path: &str) -> Option<PathBuf> {
    (path.starts_with('/') && !path.contains('\0')).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Result<KeyUri, UriError> {
        uri.parse()
    }

    #[test]
    fn what_a_uri_says_is_read() {
        let uri = "pkcs11:token=The%20Software;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=0A;slot-id=327;\
                   object=caf%C3%A9%3b;id=%00%ff%A1a;type=private?\
                   module-path=/usr/lib/a.so&pin-source=file:/run/pin";
        let all = read(uri).unwrap();
        assert_eq!(all.to_string(), uri);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!((all.token.clone(), all.manufacturer.clone()), (text("The Software"), text("Snake Oil, Inc.")));
        assert_eq!((all.model.clone(), all.serial.clone(), all.slot_id), (text("1.0"), text("0A"), Some(327)));
        assert_eq!((all.object.clone(), all.id.clone()), (text("café;"), Some(vec![0, 0xff, 0xa1, b'a'])));
        assert_eq!(
            (all.module_path(), all.pin_source()),
            (Some(Path::new("/usr/lib/a.so")), Some(Path::new("/run/pin")))
        );
        let least = read("pkcs11:object=k").unwrap();
        assert_eq!((least.token, least.id, least.module_path, least.pin_source), (None, None, None, None));
        for source in ["/run/pin", "file:///run/pin", "file:%2Frun%2fpin"] {
            let uri = read(&format!("pkcs11:id=%01?pin-source={source}")).unwrap();
            assert_eq!(uri.pin_source(), Some(Path::new("/run/pin")), "{source}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (uri, why) in [
            ("", UriError::Scheme),
            ("PKCS11:object=k", UriError::Scheme),
            ("pkcs11:", UriError::Value),
            ("pkcs11:object", UriError::Value),
            ("pkcs11:object=", UriError::Value),
            ("pkcs11:object=k;", UriError::Value),
            ("pkcs11:object=k?", UriError::Value),
            ("pkcs11:object=a b", UriError::Character(' ')),
            ("pkcs11:object=a\u{7}", UriError::Character('\u{7}')),
            ("pkcs11:object=café", UriError::Character('é')),
            ("pkcs11:object=a/b", UriError::Character('/')),
            ("pkcs11:object=a?module-path=/a;b", UriError::Character(';')),
            ("pkcs11:object=%4", UriError::Percent),
            ("pkcs11:object=%+1", UriError::Percent),
            ("pkcs11:object=%4%41", UriError::Percent),
            ("pkcs11:object=%ff", UriError::NotText("object")),
            ("pkcs11:object=a;object=b", UriError::Twice("object")),
            ("pkcs11:object=a;library-version=3", UriError::Unknown("library-version".into())),
            ("pkcs11:object=a;x-maker=3", UriError::Unknown("x-maker".into())),
            ("pkcs11:object=a;pin-source=/a", UriError::Unknown("pin-source".into())),
            ("pkcs11:object=a?module-name=softhsm", UriError::Unknown("module-name".into())),
            ("pkcs11:object=a;type=public", UriError::Type),
            ("pkcs11:object=a;slot-id=+1", UriError::SlotId),
            ("pkcs11:object=a;slot-id=18446744073709551616", UriError::SlotId),
            ("pkcs11:object=a?pin-source=%7Ccat%20pin", UriError::PinSource),
            ("pkcs11:object=a?pin-source=file:pin", UriError::PinSource),
            ("pkcs11:object=a?pin-source=file://host/pin", UriError::PinSource),
            ("pkcs11:object=a?pin-source=file:/a%2520b", UriError::PinSource),
            ("pkcs11:object=a?pin-source=/a%00b", UriError::PinSource),
            ("pkcs11:object=a?module-path=softhsm2.so", UriError::ModulePath),
            ("pkcs11:token=a", UriError::NoKey),
        ] {
            assert_eq!(read(uri), Err(why), "{uri}");
        }
    }

    #[test]
    fn a_pin_in_a_uri_is_refused_and_not_repeated() {
        for uri in ["pkcs11:object=a?pin-value=1234", "pkcs11:objct=a?module-path=/a&pin-value=1234"] {
            let error = read(uri).unwrap_err();
            assert_eq!(error, UriError::PinValue);
            assert!(!format!("{error} {error:?}").contains("1234"), "{error:?}");
        }
        let elsewhere = read("pkcs11:object=a;pin-value=1234").unwrap_err();
        assert!(!format!("{elsewhere} {elsewhere:?}").contains("1234"), "{elsewhere:?}");
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let long = |length: usize| format!("pkcs11:object={}", "a".repeat(length - "pkcs11:object=".len()));
        assert!(read(&long(MAX_URI)).is_ok());
        assert_eq!(read(&long(MAX_URI + 1)), Err(UriError::TooLong(MAX_URI + 1)));
        assert_eq!(read("pkcs11:id=a;slot-id=18446744073709551615").unwrap().slot_id, Some(u64::MAX));
    }
}
