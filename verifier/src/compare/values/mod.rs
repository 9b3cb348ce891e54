// SPDX-License-Identifier: Apache-2.0
//! Two texts as the values that both hold: which of them differ, each by its path (RFC 6901). It comes beside the lines that
//! differ and never in their place: how a text is written, and in which order, is no value.

mod json;
mod xml;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::findings::Details;
use super::preview;

/// How deep values are told apart; what is deeper is one value.
const MAX_DEPTH: usize = 64;
/// The most values in one; what has more is one value.
const MAX_CHILDREN: usize = 100_000;
/// The most values that are listed; all are counted.
const MAX_LISTED: u64 = 100;

/// The most bytes of values that are looked at in one comparison: of each that differs, as often as one that it is in does.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// The values that differ between two texts, and what kind of text both are. `None`: both are of no such kind; the inner one:
/// more than what is `left` of [`MAX_BYTES`] would have to be looked at.
pub(super) fn diff_within(
    left: &str,
    right: &str,
    place: &str,
    bytes: &mut u64,
) -> Option<(&'static str, Option<Details>)> {
    let mut found = Found { details: Details::default(), left: Some(*bytes) };
    let kind = found.texts(left, right, place)?;
    *bytes = found.left.unwrap_or_default();
    Some((kind, found.left.map(|_| found.details)))
}

fn read_toml(text: &str) -> Option<toml::Value> {
    toml::from_str(text).ok().map(toml::Value::Table)
}

/// The value in a text that is JSON at the end of these names, as it is written there; `None`: there is none, or one of the
/// names comes twice.
pub(super) fn json_at<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    json::Value::of(text)?.at(names)
}

/// A value as it is read.
trait Value: Sized {
    /// What is in it; `None`: it is in nothing but itself, or there is more in it than [`MAX_CHILDREN`].
    fn children(&self) -> Option<Children<Self>>;

    /// The value as it is written, or as it would be. Two that are written in one way are equal.
    fn written(&self) -> Cow<'_, str>;

    /// Whether what has this name says something by where among the others it stands.
    fn is_placed(_: &str) -> bool {
        false
    }
}

/// What is in a value.
enum Children<V> {
    List(Vec<V>),
    /// In the order of the text; a name may come twice.
    Named(Vec<(String, V)>),
}

impl Value for &toml::Value {
    fn children(&self) -> Option<Children<Self>> {
        match self {
            toml::Value::Array(list) if list.len() <= MAX_CHILDREN => Some(Children::List(list.iter().collect())),
            toml::Value::Table(table) if table.len() <= MAX_CHILDREN => {
                Some(Children::Named(table.iter().map(|(name, value)| (name.clone(), value)).collect()))
            }
            _ => None,
        }
    }

    fn written(&self) -> Cow<'_, str> {
        self.to_string().into()
    }
}

