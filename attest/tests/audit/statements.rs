// SPDX-License-Identifier: Apache-2.0
//! Lies that the holder of the right key could sign, and that other statements of the same proof give away.

use std::collections::BTreeSet;

use reprove_attest::{
    Annotations, AuditError, Claim, Envelope, Inconsistency, ProvenanceFault, Shared, Statement, StatementError,
};
use reprove_model::{
    Clock, Derived, Digest, DigestSet, Exit, FileSystem, Isolation, Loss, Node, RecordMode, canonical,
};

use crate::support::*;

/// Signs these payloads with the right key and audits them.
fn judge_payloads(payloads: Vec<Vec<u8>>) -> AuditError {
    judge(&proof(payloads.into_iter().map(|p| Envelope::sign(&key(), p).unwrap()).collect())).unwrap_err()
}

#[test]
fn an_unknown_type_is_refused() {
    for (from, to) in [
        ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v2"),
        ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v2"),
        ("/rebuild-comparison/v0.1", "/rebuild-comparison/v0.2"),
    ] {
        let change = |payload: Vec<u8>| String::from_utf8(payload).unwrap().replacen(from, to, 1).into_bytes();
        let error = judge_payloads(Case::published().payloads().into_iter().map(change).collect());
        let AuditError::Statement { why, .. } = error else { panic!("{error}") };
        assert!(matches!(why, StatementError::StatementType(_) | StatementError::PredicateType(_)), "{why}");
    }
}

#[test]
fn a_statement_is_read_in_one_form_alone() {
    let payload = Case::published().payloads().remove(0);
    let text = String::from_utf8(payload.clone()).unwrap();
    for bad in [
        format!("{text}\n"),
        format!(" {text}"),
        text.replacen("\"network\"", "\"more\":1,\"network\"", 1),
        text.replacen("\"predicateType\"", "\"more\":1,\"predicateType\"", 1),
        text.replacen("\"annotations\"", "\"annotations\":null,\"annotations\"", 1),
        text.replacen("\"digest\":{", "\"digest\":{\"md5\":\"0\",", 1),
        text.replacen("\"network\":\"none\"", "\"network\":\"host\"", 1),
        text.replacen("12:00:00Z", "12:00:00.0Z", 1),
        text.replacen("12:00:00Z", "13:00:00+01:00", 1),
    ] {
        assert_ne!(bad, text);
        assert!(Statement::from_payload(bad.as_bytes()).is_err(), "{bad}");
        let mut payloads = Case::published().payloads();
        payloads[0] = bad.into_bytes();
        assert!(matches!(judge_payloads(payloads), AuditError::Statement { envelope: 1, .. }));
    }
    Statement::from_payload(&payload).unwrap();
}

#[test]
fn exactly_one_comparison_comes_last() {
    let [a, b, c] = <[_; 3]>::try_from(Case::published().payloads()).unwrap();
    let with = |payloads: &[&Vec<u8>]| judge_payloads(payloads.iter().map(|p| (*p).clone()).collect());
    assert!(matches!(with(&[&a, &b]), AuditError::NoComparison));
    assert!(matches!(with(&[&a, &b, &c, &c]), AuditError::ManyComparisons(2)));
    assert!(matches!(with(&[&a, &c, &b]), AuditError::ComparisonNotLast(2)));
    assert!(matches!(with(&[&c, &a, &b]), AuditError::ComparisonNotLast(1)));
}

#[test]
fn the_provenances_are_those_that_were_compared() {
    let [a, b, c] = <[_; 3]>::try_from(Case::published().payloads()).unwrap();
    let with = |payloads: &[&Vec<u8>]| {
        let error = judge_payloads(payloads.iter().map(|p| (*p).clone()).collect());
        let AuditError::Inconsistent(why) = error else { panic!("{error}") };
        why
    };
    assert!(matches!(with(&[&c]), Inconsistency::Rebuilds(0)));
    assert!(matches!(with(&[&a, &c]), Inconsistency::Rebuilds(1)));
    assert!(matches!(with(&[&a, &b, &b, &c]), Inconsistency::Count { claimed: 2, present: 3 }));
    assert!(matches!(with(&[&b, &a, &c]), Inconsistency::OtherProvenance { rebuild: 1, .. }));
    assert!(matches!(with(&[&a, &a, &c]), Inconsistency::OtherProvenance { rebuild: 2, .. }));
}

