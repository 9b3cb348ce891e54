// SPDX-License-Identifier: Apache-2.0
//! The data of one entry on both sides: equal, equal once expanded, or different.

use std::io::{self, BufReader, Read};
use std::rc::Rc;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::super::bytes;
use super::super::field::{Group, Normalizer};
use super::super::files::{self, State};
use super::super::format::Format;
use super::super::held::Held;
use super::super::kept::{Expanded, How, Key};
use super::super::source::{Source, SpanReader};
use super::super::{Bounds, CompareError};
use super::layout::Entry;
use super::records::{Central, Common};

/// What comparing the data came to. A difference of contents is a finding already.
#[derive(Default)]
pub(super) struct Compared {
    /// Whether both were expanded, and have the sizes and checksums that their central headers give.
    pub(super) verified: bool,
    /// Where the contents are equal and the compressed bytes are not: the first that differs.
    pub(super) recompressed: Option<u64>,
}

/// One side: the archive's bytes, the entry, its central header.
pub(super) type Part<'a> = (&'a Source<'a>, &'a Entry, &'a Central<'a>);

/// Compares the data of two entries.
pub(super) fn compare(
    left: Part<'_>,
    right: Part<'_>,
    place: &str,
    state: &mut State<'_>,
) -> Result<Compared, CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let first = bytes::first_between((left.0, left.1.data), (right.0, right.1.data)).map_err(read)?;
    if first.is_none() && left.2.common.method == right.2.common.method {
        return Ok(Compared::default());
    }
    let why = match expand(left, right, place, state)? {
        Ok(expanded) => {
            let recompressed = if expanded.equal { first } else { None };
            return Ok(Compared { verified: expanded.verified, recompressed });
        }
        Err(why) => why,
    };
    let diff = bytes::diff(raw_reader(&left), raw_reader(&right)).map_err(read)?;
    let note = format!("as the archive stores them, because {why}");
    files::differing_bytes(diff, place, Some(&note), state);
    Ok(Compared::default())
}

fn raw_reader<'a>(part: &Part<'a>) -> SpanReader<'a> {
    part.0.reader(part.1.data)
}

/// What an entry expands to. The inner error: why it can't be expanded.
pub(super) fn held(part: Part<'_>, state: &mut State<'_>) -> io::Result<Result<Held, String>> {
    Held::once(key(&part), state, |state| {
        let mut decoder = match Decoder::new(part, "one", state.bounds) {
            Ok(decoder) => decoder,
            Err(why) => return Ok(Err(why)),
        };
        once(&mut decoder, None, state)
    })
}

/// What is kept of an entry that was expanded, and has the size and the checksum that its header gives.
pub(super) fn kept(part: &Part<'_>, state: &State<'_>) -> Option<Rc<Expanded>> {
    key(part).and_then(|key| state.kept.get(&key)).filter(|expanded| expanded.verified)
}

fn key((source, entry, central): &Part<'_>) -> Option<Key> {
    let (method, crc) = (central.common.method, central.common.crc);
    let place = source.place(entry.data)?;
    Some(Key::of(place, How::Entry { method, size: entry.size, crc }))
}

struct Both {
    equal: bool,
    verified: bool,
}

/// Expands both and compares what comes out. The inner error: why one of them can't be expanded.
fn expand(
    left: Part<'_>,
    right: Part<'_>,
    place: &str,
    state: &mut State<'_>,
) -> Result<Result<Both, String>, CompareError> {
    let (mut a, mut b) = match (Decoder::new(left, "left", state.bounds), Decoder::new(right, "right", state.bounds)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
    };
    let sizes = left.1.size.saturating_add(right.1.size);
    if sizes > state.bounds.expansion.saturating_sub(state.expanded) {
        let bound = state.bounds.expansion;
        return Ok(Err(format!("the comparison would expand entries to more than {bound} bytes")));
    }
    let compared = if sizes > state.bounds.memory.saturating_sub(state.held) && state.scratch.is_none() {
        state.expanded += sizes;
        as_streams(&mut a, &mut b, place, state).map(|equal| Both { equal, verified: a.verified() && b.verified() })
    } else {
        both((&mut a, key(&left)), (&mut b, key(&right)), place, state)
    };
    match compared {
        Ok(both) => Ok(Ok(both)),
        Err(Failed::Compare(error)) => Err(error),
        Err(Failed::Expand(why)) => Ok(Err(a.broken.or(b.broken).unwrap_or(why))),
        Err(Failed::Read(error)) => match a.broken.or(b.broken) {
            Some(why) => Ok(Err(why)),
            None => Err(CompareError::Read { place: place.to_owned(), source: error }),
        },
    }
}

/// Why two expanded entries were not compared.
enum Failed {
    Compare(CompareError),
    Expand(String),
    Read(io::Error),
}

