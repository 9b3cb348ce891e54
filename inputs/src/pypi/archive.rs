// SPDX-License-Identifier: Apache-2.0
//! How a published source archive was packed: its gzip header (RFC 1952), and the times and owners in its tar headers
//! (POSIX.1-2017, pax). No file in it is looked into.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde::Serialize;
use thiserror::Error;

/// What of a source archive its contents do not decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Packing {
    /// The gzip header up to the compressed bytes, in hexadecimal.
    head: String,
    /// Each member, by its name; of two of one name, the last.
    members: BTreeMap<String, Member>,
}

/// What a member's headers say of when it was written, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Member {
    /// In seconds, as it is written.
    time: String,
    user: u64,
    group: u64,
    user_name: String,
    group_name: String,
}

/// Why a source archive can't be looked at.
#[derive(Debug, Error)]
pub enum PackingError {
    /// Reading failed, or it is damaged.
    #[error("it can't be read as a tar archive in gzip: {0}")]
    Read(#[from] io::Error),
    /// No gzip header, or one with what no tool of Python's writes.
    #[error("its gzip header is none, or has more than a name of at most {MAX_NAME} bytes")]
    Header,
    /// Too many members.
    #[error("it has more than {MAX_MEMBERS} members")]
    TooMany,
    /// Too long.
    #[error("it has more than {MAX_BYTES} bytes once expanded")]
    TooLong,
}

/// The most members that are read.
const MAX_MEMBERS: usize = 50_000;
/// The most bytes that are expanded.
const MAX_BYTES: u64 = 4 << 30;
/// The longest name in a gzip header, in bytes.
const MAX_NAME: usize = 1000;

impl Packing {
    pub(crate) fn read(archive: impl Read) -> Result<Self, PackingError> {
        Self::read_to(archive, MAX_BYTES)
    }

    fn read_to(mut archive: impl Read, most: u64) -> Result<Self, PackingError> {
        let head = head(&mut archive)?;
        let whole = io::Cursor::new(head.clone()).chain(archive);
        let mut bounded = GzDecoder::new(whole).take(most.saturating_add(1));
        let members = members(&mut bounded);
        // What comes after the end is of no use, but counts.
        let after = io::copy(&mut bounded, &mut io::sink());
        if bounded.limit() == 0 {
            return Err(PackingError::TooLong);
        }
        let members = members?;
        after?;
        let head = head.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { head, members })
    }

    /// Whether its members have times of their own, not one that was given to all.
    pub(crate) fn has_times(&self) -> bool {
        self.members.values().map(|member| &member.time).collect::<BTreeSet<_>>().len() > 1
    }
}

/// Reads a gzip header that has a name at most.
fn head(archive: &mut impl Read) -> Result<Vec<u8>, PackingError> {
    let mut head = vec![0; 10];
    archive.read_exact(&mut head)?;
    let [0x1f, 0x8b, 8, flags, ..] = head.as_slice() else { return Err(PackingError::Header) };
    if flags & !NAMED != 0 {
        return Err(PackingError::Header);
    }
    let mut is_named = flags & NAMED != 0;
    while is_named {
        let mut byte = [0];
        archive.read_exact(&mut byte)?;
        head.extend(byte);
        is_named = byte != [0];
        if head.len() > 10 + MAX_NAME + 1 {
            return Err(PackingError::Header);
        }
    }
    Ok(head)
}

/// The flag of a header that has a name (FNAME).
const NAMED: u8 = 8;

fn members(archive: impl Read) -> Result<BTreeMap<String, Member>, PackingError> {
    let mut members = BTreeMap::new();
    for (count, entry) in tar::Archive::new(archive).entries()?.enumerate() {
        if count >= MAX_MEMBERS {
            return Err(PackingError::TooMany);
        }
        let (name, member) = member(&mut entry?)?;
        members.insert(name, member);
    }
    Ok(members)
}

