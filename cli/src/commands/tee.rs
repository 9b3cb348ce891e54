// SPDX-License-Identifier: Apache-2.0
//! `reprove tee`: what this machine can attest.

use std::path::Path;

use clap::Args;
use reprove_model::Isolation;
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
    /// Whether its device is there; builds in it are not started by this version.
    here: bool,
    /// The device that says so, or that is not there.
    why: String,
}

pub(crate) async fn run(app: &App, _: Arguments) -> Result<u8, CommandError> {
    let processor = emulated::processor(app).await?;
    app.progress.clear();
    let root = processor.fingerprint();
    let kinds: Vec<Kind> = [Isolation::SevSnp, Isolation::Tdx].into_iter().filter_map(hardware).collect();
    if app.global.json {
        output::json(&json!({ "hardware": kinds, "emulated": { "isolation": "emulated-snp", "root": root } }))?;
        return Ok(YES);
    }
    let mut text = String::new();
    for kind in kinds {
        let found = if kind.here { "there is a device" } else { "not here" };
        text.push_str(&format!("{:<18} {found}: {}\n", kind.isolation, kind.why));
    }
    text.push_str(&format!("{:<18} EMULATED - NOT HARDWARE, below the root {root}\n\n", "emulated-snp"));
    text.push_str(
        "To believe this emulation in an audit, and nothing else of confidential machines, a trust file says:\n\n",
    );
    text.push_str(&format!("[tee]\nemulated-roots = [\"{root}\"]\n\n"));
    text.push_str("and names the guest, as `reprove image measure` prints it.\n");
    output::text(&text)?;
    Ok(YES)
}

fn hardware(isolation: Isolation) -> Option<Kind> {
    let device = Protection::device(isolation)?;
    let here = Path::new(device).exists();
    let why = if here { device.to_owned() } else { format!("there is no {device}") };
    Some(Kind { isolation: isolation.name(), here, why })
}
