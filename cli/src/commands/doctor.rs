// SPDX-License-Identifier: Apache-2.0
//! `reprove doctor`: what can this machine do, and which line mends what it can't?

use std::path::Path;
use std::process::Stdio;

use reprove_images::RootFilesystem;
use reprove_model::{Digest, DigestSet, Enforced, Engine, Exit, HeldBy, IsolationLevel, RecordMode};
use reprove_runner::vm::Tried;
use reprove_runner::{Sandbox, SandboxOutcome, SandboxRequest};
use reprove_store::Store;
use serde::Serialize;

use crate::app::App;
use crate::error::{CANNOT, CommandError, YES, from_environment, from_sandbox};
use crate::keys::Place;
use crate::machines::Candidate;
use crate::render::listed;
use crate::{env_vars, keys, machines, output, token};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    /// What it is for.
    what: &'static str,
    works: bool,
    /// Whether a command can't do without it.
    needed: bool,
    /// The commands that can't.
    needed_by: &'static [&'static str],
    /// What was found.
    found: String,
    /// The line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// The commands that build; those of them that sign, and that fetch.
const BUILDS: [&str; 3] = ["build", "check", "rebuild"];
const SIGNS: &[&str] = &["check", "rebuild"];
const FETCHES: &[&str] = &["rebuild"];
const NOBODY: &[&str] = &[];

pub(crate) async fn run(app: &App) -> Result<u8, CommandError> {
    app.progress.doing("looking at this machine");
    let opened = app.store();
    let mut all = sandbox(opened.as_ref().ok()).await;
    all.push(store(app, opened));
    all.push(key().await);
    all.push(pip(app).await);
    all.push(program("/usr/bin/python3", "Python packages are built with", "apt install python3"));
    all.push(optional_program("git", "leaving out of a project what Git ignores", "apt install git"));
    all.push(client(env_vars::NPM, "npm", "fetching packages of npm", "apt install npm"));
    all.push(client(env_vars::CARGO, "cargo", "fetching crates", "apt install cargo"));
    all.push(client(
        env_vars::APT,
        "apt-get",
        "environments and packages of Debian's",
        "use a Debian machine, or a container of one",
    ));
    all.push(client(env_vars::SKOPEO, "skopeo", "images of registries", "apt install skopeo"));
    all.push(client(env_vars::NIX, "nix-store", "rebuilding derivations of Nix's", "apt install nix-bin"));
    all.push(client(env_vars::BAZEL, "bazel", "rebuilding targets of Bazel's", "apt install bazel-bootstrap"));
    all.extend(machines(app).await?);
    all.push(Finding {
        what: "evidence of confidential virtual machines, by hardware",
        works: false,
        needed: false,
        needed_by: NOBODY,
        found: "this version starts none; `reprove tee` says what there is, and --isolation emulated-snp is EMULATED"
            .into(),
        mend: None,
    });
    app.progress.clear();
    let able = all.iter().all(|finding| finding.works || !finding.needed);
    if app.global.json {
        output::json(&serde_json::json!({ "able": able, "findings": all }))?;
    } else {
        output::text(&render(&all))?;
    }
    Ok(if able { YES } else { CANNOT })
}

