// SPDX-License-Identifier: Apache-2.0
//! Manifests: what is left out of them, and what only looks like it.

use proptest::prelude::*;
use reprove_model::FindingKind;

use super::super::super::Bounds;
use super::super::super::archive::tests::find_within;
use super::super::tests::{compared, different, equal, zip_of};

const BASE: &str =
    "Manifest-Version: 1.0\r\nBundle-Name: a\r\nBuilt-By: me\r\n\r\nName: a.class\r\nSealed: true\r\n\r\n";

fn jar(manifest: &[u8]) -> Vec<u8> {
    zip_of(&[("META-INF/MANIFEST.MF", manifest)])
}

fn of(left: &str, right: &str) -> (super::super::super::Level, Vec<String>) {
    compared(&jar(left.as_bytes()), &jar(right.as_bytes()), "a.jar")
}

/// With these lines at the end of the main section.
fn with(lines: &str) -> String {
    BASE.replace("Built-By: me\r\n", lines)
}

#[test]
fn who_when_and_from_which_revision_is_left_out() {
    assert_eq!(of(BASE, &with("Built-By: you\r\n")), equal(&["jar-origin"]));
    // What is there on one side alone says the same.
    assert_eq!(of(BASE, &with("")), equal(&["jar-origin"]));
    assert_eq!(of(&with("created-by: 17\r\n"), &with("created-by: 21\r\n")), equal(&["jar-origin"]));
    let time = |value: &str| with(&format!("Bnd-LastModified: {value}\r\n"));
    assert_eq!(of(&time("1700000000000"), &time("1732000000000")), equal(&["jar-times"]));
    for other in ["2023-11-14T22:13:20+01:00", "Wednesday, September 12 2024 10:11:12 PM CEST", "20231114"] {
        assert_eq!(of(&time("1700000000000"), &time(other)), equal(&["jar-times"]), "{other}");
    }
    for no in ["never", "1700; rm -rf", "1700thofmarchx", "", &"1 ".repeat(33)] {
        assert_eq!(of(&time("1700000000000"), &time(no)), different(), "{no}");
    }
    let commit = |value: &str| with(&format!("Git-SHA: {value}\r\n"));
    assert_eq!(of(&commit("1"), &commit("2")), equal(&["jar-vcs"]));
    for name in ["Bundle-Name", "Implementation-Version", "Main-Class", "Java-Version", "Multi-Release", "X-Built-By"] {
        let of_name = |value: &str| with(&format!("{name}: {value}\r\n")).replacen("Bundle-Name: a\r\n", "", 1);
        assert_eq!(of(&of_name("1"), &of_name("2")), different(), "{name}");
    }
    // In the section of an entry; too long; in another file; beside another difference.
    let entry = |who: &str| BASE.replace("Sealed: true", &format!("Built-By: {who}"));
    assert_eq!(of(&entry("me"), &entry("you")), different());
    let long = |len: usize| with(&format!("Built-By: {}\r\n", "x".repeat(len)));
    let long = |len| of(&BASE.replace("\r\n", "\n"), &long(len).replace("\r\n", "\n"));
    assert_eq!((long(1025), long(60)), (different(), equal(&["jar-origin"])));
    let named = |name: &str, who: &str| zip_of(&[(name, with(&format!("Built-By: {who}\r\n")).as_bytes())]);
    for name in ["MANIFEST.MF", "x/META-INF/MANIFEST.MF", "META-INF/MANIFEST.MF.txt"] {
        assert_eq!(compared(&named(name, "me"), &named(name, "you"), "a.jar"), different(), "{name}");
    }
    assert_eq!(of(BASE, &with("Built-By: you\r\n").replace("Name: a\r", "Name: b\r")), different());
}

