// SPDX-License-Identifier: Apache-2.0
//! How a PDF file is written (ISO 32000-2, 7.2 to 7.5): where each object, dictionary entry and stream begins and ends.

use std::borrow::Cow;

use super::super::number;

/// How deep lists and dictionaries are inside each other.
const MAX_DEPTH: usize = 256;

/// The bytes of a file, all before `at` is read.
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

/// One entry of a dictionary, or of a table of objects.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Where its name is, with the slash.
    pub(super) name: (usize, usize),
    /// Which object it is about, in a table of them.
    pub(super) number: Option<u64>,
    /// Where its value is.
    pub(super) value: (usize, usize),
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_regular(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

impl<'a> Scan<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn part(&self, (start, end): (usize, usize)) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn skip_while(&mut self, is: impl Fn(u8) -> bool) {
        self.at += self.rest().iter().take_while(|byte| is(**byte)).count();
    }

    /// Skips space and comments.
    pub(super) fn skip_space(&mut self) {
        loop {
            self.skip_while(is_space);
            if self.rest().first() != Some(&b'%') {
                return;
            }
            self.skip_while(|byte| !matches!(byte, b'\n' | b'\r'));
        }
    }

    /// Reads this word, where it comes next and nothing goes on with it.
    pub(super) fn word(&mut self, word: &[u8]) -> bool {
        let is_there =
            self.rest().strip_prefix(word).is_some_and(|after| after.first().is_none_or(|byte| !is_regular(*byte)));
        if is_there {
            self.at += word.len();
        }
        is_there
    }

    /// A number without a sign.
    pub(super) fn number(&mut self) -> Option<u64> {
        let len = self.rest().iter().take_while(|byte| is_regular(**byte)).count();
        // No more digits than a number of 64 bits has.
        let digits =
            self.rest().get(..len).filter(|digits| digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit))?;
        let number = number::decimal(digits)?;
        self.at += len;
        Some(number)
    }

    /// The number that comes next, however many zeros it begins with; all of its digits are read.
    pub(super) fn digits(&mut self) -> Option<u64> {
        let len = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = self.rest().get(..len).unwrap_or_default();
        let zeros = digits.iter().take_while(|byte| **byte == b'0').count().min(len.saturating_sub(1));
        self.at += len;
        digits.get(zeros..).and_then(number::decimal)
    }

    /// Two numbers and a word, which name an object or refer to one. Nothing is read where there is something else.
    pub(super) fn named(&mut self, word: &[u8]) -> Option<(u64, u64)> {
        let mut ahead = Scan { bytes: self.bytes, at: self.at };
        let number = ahead.number()?;
        ahead.skip_space();
        let generation = ahead.number()?;
        ahead.skip_space();
        ahead.word(word).then_some(())?;
        self.at = ahead.at;
        Some((number, generation))
    }

    /// Skips one value: a list or a dictionary with all that is in it.
    pub(super) fn value(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            let rest = self.rest();
            match rest.first()? {
                b'<' if rest.starts_with(b"<<") => {
                    open.push(b'>');
                    self.at += 2;
                }
                b'[' => {
                    open.push(b']');
                    self.at += 1;
                }
                b'>' if rest.starts_with(b">>") => {
                    (open.pop()? == b'>').then_some(())?;
                    self.at += 2;
                }
                b']' => {
                    (open.pop()? == b']').then_some(())?;
                    self.at += 1;
                }
                b'(' => self.string()?,
                b'<' => {
                    self.at += 1;
                    self.skip_while(|byte| byte.is_ascii_hexdigit() || is_space(byte));
                    (self.rest().first()? == &b'>').then(|| self.at += 1)?;
                }
                b'/' => {
                    self.at += 1;
                    self.skip_while(is_regular);
                }
                byte if is_regular(*byte) => {
                    if self.named(b"R").is_none() {
                        self.skip_while(is_regular);
                    }
                }
                _ => return None,
            }
            if open.is_empty() {
                return Some(());
            }
            if open.len() > MAX_DEPTH {
                return None;
            }
            self.skip_space();
        }
    }

    /// Skips text in parentheses, which may have others in it.
    fn string(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.rest().first()? {
                b'\\' => self.at += 1,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// The entries of the dictionary that comes next; of one with more than `most`, nothing.
    pub(super) fn dictionary(&mut self, most: usize) -> Option<Vec<Entry>> {
        self.rest().starts_with(b"<<").then(|| self.at += 2)?;
        let mut entries = Vec::new();
        loop {
            self.skip_space();
            if self.rest().starts_with(b">>") {
                self.at += 2;
                return Some(entries);
            }
            let start = self.at;
            (self.rest().first()? == &b'/' && entries.len() < most).then_some(())?;
            self.value()?;
            let name = (start, self.at);
            self.skip_space();
            let start = self.at;
            self.value()?;
            entries.push(Entry { name, number: None, value: (start, self.at) });
        }
    }

    /// The bytes of a stream, after the word that it begins with. `len`: how many there are said to be.
    pub(super) fn stream(&mut self, len: Option<u64>) -> Option<(usize, usize)> {
        let rest = self.rest();
        self.at += if rest.starts_with(b"\r\n") { 2 } else { usize::from(rest.starts_with(b"\n")) };
        let start = self.at;
        let said = len.and_then(|len| start.checked_add(usize::try_from(len).ok()?)).filter(|end| {
            let after = self.bytes.get(*end..).unwrap_or_default();
            let after = ENDINGS.iter().find_map(|ending| after.strip_prefix(*ending)).unwrap_or(after);
            after.starts_with(END)
        });
        let end = match said {
            Some(end) => end,
            None => {
                let at = self.rest().windows(END.len()).position(|window| window == END)?;
                let data = self.rest().get(..at)?;
                let data = ENDINGS.iter().find_map(|ending| data.strip_suffix(*ending)).unwrap_or(data);
                start + data.len()
            }
        };
        self.at = end;
        self.skip_while(is_space);
        self.word(END).then_some((start, end))
    }
}

const END: &[u8] = b"endstream";
/// What may stand before it, and is none of the stream.
const ENDINGS: [&[u8]; 3] = [b"\r\n", b"\n", b"\r"];

/// A name without the ways to write its characters by their numbers.
pub(super) fn decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'#') {
        return name.into();
    }
    let (mut rest, mut plain) = (name, Vec::new());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'#').and_then(|digits| number::digits(digits, 16));
        let byte = digits.and_then(|value| u8::try_from(value).ok());
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
        plain.push(byte.unwrap_or(*first));
    }
    plain.into()
}

/// Whether one of these names is anywhere in the file, however it is written, and be it by chance.
pub(super) fn has_name(bytes: &[u8], names: &[&[u8]]) -> bool {
    /// Longer than any of them, with each byte as three.
    const MOST: usize = 64;
    bytes.split(|byte| *byte == b'/').skip(1).any(|rest| {
        let is_near = |first: &u8| *first == b'#' || names.iter().any(|name| name.first() == Some(first));
        let rest = rest.get(..MOST).unwrap_or(rest);
        if !rest.first().is_some_and(is_near) {
            return false;
        }
        let len = rest.iter().take_while(|byte| is_regular(**byte)).count();
        names.contains(&&*decoded(rest.get(..len).unwrap_or_default()))
    })
}
