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
    /// The published bytes, with the times that what the build wrote has in the published wheel.
    WithTimesOfFiles,
}

fn rebuild(package: &str, comes: &Comes) {
    let bench = Bench::new();
    let ran = bench.run(["rebuild", &format!("pkg:pypi/{package}"), "--json"]);
    let said = ran.with_code(0).json();
    let verdict = &said["verdict"];
    assert_eq!(verdict["outcome"], "reproducible");
    assert_eq!((&verdict["rebuildsAgree"], &verdict["matchesPublished"]), (&json!(true), &json!(true)));
    assert_eq!(verdict["findings"], json!([]));
    let epoch = &verdict["sourceDateEpoch"];
    let seconds = &epoch["seconds"];
    match comes {
        Comes::Unset => {
            let tried = json!([{ "seconds": null, "matched": true }]);
            assert_eq!(*epoch, json!({ "seconds": null, "origin": "search-unset", "tried": tried }));
        }
        Comes::WithItsTime => {
            assert!(seconds.is_u64(), "{epoch}");
            let tried = json!([{ "seconds": null, "matched": false }, { "seconds": seconds, "matched": true }]);
            assert_eq!(*epoch, json!({ "seconds": seconds, "origin": "published-artifact", "tried": tried }));
        }
        Comes::WithTimesOfFiles => assert_eq!(*seconds, Value::Null),
    }
    let is_with_times = matches!(comes, Comes::WithTimesOfFiles);
    let derived = if is_with_times { json!(["times", "tools"]) } else { json!(["tools"]) };
    assert_eq!(said["published"]["derived"], derived);
    let tried = verdict["toolsTried"].as_array().unwrap();
    assert_eq!(
        tried.last().unwrap()["name"].as_str().unwrap().contains("; times taken over)"),
        is_with_times,
        "{tried:?}"
    );
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
    six: "six@1.17.0" => Comes::WithTimesOfFiles;
    certifi: "certifi@2026.10.18" => Comes::WithTimesOfFiles;
    setuptools: "setuptools@84.2.1" => Comes::WithTimesOfFiles;
}
