// SPDX-License-Identifier: Apache-2.0
//! Where the servers are, who asks them, and whether they are what this needs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{AccountErrorKind, ContextBuilder};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerInfo};
use thiserror::Error;
use tokio::sync::Notify;

use crate::Name;

/// The oldest NATS that this works with.
pub const OLDEST_NATS: (u64, u64) = (2, 10);

/// Where the servers are, and what is kept there.
///
/// All of them have to run with JetStream's `sync_interval: always`. Without it, a server says that it has a thing before
/// that is on its disk, and loses it when the power goes. A client is not told how that is set.
#[derive(Clone)]
pub struct NatsOptions {
    /// Addresses, as `nats://host:4222` or `tls://host:4222`: one is enough, it names the others of its cluster.
    pub servers: Vec<String>,
    /// Who asks.
    pub credentials: NatsCredentials,
    /// The certificates of those who vouch for the servers (RFC 7468); where there are none, those that the system trusts.
    pub roots: Option<PathBuf>,
    /// Whether servers without TLS are refused.
    pub require_tls: bool,
    /// Whose jobs these are. Farms of different names share a cluster and never see each other's.
    pub farm: Name,
    /// On how many servers each job is: 1, or 3 in a cluster of as many.
    pub replicas: usize,
    /// How long is waited for the servers before it is said that they can't be reached. A cluster that has lost one of
    /// three needs up to ten seconds to agree on another leader.
    pub patience: Duration,
    /// That a job was removed is said in the bucket, until there is so much of that, and more than there are jobs.
    pub most_removed: usize,
}

impl NatsOptions {
    /// One copy, without credentials.
    #[must_use]
    pub fn new(servers: Vec<String>, farm: Name) -> Self {
        Self {
            servers,
            credentials: NatsCredentials::None,
            roots: None,
            require_tls: false,
            farm,
            replicas: 1,
            patience: Duration::from_secs(20),
            most_removed: 20_000,
        }
    }
}

/// Who asks the servers.
#[derive(Clone)]
pub enum NatsCredentials {
    /// Anybody.
    None,
    /// A user with a password.
    User {
        /// The user.
        name: String,
        /// The password.
        password: String,
    },
    /// Whoever has this.
    Token(String),
    /// Whoever has the key in this file: one line, the seed, as `nk` writes it.
    KeyFile(PathBuf),
    /// Whoever has the key in this file, and what an account says of it, as `nsc` writes it.
    CredentialsFile(PathBuf),
}

/// Why there is no queue on NATS.
#[derive(Debug, Error)]
pub enum NatsError {
    /// It is no address.
    #[error("{address:?} is no address of a NATS server ({source}); write it as nats://host:4222")]
    Address {
        /// What is there.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// None is named.
    #[error("no NATS server is named; name one, as nats://host:4222")]
    NoServer,
    /// A file can't be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No server answers.
    #[error(
        "no NATS server of {servers} can be reached: {why}; see that one runs there, and that it can be reached from here"
    )]
    Unreachable {
        /// Which were asked.
        servers: String,
        /// Why.
        why: String,
    },
    /// They let nobody in with these credentials.
    #[error("the NATS server lets nobody in with these credentials: {0}; see its accounts and users")]
    Refused(String),
    /// Too old, or nothing that says what it is.
    #[error("the NATS server {server} is of version {found:?}; this needs 2.10 or newer: upgrade it")]
    TooOld {
        /// What it is called.
        server: String,
        /// What it says that it is.
        found: String,
    },
    /// It keeps nothing.
    #[error(
        "JetStream is not enabled at the NATS server {server}, or not for this account ({why}); \
        enable it: `jetstream {{ sync_interval: always }}` in its configuration"
    )]
    NoJetStream {
        /// What it is called.
        server: String,
        /// What it says.
        why: String,
    },
    /// It may keep things, and does not say so.
    #[error(
        "JetStream does not answer at the NATS server {server} ({why}); a cluster does while more than half of it runs"
    )]
    NoAnswer {
        /// What it is called.
        server: String,
        /// What it says.
        why: String,
    },
    /// There can't be so many copies.
    #[error("{0} replicas: there are 1, or 3 in a cluster")]
    Replicas(usize),
    /// The bucket is there, and is not as it has to be.
    #[error(
        "the bucket {bucket} is there, and {what}; change it with `nats stream edit KV_{bucket}`, or delete it: \
        the coordinator puts everything in again that is not decided"
    )]
    Unfit {
        /// Which.
        bucket: String,
        /// What is wrong with it.
        what: String,
    },
    /// The bucket can't be made.
    #[error("the bucket {bucket} can't be made: {why}")]
    Bucket {
        /// Which.
        bucket: String,
        /// Why.
        why: String,
    },
}

/// How long one try takes at most, of all those that fit into the patience.
pub(super) const TRY: Duration = Duration::from_secs(3);
/// So many writes are under way at most: more would only wait at the server, and look as if it did not answer.
const UNDER_WAY: usize = 512;
/// The longest that is waited between two tries to connect again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a server that says nothing is asked whether it is there. At the third time without an answer, it is not.
const ASKED: Duration = Duration::from_secs(2);

