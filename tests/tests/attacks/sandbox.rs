// SPDX-License-Identifier: Apache-2.0
//! An attack as a build of reprove's: its program is the source, the list of bait an input, `out` the outputs.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use reprove_images::{RootFilesystem, host_parts};
use reprove_model::{
    Clock, Conditions, Content, Digest, DigestSet, Exit, FileOrder, Input, Lock, Node, Recipe, RecordMode, Role, Tree,
};
use reprove_runner::{BuildRequest, Built, RunError, Runner, Sandbox, SourceFiles};
use reprove_store::{IngestLimits, Store};

use crate::header::Attack;
use crate::inside::Ended;

/// Runs one build.
pub(crate) async fn build(attack: &Attack, folder: &Path, role: &str) -> Ended {
    let store = Store::open(&folder.join("store")).unwrap();
    let helper = std::env::var_os("REPROVE_HELPER").expect("the harness gives the program");
    let runner = Runner { store: store.clone(), sandbox: Sandbox::with_helper(helper.into()), machine: None };
    // As in a job, the namespaces wait for the build.
    runner.sandbox.prepare();
    let root = root();
    let lock = lock(attack, role, folder, &store, &root);
    let log = store.root().join("logs").join(format!("{}{role}.log", attack.name));
    let source = match SourceFiles::of(&lock, &store) {
        Ok(source) => source,
        Err(error) if attack.is_archive => return refused(folder, &error, log),
        Err(error) => panic!("{}: there is no source: {error}", attack.name),
    };
    let conditions = Conditions {
        build_path: "/build".into(),
        hostname: "reprove".into(),
        processors: 2,
        file_order: FileOrder::Sorted,
        clock: Clock::Host,
        surroundings: reprove_model::Surroundings::default(),
    };
    let label = format!("{}{role}", attack.name);
    let request = BuildRequest {
        lock: &lock,
        root: &root,
        source: &source,
        conditions: &conditions,
        epoch: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        watched: RecordMode::Full,
        label: &label,
        followed: false,
    };
    match runner.build(request).await {
        Ok(built) => Ended { log, ..ended(&store, &built) },
        // There is no record that says so, but a build that ended well had its limits.
        Err(error @ (RunError::Output { .. } | RunError::OutputLink(_) | RunError::TooManyOutputs { .. })) => {
            refused(folder, &error, log)
        }
        Err(error) => panic!("{}: there was no build: {error}", attack.name),
    }
}

fn refused(folder: &Path, error: &dyn std::error::Error, log: PathBuf) -> Ended {
    fs::write(folder.join("refused"), error.to_string()).unwrap();
    Ended { how: "refused".into(), log, ..Ended::default() }
}

/// What is built: the archive that the program makes, or a folder with the program in it.
fn source(attack: &Attack, folder: &Path, store: &Store) -> Content {
    let source = folder.join("source");
    if attack.is_archive {
        let made = Command::new(source.join("attack")).arg(folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let (digest, size) = store.add_bytes(&made.stdout).unwrap();
        return Content::Archive { digest, size };
    }
    Content::Tree { digest: store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap().digest() }
}

/// This machine's `/usr`, without a digest.
fn root() -> RootFilesystem {
    host_parts().unwrap().digested(DigestSet::of(b"not looked at"), Digest::of(b"not looked at"))
}

fn lock(attack: &Attack, role: &str, folder: &Path, store: &Store, root: &RootFilesystem) -> Lock {
    let (digest, size) = store.add_bytes(&fs::read(folder.join("bait")).unwrap()).unwrap();
    let step = format!("mkdir out && exec ./attack {role}");
    let marker = folder.to_str().unwrap();
    let mut recipe = format!(
        "package.name = 'attack'\nsource.directory = '.'\noutputs.directory = 'out'\n\
         build.steps = [{step:?}]\nbuild.env = {{ MARKER = {marker:?} }}\nlimits.seconds = {}\n",
        attack.seconds()
    );
    for (name, value) in attack.limits.iter().filter(|(name, _)| *name != "seconds") {
        recipe += &format!("limits.{name} = {value}\n");
    }
    let input = |name: &str, role, content| Input { name: name.parse().unwrap(), role, purl: None, content };
    let source = input("attack", Role::Source, source(attack, folder, store));
    let bait = input("bait", Role::Tool, Content::File { digest, size });
    let recipe = Recipe::from_toml(&recipe).unwrap();
    Lock { recipe, inputs: vec![source, bait], environment: root.locked.clone(), published: None }
}

fn ended(store: &Store, built: &Built) -> Ended {
    let how = match built.record.exit {
        Exit::Success => "well",
        exit if exit.is_out_of_memory() => "out-of-memory",
        Exit::Status { .. } => "failed",
        Exit::Signal { .. } => "killed",
        Exit::TimeOut => "time-out",
    };
    Ended { how: how.into(), leaked: leaked(store, &built.record.outputs), log: built.log.clone() }
}

/// Whether a secret, or the machine's table of passwords, is in the outputs.
fn leaked(store: &Store, outputs: &Tree) -> bool {
    outputs.entries().values().any(|node| match node {
        Node::File { digest, .. } => {
            let mut bytes = Vec::new();
            store.open_blob(&digest.blake3).unwrap().take(1 << 16).read_to_end(&mut bytes).unwrap();
            let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
            has(b"bait:") || has(b"root:")
        }
        _ => false,
    })
}
