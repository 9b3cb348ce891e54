// SPDX-License-Identifier: Apache-2.0
//! An OCI bundle, for `crun`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::contestant::Contestant;

/// `crun run` of a bundle in `directory` that runs `command` with this machine's `/usr`.
pub(crate) fn crun(directory: &Path, command: &[&str]) -> io::Result<Contestant> {
    static BUNDLES: AtomicU32 = AtomicU32::new(0);
    let bundle = directory.join(format!("bundle-{}", BUNDLES.fetch_add(1, Ordering::Relaxed)));
    let root = bundle.join("rootfs");
    for folder in ["usr", "proc", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        symlink(Path::new("usr").join(link), root.join(link))?;
    }
    fs::write(bundle.join("config.json"), specification(command).to_string())?;
    let state = bundle.join("state");
    // A container has a name of its own: the shell's process id, since the shell becomes crun.
    let script = "exec crun --root \"$1\" run --bundle \"$2\" reprove-bench-$$";
    let arguments = [OsStr::new("-c"), script.as_ref(), "sh".as_ref(), state.as_ref(), bundle.as_ref()];
    Ok(Contestant::program("crun", [OsStr::new("sh")].into_iter().chain(arguments)))
}

/// `config.json` (OCI Runtime Specification 1.0): the namespaces and mounts that bubblewrap is asked for.
fn specification(command: &[&str]) -> Value {
    let mount = |kind: &str, to: &str| json!({ "destination": to, "type": kind, "source": kind });
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": command,
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": [
            mount("proc", "/proc"),
            mount("tmpfs", "/dev"),
            mount("tmpfs", "/tmp"),
            { "destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"] },
        ],
        "linux": { "namespaces": namespaces },
    })
}
