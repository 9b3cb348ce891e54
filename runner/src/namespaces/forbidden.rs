// SPDX-License-Identifier: Apache-2.0
//! Which of this machine's settings keep an ordinary user from making a sandbox.

use std::fmt;
use std::fs;

/// A setting that forbids namespaces, or makes them useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// `user.max_user_namespaces` is 0.
    NoNamespaces,
    /// `kernel.unprivileged_userns_clone` is 0 (Debian's kernels had it).
    OnlyForRoot,
    /// AppArmor takes every capability away in a user namespace that an ordinary user makes (Ubuntu 23.10 and newer).
    AppArmor,
}

impl Forbidden {
    const ALL: [(Self, &str, &str); 3] = [
        (Self::NoNamespaces, "user/max_user_namespaces", "0"),
        (Self::OnlyForRoot, "kernel/unprivileged_userns_clone", "0"),
        (Self::AppArmor, "kernel/apparmor_restrict_unprivileged_userns", "1"),
    ];

    /// The first such setting of this machine.
    #[must_use]
    pub fn here() -> Option<Self> {
        Self::among(&|name| fs::read_to_string(format!("/proc/sys/{name}")).ok())
    }

    fn among(read: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let forbids = |(_, name, value): &&(Self, &str, &str)| read(name).is_some_and(|text| text.trim() == *value);
        Self::ALL.iter().find(forbids).map(|(setting, _, _)| *setting)
    }

    /// The command that lifts it, to be run as root.
    #[must_use]
    pub fn mend(self) -> &'static str {
        match self {
            Self::NoNamespaces => "sysctl -w user.max_user_namespaces=15000",
            Self::OnlyForRoot => "sysctl -w kernel.unprivileged_userns_clone=1",
            Self::AppArmor => "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        }
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNamespaces => "user namespaces are turned off (user.max_user_namespaces is 0)",
            Self::OnlyForRoot => "user namespaces are root's alone (kernel.unprivileged_userns_clone is 0)",
            Self::AppArmor => {
                "AppArmor forbids ordinary users' user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_told_by_its_value() {
        let with = |name: &'static str, value: &'static str| {
            Forbidden::among(&|asked: &str| (asked == name).then(|| format!("{value}\n")))
        };
        assert_eq!(with("user/max_user_namespaces", "0"), Some(Forbidden::NoNamespaces));
        assert_eq!(with("user/max_user_namespaces", "96365"), None);
        assert_eq!(with("kernel/unprivileged_userns_clone", "0"), Some(Forbidden::OnlyForRoot));
        assert_eq!(with("kernel/unprivileged_userns_clone", "1"), None);
        assert_eq!(with("kernel/apparmor_restrict_unprivileged_userns", "1"), Some(Forbidden::AppArmor));
        assert_eq!(with("kernel/apparmor_restrict_unprivileged_userns", "0"), None);
        assert_eq!(Forbidden::among(&|_| None), None);
    }
}
