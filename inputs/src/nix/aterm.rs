// SPDX-License-Identifier: Apache-2.0
//! Derivations as Nix and Guix write them into their stores (Dolstra, "The Purely Functional Software Deployment Model", figure
//! 2.7; `Derivation::unparse` of Nix): a term of strings, tuples and lists, without a space between.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

/// What a `.drv` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Derivation {
    pub(super) outputs: BTreeMap<String, Output>,
    /// Other derivations, by their paths, and which of their outputs are wanted.
    pub(super) derivations: BTreeMap<String, BTreeSet<String>>,
    /// Paths that nobody built.
    pub(super) sources: BTreeSet<String>,
    pub(super) system: String,
    pub(super) builder: String,
    pub(super) arguments: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

/// One output. What is not known before it is built is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) path: String,
    /// Of one that is settled by its hash: how that is taken.
    pub(super) algorithm: String,
    pub(super) hash: String,
}

/// Why bytes are no derivation.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DerivationError {
    /// Not what is there in its place.
    #[error("{expected} is expected at byte {at}")]
    Expected {
        /// What.
        expected: &'static str,
        /// From 0.
        at: usize,
    },
    /// A string that is no text.
    #[error("the string that ends before byte {0} is not UTF-8")]
    NotText(usize),
    /// A name that stands twice.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// Longer than what is read.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
}

/// The longest that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 << 20;

impl Derivation {
    /// Reads one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, DerivationError> {
        if bytes.len() > MAX_BYTES {
            return Err(DerivationError::TooLong);
        }
        let mut reader = Reader { bytes, at: 0 };
        let mut derivation = Self::default();
        reader.take("`Derive(`", b"Derive(")?;
        reader.list(|reader| {
            reader.take("`(`", b"(")?;
            let [name, path, algorithm] = [reader.before_comma()?, reader.before_comma()?, reader.before_comma()?];
            let hash = reader.string()?;
            reader.take("`)`", b")")?;
            insert(&mut derivation.outputs, name, Output { path, algorithm, hash })
        })?;
        reader.comma()?;
        reader.list(|reader| {
            reader.take("`(`", b"(")?;
            let (path, mut wanted) = (reader.before_comma()?, BTreeSet::new());
            reader.list(|reader| add(&mut wanted, reader.string()?))?;
            reader.take("`)`", b")")?;
            insert(&mut derivation.derivations, path, wanted)
        })?;
        reader.comma()?;
        reader.list(|reader| add(&mut derivation.sources, reader.string()?))?;
        reader.comma()?;
        derivation.system = reader.before_comma()?;
        derivation.builder = reader.before_comma()?;
        reader.list(|reader| {
            derivation.arguments.push(reader.string()?);
            Ok(())
        })?;
        reader.comma()?;
        reader.list(|reader| {
            reader.take("`(`", b"(")?;
            let (name, value) = (reader.before_comma()?, reader.string()?);
            reader.take("`)`", b")")?;
            insert(&mut derivation.env, name, value)
        })?;
        reader.take("`)`", b")")?;
        match reader.at == bytes.len() {
            true => Ok(derivation),
            false => Err(DerivationError::Expected { expected: "the end", at: reader.at }),
        }
    }
}

fn insert<T>(map: &mut BTreeMap<String, T>, key: String, value: T) -> Result<(), DerivationError> {
    match map.insert(key.clone(), value) {
        None => Ok(()),
        Some(_) => Err(DerivationError::Twice(key.chars().take(80).collect())),
    }
}

