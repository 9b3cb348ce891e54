// SPDX-License-Identifier: Apache-2.0
//! Quotes of real processors, with what Intel said of them at the time: the samples of `dcap-qvl`.

use jiff::{SignedDuration, Timestamp};
use reprove_attest::evidence::tdx::{
    Expected, ExpectedDomain, Measurements, TcbStatus, TdxError, TdxItem, TdxPolicy, TdxRoot, VerifiedQuote, verify,
};

use crate::{bits, packages};

type Change = fn(&mut Measurements);

/// One quote, and when everything it is verified with holds.
struct Vector {
    quote: Vec<u8>,
    collateral: Vec<u8>,
    policy: TdxPolicy,
    /// What begins last, and what ends first.
    first: (TdxItem, Timestamp),
    last: (TdxItem, Timestamp),
}

impl Vector {
    fn new(name: &str, policy: TdxPolicy, first: (TdxItem, &str), last: (TdxItem, &str)) -> Self {
        let file = |path: String| packages::file("dcap-qvl", "0.7", &path);
        let dated = |(item, at): (TdxItem, &str)| (item, at.parse().unwrap());
        Self {
            quote: file(format!("sample/{name}")),
            collateral: file(format!("sample/{name}_collateral.json")),
            policy,
            first: dated(first),
            last: dated(last),
        }
    }

    /// Version 4, TDX 1.0, up to date.
    fn v4() -> Self {
        let first = (TdxItem::QeIdentity, "2025-06-19T10:32:27Z");
        Self::new("tdx_quote", TdxPolicy::default(), first, (TdxItem::PckCrl, "2025-07-19T10:00:34Z"))
    }

    /// Version 5 with the report of later modules.
    fn v5_ex() -> Self {
        let first = (TdxItem::PckCrl, "2026-10-08T00:28:26Z");
        Self::new("tdx_quote_td15ex", TdxPolicy::default(), first, (TdxItem::QeIdentity, "2026-11-06T23:45:11Z"))
    }

    fn all() -> [Self; 2] {
        [Self::v4(), Self::v5_ex()]
    }

    /// Where its report begins.
    fn report_at(&self) -> usize {
        if self.quote[0] == 4 { 48 } else { 54 }
    }

    /// Its measurement or report data, as the bytes have it.
    fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.quote[self.report_at() + offset..][..N].try_into().unwrap()
    }

    fn expected(&self) -> Expected {
        let domain = Measurements {
            mrtd: self.field(136),
            rtmr: [328, 376, 424, 472].map(|offset| Some(self.field(offset))),
            mrseam: Some(self.field(16)),
            mrconfigid: Some(self.field(184)),
            mrowner: Some(self.field(232)),
            mrownerconfig: Some(self.field(280)),
        };
        Expected { report_data: self.field(520), domain: ExpectedDomain::OneOf(vec![domain]) }
    }

    fn at(&self, at: Timestamp) -> Result<VerifiedQuote, TdxError> {
        verify(&self.quote, &self.collateral, &TdxRoot::intel(), &self.expected(), &self.policy, at)
    }

    /// Of other bytes, and other collateral.
    fn of(&self, quote: &[u8], collateral: &[u8]) -> Result<VerifiedQuote, TdxError> {
        verify(quote, collateral, &TdxRoot::intel(), &self.expected(), &self.policy, self.first.1)
    }
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[test]
fn a_real_quote_is_verified_while_its_collateral_holds() {
    for vector in Vector::all() {
        let Vector { first: (first, from), last: (last, until), .. } = vector;
        let verified = vector.at(from).unwrap();
        assert_eq!(vector.at(until), Ok(verified.clone()));
        assert_eq!(vector.at(from - SECOND), Err(TdxError::NotYet { item: first, from }));
        assert_eq!(vector.at(until + SECOND), Err(TdxError::Expired { item: last, until }));
        assert_eq!(verified.holds_until(), until);
        assert!(!verified.is_emulated());
        assert_eq!(verified.root(), TdxRoot::intel().fingerprint());
    }
}

