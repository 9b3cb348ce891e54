// SPDX-License-Identifier: Apache-2.0
//! What a build sees of its user, its session and its machine, where that is not as usual.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Variation};

/// What a build sees around it. What is not there is as usual, which each field says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Surroundings {
    /// Its home directory, by an absolute path; else the build directory's `home` folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Whose processes they are; else [`User::USUAL_NAME`] and [`User::USUAL_ID`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The machine's domain, by `getdomainname(2)` and in `/etc/hosts`; else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The permission bits that files don't get when they are made; else 022, in octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// `TZ`; else `UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `LANG`, `LC_ALL` and `LANGUAGE`; else `C.UTF-8`, and no `LANGUAGE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// `PATH`; else `/usr/bin:/bin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_path: Option<String>,
    /// `TMPDIR`, which is made; else `/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporary_directory: Option<String>,
    /// What [`Surroundings::EXTRA`] is; else it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_variable: Option<String>,
    /// `PYTHONHASHSEED` and `PERL_HASH_SEED`, so that the order of hashed things is one that comes again; else not set, and
    /// another each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_seed: Option<u32>,
    /// Whether the kernel chooses addresses in the same way each time (`ADDR_NO_RANDOMIZE`); else at random.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fixed_addresses: bool,
    /// Whether `uname(2)` says that the kernel is a 2.6 one (`UNAME26`); else what it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub old_release: bool,
    /// How many numbers are passed over before the first process of the build gets one; else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes_after: Option<u32>,
    /// Whether standard input is a pipe that ends at once; else `/dev/null`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub piped_input: bool,
    /// What `/proc/meminfo` says is there, in MiB, which is less than the limit of memory; else that limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Of a deterministic build: what its entropy depends on beside the recipe; else on that alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy: Option<u32>,
    /// How many threads beside the build take all the time of the processors that they can get; else none. They have numbers
    /// as processes do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<u32>,
    /// Whether the processor has no more than x86-64-v2, in a machine of QEMU's; else what that gives by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub old_processor: bool,
    /// How many inode numbers are passed over before the first file in the build's file system gets one; else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_after: Option<u32>,
    /// How many times as fast as the machine's the time of day goes, where the clock is moved by the runner; else once. Clocks
    /// that count from a start go as they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_speed: Option<u32>,
    /// What the build writes to; else a file system in memory (tmpfs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystem>,
    /// The BLAKE3 digest of the kernel that runs the machine; else it is the one that such machines have here, or the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Digest>,
    /// Whether standard output and standard error are a terminal, and standard input as well where it is no pipe; else the
    /// first two are a pipe.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
}

/// A file system that a build can write to, beside the usual one in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSystem {
    /// An overlay over nothing, above the usual one.
    Overlay,
    /// Ext4, on a disk of a virtual machine's.
    Ext4,
    /// XFS, on a disk of a virtual machine's.
    Xfs,
}

impl FileSystem {
    /// Those that are on a disk, the one to be preferred first.
    pub const ON_DISK: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// Whether it is on a disk, which only a virtual machine has.
    #[must_use]
    pub fn is_on_disk(self) -> bool {
        self != Self::Overlay
    }

    /// What the kernel calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// A user inside, with a group of the same name and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// Of 1 to 32 lower-case letters, digits and `-`, beginning with a letter; none of those that are there anyway.
    pub name: String,
    /// From 1 to 65,533: neither root's, nor what the kernel shows in place of ids that are none inside.
    pub id: u32,
}

impl User {
    /// What the user is called where the surroundings don't say.
    pub const USUAL_NAME: &str = "build";
    /// Its number, and its group's.
    pub const USUAL_ID: u32 = 1000;

    /// Whether there can be such a user.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !matches!(self.name.as_str(), "root" | "nobody" | "nogroup")
            && self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self.name.len() <= 32
            && self.name.chars().all(ok)
            && (1..=65_533).contains(&self.id)
    }
}

impl Surroundings {
    /// The variable that is there in one build and not in the other.
    pub const EXTRA: &str = "REPROVE_EXTRA_VARIABLE";
    /// Below this a home directory is, where it is a place of its own.
    pub const HOMES: &str = "/homes/";
    /// Below this the directory for temporary files is.
    pub const TEMPORARY: &str = "/tmp/";
    /// The fastest that a clock may go.
    pub const FASTEST: u32 = 10;
    /// The most inode numbers that are passed over.
    pub const MOST_INODES: u32 = 4096;
    /// The most numbers of processes that are passed over.
    pub const MOST_PROCESSES: u32 = 4096;

