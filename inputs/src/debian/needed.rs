// SPDX-License-Identifier: Apache-2.0
//! With which packages a source is built.

use super::apt::Session;
use super::buildinfo::{BuildInfo, BuildInfoError, Installed};
use super::lines::Offered;
use crate::InputsError;

/// The packages that there are now for what a source asks for, and what these are called that it names.
pub(super) async fn of_now(
    session: &Session<'_>,
    spec: &str,
    is_for_all: bool,
) -> Result<(Vec<String>, Vec<Offered>), InputsError> {
    let which = if is_for_all { "--indep-only" } else { "--arch-only" };
    let needed = session.offers(&[which, "build-dep", spec]).await?;
    let names: Vec<String> = needed.iter().map(|offered| offered.name.clone()).collect();
    let mut wanted = session.resolve(&[]).await?;
    wanted.extend(needed);
    wanted.extend(session.resolve(&TOOLS.map(str::to_owned)).await?);
    Ok((names, sorted(wanted)))
}

/// The packages that a builder had, all of them, and what they are called. What every build here needs besides comes with them.
pub(super) async fn exactly(
    session: &Session<'_>,
    info: &BuildInfo,
) -> Result<(Vec<String>, Vec<Offered>), InputsError> {
    let installed = info.installed();
    let specs: Vec<String> = installed.iter().map(|package| package.spec()).collect();
    let mut wanted = Vec::new();
    for some in specs.chunks(super::AT_ONCE) {
        wanted.extend(session.exactly(some).await?);
    }
    let native = super::architecture()?;
    let is_gone = |package: &&Installed| !wanted.iter().any(|offered| package.is(offered, native));
    let gone: Vec<String> = installed.iter().filter(is_gone).map(|package| package.spec()).collect();
    if !gone.is_empty() {
        return Err(BuildInfoError::Gone { of: installed.len(), gone }.into());
    }
    let mut more = session.resolve(&TOOLS.map(str::to_owned)).await?;
    more.retain(|offered| !wanted.iter().any(|known| known.name == offered.name));
    wanted.extend(more);
    let mut names: Vec<String> = installed.iter().map(|package| package.name.clone()).collect();
    names.dedup();
    Ok((names, sorted(wanted)))
}

fn sorted(mut packages: Vec<Offered>) -> Vec<Offered> {
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    packages.dedup();
    packages
}

/// What is installed beside what a source asks for: sources may ask for root, which this is for.
const TOOLS: [&str; 2] = ["build-essential", "fakeroot"];
