// SPDX-License-Identifier: Apache-2.0
//! Workers that lie: nothing of it counts, the job goes to another, and whoever does it often gets no more.

use reprove_attest::RebuildVerdict::{BitIdentical, Different};
use reprove_farm::{Accepted, Assignment, Brought, FarmError, Outcome, Refusal, Report, Request};
use reprove_model::{DigestSet, Isolation};

use crate::support::{Farm, Hand, package, proof};

/// A farm with two workers, of which the first has a job.
async fn farm() -> (Farm, [Hand; 2], Assignment) {
    let (farm, hands) = (Farm::new().await, [1, 2].map(Hand::new));
    for hand in &hands {
        hand.register(&farm).await;
    }
    farm.submit(Request::of(package("a"))).await;
    let job = hands[0].lease(&farm).await.unwrap();
    (farm, hands, job)
}

/// What came of a lie. Afterwards nothing is decided, and another worker can do the job.
async fn refused(farm: &Farm, other: &Hand, result: Result<Accepted, FarmError>) -> Refusal {
    let Err(FarmError::Refused(refusal)) = result else { panic!("{result:?}") };
    assert_eq!(farm.count("SELECT count(*) FROM report").await, 0);
    farm.pass(farm.settings.lease + farm.settings.most_back_off).await;
    let job = other.lease(farm).await.unwrap();
    assert_eq!(other.finish(farm, &job, BitIdentical).await, Accepted::Decided);
    refusal
}

#[tokio::test]
async fn a_proof_of_another_digest() {
    let (farm, [liar, other], job) = farm().await;
    let (report, brought) = liar.verdict(&job, BitIdentical);
    let mut proof = brought.proof.clone().unwrap();
    proof.push(b'\n');
    let result = liar.bring(&farm, &job, (report, Brought { proof: Some(proof), ..brought })).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::OtherBytes("proof")));
}

#[tokio::test]
async fn a_better_word_than_the_proof_has() {
    let (farm, [liar, other], job) = farm().await;
    let (report, brought) = liar.verdict(&job, Different);
    let Outcome::Verdict { proof, log, .. } = report.outcome else { panic!() };
    let report = Report { outcome: Outcome::Verdict { verdict: BitIdentical, proof, log }, ..report };
    let result = liar.bring(&farm, &job, (report, brought)).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::OtherVerdict { .. }));
}

#[tokio::test]
async fn a_proof_that_somebody_else_signed() {
    let (farm, [liar, other], job) = farm().await;
    let forged = proof(&package("a"), &Hand::new(9).key, BitIdentical, Isolation::Namespaces);
    let outcome = Outcome::Verdict { verdict: BitIdentical, proof: DigestSet::of(&forged), log: None };
    let brought = Brought { proof: Some(forged), log: None };
    let result = liar.bring(&farm, &job, (liar.report(&job, outcome), brought)).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::Audit(_)));
}

#[tokio::test]
async fn a_report_that_somebody_else_signed() {
    let (farm, [liar, other], job) = farm().await;
    let (report, brought) = liar.verdict(&job, BitIdentical);
    let envelope = Hand::new(9).sign(report, &job.request);
    let result = farm.coordinator().report(liar.name(), envelope, brought).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::Report(_)));
}

#[tokio::test]
async fn a_report_in_the_name_of_another() {
    let (farm, [liar, other], job) = farm().await;
    let (report, brought) = liar.verdict(&job, BitIdentical);
    let result = liar.bring(&farm, &job, (Report { worker: other.name().clone(), ..report }, brought)).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::OtherWorker { .. }));
}

#[tokio::test]
async fn a_report_on_a_job_that_another_has() {
    let (farm, [holder, liar], job) = farm().await;
    let (report, brought) = liar.verdict(&job, BitIdentical);
    let result = liar.bring(&farm, &job, (report, brought)).await;
    assert!(matches!(result, Err(FarmError::Refused(Refusal::Stale { .. }))), "{result:?}");
    // Who has it goes on.
    assert_eq!(holder.finish(&farm, &job, BitIdentical).await, Accepted::Decided);
}

