// SPDX-License-Identifier: Apache-2.0
//! Paths inside a tree: relative, normal, and any bytes that Linux allows.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

/// A path below a tree's root: one or more names joined by `/`, none of them empty, `.` or `..`, without NUL.
///
/// Ordered by its bytes. As text, `\` is written `\\`, and each byte of a control character or of what is not valid UTF-8 as
/// `\xNN`, so that every path has exactly one text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

/// Why bytes are no [`TreePath`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{path:?} is not a path inside a tree: {why}")]
pub struct InvalidTreePath {
    path: String,
    why: &'static str,
}

/// The longest path, as Linux's `PATH_MAX` without its NUL.
const MAX_PATH: usize = 4095;
/// The longest name, as Linux's `NAME_MAX`.
const MAX_NAME: usize = 255;

impl TreePath {
    /// Takes `bytes` as a path.
    ///
    /// # Errors
    /// Where `bytes` are not relative and normal, hold a NUL, or are longer than Linux allows (4095 bytes; 255 a name).
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidTreePath> {
        let bytes = bytes.into();
        let why = if bytes.len() > MAX_PATH {
            Some("it is longer than 4095 bytes")
        } else if bytes.contains(&0) {
            Some("it holds a NUL byte")
        } else {
            bytes.split(|&b| b == b'/').find_map(|name| match name {
                b"" => Some("it is empty, absolute, or has an empty name"),
                b"." | b".." => Some("it has a `.` or `..` in it"),
                _ if name.len() > MAX_NAME => Some("it has a name longer than 255 bytes"),
                _ => None,
            })
        };
        match why {
            Some(why) => {
                Err(InvalidTreePath { path: String::from_utf8_lossy(&bytes).chars().take(200).collect(), why })
            }
            None => Ok(Self(bytes)),
        }
    }

    /// The bytes, as the file system has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as the standard library has it; it is relative.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// This path with `name` below it.
    ///
    /// # Errors
    /// Where `name` is not one valid name, or the whole becomes too long.
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidTreePath> {
        Self::new([self.as_bytes(), b"/", name].concat())
    }

    /// The path of the directory that holds this one, or `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|&b| b == b'/')?;
        self.0.get(..slash).map(|bytes| Self(bytes.to_vec()))
    }

    /// The last name.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or(&self.0)
    }
}

/// A symbolic link's target: 1 to 4095 bytes without NUL, kept as they are, whatever they lead to.
///
/// Its text has the escapes of [`TreePath`]'s.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget(Vec<u8>);

impl LinkTarget {
    /// Takes `bytes` as a target.
    ///
    /// # Errors
    /// Where there are none, more than 4095, or a NUL among them.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidTreePath> {
        let bytes = bytes.into();
        if bytes.is_empty() || bytes.len() > MAX_PATH || bytes.contains(&0) {
            let why = "a link's target has 1 to 4095 bytes and no NUL";
            return Err(InvalidTreePath { path: escape(&bytes).chars().take(200).collect(), why });
        }
        Ok(Self(bytes))
    }

    /// The bytes, as the file system has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An absolute path inside a sandbox: 1 to 4095 bytes, the first a `/`, without NUL, kept as it was asked for.
///
/// Its text has the escapes of [`TreePath`]'s.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InsidePath(Vec<u8>);

impl InsidePath {
    /// Takes `bytes` as a path.
    ///
    /// # Errors
    /// Where `bytes` are not absolute, more than 4095, or hold a NUL.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidTreePath> {
        let bytes = bytes.into();
        if bytes.first() != Some(&b'/') || bytes.len() > MAX_PATH || bytes.contains(&0) {
            let why = "a path inside a sandbox is absolute, and has at most 4095 bytes and no NUL";
            return Err(InvalidTreePath { path: escape(&bytes).chars().take(200).collect(), why });
        }
        Ok(Self(bytes))
    }

    /// The bytes, as the kernel has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes bytes as text that has one form: `\\` for a backslash, `\xNN` for control characters and what is not UTF-8.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    c.encode_utf8(&mut utf8).bytes().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
                }
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Reads what [`escape`] writes, and nothing else.
fn unescape(text: &str) -> Result<Vec<u8>, InvalidTreePath> {
    let fail = || InvalidTreePath {
        path: text.chars().take(200).collect(),
        why: "a backslash in it is not `\\\\` or `\\xNN`, or a byte is escaped that need not be",
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => match rest.next() {
                Some(b'\\') => bytes.push(b'\\'),
                Some(b'x') => {
                    let pair = [rest.next().ok_or_else(fail)?, rest.next().ok_or_else(fail)?];
                    let pair = str::from_utf8(&pair).map_err(|_| fail())?;
                    bytes.push(u8::from_str_radix(pair, 16).map_err(|_| fail())?);
                }
                _ => return Err(fail()),
            },
            byte => bytes.push(byte),
        }
    }
    if escape(&bytes) == text { Ok(bytes) } else { Err(fail()) }
}

macro_rules! as_text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&escape(&self.0))
            }
        }

        impl FromStr for $type {
            type Err = InvalidTreePath;

            /// Reads the text that [`fmt::Display`] writes, and no other.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(unescape(text)?)
            }
        }

        written_as_text!($type);
    };
}

as_text!(TreePath);
as_text!(LinkTarget);
as_text!(InsidePath);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_path_has_one_text(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            if let Ok(path) = TreePath::new(bytes) {
                let text = path.to_string();
                prop_assert_eq!(text.parse::<TreePath>().unwrap(), path);
                prop_assert!(!text.chars().any(char::is_control));
            }
        }

        #[test]
        fn text_that_is_read_is_written_back(text in "[a-f/x\\\\.0-9\u{80}-\u{ff}]{1,12}") {
            if let Ok(path) = text.parse::<TreePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }

    #[test]
    fn nothing_leads_out_of_the_tree() {
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b"] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TreePath::new("a/b").unwrap().parent(), Some(TreePath::new("a").unwrap()));
        assert_eq!(TreePath::new("a").unwrap().parent(), None);
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        assert!(TreePath::new("n".repeat(255)).is_ok());
        assert!(TreePath::new("n".repeat(256)).is_err());
        assert!(TreePath::new(["n"; 2048].join("/")).is_ok());
        assert!(TreePath::new(["n"; 2049].join("/")).is_err());
        assert!(LinkTarget::new("n".repeat(4095)).is_ok());
        assert!(LinkTarget::new("n".repeat(4096)).is_err());
        assert!(LinkTarget::new("").is_err());
    }

    #[test]
    fn a_path_inside_is_absolute_and_bounded() {
        for (bytes, is_path) in [("", false), ("a", false), ("/", true), ("/a\0", false)] {
            assert_eq!(InsidePath::new(bytes).is_ok(), is_path, "{bytes:?}");
        }
        let long = |n: usize| InsidePath::new([b"/".to_vec(), vec![b'a'; n - 1]].concat());
        assert!(long(4095).is_ok() && long(4096).is_err());
    }

    #[test]
    fn a_needless_escape_is_refused() {
        assert!(r"\x61".parse::<TreePath>().is_err());
        assert!(r"\xFF".parse::<TreePath>().is_err());
        assert!(r"\xff".parse::<TreePath>().is_ok());
        assert!(r"a\q".parse::<TreePath>().is_err());
        assert_eq!(TreePath::new("a\u{85}").unwrap().to_string(), r"a\xc2\x85");
        assert!("a\u{85}".parse::<TreePath>().is_err());
    }
}