/// Where a value is. It is put together for those that are listed alone.
enum Path<'a> {
    Whole,
    Named(&'a Path<'a>, &'a str),
    Numbered(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// As RFC 6901 has it.
    fn write(&self, to: &mut String) {
        match self {
            Self::Whole => {}
            Self::Named(parent, name) => {
                parent.write(to);
                to.push('/');
                to.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Self::Numbered(parent, number) => {
                parent.write(to);
                to.push('/');
                to.push_str(&number.to_string());
            }
        }
    }
}

/// The values of one side by their names; of one name, the first, the second, and so on.
fn keyed<V>(values: &[(String, V)]) -> impl Iterator<Item = ((&str, u32), &V)> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    values.iter().map(move |(name, value)| {
        let count = seen.entry(name).or_default();
        let key = (name.as_str(), *count);
        *count += 1;
        (key, value)
    })
}

struct Found {
    details: Details,
    /// How many bytes may still be looked at; `None`: there were more.
    left: Option<u64>,
}

impl Found {
    /// Looks at two texts; what kind of text both are.
    fn texts(&mut self, left: &str, right: &str, place: &str) -> Option<&'static str> {
        if let (Some(left), Some(right)) = (json::Value::of(left), json::Value::of(right)) {
            self.values(&left, &right, &Path::Whole, 0);
            return Some("JSON");
        }
        if let (Some(left), Some(right)) = (xml::Value::of(left, place), xml::Value::of(right, place)) {
            self.values(&left, &right, &Path::Whole, 0);
            return Some("XML, without space between elements");
        }
        // Other text may be TOML or YAML by chance.
        let is_toml = |place: &str| place.ends_with(".toml") || place.ends_with(".lock");
        let read = |text| if is_toml(place) { read_toml(text) } else { None };
        if let (Some(left), Some(right)) = (read(left), read(right)) {
            self.values(&&left, &&right, &Path::Whole, 0);
            return Some("TOML");
        }
        let is_yaml = |place: &str| place.ends_with(".yaml") || place.ends_with(".yml");
        let read = |text| if is_yaml(place) { yaml::Tree::of(text) } else { None };
        if let (Some(left), Some(right)) = (read(left), read(right)) {
            let is_list = left.is_list() || right.is_list();
            self.values(&left.value(is_list), &right.value(is_list), &Path::Whole, 0);
            return Some("YAML");
        }
        None
    }

    /// Takes what is looked at from what may be.
    fn take(&mut self, len: usize) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(len as u64));
        self.left.is_some()
    }

    fn values<V: Value>(&mut self, left: &V, right: &V, path: &Path<'_>, depth: usize) {
        if self.left.is_none() {
            return;
        }
        let (a, b) = (left.written(), right.written());
        // What is equal has been looked at with what it is in.
        if a == b || !self.take(a.len() + b.len()) {
            return;
        }
        let children = if depth < MAX_DEPTH { (left.children(), right.children()) } else { (None, None) };
        match children {
            (Some(Children::List(left)), Some(Children::List(right))) => {
                for number in 0..left.len().max(right.len()) {
                    self.pair((left.get(number), right.get(number)), &Path::Numbered(path, number), depth + 1);
                }
            }
            (Some(Children::Named(left)), Some(Children::Named(right))) => self.named(&left, &right, path, depth + 1),
            _ => self.add(path, Some(&a), Some(&b)),
        }
    }

    fn named<V: Value>(&mut self, left: &[(String, V)], right: &[(String, V)], path: &Path<'_>, depth: usize) {
        let mut rights: BTreeMap<_, _> =
            keyed(right).enumerate().map(|(at, (key, value))| (key, (at, value))).collect();
        let (mut last, mut moved) = (0, false);
        for (key, value) in keyed(left) {
            let other = rights.remove(&key);
            if let Some((at, _)) = other.filter(|_| V::is_placed(key.0)) {
                moved |= at < last;
                last = at;
            }
            self.pair((Some(value), other.map(|(_, other)| other)), &Path::Named(path, key.0), depth);
        }
        // In the order of the right side.
        let mut alone: Vec<_> = rights.into_iter().map(|((name, _), (at, value))| (at, name, value)).collect();
        alone.sort_by_key(|(at, ..)| *at);
        for (_, name, value) in alone {
            self.pair((None, Some(value)), &Path::Named(path, name), depth);
        }
        if moved {
            self.add(&Path::Named(path, "#order"), Some("one"), Some("another"));
        }
    }

    fn pair<V: Value>(&mut self, pair: (Option<&V>, Option<&V>), path: &Path<'_>, depth: usize) {
        match pair {
            (Some(left), Some(right)) => self.values(left, right, path, depth),
            (left, right) => {
                let [left, right] = [left, right].map(|side| side.map(V::written));
                self.add(path, left.as_deref(), right.as_deref());
            }
        }
    }

    fn add(&mut self, path: &Path<'_>, left: Option<&str>, right: Option<&str>) {
        if self.details.count >= MAX_LISTED {
            self.details.count += 1;
            return;
        }
        let line = |side: Option<&str>| side.map_or_else(String::new, |text| format!("{text}\n"));
        let (a, b) = preview::lines(&line(left), &line(right));
        let shown = |side: Option<&str>, text: String| side.map_or_else(|| "(none)".to_owned(), |_| text);
        let mut at = String::new();
        path.write(&mut at);
        let at = if at.is_empty() { "the whole".to_owned() } else { preview::name(at.as_bytes()) };
        self.details.push(at, shown(left, a), shown(right, b));
    }
}

