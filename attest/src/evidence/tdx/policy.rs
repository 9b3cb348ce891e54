// SPDX-License-Identifier: Apache-2.0
//! What an auditor asks of a platform, and whether it is so.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use dcap_qvl::{PckCertFlag, Policy as _, QuoteClaims, QuotePolicy, TcbStatus as QvlStatus};
use jiff::Timestamp;
use thiserror::Error;

use super::TdxError;
use super::error::plain;

/// What Intel says of the security versions of a platform (PCS API, "Get TDX TCB Info", `tcbStatus`). `Revoked` is missing:
/// it is never taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TcbStatus {
    /// Nothing is known against it.
    UpToDate,
    /// What runs in the domain has to be hardened.
    SwHardeningNeeded,
    /// The platform has to be configured otherwise.
    ConfigurationNeeded,
    /// Both.
    ConfigurationAndSwHardeningNeeded,
    /// It lacks an update.
    OutOfDate,
    /// It lacks an update, and has to be configured otherwise.
    OutOfDateConfigurationNeeded,
    /// The module was updated after the domain was launched, which has to be launched again.
    TdRelaunchAdvised,
    /// The same, and the platform has to be configured otherwise.
    TdRelaunchAdvisedConfigurationNeeded,
}

impl TcbStatus {
    /// All of them, the best first.
    pub const ALL: [Self; 8] = [
        Self::UpToDate,
        Self::SwHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSwHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::TdRelaunchAdvised,
        Self::TdRelaunchAdvisedConfigurationNeeded,
    ];

    /// As Intel writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
        }
    }

    fn qvl(self) -> QvlStatus {
        match self {
            Self::UpToDate => QvlStatus::UpToDate,
            Self::SwHardeningNeeded => QvlStatus::SWHardeningNeeded,
            Self::ConfigurationNeeded => QvlStatus::ConfigurationNeeded,
            Self::ConfigurationAndSwHardeningNeeded => QvlStatus::ConfigurationAndSWHardeningNeeded,
            Self::OutOfDate => QvlStatus::OutOfDate,
            Self::OutOfDateConfigurationNeeded => QvlStatus::OutOfDateConfigurationNeeded,
            Self::TdRelaunchAdvised => QvlStatus::TDRelaunchAdvised,
            Self::TdRelaunchAdvisedConfigurationNeeded => QvlStatus::TDRelaunchAdvisedConfigurationNeeded,
        }
    }

    /// `Revoked` is none.
    pub(super) fn of(status: QvlStatus) -> Result<Self, TdxError> {
        let found = Self::ALL.into_iter().find(|known| known.qvl() == status);
        found.ok_or_else(|| TdxError::Refused("its platform is revoked".into()))
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no status which can be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a TCB status is one of {}; Revoked is never taken", TcbStatus::ALL.map(TcbStatus::as_str).join(", "))]
pub struct ParseTcbStatusError;

impl FromStr for TcbStatus {
    type Err = ParseTcbStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(ParseTcbStatusError)
    }
}

/// What is asked of the platform. Whatever it says, these are refused: debug, profiling, migration, service domains,
/// reserved attributes, a platform that is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxPolicy {
    /// The statuses that are taken, of the platform and of the quoting enclave. By default `UpToDate` alone.
    pub statuses: BTreeSet<TcbStatus>,
    /// Of when the security versions have to be at the earliest, by Intel's date. By default nothing is asked.
    pub least_tcb_date: Option<Timestamp>,
    /// The least number of the evaluation that the collateral is of, so that nobody may keep to an old one while it still
    /// holds. By default nothing is asked.
    pub least_evaluation: Option<u32>,
    /// Whether only a TDX module that Intel has signed is taken. By default it is.
    pub intels_module_only: bool,
    /// Whether processors with several threads a core are taken. By default they are: TDX servers have them, and where that
    /// matters to a processor, its status says so.
    pub takes_smt: bool,
    /// Whether platforms are taken that a processor can be added to. By default they are: those with several sockets are
    /// such.
    pub takes_dynamic_platform: bool,
    /// Whether platforms are taken whose root keys Intel's registration service keeps. By default they are.
    pub takes_cached_keys: bool,
}

