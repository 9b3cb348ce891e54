// SPDX-License-Identifier: Apache-2.0
//! From nothing to the end of `/bin/true` in a sandbox.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_images::RootFilesystem;
use reprove_model::{DigestSet, Environment, LockedEnvironment};
use reprove_runner::{Sandbox, SandboxError, SandboxOutcome, SandboxRequest};

use crate::Options;
use crate::contestant::Contestant;
use crate::report::Table;
use crate::rounds::{Bound, race};

/// Runs `/bin/true` in reprove's sandbox, with everything that a build has: all namespaces, limits, log, and the root
/// filesystem that `images` makes of this machine's `/usr`.
pub(crate) struct SandboxRun {
    sandbox: Sandbox,
    root: RootFilesystem,
    blobs: PathBuf,
    log: PathBuf,
}

impl SandboxRun {
    fn new(helper: PathBuf, directory: &Path) -> Self {
        Self {
            sandbox: Sandbox::with_helper(helper),
            root: root(),
            blobs: directory.join("blobs"),
            log: directory.join("log"),
        }
    }

    /// From the request to the outcome; when this returns nothing of the run is left.
    pub(crate) async fn once(&self) -> Result<SandboxOutcome, SandboxError> {
        let commands = vec![vec!["/bin/true".to_owned()]];
        let mut request = SandboxRequest::new(&self.root, self.blobs.clone(), commands, self.log.clone());
        request.env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        self.sandbox.run(request).await
    }
}

/// The parts that `reprove_images::host_usr` gives. Its digest, which takes seconds the first time, is not looked at here.
fn root() -> RootFilesystem {
    let digest = DigestSet::of(b"not looked at");
    let mut binds = vec![("/usr".into(), "/usr".to_owned())];
    if Path::new("/etc/alternatives").is_dir() {
        binds.push(("/etc/alternatives".into(), "/etc/alternatives".into()));
    }
    let links = ["bin", "lib", "sbin", "lib64", "lib32", "libx32"];
    let links = links.iter().filter(|name| Path::new("/").join(name).is_symlink());
    let files = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"];
    RootFilesystem {
        locked: LockedEnvironment { kind: Environment::HostUsr, description: "this".into(), digest },
        fingerprint: digest.blake3,
        binds,
        hidden: vec!["/usr/local".into()],
        links: links.map(|name| (format!("/{name}"), format!("usr/{name}"))).collect(),
        files: files.map(|path| (path.to_owned(), "build:x:1000:1000:build:/tmp:/bin/sh\n".to_owned())).into(),
        clock_library: None,
    }
}

const BUBBLEWRAP: &str = "bwrap --unshare-all --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib \
                          --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp --die-with-parent \
                          --new-session /bin/true";

/// Holds the sandbox against bubblewrap, `unshare`, and no sandbox at all.
pub(crate) async fn measure(options: &Options, directory: &Path) -> io::Result<Table> {
    fs::create_dir(directory.join("blobs"))?;
    let small = PathBuf::from(env!("CARGO_BIN_EXE_reprove-sandbox"));
    let mut contestants = vec![
        Contestant::program("no sandbox", ["/bin/true"]),
        Contestant::program("unshare", "unshare -Urmpfn --mount-proc /bin/true".split(' ')),
        Contestant::program("bubblewrap", BUBBLEWRAP.split_ascii_whitespace()),
        Contestant::sandbox("reprove, small helper", SandboxRun::new(small, directory)),
    ];
    if let Some(reprove) = &options.reprove {
        contestants.push(Contestant::sandbox("reprove", SandboxRun::new(reprove.clone(), directory)));
    }
    let bound = Bound { rounds: if options.quick { 60 } else { 400 }, time: Duration::from_secs(40) };
    race("sandbox for /bin/true", "bubblewrap", contestants, bound).await
}
