// SPDX-License-Identifier: Apache-2.0
//! Documents that others ask for: what they say is what was shown, and what was not shown they do not say.

use std::collections::BTreeMap;

use reprove_attest::{
    Appraisal, Artifact, BuildInputs, DocumentError, Envelope, NotShown, Policy, RebuildVerdict, SCAI_TYPE, ScaiOf,
    VerifiedProof, cyclonedx, scai, spdx,
};
use reprove_model::{DigestSet, IsolationLevel, canonical};
use serde_json::{Value, json};

use super::appraisal::{Found, THREE, appraised, case, now, of, says, signed, trust, wheel};
use super::support::{Case, WHEEL_NAME, judge};

fn scai_of(artifacts: &[Artifact]) -> ScaiOf<'_> {
    ScaiOf { verifier: "https://auditor.example/", policy: b"rebuilders = 2\n", artifacts, at: now() }
}

fn report(appraisal: &Appraisal) -> Result<Value, DocumentError> {
    Ok(serde_json::from_slice(&scai(appraisal, &scai_of(&[wheel()]))?).unwrap())
}

fn digest(envelope: &Envelope) -> Value {
    serde_json::to_value(DigestSet::of(&canonical::to_vec(envelope).unwrap())).unwrap()
}

/// Both bills of a proof.
fn bills(proof: &VerifiedProof) -> (Value, Value) {
    let inputs = BuildInputs::of(proof).unwrap();
    let (first, second) = (cyclonedx(&inputs).unwrap(), spdx(&inputs).unwrap());
    assert_eq!((&first, &second), (&cyclonedx(&inputs).unwrap(), &spdx(&inputs).unwrap()));
    (serde_json::from_slice(&first).unwrap(), serde_json::from_slice(&second).unwrap())
}

#[test]
fn each_claim_that_counts_is_an_attribute_with_its_evidence() {
    let untrusted = says(4, Found::Same);
    let weak = signed(3, &case(3000, Found::Same, true));
    let envelopes = [untrusted, says(2, Found::Same), weak, says(1, Found::Same)].concat();
    let policy = Policy { minimum_isolation: Some(IsolationLevel::Full), ..of(2) };
    for rotation in 0..envelopes.len() {
        let mut envelopes = envelopes.clone();
        envelopes.rotate_left(rotation);
        let appraisal = appraised(envelopes.clone(), &trust(&THREE, ""), &policy);
        let report = report(&appraisal).unwrap();
        assert_eq!((&report["predicateType"], &report["subject"][0]["name"]), (&json!(SCAI_TYPE), &json!("the wheel")));
        assert_eq!(report["predicate"]["producer"], json!({ "name": "auditor", "uri": "https://auditor.example/" }));
        let attributes = report["predicate"]["attributes"].as_array().unwrap();
        assert_eq!(attributes.len(), 2, "neither the one that is not trusted, nor the one whose walls are too weak");
        for (attribute, (operator, key)) in attributes.iter().zip([("one", 1), ("two", 2)]) {
            assert_eq!(
                (&attribute["attribute"], &attribute["target"]),
                (&json!("REPRODUCIBLE"), &report["subject"][0])
            );
            let comparison = says(key, Found::Same).pop().unwrap();
            assert_eq!(attribute["evidence"]["digest"], digest(&comparison));
            let conditions = &attribute["conditions"];
            assert_eq!((&conditions["rebuilder"]["operator"], &conditions["rebuilds"]), (&json!(operator), &json!(2)));
            assert_eq!(conditions["varied"], json!(["build-path", "hostname"]));
            let of_policy = serde_json::to_value(DigestSet::of(b"rebuilders = 2\n")).unwrap();
            assert_eq!(conditions["appraisal"], json!({ "at": now().to_string(), "policy": of_policy }));
            assert_eq!((&conditions["matchesPublished"], &conditions["deterministic"]), (&json!(true), &json!(false)));
            assert_eq!(
                (&conditions["sourceDateEpoch"], &conditions["isolationLevel"]),
                (&json!(315_532_800), &json!("full"))
            );
        }
    }
}

