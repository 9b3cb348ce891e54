// SPDX-License-Identifier: Apache-2.0
//! The bundles of Sigstore's conformance suite: each must be taken, or refused where its folder's name ends in `_fail`.
//!
//! Who judges what, and why:
//!
//! - The whole of every bundle: the crate `sigstore-verify`, which is so shown to take and refuse what it must before our own
//!   bundles are held against it. Whose identity is in a certificate is not asked. Certificates of Fulcio, promises of logs
//!   (SET), and the entries of the kinds hashedrekord and intoto are no part of an audit, where `trust.toml` names the keys.
//! - The form: our reader. It has to refuse all of them, since none is of an envelope by a key that is named; the faults in
//!   form (version, base64, negative index, cut JSON) are in its own tests, each in a bundle that is good but for that.
//! - The signature: our keys, by the key that is given or the one in the certificate.
//! - The log entry: our notes, checkpoints and Merkle trees. A log whose key is of Ed25519, as it is in an audit, is judged
//!   whole; one with an ECDSA key but for who signed its checkpoint.
//! - Timestamps: the crate alone; ours are bound to an envelope, and verified by the same crate's other half.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use reprove_attest::log::{Checkpoint, LogPolicy, LogProof, Note, NoteKey, NoteKind, merkle};
    use reprove_attest::{Proof, PublicKey, pae};
    use reprove_tests::{sorted_names, workspace};
    use serde_json::Value;
    use sigstore_verify::trust_root::{SigstoreInstance, TrustedRoot};
    use sigstore_verify::types::{Bundle, DerPublicKey};
    use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, verify};

    /// What our code sees in the bundle's log entry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Log {
        /// The bundle is no JSON, or has no proof that its entry is in a log.
        None,
        /// The checkpoint is no signed note, or none of a log.
        Unreadable,
        /// The path does not lead from the entry to the checkpoint's root.
        Elsewhere,
        /// It does. By whom the checkpoint is signed is not looked at.
        Included,
        /// It does, and the log's key of Ed25519 has not signed the checkpoint.
        Unsigned,
        /// It does, and the log's key of Ed25519 has signed it.
        Believed,
    }

    /// Why our reader refuses it: what in it no proof has a place for.
    const CHAIN: &str = "`x509CertificateChain`";
    const CERTIFICATE: &str = "`certificate`";
    const TIME: &str = "`integratedTime`";

    /// Whether our keys take the signature for that of the artifact or the envelope; none where no signature or no key can be
    /// read.
    const SIGNED: Option<bool> = Some(true);
    const NOT_SIGNED: Option<bool> = Some(false);
    const UNJUDGED: Option<bool> = None;

    /// Every folder, and what our code sees there.
    const VECTORS: [(&str, &str, Option<bool>, Log); 40] = [
        ("bundle-invalid-base64-signature_fail", CHAIN, UNJUDGED, Log::Elsewhere),
        ("bundle-malformed-json_fail", CHAIN, UNJUDGED, Log::None),
        ("bundle-negative-log-index_fail", CHAIN, SIGNED, Log::None),
        ("bundle-unknown-version_fail", CHAIN, SIGNED, Log::None),
        ("checkpoint-bad-keyhint_fail", CHAIN, SIGNED, Log::Included),
        ("checkpoint-wrong-roothash_fail", CHAIN, SIGNED, Log::Elsewhere),
        ("dsse-invalid-sig_fail", TIME, NOT_SIGNED, Log::Included),
        ("dsse-mismatch-envelope_fail", TIME, SIGNED, Log::Included),
        ("dsse-mismatch-sig_fail", TIME, SIGNED, Log::Included),
        ("happy-path-intoto-in-dsse-v3", TIME, SIGNED, Log::Included),
        ("happy-path-v0.1", CHAIN, SIGNED, Log::Included),
        ("happy-path-v0.2", CHAIN, SIGNED, Log::Included),
        ("happy-path-v0.3", CERTIFICATE, SIGNED, Log::Included),
        ("happy-path-v0.3-new-mediaType", CERTIFICATE, SIGNED, Log::Included),
        ("inclusion-proof-corrupted-hash_fail", CERTIFICATE, SIGNED, Log::Elsewhere),
        ("incorrect-public-key_fail", CHAIN, SIGNED, Log::Elsewhere),
        ("intoto-expired-certificate_fail", CHAIN, SIGNED, Log::Included),
        ("intoto-log-entry-mismatch_fail", CHAIN, SIGNED, Log::Included),
        ("intoto-missing-inclusion-proof_fail", CHAIN, SIGNED, Log::None),
        ("intoto-set-outside-signing-cert-validity_fail", CHAIN, SIGNED, Log::Included),
        ("intoto-tsa-timestamp-outside-cert-validity_fail", CHAIN, SIGNED, Log::Included),
        ("intoto-with-custom-trust-root", CHAIN, SIGNED, Log::Included),
        ("managed-key-and-trusted-root", TIME, SIGNED, Log::Included),
        ("managed-key-happy-path", TIME, SIGNED, Log::Included),
        ("managed-key-no-key_fail", TIME, UNJUDGED, Log::Included),
        ("managed-key-wrong-key_fail", TIME, UNJUDGED, Log::Included),
        ("rekor2-checkpoint-cosigned", CERTIFICATE, SIGNED, Log::Believed),
        ("rekor2-checkpoint-missing-log-signature_fail", CERTIFICATE, SIGNED, Log::Unreadable),
        ("rekor2-checkpoint-missing-origin_fail", CERTIFICATE, SIGNED, Log::Unreadable),
        ("rekor2-checkpoint-missing-root-hash_fail", CERTIFICATE, SIGNED, Log::Unreadable),
        ("rekor2-checkpoint-missing-size_fail", CERTIFICATE, SIGNED, Log::Unreadable),
        ("rekor2-checkpoint-multiple-cosigs", CERTIFICATE, SIGNED, Log::Believed),
        ("rekor2-checkpoint-no-matching-signature_fail", CERTIFICATE, SIGNED, Log::Unsigned),
        ("rekor2-checkpoint-origin-not-first", CERTIFICATE, SIGNED, Log::Believed),
        ("rekor2-checkpoint-two-sigs-cosigned", CERTIFICATE, SIGNED, Log::Believed),
        ("rekor2-checkpoint-two-sigs-from-origin", CERTIFICATE, SIGNED, Log::Believed),
        ("wrong-hashedrekord-artifact_fail", TIME, SIGNED, Log::Included),
        ("wrong-hashedrekord-cert-and-sig_fail", TIME, SIGNED, Log::Included),
        ("wrong-hashedrekord-entry_fail", TIME, SIGNED, Log::Included),
        ("wrong-material_fail", CHAIN, NOT_SIGNED, Log::Included),
    ];

    fn folder() -> PathBuf {
        workspace().join("../shared/vectors/sigstore-conformance")
    }

    /// A folder of one bundle.
    struct Case {
        path: PathBuf,
        text: String,
        artifact: Vec<u8>,
    }

    impl Case {
        fn new(name: &str) -> Self {
            let path = folder().join(name);
            let artifact = fs::read(path.join("artifact")).or_else(|_| fs::read(folder().join("a.txt"))).unwrap();
            let text = fs::read_to_string(path.join("bundle.sigstore.json")).unwrap();
            Self { path, text, artifact }
        }

        fn file(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.path.join(name)).ok()
        }

        fn root(&self) -> TrustedRoot {
            match self.file("trusted_root.json") {
                Some(json) => TrustedRoot::from_json(&json).unwrap(),
                None => TrustedRoot::from_embedded(SigstoreInstance::PublicGood).unwrap(),
            }
        }

        fn taken_by_the_client(&self) -> Result<(), String> {
            let bundle = Bundle::from_json(&self.text).map_err(|e| e.to_string())?;
            let artifact = self.artifact.as_slice();
            let verified = match self.file("key.pub") {
                Some(pem) => {
                    let key = DerPublicKey::from_pem(&pem).map_err(|e| e.to_string())?;
                    verify(artifact, &bundle, &PublicKeyVerificationPolicy::new(key), &self.root())
                }
                None => verify(artifact, &bundle, &VerificationPolicy::any_identity(), &self.root()),
            };
            verified.map(drop).map_err(|e| e.to_string())
        }

        fn json(&self) -> Option<Value> {
            serde_json::from_str(&self.text).ok()
        }

        fn signed(&self) -> Option<bool> {
            let bundle = self.json()?;
            let bytes = |pointer: &str| STANDARD.decode(bundle.pointer(pointer)?.as_str()?).ok();
            let (message, signature) = match bytes("/dsseEnvelope/payload") {
                Some(payload) => {
                    let payload_type = bundle.pointer("/dsseEnvelope/payloadType")?.as_str()?;
                    (pae(payload_type, &payload), bytes("/dsseEnvelope/signatures/0/sig")?)
                }
                None => (self.artifact.clone(), bytes("/messageSignature/signature")?),
            };
            let material = "/verificationMaterial";
            let certificate = bytes(&format!("{material}/certificate/rawBytes"))
                .or_else(|| bytes(&format!("{material}/x509CertificateChain/certificates/0/rawBytes")));
            let key = match certificate {
                Some(certificate) => PublicKey::from_spki_der(&spki(&certificate)).unwrap(),
                None => PublicKey::from_spki_pem(&self.file("key.pub")?).ok()?,
            };
            Some(key.verify(&message, &signature).is_ok())
        }

        fn log(&self) -> Log {
            let Some(bundle) = self.json() else { return Log::None };
            let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
            let inclusion = &entry["inclusionProof"];
            let Some(envelope) = inclusion["checkpoint"]["envelope"].as_str() else { return Log::None };
            let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
            let body = bytes(&entry["canonicalizedBody"]);
            let hashes = inclusion["hashes"].as_array().into_iter().flatten();
            let hashes: Vec<merkle::Hash> = hashes.map(|hash| bytes(hash).try_into().unwrap()).collect();
            let index = inclusion["logIndex"].as_str().map_or(0, |index| index.parse().unwrap());
            let Ok(checkpoint) = envelope.parse::<Note>() else { return Log::Unreadable };
            let Ok(tree) = checkpoint.text().parse::<Checkpoint>() else { return Log::Unreadable };
            if bytes(&inclusion["rootHash"]) != tree.root
                || !merkle::is_included(&merkle::leaf_hash(&body), index, tree.size, &hashes, &tree.root)
            {
                return Log::Elsewhere;
            }
            let proof = LogProof { index, hashes, checkpoint };
            let Some(log) = self.ed25519_log(&entry["logId"]) else { return Log::Included };
            let policy = LogPolicy { log, witnesses: vec![], quorum: 0 };
            if proof.verify(&body, &policy).is_ok() { Log::Believed } else { Log::Unsigned }
        }

        /// The key of the log that an entry names, where such a log is given and its key is of Ed25519; its name is in its
        /// address.
        fn ed25519_log(&self, id: &Value) -> Option<NoteKey> {
            let root: Value = serde_json::from_str(&self.file("trusted_root.json")?).unwrap();
            let log = root["tlogs"].as_array().unwrap().iter().find(|log| log["logId"] == *id)?;
            let der = STANDARD.decode(log["publicKey"]["rawBytes"].as_str().unwrap()).unwrap();
            let name = log["baseUrl"].as_str().unwrap().trim_start_matches("https://");
            NoteKey::new(name, NoteKind::Own, PublicKey::from_spki_der(&der).unwrap()).ok()
        }
    }

    /// The key of P-256 in a certificate: RFC 5480's structure, which begins with these bytes.
    fn spki(certificate: &[u8]) -> Vec<u8> {
        let start =
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        let at = certificate.windows(start.len()).position(|bytes| bytes == start).unwrap();
        certificate[at..at + 91].to_vec()
    }

    #[test]
    fn every_vector_is_taken_or_refused_as_it_must_be() {
        if !folder().exists() {
            println!("skipped: no vectors");
            return;
        }
        let folders: Vec<String> = sorted_names(&folder()).into_iter().filter(|name| name != "a.txt").collect();
        assert_eq!(folders, VECTORS.map(|(name, ..)| name), "each has a verdict");
        for (name, refused, signed, log) in VECTORS {
            let case = Case::new(name);
            let must_be_taken = !name.ends_with("_fail");
            let taken = case.taken_by_the_client();
            assert_eq!(taken.is_ok(), must_be_taken, "{name}: {taken:?}");
            assert_eq!((case.signed(), case.log()), (signed, log), "{name}");
            if must_be_taken {
                assert!(signed == SIGNED && [Log::Included, Log::Believed].contains(&log), "{name}");
            }
            let why = Proof::from_sigstore_bundle(case.text.as_bytes()).unwrap_err().to_string();
            assert!(why.contains(refused), "{name}: {why}");
        }
    }
}
