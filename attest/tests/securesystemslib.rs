// SPDX-License-Identifier: Apache-2.0
//! An implementation that others wrote, in another language, reads what this crate writes: PyPI's `securesystemslib`.

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use reprove_attest::{Algorithm, Envelope, SigningKey};

    const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/bin/python");
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify_dsse.py");

    #[expect(clippy::disallowed_methods, reason = "a test hands files to another program")]
    fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = directory.join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }

    #[test]
    fn securesystemslib_verifies_envelopes_of_both_kinds_of_key_and_refuses_changed_ones() {
        assert!(Path::new(PYTHON).exists(), "there is no .venv with securesystemslib in it; `scripts/setup` makes it");
        for algorithm in Algorithm::ALL {
            let [key, other] = [1, 2].map(|seed| SigningKey::new(algorithm, [seed; 32]).unwrap());
            let envelope = Envelope::sign(&key, *br#"{"_type":"https://in-toto.io/Statement/v1"}"#).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let json = serde_json::to_vec(&envelope).unwrap();
            let public = |key: &SigningKey| key.public_key().to_spki_pem().unwrap();
            let output = Command::new(PYTHON)
                .arg("-I")
                .arg(SCRIPT)
                .arg(write(directory.path(), "envelope.json", &json))
                .arg(write(directory.path(), "key.pem", public(&key).as_bytes()))
                .arg(write(directory.path(), "other.pem", public(&other).as_bytes()))
                .arg(write(directory.path(), "private.pem", key.to_pkcs8_pem().unwrap().as_bytes()))
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "verified\n", "{errors}");
        }
    }
}
