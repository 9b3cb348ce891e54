// SPDX-License-Identifier: Apache-2.0
//! When a file says that it was made.

use std::fs::File;
use std::io;

use jiff::Timestamp;

use super::compressed::{self, Head};
use super::field::{Field, Group, Value};
use super::files::{self, State};
use super::format::{self, Arrangement};
use super::held::Held;
use super::source::Source;
use super::{Bounds, Options, zip};

/// Through how many layers of compression times are looked for.
const MAX_LAYERS: usize = 2;

/// The newest time, in seconds since 1970, that the headers of a container say of its members, or, where they say none, of a
/// compressed one the header itself. `None`: it is none of those that are looked into, or has no time.
///
/// # Errors
/// Where it can't be read.
pub fn newest_time(file: &File, options: Options<'_>) -> io::Result<Option<u64>> {
    let bounds = Bounds::default();
    in_source(&Source::file(file)?, MAX_LAYERS, &mut State::new(&options, &bounds))
}

fn in_source(source: &Source<'_>, layers: usize, state: &mut State<'_>) -> io::Result<Option<u64>> {
    let Some(format) = format::claimed(source)? else { return Ok(None) };
    match format.arrangement() {
        // Each of its files may be of any time.
        Arrangement::Image | Arrangement::Text => Ok(None),
        Arrangement::Compressed if layers == 0 => Ok(None),
        Arrangement::Compressed => {
            let inside = match Held::read(compressed::expander(format, source)?, state)? {
                Ok(held) => {
                    let found = in_source(&held.source()?, layers - 1, state)?;
                    held.give_back(state);
                    found
                }
                Err(_) => None,
            };
            let own = Head::read(format, source)?.ok().and_then(|head| newest(&head.fields));
            Ok(inside.or(own))
        }
        Arrangement::Zip => {
            let Ok(layout) = zip::layout(source, state.bounds)? else { return Ok(None) };
            Ok(layout.times().max())
        }
        Arrangement::Parts => {
            let Ok(archive) = files::archive(format, source, state.bounds)? else { return Ok(None) };
            let mut found = None;
            for member in &archive.members {
                found = found.max(newest(&archive.fields(source, member)?));
            }
            Ok(found)
        }
    }
}

fn newest(fields: &[Field]) -> Option<u64> {
    let seconds = |field: &Field| match &field.value {
        Value::Text(text) if field.group == Group::Times => {
            u64::try_from(text.parse::<Timestamp>().ok()?.as_second()).ok()
        }
        _ => None,
    };
    // A time that was left out is written as 0.
    fields.iter().filter_map(seconds).filter(|seconds| *seconds > 0).max()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use reprove_model::Between;

    use super::super::archive::tests::{FILE, tar_of};
    use super::*;

    fn of(bytes: &[u8]) -> Option<u64> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        newest_time(&file, Options::of(Between::Given)).unwrap()
    }

    fn gzip(time: u32, bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::GzBuilder::new().mtime(time).write(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn members_say_when_and_a_header_where_they_do_not() {
        let tar = tar_of(&[FILE]);
        let time = of(&tar).unwrap();
        assert!(time > 0);
        assert_eq!(of(&gzip(77, &tar)), Some(time));
        assert_eq!(of(&gzip(77, b"text")), Some(77));
        assert_eq!((of(&gzip(0, b"text")), of(b"text"), of(b"")), (None, None, None));
        let deep = |layers: usize| (0..layers).fold(tar.clone(), |bytes, _| gzip(0, &bytes));
        assert_eq!((of(&deep(MAX_LAYERS)), of(&deep(MAX_LAYERS + 1))), (Some(time), None));
    }

    #[test]
    fn entries_of_a_zip_archive_are_read_as_utc() {
        let mut writer = ::zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, day) in [("a", 3), ("b", 4)] {
            let time = ::zip::DateTime::from_date_and_time(2024, 2, day, 5, 6, 8).unwrap();
            let options = ::zip::write::SimpleFileOptions::default().last_modified_time(time);
            writer.start_file(name, options).unwrap();
        }
        assert_eq!(of(&writer.finish().unwrap().into_inner()), Some(1_707_023_168));
    }
}
