// SPDX-License-Identifier: Apache-2.0
//! Targets of Bazel: the one action that makes a target's file, as `bazel aquery` tells it, and what that reads.
//!
//! Bazel says what is run, with which variables, on which files; it has built the target before, and builds nothing here. The
//! files are read where Bazel runs its actions.

mod actions;

pub use actions::ActionError;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_model::{
    Build, Content, Dependencies, Derived, DigestSet, Environment, EpochRule, Input, InputName, Limits, Lock,
    LockedEnvironment, Node, Outputs, Package, Published, Recipe, Role, Source, Tree, TreePath,
};
use reprove_store::Store;
use tokio::process::Command;

use self::actions::{Action, Answer};
use crate::workplace::{Workplace, failed};
use crate::{InputsError, Note, blocking};

/// The machine's Bazel.
#[derive(Clone, Debug)]
pub struct Bazel {
    /// The program.
    pub program: PathBuf,
    /// How long each call may take.
    pub time_limit: Duration,
}

const ASKING: &str = "asking Bazel";

/// The folder that the output is copied into, so that its name is all of its path.
const OUTPUTS: &str = "reprove-out";

impl Bazel {
    /// `program`, with this process's environment variables and ten minutes a call.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), time_limit: Duration::from_secs(600) }
    }

    async fn ask(&self, workspace: &Path, arguments: &[&str], store: &Store) -> Result<Vec<u8>, InputsError> {
        let mut command = Command::new(&self.program);
        command.current_dir(workspace).args(arguments);
        let install = "install Bazel, or name it with REPROVE_BAZEL";
        let finished = Workplace::new(store)?.run(command, ASKING, self.time_limit, install).await?;
        if finished.status.success() { Ok(finished.stdout) } else { Err(failed(ASKING, finished)) }
    }
}

/// Whether it is a label of a target: `//PACKAGE:NAME`, of letters, digits and a few signs.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || "/:_.+-".contains(c);
    let rest = text.strip_prefix("//").unwrap_or_default();
    !rest.is_empty() && text.len() <= 1024 && rest.chars().all(ok) && !rest.contains("...")
}

