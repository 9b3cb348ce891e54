// SPDX-License-Identifier: Apache-2.0
//! A farm that believes an EMULATED confidential machine, a worker that builds in one, and what the holder of its key may say
//! besides: the evidence of one build counts for that build alone, below a root that the farm trusts.

use std::fs;
use std::time::Duration;

use reprove_attest::evidence::Evidence;
use reprove_attest::{Envelope, Proof, RebuildVerdict, SigningKey};
use reprove_farm::access::Token;
use reprove_farm::{
    Accepted, Architecture, Assignment, Brought, Client, ClientError, Name, Outcome, Profile, Report, tls,
};
use reprove_model::{DigestSet, Isolation, Sha256, canonical};
use reprove_tests::{Bench, kernel_package, shared_store};
use serde_json::Value;

use super::served::{Farm, build_of};

const PACKAGE: &str = "pkg:pypi/idna@3.20";
const WORKER: &str = "emulated";

/// A place where EMULATED machines are started.
struct Machines {
    bench: Bench,
    /// The root of its emulation.
    root: String,
    /// The guest, as a trust file has it.
    guest: String,
}

impl Machines {
    fn new() -> Self {
        let bench = Bench::with_machines();
        let (store, package) = (shared_store(), kernel_package());
        let store = store.to_str().unwrap();
        let make = ["image", "build", "guest", "--kernel", package.to_str().unwrap(), "--store", store];
        let _ = bench.run(make).with_code(0);
        let tee = bench.run(["tee", "--json"]).with_code(0).json();
        let root = tee["emulated"][0]["root"].as_str().unwrap().to_owned();
        assert_eq!(tee["emulated"][0]["isolation"], "emulated-snp");
        let measured = bench.run(["image", "measure", "--json", "--store", store]).with_code(0).json();
        let parts = ["firmware", "kernel", "initrd"].map(|part| format!("{part} = {}\n", measured[part]));
        Self { bench, root, guest: format!("[[guest]]\nname = 'ours'\n{}", parts.concat()) }
    }

    /// A farm that believes this guest below this root, and no worker of its own.
    fn farm(&self, root: &str) -> Farm {
        let key = fs::read_to_string(self.bench.public_key()).unwrap();
        let key = format!("[[key]]\npublic = '''\n{key}'''\noperator = 'machines'\nplatform = 'a test'\n");
        let trust = format!("{key}[tee]\nemulated-roots = ['{root}']\n{}", self.guest);
        let path = self.bench.write(&format!("{root}.toml"), trust);
        Farm::new(&["--without-worker", "--trust", path.to_str().unwrap()])
    }

    /// The worker's key.
    fn key(&self) -> SigningKey {
        SigningKey::from_pkcs8_pem(&fs::read_to_string(self.bench.path("key.pem")).unwrap()).unwrap()
    }
}

/// Whoever has the worker's key and its token, and says what they like.
struct Holder<'a> {
    farm: &'a Farm,
    client: Client,
    key: SigningKey,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Holder<'a> {
    fn new(farm: &'a Farm, token: &str, key: SigningKey) -> Self {
        let token = Some(Token::read(token).unwrap());
        let client = Client::new(&farm.url, token, tls::asking_nobody().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { farm, client, key, runtime }
    }

    fn name() -> Name {
        WORKER.parse().unwrap()
    }

    fn register(&self, isolation: Isolation) {
        let profile = Profile {
            name: Self::name(),
            public_key: self.key.public_key().to_spki_pem().unwrap(),
            platform: "a test".to_owned(),
            isolation,
            architecture: Architecture::own().unwrap(),
        };
        let profile = Envelope::sign(&self.key, canonical::to_vec(&profile).unwrap()).unwrap();
        self.runtime.block_on(self.client.register(profile)).unwrap();
    }

    /// Submits one more request, which differs from others in how many it is for, and gets a job of it.
    fn job(&self, rebuilders: u8) -> Assignment {
        let rebuilders = rebuilders.to_string();
        let _ = self.farm.run(&["submit", PACKAGE, "--rebuilders", &rebuilders]).with_code(0);
        self.runtime.block_on(self.client.lease(&Self::name(), 5)).unwrap().unwrap()
    }

    /// Brings a proof for a job, with a report that says nothing else than it.
    fn bring(&self, of: &Assignment, proof: &Proof) -> Result<Accepted, ClientError> {
        let proof = proof.to_bytes().unwrap();
        let verdict = RebuildVerdict::BitIdentical;
        let report = Report {
            job: of.lease.job,
            epoch: of.lease.epoch,
            worker: Self::name(),
            outcome: Outcome::Verdict { verdict, proof: DigestSet::of(&proof), log: None },
            finished_on: "2026-11-01T13:00:00Z".parse().unwrap(),
        };
        let report = report.sign(&of.request.subject(), of.request.digest().unwrap(), &self.key).unwrap();
        let brought = Brought { proof: Some(proof), log: None };
        self.runtime.block_on(self.client.report(&Self::name(), report, &brought))
    }

    /// That a lie is refused with this reason, and nothing of it counts.
    fn refused(&self, of: &Assignment, proof: &Proof, why: &str) {
        let Err(ClientError::Refused { detail, .. }) = self.bring(of, proof) else { panic!("it was taken: {why}") };
        assert!(detail.contains(why), "{detail}");
        let view = self.farm.run(&["status", &of.lease.job.build.to_string(), "--json"]).json();
        let job = &view["jobs"][usize::from(of.lease.job.slot - 1)];
        let attempt = &job["attempts"][0];
        assert_eq!((&attempt["outcome"], &job["verdict"]), (&"refused".into(), &Value::Null), "{view}");
    }
}

