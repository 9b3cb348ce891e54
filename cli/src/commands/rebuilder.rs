// SPDX-License-Identifier: Apache-2.0
//! Who rebuilds: what `check`, `rebuild` and the farm's workers share.

use std::path::PathBuf;

use clap::Args;
use reprove_attest::Rebuilder;

use crate::env_vars;
use crate::error::CommandError;

/// Who rebuilds, and what signs that.
#[derive(Args, Debug)]
pub(crate) struct RebuilderOptions {
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

impl RebuilderOptions {
    /// Who rebuilds, by their own word.
    pub(crate) fn rebuilder(&self) -> Result<Rebuilder, CommandError> {
        let said = |given: &Option<String>, variable| given.clone().or_else(|| env_vars::text(variable));
        let (operator, platform) = (said(&self.operator, env_vars::OPERATOR), said(&self.platform, env_vars::PLATFORM));
        Rebuilder::new(operator, platform).map_err(|e| CommandError::bad_usage(e.to_string()))
    }
}
