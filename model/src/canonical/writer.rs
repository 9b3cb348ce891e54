// SPDX-License-Identifier: Apache-2.0
//! Writing canonical JSON (RFC 8785) in one pass: members are written as they come, and moved where their order is another.

use std::cmp::Ordering;
use std::fmt::Display;
use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::{CanonicalError, MAX_INTEGER};

/// Encodes `value`.
pub(super) fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut canonical = Canonical::default();
    let written = value.serialize(&mut Serializer::with_formatter(io::sink(), &mut canonical));
    match (written, canonical.number) {
        (_, Some(number)) => Err(CanonicalError::Number(number.chars().take(40).collect())),
        (Err(error), None) => Err(error.into()),
        (Ok(()), None) => Ok(canonical.text),
    }
}

/// The text so far. It is kept here, not in the serializer's writer, since what was written may have to move.
#[derive(Default)]
struct Canonical {
    text: Vec<u8>,
    /// The objects that are open, from the outermost.
    open: Vec<Object>,
    /// The members of those objects, in the order in which they came.
    members: Vec<Member>,
    /// What is moved, for as long as that takes.
    moved: Vec<u8>,
    /// The first number that canonical JSON does not hold.
    number: Option<String>,
}

struct Object {
    /// Where its first member starts.
    start: usize,
    /// Which of the members is its first.
    first: usize,
    /// Whether its members came in order so far.
    is_sorted: bool,
}

/// A key with its quotes, and all of the member from there on.
#[derive(Clone)]
struct Member {
    key: Range<usize>,
    end: usize,
    /// Whether the key is written as what it stands for, in ASCII.
    is_plain: bool,
}

impl Canonical {
    fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    fn key(&self, member: &Member) -> &[u8] {
        self.text.get(member.key.clone()).unwrap_or_default()
    }

    /// Writes an integer whose distance from zero is `size`.
    fn integer(&mut self, size: impl TryInto<u64>, integer: impl Display) -> io::Result<()> {
        if size.try_into().is_ok_and(|size| size <= MAX_INTEGER) {
            return write!(self.text, "{integer}");
        }
        self.refuse(integer.to_string())
    }

    fn refuse(&mut self, number: String) -> io::Result<()> {
        self.number.get_or_insert(number);
        Err(io::Error::other("a number that canonical JSON does not hold"))
    }

    /// The order of two keys: by the UTF-16 of what they stand for (RFC 8785, section 3.2.3).
    fn order(&self, a: &Member, b: &Member) -> io::Result<Ordering> {
        let (left, right) = (self.key(a), self.key(b));
        if a.is_plain && b.is_plain {
            return Ok(left.strip_suffix(b"\"").cmp(&right.strip_suffix(b"\"")));
        }
        let (left, right): (String, String) = (serde_json::from_slice(left)?, serde_json::from_slice(right)?);
        Ok(left.encode_utf16().cmp(right.encode_utf16()))
    }

    /// The key that was just written, against the one before it.
    fn key_ended(&mut self) -> io::Result<()> {
        let end = self.text.len();
        let Some(member) = self.members.last_mut() else { return Ok(()) };
        member.key.end = end;
        let key = self.text.get(member.key.clone()).unwrap_or_default();
        member.is_plain = key.iter().all(|byte| byte.is_ascii() && *byte != b'\\');
        let Some(object) = self.open.last() else { return Ok(()) };
        let order = match self.members.get(object.first..).unwrap_or_default() {
            [.., before, last] if object.is_sorted => self.order(before, last)?,
            _ => return Ok(()),
        };
        match order {
            Ordering::Less => {}
            Ordering::Equal => return Err(twice()),
            Ordering::Greater => {
                if let Some(object) = self.open.last_mut() {
                    object.is_sorted = false;
                }
            }
        }
        Ok(())
    }

    /// Puts the members of the object that ends here into order.
    fn object_ended(&mut self) -> io::Result<()> {
        let Some(Object { start, first, is_sorted }) = self.open.pop() else { return Ok(()) };
        if !is_sorted {
            let mut members = self.members.get(first..).unwrap_or_default().to_vec();
            let mut failed = Ok(());
            members.sort_by(|a, b| {
                self.order(a, b).unwrap_or_else(|error| {
                    failed = Err(error);
                    Ordering::Equal
                })
            });
            failed?;
            if members.windows(2).any(|two| matches!(two, [a, b] if self.key(a) == self.key(b))) {
                return Err(twice());
            }
            self.moved.clear();
            for member in members {
                if !self.moved.is_empty() {
                    self.moved.push(b',');
                }
                self.moved.extend_from_slice(self.text.get(member.key.start..member.end).unwrap_or_default());
            }
            self.text.truncate(start);
            self.text.extend_from_slice(&self.moved);
        }
        self.members.truncate(first);
        Ok(())
    }
}