fn render(all: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { what, works, needed, found, mend, .. } in all {
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
    text.push_str(&format!("\n{}.\n", summary(all)));
    text
}

/// Which commands work, and what the others lack.
fn summary(all: &[Finding]) -> String {
    let lacks = |command: &&str| -> Vec<&str> {
        let lacking = all.iter().filter(|finding| !finding.works && finding.needed_by.contains(command));
        lacking.map(|finding| finding.what).collect()
    };
    let (able, unable): (Vec<&str>, Vec<&str>) = BUILDS.into_iter().partition(|command| lacks(command).is_empty());
    let quoted = |commands: &[&str]| listed(&commands.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>());
    let mut parts = Vec::new();
    match able.len() {
        0 => parts.push(format!("{} do not work here yet", quoted(&unable))),
        1 => parts.push(format!("{} works here", quoted(&able))),
        _ => parts.push(format!("{} work here", quoted(&able))),
    }
    if !able.is_empty() {
        parts.extend(unable.iter().map(|command| format!("`{command}` needs {}", listed(&lacks(command)))));
    }
    parts.join("; ")
}

const IN_NAMESPACES: &str = "builds in namespaces";

async fn sandbox(store: Option<&Store>) -> Vec<Finding> {
    let lacking = |error: CommandError| {
        let (found, next) = error.into_parts();
        Finding::needed(IN_NAMESPACES, &BUILDS, Err((found, next.into_iter().next())))
    };
    // Its digest is not looked at, and takes seconds.
    let root = match reprove_images::host_parts() {
        Ok(parts) => parts.digested(DigestSet::of(b""), Digest::of(b"")),
        Err(error) => return vec![lacking(from_environment(&error))],
    };
    match try_out(store, &root).await {
        Ok(outcome) if outcome.exit == Exit::Success => walls(&outcome),
        Ok(outcome) => {
            let found = format!("/bin/true ended with {:?}", outcome.exit);
            vec![Finding::needed(IN_NAMESPACES, &BUILDS, Err((found, None)))]
        }
        Err(error) => vec![lacking(error)],
    }
}

/// Which engines run virtual machines here: each that is installed is started, unless it is remembered that it works.
async fn machines(app: &App) -> Result<Vec<Finding>, CommandError> {
    // Without a store there is nothing to build in one.
    let Ok(store) = app.store() else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    for Candidate { engine, guest } in machines::candidates(&store).await? {
        let what = match engine {
            Engine::QemuKvm => "virtual machines by qemu-kvm",
            Engine::UserModeLinux => "virtual machines by user-mode-linux",
            Engine::QemuTcg => "virtual machines by qemu-tcg, with an EMULATED processor",
        };
        let (works, found, mend) = match guest {
            Err((found, mend)) => (false, found, Some(mend).filter(|mend| !mend.is_empty())),
            Ok(guest) => {
                let Tried { works, said, .. } = machines::tried_again(app, &guest, &store).await?;
                let is_another = works && machines::other(app, &store, &guest).await?.is_some();
                let found = match works {
                    true if is_another => "a guest was started, and one with the other kernel".into(),
                    true => "a guest was started".into(),
                    false => machines::shortly(&said),
                };
                (works, found, None)
            }
        };
        findings.push(Finding { what, works, needed: false, needed_by: NOBODY, found, mend });
    }
    Ok(findings)
}

/// Runs something in a sandbox as builds have it, and watches that as closely as builds are by default.
async fn try_out(store: Option<&Store>, root: &RootFilesystem) -> Result<SandboxOutcome, CommandError> {
    // Without a place for one, there is still something to say about the sandbox.
    let folder = env_vars::temporary_folder();
    let own = tempfile::tempdir_in(&folder).map_err(|e| output::cannot_write(&folder, output::without_name(e)))?;
    let store = match store {
        Some(store) => store.clone(),
        None => Store::open(own.path())?,
    };
    let temp = store.temp_dir()?;
    let commands = vec![vec!["/bin/true".to_owned()]];
    let mut request = SandboxRequest::new(root, store.blob_root(), commands, temp.path().join("log"));
    request.record = RecordMode::Files;
    Sandbox::default().run(request).await.map_err(|e| from_sandbox(&e))
}

impl Finding {
    /// One that the commands `by` need; what was found, or what is missing and what mends it.
    fn needed(
        what: &'static str,
        by: &'static [&'static str],
        found: Result<String, (String, Option<String>)>,
    ) -> Self {
        let works = found.is_ok();
        let (found, mend) = found.map_or_else(|missing| missing, |found| (found, None));
        Self { what, works, needed: true, needed_by: by, found, mend }
    }
}