    /// Whether nothing is otherwise than usual.
    #[must_use]
    pub fn are_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a build can be in them: nothing is mounted or made but below [`Surroundings::HOMES`] and
    /// [`Surroundings::TEMPORARY`]; a domain is of at most 64 letters, digits, `.` and `-`; no text has a control character,
    /// and none is longer than 4,096 bytes; numbers are within the bounds of what they number.
    #[must_use]
    pub fn are_possible(&self) -> bool {
        let text = |text: &Option<String>| {
            text.as_ref()
                .is_none_or(|text| !text.is_empty() && text.len() <= 4096 && !text.contains(|c: char| c.is_control()))
        };
        let below = |path: &Option<String>, folder: &str| {
            path.as_ref().is_none_or(|path| {
                let names = path.strip_prefix(folder).map(|rest| rest.split('/'));
                names.is_some_and(|mut names| names.all(|name| !name.is_empty() && name != "." && name != ".."))
            })
        };
        let domain = |domain: &String| {
            let ok = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            domain.len() <= 64 && domain.chars().all(ok)
        };
        let texts = [&self.domain, &self.time_zone, &self.locale, &self.search_path, &self.extra_variable];
        let paths = [&self.home, &self.temporary_directory];
        texts.into_iter().chain(paths).all(text)
            && below(&self.home, Self::HOMES)
            && below(&self.temporary_directory, Self::TEMPORARY)
            && self.domain.as_ref().is_none_or(domain)
            && self.user.as_ref().is_none_or(User::is_possible)
            && self.umask.is_none_or(|mask| mask <= 0o777)
            && self.processes_after.is_none_or(|number| (1..=Self::MOST_PROCESSES).contains(&number))
            && self.inodes_after.is_none_or(|number| (1..=Self::MOST_INODES).contains(&number))
            && self.memory_mib.is_none_or(|mib| mib >= 16)
            && self.neighbours.is_none_or(|count| (1..=64).contains(&count))
            && self.clock_speed.is_none_or(|times| (2..=Self::FASTEST).contains(&times))
    }

