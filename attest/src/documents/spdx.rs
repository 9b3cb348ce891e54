// SPDX-License-Identifier: Apache-2.0
//! SPDX 2.3 in JSON (<https://spdx.github.io/spdx-spec/v2.3>; `spdx-schema.json`). Everything is a package, also single
//! files: a file in SPDX 2.3 must have a SHA-1, which nothing here takes. BLAKE3 is left out: SPDX has it, and spdx-tools
//! 0.8.5 takes none that is shorter than 256 digits.

use reprove_model::canonical;
use serde::Serialize;

use super::inputs::{Item, MadeOf, Part};
use super::{BuildInputs, DocumentError, to_the_second, uuid};
use crate::Tool;

/// What nobody has looked at (section 3, "NOASSERTION").
const NOASSERTION: &str = "NOASSERTION";

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// What went into a build, as an SPDX document: the bytes of the file.
///
/// # Errors
/// [`DocumentError::Canonical`] where it is larger than a document may be.
pub fn spdx(inputs: &BuildInputs<'_>) -> Result<Vec<u8>, DocumentError> {
    let artifact = inputs.artifact();
    let all = [artifact.clone()].into_iter().chain(inputs.files()).chain(inputs.inputs());
    let Tool { name, version } = Tool::this();
    let (lock, signer) = (inputs.proof().lock(), inputs.signer());
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: inputs.name(),
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: to_the_second(inputs.proof().compared_on()),
            creators: [format!("Tool: {name}-{version}")],
        },
        comment: format!(
            "The inputs of the build whose lock has SHA-256 {} and BLAKE3 {}, by the word of the key {signer}. Which parts \
             of them are in the artifact nobody has looked at.",
            lock.sha256, lock.blake3
        ),
        packages: all.map(|item| package(&item)).collect(),
        relationships: relationships(inputs, &artifact),
    };
    document.document_namespace = format!("https://reprove.dev/spdx/{}", uuid(&canonical::to_vec(&document)?));
    Ok(canonical::to_vec(&document)?)
}

fn package(item: &Item<'_>) -> Package {
    let purl = item.purl.map(|purl| ExternalRef {
        reference_category: "PACKAGE-MANAGER",
        reference_type: "purl",
        reference_locator: purl.to_string(),
    });
    Package {
        id: id(item),
        name: item.name.to_owned(),
        version_info: item.version.map(str::to_owned),
        package_file_name: item.file_name.map(str::to_owned),
        description: item.description.map(str::to_owned),
        primary_package_purpose: match item.part {
            Part::Source => Some("SOURCE"),
            Part::Environment => Some("OPERATING_SYSTEM"),
            Part::Artifact | Part::Tool | Part::Dependency => None,
        },
        download_location: NOASSERTION,
        files_analyzed: false,
        checksums: [Checksum { algorithm: "SHA256", checksum_value: item.digest.sha256.to_string() }],
        license_concluded: NOASSERTION,
        license_declared: NOASSERTION,
        copyright_text: NOASSERTION,
        comment: (item.made_of == MadeOf::Tree).then_some("The checksum is of the canonical list of its files."),
        external_refs: purl.into_iter().collect(),
    }
}

/// What is described, what is in it, and by its role what each input is for it.
fn relationships(inputs: &BuildInputs<'_>, artifact: &Item<'_>) -> Vec<Relationship> {
    let built = id(artifact);
    let describes = Relationship::new(DOCUMENT.to_owned(), "DESCRIBES", built.clone());
    let contains = inputs.files().map(|file| Relationship::new(built.clone(), "CONTAINS", id(&file)));
    let went_in = inputs.inputs().filter_map(|item| {
        let (input, built) = (id(&item), built.clone());
        match item.part {
            Part::Artifact => None,
            Part::Source => Some(Relationship::new(built, "GENERATED_FROM", input)),
            Part::Tool => Some(Relationship::new(input, "BUILD_TOOL_OF", built)),
            Part::Dependency => Some(Relationship::new(input, "DEPENDENCY_OF", built)),
            Part::Environment => Some(Relationship::new(input, "BUILD_DEPENDENCY_OF", built)),
        }
    });
    [describes].into_iter().chain(contains).chain(went_in).collect()
}

fn id(item: &Item<'_>) -> String {
    format!("SPDXRef-{}", item.id)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    comment: String,
    packages: Vec<Package>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    download_location: &'static str,
    files_analyzed: bool,
    checksums: [Checksum; 1],
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

impl Relationship {
    fn new(spdx_element_id: String, relationship_type: &'static str, related_spdx_element: String) -> Self {
        Self { spdx_element_id, relationship_type, related_spdx_element }
    }
}
