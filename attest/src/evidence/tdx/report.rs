// SPDX-License-Identifier: Apache-2.0
//! What a quote says of a trust domain, byte by byte.

use super::TdxError;

/// A measurement: SHA-384, or 48 bytes that the host has chosen.
pub type Measurement = [u8; 48];

/// What the TDX module reports of a trust domain (Intel TDX DCAP Quoting Library API, appendix A.3 and A.4, "TD Quote
/// Body"). Numbers are little-endian, as in the quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdReport {
    /// `TEE_TCB_SVN`: the security versions of the TDX module when the domain was launched.
    pub tee_tcb_svn: [u8; 16],
    /// `MRSEAM`: the measurement of the TDX module.
    pub mrseam: Measurement,
    /// `MRSIGNERSEAM`: who signed the TDX module; all zero for Intel.
    pub mrsignerseam: Measurement,
    /// `SEAMATTRIBUTES`: all zero for a module in production.
    pub seam_attributes: [u8; 8],
    /// `TDATTRIBUTES`.
    pub td_attributes: [u8; 8],
    /// `XFAM`: which extended features of the processor the domain may use.
    pub xfam: [u8; 8],
    /// `MRTD`: the measurement of what the domain began with.
    pub mrtd: Measurement,
    /// `MRCONFIGID`: what the host has configured, in its own words.
    pub mrconfigid: Measurement,
    /// `MROWNER`: whose domain it is, by the host's word.
    pub mrowner: Measurement,
    /// `MROWNERCONFIG`: what the owner has configured, by the host's word.
    pub mrownerconfig: Measurement,
    /// `RTMR0` to `RTMR3`: what the domain has measured since.
    pub rtmr: [Measurement; 4],
    /// `REPORTDATA`: what the domain has put in: here, what it answers.
    pub report_data: [u8; 64],
    /// What TDX 1.5 has besides.
    pub since: Option<Since>,
}

/// What TDX 1.5 reports besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// `TEE_TCB_SVN_2`: the security versions of the TDX module now.
    pub tee_tcb_svn_2: [u8; 16],
    /// `MRSERVICETD`: the service domains that are bound to this one; all zero for none.
    pub mrservicetd: Measurement,
}

impl TdReport {
    /// The bytes of a report of TDX 1.0.
    pub(super) const BYTES: usize = 584;
    /// The bytes of a report of TDX 1.5.
    pub(super) const BYTES_1_5: usize = 648;
    /// The bytes of a report of TDX 1.5 with the fields that later modules add, which nothing here reads; they are signed
    /// as the rest is.
    pub(super) const BYTES_1_5_EX: usize = 885;

    /// Reads a report of TDX 1.0 (584 bytes) or 1.5 (648, or 885 with what later modules add).
    pub(super) fn read(bytes: &[u8]) -> Result<Self, TdxError> {
        let is_since = match bytes.len() {
            Self::BYTES => false,
            Self::BYTES_1_5 | Self::BYTES_1_5_EX => true,
            _ => return Err(TdxError::Form("its report has another size")),
        };
        let mut rest = bytes;
        let report = Self {
            tee_tcb_svn: take(&mut rest)?,
            mrseam: take(&mut rest)?,
            mrsignerseam: take(&mut rest)?,
            seam_attributes: take(&mut rest)?,
            td_attributes: take(&mut rest)?,
            xfam: take(&mut rest)?,
            mrtd: take(&mut rest)?,
            mrconfigid: take(&mut rest)?,
            mrowner: take(&mut rest)?,
            mrownerconfig: take(&mut rest)?,
            rtmr: [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?, take(&mut rest)?],
            report_data: take(&mut rest)?,
            since: None,
        };
        let since = || Ok(Since { tee_tcb_svn_2: take(&mut rest)?, mrservicetd: take(&mut rest)? });
        Ok(Self { since: is_since.then(since).transpose()?, ..report })
    }

    /// Writes it as a quote has it: 584 bytes, or 648 where [`TdReport::since`] is there.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES_1_5);
        bytes.extend(self.tee_tcb_svn);
        for measurement in [self.mrseam, self.mrsignerseam] {
            bytes.extend(measurement);
        }
        for word in [self.seam_attributes, self.td_attributes, self.xfam] {
            bytes.extend(word);
        }
        for measurement in [self.mrtd, self.mrconfigid, self.mrowner, self.mrownerconfig].into_iter().chain(self.rtmr) {
            bytes.extend(measurement);
        }
        bytes.extend(self.report_data);
        if let Some(since) = &self.since {
            bytes.extend(since.tee_tcb_svn_2);
            bytes.extend(since.mrservicetd);
        }
        bytes
    }

    /// `TDATTRIBUTES` as a number (Intel TDX Module ABI Specification, "ATTRIBUTES").
    #[must_use]
    pub fn attributes(&self) -> u64 {
        u64::from_le_bytes(self.td_attributes)
    }
}

/// The next bytes of `rest`, which begins after them from then on.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TdxError> {
    let (first, after) = rest.split_first_chunk().ok_or(TdxError::Form("it ends early"))?;
    *rest = after;
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_as_it_is_read() {
        for size in [TdReport::BYTES, TdReport::BYTES_1_5] {
            let bytes: Vec<u8> = (0..size).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
            let report = TdReport::read(&bytes).unwrap();
            assert_eq!(report.write(), bytes);
            assert_eq!(report.since.is_some(), size == TdReport::BYTES_1_5);
            assert!(TdReport::read(&bytes[1..]).is_err());
        }
        assert!(TdReport::read(&[0; TdReport::BYTES_1_5_EX]).unwrap().since.is_some());
    }
}