/// Compares what both expand to, in memory or in files.
fn both(
    (left, left_key): (&mut Decoder<'_>, Option<Key>),
    (right, right_key): (&mut Decoder<'_>, Option<Key>),
    place: &str,
    state: &mut State<'_>,
) -> Result<Both, Failed> {
    let is_stored = left.is_stored() && right.is_stored();
    let a = once(left, left_key, state).map_err(Failed::Read)?.map_err(Failed::Expand)?;
    let b = match once(right, right_key, state) {
        Ok(Ok(b)) => b,
        failed => {
            a.give_back(state);
            return Err(failed.map_or_else(Failed::Read, |b| Failed::Expand(b.err().unwrap_or_default())));
        }
    };
    let verified = a.is_verified() && b.is_verified();
    let compared = sources((&a, &b), is_stored, place, state);
    a.give_back(state);
    b.give_back(state);
    Ok(Both { equal: compared?, verified })
}

fn once(decoder: &mut Decoder<'_>, key: Option<Key>, state: &mut State<'_>) -> io::Result<Result<Held, String>> {
    Held::once(key, state, |state| {
        let held = Held::read(&mut *decoder, state)?;
        Ok(held.map(|held| held.with_verified(decoder.verified())))
    })
}

fn sources((a, b): (&Held, &Held), is_stored: bool, place: &str, state: &mut State<'_>) -> Result<bool, Failed> {
    let (a, b) = (a.source().map_err(Failed::Read)?, b.source().map_err(Failed::Read)?);
    let first = bytes::first_between((&a, a.whole()), (&b, b.whole())).map_err(Failed::Read)?;
    if first.is_some() {
        if !is_stored {
            // Other bytes are compressed to other bytes.
            state.needs(Normalizer::of(Format::Zip, Group::Compression));
        }
        state.depth += 1;
        let compared = files::compare(&a, &b, place, state);
        state.depth -= 1;
        compared.map_err(Failed::Compare)?;
    }
    Ok(first.is_none())
}

fn as_streams(
    left: &mut Decoder<'_>,
    right: &mut Decoder<'_>,
    place: &str,
    state: &mut State<'_>,
) -> Result<bool, Failed> {
    let diff = bytes::diff(left, right).map_err(Failed::Read)?;
    let equal = diff.first.is_none();
    let note = "the contents, as a stream: they are too large to be looked into";
    files::differing_bytes(diff, place, Some(note), state);
    Ok(equal)
}

/// Expands one entry, to exactly the size that its central header gives.
pub(super) struct Decoder<'a> {
    data: Data<'a>,
    side: &'static str,
    size: u64,
    expected_crc: u32,
    crc: Crc,
    read: u64,
    /// Why it can't be expanded, once that has come out.
    broken: Option<String>,
    /// How many bytes the compressed ones are.
    stored: u64,
}

enum Data<'a> {
    Stored(SpanReader<'a>),
    Deflated(DeflateDecoder<BufReader<SpanReader<'a>>>),
}

impl<'a> Decoder<'a> {
    pub(super) fn new(part: Part<'a>, side: &'static str, bounds: &Bounds) -> Result<Self, String> {
        let (common, size) = (&part.2.common, part.1.size);
        if common.flags & Common::ENCRYPTED != 0 {
            return Err(format!("the {side} one is encrypted"));
        }
        if size > bounds.entry {
            return Err(format!("the {side} one expands to {size} bytes, more than {}", bounds.entry));
        }
        let data = match common.method {
            0 => Data::Stored(raw_reader(&part)),
            8 => Data::Deflated(DeflateDecoder::new(BufReader::with_capacity(32 << 10, raw_reader(&part)))),
            other => return Err(format!("the {side} one has the compression method {other}, which is not read")),
        };
        Ok(Self {
            data,
            side,
            size,
            expected_crc: common.crc,
            crc: Crc::new(),
            read: 0,
            broken: None,
            stored: part.1.data.len,
        })
    }

    fn is_stored(&self) -> bool {
        matches!(self.data, Data::Stored(_))
    }

    pub(super) fn verified(&self) -> bool {
        self.read == self.size && self.crc.sum() == self.expected_crc
    }

    fn fail(&mut self, why: &str) -> io::Error {
        self.broken = Some(format!("the {} one {why}", self.side));
        io::ErrorKind::InvalidData.into()
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = match &mut self.data {
            Data::Stored(reader) => reader.read(buffer),
            Data::Deflated(reader) => reader.read(buffer),
        };
        let read = match result {
            Ok(read) => read,
            Err(error) => {
                use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
                let broken = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
                return Err(if broken { self.fail("is not what its compression method says") } else { error });
            }
        };
        self.read += read as u64;
        if self.read > self.size {
            return Err(self.fail("expands to more bytes than its header says"));
        }
        if read == 0 && !buffer.is_empty() && self.read < self.size {
            return Err(self.fail("expands to fewer bytes than its header says"));
        }
        // What follows the end of the compressed bytes would be looked at by nobody.
        if let (0, false, Data::Deflated(decoder)) = (read, buffer.is_empty(), &self.data)
            && decoder.total_in() != self.stored
        {
            return Err(self.fail("has more bytes than its contents are compressed to"));
        }
        self.crc.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