fn add(set: &mut BTreeSet<String>, text: String) -> Result<(), DerivationError> {
    if set.insert(text.clone()) { Ok(()) } else { Err(DerivationError::Twice(text.chars().take(80).collect())) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, expected: &'static str, token: &[u8]) -> Result<(), DerivationError> {
        if !self.is_next(token) {
            return Err(DerivationError::Expected { expected, at: self.at });
        }
        self.at += token.len();
        Ok(())
    }

    fn is_next(&self, token: &[u8]) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(token))
    }

    fn comma(&mut self) -> Result<(), DerivationError> {
        self.take("`,`", b",")
    }

    fn before_comma(&mut self) -> Result<String, DerivationError> {
        let text = self.string()?;
        self.comma()?;
        Ok(text)
    }

    /// `[`, items with `,` between, `]`.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), DerivationError>) -> Result<(), DerivationError> {
        self.take("`[`", b"[")?;
        if self.is_next(b"]") {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            if self.is_next(b"]") {
                self.at += 1;
                return Ok(());
            }
            self.take("`,` or `]`", b",")?;
        }
    }

    fn string(&mut self) -> Result<String, DerivationError> {
        self.take("`\"`", b"\"")?;
        let mut text = Vec::new();
        loop {
            let next = self.bytes.get(self.at).copied();
            self.at += 1;
            match next {
                Some(b'"') => break,
                Some(b'\\') => {
                    let escaped = self.bytes.get(self.at).copied();
                    self.at += 1;
                    match escaped {
                        Some(b'n') => text.push(b'\n'),
                        Some(b'r') => text.push(b'\r'),
                        Some(b't') => text.push(b'\t'),
                        Some(byte @ (b'"' | b'\\')) => text.push(byte),
                        _ => return Err(DerivationError::Expected { expected: "n, r, t, \" or \\", at: self.at - 1 }),
                    }
                }
                Some(byte) => text.push(byte),
                None => return Err(DerivationError::Expected { expected: "the string's end", at: self.at - 1 }),
            }
        }
        String::from_utf8(text).map_err(|_| DerivationError::NotText(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `nix-instantiate` of Nix 2.8 wrote it, but for shorter paths.
    const DRV: &str = concat!(
        r#"Derive([("dev","/s/d","",""),("out","/s/o","","")],[("/s/a.drv",["dev","out"])],["/s/x","/s/y"],"#,
        r#""x86_64-linux","/s/x/sh",["-c","echo \"a\\b\"\n\t\r"],[("name","a"),("out","/s/o")])"#
    );

    #[test]
    fn a_derivation_is_read() {
        let read = Derivation::parse(DRV.as_bytes()).unwrap();
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(read.outputs["dev"], Output { path: "/s/d".into(), ..Output::default() });
        assert_eq!(read.derivations["/s/a.drv"], texts(&["dev", "out"]));
        assert_eq!(read.sources, texts(&["/s/x", "/s/y"]));
        assert_eq!((read.system.as_str(), read.builder.as_str()), ("x86_64-linux", "/s/x/sh"));
        assert_eq!(read.arguments, ["-c", "echo \"a\\b\"\n\t\r"]);
        assert_eq!(read.env["out"], "/s/o");
        let empty = Derivation::parse(br#"Derive([],[],[],"","",[],[])"#).unwrap();
        assert_eq!(empty, Derivation::default());
    }

    #[test]
    fn what_is_no_derivation_is_refused_wherever_it_is_cut() {
        for end in 0..DRV.len() {
            assert!(Derivation::parse(&DRV.as_bytes()[..end]).is_err(), "{end}");
        }
        for (from, to) in [
            ("\"dev\",\"/s/d\"", "\"out\",\"/s/d\""),
            ("[\"dev\",\"out\"]", "[\"dev\",\"dev\"]"),
            ("/s/y", "/s/x"),
            ("\"name\"", "\"out\""),
            ("\\n", "\\q"),
            ("Derive(", "DrvWithVersion("),
            (")])", ")]) "),
            ("[(\"dev", "[ (\"dev"),
        ] {
            let text = DRV.replacen(from, to, 1);
            assert!(text != DRV && Derivation::parse(text.as_bytes()).is_err(), "{text}");
        }
        let bytes = DRV.replacen("name", "n\u{1}me", 1).replace('\u{1}', "X").into_bytes();
        let wrong: Vec<u8> = bytes.into_iter().map(|byte| if byte == b'X' { 0xff } else { byte }).collect();
        assert!(matches!(Derivation::parse(&wrong), Err(DerivationError::NotText(_))));
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let of = |len: usize| {
            let frame = r#"Derive([],[],[],"","",[],[])"#;
            frame.replacen("\"\"", &format!("\"{}\"", "x".repeat(len - frame.len())), 1)
        };
        assert!(Derivation::parse(of(MAX_BYTES).as_bytes()).is_ok());
        assert_eq!(Derivation::parse(of(MAX_BYTES + 1).as_bytes()), Err(DerivationError::TooLong));
    }
}
