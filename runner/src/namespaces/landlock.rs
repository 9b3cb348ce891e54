// SPDX-License-Identifier: Apache-2.0
//! The second wall: what the mounts already keep a build from writing, Landlock keeps it from writing again, and beyond
//! that from reaching processes and abstract sockets outside.

use std::io;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};

use reprove_model::Closure;

use super::helper::Failure;
use super::rootfs::DEVICES;
use super::terminal;

/// Where a build may write, by paths inside.
pub(super) struct Wall<'a> {
    pub(super) build_path: &'a str,
    /// Where it is a place of its own.
    pub(super) home: Option<&'a str>,
    /// The store, where it is a derivation.
    pub(super) store: Option<&'a str>,
    pub(super) has_terminal: bool,
    /// Whether it may write everywhere.
    pub(super) all: bool,
}

/// Puts this process, which has one thread, and all that it starts behind the wall.
///
/// Gives the version of the kernel's interface that the wall is built with; 0 where the kernel has none, or has it turned
/// off, so that there is no wall.
pub(super) fn enter(wall: Wall<'_>) -> Result<u32, Failure> {
    let Wall { build_path, home, store, has_terminal, all: everywhere } = wall;
    let doing = "setting up Landlock";
    let fail = |e: RulesetError| Failure::at(doing)(io::Error::other(e));
    // Every access that the interface knows; on an older kernel those that it knows.
    let all = AccessFs::from_all(ABI::V7);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .map_err(fail)?
        .scope(Scope::from_all(ABI::V7))
        .map_err(fail)?
        .create()
        .map_err(fail)?;
    let mut allow = |path: &str, access: BitFlags<AccessFs>| -> Result<(), Failure> {
        let at = PathFd::new(path).map_err(|e| Failure::at(format!("{doing}: {path}"))(io::Error::other(e)))?;
        (&mut rules).add_rule(PathBeneath::new(at, access)).map(drop).map_err(fail)
    };
    allow("/", AccessFs::from_read(ABI::V7))?;
    for device in DEVICES {
        allow(&format!("/dev/{device}"), AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev)?;
    }
    if has_terminal {
        allow(terminal::PLACE, AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev)?;
    }
    // A pipe or a socket that lies there is only of use to processes inside; a device is of use to no build.
    let writing = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let everywhere = everywhere.then_some("/");
    let derivation = store.into_iter().flat_map(|store| [store, Closure::BUILD]);
    for path in [build_path, "/tmp", "/dev/shm"].into_iter().chain(home).chain(derivation).chain(everywhere) {
        allow(path, writing)?;
    }
    let status = rules.restrict_self().map_err(fail)?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}
