// SPDX-License-Identifier: Apache-2.0
//! A farm that is asked over connections.

use std::sync::Arc;

use reprove_farm::access::{self, Access, Credential, Role, Token};
use reprove_farm::api::{Api, Options, Security, serve};
use reprove_farm::{Client, tls};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{Farm, START};

/// A farm that answers on loopback.
pub(crate) struct Served {
    pub(crate) farm: Farm,
    pub(crate) url: String,
    options: Options,
    security: Security,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default(), Security::default()).await
    }

    pub(crate) async fn with(options: Options, security: Security) -> Self {
        let farm = Farm::new().await;
        let (url, task) = answer(&farm, options.clone(), security.clone()).await;
        Self { farm, url, options, security, task }
    }

    /// As after a kill, where nobody is connected.
    pub(crate) async fn restart(&mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
        self.farm.restart().await;
        (self.url, self.task) = answer(&self.farm, self.options.clone(), self.security.clone()).await;
    }

    /// Somebody who may do this.
    pub(crate) async fn token(&self, n: u8, roles: &[Role]) -> Token {
        let token = Token::new(&[n; 32]);
        self.add(&format!("t{n}"), roles, Credential::Token(token.clone())).await;
        token
    }

    pub(crate) async fn add(&self, name: &str, roles: &[Role], credential: Credential) {
        let access = Access {
            name: name.parse().unwrap(),
            roles: roles.iter().copied().collect(),
            domain: "default".parse().unwrap(),
            operator: "somebody".to_owned(),
            key: None,
            expires: None,
        };
        access::add(self.farm.coordinator().database(), access, credential, START).await.unwrap();
    }

    pub(crate) fn client(&self, token: Option<Token>) -> Client {
        Client::new(&self.url, token, tls::asking_nobody().unwrap()).unwrap()
    }
}

/// Has a farm answer on a port that is free; gives where.
async fn answer(farm: &Farm, options: Options, security: Security) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scheme = if security.tls.is_some() { "https" } else { "http" };
    let router = Api::new(farm.coordinator().clone(), options).router();
    let task = tokio::spawn(async move { serve(listener, security, router, std::future::pending()).await.unwrap() });
    (format!("{scheme}://{address}"), task)
}

/// What is sent as it is, and all that comes back.
pub(crate) async fn raw(url: &str, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    drop(read);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request of a browser that ends the connection.
pub(crate) async fn get(url: &str, path: &str) -> String {
    raw(url, format!("GET {path} HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n").as_bytes()).await
}

/// So that a future can be shared.
pub(crate) type Shared<T> = Arc<T>;
