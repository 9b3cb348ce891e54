// SPDX-License-Identifier: Apache-2.0
//! Builds in virtual machines whose environment is a kept one: what comes out, and what a guest refuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use reprove_images::guest::{UsrImage, append_tree, usr_image};
use reprove_images::{RootFilesystem, debian};
use reprove_model::{
    Clock, Content, Debian, DigestSet, Environment, Exit, Input, Isolation, Lock, LockedEnvironment, LockedPackage,
    Recipe, RecordMode, Role, Sha256,
};
use reprove_runner::vm::{Machine, MachineError};
use reprove_runner::{Built, RunError};
use reprove_store::{IngestLimits, Store};
use support::build::build;
use support::machines::{GO_ON, guest, runs_here, tampering};
use tempfile::TempDir;

/// What there is of a shell, and what it is linked to, of this machine's.
const SHELL: [&str; 3] = ["bin/dash", "lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"];

/// A project whose environment is a shell alone, as if it were made of a package.
struct Project {
    dir: TempDir,
    store: Store,
    lock: Lock,
    root: RootFilesystem,
    machine: Option<Machine>,
}

impl Project {
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        for name in SHELL {
            let to = files.join("usr").join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(Path::new("/usr").join(name), to).unwrap();
        }
        symlink("dash", files.join("usr/bin/sh")).unwrap();
        fs::create_dir_all(files.join("etc")).unwrap();
        for name in ["group", "hosts", "nsswitch.conf", "passwd"] {
            fs::write(files.join("etc").join(name), "").unwrap();
        }
        fs::write(files.join("etc/of-it"), "of the environment\n".repeat(1000)).unwrap();
        let tree = store.add_tree(&files, IngestLimits::default(), &|_| false).unwrap();
        let (package, size) = store.add_bytes(b"a package").unwrap();
        let package = LockedPackage {
            name: "shell".into(),
            version: "1".into(),
            architecture: "all".into(),
            size,
            blake3: package.blake3,
            sha256: Sha256::of(b"a package"),
        };
        let asked = Debian { debian: "bookworm".into(), packages: vec!["shell".into()] };
        let locked = debian::locked(&asked, "amd64", 1, tree.digest());
        let root = debian::keep(&store, std::slice::from_ref(&package), &tree, locked).unwrap();
        let recipe = format!(
            "package.name = 'p'\nsource.directory = '.'\noutputs.paths = ['out']\n\
             environment = {{ debian = 'bookworm', packages = ['shell'] }}\n\
             limits.memory-mib = 512\nlimits.disk-mib = 64\nlimits.seconds = 120\n{more}"
        );
        let recipe = Recipe::from_toml(&recipe).unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        let source = store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        let content = Content::Tree { digest: source.digest() };
        let mut inputs = vec![Input { name: "p".parse().unwrap(), role: Role::Source, purl: None, content }];
        // As large as no job may be: it is in the environment, and not on the job's disk.
        let content = Content::File { digest: DigestSet::of(b"not there"), size: 1 << 40 };
        inputs.push(Input { name: "shell.deb".parse().unwrap(), role: Role::Environment, purl: None, content });
        let lock = Lock { recipe, inputs, environment: root.locked.clone(), published: None };
        let usr = usr_image(&store, &root, &|| {}).unwrap();
        let machine = Some(Machine { guest: guest(), other: None, formatter: None, usr, confidential: None });
        Self { dir, store, lock, root, machine }
    }

    async fn build(&self) -> Result<Built, RunError> {
        let of = (&self.lock, &self.root);
        build((&self.store, self.machine.clone()), of, Clock::Host, RecordMode::Files).await
    }

    /// What a guest says that does not build in it.
    async fn refused(&self) -> String {
        match self.build().await.unwrap_err() {
            RunError::Machine(error @ (MachineError::Inside { .. } | MachineError::Report { .. })) => error.to_string(),
            error => panic!("{error:?}"),
        }
    }
}

const SEES: &str = "build.steps = ['''read -r line < /etc/of-it; echo $line > out; echo / /* /usr/* >> out; \
                    test ! -w /etc/of-it; test -x /usr/bin/sh''']\n";

#[tokio::test]
async fn a_build_in_a_kept_environment_is_the_same_in_a_machine() {
    if !runs_here() {
        return;
    }
    let mut project = Project::new(SEES);
    let inside = project.build().await.unwrap();
    assert_eq!((inside.record.exit, inside.record.isolation), (Exit::Success, Isolation::Vm));
    project.machine = None;
    let outside = project.build().await.unwrap();
    assert_eq!((outside.record.exit, outside.record.isolation), (Exit::Success, Isolation::Namespaces));
    assert_eq!(inside.record.outputs, outside.record.outputs);
    assert_eq!(inside.record.environment, outside.record.environment);
    assert_eq!(inside.record.environment, project.root.locked);
    assert_eq!(inside.record.inputs, outside.record.inputs);
    let (_, digest, _) = inside.record.outputs.files().next().unwrap();
    let out = fs::read_to_string(project.store.blob_root().join(Store::blob_name(&digest.blake3))).unwrap();
    assert_eq!(
        out,
        "of the environment\n/ /bin /build /dev /etc /lib /lib64 /proc /sys /tmp /usr /usr/bin /usr/lib /usr/lib64\n"
    );
}

