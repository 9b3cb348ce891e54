// SPDX-License-Identifier: Apache-2.0
//! Files as tools write them, with one thing changed, and as nobody should.

use std::io::Write as _;

use proptest::prelude::*;
use reprove_model::{Between, FindingKind};

use super::super::archive::tests::find_within;
use super::super::{Comparison, Level, Options, compare_files};
use super::*;

const DATE: &str = "(D:20231114221320+00'00')";
const LATER: &str = "(D:20241119070640Z00'00')";
const ID: &str = "[<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]";
const OTHER: &str = "[<10112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]";

/// What a document is made of.
#[derive(Clone, Copy)]
struct Of<'a> {
    date: &'a str,
    id: &'a str,
    /// What else stands in the object about the document.
    about: &'a str,
    stream: &'a [u8],
    /// What else stands in the stream's dictionary.
    filter: &'a str,
    trailer: &'a str,
}

const OF: Of<'_> =
    Of { date: DATE, id: ID, about: "/Producer (p)", stream: b"BT (hello) Tj ET", filter: "", trailer: "" };

/// A document, with its table.
fn pdf(of: Of<'_>) -> Vec<u8> {
    let Of { date, id, about, stream, filter, trailer } = of;
    let objects: [Vec<u8>; 4] = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<</Type/Pages/Kids[<</A(a\\)(b))/B<00 ff>>> 3 0 R]/Count 1>>".to_vec(),
        [format!("<< /Length {}{filter} >>\nstream\n", stream.len()).as_bytes(), stream, b"\nendstream"].concat(),
        format!("<< /CreationDate {date} {about} >>").into_bytes(),
    ];
    let mut bytes = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut table = "xref\n0 5\n0000000000 65535 f \n".to_owned();
    for (number, object) in (1..).zip(objects) {
        table.push_str(&format!("{:010} 00000 n \n", bytes.len()));
        bytes.extend([format!("{number} 0 obj\n").as_bytes(), &object, b"\nendobj\n"].concat());
    }
    let start = bytes.len();
    let end = format!("trailer\n<< /Size 5 /Root 1 0 R /Info 4 0 R /ID {id} {trailer}>>\nstartxref\n{start}\n%%EOF\n");
    [bytes, table.into_bytes(), end.into_bytes()].concat()
}

fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Told = Vec<(String, FindingKind, Vec<[String; 3]>)>;

/// What is found, and what takes it out.
fn find(left: &[u8], right: &[u8]) -> (Told, Option<Vec<String>>) {
    let (findings, needs) = find_within(left, right, &Bounds::default());
    let details = |finding: reprove_model::Finding| {
        let shown = finding.details.into_iter().map(|detail| [detail.at, detail.left, detail.right]).collect();
        (finding.place, finding.kind, shown)
    };
    (findings.into_iter().map(details).collect(), needs)
}

fn needs(left: Of<'_>, right: Of<'_>) -> Option<Vec<String>> {
    find(&pdf(left), &pdf(right)).1
}

fn named(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

fn compared(left: &[u8], right: &[u8]) -> Comparison {
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    };
    compare_files(&file(left), &file(right), "a", Options::of(Between::Given)).unwrap()
}

#[test]
fn times_and_the_names_of_a_document_are_told_from_the_rest() {
    let (told, what) = find(&pdf(OF), &pdf(Of { date: LATER, ..OF }));
    let time = ["object 4 0 /CreationDate", "\"(D:20231114221320+00'00')\"", "\"(D:20241119070640Z00'00')\""];
    assert_eq!(told, [("a".to_owned(), FindingKind::ArchiveTimes, vec![time.map(str::to_owned)])]);
    assert_eq!(what, named(&["pdf-times"]));
    let (told, what) = find(&pdf(OF), &pdf(Of { id: OTHER, ..OF }));
    assert_eq!((told[0].1, told[0].2[0][0].as_str()), (FindingKind::BuildIdentity, "trailer /ID"));
    assert_eq!(what, named(&["pdf-identity"]));
    for (right, level) in [
        (Of { date: LATER, ..OF }, Level::NormalizedEqual),
        (Of { date: LATER, id: OTHER, ..OF }, Level::CodeEqual),
        (Of { date: LATER, id: OTHER, stream: b"BT (hallo) Tj ET", ..OF }, Level::Different),
    ] {
        assert_eq!(compared(&pdf(OF), &pdf(right)).level, level);
    }
}

