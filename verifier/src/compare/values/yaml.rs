// SPDX-License-Identifier: Apache-2.0
//! YAML (1.2.2) as it is written: scalars with their quotes, tags and anchors; an alias is its name, and never what it
//! stands for.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Children, MAX_CHILDREN, Value as Any};

/// The most nodes of a text that is told by its values.
const MAX_NODES: usize = 500_000;

/// A text that is YAML.
pub(super) struct Tree {
    /// All of it in one line, with brackets.
    text: String,
    documents: Node,
    /// How many documents there are.
    count: usize,
}

/// One node.
struct Node {
    /// Where in the text it is.
    range: Range<usize>,
    inside: Inside,
}

enum Inside {
    Nothing,
    List(Vec<Node>),
    Named(Vec<(String, Node)>),
}

/// A node of a text.
pub(super) struct Value<'a> {
    text: &'a str,
    node: &'a Node,
}

impl Tree {
    /// The whole of `text`; `None`: it is no YAML, or too much of it.
    pub(super) fn of(text: &str) -> Option<Self> {
        let options = granit_parser::options! { emit_anchor_events: true, emit_comments: false };
        let mut events = Parser::new_from_str_with_options(text, options);
        let mut next = || events.next().transpose().ok();
        let mut maker =
            Maker { source: text, text: String::new(), open: vec![Open::default()], nodes: 0, version: None };
        while let Some((event, span)) = next()? {
            let anchor = match &event {
                Event::Scalar(_, _, 1.., _) | Event::SequenceStart(_, 1.., _) | Event::MappingStart(_, 1.., _) => {
                    let Some((Event::Anchor(_, name), _)) = next()? else { return None };
                    Some(name)
                }
                _ => None,
            };
            maker.event(event, &span, anchor.as_deref())?;
        }
        let documents = Inside::List(maker.open.pop()?.inside.into_iter().map(|(_, node)| node).collect());
        let Inside::List(list) = &documents else { return None };
        let (count, range) = (list.len(), 0..maker.text.len());
        Some(Self { text: maker.text, documents: Node { range, inside: documents }, count })
    }

    /// Whether there is no document in it, or several.
    pub(super) fn is_list(&self) -> bool {
        self.count != 1
    }

    /// Its one document; or the list of all of them.
    pub(super) fn value(&self, is_list: bool) -> Value<'_> {
        let first = if let Inside::List(list) = &self.documents.inside { list.first() } else { None };
        let node = first.filter(|_| !is_list).unwrap_or(&self.documents);
        Value { text: &self.text, node }
    }
}

impl Any for Value<'_> {
    fn children(&self) -> Option<Children<Self>> {
        let of = |node| Self { text: self.text, node };
        match &self.node.inside {
            Inside::List(list) if list.len() <= MAX_CHILDREN => Some(Children::List(list.iter().map(of).collect())),
            Inside::Named(named) if named.len() <= MAX_CHILDREN => {
                Some(Children::Named(named.iter().map(|(name, node)| (name.clone(), of(node))).collect()))
            }
            _ => None,
        }
    }

    fn written(&self) -> Cow<'_, str> {
        self.text.get(self.node.range.clone()).unwrap_or_default().into()
    }
}

/// A list or a mapping that has not ended.
#[derive(Default)]
struct Open {
    start: usize,
    is_mapping: bool,
    /// Whether it has a tag, an anchor or a version, which stand among what is in it.
    is_marked: bool,
    /// What has begun in it: of a mapping, names and values.
    begun: usize,
    /// The name of the value that comes next.
    name: Option<String>,
    inside: Vec<(String, Node)>,
}

/// A tree as far as it is made.
struct Maker<'a> {
    source: &'a str,
    text: String,
    open: Vec<Open>,
    nodes: usize,
    /// What a directive says of the document that begins.
    version: Option<String>,
}