impl Default for TdxPolicy {
    fn default() -> Self {
        Self {
            statuses: [TcbStatus::UpToDate].into(),
            least_tcb_date: None,
            least_evaluation: None,
            intels_module_only: true,
            takes_smt: true,
            takes_dynamic_platform: true,
            takes_cached_keys: true,
        }
    }
}

impl TdxPolicy {
    /// Whether what `dcap-qvl` has verified is what is asked. Its own policy has the last word.
    pub(super) fn judge(&self, claims: &QuoteClaims, now: u64) -> Result<(), TdxError> {
        let levels = Levels::of(claims)?;
        for Level { what, status, date, advisories } in &levels.0 {
            if !self.statuses.contains(status) {
                let advisories = advisories.iter().map(|id| plain(id)).collect();
                return Err(TdxError::Status { what, status: *status, advisories });
            }
            if let Some(least) = self.least_tcb_date.filter(|least| date < least) {
                return Err(TdxError::TooOld { what, date: *date, least });
            }
        }
        if let Some(least) = self.least_evaluation.filter(|least| claims.tcb.eval_data_number < *least) {
            return Err(TdxError::Evaluation(claims.tcb.eval_data_number, least));
        }
        let pck = &claims.platform.pck;
        for (flag, is_taken, what) in [
            (pck.smt_enabled, self.takes_smt, "several threads a core (SMT)"),
            (pck.dynamic_platform, self.takes_dynamic_platform, "processors that can be added (dynamic platform)"),
            (pck.cached_keys, self.takes_cached_keys, "root keys that Intel keeps (cached keys)"),
        ] {
            if flag == PckCertFlag::True && !is_taken {
                return Err(TdxError::Platform(what));
            }
        }
        self.qvl(now).validate(claims).map_err(|e| TdxError::Refused(plain(&format!("{e:#}"))))
    }

    /// The same policy, in the words of `dcap-qvl`.
    fn qvl(&self, now: u64) -> QuotePolicy {
        // Of when out-of-date levels may be is asked above, of all levels.
        let ever = std::time::Duration::MAX;
        let policy = QuotePolicy::strict(now).platform_grace_period(ever).qe_grace_period(ever);
        let policy = policy.allow_smt(self.takes_smt).allow_cached_keys(self.takes_cached_keys);
        let policy = policy.allow_dynamic_platform(self.takes_dynamic_platform);
        let policy = policy.min_tcb_eval_data_number(self.least_evaluation.unwrap_or(0));
        self.statuses.iter().fold(policy, |policy, status| policy.allow_status(status.qvl()))
    }
}

/// A level of security versions that the quote reaches.
struct Level<'a> {
    what: &'static str,
    status: TcbStatus,
    date: Timestamp,
    advisories: &'a [String],
}

/// All levels that a quote is judged by.
struct Levels<'a>(Vec<Level<'a>>);

impl<'a> Levels<'a> {
    fn of(claims: &'a QuoteClaims) -> Result<Self, TdxError> {
        let mut levels = vec![Level {
            what: "platform",
            status: TcbStatus::of(claims.tcb.status)?,
            date: date(&claims.platform.tcb_level.tcb_date)?,
            advisories: &claims.tcb.advisory_ids,
        }];
        if let Some(current) = &claims.platform.current_tcb_level {
            levels.push(Level {
                what: "platform as it is now",
                status: TcbStatus::of(current.tcb_status)?,
                date: date(&current.tcb_date)?,
                advisories: &current.advisory_ids,
            });
        }
        let qe = &claims.qe.tcb_level;
        levels.push(Level {
            what: "quoting enclave",
            status: TcbStatus::of(qe.tcb_status)?,
            date: date(&qe.tcb_date)?,
            advisories: &qe.advisory_ids,
        });
        Ok(Self(levels))
    }
}

/// Intel's dates of security versions.
pub(super) fn date(text: &str) -> Result<Timestamp, TdxError> {
    text.parse().map_err(|_| TdxError::Refused("a date of security versions is none".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_is_written_and_revoked_is_none() {
        for status in TcbStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
            assert_eq!(TcbStatus::of(status.qvl()), Ok(status));
        }
        assert_eq!("Revoked".parse::<TcbStatus>(), Err(ParseTcbStatusError));
        assert!(TcbStatus::of(QvlStatus::Revoked).is_err());
        assert_eq!(TdxPolicy::default().statuses, [TcbStatus::UpToDate].into());
    }
}