/// Whether there is a place for the store, and it can be written.
fn store(app: &App, opened: Result<Store, CommandError>) -> Finding {
    let shown = || app.store_path().unwrap_or_default().display().to_string();
    let found = opened.map(|_| shown()).map_err(|error| {
        let (found, next) = error.into_parts();
        (found, next.into_iter().next())
    });
    Finding::needed("a place for what is built", &BUILDS, found)
}

/// Whether there is a key, or a place for one. Nobody is logged in to a token for that.
async fn key() -> Finding {
    let found = match keys::place(None) {
        Ok(Place::Token(uri)) => token::look(*uri).await.map(|name| format!("on the token {name}")),
        Ok(Place::File(path)) if path.exists() => keys::look(&path)
            .map(|encrypted| format!("{}{}", path.display(), if encrypted { ", encrypted" } else { "" })),
        Ok(Place::File(path)) => Ok(format!("{}, made when it is first needed", path.display())),
        Err(error) => Err(error),
    };
    let found = found.map_err(|error| {
        let (found, next) = error.into_parts();
        (found, next.into_iter().next())
    });
    Finding::needed("a key to sign with", SIGNS, found)
}

fn walls(outcome: &SandboxOutcome) -> Vec<Finding> {
    let enforced = &outcome.enforced;
    let is_root = nix::unistd::geteuid().is_root();
    let wall = |what, works: bool, found: &str, lacking: &str, mend: &str| Finding {
        what,
        works,
        needed: false,
        needed_by: NOBODY,
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
            needed_by: &BUILDS,
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
            needed_by: &BUILDS,
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
    Finding { what: "fetching Python packages", works: mend.is_none(), needed: true, needed_by: FETCHES, found, mend }
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
    Finding { what, works, needed: true, needed_by: FETCHES, found, mend: (!works).then(|| mend.to_owned()) }
}

/// A client of an ecosystem's, which a variable may name.
fn client(variable: &str, name: &'static str, what: &'static str, mend: &str) -> Finding {
    match env_vars::path(variable) {
        Some(path) if path.is_absolute() => {
            let works = path.is_file();
            let found = if works {
                path.display().to_string()
            } else {
                format!("there is no {}, which {variable} names", path.display())
            };
            let mend = (!works).then(|| format!("set {variable} to a program that is there"));
            Finding { what, works, needed: false, needed_by: NOBODY, found, mend }
        }
        _ => optional_program(name, what, mend),
    }
}

fn optional_program(name: &'static str, what: &'static str, mend: &str) -> Finding {
    let place = env_vars::program_folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let found = place.as_ref().map_or_else(|| format!("there is no {name}"), |path| path.display().to_string());
    let works = place.is_some();
    Finding { what, works, needed: false, needed_by: NOBODY, found, mend: (!works).then(|| mend.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_something_is_named_with_what_it_lacks() {
        let all = |missing: &[&'static str]| {
            let found = |what| if missing.contains(&what) { Err((String::new(), None)) } else { Ok(String::new()) };
            [("a sandbox", &BUILDS[..]), ("a key", SIGNS), ("pip", FETCHES)]
                .map(|(what, by)| Finding::needed(what, by, found(what)))
        };
        assert_eq!(summary(&all(&[])), "`build`, `check` and `rebuild` work here");
        assert_eq!(summary(&all(&["pip"])), "`build` and `check` work here; `rebuild` needs pip");
        let without = summary(&all(&["pip", "a key"]));
        assert_eq!(without, "`build` works here; `check` needs a key; `rebuild` needs a key and pip");
        assert_eq!(summary(&all(&["a sandbox", "pip"])), "`build`, `check` and `rebuild` do not work here yet");
    }

    #[test]
    fn a_version_of_pip_is_read() {
        assert_eq!(version("pip 23.0.1 from /usr/lib (python 3.11)\n"), Some(("23.0.1", 23)));
        assert_eq!(version("pip 9.0 from /usr/lib"), Some(("9.0", 9)));
        assert_eq!(version("pip 26"), Some(("26", 26)));
        assert_eq!((version("pipe 1"), version("pip x.y"), version("")), (None, None, None));
    }
}