#[test]
fn what_is_no_time_and_no_name_is_never_left_out() {
    let no_dates = [
        "(D:20231314221320+00'00')",
        "(D:20231114221320+00'0)",
        "(x:20231114221320+00'00')",
        "(D:20231114221320+00'60')",
    ];
    for no in no_dates {
        assert_eq!(needs(OF, Of { date: no, ..OF }), None, "{no}");
        let other = no.replace("2023", "2024");
        assert_eq!(needs(Of { date: no, ..OF }, Of { date: &other, ..OF }), None, "{no}");
    }
    for no in
        [&ID.replacen('0', "g", 1), &ID.replacen("00", "0 ", 1), &ID.replace("> <", "x <"), "[(0123456789abcdef)]"]
    {
        assert_eq!(needs(Of { id: no, ..OF }, Of { id: &no.replacen('1', "2", 1), ..OF }), None, "{no}");
    }
    // What has the name twice says who knows which.
    let twice = format!("/CreationDate {DATE}");
    assert_eq!(needs(Of { about: &twice, ..OF }, Of { about: &twice, date: LATER, ..OF }), None);
    // A date of something else.
    let of = |date| Of { filter: date, ..OF };
    let dates = [DATE, LATER].map(|date| format!(" /CreationDate {date}"));
    assert_eq!(needs(of(&dates[0]), of(&dates[1])), None);
    let both = find(
        &pdf(Of { about: "/ModDate (D:20231114221320)", ..OF }),
        &pdf(Of { about: "/ModDate (D:20241114221320)", ..OF }),
    );
    assert_eq!(both.1, named(&["pdf-times"]));
}

#[test]
fn what_is_signed_or_encrypted_is_never_left_out() {
    for (about, trailer) in [
        ("", "/Encrypt 9 0 R"),
        ("", "/#45ncrypt 9 0 R"),
        ("/ByteRange [0 1 2 3]", ""),
        ("/Sig << /Byt#65Range [0 1 2 3] >>", ""),
    ] {
        let of = Of { about, trailer, ..OF };
        assert_eq!(needs(of, Of { date: LATER, ..of }), None, "{about}{trailer}");
        assert_eq!(needs(of, Of { id: OTHER, ..of }), None, "{about}{trailer}");
    }
    // What is signed is the compressed bytes.
    let one = zlib(b"hello\n", 6);
    let deflated = [one.clone(), [&[0x78, 0xda], &one[2..]].concat()];
    let of = |at: usize, about| Of { stream: &deflated[at], filter: "/Filter/FlateDecode", about, ..OF };
    assert_eq!(needs(of(0, ""), of(1, "")), named(&["zlib-compression"]));
    let signed = "/ByteRange [0 1 2 3]";
    assert_eq!(needs(of(0, signed), of(1, signed)), None);
    let (told, _) = find(&pdf(of(0, signed)), &pdf(of(1, signed)));
    assert_eq!((told[0].0.as_str(), told[0].1), ("a!object 3 0 stream", FindingKind::Compression));
    let of = Of { about: "/ByteRanges 1", trailer: "/Encrypted 1", ..OF };
    assert_eq!(needs(of, Of { date: LATER, ..of }), named(&["pdf-times"]));
}

#[test]
fn objects_in_streams_are_looked_into_for_signatures() {
    let needs =
        |stream: &[u8], filter: &str| needs(Of { stream, filter, ..OF }, Of { stream, filter, date: LATER, ..OF });
    let (free, signed) = (b"9 0 <</A (x) >>".as_slice(), b"9 0 <</ByteRange [0 1 2 3] >>".as_slice());
    for kind in ["/Type/ObjStm /First 4", "/First 4", "/#54ype /Obj#53tm", "/Type /X /Type /ObjStm"] {
        let flate = format!("{kind} /Filter/FlateDecode");
        assert_eq!(needs(free, kind), named(&["pdf-times"]), "{kind}");
        assert_eq!(needs(&zlib(free, 6), &flate), named(&["pdf-times"]), "{kind}");
        assert_eq!(needs(signed, kind), None, "{kind}");
        assert_eq!(needs(&zlib(signed, 6), &flate), None, "{kind}");
        // What can't be expanded here may be anything.
        assert_eq!(needs(&zlib(free, 6), &format!("{flate} /DecodeParms <<>>")), None, "{kind}");
        assert_eq!(needs(&zlib(free, 6)[..9], &flate), None, "{kind}");
        assert_eq!(needs(free, &format!("{kind} /Filter /LZWDecode")), None, "{kind}");
    }
    // To a bound that follows from the size of the file.
    let zeros = |len: usize| zlib(&vec![b' '; len], 9);
    assert_eq!(needs(&zeros(64 << 10), "/First 4 /Filter/FlateDecode"), named(&["pdf-times"]));
    assert_eq!(needs(&zeros(128 << 10), "/First 4 /Filter/FlateDecode"), None);
    assert_eq!(needs(&zlib(signed, 6), "/Filter/FlateDecode"), named(&["pdf-times"]));
}