/// The image of an environment with another file, with a hash tree that is right.
fn other_image(project: &Project) -> UsrImage {
    let environment = project.root.binds[0].0.parent().unwrap();
    let (copy, image) = (project.dir.path().join("copy"), project.dir.path().join("other.img"));
    assert!(Command::new("cp").arg("-a").arg(environment).arg(&copy).status().unwrap().success());
    fs::write(copy.join("etc/of-it"), "of another environment\n".repeat(1000)).unwrap();
    let options = ["--quiet", "-x-1", "--all-root", "-T1577836800"];
    assert!(Command::new("mkfs.erofs").args(options).arg(&image).arg(&copy).status().unwrap().success());
    let mut file = fs::File::options().read(true).write(true).open(image).unwrap();
    let verity = append_tree(&mut file).unwrap();
    UsrImage { file: file.into(), verity }
}

/// Whoever makes the image and its hash tree does not decide what the environment is: the guest does, by the lock.
#[tokio::test]
async fn a_guest_refuses_an_environment_that_is_not_the_lock_s() {
    if !runs_here() {
        return;
    }
    let mut project = Project::new(SEES);
    let image = other_image(&project);
    let ours = std::mem::replace(&mut project.machine.as_mut().unwrap().usr, image);
    let said = project.refused().await;
    assert!(said.contains("other files than the lock says"), "{said}");
    assert!(said.contains(&project.lock.environment.digest.blake3.to_string()), "{said}");
    // The right image, and a lock of something else.
    project.machine.as_mut().unwrap().usr = ours;
    let right = project.lock.environment.clone();
    let other = LockedEnvironment { digest: DigestSet::of(b"other"), ..right.clone() };
    (project.lock.environment, project.root.locked) = (other.clone(), other);
    assert!(project.refused().await.contains("other files than the lock says"));
    // One that says that it is of another kind than its recipe asks for, which nobody would read.
    let other = LockedEnvironment { kind: Environment::HostUsr, ..right };
    (project.lock.environment, project.root.locked) = (other.clone(), other);
    assert!(project.refused().await.contains("of another kind than its recipe asks for"));
}

/// In a file that is read at once, and in one that is large enough to be mapped.
#[tokio::test]
async fn a_guest_refuses_an_environment_with_a_changed_byte() {
    if !runs_here() {
        return;
    }
    let c_library = fs::read(Path::new("/usr").join(SHELL[1])).unwrap();
    assert!(c_library.len() > 1 << 20);
    for part in [&b"of another environment\n"[..], &c_library[0x8000..0x8100]] {
        let mut project = Project::new(SEES);
        let image = other_image(&project);
        let bytes = fs::read(project.dir.path().join("other.img")).unwrap();
        // The end of a small file stands beside its inode, which is read before.
        let at = bytes.windows(part.len()).rposition(|bytes| bytes == part).unwrap();
        let machine = project.machine.as_mut().unwrap();
        machine.usr = image;
        let script = format!("printf '\\377\\000' | dd of=$USR bs=1 seek={at} conv=notrunc 2>/dev/null\n{GO_ON}");
        machine.guest.program = tampering(project.dir.path(), &script);
        let said = project.refused().await;
        assert!(said.contains("putting the root filesystem together") && said.contains("error"), "{said}");
    }
}

/// Says `up` where something on this machine's own address can be reached.
const REACHES: &str = "#include <arpa/inet.h>\n#include <stdio.h>\n#include <sys/socket.h>\n\
    int main(void) {\n\
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};\n\
    socklen_t n = sizeof a;\n\
    int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);\n\
    int up = !bind(s, (void *)&a, n) && !listen(s, 1) && !getsockname(s, (void *)&a, &n) && !connect(c, (void *)&a, n);\n\
    puts(up ? \"up\" : \"down\");\n}\n";

#[tokio::test]
async fn a_build_in_a_machine_has_a_loopback_device_where_it_asks_for_one() {
    if !runs_here() {
        return;
    }
    for (is_asked, says) in [(false, "down\n"), (true, "up\n")] {
        let mut project = Project::new(&format!("build.steps = ['./reaches > out']\nbuild.loopback = {is_asked}\n"));
        let source = project.dir.path().join("source");
        fs::write(project.dir.path().join("reaches.c"), REACHES).unwrap();
        let mut compile = Command::new("gcc");
        compile.arg("-static").arg("-o").arg(source.join("reaches")).arg(project.dir.path().join("reaches.c"));
        assert!(compile.status().unwrap().success());
        let source = project.store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        project.lock.inputs[0].content = Content::Tree { digest: source.digest() };
        let built = project.build().await.unwrap();
        assert_eq!(built.record.exit, Exit::Success);
        let (_, digest, _) = built.record.outputs.files().next().unwrap();
        let out = fs::read_to_string(project.store.blob_root().join(Store::blob_name(&digest.blake3))).unwrap();
        assert_eq!(out, says);
    }
}
