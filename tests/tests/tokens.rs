// SPDX-License-Identifier: Apache-2.0
//! Keys on PKCS#11 tokens: SoftHSM's, and such as have a fault.

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use nix::sys::signal::Signal;
    use reprove_attest::{PAYLOAD_TYPE, Proof, pae};
    use reprove_tests::{Bench, Ran, Running, once, workspace};

    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    const PIN: &str = "73281946";
    const LONG: Duration = Duration::from_secs(120);

    /// A place with tokens in it.
    struct Tokens {
        bench: Bench,
        settings: PathBuf,
    }

    impl Tokens {
        /// With one token, which is called `one`.
        fn new() -> Self {
            let bench = Bench::new();
            let folder = bench.path("tokens");
            fs::create_dir(&folder).unwrap();
            let settings = bench.path("softhsm2.conf");
            fs::write(&settings, format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.display())).unwrap();
            let this = Self { bench, settings };
            this.add_token("one");
            this
        }

        fn add_token(&self, label: &str) {
            let arguments = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "8765"];
            self.run_tool("softhsm2-util", &arguments);
        }

        /// Makes a key pair on the token `one`.
        fn add_key(&self, kind: &str, label: &str, id: &str, more: &[&str]) {
            let arguments = [
                ["--module", MODULE, "--token-label", "one", "--login", "--pin", PIN, "--keypairgen"].as_slice(),
                &["--key-type", kind, "--label", label, "--id", id],
                more,
            ];
            self.run_tool("pkcs11-tool", &arguments.concat());
        }

        fn run_tool(&self, tool: &str, arguments: &[&str]) {
            let mut command = self.bench.program_in_this_place(tool);
            command.args(arguments).env("SOFTHSM2_CONF", &self.settings).stdin(Stdio::null());
            let output = command.output().unwrap_or_else(|e| panic!("{tool}: {e}; scripts/setup installs it"));
            assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }

        fn command(&self, arguments: &[&str]) -> Command {
            let mut command = self.bench.command(arguments);
            command.env("SOFTHSM2_CONF", &self.settings).env("REPROVE_PKCS11_MODULE", MODULE);
            command.env("REPROVE_PKCS11_PIN", PIN);
            command
        }

        #[track_caller]
        fn run(&self, arguments: &[&str], code: i32) -> Ran {
            Running::start(self.command(arguments)).wait(LONG).with_code(code)
        }

        /// Runs it with a variable more.
        #[track_caller]
        fn run_with(&self, arguments: &[&str], (name, value): (&str, &str), code: i32) -> Ran {
            let mut command = self.command(arguments);
            command.env(name, value);
            Running::start(command).wait(LONG).with_code(code)
        }

        /// A file with the PIN that only this user can read.
        fn pin_file(&self, content: &str, mode: u32) -> String {
            let path = self.bench.write("pin", content);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    fn openssl(arguments: &[&str], folder: &Path) {
        let output = Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// SoftHSM with faults.
    fn faulty() -> String {
        let made = once("faulty-token", |folder| {
            let mut gcc = Command::new("gcc");
            gcc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
                .arg(folder.join("faulty.so"));
            gcc.arg(format!("-DSOFTHSM=\"{MODULE}\"")).arg(workspace().join("tests/tokens/faulty.c"));
            assert!(gcc.status().unwrap().success(), "{gcc:?}");
        });
        made.join("faulty.so").to_str().unwrap().to_owned()
    }

    #[test]
    fn a_proof_that_a_token_has_signed_is_audited_by_its_public_key() {
        let tokens = Tokens::new();
        tokens.add_key("EC:prime256v1", "release key", "01", &["--usage-sign"]);
        let project = tokens.bench.project("project", &["printf x > out"], "");
        let key = "pkcs11:token=one;object=release%20key;type=private";
        let check = ["check", project.to_str().unwrap(), "--key", key, "-o", "proof"];
        let checked = tokens.run(&check, 0);
        assert!(!tokens.bench.path("key.pem").exists(), "no key was made in a file");
        let public = tokens.run_with(&["key", "show"], ("REPROVE_KEY", key), 0).stdout;
        tokens.bench.write("public.pem", &public);
        let audited = tokens.bench.run(["audit", "proof", "--key", "public.pem"]).with_code(0);
        assert!(audited.stdout.contains("reproducible"), "{}", audited.stdout);

        let proof = Proof::from_bytes(&fs::read(tokens.bench.path("work/proof")).unwrap()).unwrap();
        assert!(checked.stdout.contains(&proof.envelopes[0].keyid().to_string()), "{}", checked.stdout);
        for envelope in &proof.envelopes {
            tokens.bench.write("message", pae(PAYLOAD_TYPE, envelope.payload()));
            tokens.bench.write("signature", envelope.signature());
            let verify = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message"];
            openssl(&verify, &tokens.bench.path("work"));
        }
    }

    #[test]
    fn a_log_is_kept_with_a_tokens_key_of_ed25519() {
        let tokens = Tokens::new();
        tokens.add_key("EC:edwards25519", "log", "02", &["--usage-sign"]);
        let made = tokens.run(&["log", "new", "log", "--origin", "log.example", "--key", "pkcs11:id=%02"], 0);
        let log_key = made.stdout.lines().next().unwrap();
        let _ = tokens.bench.run(["log", "verify", "log", "--log-key", log_key]).with_code(0);
        tokens.bench.write("file", "file");
        tokens.run(&["log", "gather", "log", "file", "-o", "all.json", "--key", "pkcs11:id=%02"], 0);

        let note = fs::read_to_string(tokens.bench.path("work/log/checkpoint")).unwrap();
        let (text, signature) = note.split_once("\n\n").unwrap();
        let signature = STANDARD.decode(signature.trim_end().rsplit_once(' ').unwrap().1).unwrap();
        tokens.bench.write("message", format!("{text}\n"));
        tokens.bench.write("signature", &signature[4..]);
        tokens.bench.write("public.pem", tokens.run(&["key", "show", "pkcs11:object=log"], 0).stdout);
        let verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-sigfile", "signature"];
        openssl(&[verify.as_slice(), &["-in", "message"]].concat(), &tokens.bench.path("work"));

        tokens.add_key("EC:prime256v1", "other", "03", &["--usage-sign"]);
        let of_p256 = ["log", "new", "another", "--origin", "log.example", "--key", "pkcs11:object=other"];
        assert!(tokens.run(&of_p256, 2).stderr.contains("a note is signed by a key of Ed25519"));
    }

    #[test]
    fn what_the_uri_does_not_settle_is_told_with_what_there_is() {
        let tokens = Tokens::new();
        tokens.add_key("EC:prime256v1", "same", "01", &["--usage-sign"]);
        tokens.add_key("EC:prime256v1", "same", "02", &["--usage-sign"]);
        tokens.add_key("rsa:2048", "rsa", "03", &["--usage-sign"]);
        tokens.add_key("EC:secp384r1", "p384", "04", &["--usage-sign"]);
        for (uri, code, what, next) in [
            (
                "pkcs11:object=same",
                2,
                "more than one private key on the token fits the URI",
                "add the id of one of these",
            ),
            ("pkcs11:object=absent", 2, "no private key on the token fits the URI", "name one of these with object="),
            ("pkcs11:token=two;id=%01", 4, "no token fits the URI; there are \"one\" (serial ", "put the token in"),
            (
                "pkcs11:object=rsa",
                2,
                "of another kind than ECDSA P-256 and Ed25519: it is of the type CKK_RSA",
                "--key-type",
            ),
            (
                "pkcs11:object=p384",
                2,
                "of another kind than ECDSA P-256 and Ed25519: it is of another curve",
                "--key-type",
            ),
            ("pkcs11:id=%01?module-path=/nowhere.so", 2, "there is no PKCS#11 module at /nowhere.so", "shared library"),
            (
                "pkcs11:id=%01?module-path=/bin/true",
                4,
                "the PKCS#11 module /bin/true can't be loaded",
                "shared library",
            ),
            ("pkcs11:id=%01?pin-value=1", 2, "has a PIN in it", "pin-source=file:/PATH"),
            ("pkcs11:token=one", 2, "names no key", "object=LABEL"),
        ] {
            let ran = tokens.run(&["key", "show", uri], code);
            let (error, hint) = ran.stderr.split_once("\n  next: ").unwrap_or_else(|| panic!("{uri}: {}", ran.stderr));
            assert!(error.contains(what) && hint.contains(next), "{uri}: {}", ran.stderr);
        }
        let many = tokens.run(&["key", "show", "pkcs11:object=same"], 2).stderr;
        assert!(
            many.contains("\"same\" (id %01)") && many.contains("\"same\" (id %02)") && !many.contains("rsa"),
            "{many}"
        );
        let _ = tokens.run(&["key", "show", "pkcs11:object=same;id=%02"], 0);

        tokens.add_token("two");
        let two = tokens.run(&["key", "show", "pkcs11:id=%01"], 2).stderr;
        assert!(two.contains("more than one token fits the URI") && two.contains("add serial=SERIAL"), "{two}");
        let _ = tokens.run(&["key", "show", "pkcs11:token=one;id=%01"], 0);
        let new = tokens.run(&["key", "new", "pkcs11:token=one;object=new"], 2).stderr;
        assert!(new.contains("a token makes its own") && new.contains("--keypairgen"), "{new}");
    }

    #[test]
    fn a_key_without_its_own_public_key_is_not_used() {
        let tokens = Tokens::new();
        tokens.add_key("EC:prime256v1", "k", "01", &["--usage-sign"]);
        tokens.add_key("EC:prime256v1", "other", "02", &["--usage-sign"]);
        let other = tokens.bench.write("other.pem", tokens.run(&["key", "show", "pkcs11:id=%02"], 0).stdout);
        openssl(
            &["pkey", "-pubin", "-in", "other.pem", "-outform", "DER", "-out", "other.der"],
            other.parent().unwrap(),
        );
        let change = |arguments: &[&str]| {
            let login = ["--module", MODULE, "--token-label", "one", "--login", "--pin", PIN, "--type", "pubkey"];
            tokens.run_tool("pkcs11-tool", &[login.as_slice(), &["--id", "01"], arguments].concat());
        };
        let refused = |arguments: &[&str], code, what: &str| {
            let error = tokens.run(arguments, code).stderr;
            assert!(error.contains(what) && error.contains("  next: "), "{error}");
        };
        let show = ["key", "show", "pkcs11:object=k"];
        change(&["--write-object", "other.der", "--label", "k"]);
        refused(&show, 2, "different public keys for this one private key");
        change(&["--delete-object"]);
        change(&["--delete-object"]);
        refused(&show, 2, "the token has the private key, and not the public one");
        change(&["--write-object", "other.der", "--label", "k"]);
        let project = tokens.bench.project("project", &["printf x > out"], "");
        let check = ["check", project.to_str().unwrap(), "--key", "pkcs11:object=k", "-o", "proof"];
        refused(&check, 4, "signed wrongly: what it gave does not verify with its public half");
        assert!(!tokens.bench.path("work/proof").exists());
    }

    #[test]
    fn a_pin_comes_from_a_file_a_variable_or_the_terminal() {
        let tokens = Tokens::new();
        tokens.add_key("EC:prime256v1", "k", "01", &["--usage-sign"]);
        let show = |uri: &str, code| tokens.run(&["key", "show", uri], code);
        let public = show("pkcs11:object=k", 0).stdout;
        let wrong = tokens.run_with(&["key", "show", "pkcs11:object=k"], ("REPROVE_PKCS11_PIN", "0000"), 2).stderr;
        assert!(wrong.contains("the PIN is not that of the token \"one\"") && wrong.contains("pin-source"), "{wrong}");

        let path = tokens.pin_file(&format!("{PIN}\n"), 0o600);
        let from_file = format!("pkcs11:object=k?pin-source=file:{path}");
        let shown = tokens.run_with(&["key", "show", &from_file], ("REPROVE_PKCS11_PIN", "0000"), 0);
        assert_eq!(shown.stdout, public, "the file comes first");
        tokens.pin_file(&format!("{PIN}\n"), 0o644);
        assert!(show(&from_file, 2).stderr.contains("others can read the PIN file"));
        for (content, fits) in
            [("0".repeat(4095), true), ("0".repeat(4096), false), ("\n".into(), false), ("1\n2\n".into(), false)]
        {
            tokens.pin_file(&content, 0o600);
            let why = if fits { "the PIN is " } else { "has not one line with a PIN of at most 4,095 bytes" };
            assert!(show(&from_file, 2).stderr.contains(why), "{} bytes", content.len());
        }

        let variables: [(&str, &OsStr); 2] =
            [("SOFTHSM2_CONF", tokens.settings.as_os_str()), ("REPROVE_PKCS11_MODULE", MODULE.as_ref())];
        let none = tokens.bench.run_without_terminal(&["key", "show", "pkcs11:object=k"], &variables).with_code(2);
        assert!(none.stderr.contains("needs a PIN, and there is no terminal to ask at"), "{}", none.stderr);
        let typed = tokens.bench.run_at_a_terminal("key show pkcs11:object=k", &format!("{PIN}\n"), &variables);
        assert!(typed.contains("PIN of the token \"one\": ") && typed.contains("BEGIN PUBLIC KEY"), "{typed}");
        assert!(!typed.contains(PIN), "{typed}");
    }

    #[test]
    fn a_token_that_fails_is_told_and_nothing_is_signed() {
        let tokens = Tokens::new();
        tokens.add_key("EC:edwards25519", "log", "01", &["--usage-sign"]);
        let module = faulty();
        let key = format!("pkcs11:object=log?module-path={module}");
        let new = ["log", "new", "log", "--origin", "log.example", "--key", &key];
        for (fault, code, what, next) in [
            ("locked", 4, "the PIN of the token \"one\" is locked", "--init-pin"),
            ("locks", 4, "the PIN of the token \"one\" is locked", "--init-pin"),
            ("expired", 4, "the PIN of the token \"one\" has expired", "--change-pin"),
            ("last-try", 2, "one try is left before the token \"one\" locks", "at a terminal"),
            ("may-not-sign", 2, "the token does not let this key sign", "--usage-sign"),
            ("pin-each-time", 2, "asks for the PIN again for each signature", "CKA_ALWAYS_AUTHENTICATE"),
            ("pulled", 4, "did not sign: ", "look whether the token is still there"),
            ("wrong", 4, "signed wrongly: what it gave does not verify", "sign with another key"),
            ("zero", 4, "signed wrongly: what it gave does not verify", "sign with another key"),
        ] {
            let error = tokens.run_with(&new, ("FAULTY_TOKEN", fault), code).stderr;
            assert!(error.contains(what) && error.contains(next), "{fault}: {error}");
            assert!(!tokens.bench.path("work/log/checkpoint").exists(), "{fault}");
        }
        let variables: [(&str, &OsStr); 2] =
            [("SOFTHSM2_CONF", tokens.settings.as_os_str()), ("FAULTY_TOKEN", "last-try".as_ref())];
        let last = tokens.bench.run_at_a_terminal(&format!("key show '{key}'"), &format!("{PIN}\n"), &variables);
        assert!(last.contains("(the last try before it locks)") && last.contains("BEGIN PUBLIC KEY"), "{last}");
        let _ = tokens.run_with(&new, ("FAULTY_TOKEN", "none"), 0);
    }

    #[test]
    fn a_job_whose_token_is_pulled_writes_no_proof() {
        let tokens = Tokens::new();
        tokens.add_key("EC:prime256v1", "k", "01", &["--usage-sign"]);
        let project = tokens.bench.project("project", &["printf x > out"], "");
        let key = format!("pkcs11:object=k?module-path={}", faulty());
        for (fault, what) in [("pulled", "did not sign: "), ("zero", "signed wrongly: ")] {
            let check = ["check", project.to_str().unwrap(), "--key", &key, "-o", "proof"];
            let error = tokens.run_with(&check, ("FAULTY_TOKEN", fault), 4).stderr;
            assert!(error.contains(what) && error.contains("  next: "), "{error}");
            assert!(!tokens.bench.path("work/proof").exists(), "{fault}");
        }
    }

    #[test]
    fn a_token_that_waits_for_ever_is_left_when_that_is_said() {
        let tokens = Tokens::new();
        tokens.add_key("EC:edwards25519", "log", "01", &["--usage-sign"]);
        let key = format!("pkcs11:object=log?module-path={}", faulty());
        let mut command = tokens.command(&["log", "new", "log", "--origin", "log.example", "--key", &key]);
        command.env("FAULTY_TOKEN", "waits");
        let mut running = Running::start(command);
        running.wait_for("touch it");
        running.signal(Signal::SIGINT);
        let _ = running.wait(Duration::from_secs(10)).with_code(130);
        assert!(!tokens.bench.path("work/log/checkpoint").exists());
    }

    #[test]
    fn doctor_looks_whether_the_keys_token_is_there() {
        let tokens = Tokens::new();
        let key = |uri: &str, code| {
            let ran = tokens.run_with(&["doctor", "--json"], ("REPROVE_KEY", uri), code);
            let all = ran.json();
            let findings = all["findings"].as_array().unwrap().clone();
            findings.into_iter().find(|finding| finding["what"] == "a key to sign with").unwrap()
        };
        assert_eq!(key("pkcs11:token=one;object=k", 0)["found"], "on the token \"one\"");
        let absent = key("pkcs11:token=two;object=k", 4);
        assert!(absent["found"].as_str().unwrap().contains("no token fits the URI"), "{absent}");
    }
}
