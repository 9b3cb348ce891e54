// SPDX-License-Identifier: Apache-2.0
//! The users and groups that every Debian system has.

use crate::host::fixed_files;

/// The small files of a root filesystem, with the accounts that Debian's policy (9.2.2) gives their numbers once and for all, 0 to
/// 99: builds give files to these by name.
pub(crate) fn files() -> Vec<(String, String)> {
    let with_accounts =
        |(path, mut text): (String, String)| {
            match path.as_str() {
                "/etc/passwd" => text.extend(USERS.map(|(name, user, group, home)| {
                    format!("{name}:x:{user}:{group}:{name}:{home}:/usr/sbin/nologin\n")
                })),
                "/etc/group" => text.extend(GROUPS.map(|(name, group)| format!("{name}:x:{group}:\n"))),
                _ => {}
            }
            (path, text)
        };
    fixed_files().into_iter().map(with_accounts).collect()
}

/// Name, number, number of the group, and home.
const USERS: [(&str, u32, u32, &str); 15] = [
    ("daemon", 1, 1, "/usr/sbin"),
    ("bin", 2, 2, "/bin"),
    ("sys", 3, 3, "/dev"),
    ("games", 5, 60, "/usr/games"),
    ("man", 6, 12, "/var/cache/man"),
    ("lp", 7, 7, "/var/spool/lpd"),
    ("mail", 8, 8, "/var/mail"),
    ("news", 9, 9, "/var/spool/news"),
    ("uucp", 10, 10, "/var/spool/uucp"),
    ("proxy", 13, 13, "/bin"),
    ("www-data", 33, 33, "/var/www"),
    ("backup", 34, 34, "/var/backups"),
    ("list", 38, 38, "/var/list"),
    ("irc", 39, 39, "/run/ircd"),
    ("_apt", 42, 65534, "/nonexistent"),
];

/// Name and number.
const GROUPS: [(&str, u32); 36] = [
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("man", 12),
    ("proxy", 13),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("www-data", 33),
    ("backup", 34),
    ("operator", 37),
    ("list", 38),
    ("irc", 39),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_account_is_there_once_after_those_of_every_system() {
        for ((path, text), (_, before)) in files().into_iter().zip(fixed_files()) {
            assert!(text.starts_with(&before), "{path}");
            assert_eq!(text == before, !["/etc/passwd", "/etc/group"].contains(&path.as_str()), "{path}");
            if text != before {
                let fields = |n: usize| text.lines().map(move |line| line.split(':').nth(n).unwrap().to_owned());
                for n in [0, 2] {
                    assert_eq!(fields(n).collect::<BTreeSet<_>>().len(), text.lines().count(), "{path}");
                }
            }
        }
    }
}
