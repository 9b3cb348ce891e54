// SPDX-License-Identifier: Apache-2.0
//! `reprove doctor`: what can this machine do, and which line mends what it can't?

use std::path::Path;
use std::process::Stdio;

use reprove_model::{Digest, DigestSet, Enforced, Exit, HeldBy, IsolationLevel};
use reprove_runner::{Sandbox, SandboxOutcome, SandboxRequest};
use reprove_store::Store;
use serde::Serialize;

use crate::app::App;
use crate::error::{CANNOT, CommandError, YES, from_environment, from_sandbox};
use crate::{env_vars, keys, output};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What it is for.
    what: &'static str,
    works: bool,
    /// Whether `rebuild` and `check` need it.
    needed: bool,
    /// What was found.
    found: String,
    /// The line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

pub(crate) async fn run(app: &App) -> Result<u8, CommandError> {
    app.progress.doing("looking at this machine");
    let mut all = sandbox(app).await?;
    all.push(store(app));
    all.push(key());
    all.push(pip(app).await);
    all.push(program("/usr/bin/python3", "Python packages are built with", "apt install python3"));
    all.push(optional_program("git", "leaving out of a project what Git ignores", "apt install git"));
    all.push(Finding {
        what: "builds in virtual machines, and evidence of confidential ones",
        works: false,
        needed: false,
        found: "this version runs builds in namespaces alone".into(),
        mend: None,
    });
    app.progress.clear();
    let able = all.iter().all(|finding| finding.works || !finding.needed);
    if app.global.json {
        output::json(&serde_json::json!({ "able": able, "findings": all }))?;
    } else {
        output::text(&render(&all, able))?;
    }
    Ok(if able { YES } else { CANNOT })
}

fn render(all: &[Finding], able: bool) -> String {
    let mut text = String::new();
    for Finding { what, works, needed, found, mend } in all {
        let mark = match (works, needed) {
            (true, _) => "yes    ",
            (false, true) => "MISSING",
            (false, false) => "no     ",
        };
        text.push_str(&format!("{mark}  {what}: {found}\n"));
        if let Some(mend) = mend {
            text.push_str(&format!("         mend: {mend}\n"));
        }
    }
    text.push_str(if able {
        "\n`rebuild` and `check` work here.\n"
    } else {
        "\n`rebuild` and `check` do not work here yet.\n"
    });
    text
}

const IN_NAMESPACES: &str = "builds in namespaces";

async fn sandbox(app: &App) -> Result<Vec<Finding>, CommandError> {
    let lacking = |error: CommandError| {
        let (found, next) = error.into_parts();
        Finding { what: IN_NAMESPACES, works: false, needed: true, found, mend: next.into_iter().next() }
    };
    // Its digest is not looked at, and takes seconds.
    let root = match reprove_images::host_parts() {
        Ok(parts) => parts.digested(DigestSet::of(b""), Digest::of(b"")),
        Err(error) => return Ok(vec![lacking(from_environment(&error))]),
    };
    // Without a place for one, there is still something to say about the sandbox.
    let own = tempfile::tempdir_in(env_vars::temporary_folder()).ok();
    let store = match (app.store_path(), &own) {
        (None, Some(own)) => Store::open(own.path())?,
        _ => app.store()?,
    };
    let temp = store.temp_dir()?;
    let commands = vec![vec!["/bin/true".to_owned()]];
    let request = SandboxRequest::new(&root, store.blob_root(), commands, temp.path().join("log"));
    let mut all = Vec::new();
    match Sandbox::default().run(request).await {
        Ok(outcome) if outcome.exit == Exit::Success => all.extend(walls(&outcome)),
        Ok(outcome) => all.push(Finding {
            what: IN_NAMESPACES,
            works: false,
            needed: true,
            found: format!("/bin/true ended with {:?}", outcome.exit),
            mend: None,
        }),
        Err(error) => all.push(lacking(from_sandbox(&error))),
    }
    let library = root.clock_library.clone();
    all.push(Finding {
        what: "another clock in `check`",
        works: library.is_some(),
        needed: false,
        found: library.clone().unwrap_or_else(|| "libfaketime is not installed".into()),
        mend: library.is_none().then(|| "apt install libfaketime".into()),
    });
    Ok(all)
}

/// Whether there is a place for the store.
fn store(app: &App) -> Finding {
    let place = app.store_path();
    let works = place.is_some();
    let found = place.map_or_else(|| "HOME is not set".into(), |path| path.display().to_string());
    let mend = (!works).then(|| format!("set HOME or {}, or give --store DIR", env_vars::STORE));
    Finding { what: "a place for what is built", works, needed: true, found, mend }
}