    /// The environment variables that a build in `build_path` has in them, before those that its recipe sets.
    #[must_use]
    pub fn variables(&self, build_path: &str) -> BTreeMap<String, String> {
        let name = self.user_name();
        let locale = self.locale.as_deref().unwrap_or("C.UTF-8");
        let mut variables: BTreeMap<String, String> = [
            ("HOME", self.home.clone().unwrap_or_else(|| format!("{build_path}/home"))),
            ("LANG", locale.into()),
            ("LC_ALL", locale.into()),
            ("LOGNAME", name.into()),
            ("PATH", self.search_path.clone().unwrap_or_else(|| "/usr/bin:/bin".into())),
            ("SHELL", "/bin/sh".into()),
            ("TERM", if self.terminal { "xterm-256color" } else { "dumb" }.into()),
            ("TMPDIR", self.temporary_directory.clone().unwrap_or_else(|| "/tmp".into())),
            ("TZ", self.time_zone.clone().unwrap_or_else(|| "UTC".into())),
            ("USER", name.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut add = |name: &str, value: Option<String>| variables.extend(value.map(|value| (name.to_owned(), value)));
        add("LANGUAGE", self.locale.clone());
        add("PERL_HASH_SEED", self.hash_seed.map(|seed| seed.to_string()));
        // Else Perl would still insert at random.
        add("PERL_PERTURB_KEYS", self.hash_seed.map(|_| "0".to_owned()));
        add("PYTHONHASHSEED", self.hash_seed.map(|seed| seed.to_string()));
        add(Self::EXTRA, self.extra_variable.clone());
        // What shows long texts page by page would wait for somebody who reads them.
        add("GIT_PAGER", self.terminal.then(|| "cat".to_owned()));
        add("PAGER", self.terminal.then(|| "cat".to_owned()));
        variables
    }

    /// How many threads there are beside the build because of them, which take none of its processes: the neighbours, and what
    /// copies from a terminal.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.neighbours.unwrap_or(0) + u32::from(self.terminal)
    }

    /// What the user is called.
    #[must_use]
    pub fn user_name(&self) -> &str {
        self.user.as_ref().map_or(User::USUAL_NAME, |user| &user.name)
    }

    /// The user's number.
    #[must_use]
    pub fn user_id(&self) -> u32 {
        self.user.as_ref().map_or(User::USUAL_ID, |user| user.id)
    }

    /// These with one condition taken from `other`; as they are where it is none of these.
    #[must_use]
    pub fn with(&self, variation: Variation, other: &Self) -> Self {
        let (mut taken, other) = (self.clone(), other.clone());
        match variation {
            Variation::Addresses => taken.fixed_addresses = other.fixed_addresses,
            Variation::ClockSpeed => taken.clock_speed = other.clock_speed,
            Variation::Domain => taken.domain = other.domain,
            Variation::Entropy => taken.entropy = other.entropy,
            Variation::ExtraVariable => taken.extra_variable = other.extra_variable,
            Variation::FileSystem => taken.file_system = other.file_system,
            Variation::HashSeed => taken.hash_seed = other.hash_seed,
            Variation::Home => taken.home = other.home,
            Variation::InodeNumbers => taken.inodes_after = other.inodes_after,
            Variation::Kernel => taken.kernel = other.kernel,
            Variation::KernelRelease => taken.old_release = other.old_release,
            Variation::Load => taken.neighbours = other.neighbours,
            Variation::Locale => taken.locale = other.locale,
            Variation::Memory => taken.memory_mib = other.memory_mib,
            Variation::ProcessIds => taken.processes_after = other.processes_after,
            Variation::ProcessorModel => taken.old_processor = other.old_processor,
            Variation::SearchPath => taken.search_path = other.search_path,
            Variation::StandardInput => taken.piped_input = other.piped_input,
            Variation::TemporaryDirectory => taken.temporary_directory = other.temporary_directory,
            Variation::Terminal => taken.terminal = other.terminal,
            Variation::TimeZone => taken.time_zone = other.time_zone,
            Variation::Umask => taken.umask = other.umask,
            Variation::User => taken.user = other.user,
            Variation::BuildPath
            | Variation::Clock
            | Variation::FileOrder
            | Variation::Hostname
            | Variation::Processors => {}
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_not_written() {
        assert_eq!(serde_json::to_string(&Surroundings::default()).unwrap(), "{}");
        assert!(Surroundings::default().are_usual() && Surroundings::default().are_possible());
    }

    #[test]
    fn variables_are_as_the_surroundings_say() {
        let usual = Surroundings::default().variables("/b");
        assert_eq!(usual.get("HOME").unwrap(), "/b/home");
        assert_eq!(usual.get("USER").unwrap(), "build");
        assert!(!usual.contains_key("PYTHONHASHSEED") && !usual.contains_key("LANGUAGE"));
        assert!(usual.get("TERM").unwrap() == "dumb" && !usual.contains_key("PAGER"));
        let terminal = Surroundings { terminal: true, ..Surroundings::default() }.variables("/b");
        assert!(terminal.get("TERM").unwrap() == "xterm-256color" && terminal.get("GIT_PAGER").unwrap() == "cat");
        let other = Surroundings {
            home: Some("/homes/x".into()),
            hash_seed: Some(7),
            locale: Some("fr_CH.UTF-8".into()),
            ..Surroundings::default()
        };
        let other = other.variables("/b");
        assert_eq!(other.get("HOME").unwrap(), "/homes/x");
        assert_eq!(other.get("PYTHONHASHSEED").unwrap(), "7");
        assert_eq!(other.get("LANGUAGE").unwrap(), "fr_CH.UTF-8");
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let is = |change: &dyn Fn(&mut Surroundings)| {
            let mut surroundings = Surroundings::default();
            change(&mut surroundings);
            surroundings.are_possible()
        };
        let user = |name: &str, id| User { name: name.into(), id }.is_possible();
        assert!(user("a", 1) && user(&"a".repeat(32), 65_533) && user("b-2", 2));
        assert!(!user("", 1) && !user(&"a".repeat(33), 1) && !user("2a", 1) && !user("A", 1) && !user("a:", 1));
        assert!(!user("a", 0) && !user("a", 65_534));
        assert!(is(&|s| s.umask = Some(0o777)) && !is(&|s| s.umask = Some(0o1000)));
        assert!(is(&|s| s.processes_after = Some(1)) && is(&|s| s.processes_after = Some(4096)));
        assert!(!is(&|s| s.processes_after = Some(0)) && !is(&|s| s.processes_after = Some(4097)));
        assert!(is(&|s| s.inodes_after = Some(1)) && is(&|s| s.inodes_after = Some(4096)));
        assert!(!is(&|s| s.inodes_after = Some(0)) && !is(&|s| s.inodes_after = Some(4097)));
        assert!(is(&|s| s.memory_mib = Some(16)) && !is(&|s| s.memory_mib = Some(15)));
        assert!(is(&|s| s.neighbours = Some(1)) && is(&|s| s.neighbours = Some(64)));
        assert!(!is(&|s| s.neighbours = Some(0)) && !is(&|s| s.neighbours = Some(65)));
        assert!(is(&|s| s.clock_speed = Some(2)) && is(&|s| s.clock_speed = Some(10)));
        assert!(!is(&|s| s.clock_speed = Some(1)) && !is(&|s| s.clock_speed = Some(11)));
        for (name, ok) in [("a", true), ("a/b", true), ("", false), ("a/../b", false), ("a//b", false), (".", false)] {
            assert_eq!(is(&|s| s.home = Some(format!("/homes/{name}"))), ok, "{name}");
            assert_eq!(is(&|s| s.temporary_directory = Some(format!("/tmp/{name}"))), ok, "{name}");
            assert!(!is(&|s| s.home = Some(format!("/usr/{name}"))) && !is(&|s| s.home = Some(name.into())));
            assert!(!is(&|s| s.temporary_directory = Some(format!("/proc/self/root/{name}"))));
        }
        assert!(!user("root", 5) && !user("nobody", 5));
        assert!(is(&|s| s.domain = Some("d".repeat(64))) && !is(&|s| s.domain = Some("d".repeat(65))));
        assert!(!is(&|s| s.domain = Some("a b".into())));
        assert!(is(&|s| s.time_zone = Some("d".repeat(4096))) && !is(&|s| s.time_zone = Some("d".repeat(4097))));
        assert!(!is(&|s| s.time_zone = Some(String::new())) && !is(&|s| s.time_zone = Some("a\nb".into())));
    }
}