#[test]
fn what_something_else_leads_to_is_not_about_the_document() {
    for (trailer, about, expected) in [
        ("/AcroForm 3 0 R", "", named(&["pdf-times"])),
        ("/AcroForm 4 0 R", "", None),
        ("/AcroForm 04 %\n 00 R", "", None),
        ("/A[4 4 0 R]", "", None),
        ("", "/Parent 4 0 R", None),
        ("/A 4 1 R /B 14 0 R", "", named(&["pdf-times"])),
        // Not for long.
        (&"4 % ".repeat(30), "", named(&["pdf-times"])),
        (&"4%".repeat(300), "", None),
    ] {
        let trailer = if trailer.contains("4%") || trailer.contains("4 % ") {
            format!("%{trailer}\n")
        } else {
            trailer.to_owned()
        };
        let of = Of { trailer: &trailer, about, ..OF };
        assert_eq!(needs(of, Of { date: LATER, ..of }), expected, "{trailer}{about}");
    }
    let inside = Of { stream: b"9 0 <</A 4 0 R>>", filter: "/First 4", ..OF };
    assert_eq!(needs(inside, Of { date: LATER, ..inside }), None);
    // However a name is written.
    let twice = format!("/#43reationDate {DATE}");
    assert_eq!(needs(Of { about: &twice, ..OF }, Of { about: &twice, date: LATER, ..OF }), None);
}

#[test]
fn a_table_is_a_stream_that_has_what_tables_have() {
    let of = |filter: &str, id: &str| pdf(Of { filter: &format!("{filter} /ID {id}"), ..OF });
    let needs = |filter: &str| find(&of(filter, ID), &of(filter, OTHER)).1;
    assert_eq!(needs("/Type /XRef /W [1 2 1] /Size 5"), named(&["pdf-identity"]));
    for no in ["/Type /XRef /W [1 2 1]", "/Type /XRef /Size 5", "/Type /X /W [1 2 1] /Size 5"] {
        assert_eq!(needs(no), None, "{no}");
    }
    let of = |id| pdf(Of { about: &format!("/Type /XRef /W [1 2 1] /Size 5 /ID {id}"), ..OF });
    assert_eq!(find(&of(ID), &of(OTHER)).1, None);
}

#[test]
fn entries_are_told_by_their_names_and_streams_are_files() {
    let (told, _) = find(&pdf(OF), &pdf(Of { about: "/Producer (q)", ..OF }));
    let entry = ["object 4 0#2: /Producer", "\" /Producer (p)\"", "\" /Producer (q)\""].map(str::to_owned);
    assert_eq!(told, [("a".to_owned(), FindingKind::ArchiveStructure, vec![entry])]);
    let (told, _) = find(&pdf(OF), &pdf(Of { stream: b"BT (hallo) Tj ET", ..OF }));
    let line = ["line 1", "BT (hello) Tj ET (no newline at the end)", "BT (hallo) Tj ET (no newline at the end)"];
    assert_eq!(told, [("a!object 3 0 stream".to_owned(), FindingKind::Content, vec![line.map(str::to_owned)])]);
    // What is longer moves all that follows.
    let (told, _) = find(&pdf(OF), &pdf(Of { stream: b"BT (hello you) Tj ET", ..OF }));
    let at: Vec<_> = told[0].2.iter().map(|[at, ..]| at.as_str()).collect();
    assert_eq!(at, ["object 3 0: /Length", "place of the table: offset", "table of objects: object 4"]);
    let metadata = |time: &str| format!("<?xpacket begin=''?><x><y>{time}</y></x><?xpacket end='w'?>");
    let of = |text: &str| pdf(Of { stream: text.as_bytes(), filter: "/Subtype/XML", ..OF });
    let (told, _) = find(&of(&metadata("1")), &of(&metadata("2")));
    assert_eq!((told[1].0.as_str(), told[1].2[0][0].as_str()), ("a!object 3 0 stream.xml", "/x/y/#text"));
}

