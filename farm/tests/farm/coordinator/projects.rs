// SPDX-License-Identifier: Apache-2.0
//! Projects, whose source is sent: what is built is what was sent, and several rebuilders have to build the same bytes.

use reprove_attest::{Proof, RebuildVerdict, Rebuilder};
use reprove_farm::source::{self, MAX_SOURCE, SourceError};
use reprove_farm::{Accepted, Assignment, Brought, FarmError, Outcome, Refusal, Request, Work};
use reprove_model::{
    Between, Content, Digest, DigestSet, Environment, Input, LinkTarget, Lock, LockedEnvironment, Node, Recipe, Role,
    Tree, TreePath, Verdict,
};
use reprove_store::Store;

use crate::support::{Farm, Hand, START, details, package, record, tree};

fn recipe(step: &str) -> Recipe {
    let text = format!(
        "package = {{ name = 'hello', version = '1.0' }}\nsource = {{ directory = '.' }}\n\
         build = {{ steps = ['{step}'], source-date-epoch = {{ at = 315532800 }} }}\noutputs = {{ directory = 'dist' }}\n"
    );
    Recipe::from_toml(&text).unwrap()
}

/// A source with one file, in the store, and as it is sent.
fn sent(farm: &Farm, bytes: &[u8]) -> (Digest, Vec<u8>) {
    let store = farm.coordinator().store();
    store.add_bytes(bytes).unwrap();
    let tree = tree("main.c", bytes);
    (tree.digest().blake3, source::pack(store, &tree).unwrap())
}

fn request(source: Digest, rebuilders: u8) -> Request {
    let work = Work::Project { recipe: Box::new(recipe("make")), source };
    Request { work, rebuilders, ..Request::of(package("a")) }
}

/// What a worker brings that has built `recipe` and `source` to these bytes.
fn built(by: &Hand, job: &Assignment, of: (Recipe, &[u8]), output: &[u8]) -> (reprove_farm::Report, Brought) {
    built_to(by, job, of, [output; 2])
}

/// The same, of two builds that may have given different bytes.
fn built_to(
    by: &Hand,
    job: &Assignment,
    (recipe, source): (Recipe, &[u8]),
    outputs: [&[u8]; 2],
) -> (reprove_farm::Report, Brought) {
    let digest = tree("main.c", source).digest();
    let input =
        Input { name: "source".parse().unwrap(), role: Role::Source, purl: None, content: Content::Tree { digest } };
    let environment =
        LockedEnvironment { kind: Environment::HostUsr, description: "a test".into(), digest: DigestSet::of(b"usr") };
    let lock = Lock { recipe, inputs: vec![input], environment, published: None };
    let same = outputs[0] == outputs[1];
    let mut number = 0..;
    let records = outputs.map(|output| record(&lock, number.next().unwrap(), tree("hello", output)));
    let mut verdict = Verdict { matches_published: None, rebuilds_agree: same, ..details("hello", same) };
    verdict.findings.iter_mut().for_each(|finding| finding.between = Between::Rebuilds);
    let at = START.timestamp();
    let proof =
        Proof::sign(&by.key, &lock, &records.each_ref(), &verdict, &Rebuilder::default(), at, Vec::new()).unwrap();
    let proof = proof.to_bytes().unwrap();
    let verdict = if same { RebuildVerdict::BitIdentical } else { RebuildVerdict::Different };
    let outcome = Outcome::Verdict { verdict, proof: DigestSet::of(&proof), log: None };
    (by.report(job, outcome), Brought { proof: Some(proof), log: None })
}

/// A farm with a project that is asked for, and two workers.
async fn farm(rebuilders: u8) -> (Farm, [Hand; 2]) {
    let (farm, hands) = (Farm::new().await, [1, 2].map(Hand::new));
    for hand in &hands {
        hand.register(&farm).await;
    }
    let (tree, packed) = sent(&farm, b"int main;");
    assert!(farm.coordinator().add_source(tree, packed, "somebody").await.unwrap());
    farm.submit(request(tree, rebuilders)).await;
    (farm, hands)
}

#[tokio::test]
async fn a_project_is_asked_for_with_its_source_and_not_without() {
    let farm = Farm::new().await;
    let (tree, packed) = sent(&farm, b"int main;");
    let asked = || farm.coordinator().submit(vec![request(tree, 1)], "somebody", false);
    assert!(matches!(asked().await, Err(FarmError::NoSource(missing)) if missing == tree));
    assert!(matches!(farm.coordinator().source(tree).await, Err(FarmError::NoSource(_))));
    assert!(farm.coordinator().add_source(tree, packed.clone(), "somebody").await.unwrap());
    assert!(!farm.coordinator().add_source(tree, packed.clone(), "another").await.unwrap());
    assert_eq!(farm.coordinator().source(tree).await.unwrap(), packed);
    assert!(asked().await.unwrap()[0].new);
    let shown = farm.text("SELECT subject || ' ' || ecosystem || ' ' || package || ' ' || version FROM build").await;
    assert_eq!(shown, "project hello@1.0 project hello 1.0");
}

