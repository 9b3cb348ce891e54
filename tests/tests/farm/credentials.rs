// SPDX-License-Identifier: Apache-2.0
//! What a farm shows to NATS (`--queue-credentials`): a server that lets in users of an account, as `nsc` makes them.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reprove_attest::SigningKey;
use reprove_tests::{Bench, Running, wait_until};
use serde_json::{Value, json};

use super::nats::server_with;

/// The kinds of keys, as the first byte of their names.
const OPERATOR: u8 = 14 << 3;
const ACCOUNT: u8 = 0;
const USER: u8 = 20 << 3;
const SEED: u8 = 18 << 3;

/// A key of NATS.
struct Key {
    kind: u8,
    seed: [u8; 32],
    key: SigningKey,
}

impl Key {
    fn new(kind: u8, number: u8) -> Self {
        let seed = [number; 32];
        Self { kind, seed, key: SigningKey::ed25519(seed) }
    }

    /// Its public half, as NATS writes it.
    fn name(&self) -> String {
        let public = self.key.public_key().ed25519_bytes().unwrap();
        written([&[self.kind][..], &public].concat())
    }

    /// Its private half.
    fn secret(&self) -> String {
        written([&[SEED | self.kind >> 5, (self.kind & 31) << 3][..], &self.seed].concat())
    }

    /// What it says of another one.
    fn says(&self, of: &Self, claims: Value) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
        let claims = json!({ "iat": 1, "iss": self.name(), "sub": of.name(), "name": "a test", "nats": claims });
        let text = format!("{head}.{}", part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

/// Base32 (RFC 4648) of bytes with their checksum: CRC-16 with the polynomial 0x1021, the lower byte first.
fn written(mut bytes: Vec<u8>) -> String {
    let sum = bytes.iter().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| sum << 1 ^ if sum >> 15 == 1 { 0x1021 } else { 0 })
    });
    bytes.extend(sum.to_le_bytes());
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |at: usize| {
        let five = &bits[at..bits.len().min(at + 5)];
        char::from(letters[usize::from_str_radix(&format!("{five:0<5}"), 2).unwrap()])
    };
    (0..bits.len()).step_by(5).map(letter).collect()
}

/// A user's file, as `nsc` writes it.
fn credentials(user: &Key, by: &Key) -> String {
    let said = by.says(user, json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 }));
    format!(
        "-----BEGIN NATS USER JWT-----\n{said}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.secret()
    )
}

#[test]
fn a_farm_shows_its_credentials_to_nats() {
    let [operator, system, account, stranger] =
        [(OPERATOR, 1), (ACCOUNT, 2), (ACCOUNT, 3), (ACCOUNT, 4)].map(|(kind, number)| Key::new(kind, number));
    let user = Key::new(USER, 5);
    // The system's account, which each such server has, keeps nothing.
    let known = [(&system, 0), (&account, -1)].map(|(of, kept)| {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": kept, "disk_storage": kept, "streams": kept, "consumer": kept
        });
        let says = operator.says(of, json!({ "type": "account", "version": 2, "limits": limits }));
        format!("{}: {says}", of.name())
    });
    let (server, url, _folder) = server_with(&format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n{}\n}}\n",
        operator.says(&operator, json!({ "type": "operator", "version": 2 })),
        system.name(),
        known.join("\n")
    ));
    let bench = Bench::new();
    let serve = |by: Option<&Key>| {
        let mut command =
            bench.command(["farm", "serve", "--listen", "127.0.0.1:0", "--queue", &url, "--without-worker"]);
        if let Some(by) = by {
            command.arg("--queue-credentials").arg(bench.write("user.creds", credentials(&user, by)));
        }
        command.env("REPROVE_FARM_DATA", bench.path("farm"));
        Running::start(command)
    };
    for none in [None, Some(&stranger)] {
        let ran = serve(none).wait(Duration::from_secs(60)).with_code(4);
        assert!(ran.stderr.contains("lets nobody in with these credentials"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(&user.secret()), "{}", ran.stderr);
    }
    let mut farm = serve(Some(&account));
    assert!(wait_until(Duration::from_secs(60), || farm.stdout().contains("a farm at")), "{}", farm.stderr());
    let url = farm.stdout().lines().find_map(|line| line.strip_prefix("a farm at ").map(str::to_owned)).unwrap();
    let mut submit = bench.command(["farm", "submit", "pkg:pypi/idna@3.20", "--farm", &url]);
    submit.env("REPROVE_FARM_TOKEN", fs::read_to_string(bench.path("farm/token")).unwrap().trim());
    let _ = Running::start(submit).wait(Duration::from_secs(60)).with_code(0);
    assert!(farm.ended(Duration::ZERO).is_none());
    drop(server);
}
