// SPDX-License-Identifier: Apache-2.0
//! What the farm's commands print with `--json` is as its schema says.

use std::time::Duration;

use reprove_tests::{Ran, Running, valid};
use serde_json::json;

use super::served::Farm;

#[test]
fn whatever_the_farm_s_commands_print_as_json_is_as_its_schema_says() {
    let farm = Farm::new(&[]);
    let here = |arguments: &[&str]| -> Ran {
        let mut command = farm.bench.command(["farm"]);
        command.args(arguments).arg("--json").env("REPROVE_FARM_DATA", farm.data());
        Running::start(command).wait(Duration::from_secs(60))
    };
    let asked = |arguments: &[&str], code| valid(farm.run(&[arguments, &["--json"]].concat()), code, "farm");
    let project = farm.bench.example("hello-c");
    let submit = ["submit", "pkg:npm/left-pad@1.3.0", "pkg:pypi/idna@0.0.999", "--project", project.to_str().unwrap()];
    let all = asked(&[&submit[..], &["--rebuilders", "1", "--wait"]].concat(), 1);
    let words: Vec<&str> =
        all["builds"].as_array().unwrap().iter().map(|build| build["word"].as_str().unwrap()).collect();
    // What npm has published was packed again from itself: no more is said of it, also in lists.
    assert_eq!(words, ["repacked", "failed", "bit-identical"]);
    for (build, code) in all["builds"].as_array().unwrap().iter().zip([0, 1, 0]) {
        let _ = asked(&["status", build["build"].as_str().unwrap()], code);
    }
    let status = asked(&["status"], 0);
    assert_eq!(status["workers"][0]["name"], "inside");
    let work = ["--isolation", "vm", "--distinct", "worker"];
    let waiting = asked(&[&["submit", "pkg:pypi/idna@3.20"], &work[..]].concat(), 0);
    assert_eq!(waiting["builds"][0]["word"], json!(null));
    let cancelled = asked(&["cancel", waiting["builds"][0]["build"].as_str().unwrap()], 0);
    assert_eq!(cancelled["cancelled"], true);
    let watched = asked(&["watch", project.to_str().unwrap(), "--once"], 0);
    assert_eq!(watched["known"], 1);

    let token = valid(here(&["token", "new", "one", "--roles", "work", "--days", "3"]), 0, "farm");
    let spiffe = ["--spiffe", "spiffe://example.org/two"];
    let _ = valid(here(&[&["token", "new", "two", "--roles", "read,submit"], &spiffe[..]].concat()), 0, "farm");
    let tokens = valid(here(&["token", "list"]), 0, "farm");
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 3);
    let _ = valid(here(&["hook", "new", "told", "https://example.org/told"]), 0, "farm");
    assert_eq!(valid(here(&["hook", "list"]), 0, "farm")["hooks"][0]["name"], "told");
    let _ = valid(here(&["hook", "remove", "told"]), 0, "farm");
    let _ = valid(here(&["backup", "copy.db"]), 0, "farm");
    let arguments = ["--until-idle", "--json"];
    let worker = farm.worker(&farm.bench, "one", token["token"].as_str().unwrap(), &arguments);
    assert_eq!(valid(worker.wait(Duration::from_secs(60)), 0, "farm"), json!({ "worker": "one", "jobs": 0 }));
    let _ = valid(here(&["token", "revoke", "one"]), 0, "farm");
    let mut second = farm.bench.command(["farm", "serve", "--listen", "127.0.0.1:0", "--without-worker", "--json"]);
    second.env("REPROVE_FARM_DATA", farm.bench.path("other"));
    let second = Running::start(second);
    assert!(reprove_tests::wait_until(Duration::from_secs(30), || second.stdout().contains("listening")));
    second.signal(nix::sys::signal::Signal::SIGTERM);
    let _ = valid(second.wait(Duration::from_secs(30)), 0, "farm");
}
