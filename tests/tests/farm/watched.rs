// SPDX-License-Identifier: Apache-2.0
//! What others see of a farm that works: logs that programs read, and traces that a collector gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use reprove_tests::{Bench, Running, wait_until};
use serde_json::Value;

use super::served::{Farm, build_of};

/// A collector of traces on loopback: what it is sent, as (path, `Content-Type`, body). It ends with the process.
fn collector() -> (String, Receiver<(String, String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (to, from)) = (listener.local_addr().unwrap(), channel());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut reader = BufReader::new(connection.unwrap());
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                let found = head
                    .iter()
                    .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
                found.map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            let mut body = vec![0; header("content-length").parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let path = head[0].split(' ').nth(1).unwrap().to_owned();
            to.send((path, header("content-type"), serde_json::from_slice(&body).unwrap())).unwrap();
            let answer =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (format!("http://{address}"), from)
}

#[test]
fn a_build_is_one_trace_and_what_happens_is_logged_for_programs() {
    let (collector, sent) = collector();
    let traces = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let farm = Farm::with_variables(&["--without-worker", "--log", "json"], &traces);
    let submitted = farm.run(&["submit", "pkg:pypi/idna@0.0.999"]).with_code(0);
    let build = build_of(&submitted);
    let (bench, token) = (Bench::new(), farm.token("one", "work"));
    let worker = farm.worker(&bench, "one", &token, &["--jobs", "1", "--log", "json"]);
    let worker = worker.wait(Duration::from_secs(120)).with_code(0);

    let (path, kind, body) = sent.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((path.as_str(), kind.as_str()), ("/v1/traces", "application/json"));
    let of = &body["resourceSpans"][0];
    let attribute = |of: &Value, name: &str| {
        let found = of["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == name);
        found.map(|found| found["value"]["stringValue"].as_str().unwrap().to_owned())
    };
    assert_eq!(attribute(&of["resource"], "service.name").unwrap(), "reprove-farm");
    let spans = of["scopeSpans"][0]["spans"].as_array().unwrap();
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["build", "job", "attempt"]);
    assert!(spans.iter().all(|span| span["traceId"] == *build), "{spans:?}");
    assert_eq!((&spans[1]["parentSpanId"], &spans[2]["parentSpanId"]), (&spans[0]["spanId"], &spans[1]["spanId"]));
    assert_eq!(attribute(&spans[0], "reprove.subject").unwrap(), "pkg:pypi/idna@0.0.999");
    assert_eq!(attribute(&spans[2], "reprove.worker").unwrap(), "one");
    assert!(spans[2]["status"]["message"].as_str().unwrap().starts_with("bad-request: "), "{spans:?}");

    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let is_decided = || farm.process.stderr().contains("\"decided\"");
    assert!(wait_until(Duration::from_secs(10), is_decided), "{}", farm.process.stderr());
    let happened = lines(&farm.process.stderr());
    let events = |of: &[Value]| -> Vec<String> {
        of.iter()
            .map(|line| line["event"].as_str().unwrap_or("?").to_owned())
            .filter(|event| event != "answered")
            .collect()
    };
    assert_eq!(events(&happened), ["submitted", "leased", "finished", "decided"]);
    assert!(happened.iter().all(|line| line["timestamp"].is_string() && line["level"] == "INFO"), "{happened:?}");
    let posted = happened.iter().find(|line| line["path"] == "/api/v1/builds").unwrap();
    assert_eq!((&posted["method"], &posted["status"]), (&Value::from("POST"), &Value::from(200)));
    assert!(!farm.process.stderr().contains(token.trim()), "no token is logged");
    let happened = lines(&worker.stderr);
    let own: Vec<String> = events(&happened).into_iter().filter(|event| event != "note").collect();
    assert_eq!(own, ["registered", "began", "brought"], "{}", worker.stderr);
}

#[test]
fn a_collector_that_is_away_holds_nobody_up_and_is_said_once() {
    let farm = Farm::with_variables(&["--without-worker"], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    for version in ["3.19", "3.20"] {
        let build = build_of(&farm.run(&["submit", &format!("pkg:pypi/idna@{version}")]).with_code(0));
        let _ = farm.run(&["cancel", &build]).with_code(0);
    }
    let is_said = || farm.process.stderr().contains("can't be sent");
    assert!(wait_until(Duration::from_secs(30), is_said), "{}", farm.process.stderr());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(farm.process.stderr().matches("can't be sent").count(), 1, "{}", farm.process.stderr());
    let wrong = [("OTEL_EXPORTER_OTLP_ENDPOINT", "no address")];
    let mut command = farm.bench.command(["farm", "serve", "--listen", "127.0.0.1:0"]);
    command.envs(wrong).env("REPROVE_FARM_DATA", farm.bench.path("other"));
    let refused = Running::start(command).wait(Duration::from_secs(30)).with_code(2);
    assert!(refused.stderr.contains("traces can't be sent"), "{}", refused.stderr);
}