#[tokio::test]
async fn a_report_that_is_played_again_for_another_job() {
    let (farm, [liar, other], first) = farm().await;
    let old = liar.verdict(&first, BitIdentical);
    liar.bring(&farm, &first, old.clone()).await.unwrap();
    let again = farm.coordinator().submit(vec![first.request.clone()], "x", true).await.unwrap()[0].build;
    let second = liar.lease(&farm).await.unwrap();
    assert_eq!(second.lease.job.build, again);
    // As it was: it is the first job's, which is decided by it.
    assert_eq!(liar.bring(&farm, &second, old.clone()).await.unwrap(), Accepted::Already);
    assert_eq!(farm.count("SELECT count(*) FROM report").await, 1);
    drop(other);
}

#[tokio::test]
async fn a_proof_about_another_package() {
    let (farm, [liar, other], job) = farm().await;
    let foreign = proof(&package("b"), &liar.key, BitIdentical, Isolation::Namespaces);
    let outcome = Outcome::Verdict { verdict: BitIdentical, proof: DigestSet::of(&foreign), log: None };
    let brought = Brought { proof: Some(foreign), log: None };
    let result = liar.bring(&farm, &job, (liar.report(&job, outcome), brought)).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::OtherSubject { .. }));
}

#[tokio::test]
async fn a_proof_out_of_another_isolation_than_it_is_registered_for() {
    let farm = Farm::new().await;
    let [mut liar, other] = [1, 2].map(Hand::new);
    liar.profile.isolation = Isolation::Vm;
    liar.register(&farm).await;
    other.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    let job = liar.lease(&farm).await.unwrap();
    let weaker = proof(&package("a"), &liar.key, BitIdentical, Isolation::Namespaces);
    let outcome = Outcome::Verdict { verdict: BitIdentical, proof: DigestSet::of(&weaker), log: None };
    let brought = Brought { proof: Some(weaker), log: None };
    let result = liar.bring(&farm, &job, (liar.report(&job, outcome), brought)).await;
    assert!(matches!(refused(&farm, &other, result).await, Refusal::OtherIsolation { .. }));
}

#[tokio::test]
async fn evidence_that_nobody_here_can_judge() {
    let farm = Farm::new().await;
    let mut liar = Hand::new(1);
    liar.profile.isolation = Isolation::SevSnp;
    let registered = farm.coordinator().register(&liar.registration(), liar.admission.clone()).await;
    assert!(matches!(registered, Err(FarmError::NotAdmitted(_))), "{registered:?}");
}

#[tokio::test]
async fn a_name_that_belongs_to_another() {
    let (farm, [first, _], _) = farm().await;
    let other_key = Hand::named("w1", 7);
    let taken = farm.coordinator().register(&other_key.registration(), first.admission.clone()).await;
    assert!(matches!(taken, Err(FarmError::NameTaken(_, "key"))), "{taken:?}");
    let other_token = reprove_farm::Admission { token: "stolen".to_owned(), ..first.admission.clone() };
    let taken = farm.coordinator().register(&first.registration(), other_token).await;
    assert!(matches!(taken, Err(FarmError::NameTaken(_, "token"))), "{taken:?}");
    // A key that the one who registers does not have.
    let mut stolen = Hand::new(8);
    stolen.profile.public_key = first.profile.public_key.clone();
    let registered = farm.coordinator().register(&stolen.registration(), stolen.admission.clone()).await;
    assert!(matches!(registered, Err(FarmError::NotAdmitted(_))), "{registered:?}");
}