#[test]
fn a_real_quote_says_what_is_in_it() {
    let [v4, ex] = Vector::all().map(|vector| vector.at(vector.first.1).unwrap());
    assert_eq!((v4.version(), ex.version()), (4, 5));
    assert!(v4.report().since.is_none() && ex.report().since.is_some());
    let told = |v: &VerifiedQuote| (v.tcb_status(), v.tcb_date().to_string(), v.evaluation(), v.advisories().len());
    assert_eq!(told(&v4), (TcbStatus::UpToDate, "2024-03-13T00:00:00Z".into(), 17, 0));
    assert_eq!(told(&ex), (TcbStatus::UpToDate, "2025-08-13T00:00:00Z".into(), 20, 0));
    assert_eq!(v4.report().mrtd[..4], [0x91, 0xeb, 0x2b, 0x44]);
    assert_eq!(v4.report().attributes(), 1 << 28);
    assert_eq!(v4.fmspc(), [0xb0, 0xc0, 0x6f, 0, 0, 0]);
}

#[test]
fn a_real_quote_of_a_platform_below_every_level_is_refused() {
    let policy = TdxPolicy { statuses: TcbStatus::ALL.into(), ..TdxPolicy::default() };
    let first = (TdxItem::TcbInfo, "2026-02-18T10:58:51Z");
    let last = (TdxItem::PckCrl, "2026-03-20T10:41:14Z");
    let vector = Vector::new("tdx_quote_outdated", policy, first, last);
    let why = TdxError::Refused("No matching TCB level found".into());
    assert_eq!(vector.at(vector.first.1), Err(why.clone()));
    assert_eq!(vector.at(vector.last.1), Err(why));
    assert!(matches!(vector.at(vector.last.1 + SECOND), Err(TdxError::Expired { .. })));
}

#[test]
fn a_real_quote_is_refused_under_a_policy_that_asks_for_more() {
    let mut vector = Vector::v4();
    let at = vector.first.1;
    let date: Timestamp = "2024-03-13T00:00:00Z".parse().unwrap();
    let with = |vector: &mut Vector, change: &dyn Fn(&mut TdxPolicy)| {
        vector.policy = TdxPolicy::default();
        change(&mut vector.policy);
        vector.at(at).map(|_| ())
    };
    assert_eq!(with(&mut vector, &|policy| policy.least_tcb_date = Some(date)), Ok(()));
    let young = with(&mut vector, &|policy| policy.least_tcb_date = Some(date + SECOND));
    assert_eq!(young, Err(TdxError::TooOld { what: "platform", date, least: date + SECOND }));
    assert_eq!(with(&mut vector, &|policy| policy.least_evaluation = Some(17)), Ok(()));
    let later = with(&mut vector, &|policy| policy.least_evaluation = Some(18));
    assert_eq!(later, Err(TdxError::Evaluation(17, 18)));
    let none = with(&mut vector, &|policy| policy.statuses.clear());
    assert!(matches!(none, Err(TdxError::Status { status: TcbStatus::UpToDate, .. })));
    let refusals: [fn(&mut TdxPolicy); 3] =
        [|p| p.takes_smt = false, |p| p.takes_dynamic_platform = false, |p| p.takes_cached_keys = false];
    for refuse in refusals {
        assert!(matches!(with(&mut vector, &refuse), Err(TdxError::Platform(_))));
    }
}