#[test]
fn one_build_is_not_two() {
    let why = refused(Case::published(), |case| {
        case.provenances[1] = case.provenances[0].clone();
        case.comparison().rebuilds[1] = case.comparison().rebuilds[0].clone();
        case.comparison().details.varied.clear();
    });
    assert!(matches!(why, Inconsistency::SameBuild { rebuild: 2 }), "{why}");
}

#[test]
fn the_comparison_claims_what_the_provenances_say() {
    let other = DigestSet::of(b"other");
    let claim = |tamper: fn(&mut Case, DigestSet)| match refused(Case::published(), |case| tamper(case, other)) {
        Inconsistency::Claim { rebuild: 2, what } => what,
        why => panic!("{why}"),
    };
    assert_eq!(claim(|case, other| case.comparison().rebuilds[1].record = other), Claim::Record);
    assert_eq!(claim(|case, other| case.comparison().rebuilds[1].outputs = other), Claim::Outputs);
    assert_eq!(claim(|case, other| case.comparison().rebuilds[1].artifact = Some(other)), Claim::Artifact);
    assert_eq!(claim(|case, _| case.comparison().rebuilds[1].artifact = None), Claim::Artifact);
    assert_eq!(claim(|case, _| case.comparison().rebuilds[1].conditions.processors = 9), Claim::Conditions);
    // The artifact's digest in the comparison is that of the provenance's subject, so it can't be changed there either.
    assert_eq!(claim(|case, other| case.provenances[1].subject[1].digest = other), Claim::Artifact);
}

#[test]
fn the_rebuilds_are_of_one_thing() {
    let unshared = |tamper: fn(&mut Case)| match refused(Case::published(), tamper) {
        Inconsistency::Unshared { rebuild: 2, what } => what,
        why => panic!("{why}"),
    };
    let shared = unshared(|case| {
        case.provenance(1).build_definition.internal_parameters.lock = DigestSet::of(b"other");
    });
    assert_eq!(shared, Shared::Lock);
    let shared = unshared(|case| {
        other_steps(&mut case.provenance(1).build_definition);
    });
    assert_eq!(shared, Shared::Recipe);
    let shared = unshared(|case| {
        case.provenance(1).build_definition.resolved_dependencies[0].digest = DigestSet::of(b"other");
    });
    assert_eq!(shared, Shared::Dependencies);
}

/// Another recipe, and the commands that go with it.
fn other_steps(definition: &mut reprove_attest::BuildDefinition) {
    let recipe = &mut definition.external_parameters.recipe;
    recipe.build.steps = vec!["make evil".into()];
    definition.internal_parameters.commands = recipe.commands();
}

#[test]
fn equal_trees_have_equal_files() {
    let why = refused(Case::published(), |case| case.provenances[1].subject[0].digest = DigestSet::of(b"other"));
    assert!(matches!(why, Inconsistency::EqualTreesUnequalFiles { rebuild: 2 }), "{why}");
}