#[test]
fn nothing_is_stated_that_was_not_shown() {
    let two = [says(1, Found::Same), says(2, Found::Same)].concat();
    let with_other = [two.clone(), says(3, Found::Other)].concat();
    let no_veto = Policy { veto: false, ..of(2) };
    let judged = |envelopes: &[Envelope], policy: &Policy| appraised(envelopes.to_vec(), &trust(&THREE, ""), policy);
    let enough = judged(&two, &of(2));
    let _ = (report(&enough).unwrap(), BuildInputs::of_appraisal(&enough).unwrap());
    let vetoed = judged(&with_other, &no_veto);
    assert!(vetoed.is_enough(), "so that it is the documents that mind it");
    for (appraisal, contrary) in [
        (vetoed, true),
        (judged(&with_other, &of(2)), false),
        (judged(&two, &of(3)), false),
        (judged(&says(3, Found::Other), &no_veto), false),
        (judged(&says(4, Found::Same), &of(1)), false),
        (judged(&[], &Policy { rebuilders: 0, isolations: 0, ..of(1) }), false),
    ] {
        for error in [report(&appraisal).err(), BuildInputs::of_appraisal(&appraisal).err()] {
            match error {
                Some(DocumentError::NotShown(NotShown::Contrary { operator, .. })) => {
                    assert!(contrary && operator == "three");
                }
                Some(DocumentError::NotShown(NotShown::NotEnough)) => assert!(!contrary),
                other => panic!("{other:?}"),
            }
        }
    }
    let other = Artifact { name: "another".into(), digest: DigestSet::of(b"another") };
    assert!(matches!(scai(&enough, &scai_of(&[wheel(), other])), Err(DocumentError::Artifact(_))));
    assert!(matches!(scai(&enough, &scai_of(&[])), Err(DocumentError::NoArtifact)));
    let wheels = [wheel()];
    let nobody = ScaiOf { verifier: "nobody", ..scai_of(&wheels) };
    assert!(matches!(scai(&enough, &nobody), Err(DocumentError::Verifier(_))));
    for (case, word) in
        [(Case::different(), RebuildVerdict::Different), (Case::disagreeing(), RebuildVerdict::Different)]
    {
        let proof = judge(&case.sign()).unwrap();
        let error = BuildInputs::of(&proof).err();
        assert!(matches!(error, Some(DocumentError::NotShown(NotShown::Verdict(said))) if said == word), "{error:?}");
    }
}

#[test]
fn a_bill_has_every_input_with_its_digests_and_its_role() {
    let proof = judge(&Case::published().sign()).unwrap();
    let (bom, document) = bills(&proof);
    let purl = "pkg:pypi/idna@3.20";
    let expected = [
        ("input-1", "idna", Some("idna-3.20.tar.gz"), Some(purl), DigestSet::of(b"source"), "source"),
        ("input-2", "tool", None, None, DigestSet::of(b"tool"), "tool"),
        ("environment", "environment", None, None, DigestSet::of(b"usr"), "environment"),
    ];
    let components = bom["components"].as_array().unwrap();
    let packages = document["packages"].as_array().unwrap();
    assert_eq!((components.len(), packages.len()), (3, 4));
    for ((id, name, file_name, purl, digest, role), (component, package)) in
        expected.into_iter().zip(components.iter().zip(&packages[1..]))
    {
        assert_eq!((&component["bom-ref"], &component["name"]), (&json!(id), &json!(name)));
        assert_eq!((&component["purl"], package["externalRefs"][0]["referenceLocator"].as_str()), (&json!(purl), purl));
        assert_eq!(component["hashes"][0], json!({ "alg": "BLAKE3", "content": digest.blake3.to_string() }));
        assert_eq!(component["hashes"][1], json!({ "alg": "SHA-256", "content": digest.sha256.to_string() }));
        let properties = component["properties"].as_array().unwrap();
        let said: BTreeMap<_, _> = properties.iter().map(|p| (p["name"].as_str().unwrap(), &p["value"])).collect();
        assert_eq!(said["reprove:role"], role);
        assert_eq!(said.get("reprove:file-name").and_then(|value| value.as_str()), file_name);
        assert_eq!(said.contains_key("reprove:hashes-of"), file_name.is_none(), "a tree has no bytes");
        assert_eq!((&package["SPDXID"], &package["name"]), (&json!(format!("SPDXRef-{id}")), &json!(name)));
        assert_eq!(package["packageFileName"].as_str(), file_name);
        assert_eq!(package["comment"].is_null(), file_name.is_some());
        let sha256 = json!([{ "algorithm": "SHA256", "checksumValue": digest.sha256.to_string() }]);
        assert_eq!(package["checksums"], sha256);
        for unknown in ["downloadLocation", "licenseConcluded", "licenseDeclared", "copyrightText"] {
            assert_eq!(package[unknown], "NOASSERTION");
        }
    }
    // As the published JSON schema writes them; spdx-tools takes hyphens as well.
    let purposes: Vec<_> = packages.iter().map(|p| p["primaryPackagePurpose"].as_str()).collect();
    assert_eq!(purposes, [None, Some("SOURCE"), None, Some("OPERATING_SYSTEM")]);
    let relationships = document["relationships"].as_array().unwrap();
    let related: Vec<_> = relationships
        .iter()
        .map(|r| ["spdxElementId", "relationshipType", "relatedSpdxElement"].map(|field| r[field].as_str().unwrap()))
        .collect();
    assert_eq!(
        related,
        [
            ["SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-artifact"],
            ["SPDXRef-artifact", "GENERATED_FROM", "SPDXRef-input-1"],
            ["SPDXRef-input-2", "BUILD_TOOL_OF", "SPDXRef-artifact"],
            ["SPDXRef-environment", "BUILD_DEPENDENCY_OF", "SPDXRef-artifact"],
        ]
    );
    let went_in = json!(["input-1", "input-2", "environment"]);
    assert_eq!(bom["dependencies"], json!([{ "ref": "artifact", "dependsOn": went_in }]));
    let workflows = bom["formulation"][0]["workflows"].as_array().unwrap();
    assert_eq!(workflows.len(), 2);
    for (workflow, provenance) in workflows.iter().zip(proof.provenances()) {
        assert_eq!(workflow["uid"], provenance.run_details.metadata.invocation_id);
        let inputs: Vec<_> = workflow["inputs"].as_array().unwrap().iter().map(|i| &i["resource"]["ref"]).collect();
        assert_eq!(json!(inputs), went_in);
    }
    let artifact = &bom["metadata"]["component"];
    assert_eq!((&artifact["purl"], &packages[0]["packageFileName"]), (&json!(purl), &json!(WHEEL_NAME)));
    assert_eq!(artifact["hashes"][1]["content"], wheel().digest.sha256.to_string());
}

