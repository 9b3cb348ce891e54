// SPDX-License-Identifier: Apache-2.0
//! Why a quote proves nothing.

use jiff::Timestamp;
use thiserror::Error;

use super::collateral::MAX_COLLATERAL;
use super::policy::TcbStatus;
use super::{MAX_QUOTE, TdxItem};

/// Why a quote proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TdxError {
    /// More than [`MAX_QUOTE`] bytes.
    #[error("the quote has {0} bytes; the most is {MAX_QUOTE}")]
    QuoteTooLong(usize),
    /// Not the form of a quote.
    #[error("this is not a TDX quote: {0}")]
    Form(&'static str),
    /// Bytes behind the quote.
    #[error("{0} bytes are behind the end of the quote, and nothing signs them: cut them off")]
    AfterTheEnd(usize),
    /// Of another kind of environment.
    #[error("the quote is not of TDX (0x81) but of {}", tee(*.0))]
    OtherTee(u32),
    /// A version that is not read.
    #[error("the quote has version {0}; 4 and 5 are read")]
    Version(u16),
    /// An algorithm that is not verified.
    #[error("the quote is signed with a key of type {0}; type 2 is verified, ECDSA over P-256")]
    KeyType(u16),
    /// A chain of certificates.
    #[error("the chain of certificates of the {0} is not taken: {1}")]
    Chain(&'static str, &'static str),
    /// A chain that ends in another root.
    #[error("the chain of certificates of the {chain} does not end in the root that is trusted ({expected})")]
    OtherRoot {
        /// Whose chain.
        chain: &'static str,
        /// The fingerprint of the root that is trusted, in hexadecimal digits.
        expected: String,
    },
    /// More than [`MAX_COLLATERAL`] bytes.
    #[error("the collateral has {0} bytes; the most is {MAX_COLLATERAL}")]
    CollateralTooLong(usize),
    /// Not the form of collateral.
    #[error("the collateral is not taken: {0}")]
    Collateral(String),
    /// Something that can't be read.
    #[error("the {0} can't be read: {1}")]
    Item(TdxItem, String),
    /// Something that does not hold yet.
    #[error("the {item} holds from {from} on, and not yet at the time that is asked about")]
    NotYet {
        /// What.
        item: TdxItem,
        /// From when on it does.
        from: Timestamp,
    },
    /// Something that holds no more.
    #[error(
        "the {item} held until {until}, and no more at the time that is asked about: collateral of that time is needed"
    )]
    Expired {
        /// What.
        item: TdxItem,
        /// Until when it did.
        until: Timestamp,
    },
    /// The domain can be looked into by its host.
    #[error("the trust domain is not closed to its host: {0}")]
    Open(&'static str),
    /// A TDX module that Intel did not sign.
    #[error("the TDX module was not signed by Intel (MRSIGNERSEAM is not zero)")]
    OtherModule,
    /// A signature, an identity, a version that does not fit.
    #[error("the quote does not verify: {0}")]
    Refused(String),
    /// A status of the platform that the policy does not take.
    #[error("the security version of the {what} is {status}, which the policy does not take{}", listed(.advisories))]
    Status {
        /// Of what.
        what: &'static str,
        /// What Intel says of it.
        status: TcbStatus,
        /// The advisories that tell why.
        advisories: Vec<String>,
    },
    /// A platform that was last up to date before the time that the policy asks for.
    #[error("the security version of the {what} is of {date}, and the policy asks for one of {least} or later")]
    TooOld {
        /// Of what.
        what: &'static str,
        /// Of when it is.
        date: Timestamp,
        /// Of when it is to be.
        least: Timestamp,
    },
    /// Collateral that was evaluated before what the policy asks for.
    #[error("the collateral is of evaluation {0}, and the policy asks for {1} or later")]
    Evaluation(u32, u32),
    /// A property of the platform that the policy does not take.
    #[error("the policy does not take a platform with {0}")]
    Platform(&'static str),
    /// The domain says something else than what it was asked.
    #[error("the quote's report data is not what was expected: it answers another question")]
    ReportData,
    /// A measurement that is not among those that are expected.
    #[error("the quote's {0} is not the one that is expected")]
    Measurement(&'static str),
    /// No measurement is expected at all.
    #[error("no measurement of a trust domain is expected, so none fits: name one")]
    NothingExpected,
}

fn tee(kind: u32) -> String {
    if kind == 0 { "SGX (0)".into() } else { format!("type {kind:#x}") }
}

/// The advisories, as a message ends with them.
fn listed(advisories: &[String]) -> String {
    if advisories.is_empty() { String::new() } else { format!(" ({})", advisories.join(", ")) }
}

/// A text from elsewhere that does nothing to a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
