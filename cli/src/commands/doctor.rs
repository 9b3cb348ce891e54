// SPDX-License-Identifier: Apache-2.0
//! `reprove doctor`: what can this machine do, and which line mends what it can't?

use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use reprove_model::Exit;
use reprove_runner::{Sandbox, SandboxOutcome, SandboxRequest};
use serde::Serialize;

use crate::app::App;
use crate::error::{CANNOT, CommandError, YES, from_sandbox};
use crate::output;

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
    app.progress.doing("looking at this machine".into());
    let mut all = sandbox(app).await?;
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

async fn sandbox(app: &App) -> Result<Vec<Finding>, CommandError> {
    const WHAT: &str = "builds in namespaces";
    let store = app.store()?;
    let root = match reprove_images::host_usr(&store, Timestamp::now().as_second(), &|| {}) {
        Ok(root) => root,
        Err(e) => {
            let found = e.to_string();
            return Ok(vec![Finding { what: WHAT, works: false, needed: true, found, mend: None }]);
        }
    };
    let temp = store.temp_dir()?;
    let commands = vec![vec!["/bin/true".to_owned()]];
    let request = SandboxRequest::new(&root, store.blob_root(), commands, temp.path().join("log"));
    let mut all = Vec::new();
    match Sandbox::default().run(request).await {
        Ok(outcome) if outcome.exit == Exit::Success => all.extend(walls(&outcome)),
        Ok(outcome) => all.push(Finding {
            what: WHAT,
            works: false,
            needed: true,
            found: format!("/bin/true ended with {:?}", outcome.exit),
            mend: None,
        }),
        Err(error) => {
            let (found, next) = from_sandbox(&error).into_parts();
            all.push(Finding { what: WHAT, works: false, needed: true, found, mend: next.into_iter().next() });
        }
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

fn walls(outcome: &SandboxOutcome) -> [Finding; 4] {
    let enforced = &outcome.enforced;
    let limit = |what, works: bool| Finding {
        what,
        works,
        needed: false,
        found: if works { "held by a control group".into() } else { "no control group can be made here".into() },
        mend: (!works).then(|| "run as root, with cgroups mounted at /sys/fs/cgroup".to_owned()),
    };
    let separate = enforced.separate_user;
    [
        Finding {
            what: "builds in namespaces",
            works: true,
            needed: true,
            found: enforced.namespaces.join(", "),
            mend: None,
        },
        Finding {
            what: "a user for the build that owns nothing else",
            works: separate,
            needed: false,
            found: if separate { "yes".into() } else { "the build runs as you, inside its namespaces".to_owned() },
            mend: (!separate).then(|| "run as root".into()),
        },
        limit("a limit of memory", enforced.memory),
        limit("a limit of processes", enforced.processes),
    ]
}

async fn pip(app: &App) -> Finding {
    let python = app.pip().python;
    let mut command = tokio::process::Command::new(&python);
    command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await;
    let found = match &output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
        }
        Ok(_) => format!("{} has no pip", python.display()),
        Err(e) => format!("{}: {e}", python.display()),
    };
    let works = output.is_ok_and(|output| output.status.success());
    let mend = (!works).then(|| "apt install python3-pip, or set REPROVE_PYTHON to a Python that has pip".to_owned());
    Finding { what: "fetching Python packages", works, needed: true, found, mend }
}

fn program(path: &'static str, what: &'static str, mend: &str) -> Finding {
    let works = Path::new(path).exists();
    let found = if works { path.to_owned() } else { format!("there is no {path}") };
    Finding { what, works, needed: true, found, mend: (!works).then(|| mend.to_owned()) }
}

fn optional_program(name: &'static str, what: &'static str, mend: &str) -> Finding {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let place = std::env::split_paths(&search).map(|folder| folder.join(name)).find(|path| path.is_file());
    let found = place.as_ref().map_or_else(|| format!("there is no {name}"), |path| path.display().to_string());
    Finding { what, works: place.is_some(), needed: false, found, mend: place.is_none().then(|| mend.to_owned()) }
}
