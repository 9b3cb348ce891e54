// SPDX-License-Identifier: Apache-2.0
//! What `bazel aquery --output=jsonproto` says (`analysis.proto` and `analysis_v2.proto` of Bazel).

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{InvalidTreePath, TreeError, TreePath};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Why a target can't be rebuilt.
#[derive(Debug, Error)]
pub enum ActionError {
    /// No label of one target.
    #[error("{0:?} is no label of a target; one looks like //package:target")]
    Label(String),
    /// Not JSON, or not of that shape.
    #[error("Bazel's answer can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It names what is not in it, or itself.
    #[error("Bazel's answer names a {0} that is not in it")]
    Missing(&'static str),
    /// Not one action.
    #[error(
        "the target is made by {} actions{}; as of now a target is rebuilt that one action makes, such as a genrule's",
        .0.len(), list(.0)
    )]
    Several(Vec<String>),
    /// Not one output.
    #[error("its action makes {0} files; as of now a target is rebuilt that is one")]
    Outputs(usize),
    /// An action that runs nothing.
    #[error("its action runs no program: Bazel does itself what it does")]
    NoProgram,
    /// A variable that no recipe can set.
    #[error("its action sets the variable {0:?}, which is not of letters, digits and `_`")]
    Variable(String),
    /// It was not built, or its inputs were not.
    #[error("{path} is not there: {source}; build the target first: bazel build TARGET")]
    Absent {
        /// Below the folder in which Bazel runs actions.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An input that is a folder.
    #[error("its input {0} is a folder, which Bazel does not list; that is not rebuilt yet")]
    NoFile(String),
    /// A path that no tree can hold.
    #[error(transparent)]
    Path(#[from] InvalidTreePath),
    /// The inputs make no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

fn list(mnemonics: &[String]) -> String {
    let shown: Vec<String> = mnemonics.iter().take(5).map(|name| format!("{name:?}")).collect();
    if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
}

/// The one action of a target.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) arguments: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// Below the folder in which Bazel runs actions.
    pub(super) inputs: BTreeSet<String>,
    pub(super) output: String,
}

/// All of the answer that counts. Numbers were texts before Bazel 4.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Answer {
    artifacts: Vec<Artifact>,
    actions: Vec<Told>,
    dep_set_of_files: Vec<DepSet>,
    path_fragments: Vec<Fragment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Artifact {
    id: Value,
    exec_path: Option<String>,
    path_fragment_id: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    mnemonic: String,
    arguments: Vec<String>,
    environment_variables: Vec<Variable>,
    input_dep_set_ids: Vec<Value>,
    output_ids: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    key: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DepSet {
    id: Value,
    direct_artifact_ids: Vec<Value>,
    transitive_dep_set_ids: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fragment {
    id: Value,
    label: String,
    parent_id: Value,
}

/// The most folders that lead to a file.
const MAX_DEPTH: usize = 256;

impl Answer {
    /// Reads one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ActionError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The one action in it.
    pub(super) fn action(self) -> Result<Action, ActionError> {
        let [action] = self.actions.as_slice() else {
            return Err(ActionError::Several(self.actions.into_iter().map(|action| action.mnemonic).collect()));
        };
        let [output] = action.output_ids.as_slice() else {
            return Err(ActionError::Outputs(action.output_ids.len()));
        };
        if action.arguments.is_empty() {
            return Err(ActionError::NoProgram);
        }
        let sets: BTreeMap<String, &DepSet> = self.dep_set_of_files.iter().map(|set| (key(&set.id), set)).collect();
        let (mut inputs, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut next: Vec<String> = action.input_dep_set_ids.iter().map(key).collect();
        while let Some(id) = next.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            let set = sets.get(&id).ok_or(ActionError::Missing("set of files"))?;
            for artifact in &set.direct_artifact_ids {
                inputs.insert(self.path(artifact)?);
            }
            next.extend(set.transitive_dep_set_ids.iter().map(key));
        }
        let variable = |variable: &Variable| (variable.key.clone(), variable.value.clone());
        Ok(Action {
            arguments: action.arguments.clone(),
            env: action.environment_variables.iter().map(variable).collect(),
            inputs,
            output: self.path(output)?,
        })
    }

    /// The path of an artifact, which leads nowhere else.
    fn path(&self, id: &Value) -> Result<String, ActionError> {
        let is_it = |artifact: &&Artifact| key(&artifact.id) == key(id);
        let artifact = self.artifacts.iter().find(is_it).ok_or(ActionError::Missing("file"))?;
        let path = match &artifact.exec_path {
            Some(path) => path.clone(),
            None => self.of_fragments(&artifact.path_fragment_id)?,
        };
        TreePath::new(path.as_str())?;
        Ok(path)
    }

    fn of_fragments(&self, id: &Value) -> Result<String, ActionError> {
        let (mut labels, mut id) = (Vec::new(), key(id));
        while !id.is_empty() && id != "0" {
            let is_it = |fragment: &&Fragment| key(&fragment.id) == id;
            let fragment = self.path_fragments.iter().find(is_it).filter(|_| labels.len() < MAX_DEPTH);
            let fragment = fragment.ok_or(ActionError::Missing("part of a path"))?;
            labels.push(fragment.label.as_str());
            id = key(&fragment.parent_id);
        }
        labels.reverse();
        Ok(labels.join("/"))
    }
}

/// A number, however it is written.
fn key(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Bazel 2.1.0 wrote it, but for what does not count.
    const OLD: &str = r#"{"artifacts":[{"id":"0","execPath":"in.txt"},{"id":"1","execPath":"external/x.sh"},
        {"id":"2","execPath":"bazel-out/k8-fastbuild/bin/hello.txt"}],
        "actions":[{"targetId":"0","mnemonic":"Genrule","arguments":["/bin/bash","-c","sort in.txt"],
        "environmentVariables":[{"key":"PATH","value":"/bin"}],"inputDepSetIds":["0"],"outputIds":["2"]}],
        "depSetOfFiles":[{"id":"0","directArtifactIds":["0"],"transitiveDepSetIds":["7"]},{"id":"7","directArtifactIds":["1"]}]}"#;

    /// The same in the form that came with Bazel 4.
    const NEW: &str = r#"{"artifacts":[{"id":1,"pathFragmentId":1},{"id":2,"pathFragmentId":3}],
        "actions":[{"mnemonic":"Genrule","arguments":["/bin/bash"],"inputDepSetIds":[1],"outputIds":[2]}],
        "depSetOfFiles":[{"id":1,"directArtifactIds":[1]}],
        "pathFragments":[{"id":1,"label":"in.txt"},{"id":2,"label":"bazel-out"},{"id":3,"label":"a","parentId":2}]}"#;

    fn action(text: &str) -> Result<Action, ActionError> {
        Answer::parse(text.as_bytes())?.action()
    }

    #[test]
    fn an_action_is_read_in_both_forms() {
        let old = action(OLD).unwrap();
        assert_eq!(old.arguments, ["/bin/bash", "-c", "sort in.txt"]);
        assert_eq!(old.inputs.iter().map(String::as_str).collect::<Vec<_>>(), ["external/x.sh", "in.txt"]);
        assert_eq!((old.env["PATH"].as_str(), old.output.as_str()), ("/bin", "bazel-out/k8-fastbuild/bin/hello.txt"));
        let new = action(NEW).unwrap();
        assert_eq!((new.inputs.first().unwrap().as_str(), new.output.as_str()), ("in.txt", "bazel-out/a"));
    }

    #[test]
    fn what_is_no_one_action_is_refused() {
        let two = NEW.replace("\"actions\":[", "\"actions\":[{\"mnemonic\":\"Other\"},");
        assert!(matches!(action(&two), Err(ActionError::Several(names)) if names == ["Other", "Genrule"]));
        assert!(matches!(action("{}"), Err(ActionError::Several(names)) if names.is_empty()));
        assert!(matches!(action(&NEW.replace("[2]}]", "[1,2]}]")), Err(ActionError::Outputs(2))));
        assert!(matches!(action(&NEW.replace("[\"/bin/bash\"]", "[]")), Err(ActionError::NoProgram)));
        assert!(matches!(
            action(&NEW.replace("\"inputDepSetIds\":[1]", "\"inputDepSetIds\":[9]")),
            Err(ActionError::Missing(_))
        ));
        assert!(matches!(action(&NEW.replace("\"parentId\":2", "\"parentId\":3")), Err(ActionError::Missing(_))));
        assert!(matches!(action(&NEW.replace("in.txt", "../in.txt")), Err(ActionError::Path(_))));
        assert!(matches!(action("["), Err(ActionError::Json(_))));
    }
}