impl Maker<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span, anchor: Option<&str>) -> Option<()> {
        match event {
            Event::DocumentStart(_, version) => {
                self.version = version.map(|version| format!("%YAML {}.{}", version.major, version.minor))
            }
            Event::Alias(_) => {
                let start = self.begin()?;
                self.text.push_str(span.slice(self.source)?);
                self.end(start, Inside::Nothing, None)?;
            }
            Event::Scalar(value, style, _, tag) => {
                let start = self.begin()?;
                self.marks(anchor, tag.as_deref());
                let written = span.slice(self.source)?;
                let is_marked = self.text.len() > start;
                self.scalar(&value, style, written);
                let name = (!is_marked && is_surely_text(&value)).then(|| value.into_owned());
                self.end(start, Inside::Nothing, name)?;
            }
            Event::SequenceStart(_, _, tag) => self.open(false, anchor, tag.as_deref())?,
            Event::MappingStart(_, _, tag) => self.open(true, anchor, tag.as_deref())?,
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { start, is_mapping, is_marked, inside, .. } = self.open.pop()?;
                self.text.push(if is_mapping { '}' } else { ']' });
                let inside = if is_mapping || is_marked {
                    Inside::Named(inside)
                } else {
                    Inside::List(inside.into_iter().map(|(_, node)| node).collect())
                };
                self.end(start, inside, None)?;
            }
            _ => {}
        }
        Some(())
    }

    /// A node begins; where. `None`: it is one too many.
    fn begin(&mut self) -> Option<usize> {
        self.nodes += 1;
        let (is_documents, open) = (self.open.len() == 1, self.open.last_mut()?);
        let between = if open.is_mapping && open.begun % 2 == 1 { ": " } else { ", " };
        if open.begun > 0 && !is_documents {
            self.text.push_str(between);
        }
        open.begun += 1;
        (self.nodes <= MAX_NODES).then_some(self.text.len())
    }

    /// A node ends that began there. `name`: what it is called where it is the name of another one.
    fn end(&mut self, start: usize, inside: Inside, name: Option<String>) -> Option<()> {
        let range = start..self.text.len();
        let open = self.open.last_mut()?;
        if open.is_mapping && open.begun % 2 == 1 {
            open.name = Some(name.unwrap_or_else(|| self.text.get(range).unwrap_or_default().to_owned()));
            return Some(());
        }
        let name = match open.name.take() {
            Some(name) => name,
            // In a list the numbers are names where there are others.
            None if open.is_marked => (open.begun - 1).to_string(),
            None => String::new(),
        };
        open.inside.push((name, Node { range, inside }));
        Some(())
    }

    fn open(&mut self, is_mapping: bool, anchor: Option<&str>, tag: Option<&Tag>) -> Option<()> {
        let start = self.begin()?;
        let inside = self.marks(anchor, tag);
        self.text.push(if is_mapping { '{' } else { '[' });
        self.open.push(Open { start, is_mapping, is_marked: !inside.is_empty(), inside, ..Open::default() });
        Some(())
    }

    /// Writes what stands before a node and is more than its value.
    fn marks(&mut self, anchor: Option<&str>, tag: Option<&Tag>) -> Vec<(String, Node)> {
        let version = if self.open.len() == 1 { self.version.take() } else { None };
        let tag = tag.map(|tag| format!("!<{}{}>", tag.handle(), tag.suffix()));
        let marks = [("%", version), ("&", anchor.map(|name| format!("&{name}"))), ("!", tag)];
        let mut nodes = Vec::new();
        for (name, mark) in marks.into_iter().filter_map(|(name, mark)| Some((name, mark?))) {
            let start = self.text.len();
            self.text.push_str(&mark);
            nodes.push((name.to_owned(), Node { range: start..self.text.len(), inside: Inside::Nothing }));
            self.text.push(' ');
        }
        nodes
    }

    /// As it is written, where that is in one line; else its value, in a way that tells how it is written.
    fn scalar(&mut self, value: &str, style: ScalarStyle, written: &str) {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if !is_block && !written.contains(['\n', '\r']) {
            return match style {
                ScalarStyle::Plain => self.bare(written),
                _ => self.text.push_str(written),
            };
        }
        match style {
            ScalarStyle::DoubleQuoted => self.text.push_str(&format!("{value:?}")),
            ScalarStyle::SingleQuoted => self.text.push_str(&format!("'{}'", value.replace('\'', "''"))),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                self.text.push_str(if style == ScalarStyle::Literal { "| " } else { "> " });
                self.bare(value);
            }
            _ => self.bare(value),
        }
    }

    /// What has no quotes around it: what could stand between values has a backslash before it, and so has a backslash.
    fn bare(&mut self, value: &str) {
        let mut rest = value.chars().peekable();
        while let Some(character) = rest.next() {
            let ends_a_name = character == ':' && rest.peek().is_none_or(|next| *next == ' ');
            if ends_a_name || matches!(character, '\\' | ',' | '[' | ']' | '{' | '}') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
    }
}

