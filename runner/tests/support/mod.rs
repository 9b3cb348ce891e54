// SPDX-License-Identifier: Apache-2.0
//! What the tests of the sandbox run in.
#![allow(dead_code, reason = "each file of tests uses a part")]
#![allow(clippy::print_stdout, reason = "to say what was skipped")]

pub(crate) mod build;
pub(crate) mod machines;
pub(crate) mod programs;
pub(crate) mod project;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use reprove_images::RootFilesystem;
use reprove_model::{DigestSet, Environment, Exit, Limits, LockedEnvironment, RecordMode};
use reprove_runner::{Sandbox, SandboxOutcome, SandboxRequest};
use tempfile::TempDir;

/// The sandbox whose helper is this crate's small program.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::with_helper(env!("CARGO_BIN_EXE_reprove-sandbox").into())
}

/// This machine's `/usr`, without a digest.
pub(crate) fn root() -> RootFilesystem {
    let digest = DigestSet::of(b"not looked at");
    RootFilesystem {
        locked: LockedEnvironment { kind: Environment::HostUsr, description: "this".into(), digest },
        fingerprint: reprove_store::Fingerprint::none(),
        binds: vec![("/usr".into(), "/usr".into())],
        hidden: vec!["/usr/local".into()],
        links: ["bin", "lib", "lib64"].map(|name| (format!("/{name}"), format!("usr/{name}"))).into(),
        files: vec![("/etc/passwd".into(), "build:x:1000:1000::/:/bin/sh\n".into())],
    }
}

/// A place to run scripts from.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) root: RootFilesystem,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        Self { dir, root: root() }
    }

    pub(crate) fn request(&self, script: &str) -> SandboxRequest<'_> {
        let commands = vec![vec!["/bin/sh".into(), "-ec".into(), script.into()]];
        let mut request = SandboxRequest::new(&self.root, self.dir.path().join("blobs"), commands, self.log_path());
        request.env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        request.limits = Limits { seconds: 30, ..Limits::default() };
        #[expect(clippy::disallowed_methods, reason = "how one run of the tests tells another")]
        if std::env::var_os(RECORD).is_some() {
            request.record = RecordMode::Full;
        }
        request
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) async fn run(&self, script: &str) -> (SandboxOutcome, String) {
        self.run_request(self.request(script)).await
    }

    pub(crate) async fn run_request(&self, request: SandboxRequest<'_>) -> (SandboxOutcome, String) {
        let sandbox = sandbox();
        // Builds begin in namespaces that waited for them as well as in ones that did not.
        sandbox.prepare();
        let outcome = sandbox.run(request).await.unwrap();
        (outcome, String::from_utf8_lossy(&fs::read(self.log_path()).unwrap()).into_owned())
    }

    /// The log of a script that must end well.
    pub(crate) async fn log(&self, script: &str) -> String {
        let (outcome, log) = self.run(script).await;
        assert_eq!(outcome.exit, Exit::Success, "{log}");
        log
    }
}

/// Runs the ignored test `name` of this program again, in an empty directory, by a script that ends with
/// `touch reached; exec "$@"`: where the whole process has to be another. Says so, and goes on, where this machine does not
/// let the script do what comes before that.
pub(crate) fn again(script: &str, name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("/bin/sh")
        .args(["-ec", script, "sh"])
        .arg(fs::read_link("/proc/self/exe").unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if dir.path().join("reached").exists() {
        assert!(output.status.success() && said.contains("1 passed"), "{script}: {said}");
    } else {
        println!("skipped: {script}: {said}");
    }
}

/// Runs all tests of this program again, but those whose names contain `but`, by such a script. Gives whether it could.
pub(crate) fn all_again(script: &str, but: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("/bin/sh")
        .args(["-ec", script, "sh"])
        .arg(fs::read_link("/proc/self/exe").unwrap())
        .args(["--skip", but])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !dir.path().join("reached").exists() {
        println!("skipped: {script}: {said}");
        return false;
    }
    assert!(output.status.success() && said.contains("test result: ok"), "{script}: {said}");
    true
}

/// Where it is set, all that is run is watched.
const RECORD: &str = "REPROVE_TEST_RECORD";

/// Runs all tests of this program again with a watch, but those whose names contain `but`: as this user and, where that is
/// root, as an ordinary one.
pub(crate) fn all_again_watched(but: &str) {
    let watched = format!("export {RECORD}=full;");
    assert!(all_again(&format!("{watched} touch reached; exec \"$@\""), but));
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        all_again(&format!("{watched} {AS_ORDINARY_USER}"), but);
    }
}

/// Becomes an ordinary user to whom ids are lent, if `newuidmap` is installed.
pub(crate) const AS_USER_WITH_LENT_IDS: &str = "test -u /usr/bin/newuidmap; exec unshare -m sh -ec 'umask 022; \
     echo nobody:300000:65536 > lent; for f in /etc/subuid /etc/subgid; do test -e $f || : > $f; \
     mount --bind lent $f; done; chmod 777 .; touch reached; \
     exec setpriv --reuid 65534 --regid 65534 --groups 65534,4 \"$@\"' sh \"$@\"";

/// Becomes an ordinary user, who can write in the directory.
pub(crate) const AS_ORDINARY_USER: &str = "chmod 777 .; setpriv --reuid 65534 --regid 65534 --clear-groups touch reached; \
     exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
