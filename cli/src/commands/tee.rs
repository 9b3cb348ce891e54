// SPDX-License-Identifier: Apache-2.0
//! `reprove tee`: what this machine can attest.

use clap::Args;
use reprove_model::{Isolation, Sha256};
use reprove_runner::vm::Protection;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::error::{CommandError, YES};
use crate::{emulated, output};

#[derive(Args, Debug)]
pub(crate) struct Arguments {}

/// One kind of confidential machine.
#[derive(Serialize)]
struct Kind {
    isolation: &'static str,
    /// Whether machines of it can be closed here.
    here: bool,
    /// The device that says so, or why not.
    why: String,
}

/// One kind of machine with an EMULATED processor.
#[derive(Serialize)]
struct Emulated {
    isolation: &'static str,
    /// What a trust file names.
    root: Sha256,
}

pub(crate) async fn run(app: &App, _: Arguments) -> Result<u8, CommandError> {
    let mut emulated = Vec::new();
    for isolation in [Isolation::EmulatedSnp, Isolation::EmulatedTdx] {
        let root = emulated::root_of(&emulated::processor(app, isolation).await?)?;
        emulated.push(Emulated { isolation: isolation.name(), root });
    }
    app.progress.clear();
    let kinds: Vec<Kind> = [Isolation::SevSnp, Isolation::Tdx].into_iter().filter_map(hardware).collect();
    if app.global.json {
        output::json(&json!({ "hardware": kinds, "emulated": emulated }))?;
        return Ok(YES);
    }
    let mut text = String::new();
    for kind in kinds {
        let found = if kind.here { "there is a device" } else { "not here" };
        text.push_str(&format!("{:<18} {found}: {}\n", kind.isolation, kind.why));
    }
    for Emulated { isolation, root } in &emulated {
        text.push_str(&format!("{isolation:<18} EMULATED - NOT HARDWARE, below the root {root}\n"));
    }
    text.push_str(
        "\nTo believe these emulations in an audit, and nothing else of confidential machines, a trust file says:\n\n",
    );
    let roots: Vec<_> = emulated.iter().map(|each| format!("  \"{}\", # {}\n", each.root, each.isolation)).collect();
    text.push_str(&format!("[tee]\nemulated-roots = [\n{}]\n\n", roots.concat()));
    text.push_str("and names the guest, as `reprove image measure` prints it.\n");
    output::text(&text)?;
    Ok(YES)
}

fn hardware(isolation: Isolation) -> Option<Kind> {
    let device = Protection::device(isolation)?;
    let (here, why) = match Protection::of_host(isolation) {
        Ok(_) => (true, device.to_owned()),
        Err(why) => (false, why.to_string()),
    };
    Some(Kind { isolation: isolation.name(), here, why })
}
