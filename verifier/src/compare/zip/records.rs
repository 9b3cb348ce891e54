// SPDX-License-Identifier: Apache-2.0
//! The records of a zip archive, field by field (APPNOTE 6.3.10, sections 4.3 and 4.5).

/// Reads little-endian fields.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn signature(&mut self, signature: [u8; 4]) -> Option<()> {
        (self.array()? == signature).then_some(())
    }
}

/// What a local and a central header have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    pub(super) version_needed: u16,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) time: u16,
    pub(super) date: u16,
    pub(super) crc: u32,
    /// As written; all ones: in the zip64 extra field.
    pub(super) compressed: u32,
    /// As written; all ones: in the zip64 extra field.
    pub(super) size: u32,
}

impl Common {
    /// Bit 0: encrypted.
    pub(super) const ENCRYPTED: u16 = 1;
    /// Bits 1 and 2: how hard the compressor tried.
    pub(super) const LEVEL: u16 = 0b110;
    /// Bit 3: checksum and sizes follow the data.
    pub(super) const DESCRIPTOR: u16 = 1 << 3;
    /// Bit 11: the name and the comment are UTF-8.
    pub(super) const UTF_8: u16 = 1 << 11;

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            version_needed: reader.u16()?,
            flags: reader.u16()?,
            method: reader.u16()?,
            time: reader.u16()?,
            date: reader.u16()?,
            crc: reader.u32()?,
            compressed: reader.u32()?,
            size: reader.u32()?,
        })
    }
}

/// A header in the central directory (4.3.12).
#[derive(Clone, Copy, Debug)]
pub(super) struct Central<'a> {
    pub(super) made_by: u16,
    pub(super) common: Common,
    pub(super) disk: u16,
    pub(super) internal: u16,
    pub(super) external: u32,
    /// As written; all ones: in the zip64 extra field.
    pub(super) offset: u32,
    pub(super) name: &'a [u8],
    pub(super) extra: &'a [u8],
    pub(super) comment: &'a [u8],
}

/// What a central header says once its zip64 extra field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) size: u64,
    pub(super) compressed: u64,
    pub(super) offset: u64,
}

impl<'a> Central<'a> {
    const SIGNATURE: [u8; 4] = *b"PK\x01\x02";

    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.signature(Self::SIGNATURE)?;
        let made_by = reader.u16()?;
        let common = Common::read(reader)?;
        let (name, extra, comment) = (reader.u16()?, reader.u16()?, reader.u16()?);
        Some(Self {
            made_by,
            common,
            disk: reader.u16()?,
            internal: reader.u16()?,
            external: reader.u32()?,
            offset: reader.u32()?,
            name: reader.take(name.into())?,
            extra: reader.take(extra.into())?,
            comment: reader.take(comment.into())?,
        })
    }

    /// Whether the entry is a symbolic link, as Unix has it.
    pub(super) fn is_link(&self) -> bool {
        (self.external >> 16) & 0o170_000 == 0o120_000
    }

    pub(super) fn sizes(&self) -> Sizes {
        let mut zip64 = Reader::new(zip64(self.extra).unwrap_or_default());
        let mut whole = |written: u32| {
            let wide = if written == u32::MAX { zip64.u64() } else { None };
            wide.unwrap_or_else(|| u64::from(written))
        };
        Sizes { size: whole(self.common.size), compressed: whole(self.common.compressed), offset: whole(self.offset) }
    }
}

/// The zip64 extra field, where there is one (4.5.3).
pub(super) fn zip64(extra: &[u8]) -> Option<&[u8]> {
    fields(extra).0.into_iter().find(|(id, _)| *id == ZIP64).map(|(_, data)| data)
}

/// The identifier of the zip64 extra field.
pub(super) const ZIP64: u16 = 1;

/// The extra fields, each with its identifier, and what is left and is no field.
pub(super) fn fields(extra: &[u8]) -> (Vec<(u16, &[u8])>, &[u8]) {
    let mut fields = Vec::new();
    let mut reader = Reader::new(extra);
    loop {
        let rest = reader.rest();
        let mut field = || {
            let (id, len) = (reader.u16()?, reader.u16()?);
            Some((id, reader.take(len.into())?))
        };
        match field() {
            Some(field) => fields.push(field),
            None => return (fields, rest),
        }
    }
}

/// A local header (4.3.7).
#[derive(Clone, Copy, Debug)]
pub(super) struct Local<'a> {
    pub(super) common: Common,
    pub(super) name: &'a [u8],
    pub(super) extra: &'a [u8],
}

impl<'a> Local<'a> {
    pub(super) const SIGNATURE: [u8; 4] = *b"PK\x03\x04";
    /// Without name and extra field.
    pub(super) const LEN: u64 = 30;

    /// How long the header is in all, from its fixed part.
    pub(super) fn whole_len(fixed: &[u8]) -> Option<u64> {
        let mut reader = Reader::new(fixed);
        reader.signature(Self::SIGNATURE)?;
        Common::read(&mut reader)?;
        Some(Self::LEN + u64::from(reader.u16()?) + u64::from(reader.u16()?))
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.signature(Self::SIGNATURE)?;
        let common = Common::read(reader)?;
        let (name, extra) = (reader.u16()?, reader.u16()?);
        Some(Self { common, name: reader.take(name.into())?, extra: reader.take(extra.into())? })
    }
}

/// The end of central directory record (4.3.16).
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) disks: (u16, u16),
    pub(super) entries_here: u16,
    pub(super) entries: u16,
    pub(super) size: u32,
    pub(super) offset: u32,
    pub(super) comment: Vec<u8>,
}

impl End {
    pub(super) const SIGNATURE: [u8; 4] = *b"PK\x05\x06";
    /// Without comment.
    pub(super) const LEN: u64 = 22;

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.signature(Self::SIGNATURE)?;
        Some(Self {
            disks: (reader.u16()?, reader.u16()?),
            entries_here: reader.u16()?,
            entries: reader.u16()?,
            size: reader.u32()?,
            offset: reader.u32()?,
            comment: {
                let len = reader.u16()?;
                reader.take(len.into())?.to_vec()
            },
        })
    }
}

/// The zip64 end of central directory record (4.3.14).
#[derive(Clone, Debug)]
pub(super) struct Zip64End {
    pub(super) versions: (u16, u16),
    pub(super) disks: (u32, u32),
    pub(super) entries_here: u64,
    pub(super) entries: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    /// What extends the record.
    pub(super) extension: Vec<u8>,
}

impl Zip64End {
    /// Without extension.
    pub(super) const LEN: u64 = 56;

    /// Reads a record that goes up to the end of `reader`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.signature(*b"PK\x06\x06")?;
        if reader.u64()? != reader.len() as u64 {
            return None;
        }
        Some(Self {
            versions: (reader.u16()?, reader.u16()?),
            disks: (reader.u32()?, reader.u32()?),
            entries_here: reader.u64()?,
            entries: reader.u64()?,
            size: reader.u64()?,
            offset: reader.u64()?,
            extension: reader.rest().to_vec(),
        })
    }
}

/// The zip64 end of central directory locator (4.3.15).
#[derive(Clone, Debug)]
pub(super) struct Zip64Locator {
    pub(super) disk: u32,
    pub(super) offset: u64,
    pub(super) disks: u32,
}

impl Zip64Locator {
    pub(super) const LEN: u64 = 20;

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.signature(*b"PK\x06\x07")?;
        Some(Self { disk: reader.u32()?, offset: reader.u64()?, disks: reader.u32()? })
    }
}
