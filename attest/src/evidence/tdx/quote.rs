// SPDX-License-Identifier: Apache-2.0
//! The form of a quote (Intel TDX DCAP Quoting Library API, appendix A.3 "Version 4 Quote Format" and A.4 "Version 5 Quote Format"),
//! read so that no byte of it is without a meaning: no two files are the same quote.

use super::report::{TdReport, take};
use super::{MAX_QUOTE, TdxError};

/// ECDSA over P-256 with SHA-256.
pub(super) const ECDSA_P256: u16 = 2;
/// TDX; SGX is 0.
pub(super) const TEE_TDX: u32 = 0x81;
/// A quoting enclave's report and what certifies it.
pub(super) const CERTIFIED_BY_QE_REPORT: u16 = 6;
/// A chain of certificates in PEM: the PCK certificate first, the root last.
pub(super) const PCK_CHAIN: u16 = 5;
/// How long the authentication data of a quoting enclave are.
pub(super) const QE_AUTHENTICATION: usize = 32;
/// An SGX report.
pub(super) const QE_REPORT: usize = 384;
/// The header of a quote.
pub(super) const HEADER: usize = 48;

/// What a quote of version 5 has more than one of version 4: its report's type and size, and what TDX 1.5 reports. Some
/// quoting services reserve room for it and leave that behind a quote of version 4 in zeros, which nothing signs.
const LEFT_OVER: usize = 6 + TdReport::BYTES_1_5 - TdReport::BYTES;

/// A quote, in its form.
pub(super) struct Quote<'a> {
    pub(super) version: u16,
    pub(super) report: TdReport,
    /// All of it, without zeros behind it.
    pub(super) bytes: &'a [u8],
    /// The report of the quoting enclave.
    pub(super) qe_report: &'a [u8],
    /// The chain of the PCK certificate, in PEM.
    pub(super) pck_chain: &'a [u8],
}

impl<'a> Quote<'a> {
    /// Reads the form. Nothing is verified.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, TdxError> {
        if bytes.len() > MAX_QUOTE {
            return Err(TdxError::QuoteTooLong(bytes.len()));
        }
        let mut rest = bytes;
        let version = Self::read_header(&mut rest)?;
        let size = match version {
            4 => TdReport::BYTES,
            _ => read_body_descriptor(&mut rest)?,
        };
        let report = TdReport::read(split(&mut rest, size)?)?;
        let signed = u32::from_le_bytes(take(&mut rest)?);
        let mut signature = split(&mut rest, usize::try_from(signed).map_err(|_| TdxError::Form("it ends early"))?)?;
        let is_left_over = version == 4 && rest.len() == LEFT_OVER && rest.iter().all(|byte| *byte == 0);
        if !rest.is_empty() && !is_left_over {
            return Err(TdxError::AfterTheEnd(rest.len()));
        }
        let bytes = bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes);
        let _signature_and_key: [u8; 128] = take(&mut signature)?;
        if u16::from_le_bytes(take(&mut signature)?) != CERTIFIED_BY_QE_REPORT {
            return Err(TdxError::Form("its key is not certified by the report of a quoting enclave (type 6)"));
        }
        let mut certification = the_rest(signature)?;
        let qe_report = split(&mut certification, QE_REPORT)?;
        let _signature: [u8; 64] = take(&mut certification)?;
        let length = usize::from(u16::from_le_bytes(take(&mut certification)?));
        if length != QE_AUTHENTICATION {
            return Err(TdxError::Form("the authentication data of its quoting enclave are not of 32 bytes"));
        }
        let _authentication = split(&mut certification, length)?;
        if u16::from_le_bytes(take(&mut certification)?) != PCK_CHAIN {
            return Err(TdxError::Form("it has no chain of the PCK certificate (type 5)"));
        }
        Ok(Self { version, report, bytes, qe_report, pck_chain: the_rest(certification)? })
    }

    /// "Quote Header": gives the version. What else is in it, is signed.
    fn read_header(rest: &mut &[u8]) -> Result<u16, TdxError> {
        let version = u16::from_le_bytes(take(rest)?);
        let key_type = u16::from_le_bytes(take(rest)?);
        let tee = u32::from_le_bytes(take(rest)?);
        if tee != TEE_TDX {
            return Err(TdxError::OtherTee(tee));
        }
        if !matches!(version, 4 | 5) {
            return Err(TdxError::Version(version));
        }
        if key_type != ECDSA_P256 {
            return Err(TdxError::KeyType(key_type));
        }
        let _rest: [u8; 40] = take(rest)?;
        Ok(version)
    }
}