fn twice() -> io::Error {
    io::Error::other("one key is there twice")
}

/// Strings are written as [`Formatter`] writes them by itself: as RFC 8785, section 3.2.2.2 has them.
impl Formatter for &mut Canonical {
    fn write_null<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b"null");
        Ok(())
    }

    fn write_bool<W: ?Sized + Write>(&mut self, _: &mut W, value: bool) -> io::Result<()> {
        self.push(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn write_i8<W: ?Sized + Write>(&mut self, _: &mut W, value: i8) -> io::Result<()> {
        self.integer(value.unsigned_abs(), value)
    }

    fn write_i16<W: ?Sized + Write>(&mut self, _: &mut W, value: i16) -> io::Result<()> {
        self.integer(value.unsigned_abs(), value)
    }

    fn write_i32<W: ?Sized + Write>(&mut self, _: &mut W, value: i32) -> io::Result<()> {
        self.integer(value.unsigned_abs(), value)
    }

    fn write_i64<W: ?Sized + Write>(&mut self, _: &mut W, value: i64) -> io::Result<()> {
        self.integer(value.unsigned_abs(), value)
    }

    fn write_i128<W: ?Sized + Write>(&mut self, _: &mut W, value: i128) -> io::Result<()> {
        self.integer(value.unsigned_abs(), value)
    }

    fn write_u8<W: ?Sized + Write>(&mut self, _: &mut W, value: u8) -> io::Result<()> {
        self.integer(value, value)
    }

    fn write_u16<W: ?Sized + Write>(&mut self, _: &mut W, value: u16) -> io::Result<()> {
        self.integer(value, value)
    }

    fn write_u32<W: ?Sized + Write>(&mut self, _: &mut W, value: u32) -> io::Result<()> {
        self.integer(value, value)
    }

    fn write_u64<W: ?Sized + Write>(&mut self, _: &mut W, value: u64) -> io::Result<()> {
        self.integer(value, value)
    }

    fn write_u128<W: ?Sized + Write>(&mut self, _: &mut W, value: u128) -> io::Result<()> {
        self.integer(value, value)
    }

    fn write_f32<W: ?Sized + Write>(&mut self, _: &mut W, value: f32) -> io::Result<()> {
        self.refuse(value.to_string())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, _: &mut W, value: f64) -> io::Result<()> {
        self.refuse(value.to_string())
    }

    fn write_number_str<W: ?Sized + Write>(&mut self, _: &mut W, value: &str) -> io::Result<()> {
        match value.parse::<i64>() {
            Ok(integer) if integer.to_string() == value => self.integer(integer.unsigned_abs(), integer),
            _ => self.refuse(value.to_owned()),
        }
    }

    fn begin_string<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b"\"");
        Ok(())
    }

    fn end_string<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b"\"");
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, _: &mut W, fragment: &str) -> io::Result<()> {
        self.push(fragment.as_bytes());
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        _: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(&mut self.text, escape)
    }

    fn write_byte_array<W: ?Sized + Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        self.begin_array(writer)?;
        for (index, byte) in value.iter().enumerate() {
            self.begin_array_value(writer, index == 0)?;
            self.write_u8(writer, *byte)?;
        }
        self.end_array(writer)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b"[");
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b"]");
        Ok(())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        self.push(if first { b"" } else { b"," });
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b"{");
        self.open.push(Object { start: self.text.len(), first: self.members.len(), is_sorted: true });
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.object_ended()?;
        self.push(b"}");
        Ok(())
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        self.push(if first { b"" } else { b"," });
        let start = self.text.len();
        self.members.push(Member { key: start..start, end: start, is_plain: false });
        Ok(())
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.key_ended()
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.push(b":");
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.text.len();
        if let Some(member) = self.members.last_mut() {
            member.end = end;
        }
        Ok(())
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(io::Error::other("JSON that somebody else has written"))
    }
}
