// SPDX-License-Identifier: Apache-2.0
//! XML (1.0, fifth edition) as it is written: what is in an element and its attributes, each as its part of the text. No
//! entity is ever put in the place of its name, and nothing outside of the text is looked at.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Children, MAX_CHILDREN, Value as Any};

/// How deep elements are told apart; a text with deeper ones is none that is told by its values.
const MAX_OPEN: usize = 1_000;
/// The most attributes of an element.
const MAX_ATTRIBUTES: usize = 1_000;

/// Names of files that are XML, also where they do not begin as such.
const NAMES: [&str; 14] = [
    ".xml", ".svg", ".pom", ".nuspec", ".xhtml", ".plist", ".xsd", ".xsl", ".rdf", ".opf", ".ncx", ".gir", ".resx",
    ".csproj",
];

/// A part of a text that is XML.
pub(super) enum Value<'a> {
    /// What stands outside of every element, or inside of one.
    Contents(&'a str),
    /// An element, from its tag on to the end of it.
    Element(&'a str),
    /// Text, a comment, an instruction, or what an attribute says.
    Other(&'a str),
}

impl<'a> Value<'a> {
    /// The whole of `text`, where that is XML.
    pub(super) fn of(text: &'a str, place: &str) -> Option<Self> {
        let begins = text.trim_start_matches('\u{feff}').starts_with("<?xml");
        if !begins && !NAMES.iter().any(|name| place.ends_with(name)) {
            return None;
        }
        let mut rest = Rest(text);
        let (mut open, mut elements) = (Vec::new(), 0_u64);
        while let Some((kind, part)) = rest.next()? {
            let is_outside = open.is_empty();
            match kind {
                Part::Start | Part::Empty => {
                    attributes(part)?;
                    elements += u64::from(is_outside);
                    if kind == Part::Start {
                        open.push(name(part));
                    }
                }
                Part::End => {
                    let after = part.strip_prefix("</")?.strip_prefix(open.pop()?)?.strip_suffix('>')?;
                    is_space(after).then_some(())?;
                }
                Part::Text if is_outside && !is_space(part.trim_start_matches('\u{feff}')) => return None,
                Part::Type if !is_outside || elements > 0 => return None,
                _ => {}
            }
            if open.len() > MAX_OPEN {
                return None;
            }
        }
        (elements == 1 && open.is_empty()).then_some(Self::Contents(text))
    }
}

impl Any for Value<'_> {
    fn children(&self) -> Option<Children<Self>> {
        let mut named = Vec::new();
        let inside = match self {
            Self::Other(_) => return None,
            Self::Contents(text) => text,
            Self::Element(text) => {
                let tag = text.get(..end_of_tag(text)?)?;
                named
                    .extend(attributes(tag)?.into_iter().map(|(name, value)| (format!("@{name}"), Self::Other(value))));
                text.get(tag.len()..text.rfind("</").unwrap_or(text.len()).max(tag.len()))?
            }
        };
        contents(inside, &mut named)?;
        Some(Children::Named(named))
    }

    fn written(&self) -> Cow<'_, str> {
        let (Self::Contents(text) | Self::Element(text) | Self::Other(text)) = self;
        (*text).into()
    }

    fn is_placed(name: &str) -> bool {
        !name.starts_with('@')
    }
}

