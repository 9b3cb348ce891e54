// SPDX-License-Identifier: Apache-2.0
//! `reprove rebuild`: is what was published what its source builds to?

use std::path::PathBuf;

use clap::Args;
use reprove_job::JobError;
use reprove_model::PackageUrl;

use crate::app::App;
use crate::commands::{BuildOptions, SearchOptions};
use crate::error::CommandError;
use crate::verdicted::Verdicted;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The package, as in pkg:pypi/idna@3.20
    purl: PackageUrl,
    #[command(flatten)]
    options: BuildOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    verdict: VerdictArguments,
}

/// What both `rebuild` and `check` take.
#[derive(Args, Debug)]
pub(crate) struct VerdictArguments {
    /// Where to write the proof [default: NAME-VERSION.proof.json, here]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write the published and the rebuilt files, the lock, the build records and the logs into this directory, which must
    /// be empty or not there yet
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Option<PathBuf>,
    /// The private key that signs, a file or a PKCS#11 URI; made at first use [default: ~/.config/reprove/key.pem; or
    /// REPROVE_KEY]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// Who rebuilds, to be said in the proof; an auditor's trust file has to say the same [default: REPROVE_OPERATOR, or
    /// nothing]
    #[arg(long, value_name = "NAME")]
    pub(crate) operator: Option<String>,
    /// On what, to be said in the proof, as in "farm of example.org" [default: REPROVE_PLATFORM, or nothing]
    #[arg(long, value_name = "NAME")]
    pub(crate) platform: Option<String>,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let purl = &arguments.purl;
    // Before a key is made, or anything else.
    reprove_inputs::pypi::check(purl).map_err(JobError::from)?;
    let prepared = Verdicted::prepare(app, arguments.verdict, purl.name(), purl.version(), None).await?;
    let events = |event| app.tell(event);
    let context = prepared.context(app, (&arguments.options, &arguments.search), &events).await?;
    let finished = reprove_job::rebuild(&context, purl, &app.pip(), &prepared.key).await;
    prepared.finish(app, &purl.to_string(), finished).await
}
