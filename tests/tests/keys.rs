// SPDX-License-Identifier: Apache-2.0
//! Keys as a user makes them and uses them, and as OpenSSL reads them.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use reprove_tests::{Bench, Running};

    const PASSPHRASE: &str = "REPROVE_KEY_PASSPHRASE";

    const LONG: Duration = Duration::from_secs(60);

    fn openssl(arguments: &[&str], folder: &Path) -> Result<String, String> {
        let output = Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    #[test]
    fn a_key_opens_with_its_passphrase_alone() {
        let bench = Bench::new();
        let folder = bench.path("work");
        let run = |arguments: &[&str], passphrase: &str, code| {
            let mut command = bench.command(arguments);
            command.env(PASSPHRASE, passphrase);
            Running::start(command).wait(LONG).with_code(code)
        };
        for algorithm in ["ecdsa-p256", "ed25519"] {
            let file = &format!("{algorithm}.pem");
            let public = run(&["key", "new", file, "--algorithm", algorithm], "correct horse", 0).stdout;
            assert_eq!(run(&["key", "show", file], "correct horse", 0).stdout, public);
            let wrong = run(&["key", "show", file], "battery staple", 2);
            assert!(wrong.stderr.contains("the passphrase does not open this private key"), "{}", wrong.stderr);
            let none = bench.run_without_terminal(&["key", "show", file], &[]).with_code(2);
            assert!(none.stderr.contains("there is no terminal to ask at") && none.stderr.contains(PASSPHRASE));
            let open =
                |pass: &str| openssl(&["pkey", "-in", file, "-passin", &format!("pass:{pass}"), "-pubout"], &folder);
            assert_eq!(open("correct horse").unwrap(), public);
            assert!(open("battery staple").is_err());
        }
    }

    #[test]
    fn a_key_that_is_not_encrypted_is_made_when_that_is_said() {
        let bench = Bench::new();
        let refused = bench.run_without_terminal(&["key", "new", "one.pem"], &[]).with_code(2);
        assert!(refused.stderr.contains("--no-passphrase") && !bench.path("work/one.pem").exists());
        let public = bench.run(["key", "new", "one.pem", "--no-passphrase"]).with_code(0).stdout;
        assert_eq!(openssl(&["pkey", "-in", "one.pem", "-pubout"], &bench.path("work")).unwrap(), public);
        let there = bench.run(["key", "new", "one.pem"]).with_code(2);
        assert!(there.stderr.contains("is there already"), "{}", there.stderr);
    }

    #[test]
    fn a_passphrase_is_asked_for_and_not_shown() {
        let bench = Bench::new();
        let made = bench.run_at_a_terminal("key new two.pem", "correct horse\ncorrect horse\n", &[]);
        assert!(made.contains("BEGIN PUBLIC KEY") && !made.contains("correct"), "{made}");
        let shown = bench.run_at_a_terminal("key show two.pem", "correct horse\n", &[]);
        assert!(shown.contains("BEGIN PUBLIC KEY") && !shown.contains("correct"), "{shown}");
        let other = bench.run_at_a_terminal("key new three.pem", "correct horse\nbattery staple\n", &[]);
        assert!(other.contains("are not the same") && !bench.path("work/three.pem").exists(), "{other}");
        let empty = bench.run_at_a_terminal("key new three.pem", "\n", &[]);
        assert!(empty.contains("an empty passphrase protects nothing"), "{empty}");
        let modes = fs::metadata(bench.path("work/two.pem")).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&modes) & 0o777, 0o600);
    }
}
