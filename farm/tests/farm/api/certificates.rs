// SPDX-License-Identifier: Apache-2.0
//! TLS, and certificates with SPIFFE ids in place of tokens: real ones, made by openssl for each test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use reprove_farm::access::{Credential, Role};
use reprove_farm::api::{Options, Security};
use reprove_farm::tls::{self, Identity};
use reprove_farm::{Client, ClientError};

use super::served::Served;

fn openssl(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success(), "{arguments:?}");
}

/// An authority, `NAME.pem`, and its key.
fn authority(folder: &Path, name: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    );
}

/// A certificate with these alternative names, `NAME.pem`, that the authority has signed, and its key.
fn certificate(folder: &Path, name: &str, names: &str, by: &str) {
    let [key, request, certificate, extensions, ca, ca_key] = [
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.pem"),
        format!("{name}.ext"),
        format!("{by}.pem"),
        format!("{by}.key"),
    ];
    fs::write(folder.join(&extensions), format!("subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"))
        .unwrap();
    openssl(
        folder,
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=x",
            "-keyout",
            &key,
            "-out",
            &request,
        ],
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ],
    );
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

/// What comes of asking with this certificate.
async fn asked(folder: &Path, served: &Served, own: Option<&str>) -> Result<(), ClientError> {
    let files = own.map(|name| (read(folder, &format!("{name}.pem")), read(folder, &format!("{name}.key"))));
    let identity = files.as_ref().map(|(certificates, key)| Identity { certificates, key });
    let tls = tls::asking(Some(&read(folder, "farm-ca.pem")), identity).unwrap();
    Client::new(&served.url, None, tls).unwrap().get("/api/v1/status").await.map(drop)
}

#[tokio::test]
async fn a_spiffe_id_does_what_it_was_given_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["farm-ca", "spiffe-ca", "other-ca"] {
        authority(folder, name);
    }
    certificate(folder, "farm", "IP:127.0.0.1", "farm-ca");
    let id = "spiffe://example.org/auditor";
    for (name, names, by) in [
        ("auditor", format!("URI:{id}"), "spiffe-ca"),
        ("unknown", "URI:spiffe://example.org/other".to_owned(), "spiffe-ca"),
        ("other-domain", "URI:spiffe://other.org/auditor".to_owned(), "spiffe-ca"),
        ("two", format!("URI:{id},URI:{id}"), "spiffe-ca"),
        ("forged", format!("URI:{id}"), "other-ca"),
    ] {
        certificate(folder, name, &names, by);
    }
    let own = [read(folder, "farm.pem"), read(folder, "farm.key")];
    let identity = Identity { certificates: &own[0], key: &own[1] };
    let acceptor = tls::acceptor(identity, Some(&read(folder, "spiffe-ca.pem"))).unwrap();
    let security = Security { tls: Some(acceptor), spiffe: Some("example.org".parse().unwrap()) };
    let served = Served::with(Options::default(), security).await;
    served.add("auditor", &[Role::Read], Credential::Spiffe(id.to_owned())).await;

    assert_eq!(asked(folder, &served, Some("auditor")).await, Ok(()));
    for (name, expected) in [("unknown", 401), ("other-domain", 401), ("two", 401)] {
        let result = asked(folder, &served, Some(name)).await;
        assert!(matches!(result, Err(ClientError::Refused { status, .. }) if status == expected), "{name}: {result:?}");
    }
    assert!(matches!(asked(folder, &served, None).await, Err(ClientError::Refused { status: 401, .. })));
    // Not signed by the bundle: TLS itself says no.
    assert!(matches!(asked(folder, &served, Some("forged")).await, Err(ClientError::Transport { .. })));
}

#[tokio::test]
async fn a_farm_whose_certificate_is_not_believed_is_not_told_anything() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["farm-ca", "other-ca"] {
        authority(folder, name);
    }
    certificate(folder, "farm", "IP:127.0.0.1", "other-ca");
    let own = [read(folder, "farm.pem"), read(folder, "farm.key")];
    let acceptor = tls::acceptor(Identity { certificates: &own[0], key: &own[1] }, None).unwrap();
    let served = Served::with(Options::default(), Security { tls: Some(acceptor), spiffe: None }).await;
    let result = asked(folder, &served, None).await;
    assert!(matches!(&result, Err(ClientError::Transport { .. })), "{result:?}");
}

#[test]
fn what_is_no_certificate_or_no_key_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    authority(folder, "a");
    let (certificates, key) = (read(folder, "a.pem"), read(folder, "a.key"));
    let error = |certificates: &[u8], key: &[u8]| match tls::acceptor(Identity { certificates, key }, None) {
        Ok(_) => "none".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(error(&certificates, &key), "none");
    assert!(error(b"", &key).starts_with("the certificates can't be read"));
    assert!(error(&certificates, b"").starts_with("the private key can't be read"));
}
