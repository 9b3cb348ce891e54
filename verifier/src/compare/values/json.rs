// SPDX-License-Identifier: Apache-2.0
//! JSON (RFC 8259) as it is written: numbers keep their digits, and of a name that comes twice none is lost.

use std::borrow::Cow;

use super::{Children, MAX_CHILDREN, Value as Any};

/// A value in a text that is JSON, without the spaces around it.
pub(super) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The whole of `text`, where that is an object or a list.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let value = text.trim_matches(is_space);
        let is_large = value.starts_with(['{', '[']);
        (is_large && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()).then_some(Self(value))
    }

    /// What is at the end of these names, as it is written.
    pub(super) fn at(self, names: &[&str]) -> Option<&'a str> {
        names
            .iter()
            .try_fold(self, |value, name| {
                let Children::Named(children) = value.children()? else { return None };
                let mut found = children.into_iter().filter(|(other, _)| other == name);
                let (Some((_, child)), None) = (found.next(), found.next()) else { return None };
                Some(child)
            })
            .map(|value| value.0)
    }
}

impl Any for Value<'_> {
    fn children(&self) -> Option<Children<Self>> {
        let first = self.0.chars().next()?;
        let inside = self.0.get(1..self.0.len().checked_sub(1)?)?;
        let mut rest = Rest(inside);
        let mut list = Vec::new();
        let mut named = Vec::new();
        while let Some(value) = rest.next() {
            if list.len().max(named.len()) >= MAX_CHILDREN {
                return None;
            }
            match first {
                '[' => list.push(Self(value)),
                '{' => {
                    // It is a string; one that stands for no text is named as it is written.
                    let name = serde_json::from_str(value).unwrap_or_else(|_| value.to_owned());
                    named.push((name, Self(rest.next()?)));
                }
                _ => return None,
            }
        }
        match first {
            '[' => Some(Children::List(list)),
            '{' => Some(Children::Named(named)),
            _ => None,
        }
    }

    fn written(&self) -> Cow<'_, str> {
        self.0.into()
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// What is left of the inside of a list or an object.
struct Rest<'a>(&'a str);

impl<'a> Iterator for Rest<'a> {
    type Item = &'a str;

    /// The next value, or the next name.
    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches(|character| is_space(character) || matches!(character, ',' | ':'));
        let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
        let ends_before = |(_, byte): &(usize, u8)| {
            let is_end = depth == 0 && !in_string && matches!(byte, b',' | b':' | b' ' | b'\t' | b'\n' | b'\r');
            match byte {
                b'"' if !is_escaped => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
            is_escaped = in_string && !is_escaped && *byte == b'\\';
            is_end
        };
        let end = text.bytes().enumerate().find(ends_before).map_or(text.len(), |(at, _)| at);
        let (value, rest) = text.split_at_checked(end)?;
        self.0 = rest;
        (!value.is_empty()).then_some(value)
    }
}
