// SPDX-License-Identifier: Apache-2.0
//! Builds in virtual machines: what comes out, what a guest refuses, and that nothing stays.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use reprove_images::RootFilesystem;
use reprove_images::guest::{UsrImage, append_tree, usr_image};
use reprove_model::{Clock, Content, Engine, Exit, Input, Isolation, Lock, Recipe, RecordMode, Role};
use reprove_runner::vm::{Machine, MachineError, hello};
use reprove_runner::{Built, RunError};
use reprove_store::{IngestLimits, Store};
use support::build::build;
use support::machines::{GO_ON, guest, runs_here, tampering};
use tempfile::TempDir;

/// This machine's `/usr` and the image of it, which all tests of all runs share.
fn usr() -> (RootFilesystem, UsrImage) {
    static USR: OnceLock<(RootFilesystem, UsrImage)> = OnceLock::new();
    USR.get_or_init(new_usr).clone()
}

fn new_usr() -> (RootFilesystem, UsrImage) {
    let store = Store::open(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("machines")).unwrap();
    let root = reprove_images::host_usr(&store, i64::MAX, &|| {}).unwrap();
    let image = usr_image(&store, &root, &|| {}).unwrap();
    (root, image)
}

/// A project of one C file, in a store of its own.
struct Project {
    _dir: TempDir,
    store: Store,
    lock: Lock,
    root: RootFilesystem,
    machine: Option<Machine>,
    clock: Clock,
}

impl Project {
    fn new(steps: &str) -> Self {
        let (root, usr) = usr();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("hello.c"), "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n").unwrap();
        let tree = store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        let recipe = format!(
            "package.name = 'p'\nsource.directory = '.'\nbuild.steps = ['''{steps}''']\noutputs.directory = 'out'\n\
             limits.memory-mib = 512\nlimits.disk-mib = 64\nlimits.seconds = 120\n"
        );
        let content = Content::Tree { digest: tree.digest() };
        let input = Input { name: "p".parse().unwrap(), role: Role::Source, purl: None, content };
        let recipe = Recipe::from_toml(&recipe).unwrap();
        let lock = Lock { recipe, inputs: vec![input], environment: root.locked.clone(), published: None };
        let machine = Some(Machine { guest: guest(), other: None, formatter: None, usr, confidential: None });
        Self { _dir: dir, store, lock, root, machine, clock: Clock::Host }
    }

    async fn build(&self) -> Result<Built, RunError> {
        let of = (&self.lock, &self.root);
        build((&self.store, self.machine.clone()), of, self.clock, RecordMode::Files).await
    }
}

#[tokio::test]
async fn a_guest_says_that_it_is_there() {
    if !runs_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let helper = Path::new(env!("CARGO_BIN_EXE_reprove-sandbox"));
    hello(helper, &guest(), 1_000_000_000, &store).await.unwrap();
}

#[tokio::test]
async fn a_build_in_a_machine_gives_the_bytes_of_one_outside() {
    if !runs_here() {
        return;
    }
    let steps = "mkdir out; gcc -o out/hello hello.c; ./out/hello; uname -n";
    let mut project = Project::new(steps);
    let inside = project.build().await.unwrap();
    let log = fs::read_to_string(&inside.log).unwrap();
    assert_eq!((inside.record.exit, log.as_str()), (Exit::Success, "hello\nreprove\n"));
    let machine = inside.record.machine.clone().unwrap();
    assert_eq!((inside.record.isolation, machine.engine), (Isolation::Vm, Engine::UserModeLinux));
    project.machine = None;
    let outside = project.build().await.unwrap();
    assert_eq!((outside.record.isolation, outside.record.machine), (Isolation::Namespaces, None));
    assert_eq!(inside.record.outputs, outside.record.outputs);
    assert_eq!(inside.record.outputs.files().count(), 1);
    for (_, digest, _) in inside.record.outputs.files() {
        project.store.verify_blob(&digest.blake3).unwrap();
    }
}

#[tokio::test]
async fn a_machine_s_clock_is_the_one_that_is_asked_for() {
    if !runs_here() {
        return;
    }
    let mut project =
        Project::new("mkdir out; date -u +%F > out/date; touch out/x; date -u -r out/x +%F >> out/date; cat out/date");
    project.clock = Clock::SetTo(1_000_000_000);
    let built = project.build().await.unwrap();
    assert_eq!(fs::read_to_string(&built.log).unwrap(), "2001-09-09\n2001-09-09\n");
}

