// SPDX-License-Identifier: Apache-2.0
//! AMD SEV-SNP: reports, and who vouches for them.

mod firmware;
mod launch;
mod report;
mod table;
mod tcb;
mod verify;

pub use firmware::{Firmware, FirmwareError, Section, SectionKind};
pub use launch::{DirectBoot, Launch, LaunchError};
pub use report::{Report, ReportError, SigningKey};
pub use table::{CertificateTable, TableError};
pub use tcb::{Product, Tcb};
pub use verify::{Endorsements, SnpError, SnpRules, VerifiedReport, verify};
