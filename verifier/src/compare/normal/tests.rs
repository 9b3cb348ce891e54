// SPDX-License-Identifier: Apache-2.0
//! Normal forms: what is left out, and that nothing else is.

use std::io::{Cursor, Write as _};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, ZipWriter};
use reprove_model::{Between, DigestSet};

use super::super::archive::tests::{FILE, File, OTHER, gzip, tar_of};
use super::super::field::{Group, Normalizer};
use super::super::files::State;
use super::super::format::Format;
use super::super::source::Source;
use super::super::{Level, compare_files};
use super::*;

fn compared(left: &[u8], right: &[u8]) -> (Level, Vec<String>) {
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    };
    let comparison = compare_files(&file(left), &file(right), "a", Options::of(Between::Given)).unwrap();
    let names: Vec<_> = comparison.normalizations.iter().map(|each| each.name.clone()).collect();
    assert_eq!(comparison.level == Level::NormalizedEqual, !names.is_empty());
    // The last one is the right one's too, and all are of what they say.
    let back = compare_files(&file(right), &file(left), "a", Options::of(Between::Given)).unwrap();
    assert_eq!(comparison.level, back.level);
    assert_eq!(comparison.normalizations.last(), back.normalizations.last());
    (comparison.level, names)
}

fn hex(digest: DigestSet) -> String {
    digest.blake3.to_string()
}

fn form(bytes: &[u8], left_out: &[(Format, Group)]) -> String {
    let bounds = Bounds::default();
    let state = State::new(&Options::of(Between::Given), &bounds);
    let left_out = left_out.iter().map(|(format, group)| Normalizer { format: *format, group: *group }).collect();
    hex(digest(&Source::Memory(bytes), None, &left_out, &state).unwrap().unwrap())
}

fn zip_of(entries: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn at(year: u16) -> SimpleFileOptions {
    SimpleFileOptions::default().last_modified_time(DateTime::from_date_and_time(year, 1, 2, 3, 4, 6).unwrap())
}

fn named(level: Level, names: &[&str]) -> (Level, Vec<String>) {
    (level, names.iter().map(|name| (*name).to_owned()).collect())
}

const EQUAL: Level = Level::NormalizedEqual;

#[test]
fn only_what_differs_is_left_out() {
    let tar = tar_of(&[FILE, OTHER]);
    let later = File { time: 5, ..FILE };
    assert_eq!(compared(&tar, &tar), named(Level::BitIdentical, &[]));
    assert_eq!(compared(&tar, &tar_of(&[later.clone(), OTHER])), named(EQUAL, &["tar-times"]));
    assert_eq!(compared(&tar, &tar_of(&[OTHER, later])), named(EQUAL, &["tar-times", "tar-order"]));
    let owned = gzip(&tar_of(&[File { user: 5, ..FILE }, OTHER]), 7, 6);
    let names = ["gzip-times", "gzip-compression", "tar-owners"];
    assert_eq!(compared(&gzip(&tar, 0, 6), &owned), named(EQUAL, &names));
    assert_eq!(compared(&gzip(&tar, 0, 6), &gzip(&tar, 1, 6)), named(EQUAL, &["gzip-times"]));
}

#[test]
fn what_is_kept_changes_no_form() {
    let inner = |time| gzip(&tar_of(&[File { time, ..FILE }]), 0, 6);
    let of =
        |time| gzip(&zip_of(&[("a.tar.gz", &inner(time)), ("b", b"bbbbbbbbbbbbbbbbbbbbbbbbbbbbb")], at(2020)), 0, 6);
    let (left, right) = (of(1), of(2));
    let all = [(Format::Gzip, Group::Compression), (Format::Zip, Group::Compression), (Format::Tar, Group::Times)];
    let opened = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    };
    let comparison = compare_files(&opened(&left), &opened(&right), "a", Options::of(Between::Given)).unwrap();
    let found: Vec<_> = comparison.normalizations.into_iter().map(|each| hex(each.digest)).collect();
    // Each of these begins anew.
    let forms = (1..=all.len()).map(|applied| form(&left, &all[..applied]));
    assert_eq!(found, forms.collect::<Vec<_>>());
    assert_eq!(found.last(), Some(&form(&right, &all)));
}

#[test]
fn a_lost_executable_bit_is_never_left_out() {
    let executable = tar_of(&[File { mode: 0o755, ..FILE }]);
    for mode in [0o644, 0o655, 0o4755, 0o700] {
        assert_eq!(compared(&executable, &tar_of(&[File { mode, ..FILE }])), named(Level::Different, &[]));
    }
    assert_eq!(compared(&executable, &tar_of(&[File { mode: 0o775, ..FILE }])), named(EQUAL, &["tar-umask"]));
    let wheel = |mode| zip_of(&[("run", b"#!/bin/sh\n")], at(2020).unix_permissions(mode));
    assert_eq!(compared(&wheel(0o755), &wheel(0o644)), named(Level::Different, &[]));
}

#[test]
fn zip_archives_have_theirs() {
    let entries: [(&str, &[u8]); 2] =
        [("b", b"bbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), ("a", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa")];
    let reversed = [entries[1], entries[0]];
    let deflated = zip_of(&entries, at(2020));
    let stored = zip_of(&entries, at(2020).compression_method(CompressionMethod::Stored));
    assert_eq!(compared(&deflated, &zip_of(&entries, at(2021))), named(EQUAL, &["zip-times"]));
    assert_eq!(compared(&deflated, &zip_of(&reversed, at(2020))), named(EQUAL, &["zip-order"]));
    assert_eq!(compared(&deflated, &stored), named(EQUAL, &["zip-compression"]));
    let changed = [entries[0], ("a", &b"aaaaaaaaaaaaaaaaaaaaaaaaaaaab"[..])];
    assert_eq!(compared(&deflated, &zip_of(&changed, at(2020))), named(Level::Different, &[]));
}

