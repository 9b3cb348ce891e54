// SPDX-License-Identifier: Apache-2.0
//! `farm serve`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reprove_attest::{Algorithm, TrustRoots};
use reprove_farm::access::{self, Access, Credential, Role, Token};
use reprove_farm::api::{Api, Options, Security, serve};
use reprove_farm::hooks::{self, Sender};
use reprove_farm::queue::{NatsCredentials, NatsError, NatsOptions, NatsQueue, SqliteQueue};
use reprove_farm::tls::{self, Identity, TlsError};
use reprove_farm::worker::Local;
use reprove_farm::{Clock, Coordinator, Database, Ledger, LedgerError, Parts, Queue, Settings};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::working::{self, Ready};
use super::{certificates, from_database, from_farm, from_tls, own_token, traces};
use crate::app::{App, absolute, blocking};
use crate::commands::Serve;
use crate::error::{CommandError, YES};
use crate::open::{self, Links};
use crate::{keys, output};

/// How often the coordinator looks what time has brought.
const SWEEP: Duration = Duration::from_secs(1);

/// Serves until it is told to stop.
pub(crate) async fn run(app: &App, arguments: Serve) -> Result<u8, CommandError> {
    arguments.log.begin();
    let mut interrupts = working::watch()?;
    let data = super::data(&arguments.data)?;
    let security = security(&arguments)?;
    let exporter = traces::exporter()?;
    let trust = arguments.trust.as_deref().map(trust).transpose()?.unwrap_or_default();
    let (path, store) = (data.clone(), app.store()?);
    let database = blocking(move || {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| CommandError::cannot(format!("{}: {e}", path.display())))?;
        Database::open(&path.join("farm.db")).map_err(from_database)
    });
    let database = database.await??;
    let clock: Arc<dyn Clock> = Arc::new(super::clock());
    let own = first_token(&database, &data, &*clock).await?;
    let parts = Parts {
        queue: queue(&arguments, &database).await?,
        database,
        store,
        clock,
        trust: Arc::new(trust),
        settings: Settings { lease: Duration::from_secs(arguments.lease), ..Settings::default() },
    };
    let ledger = ledger(app, &arguments, &data, parts.database.clone()).await?;
    let coordinator = Coordinator::start(parts).await.map_err(from_farm)?;
    let refused = |e: std::io::Error| CommandError::cannot(format!("can't listen at {}: {e}", arguments.listen));
    let listener = TcpListener::bind(arguments.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let scheme = if security.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let read_by_anyone = arguments.read_by_anyone || address.ip().is_loopback();
    let options = Options { read_by_anyone, ..Options::default() };
    let router = Api::new(coordinator.clone(), options).router();
    announce(app, &url, &data)?;
    if !address.ip().is_loopback() && security.tls.is_none() {
        app.progress.note("it listens to other machines without TLS: whoever is in between reads every token");
    }

    let (stopping, stop) = watch::channel(false);
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        // Also where the other end is gone.
        let _ = stop.wait_for(|stopping| *stopping).await;
    };
    let worker = async {
        if arguments.without_worker {
            return Ok(());
        }
        let ready =
            Ready::new(app, (&arguments.rebuilder, arguments.name.clone()), (&arguments.options, &arguments.search))
                .await?;
        let link = Local { coordinator: coordinator.clone(), access: own };
        ready.work(app, &link, (None, false), stopped(stop.clone())).await.map(drop)
    };
    let source = arguments.url.clone().unwrap_or_else(|| url.clone());
    let sweeping = sweeping(app, &coordinator, &ledger);
    let telling = telling(app, &coordinator, &source);
    let tracing = traces::follow(app, &coordinator, exporter);
    let served = serve(listener, security, router, stopped(stop.clone()));
    let all = async {
        // Where the worker can't begin, or is not wanted, that is said, and nobody waits for it in vain.
        let served = async { served.await.map_err(refused) };
        tokio::try_join!(served, worker).map(drop)
    };
    let mut all = std::pin::pin!(all);
    tokio::select! {
        biased;
        _ = interrupts.first() => {}
        ended = &mut all => return ended.map(|()| YES),
        () = sweeping => {}
        told = telling => return told.map(|()| YES),
        () = tracing => {}
    }
    app.progress.note("stopping: what is at work is given back, and what was asked is answered");
    // Nobody listens where all has ended.
    let _ = stopping.send(true);
    all.await.map(|()| YES)
}

/// Looks every second what time has brought, and has the log follow. What can't be done now is said once, and tried again.
async fn sweeping(app: &App, coordinator: &Coordinator, ledger: &Ledger) {
    let mut said: Option<String> = None;
    loop {
        tokio::time::sleep(SWEEP).await;
        let swept = coordinator.sweep().await.map_err(|error| format!("what is late can't be looked at now: {error}"));
        let logged = ledger.follow().await.map_err(|error| format!("the log can't be written now: {error}"));
        let wrong = swept.err().or(logged.err());
        if let Some(text) = wrong.as_ref().filter(|text| said.as_ref() != Some(*text)) {
            app.progress.note(text);
        }
        said = wrong;
    }
}

