// SPDX-License-Identifier: Apache-2.0
//! Command-line cases, one readable file each in `cmd/`. What a file leaves open with `...` may be anything.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use reprove_tests::Bench;

#[test]
fn every_case_in_cmd_comes_out_as_written() {
    let bench = Bench::new();
    let _ = reprove_store::Store::open(&bench.path("store")).unwrap();
    let cases = trycmd::TestCases::new();
    cases.register_bin("reprove", reprove_tests::program());
    for (name, path) in [("HOME", "home"), ("REPROVE_STORE", "store"), ("REPROVE_KEY", "key.pem")] {
        cases.env(name, bench.path(path).to_str().unwrap());
    }
    cases.case("cmd/*.toml").run();
}