/// Adds what stands in an element, or outside of all: each by its name, of which the second has its number. Space is none of
/// it where there is anything else.
fn contents<'a>(inside: &'a str, named: &mut Vec<(String, Value<'a>)>) -> Option<()> {
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut rest, mut depth, mut start) = (Rest(inside), 0_usize, 0);
    let is_alone = !inside.contains('<');
    loop {
        let at = inside.len() - rest.0.len();
        let Some((kind, part)) = rest.next()? else { return Some(()) };
        let end = inside.len() - rest.0.len();
        if depth == 0 {
            start = at;
        }
        match kind {
            Part::Start => depth += 1,
            Part::End => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth > 0 {
            continue;
        }
        let whole = inside.get(start..end)?;
        let (label, value) = match kind {
            Part::Text if is_space(part) && !is_alone => continue,
            Part::Text => ("#text", Value::Other(whole)),
            Part::Comment => ("#comment", Value::Other(whole)),
            Part::Type => ("!DOCTYPE", Value::Other(whole)),
            Part::Instruction => (name(whole), Value::Other(whole)),
            Part::Start | Part::Empty | Part::End => (name(whole), Value::Element(whole)),
        };
        if named.len() >= MAX_CHILDREN {
            return None;
        }
        let number = numbers.entry(label).or_default();
        *number += 1;
        named.push((if *number == 1 { label.to_owned() } else { format!("{label}[{number}]") }, value));
    }
}

/// What a part of a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Start,
    /// A tag that has its own end.
    Empty,
    End,
    /// Also that in `CDATA`.
    Text,
    Comment,
    Instruction,
    Type,
}

/// Parts that have a start and an end of their own.
const FENCED: [(&str, &str, Part); 4] = [
    ("<!--", "-->", Part::Comment),
    ("<![CDATA[", "]]>", Part::Text),
    ("<?", "?>", Part::Instruction),
    ("</", ">", Part::End),
];

/// What is left of a text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The next part; the outer `None`: it is not XML.
    fn next(&mut self) -> Option<Option<(Part, &'a str)>> {
        let text = self.0;
        if text.is_empty() {
            return Some(None);
        }
        let (kind, len) =
            if let Some((start, end, kind)) = FENCED.into_iter().find(|(start, ..)| text.starts_with(start)) {
                (kind, start.len() + text.get(start.len()..)?.find(end)? + end.len())
            } else if text.starts_with("<!DOCTYPE") {
                (Part::Type, end_of_type(text)?)
            } else if text.starts_with('<') {
                let len = end_of_tag(text)?;
                (if text.get(..len)?.ends_with("/>") { Part::Empty } else { Part::Start }, len)
            } else {
                (Part::Text, text.find('<').unwrap_or(text.len()))
            };
        let (part, rest) = text.split_at_checked(len)?;
        self.0 = rest;
        Some(Some((kind, part)))
    }
}

/// How many bytes a tag has, its last one among them.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'<', _) => return None,
            (b'>', None) => return Some(at + 1),
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    None
}

/// How many bytes a document type has: up to what closes it, which is in no quotes, comments or brackets.
fn end_of_type(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (1, 1_usize);
    loop {
        let rest = text.get(at..)?;
        at += rest.find(['<', '>', '"', '\'', '[', ']'])?;
        let rest = text.get(at..)?;
        let skip = |start: &str, end: &str| Some(start.len() + rest.get(start.len()..)?.find(end)? + end.len());
        at += match rest.as_bytes().first()? {
            b'"' => skip("\"", "\"")?,
            b'\'' => skip("'", "'")?,
            b'<' if rest.starts_with("<!--") => skip("<!--", "-->")?,
            b'<' if rest.starts_with("<?") => skip("<?", "?>")?,
            b'<' | b'[' => {
                depth += 1;
                1
            }
            _ => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1).filter(|_| rest.starts_with('>'));
                }
                1
            }
        };
    }
}

/// The name of a tag or an instruction, from its first byte on.
fn name(tag: &str) -> &str {
    let inside = tag.trim_start_matches('<').trim_start_matches('/');
    inside.find([' ', '\t', '\r', '\n', '/', '>', '=']).map_or(inside, |end| inside.get(..end).unwrap_or_default())
}