#[test]
fn a_bill_of_many_files_is_of_all_that_was_built() {
    let proof = judge(&Case::unpublished().sign()).unwrap();
    let (bom, document) = bills(&proof);
    let artifact = &bom["metadata"]["component"];
    assert_eq!((&artifact["name"], &artifact["version"]), (&json!("idna"), &json!("3.20")));
    let outputs = proof.rebuilds()[0].outputs.sha256.to_string();
    assert_eq!(artifact["hashes"][1]["content"], outputs);
    assert_eq!(document["packages"][0]["checksums"][0]["checksumValue"], outputs);
    let files: Vec<_> = artifact["components"].as_array().unwrap().iter().map(|file| &file["name"]).collect();
    assert_eq!(files, ["README", WHEEL_NAME]);
    let relationships = document["relationships"].as_array().unwrap().iter();
    let contained: Vec<_> = relationships.filter(|r| r["relationshipType"] == "CONTAINS").collect();
    assert_eq!(contained.len(), 2);
    assert!(contained.iter().all(|r| r["spdxElementId"] == "SPDXRef-artifact"));
}

#[test]
fn a_bill_is_named_by_what_it_says_and_has_the_statements_times() {
    let proof = judge(&Case::published().sign()).unwrap();
    let later = {
        let mut case = Case::published();
        case.comparison().compared_on = "2026-11-01T14:00:00.5Z".parse().unwrap();
        judge(&case.sign()).unwrap()
    };
    let (bom, document) = bills(&proof);
    let (later_bom, later_document) = bills(&later);
    assert_eq!(bom["metadata"]["timestamp"], "2026-11-01T13:00:00Z");
    assert_eq!(document["creationInfo"]["created"], "2026-11-01T13:00:00Z");
    assert_eq!(later_document["creationInfo"]["created"], "2026-11-01T14:00:00Z", "to the second");
    assert_ne!(bom["serialNumber"], later_bom["serialNumber"]);
    assert_ne!(document["documentNamespace"], later_document["documentNamespace"]);
}

#[test]
fn a_bill_is_of_the_first_claim_that_counts_and_says_whose_it_is() {
    let envelopes = [says(2, Found::Same), says(1, Found::Same)].concat();
    let appraisal = appraised(envelopes, &trust(&THREE, ""), &of(2));
    let inputs = BuildInputs::of_appraisal(&appraisal).unwrap();
    let bom: Value = serde_json::from_slice(&cyclonedx(&inputs).unwrap()).unwrap();
    let first = &appraisal.claims()[0];
    assert_eq!(first.operator(), "one");
    let properties = bom["metadata"]["properties"].as_array().unwrap();
    let keyid = properties.iter().find(|property| property["name"] == "reprove:keyid").unwrap();
    assert_eq!(keyid["value"], first.keyid().to_string());
    let document: Value = serde_json::from_slice(&spdx(&inputs).unwrap()).unwrap();
    let comment = document["comment"].as_str().unwrap();
    assert!(comment.contains(&first.keyid().to_string()) && comment.contains(&first.proof().lock().sha256.to_string()));
}