#[test]
fn the_stated_lock_is_made_of_what_is_stated() {
    let why = refused(Case::published(), |case| case.comparison().lock = DigestSet::of(b"other"));
    assert!(matches!(why, Inconsistency::Lock), "{why}");
    let both = |tamper: fn(&mut reprove_attest::BuildDefinition)| {
        let why = refused(Case::published(), |case| {
            (0..2).for_each(|index| tamper(&mut case.provenance(index).build_definition));
        });
        assert!(matches!(why, Inconsistency::LockContent { .. }), "{why}");
    };
    both(other_steps);
    both(|definition| definition.resolved_dependencies[0].digest = DigestSet::of(b"other"));
    both(|definition| definition.resolved_dependencies[0].uri = None);
    both(|definition| drop(definition.resolved_dependencies.remove(1)));
    both(|definition| definition.resolved_dependencies.swap(0, 1));
    both(|definition| definition.resolved_dependencies[2].digest = DigestSet::of(b"other"));
    both(|definition| {
        let Some(Annotations::Archive { size, .. }) = &mut definition.resolved_dependencies[0].annotations else {
            panic!()
        };
        *size += 1;
    });
    // What was published is its own source.
    let itself = |derived: BTreeSet<Derived>| {
        refused(Case::published(), move |case| {
            let digest = case.comparison().published.as_ref().unwrap().digest;
            (0..2).for_each(|n| case.provenance(n).build_definition.resolved_dependencies[0].digest = digest);
            case.comparison().published.as_mut().unwrap().derived = derived;
        })
    };
    let (why, said) = (itself(BTreeSet::new()), itself([Derived::Contents].into()));
    assert!(matches!(why, Inconsistency::OwnContents), "{why}");
    assert!(matches!(said, Inconsistency::LockContent { .. }), "{said}");
    // Leaving out what was published would turn "different from what was published" into "reproducible".
    let why = refused(Case::different(), |case| {
        case.comparison.subject = case.provenances[0].subject.clone();
        let comparison = case.comparison();
        comparison.published = None;
        comparison.rebuilds.iter_mut().for_each(|rebuild| rebuild.artifact = None);
        comparison.details = reproducible(false);
    });
    assert!(matches!(why, Inconsistency::LockContent { .. }), "{why}");
}

#[test]
fn a_dependency_is_written_as_a_locked_input_is() {
    let fault = |tamper: fn(&mut Vec<reprove_attest::ResourceDescriptor>)| {
        let why = refused(Case::published(), |case| {
            (0..2).for_each(|index| tamper(&mut case.provenance(index).build_definition.resolved_dependencies));
        });
        let Inconsistency::Provenance { fault, .. } = why else { panic!("{why}") };
        fault
    };
    assert!(matches!(fault(|d| d.clear()), ProvenanceFault::NoEnvironment));
    assert!(matches!(fault(|d| drop(d.pop())), ProvenanceFault::NoEnvironment));
    assert!(matches!(fault(|d| d[2].name = "other".into()), ProvenanceFault::NoEnvironment));
    assert!(matches!(fault(|d| d[0].annotations = None), ProvenanceFault::Dependency(_)));
    assert!(matches!(fault(|d| d[0].name = "../x".into()), ProvenanceFault::Dependency(_)));
    assert!(matches!(fault(|d| d[0] = d[2].clone()), ProvenanceFault::Dependency(_)));
    // What a machine's own files are made of.
    let member = fault(|d| {
        let Some(Annotations::Archive { size, .. }) = d[0].annotations else { panic!() };
        d[0].annotations = Some(Annotations::File { role: reprove_model::Role::Environment, size });
    });
    assert!(matches!(member, ProvenanceFault::Dependency(_)));
}

#[test]
fn the_subject_is_what_was_published_or_else_the_outputs() {
    let why = refused(Case::published(), |case| case.comparison.subject = case.provenances[0].subject.clone());
    assert!(matches!(why, Inconsistency::Subject), "{why}");
    let why = refused(Case::published(), |case| case.comparison.subject[0].digest = DigestSet::of(b"other"));
    assert!(matches!(why, Inconsistency::Subject), "{why}");
    let why = refused(Case::unpublished(), |case| drop(case.comparison.subject.pop()));
    assert!(matches!(why, Inconsistency::Subject), "{why}");
}

