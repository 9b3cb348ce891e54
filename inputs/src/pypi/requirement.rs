// SPDX-License-Identifier: Apache-2.0
//! Requirements as PEP 508 writes them, without direct references.

use std::str::FromStr;

use super::BackendError;

/// One requirement of a source's build back end. It comes from whoever published the source, and goes into a file that pip
/// reads; so only what is understood is kept, and written anew: a name, extras, version specifiers and a marker. There is
/// no way in it to name a file or a URL, give pip an option, or read an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement(String);

impl Requirement {
    /// The line for a requirements file.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it asks for that distribution, whatever else it says (normalized names: PEP 503).
    pub(crate) fn is_for(&self, distribution: &str) -> bool {
        let end = self.0.find(|c: char| !is_name_character(c)).unwrap_or(self.0.len());
        self.0.get(..end).is_some_and(|name| normalized(name) == normalized(distribution))
    }

    /// Name and version, where it asks for one version alone.
    pub(crate) fn pinned(&self) -> Option<(&str, &str)> {
        let end = self.0.find(|c: char| !is_name_character(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        let rest = rest.split_once(']').filter(|_| rest.starts_with('[')).map_or(rest, |(_, after)| after);
        let version = rest.split(';').next().unwrap_or(rest).strip_prefix("==")?;
        let version = version.strip_prefix('=').unwrap_or(version);
        (is_version(version) && !version.contains('*')).then_some((name, version))
    }

    /// When it is asked for; none where it always is.
    pub(crate) fn marker(&self) -> Option<&str> {
        self.0.split_once(';').map(|(_, marker)| marker.trim())
    }

    /// The same, of one version, whatever it says of versions.
    pub(crate) fn at(&self, version: &str) -> Self {
        let end = self.0.find(|c: char| !is_name_character(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        let extras = rest.split_once(']').filter(|_| rest.starts_with('[')).map(|(extras, _)| format!("{extras}]"));
        let marker = rest.split_once(';').map(|(_, marker)| format!(";{marker}"));
        Self(format!("{name}{}=={version}{}", extras.unwrap_or_default(), marker.unwrap_or_default()))
    }

    /// Some version of a distribution.
    pub(crate) fn any(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

/// The longest requirement, as it is read and as it is written, in bytes.
const MAX_LENGTH: usize = 1024;

impl FromStr for Requirement {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |why: &'static str| BackendError::Requirement { text: text.chars().take(200).collect(), why };
        if text.len() > MAX_LENGTH {
            return Err(fail("is longer than 1024 bytes"));
        }
        let (head, marker) = text.split_once(';').map_or((text, None), |(head, marker)| (head, Some(marker)));
        let head = head.trim();
        let end = head.find(|c: char| !is_name_character(c)).unwrap_or(head.len());
        let (name, rest) = head.split_at(end);
        if !is_name(name) {
            return Err(fail("does not begin with a distribution's name"));
        }
        let mut line = name.to_owned();
        let mut rest = rest.trim();
        if let Some(inner) = rest.strip_prefix('[') {
            let (extras, after) = inner.split_once(']').ok_or_else(|| fail("has a [ without a ]"))?;
            let extras: Vec<&str> = extras.split(',').map(str::trim).collect();
            if !extras.iter().all(|extra| is_name(extra)) {
                return Err(fail("has an extra that is no name"));
            }
            line.push_str(&format!("[{}]", extras.join(",")));
            rest = after.trim();
        }
        if rest.starts_with('@') {
            return Err(fail("names a URL; only packages from the index can be locked"));
        }
        line.push_str(&specifiers(rest).ok_or_else(|| fail("has version specifiers that can't be read"))?);
        if let Some(marker) = marker {
            let marker = marker_tokens(marker).ok_or_else(|| fail("has an environment marker that can't be read"))?;
            line.push_str(&format!("; {}", marker.join(" ")));
        }
        // A marker is written with a space between its words, which makes it longer.
        if line.len() > MAX_LENGTH { Err(fail("is longer than 1024 bytes")) } else { Ok(Self(line)) }
    }
}

/// A name as PEP 503 compares it.
pub(crate) fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

/// PEP 508: letters and digits at both ends, `.`, `_` and `-` between them.
pub(crate) fn is_name(text: &str) -> bool {
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 128
        && text.chars().all(is_name_character)
        && end(text.chars().next())
        && end(text.chars().next_back())
}

/// What versions are made of; stricter forms are for pip to insist on.
pub(crate) fn is_version(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+!-".contains(c);
    text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

fn specifiers(text: &str) -> Option<String> {
    let text = match text.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')')?,
        None => text,
    };
    let mut clauses = Vec::new();
    for clause in text.split(',').map(str::trim).filter(|clause| !clause.is_empty()) {
        let operator = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| clause.starts_with(op))?;
        let version = clause.strip_prefix(operator)?.trim();
        if !is_version(version.strip_suffix(".*").unwrap_or(version)) {
            return None;
        }
        clauses.push(format!("{operator}{version}"));
    }
    Some(clauses.join(","))
}

/// The words of a marker. Its grammar is pip's to check; no word here can be anything else than part of a marker.
fn marker_tokens(text: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '(' | ')' => 1,
            '"' | '\'' => {
                let inner = rest.get(1..)?;
                let end = inner.find(first)?;
                if !inner.get(..end)?.chars().all(|c| c.is_ascii_alphanumeric() || "._+*-".contains(c)) {
                    return None;
                }
                end + 2
            }
            c if "<>=!~".contains(c) => rest.find(|c: char| !"<>=!~".contains(c)).unwrap_or(rest.len()),
            c if c.is_ascii_lowercase() => {
                rest.find(|c: char| !c.is_ascii_lowercase() && !"_.".contains(c)).unwrap_or(rest.len())
            }
            _ => return None,
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    if tokens.is_empty() { None } else { Some(tokens) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_written_anew() {
        for (text, line) in [
            ("flit_core", "flit_core"),
            (" flit_core >=3.11, <5 ", "flit_core>=3.11,<5"),
            ("setuptools (>=61.0.0)", "setuptools>=61.0.0"),
            ("setuptools-scm[toml, rich] >= 6.3.1,", "setuptools-scm[toml,rich]>=6.3.1"),
            ("x===1.0+local ; python_version < '3.11'", "x===1.0+local; python_version < '3.11'"),
            ("a==1.*;(os_name=='nt' or extra == \"b\")", "a==1.*; ( os_name == 'nt' or extra == \"b\" )"),
            ("a ~= 2!1.0-1", "a~=2!1.0-1"),
        ] {
            assert_eq!(text.parse::<Requirement>().unwrap().as_str(), line);
        }
    }

    #[test]
    fn one_version_alone_is_pinned() {
        let of = |text: &str| text.parse::<Requirement>().unwrap();
        assert_eq!(of("a.b[c, d] == 1.0+x ; os_name == 'nt'").pinned(), Some(("a.b", "1.0+x")));
        assert_eq!(of("a===1").pinned(), Some(("a", "1")));
        for open in ["a", "a>=1", "a==1.*", "a==1,<2", "a~=1.0", "a!=1", "a; python_version == '3'"] {
            assert_eq!(of(open).pinned(), None, "{open}");
        }
        assert_eq!(of("a==1;os_name=='nt'").marker(), Some("os_name == 'nt'"));
        assert_eq!(of("a==1").marker(), None);
    }

    #[test]
    fn a_version_takes_the_place_of_what_was_asked() {
        for (text, line) in [
            ("uv_build>=0.9,<0.10", "uv_build==0.13.7"),
            ("uv-build[x] ~= 1; os_name == 'nt'", "uv-build[x]==0.13.7; os_name == 'nt'"),
            ("UV.build", "UV.build==0.13.7"),
        ] {
            let requirement = text.parse::<Requirement>().unwrap();
            assert!(requirement.is_for("uv_build") && !requirement.is_for("uv"), "{text}");
            assert_eq!(requirement.at("0.13.7").as_str(), line);
        }
    }

    #[test]
    fn nothing_else_gets_through_to_pip() {
        for text in [
            "",
            "-r other.txt",
            "--index-url=x",
            "-e .",
            "./local",
            "/x.whl",
            "a @ file:///etc/passwd",
            "a@b",
            "a --config-settings=x=y",
            "a==1 --hash=sha256:00",
            "a==1 -r x",
            "a\n-r x",
            "a>=1\n--pre",
            "a; python_version > '3' --pre",
            "a; python_version > '3 --pre'",
            "a; python_version > '3'\n-r x",
            "a # comment",
            "a==${HOME}",
            "a; os_name == '${HOME}'",
            "a[b",
            "a[-r]",
            "a>1 2",
            "a \\",
            "a;",
            "http://example/a.whl",
            "a==1;os_name=='ä'",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_bounds_on_names_and_versions_hold_on_both_sides() {
        let long = "1".repeat(128);
        assert!(is_name(&long) && is_version(&long));
        assert!(!is_name(&format!("{long}1")) && !is_version(&format!("{long}1")));
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let long = |n: usize| format!("a{}", " ".repeat(n - 1)).parse::<Requirement>();
        assert!(long(MAX_LENGTH).is_ok());
        assert!(long(MAX_LENGTH + 1).is_err());
    }
}