fn member<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<(String, Member)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A directory's name is without its slash in Python.
    let name = text(&entry.path_bytes()).trim_end_matches('/').to_owned();
    let mut time = None;
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if extension.key_bytes() == b"mtime" {
            time = Some(text(extension.value_bytes()));
        }
    }
    let header = entry.header();
    let named = |name: Option<&[u8]>| text(name.unwrap_or_default());
    let member = Member {
        time: time.map_or_else(|| header.mtime().map(|time| time.to_string()), Ok)?,
        user: number(&header.as_old().uid, header.uid())?,
        group: number(&header.as_old().gid, header.gid())?,
        user_name: named(header.username_bytes()),
        group_name: named(header.groupname_bytes()),
    };
    Ok((name, member))
}

/// A number that is not written is none of anybody: 0, as Python's tarfile has it.
fn number(field: &[u8], number: io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { number }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn header(time: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mtime(time);
        header.set_uid(1000);
        header.set_gid(100);
        header
    }

    fn tar(members: &[(&str, u64)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, time) in members {
            let mut header = header(*time);
            header.set_username("me").unwrap();
            archive.append_data(&mut header, name, io::empty()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gz(builder: GzBuilder, bytes: &[u8]) -> Vec<u8> {
        let mut out = builder.write(Vec::new(), Compression::none());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn a_packing_is_the_head_and_each_members_time_and_owner() {
        let bytes = gz(GzBuilder::new().filename("a.tar").mtime(7), &tar(&[("a/b", 5), ("a/c", 6)]));
        let packing = Packing::read(bytes.as_slice()).unwrap();
        assert!(packing.head.starts_with("1f8b080807000000") && packing.head.ends_with("612e74617200"), "{packing:?}");
        assert!(packing.has_times());
        let member = &packing.members["a/b"];
        assert_eq!((member.time.as_str(), member.user, member.group), ("5", 1000, 100));
        assert_eq!((member.user_name.as_str(), member.group_name.as_str()), ("me", ""));
        let one = gz(GzBuilder::new(), &tar(&[("a/b", 5), ("a/c", 5)]));
        assert!(!Packing::read(one.as_slice()).unwrap().has_times());
    }

    #[test]
    fn a_time_with_a_fraction_is_as_it_is_written() {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_pax_extensions([("mtime", b"1700000000.25".as_slice())]).unwrap();
        let mut without_owner = tar::Header::new_ustar();
        without_owner.set_size(0);
        archive.append_data(&mut without_owner, "a", io::empty()).unwrap();
        let bytes = gz(GzBuilder::new(), &archive.into_inner().unwrap());
        let member = &Packing::read(bytes.as_slice()).unwrap().members["a"];
        assert_eq!((member.time.as_str(), member.user, member.group), ("1700000000.25", 0, 0));
    }

    #[test]
    fn what_is_none_is_said_and_the_bounds_hold_on_both_sides() {
        assert!(matches!(Packing::read(b"".as_slice()), Err(PackingError::Read(_))));
        assert!(matches!(Packing::read([0; 99].as_slice()), Err(PackingError::Header)));
        let comment = gz(GzBuilder::new().comment("x"), b"");
        assert!(matches!(Packing::read(comment.as_slice()), Err(PackingError::Header)));
        let named = |n: usize| Packing::read(gz(GzBuilder::new().filename("a".repeat(n)), &tar(&[])).as_slice());
        assert!(named(MAX_NAME).is_ok());
        assert!(matches!(named(MAX_NAME + 1), Err(PackingError::Header)));
        let member = tar(&[("a", 1)])[..512].to_vec();
        let many = |n: usize| Packing::read(gz(GzBuilder::new(), &member.repeat(n)).as_slice());
        assert!(many(MAX_MEMBERS).is_ok());
        assert!(matches!(many(MAX_MEMBERS + 1), Err(PackingError::TooMany)));
        let bytes = tar(&[("a", 1)]);
        let to = |most: usize| Packing::read_to(gz(GzBuilder::new(), &bytes).as_slice(), most as u64);
        assert!(to(bytes.len()).is_ok());
        assert!(matches!(to(bytes.len() - 1), Err(PackingError::TooLong)));
    }
}