/// Within the bound of a whole comparison.
#[cfg(test)]
fn diff(left: &str, right: &str, place: &str) -> Option<(&'static str, Details)> {
    let (kind, details) = diff_within(left, right, place, &mut MAX_BYTES.clone())?;
    Some((kind, details.unwrap()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(left: &str, right: &str, place: &str) -> Option<Vec<[String; 3]>> {
        let (_, details) = diff(left, right, place)?;
        assert!(details.count >= details.kept.len() as u64);
        Some(details.kept.into_iter().map(|detail| [detail.at, detail.left, detail.right]).collect())
    }

    fn json(left: &str, right: &str) -> Vec<[String; 3]> {
        of(left, right, "a").unwrap()
    }

    #[test]
    fn values_are_told_by_their_paths() {
        let left = r#"{"a": {"b": [1, 2, 3]}, "c/~": "x", "only": null}"#;
        let right = r#"{"c/~":"y","a":{"b":[1,7,3,{"d":1}]},"":true}"#;
        let expected = [
            ["/a/b/1", "2", "7"],
            ["/a/b/3", "(none)", r#"{"d":1}"#],
            ["/c~1~0", r#""x""#, r#""y""#],
            ["/only", "null", "(none)"],
            ["/", "(none)", "true"],
        ];
        assert_eq!(json(left, right), expected);
        assert_eq!(json("[1]", r#"{"0":1}"#), [["the whole", "[1]", r#"{"0":1}"#]]);
        assert_eq!(json("{\"a\":\n1}", "{\"a\" : 1 }"), [] as [[&str; 3]; 0]);
    }

    #[test]
    fn spelling_and_names_that_come_twice_are_not_lost() {
        assert_eq!(json("[1.0]", "[1.00]"), [["/0", "1.0", "1.00"]]);
        assert_eq!(json("[100000000000000000001]", "[100000000000000000002]").len(), 1);
        assert_eq!(json(r#"["A"]"#, r#"["\u0041"]"#), [["/0", r#""A""#, r#""\\u0041""#]]);
        assert_eq!(json(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#), [["/a", "2", "3"]]);
        assert_eq!(json(r#"{"a":1,"a":2}"#, r#"{"a":2}"#), [["/a", "1", "2"], ["/a", "2", "(none)"]]);
    }

    #[test]
    fn toml_is_told_by_its_name_and_its_values() {
        let (left, right) = ("a = 1 # one\n[b]\nc = [1979-05-27, nan]\n", "b.c = [1979-05-28, nan]\na = 0x1\n");
        assert_eq!(of(left, right, "x/a.toml").unwrap(), [["/b/c/0", "1979-05-27", "1979-05-28"]]);
        assert!(of(left, right, "a.lock").is_some() && of(left, right, "a.ini").is_none());
        assert!(of(left, "a = 1\na = 2\n", "a.toml").is_none());
    }

    #[test]
    fn what_is_no_json_is_none() {
        for no in ["", "x", "{", "[1,]", "{\"a\":1}\n{\"a\":2}", "\u{feff}[1]", "{'a': 1}", "1", "\"a\"", "[\"\\x\"]"] {
            assert_eq!(of(no, "[1]", "a"), None, "{no}");
            assert_eq!(of("[1]", no, "a"), None, "{no}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |depth: usize, value: u8| format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(json(&nested(64, 1), &nested(64, 2)), [[&*"/0".repeat(64), "1", "2"]]);
        assert_eq!(json(&nested(65, 1), &nested(65, 2)), [[&*"/0".repeat(64), "[1]", "[2]"]]);
        assert_eq!(json(&nested(500_000, 1), &nested(500_000, 2)).len(), 1);
        let list = |len: usize, value: u8| format!("{:?}", vec![value; len]);
        for (len, listed) in [(100, 100), (101, 100)] {
            let (_, details) = diff(&list(len, 1), &list(len, 2), "a").unwrap();
            assert_eq!((details.kept.len(), details.count), (listed, len as u64));
        }
    }

    #[test]
    fn all_texts_share_the_bytes_that_are_looked_at() {
        for (left, right, place, takes) in [
            ("[[1]]", "[[2]]", "a", 10 + 6 + 2),
            ("<a><b>1</b></a>", "<a><b>2</b></a>", "a.xml", 30 + 30 + 16 + 2),
            ("a = [1]", "a = [2]", "a.toml", 22 + 6 + 2),
            ("- [1]", "- [2]", "a.yaml", 10 + 6 + 2),
        ] {
            let within = |mut bytes: u64| {
                let (_, details) = diff_within(left, right, place, &mut bytes).unwrap();
                (details.map(|details| details.count), bytes)
            };
            assert_eq!(
                (within(takes + 1), within(takes), within(takes - 1)),
                ((Some(1), 1), (Some(1), 0), (None, 0)),
                "{place}"
            );
        }
        // What is no such text takes nothing.
        assert!(diff_within("a", "b", "a", &mut 0).is_none());
    }

    #[test]
    fn values_in_one_are_bounded() {
        let list = |len: usize, first: u8| format!("[{first}{}]", ",1".repeat(len - 1));
        let object = |len: usize, first: u8| format!("{{\"a\":{first}{}}}", ",\"\":1".repeat(len - 1));
        let at = |left: &str, right: &str| json(left, right)[0][0].clone();
        assert_eq!(at(&list(100_000, 2), &list(100_000, 3)), "/0");
        assert_eq!(at(&list(100_001, 2), &list(100_001, 3)), "the whole");
        assert_eq!(at(&object(100_000, 2), &object(100_000, 3)), "/a");
        assert_eq!(at(&object(100_001, 2), &object(100_001, 3)), "the whole");
        let toml =
            |len, first| of(&format!("a = {}", list(len, first)), &format!("a = {}", list(len, 9)), "a.toml").unwrap();
        assert_eq!((&*toml(100_000, 2)[0][0], &*toml(100_001, 2)[0][0]), ("/a/0", "/a"));
    }

    #[test]
    fn paths_are_put_together_for_those_that_are_listed() {
        // For each value, the path would have more than 3 MiB: 300 GiB together.
        let of = |value: &str| format!("{{\"{}\":[0{}]}}", "n".repeat(3 << 20), value.repeat(99_999));
        let (_, details) = diff(&of(",1"), &of(",2"), "a").unwrap();
        assert_eq!((details.kept.len(), details.count), (100, 99_999));
    }

    proptest! {
        /// Whatever is written: equal texts have equal values, and what is said of two does not depend on which is the left.
        #[test]
        fn texts_of_any_kind(left in "[\\[\\]{}\",:a1\\\\ ]{0,16}", right in "[\\[\\]{}\",:a1\\\\ ]{0,16}", name in "a|a.toml") {
            prop_assert_eq!(of(&left, &left, &name).unwrap_or_default(), Vec::<[String; 3]>::new());
            let ways = [(&left, &right), (&right, &left)].map(|(a, b)| diff(a, b, &name).map(|(_, found)| found.count));
            prop_assert_eq!(ways[0], ways[1]);
        }

        /// Values that are read are those that were written.
        #[test]
        fn each_value_is_found(values in proptest::collection::btree_map("[a-c\\[{\",\\\\]{0,3}", 0..9_u8, 1..6), at: prop::sample::Index) {
            let mut other = values.clone();
            let key = values.keys().nth(at.index(values.len())).unwrap().clone();
            other.insert(key.clone(), 99);
            let [a, b] = [&values, &other].map(|values| serde_json::to_string(&[values]).unwrap());
            let found = json(&a, &b);
            let path = preview::name(format!("/0/{}", key.replace('~', "~0").replace('/', "~1")).as_bytes());
            prop_assert_eq!(found, [[path, values[&key].to_string(), "99".to_owned()]]);
        }
    }
}