#[test]
fn compressed_streams_are_expanded() {
    let of = |data: &[u8], filter| pdf(Of { stream: data, filter, ..OF });
    let (one, other) = (zlib(b"hello\n", 6), zlib(b"hallo\n", 6));
    for filter in ["/Filter/FlateDecode", " /Filter [ /FlateDecode ]"] {
        let (told, _) = find(&of(&one, filter), &of(&other, filter));
        let line = ["line 1", "hello", "hallo"].map(str::to_owned);
        assert_eq!(told, [("a!object 3 0 stream!content".to_owned(), FindingKind::Content, vec![line])]);
    }
    // The same, at what is said to be another level.
    let again = [&[0x78, 0xda], &one[2..]].concat();
    assert_eq!(one[..2], [0x78, 0x9c]);
    let [left, right] = [&one, &again].map(|data| of(data, "/Filter/FlateDecode"));
    let found = compared(&left, &right);
    let names: Vec<_> = found.normalizations.iter().map(|each| each.name.as_str()).collect();
    assert_eq!((found.level, names), (Level::NormalizedEqual, vec!["zlib-compression"]));
    // What is behind the end of the compressed bytes is part of the stream.
    let [left, right] = [b"a", b"b"].map(|more| of(&[&one[..], more].concat(), "/Filter/FlateDecode"));
    let (findings, what) = find_within(&left, &right, &Bounds::default());
    assert!(findings[0].summary.contains("bytes follow its end"), "{}", findings[0].summary);
    assert_eq!((findings[0].place.as_str(), what), ("a!object 3 0 stream", None));
    for filter in ["", "/Filter[/ASCII85Decode/FlateDecode]", "/Filter/FlateDecode/Filter/FlateDecode"] {
        let (told, _) = find(&of(&one, filter), &of(&other, filter));
        assert_eq!(told[0].0, "a!object 3 0 stream", "{filter}");
    }
    // As deep as anything else.
    let [left, right] = [&one, &other].map(|data| of(data, "/Filter/FlateDecode"));
    for (depth, place) in [(2, "a!object 3 0 stream!content"), (1, "a!object 3 0 stream")] {
        let (findings, _) = find_within(&left, &right, &Bounds { depth, ..Bounds::default() });
        assert_eq!(findings[0].place, place);
    }
}

#[test]
fn a_stream_ends_where_it_does() {
    let of = |length: &str, stream: &[u8]| {
        let object = [b"%PDF-1.4\n1 0 obj<</Length ", length.as_bytes(), b">>stream\r\n", stream].concat();
        [&object[..], b"endstream endobj startxref 0 %%EOF"].concat()
    };
    for (length, stream, data) in [
        ("5", &b"hello\r\n"[..], "hello"),
        ("5", b"hello", "hello"),
        ("6", b"hello\n\n", "hello\\x0a"),
        // What is said otherwise, elsewhere or wrongly is looked for.
        ("9", b"hello\n", "hello"),
        ("7 0 R", b"hello\r\n", "hello"),
        ("99999999999999999999999", b"hello\r", "hello"),
        ("18446744073709551615", b"hello\r", "hello"),
    ] {
        let (told, _) = find(&of(length, stream), &of(length, &[b"j", &stream[1..]].concat()));
        assert_eq!(told[0].0, "a!object 1 0 stream", "{length}");
        let shown = told[0].2[0][1].trim_end_matches(" (no newline at the end)");
        assert_eq!(shown.trim_end_matches("\\x0a"), data.trim_end_matches("\\x0a"), "{length}");
    }
}

#[test]
fn documents_that_go_on_are_told_apart() {
    let more = |date: &str| {
        format!(
            "4 0 obj\n<< /CreationDate {date} >>\nendobj\nxref\n4 1\n0000000450 00000 n \ntrailer\n<< /Info 4 0 R /Prev 3 >>\nstartxref\n9\n%%EOF\n"
        )
    };
    let of = |date: &str| [pdf(OF), more(date).into_bytes()].concat();
    let (told, what) = find(&of(DATE), &of(LATER));
    assert_eq!((told[0].2[0][0].as_str(), what), ("object 4 0 /CreationDate#2", named(&["pdf-times"])));
    // A table that is a stream, and an object that is a number.
    let of = |id: &str, number: u8| {
        format!(
            "%PDF-1.5\n7 0 obj {number} endobj 8 0 obj endobj 9 0 obj <</Type/XRef/W[1 2 1]/Size 9/ID {id}>>stream\nxendstream endobj startxref 9 %%EOF"
        )
    };
    let (told, what) = find(of(ID, 1).as_bytes(), of(OTHER, 1).as_bytes());
    assert_eq!((told[0].2[0][0].as_str(), what), ("object 9 0 /ID", named(&["pdf-identity"])));
    let (told, what) = find(of(ID, 1).as_bytes(), of(ID, 2).as_bytes());
    assert_eq!((told[0].2[0][0].as_str(), what), ("object 7 0: what it is", None));
}

