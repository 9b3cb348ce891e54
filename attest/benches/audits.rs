// SPDX-License-Identifier: Apache-2.0
//! How many proofs one processor audits in a second, beside the raw check of their signatures and beside Python's
//! securesystemslib on the same envelopes: PROOF [PYTHON]. All take turns in one run.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reprove_attest::{Algorithm, Envelope, Policy, Proof, PublicKey, SigningKey, TrustRoots, appraise, audit};

/// How often each takes its turn.
const ROUNDS: usize = 15;
/// How long one turn is.
const TURN: Duration = Duration::from_millis(300);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let proof = arguments.first().map_or("", String::as_str);
    let read = Proof::from_bytes(&std::fs::read(proof).unwrap()).unwrap();
    let payloads: Vec<Vec<u8>> = read.envelopes.iter().map(|envelope| envelope.payload().to_vec()).collect();
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    println!(
        "{} envelopes with {bytes} bytes of statements; medians of {ROUNDS} turns on one processor",
        payloads.len()
    );
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
        let key = SigningKey::new(algorithm, [7; 32]).unwrap();
        let sign = |payload: &Vec<u8>| Envelope::sign(&key, payload.clone()).unwrap();
        let proof = Proof::of(payloads.iter().map(sign).collect());
        measure(algorithm, &proof, key.public_key(), arguments.get(1).map(String::as_str));
    }
}

fn measure(algorithm: Algorithm, proof: &Proof, key: PublicKey, python: Option<&str>) {
    let bytes = proof.to_bytes().unwrap();
    let keys = [key];
    let pem = key.to_spki_pem().unwrap();
    let trust = format!("[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'farm'\n");
    let (trust, policy) = (TrustRoots::from_toml(&trust).unwrap(), Policy::default());
    let raw = || assert!(proof.envelopes.iter().all(|envelope| envelope.verify(&keys).is_ok()));
    let strict = || drop(audit(&bytes, &[], &keys).unwrap());
    let appraised = || assert!(appraise(&bytes, &[], &trust, &policy, Timestamp::MAX).unwrap().is_enough());
    let contestants: [(&str, &dyn Fn()); 3] =
        [("signatures alone", &raw), ("audit --key", &strict), ("audit --trust", &appraised)];
    let mut rates = vec![Vec::new(); contestants.len() + 1];
    for _ in 0..ROUNDS {
        for ((_, run), rates) in contestants.iter().zip(&mut rates) {
            rates.push(rate(run));
        }
        if let (Some(python), Some(rates)) = (python, rates.last_mut()) {
            rates.extend(securesystemslib(python, proof, &pem));
        }
    }
    let medians: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    let names = contestants.iter().map(|(name, _)| *name).chain(["securesystemslib"]);
    let reference = medians.first().copied().unwrap_or(f64::NAN);
    println!("{algorithm}:");
    for (name, median) in names.zip(&medians).filter(|(_, median)| median.is_finite()) {
        println!("  {name:<18} {median:>9.0} proofs a second, {:>6.2} of the signatures alone", median / reference);
    }
}

fn rate(run: &dyn Fn()) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < TURN {
        run();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// The same envelopes, read once and verified over and over, as the raw check does.
fn securesystemslib(python: &str, proof: &Proof, pem: &str) -> Option<f64> {
    let envelopes = serde_json::to_string(&proof.envelopes).unwrap();
    let mut command = Command::new(python);
    command.arg("-I").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/securesystemslib_rate.py"));
    command.arg(pem).arg(TURN.as_secs_f64().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    std::io::Write::write_all(&mut child.stdin.take()?, envelopes.as_bytes()).ok()?;
    String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?.trim().parse().ok()
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}
