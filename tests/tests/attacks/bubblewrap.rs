// SPDX-License-Identifier: Apache-2.0
//! An attack in plain bubblewrap, as it is commonly used: every namespace, `/usr`, a `/proc`, a `/dev`, and no more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_images::host_parts;
use tokio::process::Command;

use crate::header::Attack;
use crate::inside::Ended;

/// Runs one build. Its limit of time is the harness's own; bubblewrap has none.
pub(crate) async fn build(attack: &Attack, folder: &Path, role: &str) -> Ended {
    let build = folder.join(format!("build{role}"));
    fs::create_dir_all(build.join("out")).unwrap();
    fs::copy(folder.join("source/attack"), build.join("attack")).unwrap();
    let log = log(folder, role);
    let written = File::create(&log).unwrap();
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--ro-bind", "/usr", "/usr"]);
    for (link, target) in host_parts().unwrap().links {
        command.args(["--symlink", &target, &link]);
    }
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    command.arg("--ro-bind").arg(folder.join("bait")).arg("/inputs/bait");
    command.arg("--bind").arg(&build).args(["/build", "--chdir", "/build", "--die-with-parent", "./attack"]);
    if !role.is_empty() {
        command.arg(role);
    }
    command.env("MARKER", folder).stdout(written.try_clone().unwrap()).stderr(written).kill_on_drop(true);
    let mut child = command.spawn().expect("bwrap can be started");
    let limit = Duration::from_secs(attack.seconds().into());
    let status = tokio::time::timeout(limit, child.wait()).await.map(Result::unwrap);
    let how = match status {
        Ok(status) if status.success() => "well",
        Ok(status) if status.code().is_none_or(|code| code > 128) => "killed",
        Ok(_) => "failed",
        Err(_) => {
            child.kill().await.unwrap();
            "time-out"
        }
    };
    Ended { how: how.into(), leaked: false, log }
}

/// Where the log of a build with this role is.
pub(crate) fn log(folder: &Path, role: &str) -> PathBuf {
    folder.join(format!("bubblewrap{role}.log"))
}