#[test]
fn order_is_left_out_where_it_decides_nothing() {
    let lines = |lines: &[&str]| lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
    let base = lines(&["Manifest-Version: 1.0", "A: 1", "B: 2", "", "Name: a", "C: 3", "", "Name: b", "D: 4", ""]);
    let swapped = lines(&["Manifest-Version: 1.0", "B: 2", "A: 1", "", "Name: a", "C: 3", "", "Name: b", "D: 4", ""]);
    let entries = lines(&["Manifest-Version: 1.0", "A: 1", "B: 2", "", "Name: b", "D: 4", "", "Name: a", "C: 3", ""]);
    assert_eq!((of(&base, &swapped), of(&base, &entries)), (equal(&["jar-order"]), equal(&["jar-order"])));
    // Another attribute first, one of a name that comes twice, one that goes to another section.
    assert_eq!(
        of(&base, &lines(&["A: 1", "Manifest-Version: 1.0", "B: 2", "", "Name: a", "C: 3", "", "Name: b", "D: 4", ""])),
        different()
    );
    for twice in ["A", "a"] {
        let of_twice = |first: &str, second: &str| {
            lines(&["Manifest-Version: 1.0", &format!("A: {first}"), &format!("{twice}: {second}"), "X: 1", ""])
        };
        assert_eq!(of(&of_twice("1", "2"), &of_twice("2", "1")), different());
        let moved = of_twice("1", "2").replace("X: 1\r\n", "").replacen("A: ", "X: 1\r\nA: ", 1);
        assert_eq!(of(&of_twice("1", "2"), &moved), different());
    }
    // A second name makes no second section.
    let two = lines(&["Manifest-Version: 1.0", "", "Name: p/", "Sealed: true", "", "Name: p/", "Foo: 1", ""]);
    for name in ["Name", "name"] {
        let one = two.replacen("\r\n\r\nName: p/\r\nFoo", &format!("\r\n{name}: p/\r\nFoo"), 1);
        assert_ne!(one, two);
        assert_eq!(of(&two, &one), different(), "{name}");
        assert_eq!(of(&two.replacen("1.0", "1.0\r\nBuilt-By: me", 1), &one), different(), "{name}");
        assert!(super::read(one.as_bytes(), &super::Digests::new()).is_none());
        let of_main = |count| format!("Manifest-Version: 1.0\r\n{}\r\n", format!("{name}: p/\r\n").repeat(count));
        let is_read = |count| super::read(of_main(count).as_bytes(), &super::Digests::new()).is_some();
        assert!(is_read(1) && !is_read(2));
    }
    let other = lines(&["Manifest-Version: 1.0", "A: 1", "", "Name: a", "C: 3", "B: 2", "", "Name: b", "D: 4", ""]);
    assert_eq!(of(&base, &other), different());
}

#[test]
fn the_order_of_clauses_is_left_out_of_lists_that_are_of_no_order() {
    let header = |name: &str, value: &str| with(&format!("{name}: {value}\r\n"));
    let exports = |value: &str| header("Export-Package", value);
    let both = |a: &str, b: &str| of(&exports(a), &exports(b));
    assert_eq!(both("a;version=\"1,2\",b", "b,a;version=\"1,2\""), equal(&["jar-values"]));
    assert_eq!(both("a;version=1;x=2,b", "a;x=2;version=1,b"), equal(&["jar-values"]));
    for (a, b) in [
        ("a,b", "a,c"),
        ("a,b", "b,a,a"),
        ("a;version=1,a;version=2", "a;version=2,a;version=1"),
        ("a,b", "b, a"),
        ("a,b;x=1, b;x=2", "a, b;x=2,b;x=1"),
    ] {
        assert_eq!(both(a, b), different(), "{a} {b}");
    }
    let capabilities = |value: &str| header("Provide-Capability", value);
    assert_eq!(of(&capabilities("x;a=1,y;b=2"), &capabilities("y;b=2,x;a=1")), equal(&["jar-values"]));
    assert_eq!(of(&capabilities("x;a=1,x;b=2"), &capabilities("x;b=2,x;a=1")), different());
    for name in ["Bundle-ClassPath", "Require-Bundle", "Class-Path", "DynamicImport-Package"] {
        assert_eq!(of(&header(name, "a,b"), &header(name, "b,a")), different(), "{name}");
    }
    // It is of the main section alone.
    let entry = |value: &str| BASE.replace("Sealed: true", &format!("Export-Package: {value}"));
    assert_eq!(of(&entry("a,b"), &entry("b,a")), different());
}