#[tokio::test]
async fn a_source_of_another_digest_is_not_kept() {
    let farm = Farm::new().await;
    let (tree, packed) = sent(&farm, b"int main;");
    let other = Digest::of(b"another");
    let result = farm.coordinator().add_source(other, packed.clone(), "somebody").await;
    assert!(matches!(result, Err(FarmError::Source(SourceError::Other { .. }))), "{result:?}");
    for wrong in [b"no archive".to_vec(), packed[..packed.len() / 2].to_vec()] {
        let result = farm.coordinator().add_source(tree, wrong, "somebody").await;
        assert!(matches!(result, Err(FarmError::Source(SourceError::Unpack(_)))), "{result:?}");
    }
    for digest in [tree, other] {
        assert!(matches!(farm.coordinator().source(digest).await, Err(FarmError::NoSource(_))));
    }
}

#[test]
fn a_tree_arrives_as_it_was_sent_and_no_larger_than_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let file = |bytes: &[u8], mode| {
        store.add_bytes(bytes).unwrap();
        Node::File { mode, size: bytes.len() as u64, digest: DigestSet::of(bytes) }
    };
    let long = format!("d/{}", "n".repeat(200));
    let entries = [
        ("a", file(b"a", 0o664)),
        ("closed", Node::Directory { mode: 0o555 }),
        ("closed/secret", file(b"b", 0o000)),
        ("d", Node::Directory { mode: 0o775 }),
        (long.as_str(), file(b"", 0o600)),
        ("d/far", Node::Symlink { target: LinkTarget::new(format!("../{}", "n/".repeat(200)).as_str()).unwrap() }),
        ("d/link", Node::Symlink { target: LinkTarget::new("../..//a/./b").unwrap() }),
        ("x", file(b"#!/bin/sh", 0o755)),
    ];
    let tree = Tree::new(entries.map(|(path, node)| (TreePath::new(path).unwrap(), node)).into()).unwrap();
    let portable = source::portable(&tree).unwrap();
    assert_ne!(portable.digest(), tree.digest(), "others may not write");
    let packed = source::pack(&store, &portable).unwrap();
    let there = Store::open(&folder.path().join("there")).unwrap();
    assert_eq!(source::unpack(&there, &packed, &portable.digest().blake3).unwrap(), portable);
    let too_large = vec![0; MAX_SOURCE + 1];
    let result = source::unpack(&there, &too_large, &portable.digest().blake3);
    assert!(matches!(result, Err(SourceError::TooLarge)), "{result:?}");
    // Zeros are an empty archive.
    let result = source::unpack(&there, &too_large[1..], &portable.digest().blake3);
    assert!(matches!(result, Err(SourceError::Other { .. })), "{result:?}");
}

#[tokio::test]
async fn a_project_that_was_built_to_the_same_by_two_is_reproduced() {
    let (farm, hands) = farm(2).await;
    for hand in &hands {
        let job = hand.lease(&farm).await.unwrap();
        let brought = built(hand, &job, (recipe("make"), b"int main;"), b"hello");
        assert_eq!(hand.bring(&farm, &job, brought).await.unwrap(), Accepted::Decided);
    }
    assert_eq!(farm.text("SELECT verdict FROM build").await, "bit-identical");
}

#[tokio::test]
async fn a_project_that_two_built_to_other_bytes_is_disputed() {
    let (farm, hands) = farm(2).await;
    for (hand, output) in hands.iter().zip([b"hello", b"other"]) {
        let job = hand.lease(&farm).await.unwrap();
        let brought = built(hand, &job, (recipe("make"), b"int main;"), output);
        assert_eq!(hand.bring(&farm, &job, brought).await.unwrap(), Accepted::Decided);
    }
    assert_eq!(farm.text("SELECT verdict FROM build").await, "disputed");
}

#[tokio::test]
async fn a_project_that_differs_from_build_to_build_is_so_for_all_and_disputed_by_none() {
    let (farm, hands) = farm(2).await;
    for (hand, outputs) in hands.iter().zip([[b"one", b"two"], [b"3rd", b"4th"]]) {
        let job = hand.lease(&farm).await.unwrap();
        let brought = built_to(hand, &job, (recipe("make"), b"int main;"), outputs.map(|bytes| bytes.as_slice()));
        assert_eq!(hand.bring(&farm, &job, brought).await.unwrap(), Accepted::Decided);
    }
    assert_eq!(farm.text("SELECT verdict FROM build").await, "different");
}

#[tokio::test]
async fn a_proof_of_another_recipe_or_another_source_is_none_of_the_project() {
    for (step, source) in [("true", b"int main;".as_slice()), ("make", b"int other;")] {
        let (farm, [liar, other]) = farm(1).await;
        let job = liar.lease(&farm).await.unwrap();
        let brought = built(&liar, &job, (recipe(step), source), b"hello");
        let result = liar.bring(&farm, &job, brought).await;
        assert!(matches!(result, Err(FarmError::Refused(Refusal::OtherSubject { .. }))), "{result:?}");
        // Nor is one of a package.
        farm.pass(farm.settings.lease + farm.settings.most_back_off).await;
        let job = other.lease(&farm).await.unwrap();
        let package =
            crate::support::proof(&package("hello"), &other.key, RebuildVerdict::BitIdentical, other.profile.isolation);
        let outcome =
            Outcome::Verdict { verdict: RebuildVerdict::BitIdentical, proof: DigestSet::of(&package), log: None };
        let result =
            other.bring(&farm, &job, (other.report(&job, outcome), Brought { proof: Some(package), log: None })).await;
        assert!(matches!(result, Err(FarmError::Refused(Refusal::OtherSubject { .. }))), "{result:?}");
        assert_eq!(farm.count("SELECT count(*) FROM report").await, 0);
    }
}