/// Whether there is a key, or a place for one.
fn key() -> Finding {
    let found = keys::path(None).and_then(|path| {
        let shown = path.display();
        if path.exists() {
            keys::load(&path).map(|_| shown.to_string())
        } else {
            Ok(format!("{shown}, made when it is first needed"))
        }
    });
    let works = found.is_ok();
    let (found, next) = found.map_or_else(CommandError::into_parts, |found| (found, Vec::new()));
    Finding { what: "a key to sign with", works, needed: true, found, mend: next.into_iter().next() }
}

fn walls(outcome: &SandboxOutcome) -> Vec<Finding> {
    let enforced = &outcome.enforced;
    let is_root = nix::unistd::geteuid().is_root();
    let wall = |what, works: bool, found: &str, lacking: &str, mend: &str| Finding {
        what,
        works,
        needed: false,
        found: if works { found } else { lacking }.to_owned(),
        mend: (!works).then(|| mend.to_owned()),
    };
    let limit = |what, by: HeldBy, lacking| {
        let who = if is_root { "run" } else { "run as root," };
        let mend = format!("{who} with cgroups mounted at /sys/fs/cgroup");
        wall(what, by == HeldBy::ControlGroup, "held by a control group", lacking, &mend)
    };
    let lend = "run as root, or: apt install uidmap, and a line for you in /etc/subuid and in /etc/subgid";
    let level = enforced.level();
    vec![
        Finding {
            what: IN_NAMESPACES,
            works: level.is_some(),
            needed: true,
            found: format!("{}; filtered system calls", enforced.namespaces.join(", ")),
            mend: None,
        },
        wall(
            "Landlock as a second wall",
            enforced.landlock >= Enforced::LANDLOCK_SCOPES,
            &format!("version {}", enforced.landlock),
            &format!("version {}; signals and abstract sockets need {}", enforced.landlock, Enforced::LANDLOCK_SCOPES),
            "Linux 6.12 or newer, with `landlock` in the kernel's `lsm=` list",
        ),
        wall(
            "a user for the build that owns nothing else",
            enforced.separate_user,
            "yes",
            "the build runs as you, inside its namespaces",
            lend,
        ),
        wall("groups of nobody else", enforced.separate_groups, "yes", "the build is in your groups", lend),
        limit("a limit of memory", enforced.memory, "none can be made here; the runner looks 20 times a second"),
        limit("a limit of processes", enforced.processes, "none can be made here; by a resource limit"),
        Finding {
            what: "how strong the sandbox is",
            works: true,
            needed: true,
            found: level.map_or("below basic", IsolationLevel::name).to_owned(),
            mend: None,
        },
    ]
}

async fn pip(app: &App) -> Finding {
    let python = app.pip().python;
    let shown = python.display();
    let mut command = tokio::process::Command::new(&python);
    command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = match command.output().await {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(_) => Err(format!("{shown} has no pip")),
        Err(e) => Err(format!("{shown}: {e}")),
    };
    let (found, mend) = match said.as_deref().map(version) {
        Err(found) => {
            let mend = format!("apt install python3-pip, or set {} to a Python that has pip", env_vars::PYTHON);
            (found.clone(), Some(mend))
        }
        Ok(Some((version, major))) if major >= OLDEST_PIP => (format!("pip {version}"), None),
        Ok(version) => {
            let version = version.map_or("of no known version", |(version, _)| version);
            let mend = format!("{shown} -m pip install --upgrade pip");
            (format!("pip {version}; {OLDEST_PIP}.0 or newer is needed"), Some(mend))
        }
    };
    Finding { what: "fetching Python packages", works: mend.is_none(), needed: true, found, mend }
}

/// The first version of pip that can say what it would fetch (`pip install --report`, as it is used here).
const OLDEST_PIP: u32 = 23;

/// The version that pip says it has, as in `pip 23.0.1 from …`, and its first number.
fn version(said: &str) -> Option<(&str, u32)> {
    let version = said.strip_prefix("pip ")?.split_whitespace().next()?;
    Some((version, version.split('.').next()?.parse().ok()?))
}

fn program(path: &'static str, what: &'static str, mend: &str) -> Finding {
    let works = Path::new(path).exists();
    let found = if works { path.to_owned() } else { format!("there is no {path}") };
    Finding { what, works, needed: true, found, mend: (!works).then(|| mend.to_owned()) }
}

fn optional_program(name: &'static str, what: &'static str, mend: &str) -> Finding {
    let place = env_vars::program_folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let found = place.as_ref().map_or_else(|| format!("there is no {name}"), |path| path.display().to_string());
    Finding { what, works: place.is_some(), needed: false, found, mend: place.is_none().then(|| mend.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_pip_is_read() {
        assert_eq!(version("pip 23.0.1 from /usr/lib (python 3.11)\n"), Some(("23.0.1", 23)));
        assert_eq!(version("pip 9.0 from /usr/lib"), Some(("9.0", 9)));
        assert_eq!(version("pip 26"), Some(("26", 26)));
        assert_eq!((version("pipe 1"), version("pip x.y"), version("")), (None, None, None));
    }
}
