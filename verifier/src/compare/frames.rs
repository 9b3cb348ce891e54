// SPDX-License-Identifier: Apache-2.0
//! The frames of a zstd file (RFC 8878, section 3.1): whether all of its bytes are compressed contents. Decoders pass over
//! frames that hold something else without a word.

use std::io::{self, BufReader, Read};

use super::source::Source;

const MAGIC: [u8; 4] = *b"\x28\xb5\x2f\xfd";

/// Whether the file is frames of compressed bytes and nothing else. The inner error says what it is in their place. What is
/// in the blocks is not looked at.
///
/// # Errors
/// The outer one where reading fails.
pub(super) fn whole(source: &Source<'_>) -> io::Result<Result<(), &'static str>> {
    let mut reader = BufReader::with_capacity(64 << 10, source.reader(source.whole()));
    match frames(&mut reader) {
        Ok(true) => Ok(Ok(())),
        Ok(false) => Ok(Err("it has bytes that are no frame of compressed ones")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err("it is cut")),
        Err(error) => Err(error),
    }
}

/// Whether there are such frames alone up to the end.
fn frames(reader: &mut impl Read) -> io::Result<bool> {
    loop {
        let mut magic = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut magic)?;
        if magic.is_empty() {
            return Ok(true);
        }
        if magic != MAGIC {
            return Ok(false);
        }
        frame(reader)?;
    }
}

/// Passes over one frame, from its header's descriptor on.
fn frame(reader: &mut impl Read) -> io::Result<()> {
    let [descriptor] = array(reader)?;
    let is_single = descriptor & (1 << 5) != 0;
    let dictionary = [0, 1, 2, 4_u64].get(usize::from(descriptor & 3)).copied().unwrap_or_default();
    let size = match descriptor >> 6 {
        0 => u64::from(is_single),
        power => 1 << power,
    };
    skip(reader, u64::from(!is_single) + dictionary + size)?;
    loop {
        let [b0, b1, b2] = array(reader)?;
        let header = u32::from_le_bytes([b0, b1, b2, 0]);
        // One byte stands for all bytes of a block of the second kind.
        let is_run = (header >> 1) & 3 == 1;
        skip(reader, if is_run { 1 } else { u64::from(header >> 3) })?;
        if header & 1 == 1 {
            break;
        }
    }
    let checksum = if descriptor & (1 << 2) == 0 { 0 } else { 4 };
    skip(reader, checksum)
}

fn array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(reader: &mut impl Read, len: u64) -> io::Result<()> {
    let passed = io::copy(&mut reader.by_ref().take(len), &mut io::sink())?;
    if passed == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(bytes: &[u8]) -> bool {
        whole(&Source::Memory(bytes)).unwrap().is_ok()
    }

    #[test]
    fn frames_are_read_to_their_ends() {
        let long: Vec<u8> = (0..400_000_u32).flat_map(|n| (n % 251 * n).to_le_bytes()).collect();
        for data in [&b""[..], b"short", &[7; 300_000], &long] {
            for level in [1, 19] {
                let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
                encoder.include_checksum(level == 1).unwrap();
                encoder.set_pledged_src_size((level == 1).then_some(data.len() as u64)).unwrap();
                io::copy(&mut &data[..], &mut encoder).unwrap();
                let one = encoder.finish().unwrap();
                assert!(is_whole(&one) && is_whole(&one.repeat(2)), "{} at {level}", data.len());
                assert!(!is_whole(&one[..one.len() - 1]));
                assert!(!is_whole(&[&one[..], b"\x50\x2a\x4d\x18\x01\0\0\0x"].concat()));
                assert!(!is_whole(&[&one[..], b"x"].concat()));
            }
        }
    }
}
