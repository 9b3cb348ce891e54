// SPDX-License-Identifier: Apache-2.0
//! What the runner reads of what a build has made, and a guest and its host of each other.

use std::collections::BTreeSet;
use std::io::Cursor;

use reprove_model::{Digest, canonical};
use reprove_runner::trace::{self, MAX_HEAD};
use reprove_runner::vm::{Job, MAX_BLOBS, Report, ReportedEnd};

/// An interpreter is part of what was read, is a path that the kernel could open, and is the same whatever follows the part
/// that is looked at.
fn interpreter_of(bytes: &[u8]) -> Option<&[u8]> {
    let name = trace::interpreter(bytes).ok()??;
    assert!(!name.is_empty() && name.len() < 4096 && !name.contains(&0));
    assert!(bytes.windows(name.len()).any(|part| part == name));
    Some(name)
}

/// See [`interpreter_of`].
pub(super) fn interpreter(bytes: &[u8]) {
    let Some(name) = interpreter_of(bytes) else { return };
    let longer = [bytes, &vec![b'x'; MAX_HEAD]].concat();
    // A line without an end goes on with what follows.
    if bytes.starts_with(b"#!") && !bytes.contains(&b'\n') {
        assert!(interpreter_of(&longer).is_none_or(|longer| longer.starts_with(name)));
    } else {
        assert_eq!(interpreter_of(&longer), Some(name));
    }
}

/// A job's disk that is read has one form; its blobs are all there, each by its digest, and are the rest of the disk but zeros.
pub(super) fn guest_job(bytes: &[u8]) {
    let Ok((job, blobs)) = Job::read(bytes) else { return };
    let head = canonical::to_vec(&job).unwrap();
    assert!(bytes.windows(head.len()).any(|part| part == head));
    assert_eq!(blobs.len(), job.blobs.len());
    for (blob, bytes) in job.blobs.iter().zip(&blobs) {
        assert_eq!((blob.digest, blob.size), (Digest::of(bytes), bytes.len() as u64));
    }
    let known = 24 + head.len() + blobs.iter().map(|bytes| bytes.len()).sum::<usize>();
    let rest = bytes.get(known..).unwrap();
    assert!(rest.iter().all(|&byte| byte == 0) && rest.len() < 4096);
}

/// A report that is read has one form, and lists each of its blobs once: what its record names and nothing else. The bytes
/// are taken for a disk, and for the head of one whose first block names it.
pub(super) fn guest_report(bytes: &[u8]) {
    let disk = [&Report::first_block(bytes), bytes].concat();
    for (disk, head) in [(bytes, None), (&disk[..], Some(bytes))] {
        let Ok(report) = Report::read(&mut Cursor::new(disk)) else { continue };
        assert!(
            head.is_none_or(|head| head.strip_suffix(b"\n").unwrap_or(head) == canonical::to_vec(&report).unwrap())
        );
        let listed: BTreeSet<Digest> = report.blobs.iter().map(|blob| blob.digest).collect();
        assert!(listed.len() == report.blobs.len() && listed.len() <= MAX_BLOBS);
        match &report.end {
            ReportedEnd::Built(record) => {
                assert!(listed.contains(&record.log.digest.blake3));
                assert!(record.outputs.files().all(|(_, digest, _)| listed.contains(&digest.blake3)));
            }
            ReportedEnd::Hello | ReportedEnd::Failed { .. } => assert!(listed.is_empty()),
        }
    }
}
