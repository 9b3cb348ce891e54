// SPDX-License-Identifier: Apache-2.0
//! The examples that stand in the specifications of what this crate reads and writes, with their own values.

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use reprove_attest::log::{Checkpoint, LogPolicy, LogProof, LogProofError, Note, NoteError, NoteKey, NoteKind};
    use reprove_attest::{Algorithm, Envelope, PublicKey, SigningKey, ecdsa_p256_signature, pae};
    use reprove_model::Sha256;

    /// 32 bytes in hexadecimal digits.
    fn hex(text: &str) -> [u8; 32] {
        *text.parse::<Sha256>().unwrap().as_bytes()
    }

    /// DSSE, `protocol.md`, "Test Vectors". X, Y and d stand there in decimal digits. The signature there is r and s as they
    /// are; in an envelope of a proof it is their DER.
    #[test]
    fn dsses_test_vector() {
        let x = hex("67cd390f77aa359cb08c2235f652270493a9ed832b0abcc01f70954c0390d238");
        let y = hex("0c782bd54e269125a44f4433aff1432ce94e12bca73aa67ac80cea12608ddf74");
        let d = hex("d73ec437fd6346e3619c5ebfdfff0f6916804955ad32ac9ac492b0ede1f6ffb7");
        let signature = "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==";
        let payload_type = "http://example.com/HelloWorld";
        let message = pae(payload_type, b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");

        let key = SigningKey::new(Algorithm::EcdsaP256, d).unwrap();
        let public = PublicKey::p256(&[&[4][..], &x, &y].concat()).unwrap();
        assert_eq!(key.public_key(), public);
        let signature = STANDARD.decode(signature).unwrap();
        let der = ecdsa_p256_signature(&signature).unwrap();
        assert_eq!(key.sign(&message), der, "with the nonce of RFC 6979");
        assert_eq!(public.verify(&message, &der), Ok(()));
        assert!(public.verify(b"hello world", &der).is_err(), "it is not the payload alone that is signed");

        // Of all envelopes, a proof has those of statements alone, with a keyid.
        let sig = STANDARD.encode(&der);
        let keyid = public.id();
        let envelope = |payload_type: &str, keyid: &str| {
            let signature = format!("{{{keyid}\"sig\":\"{sig}\"}}");
            let text = format!(
                "{{\"payload\":\"aGVsbG8gd29ybGQ=\",\"payloadType\":\"{payload_type}\",\"signatures\":[{signature}]}}"
            );
            serde_json::from_str::<Envelope>(&text).map_err(|e| e.to_string())
        };
        let named = format!("\"keyid\":\"{keyid}\",");
        assert!(envelope(payload_type, "").unwrap_err().contains("keyid"));
        assert!(envelope(payload_type, &named).unwrap_err().contains("payloadType"));
        let other_type = envelope("application/vnd.in-toto+json", &named).unwrap();
        assert_eq!(other_type.payload(), b"hello world");
        assert!(other_type.verify(&[public]).is_err(), "the type is signed as well");
    }

    /// C2SP signed-note, "Verifier keys", "Example".
    #[test]
    fn signed_notes_example() {
        let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let key: NoteKey = text.parse().unwrap();
        assert_eq!((key.name(), key.kind(), key.to_string().as_str()), ("example.com/foo", NoteKind::Own, text));
        assert_eq!(key.id(), [0x53, 0x0d, 0x90, 0x3a]);
        let written = "This is an example message.\n\n\u{2014} example.com/foo \
            Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let note: Note = written.parse().unwrap();
        assert_eq!((note.to_string().as_str(), note.text()), (written, "This is an example message.\n"));
        assert_eq!(key.verify(&note), Ok(None));
        let changed: Note = written.replacen("an example", "no example", 1).parse().unwrap();
        assert_eq!(key.verify(&changed), Err(NoteError::Signature("example.com/foo".into())));
    }

    /// C2SP signed-note, its opening example: the text has an empty line in it, and the last one ends it.
    #[test]
    fn signed_notes_opening_example() {
        let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u{e8} subito sera.\n";
        let written = format!(
            "{text}\n\u{2014} quasimodo.example/salvatore \
             NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
        );
        let note: Note = written.parse().unwrap();
        assert_eq!((note.text(), note.to_string()), (text, written));
        assert_eq!(note.key_ids("quasimodo.example/salvatore"), [[0x36, 0x7b, 0xa0, 0x4b]]);
    }

    const CHECKPOINT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    /// C2SP tlog-checkpoint's opening example, and that of tlog-cosignature, which is the same with a cosignature.
    #[test]
    fn the_checkpoint_with_its_cosignature() {
        let own = "\u{2014} example.com/behind-the-sofa \
            Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let cosignature =
            "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
        let witnessed = format!("{CHECKPOINT}\n{own}\u{2014} witness.example.com/w1 {cosignature}\n");
        for written in [format!("{CHECKPOINT}\n{own}"), witnessed.clone()] {
            let note: Note = written.parse().unwrap();
            assert_eq!((note.text(), note.to_string()), (CHECKPOINT, written));
            assert_eq!(note.key_ids("example.com/behind-the-sofa"), [[0x03, 0x3d, 0xe0, 0xae]]);
        }
        let checkpoint: Checkpoint = CHECKPOINT.parse().unwrap();
        assert_eq!((checkpoint.size, checkpoint.to_string().as_str()), (20_852_163, CHECKPOINT));
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        let note: Note = witnessed.parse().unwrap();
        assert_eq!(note.key_ids("witness.example.com/w1"), [[0x8d, 0x66, 0xcf, 0x3f]]);

        // tlog-cosignature, "Ed25519 signed message": no key is given there, so ours signs the same at the same time.
        let message = format!("cosignature/v1\ntime 1679315147\n{CHECKPOINT}");
        let key = SigningKey::ed25519([2; 32]);
        let mut ours = Note::new(CHECKPOINT).unwrap();
        ours.cosign("witness.example.com/w1", &key, 1_679_315_147).unwrap();
        let written = ours.to_string();
        let bytes = STANDARD.decode(written.trim_end().rsplit_once(' ').unwrap().1).unwrap();
        let theirs = STANDARD.decode(cosignature).unwrap();
        assert_eq!((bytes.len(), &bytes[4..12]), (theirs.len(), &theirs[4..12]), "the time, before the signature");
        assert_eq!(key.public_key().verify(message.as_bytes(), &bytes[12..]), Ok(()));
    }

    /// C2SP tlog-proof's opening example. Its signatures are cut there, so that one of ours stands in their place; its path is
    /// too short for its tree.
    #[test]
    fn the_proof_of_a_log() {
        let text = "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n";
        let mut checkpoint = Note::new(text).unwrap();
        let key = SigningKey::ed25519([1; 32]);
        checkpoint.sign("example.com/fancylog", &key).unwrap();
        let hashes = [
            "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=",
            "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=",
            "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=",
            "RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=",
            "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=",
        ];
        let extra = "extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ\n";
        let written =
            |extra: &str| format!("c2sp.org/tlog-proof@v1\n{extra}index 73894\n{}\n\n{checkpoint}", hashes.join("\n"));
        let proof: LogProof = written(extra).parse().unwrap();
        assert_eq!((proof.index, proof.checkpoint.text()), (73_894, text));
        assert_eq!(proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(), hashes);
        assert_eq!(proof.to_string(), written(""), "without what nothing vouches for");
        let log = NoteKey::new("example.com/fancylog", NoteKind::Own, key.public_key()).unwrap();
        let policy = LogPolicy { log, witnesses: vec![], quorum: 0 };
        assert_eq!(proof.verify(b"", &policy), Err(LogProofError::NotIncluded));
    }
}