#[test]
fn what_is_behind_the_end_stays() {
    for more in [&b"\0"[..], b"\n", b"PK", b"1 0 obj", b"%x"] {
        let (told, what) = find(&pdf(OF), &[&pdf(OF), more].concat());
        assert_eq!((told.is_empty(), what), (false, None));
    }
}

#[test]
fn what_is_cut_or_not_known_is_bytes() {
    let whole = pdf(OF);
    let at = whole.windows(9).position(|window| window == b"startxref").unwrap();
    for end in [9, 20, 60, 160, at, at + 9] {
        let (findings, _) = find_within(&whole, &whole[..end], &Bounds::default());
        assert!(findings[0].summary.contains("the right one is not a PDF file"), "{end}: {}", findings[0].summary);
    }
    let replaced = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat()
    };
    for (from, to) in [
        ("endobj", "endobx"),
        ("1 0 obj", "x 0 obj"),
        ("[<<", "]<<"),
        ("/Count 1>>", "/Count>>"),
        ("0 5\n", "0 9\n"),
        ("(b))", "(b)"),
    ] {
        let (findings, _) = find_within(&whole, &replaced(from, to), &Bounds::default());
        assert!(findings[0].summary.contains("the right one is not a PDF file"), "{to}: {}", findings[0].summary);
    }
}

#[test]
fn entries_depth_parts_and_size_are_bounded() {
    let with = |more: &str| [format!("%PDF-1.4\n{more}").as_bytes(), b"startxref 0 %%EOF"].concat();
    let parts = |bytes: &[u8], members: usize| {
        read(&Source::Memory(bytes), &Bounds { members, ..Bounds::default() }).unwrap().map(|all| all.members.len())
    };
    let entries = |count: usize| with(&format!("1 0 obj<<{}>>endobj ", "/a 0".repeat(count)));
    assert_eq!(parts(&entries(MAX_ENTRIES - 1), 9), Ok(3));
    assert!(parts(&entries(MAX_ENTRIES), 9).is_err());
    let rows = |count: usize| with(&format!("xref 0 {count}\n{}", "0000000000 00000 n \n".repeat(count)));
    assert_eq!((parts(&rows(MAX_ENTRIES - 1), 9), parts(&rows(MAX_ENTRIES), 9).is_ok()), (Ok(3), false));
    let deep = |depth: usize| with(&format!("1 0 obj {}{} endobj ", "[".repeat(depth), "]".repeat(depth)));
    assert_eq!((parts(&deep(256), 9), parts(&deep(257), 9).is_ok()), (Ok(3), false));
    assert!(parts(&pdf(OF), 5).is_err());
    let last = parts(&pdf(OF), 99).unwrap();
    assert_eq!((parts(&pdf(OF), last).is_ok(), parts(&pdf(OF), last - 1).is_ok()), (true, false));
    let long = |len: usize| {
        let mut bytes = with("");
        bytes.resize(len, b' ');
        read(&Source::Memory(&bytes), &Bounds::default()).unwrap().is_ok()
    };
    let most = usize::try_from(MAX_LEN).unwrap();
    assert!(long(most) && !long(most + 1));
}

#[test]
fn names_are_kept_to_a_bound() {
    let of = |count: usize, len: usize| {
        let name = "n".repeat(len);
        let entries = (0..count).map(|n| format!("/{n:04}{name} 0")).collect::<String>();
        let bytes = format!("%PDF-1.4\n1 0 obj<<{entries}>>endobj startxref 0 %%EOF");
        read(&Source::Memory(bytes.as_bytes()), &Bounds::default()).unwrap().is_ok()
    };
    // Of each name 256 bytes are kept, and 16 MiB of all together.
    assert!(of(1, 20 << 20) && of(65_000, 300) && !of(65_600, 300));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is changed: no finding if and only if nothing is ([`find_within`] asserts it).
    #[test]
    fn hostile_bytes(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let data = zlib(b"hello hello hello\n", 6);
        let whole = pdf(Of { stream: &data, filter: "/Filter/FlateDecode", ..OF });
        let mut other = whole.clone();
        for (at, byte) in changes {
            let at = at.index(other.len());
            other[at] = byte;
        }
        find(&whole, &other);
        find(&other, &whole[..cut.index(whole.len())]);
        let (ways, back) = (compared(&whole, &other), compared(&other, &whole));
        prop_assert_eq!((ways.level, ways.findings.len()), (back.level, back.findings.len()));
        prop_assert_eq!(ways.normalizations.last(), back.normalizations.last());
    }
}