#[test]
fn a_real_quote_that_says_something_else_is_refused() {
    for vector in Vector::all() {
        let (at, root, policy) = (vector.first.1, TdxRoot::intel(), &vector.policy);
        let against =
            |expected: &Expected| verify(&vector.quote, &vector.collateral, &root, expected, policy, at).map(|_| ());
        let right = vector.expected();
        assert_eq!(against(&right), Ok(()));
        let other = Expected { report_data: [1; 64], ..right.clone() };
        assert_eq!(against(&other), Err(TdxError::ReportData));
        let ExpectedDomain::OneOf(domains) = &right.domain else { panic!() };
        let changes: [(&str, Change); 9] = [
            ("MRTD", |m| m.mrtd[0] ^= 1),
            ("RTMR0", |m| m.rtmr[0] = Some([1; 48])),
            ("RTMR1", |m| m.rtmr[1] = Some([1; 48])),
            ("RTMR2", |m| m.rtmr[2] = Some([1; 48])),
            ("RTMR3", |m| m.rtmr[3] = Some([1; 48])),
            ("MRSEAM", |m| m.mrseam = Some([1; 48])),
            ("MRCONFIGID", |m| m.mrconfigid = Some([1; 48])),
            ("MROWNER", |m| m.mrowner = Some([1; 48])),
            ("MROWNERCONFIG", |m| m.mrownerconfig = Some([1; 48])),
        ];
        for (name, change) in changes {
            let mut domain = domains[0].clone();
            change(&mut domain);
            let of = |domains| Expected { domain: ExpectedDomain::OneOf(domains), ..right.clone() };
            assert_eq!(against(&of(vec![domain.clone()])), Err(TdxError::Measurement(name)));
            assert_eq!(against(&of(vec![domain, domains[0].clone()])), Ok(()));
        }
        let nothing = Expected { domain: ExpectedDomain::OneOf(vec![]), ..right.clone() };
        assert_eq!(against(&nothing), Err(TdxError::NothingExpected));
        assert_eq!(against(&Expected { domain: ExpectedDomain::ComparedLater, ..right }), Ok(()));
    }
}

#[test]
fn an_sgx_quote_is_refused() {
    let quote = packages::file("dcap-qvl", "0.7", "sample/sgx_quote");
    let vector = Vector::v4();
    assert_eq!(vector.of(&quote, &vector.collateral), Err(TdxError::OtherTee(0)));
}

/// The sample of version 4 has 70 zeros behind it, which nothing signs: they may be there, or cut off, and nothing else.
#[test]
fn zeros_that_a_quoting_service_leaves_are_cut_off() {
    let vector = Vector::v4();
    let end = vector.quote.len() - 70;
    let whole = vector.of(&vector.quote[..end], &vector.collateral).unwrap();
    assert_eq!(vector.of(&vector.quote, &vector.collateral), Ok(whole));
    for length in (end + 1..vector.quote.len()).chain(vector.quote.len() + 1..vector.quote.len() + 70) {
        let mut quote = vector.quote.clone();
        quote.resize(length, 0);
        let after = length - end;
        assert_eq!(vector.of(&quote, &vector.collateral), Err(TdxError::AfterTheEnd(after)));
    }
}

#[test]
fn a_real_quote_that_is_cut_is_refused() {
    for vector in Vector::all() {
        let end = if vector.quote[0] == 4 { vector.quote.len() - 70 } else { vector.quote.len() };
        for length in 0..end {
            assert!(vector.of(&vector.quote[..length], &vector.collateral).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn a_change_of_any_byte_of_a_real_quote_is_refused() {
    let vector = Vector::v4();
    bits::one_of_each(&vector.quote, 1, |quote| vector.of(quote, &vector.collateral).is_ok());
}

#[test]
fn a_change_of_any_byte_of_a_real_quote_of_version_5_is_refused() {
    let vector = Vector::v5_ex();
    bits::one_of_each(&vector.quote, 1, |quote| vector.of(quote, &vector.collateral).is_ok());
}

#[test]
fn a_change_of_a_byte_of_real_collateral_is_refused() {
    for vector in Vector::all() {
        bits::one_of_each(&vector.collateral, 7, |collateral| vector.of(&vector.quote, collateral).is_ok());
    }
}

#[test]
#[ignore = "takes minutes: `scripts/bits` runs it"]
fn no_bit_of_a_real_quote_and_its_collateral_can_be_changed() {
    for vector in Vector::all() {
        bits::all(&vector.quote, |quote| vector.of(quote, &vector.collateral).is_ok());
        bits::all(&vector.collateral, |collateral| vector.of(&vector.quote, collateral).is_ok());
    }
}

#[test]
#[ignore = "measures"]
fn how_long_a_quote_takes() {
    for vector in Vector::all() {
        bits::time("TDX quote", || assert!(vector.of(&vector.quote, &vector.collateral).is_ok()));
    }
}