/// "TD Quote Body Descriptor": gives the size of the report.
fn read_body_descriptor(rest: &mut &[u8]) -> Result<usize, TdxError> {
    let kind = u16::from_le_bytes(take(rest)?);
    let size = u32::from_le_bytes(take(rest)?);
    let expected = match kind {
        2 => TdReport::BYTES,
        3 => TdReport::BYTES_1_5,
        4 => TdReport::BYTES_1_5_EX,
        1 => return Err(TdxError::OtherTee(0)),
        _ => return Err(TdxError::Form("its report is of no type that is known (2 to 4)")),
    };
    let is_so = usize::try_from(size).is_ok_and(|size| size == expected);
    if is_so { Ok(expected) } else { Err(TdxError::Form("its report is not of the size of its type")) }
}

/// All of `bytes` after a length that has to say just that.
fn the_rest(mut bytes: &[u8]) -> Result<&[u8], TdxError> {
    let length = u32::from_le_bytes(take(&mut bytes)?);
    let is_so = usize::try_from(length).is_ok_and(|length| length == bytes.len());
    if is_so { Ok(bytes) } else { Err(TdxError::Form("a part of it is not as long as it says")) }
}

/// The first bytes of `rest`, which begins after them from then on.
fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], TdxError> {
    let (first, after) = rest.split_at_checked(length).ok_or(TdxError::Form("it ends early"))?;
    *rest = after;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_has_a_bound() {
        let read = |length: usize| Quote::read(&vec![0x81; length]).map(|_| ());
        assert_eq!(read(MAX_QUOTE), Err(TdxError::OtherTee(0x8181_8181)));
        assert_eq!(read(MAX_QUOTE + 1), Err(TdxError::QuoteTooLong(MAX_QUOTE + 1)));
    }

    #[test]
    fn the_header_says_what_is_read() {
        let header = |version: u16, key_type: u16, tee: u32| {
            let fields = [&version.to_le_bytes()[..], &key_type.to_le_bytes(), &tee.to_le_bytes(), &[0; 40]];
            Quote::read(&fields.concat()).map(|_| ()).unwrap_err()
        };
        assert_eq!(header(4, ECDSA_P256, TEE_TDX), TdxError::Form("it ends early"));
        assert_eq!(header(4, ECDSA_P256, 0), TdxError::OtherTee(0));
        assert_eq!(header(3, ECDSA_P256, TEE_TDX), TdxError::Version(3));
        assert_eq!(header(6, ECDSA_P256, TEE_TDX), TdxError::Version(6));
        assert_eq!(header(5, 3, TEE_TDX), TdxError::KeyType(3));
        let body = |kind: u16, size: u32| {
            read_body_descriptor(&mut [&kind.to_le_bytes()[..], &size.to_le_bytes()].concat().as_slice())
        };
        assert_eq!([body(2, 584), body(3, 648), body(4, 885)], [Ok(584), Ok(648), Ok(885)]);
        assert_eq!(body(1, 384), Err(TdxError::OtherTee(0)));
        assert!(body(0, 584).is_err() && body(5, 885).is_err() && body(3, 584).is_err() && body(2, u32::MAX).is_err());
    }
}