#[test]
fn how_lines_are_written_has_a_name_of_its_own() {
    let value = "y".repeat(200);
    let broken = |width: usize, end: &str| {
        let text = format!("X: {value}");
        let mut lines = vec![text[..width].to_owned()];
        let mut rest = &text[width..];
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(width - 1));
            lines.push(format!(" {line}"));
            rest = more;
        }
        with(&format!("{}\r\n", lines.join("\r\n"))).replace("\r\n", end)
    };
    let base = broken(72, "\r\n");
    for other in [broken(70, "\r\n"), broken(72, "\n"), broken(72, "\r"), broken(50, "\n")] {
        assert_eq!(of(&base, &other), equal(&["jar-form"]), "{other}");
    }
    // A value that is written as all others are needs no more than its own name.
    let built = |width, who: &str| broken(width, "\r\n").replace("X: ", &format!("Built-By: {who}\r\nX: "));
    assert_eq!(of(&built(70, "me"), &built(70, "you")), equal(&["jar-origin"]));
    assert_eq!(of(&base, &base.replace("yy\r\n", "yz\r\n")), different());
    for no in [
        // Lines that are empty are no way to write the same: some readers end with the first.
        base.replacen("\r\n\r\n", "\r\n\r\n\r\n", 1),
        base.trim_end().to_owned(),
        format!("{}\r\n", base.trim_end()),
        format!("\r\n{base}"),
        base.replacen("X: ", "X:", 1),
        base.replacen("X: ", "X : ", 1),
        base.replacen("Name: a.class", "Sealed: true\r\nName: a.class", 1),
        base.replacen("X: y", "X: \0", 1),
        format!("{base} more\r\n"),
    ] {
        assert_eq!(of(&base, &no), different(), "{no}");
    }
}

#[test]
fn characters_may_be_broken_between_lines() {
    let split = |who: &[u8]| [b"Manifest-Version: 1.0\r\nBuilt-By: ", who, b"\r\nX: \xc3\r\n \xa4\r\n\r\n"].concat();
    assert!(str::from_utf8(&split(b"me")).is_err());
    assert_eq!(compared(&jar(&split(b"me")), &jar(&split(b"you")), "a.jar"), equal(&["jar-origin"]));
}

#[test]
fn attributes_come_beside_the_lines() {
    let left = with("Built-By: me\r\nImport-Package: a\r\n");
    let right = with("Built-By: you\r\nImport-Package: b\r\n");
    let (findings, needs) = find_within(&jar(left.as_bytes()), &jar(right.as_bytes()), &Bounds::default());
    let of_text: Vec<_> = findings.iter().filter(|finding| finding.place.ends_with("MF")).collect();
    assert_eq!((of_text.len(), needs), (2, None));
    assert!(of_text.iter().all(|finding| finding.kind == FindingKind::Content));
    assert!(of_text[0].summary.starts_with("2 lines differ"), "{}", of_text[0].summary);
    assert_eq!(of_text[1].summary, "as a manifest, 2 values differ");
    let at: Vec<_> = of_text[1].details.iter().map(|detail| detail.at.as_str()).collect();
    assert_eq!(at, ["Built-By", "Import-Package"]);
}

#[test]
fn attributes_and_their_names_are_told_to_a_bound() {
    let none = super::Digests::new();
    let many = |count: usize, who: &str| {
        let more: String = (0..count - 5).map(|n| format!("X{n}: 1\r\n")).collect();
        with(&format!("Built-By: {who}\r\n{more}"))
    };
    assert!(
        super::read(many(100_000, "me").as_bytes(), &none).is_some()
            && super::read(many(100_001, "me").as_bytes(), &none).is_none()
    );
    let names = |count: usize| {
        let entry = "n".repeat(100_000);
        let more: String = (0..count).map(|n| format!("X{n:03}: 1\r\n")).collect();
        format!("Manifest-Version: 1.0\r\n\r\nName: {entry}\r\n{more}\r\n")
    };
    assert!(super::read(names(50).as_bytes(), &none).is_some() && super::read(names(60).as_bytes(), &none).is_none());
}

proptest! {
    /// [`compared`] asserts it: whatever a manifest says, no finding if and only if both are equal.
    #[test]
    fn manifests_of_any_kind(
        left in "(Manifest-Version: 1.0\r\n)?((A|Built-By|Name|Export-Package): [ab,;=\"]{0,4}\r?\n| b\n|\r\n){0,7}",
        right in "(Manifest-Version: 1.0\r\n)?((A|Built-By|Name|Export-Package): [ab,;=\"]{0,4}\r?\n| b\n|\r\n){0,7}",
    ) {
        of(&left, &right);
    }
}