/// Whether this is text, with quotes and without them: no number, no truth value and none of none.
fn is_surely_text(value: &str) -> bool {
    const OTHERS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !OTHERS.iter().any(|other| value.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::diff;

    fn of(left: &str, right: &str) -> Option<Vec<[String; 3]>> {
        let (kind, details) = diff(left, right, "a.yaml")?;
        assert_eq!(kind, "YAML");
        Some(details.kept.into_iter().map(|detail| [detail.at, detail.left, detail.right]).collect())
    }

    fn yaml(left: &str, right: &str) -> Vec<[String; 3]> {
        of(left, right).unwrap()
    }

    const NONE: [[&str; 3]; 0] = [];

    #[test]
    fn values_are_told_by_their_paths() {
        let left = "# one\na:\n  b: [1, 2, 3]\n\"c/~\": x\nonly: null\n";
        let right = "c/~:   y # two\na: {b: [1, 7, 3, {d: 1}]}\n? [k, 1]\n: v\n";
        let expected = [
            ["/a/b/1", "2", "7"],
            ["/a/b/3", "(none)", "{d: 1}"],
            ["/c~1~0", "x", "y"],
            ["/only", "null", "(none)"],
            ["/[k, 1]", "(none)", "v"],
        ];
        assert_eq!(yaml(left, right), expected);
        assert_eq!(yaml("a: 1\nb:\n- x\n", "b: [x]\na:    1 # comment\n"), NONE);
        assert_eq!(yaml("- 1", "a: 1"), [["the whole", "[1]", "{a: 1}"]]);
        // Text like any other, where the name does not say so.
        assert!(diff("a: 1", "a: 2", "a.txt").is_none() && diff("a: 1", "a: 2", "a.yml").is_some());
    }

    #[test]
    fn spelling_and_names_that_come_twice_are_not_lost() {
        assert_eq!(yaml("- 1.0", "- 1.00 # two"), [["/0", "1.0", "1.00"]]);
        assert_eq!(yaml("- yes", "- 'yes'"), [["/0", "yes", "'yes'"]]);
        assert_eq!(yaml("- \"A\"", "- \"\\u0041\""), [["/0", "\"A\"", "\"\\\\u0041\""]]);
        // A key that is a number with quotes is another one.
        assert_eq!(yaml("1: a", "'1': a"), [["/1", "a", "(none)"], ["/'1'", "(none)", "a"]]);
        assert_eq!(yaml("a:\n", "a: ~\n"), [["/a", "", "~"]]);
        assert_eq!(yaml("- |\n a\n", "- |-\n a\n"), [["/0", "| a\\x0a", "| a"]]);
        assert_eq!(yaml("- |\n a\n", "- >\n a\n"), [["/0", "| a\\x0a", "> a\\x0a"]]);
        assert_eq!(yaml("- \"a\\\\n\n  b\"", "- \"a\\n b\""), [["/0", "\"a\\\\\\\\n b\"", "\"a\\\\n b\""]]);
        assert_eq!(yaml("- a\n  b", "- a b"), NONE);
        assert_eq!(yaml("{a: 1, a: 2}", "{a: 1, a: 3}"), [["/a", "2", "3"]]);
    }

    #[test]
    fn one_value_is_never_taken_for_several() {
        for (one, several) in [
            ("- a, b", "- a\n- b"),
            ("- a, b", "[a, b]"),
            ("- a, [b]", "- a\n- [b]"),
            ("- |-\n  a, b", "- |-\n  a\n- b"),
            ("? |-\n a: | b\n: c", "? |-\n a\n: |-\n b: c"),
            ("- a\\, b", "- a\\\n- b"),
            ("- a\\,b", "- 'a\\,b'"),
            ("- a,\n  b", "- a\n- b"),
            ("k: a, l", "k: a\nl:"),
        ] {
            for (left, right) in [(one, several), (several, one)] {
                assert!(!yaml(left, right).is_empty(), "{left} and {right}");
            }
        }
        assert_eq!(yaml("- a, b", "- a\n- b"), [["/0", "a\\\\, b", "a"], ["/1", "(none)", "b"]]);
        assert_eq!(yaml("- http://a:1", "- http://a:2"), [["/0", "http://a:1", "http://a:2"]]);
        assert_eq!(yaml("- a,\n  b", "- a, b"), NONE);
    }

    #[test]
    fn tags_anchors_aliases_and_documents_are_not_lost() {
        assert_eq!(yaml("- !!str 1", "- 1"), [["/0", "!<tag:yaml.org,2002:str> 1", "1"]]);
        assert_eq!(yaml("- !!set {a: 1}", "- !x {a: 1}"), [["/0/!", "!<tag:yaml.org,2002:set>", "!<!x>"]]);
        assert_eq!(yaml("- &a [1]\n- *a", "- &b [1]\n- *b"), [["/0/&", "&a", "&b"], ["/1", "*a", "*b"]]);
        assert_eq!(yaml("- &a [1, 2]", "- &a [1, 3]"), [["/0/1", "2", "3"]]);
        assert_eq!(yaml("&a [1]", "[1]"), [["the whole", "&a [1]", "[1]"]]);
        assert_eq!(yaml("--- 1\n--- 2\n", "--- 1\n--- 3\n"), [["/1", "2", "3"]]);
        assert_eq!(yaml("a: 1\n", "a: 1\n---\nb: 2\n"), [["/1", "(none)", "{b: 2}"]]);
        assert_eq!(yaml("%YAML 1.1\n---\na: no\n", "%YAML 1.2\n---\na: no\n"), [["/%", "%YAML 1.1", "%YAML 1.2"]]);
        assert_eq!(yaml("%TAG !e! tag:a:\n--- !e!x 1\n", "%TAG !e! tag:b:\n--- !e!x 1\n").len(), 1);
        assert_eq!(yaml("", "# nothing\n"), NONE);
    }

    #[test]
    fn no_alias_is_ever_expanded() {
        let bomb = |last: &str| {
            let lines = (1..40).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9)));
            format!("a0: &a0 {last}\n{}", lines.collect::<String>())
        };
        assert_eq!(yaml(&bomb("x"), &bomb("y")), [["/a0", "&a0 x", "&a0 y"]]);
    }

    #[test]
    fn what_is_no_yaml_or_too_deep_is_none() {
        for no in ["a: b: c", "[1", "- *a", "\"", "a: 1\n b: 2"] {
            assert!(of(no, "a: 1").is_none() && of("a: 1", no).is_none(), "{no}");
        }
        let nested = |depth: usize, value: &str| format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(yaml(&nested(65, "a"), &nested(65, "b")), [[&*"/0".repeat(64), "[a]", "[b]"]]);
        assert!(of(&nested(255, "a"), &nested(255, "b")).is_some() && of(&nested(256, "a"), "a").is_none());
        assert!(of(&"- ".repeat(255), "a").is_some() && of(&"- ".repeat(256), "a").is_none());
    }

    #[test]
    fn nodes_are_counted_to_a_bound() {
        let list = |len: usize| format!("- [{}]\n- a", "a,".repeat(len - 3));
        assert!(of(&list(500_000), "a").is_some());
        assert!(of(&list(500_001), "a").is_none());
        let list = |len: usize, first: &str| format!("- {first}\n{}", "- 1\n".repeat(len - 1));
        assert_eq!(yaml(&list(100_000, "2"), &list(100_000, "3"))[0][0], "/0");
        assert_eq!(yaml(&list(100_001, "2"), &list(100_001, "3"))[0][0], "the whole");
        let names = |len: usize, first: &str| format!("a: {first}\n{}", "? b\n".repeat(len - 1));
        assert_eq!(yaml(&names(100_000, "2"), &names(100_000, "3"))[0][0], "/a");
        assert_eq!(yaml(&names(100_001, "2"), &names(100_001, "3"))[0][0], "the whole");
    }

    proptest! {
        /// Whatever is written: equal texts have equal values, and what is said of two does not depend on which is the left.
        #[test]
        fn texts_of_any_kind(left in "[\\[\\]{}\",:a1\\\\ \\n?&*!|>%'#-]{0,24}", right in "[\\[\\]{}\",:a1\\\\ \\n?&*!|>-]{0,24}") {
            prop_assert_eq!(of(&left, &left).unwrap_or_default(), Vec::<[String; 3]>::new());
            let ways = [(&left, &right), (&right, &left)].map(|(a, b)| of(a, b).map(|found| found.len()));
            prop_assert_eq!(ways[0], ways[1]);
        }
    }
}
