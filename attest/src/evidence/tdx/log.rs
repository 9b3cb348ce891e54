// SPDX-License-Identifier: Apache-2.0
//! The log that a domain's firmware keeps of what it has measured (ACPI, table CCEL; TCG PC Client Platform Firmware Profile, "Event
//! Logging"): only there is what QEMU made for the machine, by its digests.
//!
//! ```text
//! first event:  register (4)  kind (4)  digest (20)  length (4)  "Spec ID Event03", zero, and what nobody needs
//! each other:   register (4)  kind (4)  1 (4)  12 (2)  digest (48)  length (4)  data        the lowest byte first
//! ```
//!
//! The host could have written it, so that nothing in it is believed: what it says is measured again, and has to come to what the
//! quote has.

use thiserror::Error;

use super::Measurement;
use super::firmware::sha384;
use super::measure::{BOOT_ORDER_OF_202502, HostTables, SEPARATOR};

/// The longest log, in bytes: what edk2 keeps room for.
pub const MAX_LOG: usize = 64 << 10;

/// Why a log does not say what QEMU made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EventLogError {
    /// Too long.
    #[error("the log of what the firmware has measured has {0} bytes; at most {MAX_LOG} are read")]
    TooLong(usize),
    /// It does not begin as one.
    #[error("the log of what the firmware has measured does not begin as one of TCG's (\"Spec ID Event03\")")]
    NoLog,
    /// An event that can't be read.
    #[error(
        "event {0} of the log of what the firmware has measured can't be read: it is cut, or has other digests than SHA-384"
    )]
    Event(usize),
    /// No tables in it.
    #[error(
        "the log of what the firmware has measured has no tables of QEMU's: the firmware is not an OVMF that measures them"
    )]
    NoTables,
}

/// The events of one log that RTMR0 has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    digests: Vec<Measurement>,
}

/// What RTMR0 is called in a log.
const RTMR0: u32 = 1;
/// `EV_NO_ACTION`: it is in the log alone.
const NO_ACTION: u32 = 3;
/// `TPM_ALG_SHA384`.
const ALGORITHM: u16 = 12;
/// What an area has behind the last event.
const UNUSED: u32 = u32::MAX;

impl EventLog {
    /// Reads a log, and what there may be of its area behind it.
    ///
    /// # Errors
    /// [`EventLogError::TooLong`], [`EventLogError::NoLog`], [`EventLogError::Event`].
    pub fn read(bytes: &[u8]) -> Result<Self, EventLogError> {
        if bytes.len() > MAX_LOG {
            return Err(EventLogError::TooLong(bytes.len()));
        }
        let mut rest = begun(bytes).ok_or(EventLogError::NoLog)?;
        let mut digests = Vec::new();
        let mut number = 1;
        while !is_unused(rest) {
            let (register, kind, digest, behind) = event(rest).ok_or(EventLogError::Event(number))?;
            if register == RTMR0 && kind != NO_ACTION {
                digests.push(digest);
            }
            rest = behind;
            number += 1;
        }
        Ok(Self { digests })
    }

    /// What QEMU made for the machine: it follows the separator behind the firmware's own variables.
    ///
    /// # Errors
    /// [`EventLogError::NoTables`].
    pub fn tables(&self) -> Result<HostTables, EventLogError> {
        let separator = sha384(SEPARATOR);
        let mut events = self.digests.iter().copied().skip_while(|digest| *digest != separator).skip(1);
        let (Some(loader), Some(rsdp), Some(tables), Some(next)) =
            (events.next(), events.next(), events.next(), events.next())
        else {
            return Err(EventLogError::NoTables);
        };
        // An edk2 that does not measure SMBIOS goes on with what could be booted.
        let smbios = if next == sha384(BOOT_ORDER_OF_202502) { [0; 48] } else { next };
        Ok(HostTables { loader, rsdp, tables, smbios })
    }
}

/// What is behind the first event.
fn begun(bytes: &[u8]) -> Option<&[u8]> {
    let (_, kind_on) = bytes.split_first_chunk::<4>()?;
    let (kind, digest_on) = number(kind_on)?;
    let (length, data) = number(digest_on.get(20..)?)?;
    let (data, rest) = data.split_at_checked(usize::try_from(length).ok()?)?;
    (kind == NO_ACTION && data.starts_with(b"Spec ID Event03\0")).then_some(rest)
}

/// Whether no event begins here.
fn is_unused(rest: &[u8]) -> bool {
    match number(rest) {
        None => rest.is_empty(),
        Some((UNUSED, _)) => true,
        Some(_) => rest.iter().all(|byte| *byte == 0),
    }
}

