// SPDX-License-Identifier: Apache-2.0
//! Whole builds, from a lock to a record.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use reprove_model::{Clock, Content, Exit, HeldBy, Input, Lock, Node, Recipe, RecordMode, Role};
use reprove_runner::{Built, MAX_OUTPUT_FILES, RunError, SandboxError};
use reprove_store::{IngestError, IngestLimits, Store};
use support::build::build;
use support::{AS_ORDINARY_USER, again, root};
use tempfile::TempDir;

/// A store, and a lock in it.
struct Project {
    dir: TempDir,
    store: Store,
    lock: Lock,
    watched: RecordMode,
}

impl Project {
    /// With one source file of `size` bytes, and outputs in the folder `out`.
    fn new(step: &str, limits: &str, size: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::File::create_new(source.join("file")).unwrap().set_len(size).unwrap();
        fs::set_permissions(source.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        let tree = store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        let recipe = format!(
            "package.name = 'p'\nsource.directory = '.'\nbuild.steps = [\"{step}\"]\noutputs.directory = 'out'\n{limits}\n"
        );
        let source = Input {
            name: "p".parse().unwrap(),
            role: Role::Source,
            purl: None,
            content: Content::Tree { digest: tree.digest() },
        };
        let recipe = Recipe::from_toml(&recipe).unwrap();
        let lock = Lock { recipe, inputs: vec![source], environment: root().locked, published: None };
        Self { dir, store, lock, watched: RecordMode::Files }
    }

    async fn build(&self) -> Result<Built, RunError> {
        build((&self.store, None), (&self.lock, &root()), Clock::Host, self.watched).await
    }

    async fn built(&self) -> Built {
        let built = self.build().await.unwrap();
        assert_eq!(built.record.exit, Exit::Success, "{}", fs::read_to_string(&built.log).unwrap());
        built
    }
}

#[tokio::test]
async fn each_build_has_a_log_of_its_own() {
    let project = Project::new("mkdir out; cp file out; wc -c < file", "", 5);
    let logs = [project.built().await.log, project.built().await.log, project.built().await.log];
    let names: Vec<_> = logs.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["label.log", "label-2.log", "label-3.log"]);
    for log in &logs {
        assert_eq!(log.parent().unwrap(), project.dir.path().join("store/logs"));
        assert_eq!(fs::read_to_string(log).unwrap(), "5\n");
        assert_eq!(fs::metadata(log).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_source_past_the_disk_limit_is_told_from_a_sandbox_that_is_none() {
    let limits = "limits.disk-mib = 2";
    let fits = Project::new("mkdir out; cp file out/file", limits, 1 << 19);
    assert_eq!(fits.built().await.record.outputs.entries().len(), 1);
    let error = Project::new("mkdir out", limits, 3 << 20).build().await.unwrap_err();
    assert!(matches!(error, RunError::Sandbox(SandboxError::SourceTooLarge { disk_mib: 2 })), "{error:?}");
    assert!(error.to_string().contains("`limits.disk-mib`"), "{error}");
}

#[tokio::test]
async fn a_source_past_the_memory_limit_is_no_build_that_failed() {
    let limits = "limits.memory-mib = 64\nlimits.disk-mib = 4096";
    let fits = Project::new("mkdir out; cp file out/file", limits, 1 << 20).built().await;
    if fits.record.enforced.memory != HeldBy::ControlGroup {
        return;
    }
    let error = Project::new("mkdir out", limits, 128 << 20).build().await.unwrap_err();
    assert!(matches!(error, RunError::Sandbox(SandboxError::SourcePastMemory { memory_mib: 64 })), "{error:?}");
}

#[tokio::test]
async fn a_tool_that_is_no_file_is_an_error() {
    let mut project = Project::new("mkdir out; cp file out; cat /inputs/tool", "", 5);
    let (digest, size) = project.store.add_bytes(b"a tool").unwrap();
    let mut tool = |content| {
        let input = Input { name: "tool".parse().unwrap(), role: Role::Tool, purl: None, content };
        project.lock.inputs.truncate(1);
        project.lock.inputs.push(input);
        project.lock.clone()
    };
    let locks =
        [tool(Content::Archive { digest, size }), tool(Content::Tree { digest }), tool(Content::File { digest, size })];
    for (lock, is_file) in locks.into_iter().zip([false, false, true]) {
        project.lock = lock;
        match project.build().await {
            Ok(built) => assert!(is_file && built.record.exit == Exit::Success),
            Err(error) => assert!(matches!(&error, RunError::Tool(name) if name.as_str() == "tool") && !is_file),
        }
    }
    // A second one would take the first one's place.
    let twice = project.lock.inputs[1].clone();
    project.lock.inputs.push(twice);
    let error = project.build().await.unwrap_err();
    assert!(matches!(&error, RunError::SameName(name) if name.as_str() == "tool"), "{error}");
}

#[tokio::test]
async fn an_output_that_is_named_is_no_link() {
    let linked = Project::new("mkdir real; date > real/x; ln -s real out", "", 0).build().await.unwrap_err();
    assert!(matches!(&linked, RunError::OutputLink(path) if path.as_bytes() == b"out"), "{linked:?}");
    let inside = Project::new("mkdir out; echo x > out/x; ln -s x out/y", "", 0).build().await.unwrap();
    assert_eq!(inside.record.outputs.entries().len(), 2);
}

#[tokio::test]
async fn outputs_have_no_set_id_bits_unless_the_recipe_allows_them_and_never_pipes() {
    let step = "mkdir out; echo x > out/x; chmod 4755 out/x";
    let error = Project::new(step, "", 0).build().await.unwrap_err();
    let RunError::Output { error: IngestError::SetId(path, 0o4755), .. } = &error else { panic!("{error:?}") };
    assert_eq!(path.as_bytes(), b"out/x");
    let allowed = Project::new(step, "outputs.set-id = true", 0).built().await;
    assert!(matches!(allowed.record.outputs.entries().values().next(), Some(Node::File { mode: 0o4755, .. })));
    for allowed in ["", "outputs.set-id = true"] {
        let error = Project::new("mkdir out; mkfifo out/x", allowed, 0).build().await.unwrap_err();
        assert!(matches!(&error, RunError::Output { error: IngestError::Special(_), .. }), "{error:?}");
    }
}

#[tokio::test]
async fn the_number_of_output_files_is_bounded_on_both_sides() {
    let with = |files: usize| Project::new(&format!("mkdir -p out/in; cd out/in; seq {files} | xargs touch"), "", 5);
    let built = with(MAX_OUTPUT_FILES).built().await;
    assert_eq!(built.record.outputs.entries().len(), MAX_OUTPUT_FILES + 1, "a folder is no file");
    let error = with(MAX_OUTPUT_FILES + 1).build().await.unwrap_err();
    assert!(matches!(error, RunError::TooManyOutputs { most: MAX_OUTPUT_FILES }), "{error:?}");
}

/// A new store works whatever the umask, also where the build's user owns nothing of it; and nobody else of the machine
/// can reach what is in it.
#[test]
fn a_store_works_under_any_umask() {
    for umask in ["000", "022", "077"] {
        again(&format!("umask {umask}; touch reached; exec \"$@\""), "under_this_umask");
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            again(&format!("umask {umask}; {AS_ORDINARY_USER}"), "under_this_umask");
        }
    }
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn under_this_umask() {
    let project = Project::new("mkdir out; cp file out; umask; cat /inputs/tool", "", 5);
    let (digest, size) = project.store.add_bytes(b"a tool").unwrap();
    let mut project = project;
    let tool =
        Input { name: "tool".parse().unwrap(), role: Role::Tool, purl: None, content: Content::File { digest, size } };
    project.lock.inputs.push(tool);
    let built = project.built().await;
    assert_eq!(built.record.outputs.entries().len(), 1);
    assert_eq!(fs::read_to_string(&built.log).unwrap(), "0022\na tool");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(project.store.root()), mode(&built.log)), (0o700, 0o600));
}
