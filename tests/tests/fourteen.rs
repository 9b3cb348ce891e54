// SPDX-License-Identifier: Apache-2.0
//! Fourteen published packages, rebuilt through the network, and what each must come out as.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use reprove_tests::Bench;
use serde_json::{Value, json};

/// What a rebuild must come to.
enum Comes {
    /// The published bytes, with `SOURCE_DATE_EPOCH` not set.
    Unset,
    /// The published bytes, with the timestamp that the published wheel has.
    WithItsTime,
    /// The published wheel, but for the times of these entries.
    WithOtherTimes { entries: u64, among_them: &'static str },
}

fn rebuild(package: &str, comes: &Comes) {
    let bench = Bench::new();
    let ran = bench.run(["rebuild", &format!("pkg:pypi/{package}"), "--json"]);
    let same = !matches!(comes, Comes::WithOtherTimes { .. });
    let ran = ran.with_code(if same { 0 } else { 1 });
    let verdict = &ran.json()["verdict"];
    assert_eq!(verdict["outcome"], if same { "reproducible" } else { "different" });
    assert_eq!((&verdict["rebuildsAgree"], &verdict["matchesPublished"]), (&json!(true), &json!(same)));
    let epoch = &verdict["sourceDateEpoch"];
    let seconds = &epoch["seconds"];
    match comes {
        Comes::Unset => {
            let tried = json!([{ "seconds": null, "matched": true }]);
            assert_eq!(*epoch, json!({ "seconds": null, "origin": "search-unset", "tried": tried }));
        }
        Comes::WithItsTime | Comes::WithOtherTimes { .. } => {
            assert!(seconds.is_u64(), "{epoch}");
            let tried = json!([{ "seconds": null, "matched": false }, { "seconds": seconds, "matched": same }]);
            assert_eq!(*epoch, json!({ "seconds": seconds, "origin": "published-artifact", "tried": tried }));
        }
    }
    let findings = verdict["findings"].as_array().unwrap();
    match comes {
        Comes::Unset | Comes::WithItsTime => assert_eq!(findings.len(), 0),
        Comes::WithOtherTimes { entries, among_them } => only_times(findings, *entries, among_them),
    }
}

fn only_times(findings: &[Value], entries: u64, among_them: &str) {
    let [finding] = findings else { panic!("{findings:?}") };
    assert_eq!((&finding["kind"], &finding["between"]), (&json!("zip-entry-times"), &json!("published-and-rebuilt")));
    assert_eq!(finding["count"], entries, "{}", finding["summary"]);
    let details = finding["details"].as_array().unwrap();
    assert!(details.iter().any(|detail| detail["at"] == among_them), "{details:?}");
    assert!(details.iter().all(|detail| detail["left"] != detail["right"]), "{details:?}");
}

macro_rules! packages {
    ($($test:ident: $package:literal => $comes:expr;)*) => {
        $(
            #[test]
            fn $test() {
                rebuild($package, &$comes);
            }
        )*
    };
}

packages! {
    idna: "idna@3.20" => Comes::Unset;
    packaging: "packaging@26.3" => Comes::Unset;
    typing_extensions: "typing_extensions@4.16.0" => Comes::Unset;
    wheel: "wheel@0.48.0" => Comes::Unset;
    attrs: "attrs@26.1.0" => Comes::WithItsTime;
    urllib3: "urllib3@2.8.0" => Comes::WithItsTime;
    click: "click@8.5.1" => Comes::WithItsTime;
    flask: "flask@3.1.3" => Comes::WithItsTime;
    requests: "requests@2.34.2" => Comes::WithItsTime;
    pluggy: "pluggy@1.7.0" => Comes::WithItsTime;
    iniconfig: "iniconfig@2.3.1" => Comes::WithItsTime;
    six: "six@1.17.0" => Comes::WithOtherTimes { entries: 1, among_them: "six.py" };
    certifi: "certifi@2026.10.18" => Comes::WithOtherTimes { entries: 5, among_them: "certifi-2026.10.18.dist-info/RECORD" };
    setuptools: "setuptools@84.2.1" => Comes::WithOtherTimes { entries: 7, among_them: "distutils-precedence.pth" };
}