/// The attributes of a tag, each with what is between its quotes; `None`: it is no tag, or has more than the bound.
fn attributes(tag: &str) -> Option<Vec<(&str, &str)>> {
    let label = name(tag);
    let inside = tag.strip_prefix('<')?.strip_prefix(label)?.strip_suffix('>')?;
    let mut rest = inside.strip_suffix('/').unwrap_or(inside);
    let (mut all, mut names) = (Vec::new(), BTreeSet::new());
    if !is_name(label) {
        return None;
    }
    loop {
        let after = rest.trim_start_matches(SPACE);
        if after.is_empty() {
            return Some(all);
        }
        let (label, value) = after.split_once('=')?;
        let label = label.trim_end_matches(SPACE);
        let value = value.trim_start_matches(SPACE);
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, after) = value.get(1..)?.split_once(quote)?;
        // There is space before each of them.
        let is_apart = rest.starts_with(SPACE);
        if !is_apart || !is_name(label) || !names.insert(label) || all.len() >= MAX_ATTRIBUTES {
            return None;
        }
        all.push((label, value));
        rest = after;
    }
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_space(text: &str) -> bool {
    text.chars().all(|character| SPACE.contains(&character))
}

/// Whether a tag or an attribute may be called so.
fn is_name(text: &str) -> bool {
    let is_first = |character: char| character.is_alphabetic() || matches!(character, '_' | ':');
    let is_any = |character: char| {
        !character.is_ascii() || character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | ':')
    };
    text.starts_with(is_first) && text.chars().all(is_any)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::diff;

    fn of(left: &str, right: &str) -> Option<Vec<[String; 3]>> {
        let (kind, details) = diff(left, right, "a.xml")?;
        assert!(kind.starts_with("XML"));
        Some(details.kept.into_iter().map(|detail| [detail.at, detail.left, detail.right]).collect())
    }

    fn xml(left: &str, right: &str) -> Vec<[String; 3]> {
        of(left, right).unwrap()
    }

    const NONE: [[&str; 3]; 0] = [];

    #[test]
    fn values_are_told_by_their_paths() {
        let left = "<?xml version=\"1.0\"?>\n<p a='1'>\n  <d>x</d>\n  <d>y</d>\n  <e/>\n</p>\n";
        let right = "<?xml version=\"1.1\"?>\n<p a=\"2\" b=''><d>x</d><d>z<f/></d><e></e></p>";
        let expected = [
            ["/?xml", "<?xml version=\"1.0\"?>", "<?xml version=\"1.1\"?>"],
            ["/p/@a", "1", "2"],
            ["/p/d[2]/#text", "y", "z"],
            ["/p/d[2]/f", "(none)", "<f/>"],
            ["/p/@b", "(none)", ""],
        ];
        assert_eq!(xml(left, right), expected);
        assert_eq!(xml("<a><b/>\n</a>", "<a >\n  <b />\n</a  >\n"), NONE);
        // By the first bytes, or by the name.
        assert!(diff("<a/>", "<b/>", "a.txt").is_none() && diff("<a/>", "<b/>", "x!META-INF/a.pom").is_some());
        assert!(diff("<?xml version='1.0'?><a/>", "<?xml version='1.0'?><b/>", "a.txt").is_some());
    }

    #[test]
    fn all_but_space_between_elements_is_a_value() {
        for (left, right, at) in [
            ("<a>x</a>", "<a>x </a>", "/a/#text"),
            ("<a> </a>", "<a></a>", "/a/#text"),
            ("<a>&#65;</a>", "<a>A</a>", "/a/#text"),
            ("<a><![CDATA[A]]></a>", "<a>A</a>", "/a/#text"),
            ("<a><!--1--></a>", "<a><!--2--></a>", "/a/#comment"),
            ("<a><?p 1?></a>", "<a><?p 2?></a>", "/a/?p"),
            ("<a xmlns='u'/>", "<a xmlns='v'/>", "/a/@xmlns"),
            ("<!DOCTYPE a><a/>", "<!DOCTYPE a SYSTEM 'x'><a/>", "/!DOCTYPE"),
            ("<a b='&lt;'/>", "<a b='&#60;'/>", "/a/@b"),
            ("<a><b/><c/></a>", "<a><c/><b/></a>", "/a/#order"),
            ("<a>x<b/>y</a>", "<a>x y<b/></a>", "/a/#text"),
        ] {
            let found = xml(left, right);
            assert_eq!(found[0][0], at, "{left}");
        }
        assert_eq!(xml("<a b='1' c='2'/>", "<a c='2'  b=\"1\"></a>"), NONE);
    }

    #[test]
    fn no_entity_is_ever_expanded() {
        let bomb = |last: &str| {
            let entities = (1..40).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(9)));
            let entities: String = entities.collect();
            format!("<!DOCTYPE a [<!ENTITY e0 '{last}>'>{entities}<!-- ' ] > -->]><a>&e39;&e39;</a>")
        };
        assert_eq!(xml(&bomb("x"), &bomb("y"))[0][0], "/!DOCTYPE");
        assert_eq!(
            xml("<!DOCTYPE a SYSTEM '/etc/passwd'><a>&x;</a>", "<!DOCTYPE a SYSTEM '/etc/passwd'><a>&y;</a>"),
            [["/a/#text", "&x;", "&y;"]]
        );
    }

    #[test]
    fn what_is_no_xml_is_none() {
        for no in [
            "",
            "x",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b/>",
            "<a b=c/>",
            "<a b='c'd='e'/>",
            "<a b='<'/>",
            "<a b='1' b='2'/>",
            "<1/>",
            "<a><!--</a>",
            "<a></a b='1'>",
            "<!DOCTYPE a [",
            "<a/><!DOCTYPE a>",
            "<a",
            "< a/>",
            "<a b='1/>",
            "<!DOCTYPE a]><a/>",
            "<a></a/>",
            "<>",
            "</>",
        ] {
            assert!(of(no, "<a/>").is_none() && of("<a/>", no).is_none(), "{no}");
        }
    }

    #[test]
    fn depth_and_attributes_are_bounded() {
        let nested = |depth: usize, value: u8| format!("{}{value}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(xml(&nested(63, 1), &nested(63, 2)), [[&*("/a".repeat(63) + "/#text"), "1", "2"]]);
        assert_eq!(xml(&nested(64, 1), &nested(64, 2)), [[&*"/a".repeat(64), "<a>1</a>", "<a>2</a>"]]);
        assert!(of(&nested(1_000, 1), &nested(1_000, 2)).is_some());
        assert!(of(&nested(1_001, 1), "<a/>").is_none());
        let many = |count: usize| format!("<a {}/>", (0..count).map(|n| format!("a{n}='' ")).collect::<String>());
        assert_eq!(xml(&many(1_000), &many(999)), [["/a/@a999", "", "(none)"]]);
        assert!(of(&many(1_001), &many(999)).is_none());
        let elements = |count: usize, first: u8| format!("<a><b>{first}</b>{}</a>", "<b/>".repeat(count - 1));
        assert_eq!(xml(&elements(100_000, 1), &elements(100_000, 2))[0][0], "/a/b/#text");
        assert_eq!(xml(&elements(100_001, 1), &elements(100_001, 2))[0][0], "/a");
    }

    proptest! {
        /// Whatever is written: equal texts have equal values, what is said of two does not depend on which is the left, and
        /// texts without a difference but space are one text without space.
        #[test]
        fn texts_of_any_kind(
            left in proptest::collection::vec("<a>|</a>|<b c='1'>|</b>|<a/>|x|<!--y-->|<\\?z\\?>| |&e;", 0..6),
            right in proptest::collection::vec("<a>|</a>|<b c='1'>|</b>|<a/>|x|<!--y-->|<\\?z\\?>| |&e;", 0..6),
        ) {
            let [left, right] = [left, right].map(|parts| format!("<r>{}</r>", parts.concat()));
            prop_assert_eq!(of(&left, &left).unwrap_or_default(), Vec::<[String; 3]>::new());
            let ways = [(&left, &right), (&right, &left)].map(|(a, b)| of(a, b).map(|found| found.len()));
            prop_assert_eq!(ways[0], ways[1]);
            if ways[0] == Some(0) {
                let bare = |text: &str| text.replace(' ', "").replace("<a></a>", "<a/>");
                prop_assert_eq!(bare(&left), bare(&right));
            }
        }
    }
}