/// The lock of the action of `target` that makes its file, in the workspace whose folder is `workspace`.
///
/// # Errors
/// See [`ActionError`] and [`InputsError`].
pub async fn lock(
    target: &str,
    workspace: &Path,
    bazel: &Bazel,
    store: &Store,
    environment: LockedEnvironment,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Lock, InputsError> {
    if !is_label(target) {
        return Err(ActionError::Label(target.chars().take(300).collect()).into());
    }
    notes(Note::Doing("asking Bazel which action makes it".into()));
    let root = bazel.ask(workspace, &["info", "execution_root"], store).await?;
    let root = PathBuf::from(String::from_utf8_lossy(&root).trim());
    let said = bazel.ask(workspace, &["aquery", "--output=jsonproto", target], store).await?;
    let action = Answer::parse(&said)?.action()?;
    let (store, target) = (store.clone(), target.to_owned());
    blocking::run(workspace, move || locked(&target, action, &root, &store, environment)).await
}

fn locked(
    target: &str,
    action: Action,
    root: &Path,
    store: &Store,
    environment: LockedEnvironment,
) -> Result<Lock, InputsError> {
    let name = action.output.rsplit('/').next().unwrap_or_default().to_owned();
    let name = InputName::try_from(name)?;
    let recipe = recipe(target, &action, &name)?;
    let mut entries = BTreeMap::new();
    for path in &action.inputs {
        file(root, path, store, &mut entries)?;
    }
    let files: Vec<DigestSet> = entries.values().filter_map(file_digest).collect();
    let tree = Tree::new(entries).map_err(ActionError::from)?;
    let source = store.save_tree(&tree)?;
    let at = root.join(&action.output);
    let mut made = File::open(&at).map_err(|source| ActionError::Absent { path: action.output.clone(), source })?;
    let (digest, size) = store.add_reader(&mut made)?;
    // What an action has only copied is its own contents, and no more is shown of it.
    let derived = files.contains(&digest).then_some(Derived::Contents).into_iter().collect();
    let published = Some(Published { purl: None, name, digest, size, derived, parts: Default::default() });
    let content = Content::Tree { digest: source };
    let input = Input { name: "source".to_owned().try_into()?, role: Role::Source, purl: None, content };
    Ok(Lock { recipe, inputs: vec![input], environment, published })
}

fn file_digest(node: &Node) -> Option<DigestSet> {
    if let Node::File { digest, .. } = node { Some(*digest) } else { None }
}

/// One file that the action reads, with the folders that lead to it.
fn file(root: &Path, path: &str, store: &Store, entries: &mut BTreeMap<TreePath, Node>) -> Result<(), InputsError> {
    let at = root.join(path);
    let absent = |source| ActionError::Absent { path: path.to_owned(), source };
    let metadata = fs::metadata(&at).map_err(absent)?;
    if !metadata.is_file() {
        return Err(ActionError::NoFile(path.to_owned()).into());
    }
    let (digest, size) = store.add_file(&at)?;
    let path = TreePath::new(path).map_err(ActionError::from)?;
    for above in std::iter::successors(path.parent(), TreePath::parent) {
        entries.entry(above).or_insert(Node::Directory { mode: 0o755 });
    }
    let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
    entries.insert(path, Node::File { mode, size, digest });
    Ok(())
}

fn recipe(target: &str, action: &Action, name: &InputName) -> Result<Recipe, InputsError> {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(name) = action.env.keys().find(|name| name.is_empty() || !name.chars().all(ok)) {
        return Err(ActionError::Variable(name.chars().take(80).collect()).into());
    }
    let (folder, _) = action.output.rsplit_once('/').unwrap_or((".", ""));
    let words: Vec<String> = action.arguments.iter().map(|word| quoted(word)).collect();
    let package = target.rsplit([':', '/']).next().unwrap_or_default();
    let recipe = Recipe {
        package: Package { name: package.to_owned(), version: None },
        source: Source::Directory(".".into()),
        environment: Environment::HostUsr,
        dependencies: Dependencies::default(),
        build: Build {
            steps: vec![
                format!("mkdir -p {}", quoted(folder)),
                words.join(" "),
                format!("mkdir {OUTPUTS} && cp {} {OUTPUTS}/{name}", quoted(&action.output)),
            ],
            program: Vec::new(),
            env: action.env.clone(),
            source_date_epoch: EpochRule::Unset,
            deterministic: false,
            loopback: false,
        },
        outputs: Outputs { directory: Some(OUTPUTS.into()), paths: Vec::new(), set_id: false, nar: None },
        limits: Limits { seconds: 7200, memory_mib: 16 << 10, disk_mib: 12 << 10, ..Limits::default() },
        pinned: BTreeMap::new(),
    };
    recipe.check()?;
    Ok(recipe)
}

/// One word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// For fuzzing: the recipe of what `bazel aquery` says.
pub(crate) fn recipe_of(bytes: &[u8]) -> Result<Recipe, InputsError> {
    let action = Answer::parse(bytes)?.action()?;
    let name = InputName::try_from(action.output.rsplit('/').next().unwrap_or_default().to_owned())?;
    recipe("//demo:target", &action, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_one_target() {
        for good in ["//:hello", "//a/b:c.d", "//a"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "//", "/a", "a:b", "//...", "//a/...", "//a;b", "//a b", "deps(//a)", "//a+b\n"] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn what_an_action_only_copies_is_its_own_contents() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("out")).unwrap();
        fs::write(root.join("in"), "one").unwrap();
        let derived = |made: &str| {
            fs::write(root.join("out/made"), made).unwrap();
            let (inputs, output) = (["in".to_owned()].into(), "out/made".to_owned());
            let action = Action { arguments: vec!["/bin/cp".into()], env: BTreeMap::new(), inputs, output };
            let digest = DigestSet::of(b"");
            let environment = LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest };
            locked("//:made", action, &root, &store, environment).unwrap().published.unwrap().derived
        };
        assert_eq!(derived("one"), [Derived::Contents].into());
        assert_eq!(derived("another"), [].into());
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        assert_eq!(quoted("a'b $c"), "'a'\\''b $c'");
    }
}
