// SPDX-License-Identifier: Apache-2.0
//! What a build's surroundings change of its root filesystem's own files.

use reprove_model::{Surroundings, User};

/// `files` of a root filesystem, each by its path and with its text, as a build sees them on a machine called `hostname` and
/// in these surroundings.
pub(crate) fn files(files: &[(String, String)], hostname: &str, surroundings: &Surroundings) -> Vec<(String, String)> {
    let seen = |(path, text): &(String, String)| (path.clone(), file(path, text, hostname, surroundings));
    files.iter().map(seen).collect()
}

fn file(path: &str, text: &str, hostname: &str, surroundings: &Surroundings) -> String {
    let Surroundings { user, home, domain, .. } = surroundings;
    let (name, id) = (surroundings.user_name(), surroundings.user_id());
    let is_the_users = |line: &str| line.split(':').next() == Some(User::USUAL_NAME);
    let line = |line: &str| match path {
        "/etc/passwd" if is_the_users(line) && (user.is_some() || home.is_some()) => {
            let home = home.as_deref().or(line.split(':').nth(5)).unwrap_or("/");
            format!("{name}:x:{id}:{id}:{name}:{home}:/bin/sh\n")
        }
        "/etc/group" if is_the_users(line) && user.is_some() => format!("{name}:x:{id}:\n"),
        _ => format!("{line}\n"),
    };
    let mut text: String = text.lines().map(line).collect();
    if let (Some(domain), "/etc/hosts") = (domain, path) {
        text.push_str(&format!("127.0.1.1 {hostname}.{domain} {hostname}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_the_home_and_the_domain_are_the_builds() {
        let root = [
            ("/etc/passwd", "root:x:0:0:root:/:/bin/sh\nbuild:x:1000:1000:build:/tmp:/bin/sh\n"),
            ("/etc/group", "root:x:0:\nbuild:x:1000:\n"),
            ("/etc/hosts", "127.0.0.1 localhost\n"),
        ];
        let root = root.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(files(&root, "h", &Surroundings::default()), root);
        let other = Surroundings {
            user: Some(User { name: "other".into(), id: 7 }),
            home: Some("/homes/x".into()),
            domain: Some("d.example".into()),
            ..Surroundings::default()
        };
        let texts: Vec<String> = files(&root, "h", &other).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts[0], "root:x:0:0:root:/:/bin/sh\nother:x:7:7:other:/homes/x:/bin/sh\n");
        assert_eq!(texts[1], "root:x:0:\nother:x:7:\n");
        assert_eq!(texts[2], "127.0.0.1 localhost\n127.0.1.1 h.d.example h\n");
    }
}