#[test]
fn a_comparison_is_made_by_a_known_tool_after_the_builds_started() {
    let why = refused(Case::published(), |case| case.comparison().tool.name = "other".into());
    assert!(matches!(why, Inconsistency::Tool(_)), "{why}");
    let at = |time: &'static str| {
        move |case: &mut Case| {
            case.provenance(1).run_details.metadata.started_on = "2026-11-01T12:00:01Z".parse().unwrap();
            case.comparison().compared_on = time.parse().unwrap();
            case.relink();
        }
    };
    let why = refused(Case::published(), at("2026-11-01T12:00:00Z"));
    assert!(matches!(why, Inconsistency::Time { rebuild: 2 }), "{why}");
    let mut case = Case::published();
    at("2026-11-01T12:00:01Z")(&mut case);
    judge(&case.sign()).unwrap();
}

#[test]
fn a_provenance_does_not_contradict_itself() {
    let fault = |tamper: fn(&mut Case)| match refused(Case::published(), tamper) {
        Inconsistency::Provenance { rebuild: 2, fault } => fault,
        why => panic!("{why}"),
    };
    type F = ProvenanceFault;
    assert!(matches!(fault(|c| c.provenance(1).build_definition.build_type.push('x')), F::BuildType(_)));
    assert!(matches!(fault(|c| c.provenance(1).run_details.builder.id.push('x')), F::Builder { .. }));
    let home = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.env.insert("HOME".into(), "/elsewhere".into());
    };
    assert!(matches!(fault(home), F::Surroundings(name) if name == "HOME"));
    let seed = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.env.insert("PYTHONHASHSEED".into(), "1".into());
    };
    assert!(matches!(fault(seed), F::Surroundings(name) if name == "PYTHONHASHSEED"));
    let unset = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.conditions.surroundings.time_zone = Some("GMT-14".into());
    };
    assert!(matches!(fault(unset), F::Surroundings(name) if name == "TZ"));
    let mask = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.conditions.surroundings.umask = Some(0o1000);
    };
    assert!(matches!(fault(mask), F::Conditions));
    let set_to = |c: &mut Case| c.provenance(1).build_definition.internal_parameters.conditions.clock = Clock::SetTo(1);
    assert!(matches!(fault(set_to), F::Machine));
    let old = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.conditions.surroundings.old_processor = true;
    };
    assert!(matches!(fault(old), F::Machine));
    let on_disk = |c: &mut Case| {
        let surroundings = &mut c.provenance(1).build_definition.internal_parameters.conditions.surroundings;
        surroundings.file_system = Some(FileSystem::Xfs);
    };
    assert!(matches!(fault(on_disk), F::Machine));
    let kernel = |c: &mut Case| {
        let kernel = Some(Digest::of(b"another"));
        c.provenance(1).build_definition.internal_parameters.conditions.surroundings.kernel = kernel;
    };
    assert!(matches!(fault(kernel), F::Machine));
    let machine = |c: &mut Case| c.provenance(1).build_definition.internal_parameters.machine = Some(machine());
    assert!(matches!(fault(machine), F::Machine));
    let none = |c: &mut Case| {
        let provenance = c.provenance(1);
        provenance.build_definition.internal_parameters.isolation = Isolation::Vm;
        provenance.run_details.builder.id = "https://reprove.dev/builder/vm/v0.1".into();
    };
    assert!(matches!(fault(none), F::Machine));
    let failed = |c: &mut Case| c.provenance(1).build_definition.internal_parameters.exit = Exit::TimeOut;
    assert!(matches!(fault(failed), F::NotSuccess(Exit::TimeOut)));
    let recipe = |c: &mut Case| c.provenance(1).build_definition.external_parameters.recipe.build.steps.clear();
    assert!(matches!(fault(recipe), F::Recipe(_)));
    let commands = |c: &mut Case| c.provenance(1).build_definition.internal_parameters.commands[0][2].push('x');
    assert!(matches!(fault(commands), F::Commands));
    let limits = |c: &mut Case| c.provenance(1).build_definition.internal_parameters.limits.seconds += 1;
    assert!(matches!(fault(limits), F::Limits));
    let variable = |c: &mut Case| {
        let env = &mut c.provenance(1).build_definition.external_parameters.recipe.build.env;
        env.insert("CFLAGS".into(), "-O2".into());
    };
    assert!(matches!(fault(variable), F::Variable(_)));
    let clock =
        |c: &mut Case| c.provenance(1).build_definition.internal_parameters.conditions.clock = Clock::MovedTo(1);
    assert!(matches!(fault(clock), F::Undetermined));
    let faster = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.conditions.surroundings.clock_speed = Some(2);
    };
    assert!(matches!(fault(faster), F::Conditions));
    let nobodys = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.env.insert("LD_PRELOAD".into(), "/x".into());
    };
    assert!(matches!(fault(nobodys), F::Surroundings(name) if name == "LD_PRELOAD"));
    let wished = |c: &mut Case| {
        c.provenance(1).build_definition.external_parameters.recipe.build.deterministic = true;
    };
    assert!(matches!(fault(wished), F::Deterministic));
    let fixed = |c: &mut Case| {
        let parameters = &mut c.provenance(1).build_definition.internal_parameters;
        parameters.conditions = parameters.conditions.deterministic(Some(315_532_800));
    };
    assert!(matches!(fault(fixed), F::Deterministic));
    let undetermined = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.undetermined = Some([Loss::Closed].into());
    };
    assert!(matches!(fault(undetermined), F::Undetermined));
    assert!(matches!(fault(|c| drop(c.provenance(1).run_details.byproducts.pop())), F::Byproducts));
    assert!(matches!(fault(|c| c.provenance(1).run_details.byproducts.swap(0, 1)), F::Byproducts));
    assert!(matches!(fault(|c| drop(c.provenance(1).run_details.byproducts.remove(0))), F::Observed));
    let unseen =
        |c: &mut Case| c.provenance(1).build_definition.internal_parameters.observed.mode = RecordMode::Declared;
    assert!(matches!(fault(unseen), F::Observed));
    let other = |c: &mut Case| {
        c.provenance(1).build_definition.internal_parameters.observed.listing = Some(DigestSet::of(b"other"));
    };
    assert!(matches!(fault(other), F::Observed));
    assert!(matches!(fault(|c| c.provenance(1).run_details.metadata.invocation_id.push('x')), F::InvocationId));
    let times = |c: &mut Case| c.provenance(1).run_details.metadata.started_on += jiff::SignedDuration::from_secs(2);
    assert!(matches!(fault(times), F::Times));
    let epoch = |c: &mut Case| {
        c.provenance(1)
            .build_definition
            .internal_parameters
            .env
            .insert("SOURCE_DATE_EPOCH".into(), "0315532800".into());
    };
    assert!(matches!(fault(epoch), F::Epoch(_)));
    assert!(matches!(fault(|c| c.provenances[1].subject.clear()), F::NoSubjects));
    assert!(matches!(fault(|c| c.provenances[1].subject[0].name = "../x".into()), F::Subject(_)));
    assert!(matches!(fault(|c| c.provenances[1].subject[0].name = WHEEL_NAME.into()), F::Subject(_)));
    let package = |c: &mut Case| c.provenances[1].subject[0].uri = Some("pkg:pypi/idna@3.20".parse().unwrap());
    assert!(matches!(fault(package), F::Subject(_)));
}

/// Everything that the audit knows of a build's record is its digest: this is what the other checks rest on.
#[test]
fn the_record_is_the_one_that_was_made() {
    let lock = lock(true);
    let record = record(&lock, 0, tree(&[("README", b"read me"), (WHEEL_NAME, WHEEL)]));
    let mut case = Case::published();
    let digest = DigestSet::of(&canonical::to_vec(&record).unwrap());
    assert_eq!(case.provenance(0).record(), Some(digest));
    assert_eq!(case.comparison().rebuilds[0].record, digest);
    assert!(record.outputs.entries().values().all(|node| matches!(node, Node::File { .. })));
}