/// The register, kind and digest of the first event, and what is behind it.
fn event(bytes: &[u8]) -> Option<(u32, u32, Measurement, &[u8])> {
    let (register, rest) = number(bytes)?;
    let (kind, rest) = number(rest)?;
    let (count, rest) = number(rest)?;
    let (algorithm, rest) = rest.split_first_chunk()?;
    let (digest, rest) = rest.split_first_chunk()?;
    let (length, rest) = number(rest)?;
    let rest = rest.get(usize::try_from(length).ok()?..)?;
    (count == 1 && u16::from_le_bytes(*algorithm) == ALGORITHM).then_some((register, kind, *digest, rest))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::tdx::Edk2;

    fn first() -> Vec<u8> {
        let data = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x01\0\0\0\x0c\0\x30\0\0";
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&RTMR0.to_le_bytes()[..], &NO_ACTION.to_le_bytes(), &[0; 20], &length, data].concat()
    }

    fn of(register: u32, kind: u32, digest: Measurement, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        let head = [register.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        [&head[..], &ALGORITHM.to_le_bytes(), &digest, &length, data].concat()
    }

    const TABLES: HostTables = HostTables { loader: [1; 48], rsdp: [2; 48], tables: [3; 48], smbios: [4; 48] };

    /// The log of a domain whose RTMR0 has these events.
    fn log(events: &[Measurement]) -> Vec<u8> {
        let mut log = first();
        log.extend(of(0, 8, [9; 48], b"of MRTD"));
        for digest in events {
            log.extend(of(RTMR0, 10, *digest, b"ACPI DATA"));
            log.extend(of(2, 4, sha384(SEPARATOR), &[0; 4]));
            log.extend(of(RTMR0, NO_ACTION, [7; 48], b"StartupLocality"));
        }
        log
    }

    /// What is found in a log is what RTMR0 comes of, with each edk2; the events are those that RTMR0 is worked out from.
    #[test]
    fn the_tables_are_those_that_rtmr0_has() {
        for edk2 in Edk2::ALL {
            let events = edk2.events_of_rtmr0(&[5; 48], &[6; 48], Some(&TABLES));
            let found = EventLog::read(&log(&events)).unwrap().tables().unwrap();
            let smbios = if edk2 == Edk2::Stable202502 { [0; 48] } else { [4; 48] };
            assert_eq!(found, HostTables { smbios, ..TABLES });
            assert_eq!(edk2.rtmr0(&[5; 48], &[6; 48], Some(&found)), edk2.rtmr0(&[5; 48], &[6; 48], Some(&TABLES)));
        }
    }

    #[test]
    fn a_log_without_tables_is_told_from_one() {
        let tables = |events: &[Measurement]| EventLog::read(&log(events)).unwrap().tables();
        assert_eq!(tables(&[]), Err(EventLogError::NoTables));
        let separator = sha384(SEPARATOR);
        assert_eq!(tables(&[[1; 48], separator, [1; 48], [2; 48], [3; 48]]), Err(EventLogError::NoTables));
        assert_eq!(tables(&[separator, [1; 48], [2; 48], [3; 48], [4; 48]]), Ok(TABLES));
    }

    #[test]
    fn an_area_behind_the_last_event_is_no_event() {
        let whole = log(&[[1; 48]]);
        let expected = EventLog::read(&whole).unwrap();
        for filler in [0_u8, 0xff] {
            let mut area = whole.clone();
            area.resize(MAX_LOG, filler);
            assert_eq!(EventLog::read(&area), Ok(expected.clone()));
            area.push(filler);
            assert_eq!(EventLog::read(&area), Err(EventLogError::TooLong(MAX_LOG + 1)));
        }
    }

    #[test]
    fn only_a_log_is_read() {
        let other_start = log(&[]).iter().map(|byte| if *byte == b'S' { b's' } else { *byte }).collect::<Vec<u8>>();
        for bad in [&b""[..], b"log", &other_start, &first()[..first().len() - 1], &[0; 100]] {
            assert_eq!(EventLog::read(bad), Err(EventLogError::NoLog));
        }
        let mut two = first();
        let at = two.len() + 8;
        two.extend(of(RTMR0, 10, [1; 48], b""));
        for (offset, byte) in [(at, 0), (at, 2), (at + 4, 11)] {
            let mut other = two.clone();
            other[offset] = byte;
            assert_eq!(EventLog::read(&other), Err(EventLogError::Event(1)), "{offset}");
        }
        for length in first().len() + 1..two.len() {
            assert_eq!(EventLog::read(&two[..length]), Err(EventLogError::Event(1)), "{length}");
        }
    }

    proptest! {
        /// Whatever the bytes are, they are read or refused.
        #[test]
        fn whatever_the_bytes_are_they_are_read_or_refused(
            changes in prop::collection::vec((0_usize..600, any::<u8>()), 0..6), cut in 0_usize..600,
        ) {
            let mut bytes = log(&[[1; 48], sha384(SEPARATOR), [2; 48]]);
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            let cut = bytes.get(..cut).unwrap_or(&bytes);
            for bytes in [&bytes[..], cut] {
                if let Ok(log) = EventLog::read(bytes) {
                    prop_assert!(log.digests.len() <= bytes.len() / 66);
                    let _ = log.tables();
                }
            }
        }
    }
}