#[test]
fn how_a_zip_archive_is_written_and_who_may_write_have_theirs() {
    let entries: [(&str, &[u8]); 1] = [("a", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa")];
    let seekable = zip_of(&entries, at(2020));
    let mut writer = ZipWriter::new_stream(Vec::new());
    writer.start_file("a", at(2020)).unwrap();
    writer.write_all(entries[0].1).unwrap();
    let streamed = writer.finish().unwrap().into_inner();
    assert_eq!(compared(&seekable, &streamed), named(EQUAL, &["zip-form"]));
    let mode = |mode| zip_of(&entries, at(2020).unix_permissions(mode));
    assert_eq!(compared(&mode(0o644), &mode(0o664)), named(EQUAL, &["zip-umask"]));
    assert_eq!(compared(&mode(0o644), &mode(0o600)), named(Level::Different, &[]));
}

#[test]
fn how_a_tar_archive_is_written_has_its_own() {
    let tar = tar_of(&[FILE]);
    let padded = [tar.as_slice(), &[0; 8192]].concat();
    assert_eq!(compared(&tar, &padded), named(EQUAL, &["tar-form"]));
    let more = [tar.as_slice(), &[0; 8191], b"x"].concat();
    assert_eq!(compared(&tar, &more), named(Level::Different, &[]));
    // The user's number with spaces in place of zeros.
    let mut spaced = tar.clone();
    spaced[108..116].copy_from_slice(b"     0 \0");
    spaced[148..156].fill(b' ');
    let sum: u32 = spaced[..512].iter().map(|byte| u32::from(*byte)).sum();
    spaced[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(compared(&tar, &spaced), named(EQUAL, &["tar-form"]));
}

#[test]
fn archives_inside_archives_are_compared_in_their_normal_forms() {
    let inner = |time| tar_of(&[File { time, ..FILE }]);
    let outer = |time, method| zip_of(&[("x.tar", &inner(time))], at(2020).compression_method(method));
    let stored = CompressionMethod::Stored;
    assert_eq!(compared(&outer(1, stored), &outer(2, stored)), named(EQUAL, &["tar-times"]));
    let deflated = CompressionMethod::Deflated;
    let names = ["zip-compression", "tar-times"];
    assert_eq!(compared(&outer(1, deflated), &outer(2, deflated)), named(EQUAL, &names));
}

#[test]
fn what_is_left_out_is_all_that_two_files_of_one_form_differ_in() {
    let of = |file: File<'_>| tar_of(&[file, OTHER]);
    let times = [(Format::Tar, Group::Times)];
    let first = form(&of(FILE), &times);
    assert_eq!(first, form(&of(File { time: 9, ..FILE }), &times));
    for other in [
        of(File { time: 9, user: 1, ..FILE }),
        of(File { time: 9, mode: 0o600, ..FILE }),
        of(File { time: 9, data: b"hallo\n", ..FILE }),
        of(File { time: 9, name: "p/z", ..FILE }),
        tar_of(&[OTHER, FILE]),
        tar_of(&[FILE]),
    ] {
        assert_ne!(first, form(&other, &times));
    }
    // Left out of tar archives is not left out of others.
    assert_ne!(
        form(&of(FILE), &[(Format::Cpio, Group::Times)]),
        form(&of(File { time: 9, ..FILE }), &[(Format::Cpio, Group::Times)])
    );
}

#[test]
fn what_can_not_be_opened_is_its_bytes() {
    let tar = tar_of(&[FILE]);
    let broken = &tar[..tar.len() - 1024 - 510];
    let compression = [(Format::Gzip, Group::Compression), (Format::Tar, Group::Times)];
    assert_ne!(form(broken, &compression), form(&tar, &compression));
    let cut = gzip(&tar, 0, 6);
    assert_ne!(form(&cut[..40], &compression), form(&cut, &compression));
    assert_eq!(form(&cut, &compression[..1]), form(&gzip(&tar, 0, 1), &compression[..1]));
}

#[test]
fn all_normal_forms_of_one_comparison_share_a_bound() {
    let of = |time| gzip(&tar_of(&[File { time, ..FILE }, OTHER]), 0, 6);
    let (left, right) = (of(1), of(2));
    let run = |most| {
        let bounds = Bounds { forms: most, ..Bounds::default() };
        let mut state = State::new(&Options::of(Between::Given), &bounds);
        let sources = (Source::Memory(&left), Source::Memory(&right));
        files::compare(&sources.0, &sources.1, "a", &mut state).unwrap();
        let normalizers = state.normalizers.take().unwrap();
        let forms = forms((&sources.0, &sources.1), None, &normalizers, &state).unwrap();
        (forms.len(), state.in_forms.get(), state.finish()[0].summary.clone())
    };
    let (count, all, summary) = run(u64::MAX);
    // Of both without all that differs, and of one without the first of it.
    assert_eq!((count, all), (2, 3 * 3072));
    assert_eq!(run(all), (2, all, summary));
    let (count, _, summary) = run(all - 1);
    assert!(count == 0 && summary.ends_with("normal forms were not worked out: they expand to more than 9215 bytes"));
}
