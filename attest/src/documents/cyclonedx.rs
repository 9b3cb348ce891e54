// SPDX-License-Identifier: Apache-2.0
//! CycloneDX 1.6 in JSON (ECMA-424; `bom-1.6.schema.json`).

use reprove_model::canonical;
use serde::Serialize;

use super::inputs::{Item, MadeOf, Part};
use super::{BuildInputs, DocumentError, to_the_second, uuid};
use crate::{Provenance, Tool};

/// What went into a build, as a CycloneDX bill of materials: the bytes of the file.
///
/// # Errors
/// [`DocumentError::Canonical`] where it is larger than a document may be.
pub fn cyclonedx(inputs: &BuildInputs<'_>) -> Result<Vec<u8>, DocumentError> {
    let artifact = inputs.artifact();
    let components: Vec<_> = inputs.inputs().map(|item| component(&item, vec![])).collect();
    let went_in: Vec<String> = inputs.inputs().map(|item| item.id).collect();
    let known = [std::slice::from_ref(&artifact.id), &went_in].concat();
    let lock = inputs.proof().lock();
    let mut bom = Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: to_the_second(inputs.proof().compared_on()),
            lifecycles: [Lifecycle { phase: "build" }],
            tools: Tools { components: [this_tool()] },
            component: component(&artifact, inputs.files().map(|item| component(&item, vec![])).collect()),
            properties: vec![
                property("lock:blake3", &lock.blake3.to_string()),
                property("lock:sha256", &lock.sha256.to_string()),
                property("keyid", &inputs.signer()),
            ],
        },
        components,
        dependencies: [Dependency { reference: artifact.id.clone(), depends_on: went_in.clone() }],
        compositions: [Composition { aggregate: "unknown", assemblies: known.clone(), dependencies: known }],
        formulation: [Formula { workflows: workflows(inputs, &artifact.id, &went_in) }],
    };
    bom.serial_number = format!("urn:uuid:{}", uuid(&canonical::to_vec(&bom)?));
    Ok(canonical::to_vec(&bom)?)
}

fn component(item: &Item<'_>, components: Vec<Component>) -> Component {
    let kind = match (item.part, item.purl, item.made_of) {
        (Part::Environment, _, _) => "operating-system",
        (_, Some(_), _) => "library",
        (_, None, MadeOf::File) => "file",
        (_, None, MadeOf::Tree) => "application",
    };
    let mut properties = vec![property("role", item.part.name())];
    properties.extend(item.file_name.map(|name| property("file-name", name)));
    if item.made_of == MadeOf::Tree {
        properties.push(property("hashes-of", "the canonical list of its files"));
    }
    Component {
        kind,
        bom_ref: item.id.clone(),
        group: item.purl.and_then(|purl| purl.namespace()).map(str::to_owned),
        name: item.name.to_owned(),
        version: item.version.map(str::to_owned),
        description: item.description.map(str::to_owned),
        hashes: vec![
            Hash { alg: "BLAKE3", content: item.digest.blake3.to_string() },
            Hash { alg: "SHA-256", content: item.digest.sha256.to_string() },
        ],
        purl: item.purl.map(ToString::to_string),
        components,
        properties,
    }
}

/// What writes the bill.
fn this_tool() -> Component {
    let Tool { name, version } = Tool::this();
    Component {
        kind: "application",
        bom_ref: "tool".into(),
        group: None,
        name,
        version: Some(version),
        description: None,
        hashes: vec![],
        purl: None,
        components: vec![],
        properties: vec![],
    }
}

/// One for each rebuild: all went in each time, and gave the artifact each time.
fn workflows(inputs: &BuildInputs<'_>, artifact: &str, went_in: &[String]) -> Vec<Workflow> {
    let resource = |reference: &String| Input { resource: Reference { reference: reference.clone() } };
    let workflow = |(number, provenance): (usize, &Provenance)| {
        let run = &provenance.run_details.metadata;
        Workflow {
            bom_ref: format!("rebuild-{number}"),
            uid: run.invocation_id.clone(),
            task_types: ["build"],
            time_start: to_the_second(run.started_on),
            time_end: to_the_second(run.finished_on),
            inputs: went_in.iter().map(resource).collect(),
            outputs: [Output { kind: "artifact", resource: Reference { reference: artifact.to_owned() } }],
        }
    };
    (1..).zip(inputs.proof().provenances()).map(workflow).collect()
}

/// A property below the prefix that is ours.
fn property(name: &str, value: &str) -> Property {
    Property { name: format!("reprove:{name}"), value: value.to_owned() }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: [Dependency; 1],
    compositions: [Composition; 1],
    formulation: [Formula; 1],
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    lifecycles: [Lifecycle; 1],
    tools: Tools,
    component: Component,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools {
    components: [Component; 1],
}

#[derive(Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: Vec<String>,
    dependencies: Vec<String>,
}

#[derive(Serialize)]
struct Formula {
    workflows: Vec<Workflow>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Workflow {
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    uid: String,
    task_types: [&'static str; 1],
    time_start: String,
    time_end: String,
    inputs: Vec<Input>,
    outputs: [Output; 1],
}

#[derive(Serialize)]
struct Input {
    resource: Reference,
}

#[derive(Serialize)]
struct Output {
    #[serde(rename = "type")]
    kind: &'static str,
    resource: Reference,
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "ref")]
    reference: String,
}
