// SPDX-License-Identifier: Apache-2.0
//! Packages of Debian's as a build's root filesystem.
//!
//! Debian's own `dpkg` installs them, in a sandbox whose root is the new system itself: so that it can run, the essential
//! packages are unpacked into it first ([`base`]), as debootstrap does. [`SCRIPTS`] is what is run. What comes of it is a tree,
//! which is kept in the store's folder `environments` ([`keep`]) and used from there ([`kept`]).

mod accounts;
pub(crate) mod base;
pub(crate) mod keep;

pub use base::{Base, BaseError, base};
pub use keep::{keep, kept};

use crate::RootFilesystem;
use reprove_model::{Debian, Digest, DigestSet, Environment, LockedEnvironment, LockedPackage};

/// The directories of a root filesystem that packages are installed in, below `/`; the build sees no others of theirs.
pub const DIRECTORIES: [&str; 4] = ["etc", "opt", "usr", "var"];

/// The time of all files of an environment, and the clock's while it is made: 2020-01-01T00:00:00Z. Programs keep the times
/// of files that they have read, and look at them later.
pub const TIME: u64 = 1_577_836_800;

/// Where the packages are while they are installed: those that [`base`] has unpacked, and the others.
pub const PACKAGES: [&str; 2] = ["/inputs/base", "/inputs/more"];

/// What is run to install, one shell script after the other, each by root in the new system.
///
/// Order and options are those of debootstrap and mmdebstrap: dependencies are looked at when all is unpacked; a service is
/// never started (`policy-rc.d`); nothing is asked. At the end, what would differ between machines or is of no use to a build
/// goes (of what Mono compiles ahead of time, temporary names are a part), and no file stays that others than its owner can't
/// read.
pub const SCRIPTS: [&str; 5] = [
    "mkdir -p /usr/sbin /var/lib/dpkg /var/log /run && printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && \
     chmod 755 /usr/sbin/policy-rc.d && touch /var/lib/dpkg/status /var/lib/dpkg/available",
    "dpkg --force-depends --install /inputs/base/*.deb",
    "[ ! -d /inputs/more ] || dpkg --force-depends --unpack /inputs/more/*.deb",
    "dpkg --configure --pending && test -z \"$(dpkg --audit)\"",
    "rm -rf /usr/sbin/policy-rc.d /var/log/* /var/cache/* /var/lib/dpkg/*-old /var/lib/dpkg/lock* /var/lib/apt/lists \
     /usr/lib/mono/aot-cache /etc/.pwd.lock /etc/machine-id /etc/hostname /etc/resolv.conf /etc/*- /etc/mtab && \
     touch /etc/passwd /etc/group /etc/hosts /etc/nsswitch.conf && cd / && \
     find etc opt usr var -perm /7000 ! -type l -exec chmod ug-s,-t {} + && \
     find etc opt usr var ! -type l ! -perm /005 -prune -exec rm -rf {} + && \
     find etc opt usr var ! -type l ! -type f ! -type d -exec rm -f {} + && \
     find etc opt usr var -type f ! -perm -004 -exec chmod a+r {} +",
];

/// The variables that the scripts see.
pub const VARIABLES: [(&str, &str); 6] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("SOURCE_DATE_EPOCH", "1577836800"),
];

/// Which way it is that packages become a tree: another number makes other trees.
const WAY: u32 = 1;

/// What names an environment before it is made: the packages and the way.
#[must_use]
pub fn key(packages: &[LockedPackage]) -> Digest {
    let mut text = format!("reprove environment {WAY}\n");
    for LockedPackage { name, version, architecture, blake3, .. } in packages {
        text.push_str(&format!("{name} {version} {architecture} {blake3}\n"));
    }
    Digest::of(text.as_bytes())
}

/// How locks call an environment with this tree.
#[must_use]
pub fn locked(asked: &Debian, architecture: &str, packages: usize, tree: DigestSet) -> LockedEnvironment {
    let description = format!("Debian {} ({architecture}), {packages} packages", asked.debian);
    LockedEnvironment { kind: Environment::Debian(asked.clone()), description, digest: tree }
}

/// A root filesystem with nothing in it but the links in `/`: what packages are installed into.
#[must_use]
pub fn nothing(locked: LockedEnvironment) -> RootFilesystem {
    let fingerprint = reprove_store::Fingerprint::none();
    let (binds, hidden, files) = (Vec::new(), Vec::new(), Vec::new());
    RootFilesystem { locked, fingerprint, binds, hidden, links: Base::links(), files }
}