/// The proof with other evidence, of which its comparison names what is now for each rebuild, and is signed again.
fn with(proof: &Proof, key: &SigningKey, change: impl FnOnce(&mut [Evidence])) -> Proof {
    let mut other = proof.clone();
    change(&mut other.evidence);
    let comparison = other.envelopes.pop().unwrap();
    let mut statement: Value = serde_json::from_slice(comparison.payload()).unwrap();
    for rebuild in statement["predicate"]["rebuilds"].as_array_mut().unwrap() {
        let of = |evidence: &&Evidence| rebuild["provenance"]["sha256"] == evidence.payload.to_string();
        let digest = other.evidence.iter().find(of).unwrap().digest().unwrap();
        assert!(rebuild["evidence"].is_object(), "it names none");
        rebuild["evidence"] = serde_json::to_value(digest).unwrap();
    }
    other.envelopes.push(Envelope::sign(key, canonical::to_vec(&statement).unwrap()).unwrap());
    other
}

#[test]
fn what_is_built_in_an_emulated_machine_counts_by_the_evidence_of_that_build_alone() {
    let machines = Machines::new();
    let farm = machines.farm(&machines.root);
    let token = farm.token("machines", "work");
    let submitted = farm.run(&["submit", PACKAGE, "--isolation", "emulated-snp"]).with_code(0);
    let build = build_of(&submitted);
    let store = shared_store();
    let options = ["--isolation", "emulated-snp", "--engine", "qemu-tcg", "--jobs", "1", "--platform", "a test"];
    let options = [&options[..], &["--store", store.to_str().unwrap()]].concat();
    let ran = farm.worker(&machines.bench, WORKER, &token, &options).wait(Duration::from_secs(900)).with_code(0);
    assert!(ran.stderr.contains(&format!("{build}-1: decided")), "{}", ran.stderr);

    let status = farm.run(&["status", &build, "-o", "emulated.proof.json"]).with_code(0);
    let said = "bit-identical by emulated, in emulated-snp (EMULATED - NOT HARDWARE)";
    assert!(status.stdout.contains(said), "{}", status.stdout);
    let holder = Holder::new(&farm, &token, machines.key());
    for page in [format!("/builds/{build}"), "/operations".to_owned()] {
        let page = holder.runtime.block_on(holder.client.get(&page)).unwrap();
        let page = String::from_utf8(page.to_vec()).unwrap();
        assert!(page.contains("EMULATED - NOT HARDWARE"), "{page}");
    }
    let proof = Proof::from_bytes(&fs::read(farm.bench.path("work/emulated.proof.json")).unwrap()).unwrap();
    assert_eq!(proof.evidence.len(), 2);

    // Another question than the processor answered.
    let asked = with(&proof, &holder.key, |evidence| evidence[0].nonce = Sha256::of(b"another"));
    holder.refused(&holder.job(1), &asked, "it binds other data");
    // What it said of another build.
    let swapped = with(&proof, &holder.key, |evidence| {
        let first = evidence[0].payload;
        evidence[0].payload = evidence[1].payload;
        evidence[1].payload = first;
    });
    holder.refused(&holder.job(2), &swapped, "has another job than the provenance");
    // The same proof is not what a worker in namespaces was asked for.
    holder.register(Isolation::Namespaces);
    let why = "it was built in emulated-snp, and the worker is registered for namespaces";
    holder.refused(&holder.job(3), &proof, why);

    // Below a root that a farm does not trust, nothing of it counts.
    let other = machines.farm(&"0".repeat(64));
    let token = other.token("machines", "work");
    let holder = Holder::new(&other, &token, machines.key());
    holder.register(Isolation::EmulatedSnp);
    holder.refused(&holder.job(1), &proof, &machines.root);
}