#[tokio::test]
async fn a_build_that_fails_in_a_machine_has_a_record() {
    if !runs_here() {
        return;
    }
    let project = Project::new("echo why; exit 3");
    let built = project.build().await.unwrap();
    assert_eq!(built.record.exit, Exit::Status { step: 0, status: 3, out_of_memory: false });
    assert_eq!(fs::read_to_string(&built.log).unwrap(), "why\n");
}

#[tokio::test]
async fn what_the_project_lacks_is_said_as_it_is_outside() {
    if !runs_here() {
        return;
    }
    let error = Project::new("true").build().await.unwrap_err();
    let RunError::Machine(MachineError::Inside { fault, text }) = &error else { panic!("{error:?}") };
    assert_eq!(*fault, reprove_runner::vm::Fault::Project);
    assert!(text.contains("out"), "{text}");
}

/// Such an engine, of a project with a `/usr` of its own, since nothing may be done to the one that is shared.
async fn tampered(script: &str) -> MachineError {
    let mut project = Project::new("true");
    let dir = tempfile::tempdir().unwrap();
    let machine = project.machine.as_mut().unwrap();
    machine.guest.program = tampering(dir.path(), script);
    machine.usr = small_usr(dir.path());
    let RunError::Machine(error) = project.build().await.unwrap_err() else { panic!("{script}") };
    error
}

/// An image with one file in it.
fn small_usr(folder: &Path) -> UsrImage {
    fs::create_dir_all(folder.join("usr/local")).unwrap();
    fs::write(folder.join("usr/file"), [7; 100_000]).unwrap();
    let image = folder.join("usr.img");
    let made =
        Command::new("mkfs.erofs").args(["--quiet", "-Enosbcrc"]).arg(&image).arg(folder.join("usr")).status().unwrap();
    assert!(made.success());
    let mut file = fs::File::options().read(true).write(true).open(image).unwrap();
    let verity = append_tree(&mut file).unwrap();
    UsrImage { file: file.into(), verity }
}

#[tokio::test]
async fn a_guest_refuses_what_is_not_as_its_command_line_says() {
    if !runs_here() {
        return;
    }
    let cases = [
        ("printf ! | dd of=$JOB bs=1 seek=100 conv=notrunc 2>/dev/null", "checking the job's disk"),
        (
            "truncate -s 4096 $JOB; printf ! | dd of=$JOB bs=1 seek=30 conv=notrunc 2>/dev/null",
            "checking the job's disk",
        ),
        ("truncate -s +4096 $JOB", "checking the job's disk"),
        // The name of the file system, in its first block, which has no sum of its own: the tree alone sees it.
        ("printf ! | dd of=$USR bs=1 seek=1088 conv=notrunc 2>/dev/null", "mounting the disk with /usr"),
        ("truncate -s 8192 $USR", "checking the disk with /usr"),
        ("set -- $(echo \"$@\" | sed 's/reprove.job=..../reprove.job=0123/')", "checking the job's disk"),
        ("set -- $(echo \"$@\" | sed 's/reprove.usr=[^ ]*//')", "checking the disk with /usr"),
        ("set -- $(echo \"$@\" | sed 's/\\(reprove.usr=[0-9]*:\\)..../\\1abcd/')", "mounting the disk with /usr"),
    ];
    for (script, said) in cases {
        let error = tampered(&format!("{script}\n{GO_ON}")).await;
        let text = error.to_string();
        assert!(
            matches!(error, MachineError::Inside { .. } | MachineError::Report { .. }) && text.contains(said),
            "{script}: {text}"
        );
    }
}

/// What comes from the engine is from outside.
#[tokio::test]
async fn a_host_takes_no_report_that_is_none() {
    if !runs_here() {
        return;
    }
    let cases = [
        ("exit 0", "left no report"),
        ("(sleep 0.5; kill -9 $$) & exec /usr/bin/linux.uml \"$@\"", "left no report"),
        ("head -c 100000 /dev/urandom | dd of=$REPORT conv=notrunc 2>/dev/null", "left no report"),
        ("printf 'reprove report1\\n' | dd of=$REPORT conv=notrunc 2>/dev/null", "can't be read"),
        ("truncate -s 0 $REPORT", "left no report"),
    ];
    for (script, said) in cases {
        let error = tampered(script).await;
        assert!(matches!(error, MachineError::Report { .. }) && error.to_string().contains(said), "{script}: {error}");
    }
    let error = tampered("head -c 20000000 /dev/zero").await;
    assert!(matches!(error, MachineError::Talkative), "{error}");
}