#[tokio::test]
async fn who_lies_often_gets_no_jobs_any_more_until_somebody_says_otherwise() {
    let (farm, [liar, _], mut job) = farm().await;
    for n in 1..=farm.settings.most_refused {
        let (report, brought) = liar.verdict(&job, BitIdentical);
        let result = liar.bring(&farm, &job, (report, Brought { proof: None, ..brought })).await;
        assert!(matches!(result, Err(FarmError::Refused(Refusal::Missing("proof")))), "{result:?}");
        farm.pass(farm.settings.most_back_off).await;
        let next = farm.coordinator().lease(liar.name()).await;
        if n < farm.settings.most_refused {
            job = next.unwrap().unwrap();
        } else {
            assert!(matches!(next, Err(FarmError::Banned(..))), "{next:?}");
        }
    }
    // Coming back under the same name does not help.
    liar.register(&farm).await;
    assert!(farm.coordinator().lease(liar.name()).await.is_err());
    farm.coordinator().admit_again(liar.name()).await.unwrap();
    let job = liar.lease(&farm).await.unwrap();
    // What was is forgotten: it takes as many again.
    let (report, brought) = liar.verdict(&job, BitIdentical);
    liar.bring(&farm, &job, (report, Brought { proof: None, ..brought })).await.unwrap_err();
    farm.pass(farm.settings.most_back_off).await;
    assert!(liar.lease(&farm).await.is_some());
}

#[tokio::test]
async fn who_lies_about_another_s_job_is_blamed_and_the_other_is_not() {
    let (farm, [holder, liar], job) = farm().await;
    for _ in 0..farm.settings.most_refused {
        let (report, brought) = holder.verdict(&job, BitIdentical);
        let result = liar.bring(&farm, &job, (report, brought)).await;
        assert!(matches!(result, Err(FarmError::Refused(Refusal::OtherWorker { .. }))), "{result:?}");
    }
    let banned = farm.coordinator().lease(liar.name()).await;
    assert!(matches!(banned, Err(FarmError::Banned(..))), "{banned:?}");
    assert_eq!(holder.finish(&farm, &job, BitIdentical).await, Accepted::Decided);
    assert_eq!(farm.text("SELECT outcome FROM attempt").await, "decided");
}

#[tokio::test]
async fn another_name_with_the_same_key_or_token_is_banned_as_well() {
    let (farm, [liar, other], job) = farm().await;
    farm.coordinator().ban(liar.name(), "a test").await.unwrap();
    // Neither what it was at counts.
    let progress = farm.coordinator().progress(&job.lease, vec![]).await;
    assert!(matches!(progress, Err(FarmError::Banned(..))), "{progress:?}");
    let brought = liar.bring(&farm, &job, liar.verdict(&job, BitIdentical)).await;
    assert!(matches!(brought, Err(FarmError::Banned(..))), "{brought:?}");
    let same_key = Hand::named("again", 1);
    let same_token = Hand { admission: liar.admission.clone(), ..Hand::new(5) };
    for hand in [&same_key, &same_token] {
        hand.register(&farm).await;
        let lease = farm.coordinator().lease(hand.name()).await;
        assert!(matches!(lease, Err(FarmError::Banned(..))), "{lease:?}");
    }
    farm.pass(farm.settings.lease).await;
    assert!(other.lease(&farm).await.is_some());
}

#[tokio::test]
async fn what_a_worker_becomes_while_it_works_does_not_count() {
    let farm = Farm::new().await;
    let [mut liar, other] = [1, 2].map(Hand::new);
    liar.profile.isolation = Isolation::Vm;
    liar.register(&farm).await;
    let requires = reprove_farm::Requires { isolation: Some(Isolation::Vm), ..Default::default() };
    farm.submit(Request { requires, ..Request::of(package("a")) }).await;
    let job = liar.lease(&farm).await.unwrap();
    liar.profile.isolation = Isolation::Namespaces;
    liar.register(&farm).await;
    let result = liar.bring(&farm, &job, liar.verdict(&job, BitIdentical)).await;
    assert!(matches!(result, Err(FarmError::Refused(Refusal::OtherIsolation { .. }))), "{result:?}");
    assert_eq!(farm.count("SELECT count(*) FROM report").await, 0);
    drop(other);
}