/// What carries jobs.
async fn queue(arguments: &Serve, database: &Database) -> Result<Arc<dyn Queue>, CommandError> {
    let Some(url) = &arguments.queue else { return Ok(Arc::new(SqliteQueue::new(database.clone()))) };
    let credentials = match &arguments.queue_credentials {
        Some(path) => NatsCredentials::CredentialsFile(absolute(path)?),
        None => NatsCredentials::None,
    };
    let roots = arguments.queue_ca.as_deref().map(absolute).transpose()?;
    let options = NatsOptions {
        credentials,
        require_tls: roots.is_some(),
        roots,
        replicas: if arguments.queue_replicas == "3" { 3 } else { 1 },
        ..NatsOptions::new(vec![url.clone()], arguments.queue_name.clone())
    };
    let queue = NatsQueue::connect(&options).await.map_err(|error| {
        let text = format!("the queue: {error}");
        match error {
            NatsError::Address { .. } => CommandError::bad_usage(text),
            _ => CommandError::cannot(text).next("docs/operate.md says which servers of NATS a farm works with"),
        }
    })?;
    Ok(Arc::new(queue))
}

/// Tells services what happened, for as long as it is waited for.
async fn telling(app: &App, coordinator: &Coordinator, source: &str) -> Result<(), CommandError> {
    let tls = match tls::asking(None, None) {
        Err(TlsError::NoRoots(_)) => tls::asking_nobody(),
        tls => tls,
    };
    let sender = Sender::new(tls.map_err(from_tls)?);
    let mut is_said = false;
    loop {
        let now = coordinator.clock().now();
        match hooks::deliver(coordinator.database(), &sender, source, now).await {
            // There may be more.
            Ok(1..) => continue,
            Ok(0) => is_said = false,
            Err(error) if !is_said => {
                app.progress.note(&format!("services can't be told now: {error}"));
                is_said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// The farm's log, which knows all that it has.
async fn ledger(app: &App, arguments: &Serve, data: &Path, database: Database) -> Result<Ledger, CommandError> {
    let fail = |error: LedgerError| CommandError::cannot(format!("the farm's log: {error}"));
    let key = keys::load_or_make_of(&data.join("log-key.pem"), Algorithm::Ed25519).await?;
    let ledger = Ledger::open(&data.join("log"), &arguments.log_name, key, database).map_err(fail)?;
    let lacking = ledger.reconcile().await.map_err(fail)?;
    if lacking > 0 {
        let what = output::count(usize::try_from(lacking).unwrap_or(usize::MAX), "decision");
        app.progress.note(&format!(
            "the log has {what} that the database lacks: it was put back from an older copy; what was asked for before that is done again, and the \
             log's entries name what was asked for since"
        ));
    }
    Ok(ledger)
}

fn announce(app: &App, url: &str, data: &Path) -> Result<(), CommandError> {
    let token = own_token(data);
    if app.global.json {
        return output::json(&json!({ "listening": url, "data": data, "token": token }));
    }
    output::text(&format!(
        "a farm at {url}\n  {:<18} {}\n  {:<18} {}\n",
        "kept in",
        data.display(),
        "its first token",
        token.display()
    ))
}

/// The one who started the farm may do everything in it: the token is in a file of this user's.
async fn first_token(database: &Database, data: &Path, clock: &dyn Clock) -> Result<Access, CommandError> {
    let name = "owner".parse().map_err(|_| CommandError::cannot("no name"))?;
    let domain = reprove_farm::Requires::usual_domain();
    let owner = Access {
        name,
        roles: Role::ALL.into(),
        domain,
        operator: "the owner of this farm".to_owned(),
        key: None,
        expires: None,
    };
    if access::is_any(database).await.map_err(from_farm)? {
        return Ok(owner);
    }
    let token = Token::new(&*keys::random()?);
    let path = own_token(data);
    let write = || {
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        writeln!(file, "{}", token.secret())?;
        file.sync_all()
    };
    write().map_err(|e| CommandError::cannot(format!("{}: {e}", path.display())))?;
    access::add(database, owner.clone(), Credential::Token(token), clock.now()).await.map_err(from_farm)?;
    Ok(owner)
}

fn security(arguments: &Serve) -> Result<Security, CommandError> {
    let Some((certificate, key)) = arguments.tls_certificate.as_deref().zip(arguments.tls_key.as_deref()) else {
        return Ok(Security::default());
    };
    let key = open::secret("private key", &absolute(key)?, 1 << 16, "make a new one")?;
    let own = certificates("certificate", certificate)?;
    let bundle = arguments.spiffe_bundle.as_deref().map(|path| certificates("bundle", path)).transpose()?;
    let identity = Identity { certificates: &own, key: key.as_bytes() };
    let tls = tls::acceptor(identity, bundle.as_deref()).map_err(from_tls)?;
    Ok(Security { tls: Some(tls), spiffe: arguments.spiffe_domain.clone() })
}

fn trust(path: &Path) -> Result<TrustRoots, CommandError> {
    let text = open::read_text("trust file", &absolute(path)?, Links::Followed, TrustRoots::MAX_BYTES)?;
    TrustRoots::from_toml(&text).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}