/// Connects, and sees that there is what this needs. The second wakes those who wait for it when a connection breaks.
pub(super) async fn connect(options: &NatsOptions) -> Result<(Context, Arc<Notify>), NatsError> {
    if !matches!(options.replicas, 1 | 3) {
        return Err(NatsError::Replicas(options.replicas));
    }
    if options.servers.is_empty() {
        return Err(NatsError::NoServer);
    }
    let address = |text: &String| {
        text.parse::<ServerAddr>().map_err(|source| NatsError::Address { address: text.clone(), source })
    };
    let servers = options.servers.iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let broken = Arc::new(Notify::new());
    let breaks = Arc::clone(&broken);
    let mut connect = with_credentials(ConnectOptions::new(), &options.credentials)?
        .name(format!("reprove {}", options.farm))
        .require_tls(options.require_tls)
        .request_timeout(Some(TRY))
        .connection_timeout(TRY)
        .ping_interval(ASKED)
        .event_callback(move |event| {
            if event == Event::Disconnected {
                breaks.notify_waiters();
            }
            std::future::ready(())
        })
        .reconnect_delay_callback(|tries| PAUSE.min(Duration::from_millis(50 * u64::try_from(tries).unwrap_or(20))));
    if let Some(roots) = &options.roots {
        // Read here, so that what is wrong with it is said of it.
        read(roots)?;
        connect = connect.add_root_certificates(roots.clone());
    }
    let client = connect.connect(servers).await.map_err(|error| unreachable(options, &error))?;
    fits(client.server_info())?;
    Ok((has_jetstream(client, options.patience).await?, broken))
}

/// Whether this works with a server. Each of a cluster's may be of another version, and be upgraded, or put back, at any time.
pub(super) fn fits(server: ServerInfo) -> Result<(), NatsError> {
    if is_new_enough(&server.version) {
        return Ok(());
    }
    Err(NatsError::TooOld { server: server.server_name, found: server.version })
}

fn with_credentials(connect: ConnectOptions, credentials: &NatsCredentials) -> Result<ConnectOptions, NatsError> {
    Ok(match credentials {
        NatsCredentials::None => connect,
        NatsCredentials::User { name, password } => connect.user_and_password(name.clone(), password.clone()),
        NatsCredentials::Token(token) => connect.token(token.clone()),
        NatsCredentials::KeyFile(path) => connect.nkey(read(path)?.trim().to_owned()),
        NatsCredentials::CredentialsFile(path) => {
            connect.credentials(&read(path)?).map_err(|source| NatsError::File { path: path.clone(), source })?
        }
    })
}

fn read(path: &Path) -> Result<String, NatsError> {
    std::fs::read_to_string(path).map_err(|source| NatsError::File { path: path.to_owned(), source })
}

fn unreachable(options: &NatsOptions, error: &ConnectError) -> NatsError {
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            NatsError::Refused(error.to_string())
        }
        _ => NatsError::Unreachable { servers: options.servers.join(", "), why: error.to_string() },
    }
}

/// Whether a server's version is at least [`OLDEST_NATS`]. What can't be read is too old.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.strip_prefix('v').unwrap_or(version).split('.').map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor)), Some(_)) = (parts.next(), parts.next(), parts.next()) else { return false };
    (major, minor) >= OLDEST_NATS
}

/// Asks until there is an answer: a cluster that has just been started has none for seconds.
async fn has_jetstream(client: Client, patience: Duration) -> Result<Context, NatsError> {
    let context = ContextBuilder::new().timeout(TRY).ack_timeout(TRY).max_ack_inflight(UNDER_WAY).build(client.clone());
    let mut why = "it does not answer".to_owned();
    let asked = tokio::time::timeout(patience, async {
        loop {
            let Err(error) = context.query_account().await else { return true };
            why = error.to_string();
            match error.kind() {
                AccountErrorKind::JetStreamUnavailable => return false,
                AccountErrorKind::JetStream(error)
                    if matches!(
                        error.error_code(),
                        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
                    ) =>
                {
                    return false;
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    let asked = asked.await;
    let server = client.server_info().server_name;
    match asked {
        Ok(true) => Ok(context),
        Ok(false) => Err(NatsError::NoJetStream { server, why }),
        Err(_) => Err(NatsError::NoAnswer { server, why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_2_10_on_are_taken() {
        for version in ["2.10.0", "2.10.29", "2.15.1", "v2.11.0", "2.12.0-RC.1", "2.12.0-preview.1", "3.0.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["2.9.10", "2.9.99", "1.4.1", "0.0.0", "", "2", "2.10", "two.ten.one", "-2.10.0"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }

    #[tokio::test]
    async fn what_can_not_be_is_said_before_anybody_is_asked() {
        let options = |server: &str| NatsOptions::new(vec![server.to_owned()], "farm".parse().unwrap());
        let error = |options| async move { connect(&options).await.map(|_| ()).unwrap_err() };
        let two = NatsOptions { replicas: 2, ..options("nats://127.0.0.1:1") };
        assert!(matches!(error(two).await, NatsError::Replicas(2)));
        let none = NatsOptions { servers: Vec::new(), ..options("") };
        assert!(matches!(error(none).await, NatsError::NoServer));
        assert!(matches!(error(options("nats://[")).await, NatsError::Address { .. }));
        let credentials = NatsCredentials::KeyFile("/nowhere/seed".into());
        let no_file = NatsOptions { credentials, ..options("nats://127.0.0.1:1") };
        assert!(matches!(error(no_file).await, NatsError::File { .. }));
        assert!(matches!(error(options("nats://127.0.0.1:1")).await, NatsError::Unreachable { .. }));
    }
}
