// SPDX-License-Identifier: Apache-2.0
//! Quotes of an emulated processor: what no real one shows.

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};
use reprove_attest::evidence::EMULATED;
use reprove_attest::evidence::tdx::{
    EmulatedLevel, EmulatedPlatform, EmulatedTdx, Expected, ExpectedDomain, Measurements, Since, TcbStatus, TdReport,
    TdxError, TdxItem, TdxPolicy, TdxRoot, VerifiedQuote, emulated_report, verify,
};

use crate::bits;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn span() -> RangeInclusive<Timestamp> {
    at("2026-01-01T00:00:00Z")..=at("2026-02-01T00:00:00Z")
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A quote, what it is verified with, and when.
struct Case {
    platform: EmulatedPlatform,
    report: TdReport,
    version: u16,
    policy: TdxPolicy,
    at: Timestamp,
}

impl Case {
    fn new() -> Self {
        Self {
            platform: EmulatedPlatform::new(span()),
            report: emulated_report([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]], [6; 64]),
            version: 4,
            policy: TdxPolicy::default(),
            at: at("2026-01-15T00:00:00Z"),
        }
    }

    /// Of TDX 1.5.
    fn v5() -> Self {
        let mut case = Self::new();
        case.version = 5;
        case.report.since = Some(Since { tee_tcb_svn_2: case.report.tee_tcb_svn, mrservicetd: [0; 48] });
        case
    }

    fn emulated(&self) -> EmulatedTdx {
        EmulatedTdx::new(&[7; 32], self.platform.clone()).unwrap()
    }

    fn quote(&self) -> Vec<u8> {
        self.emulated().quote(&self.report, self.version).unwrap()
    }

    fn collateral(&self) -> Vec<u8> {
        self.emulated().collateral().unwrap()
    }

    fn root(&self) -> TdxRoot {
        TdxRoot::emulated(&self.emulated().root().unwrap()).unwrap()
    }

    fn expected(&self) -> Expected {
        let domain = ExpectedDomain::OneOf(vec![Measurements::of_mrtd([1; 48])]);
        Expected { report_data: [6; 64], domain }
    }

    fn of(&self, quote: &[u8], collateral: &[u8]) -> Result<VerifiedQuote, TdxError> {
        verify(quote, collateral, &self.root(), &self.expected(), &self.policy, self.at)
    }

    fn verify(&self) -> Result<VerifiedQuote, TdxError> {
        self.of(&self.quote(), &self.collateral())
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let error = self.verify().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

fn is_status(verified: Result<VerifiedQuote, TdxError>, wanted: TcbStatus) -> bool {
    matches!(verified, Err(TdxError::Status { status, .. }) if status == wanted)
}

#[test]
fn an_emulated_quote_is_verified_under_its_root_alone() {
    let v5_with_1_0 = Case { version: 5, ..Case::new() };
    for case in [Case::new(), Case::v5(), v5_with_1_0] {
        let verified = case.verify().unwrap();
        assert!(verified.is_emulated());
        assert_eq!((verified.root(), verified.report()), (case.root().fingerprint(), &case.report));
        assert_eq!((verified.version(), verified.tcb_status()), (case.version, TcbStatus::UpToDate));
        let under =
            |root: &TdxRoot| verify(&case.quote(), &case.collateral(), root, &case.expected(), &case.policy, case.at);
        assert!(matches!(under(&TdxRoot::intel()), Err(TdxError::OtherRoot { .. })));
        let another = EmulatedTdx::new(&[8; 32], case.platform.clone()).unwrap();
        let another_root = TdxRoot::emulated(&another.root().unwrap()).unwrap();
        assert!(matches!(under(&another_root), Err(TdxError::OtherRoot { .. })));
        let other_collateral = case.of(&case.quote(), &another.collateral().unwrap());
        assert!(matches!(other_collateral, Err(TdxError::OtherRoot { .. })));
    }
}

#[test]
fn every_certificate_of_an_emulation_says_so() {
    let case = Case::new();
    let found = |bytes: &[u8]| bytes.windows(EMULATED.len()).filter(|window| *window == EMULATED.as_bytes()).count();
    assert_eq!(found(&case.emulated().root().unwrap()), 2);
    assert_eq!(case.quote(), case.quote(), "the same seed makes the same bytes");
}

#[test]
fn each_thing_that_does_not_hold_is_named() {
    for item in TdxItem::ALL {
        let mut case = Case::new();
        let from = at("2026-01-10T00:00:00Z");
        case.platform.spans.insert(item, from..=*span().end());
        // Lists hold until the second before the next one is there.
        let is_list = matches!(item, TdxItem::RootCrl | TdxItem::PckCrl);
        let verified_at = |case: &Case, at| Case { at, platform: case.platform.clone(), ..Case::new() }.verify();
        assert!(verified_at(&case, from).is_ok(), "{item}");
        match verified_at(&case, from - SECOND) {
            Err(TdxError::NotYet { item: named, from: since }) => assert_eq!((named, since), (item, from)),
            other => panic!("{item}: {other:?}"),
        }
        let until = at("2026-01-20T00:00:00Z");
        case.platform.spans.insert(item, *span().start()..=until);
        let last = if is_list { until - SECOND } else { until };
        assert_eq!(verified_at(&case, last).map(|v| v.holds_until()), Ok(last), "{item}");
        assert_eq!(verified_at(&case, last + SECOND), Err(TdxError::Expired { item, until: last }));
    }
}

#[test]
fn revoked_certificates_are_refused() {
    for item in [TdxItem::PckCa, TdxItem::Pck, TdxItem::TcbSigner] {
        let mut case = Case::new();
        case.platform.revoked.insert(item);
        case.refused("CertRevoked");
    }
}

#[test]
fn a_domain_that_is_open_to_its_host_is_refused() {
    let attributes: [(u64, &str); 8] = [
        (1 << 28 | 1, "debug"),
        (1 << 28 | 1 << 4, "profiling"),
        (1 << 28 | 1 << 6, "profiling"),
        (1 << 28 | 1 << 29, "migratable"),
        (1 << 28 | 1 << 17, "service domains"),
        (0, "SEPT_VE_DISABLE"),
        (1 << 28 | 1 << 1, "nobody has defined"),
        (1 << 28 | 1 << 61, "nobody has defined"),
    ];
    for mut case in [Case::new(), Case::v5()] {
        for (attributes, why) in attributes {
            case.report.td_attributes = attributes.to_le_bytes();
            case.refused(why);
        }
        // Protection keys, key locker, performance monitoring: of the domain's own concern.
        for bit in [18, 30, 31, 63] {
            case.report.td_attributes = (1_u64 << 28 | 1 << bit).to_le_bytes();
            assert!(case.verify().is_ok(), "{bit}");
        }
    }
    let mut case = Case::v5();
    case.report.since.as_mut().unwrap().mrservicetd = [1; 48];
    case.refused("service domains");
}

#[test]
fn a_module_of_another_signer_is_refused_whatever_the_policy_says() {
    let mut case = Case::new();
    case.report.mrsignerseam = [1; 48];
    assert_eq!(case.verify(), Err(TdxError::OtherModule));
    case.policy.intels_module_only = false;
    case.refused("TDX module MRSIGNER mismatch");
    let mut debug = Case::new();
    debug.report.seam_attributes = [1, 0, 0, 0, 0, 0, 0, 0];
    debug.refused("SEAMATTRIBUTES");
    let mut unknown = Case::new();
    unknown.report.tee_tcb_svn[1] = 9;
    unknown.refused("TDX_09");
}

#[test]
fn a_status_is_taken_where_the_policy_takes_it() {
    for status in TcbStatus::ALL.into_iter().take(6) {
        let mut case = Case::new();
        case.platform.levels[0].status = status.to_string();
        case.platform.levels[0].advisories = vec!["INTEL-SA-1".into()];
        case.policy.statuses = TcbStatus::ALL.into_iter().filter(|other| *other != status).collect();
        assert!(is_status(case.verify(), status));
        assert!(case.verify().unwrap_err().to_string().ends_with("(INTEL-SA-1)"));
        case.policy.statuses = [status, TcbStatus::UpToDate].into();
        let verified = case.verify().unwrap();
        assert_eq!((verified.tcb_status(), verified.advisories()), (status, ["INTEL-SA-1".to_owned()].as_slice()));
    }
    for unknown in ["TDRelaunchAdvised", "Fine"] {
        let mut case = Case::new();
        case.platform.levels[0].status = unknown.into();
        assert!(matches!(case.verify(), Err(TdxError::Refused(_))), "{unknown}");
    }
}

#[test]
fn what_is_revoked_is_refused_whatever_the_policy_says() {
    let changes: [fn(&mut EmulatedPlatform); 3] = [
        |platform| platform.levels[0].status = "Revoked".into(),
        |platform| platform.module_status = "Revoked".into(),
        |platform| platform.qe_status = "Revoked".into(),
    ];
    for change in changes {
        let mut case = Case::new();
        change(&mut case.platform);
        case.policy.statuses = TcbStatus::ALL.into();
        case.refused("Revoked");
    }
}

#[test]
fn the_module_and_the_quoting_enclave_count_too() {
    let changes: [fn(&mut EmulatedPlatform); 2] =
        [|platform| platform.module_status = "OutOfDate".into(), |platform| platform.qe_status = "OutOfDate".into()];
    for change in changes {
        let mut case = Case::new();
        change(&mut case.platform);
        assert!(is_status(case.verify(), TcbStatus::OutOfDate));
        case.policy.statuses.insert(TcbStatus::OutOfDate);
        assert_eq!(case.verify().unwrap().tcb_status(), TcbStatus::OutOfDate);
    }
    // The platform's status says nothing of such a quoting enclave; the policy is asked all the same.
    let mut case = Case::new();
    case.platform.qe_status = "ConfigurationNeeded".into();
    assert!(is_status(case.verify(), TcbStatus::ConfigurationNeeded));
    case.policy.statuses.insert(TcbStatus::ConfigurationNeeded);
    assert_eq!(case.verify().unwrap().tcb_status(), TcbStatus::UpToDate);
}

#[test]
fn the_module_now_and_at_launch_both_count() {
    let date = *span().start();
    let old = EmulatedLevel { least: 1, status: "OutOfDate".into(), date, advisories: vec![] };
    // Updated since: the domain has to be launched again.
    let mut case = Case::v5();
    case.platform.levels.push(old.clone());
    case.report.tee_tcb_svn[2] = 1;
    assert!(is_status(case.verify(), TcbStatus::TdRelaunchAdvised));
    case.policy.statuses.insert(TcbStatus::TdRelaunchAdvised);
    assert_eq!(case.verify().unwrap().tcb_status(), TcbStatus::TdRelaunchAdvised);
    // Older than at launch.
    let mut case = Case::v5();
    case.platform.levels.push(old);
    case.report.since.as_mut().unwrap().tee_tcb_svn_2[2] = 1;
    let error = case.verify().unwrap_err();
    assert!(matches!(error, TdxError::Status { what: "platform as it is now", status: TcbStatus::OutOfDate, .. }));
}

#[test]
fn what_intel_says_has_to_be_of_this_platform() {
    let mut case = Case::new();
    case.platform.levels_fmspc = [1; 6];
    case.refused("Fmspc mismatch");
    let mut case = Case::new();
    case.platform.levels_pce_id = [0, 1];
    case.refused("another provisioning enclave");
    let mut case = Case::new();
    case.platform.levels[0].least = 4;
    case.refused("No matching TCB level");
    let mut case = Case::new();
    case.platform.qe_attributes |= 2;
    case.refused("Debug mode");
}

#[test]
fn collateral_of_another_processor_is_refused() {
    let case = Case::new();
    let replaced = |name: &str, value: &str| {
        let mut json: serde_json::Value = serde_json::from_slice(&case.collateral()).unwrap();
        json[name] = value.into();
        case.of(&case.quote(), &serde_json::to_vec(&json).unwrap()).unwrap_err().to_string()
    };
    let field = |name: &str| {
        let json: serde_json::Value = serde_json::from_slice(&case.collateral()).unwrap();
        json[name].as_str().unwrap().to_owned()
    };
    // A list of the other authority, a signer that is an authority, a signature of something else.
    assert!(replaced("pck_crl", &field("root_ca_crl")).contains("does not verify"));
    assert!(replaced("tcb_info_issuer_chain", &field("pck_crl_issuer_chain")).contains("does not verify"));
    assert!(replaced("pck_crl_issuer_chain", &field("tcb_info_issuer_chain")).contains("not of the authority"));
    assert!(replaced("tcb_info_signature", &field("qe_identity_signature")).contains("Signature is invalid"));
    assert!(replaced("qe_identity", &field("tcb_info")).contains("does not verify"));
    assert!(replaced("pck_certificate_chain", "").contains("is not the quote's"));
    assert!(replaced("more", "").contains("unknown field"));
}

#[test]
fn a_change_of_a_byte_of_an_emulated_quote_is_refused() {
    for case in [Case::new(), Case::v5()] {
        let collateral = case.collateral();
        bits::one_of_each(&case.quote(), 3, |quote| case.of(quote, &collateral).is_ok());
    }
}
