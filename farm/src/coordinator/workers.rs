// SPDX-License-Identifier: Apache-2.0
//! Workers: who they are, and the jobs that they get.

use std::sync::{Arc, PoisonError};

use reprove_attest::evidence::TeeTrust;
use reprove_attest::{Envelope, KeyId, PublicKey};
use reprove_model::Isolation;
use reprove_model::canonical;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Coordinator, FarmError, FarmEvent};
use crate::job::Architecture;
use crate::{Claim, JobId, Lane, Lease, Millis, Name, Offer, Request};

/// What a worker says of itself when it registers, signed with the key that it will sign reports with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// What it is called. The name is that key's from then on.
    pub name: Name,
    /// The public half of its key (RFC 7468).
    pub public_key: String,
    /// On what it is used.
    pub platform: String,
    /// What it builds in.
    pub isolation: Isolation,
    /// Its processors.
    pub architecture: Architecture,
}

impl Profile {
    /// The longest name of a platform, in characters.
    pub const MAX_PLATFORM: usize = 200;

    /// Reads what a worker has signed with the key that is named in it.
    ///
    /// # Errors
    /// [`FarmError::NotAdmitted`].
    pub fn verify(envelope: &Envelope) -> Result<(Self, PublicKey), FarmError> {
        let refuse = |why: String| FarmError::NotAdmitted(why);
        // Read first, and believed only once the key that it names has signed it.
        let profile: Self = canonical::from_slice(envelope.payload()).map_err(|e| refuse(e.to_string()))?;
        let key = PublicKey::from_spki_pem(&profile.public_key).map_err(|e| refuse(e.to_string()))?;
        envelope.verify(std::slice::from_ref(&key)).map_err(|e| refuse(e.to_string()))?;
        let length = profile.platform.chars().count();
        if length > Self::MAX_PLATFORM || profile.platform.chars().any(char::is_control) {
            return Err(refuse("the name of its platform is too long, or has control characters".to_owned()));
        }
        Ok((profile, key))
    }
}

/// Whose a worker is, by the token that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The token's name.
    pub token: String,
    /// Who answers for it.
    pub operator: String,
    /// Which jobs it gets.
    pub domain: Name,
    /// The only key that it may have, where there is one.
    pub key: Option<KeyId>,
}

/// A worker that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// What it says of itself.
    pub profile: Profile,
    /// Its key.
    pub key: PublicKey,
    /// Whose it is.
    pub admission: Admission,
    /// Why it gets no jobs any more, where that is so.
    pub banned: Option<String>,
}

impl Worker {
    /// What it has a job as.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim {
            worker: self.profile.name.clone(),
            key: self.key.id(),
            operator: self.admission.operator.clone(),
            isolation: self.profile.isolation,
        }
    }
}

/// A job that a worker gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    /// The right to work on it.
    pub lease: Lease,
    /// What is to be done.
    pub request: Request,
    /// How long a lease is, in milliseconds: it asks for more before a third of that has gone by.
    pub lease_ms: u64,
}

impl Coordinator {
    /// Registers a worker, or says that it is here again. A name is one key's and one token's.
    ///
    /// # Errors
    /// [`FarmError::NameTaken`], [`FarmError::NotAdmitted`]; see [`FarmError`].
    pub async fn register(&self, envelope: &Envelope, admission: Admission) -> Result<Arc<Worker>, FarmError> {
        let (profile, key) = Profile::verify(envelope)?;
        if admission.key.is_some_and(|only| only != key.id()) {
            return Err(FarmError::NotAdmitted("its token is for another key".to_owned()));
        }
        if profile.isolation.has_evidence() && *self.parts.trust.tee() == TeeTrust::default() {
            let text = format!(
                "it says that it builds in {}, and this farm trusts no roots for evidence of that",
                profile.isolation.name()
            );
            return Err(FarmError::NotAdmitted(text));
        }
        let worker = Worker { profile, key, admission, banned: None };
        let (now, added) = (self.parts.clock.now(), worker.clone());
        let banned = self.parts.database.write(move |connection| register(connection, &added, now)).await?;
        let worker = Arc::new(Worker { banned, ..worker });
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.insert(worker.profile.name.clone(), Arc::clone(&worker));
        Ok(worker)
    }

    /// Gives a worker a job; none, where there is none that it may have.
    ///
    /// # Errors
    /// [`FarmError::NoWorker`], [`FarmError::Banned`]; see [`FarmError`].
    pub async fn lease(&self, name: &Name) -> Result<Option<Assignment>, FarmError> {
        let worker = self.worker(name)?;
        self.is_not_banned(&worker)?;
        self.has_room(name).await?;
        let (claim, placement) = (worker.claim(), Arc::clone(&self.placement));
        let lanes = Lane::of_worker(&worker.admission.domain, worker.profile.architecture, worker.profile.isolation);
        let (lease, most) = (self.parts.settings.lease, self.parts.settings.most_leases);
        let may_have = Arc::new(move |job| placement.claim(job, &claim));
        let offer = Offer { holder: name.clone(), lanes: lanes.into(), lease, may_have };
        loop {
            let now = self.parts.clock.now();
            let Some(lease) = self.parts.queue.take(offer.clone(), now).await? else { return Ok(None) };
            self.placement.confirm(lease.job, lease.epoch);
            let (begun, by) = (lease.clone(), Arc::clone(&worker));
            let request = self.parts.database.write(move |connection| {
                // Others of its requests may have been handed one since.
                room(connection, &begun.holder, most)?;
                begin(connection, &begun, &by, now)
            });
            let request = request.await;
            let request = match request {
                Ok(request) => request,
                Err(error) => {
                    // Nobody has it, so that it is no try. Where it can't be given back, its lease ends.
                    self.placement.release(lease.job, lease.epoch);
                    let _ = self.parts.queue.give_back(&lease, std::time::Duration::ZERO, now).await;
                    return Err(error);
                }
            };
            let Some(request) = request else {
                // The queue has what was decided or cancelled.
                self.placement.release(lease.job, lease.epoch);
                self.parts.queue.forget(&[lease.job]).await?;
                continue;
            };
            self.live.forget(lease.job);
            self.tell(FarmEvent::Leased(lease.job, name.clone()));
            let lease_ms = u64::try_from(self.parts.settings.lease.as_millis()).unwrap_or(u64::MAX);
            return Ok(Some(Assignment { lease, request, lease_ms }));
        }
    }

    /// Whether a worker has fewer jobs than the most: one that only takes them would hold up all.
    async fn has_room(&self, name: &Name) -> Result<(), FarmError> {
        let (most, worker) = (self.parts.settings.most_leases, name.clone());
        self.parts.database.read(move |connection| room(connection, &worker, most)).await
    }

    /// Notes that a worker still works on a job, and what it says that it does.
    ///
    /// # Errors
    /// [`QueueError::Lost`](crate::QueueError::Lost) where the job is not its any more.
    pub async fn progress(&self, lease: &Lease, lines: Vec<String>) -> Result<Lease, FarmError> {
        self.is_not_banned(&*self.worker(&lease.holder)?)?;
        let (now, longer) = (self.parts.clock.now(), self.parts.settings.lease);
        let lease = self.parts.queue.extend(lease, longer, now).await?;
        if !lines.is_empty() {
            self.live.add(lease.job, lines);
            self.tell(FarmEvent::Said(lease.job));
        }
        Ok(lease)
    }

    /// Whether a worker may go on: neither it, nor any with its key or its token, is banned.
    ///
    /// # Errors
    /// [`FarmError::Banned`].
    pub(super) fn is_not_banned(&self, worker: &Worker) -> Result<(), FarmError> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            |other: &&Arc<Worker>| other.key.id() == worker.key.id() || other.admission.token == worker.admission.token;
        let why = workers.values().filter(same).find_map(|other| other.banned.clone());
        why.map_or(Ok(()), |why| Err(FarmError::Banned(worker.profile.name.clone(), why)))
    }

    /// Gives a worker, and all that have its key or its token, no jobs any more. What it is at is lost with its leases.
    ///
    /// # Errors
    /// [`FarmError::NoWorker`]; see [`FarmError`].
    pub async fn ban(&self, name: &Name, why: &str) -> Result<(), FarmError> {
        self.set_banned(name, Some(why.to_owned())).await
    }

    /// Lets a worker have jobs again.
    ///
    /// # Errors
    /// [`FarmError::NoWorker`]; see [`FarmError`].
    pub async fn admit_again(&self, name: &Name) -> Result<(), FarmError> {
        self.set_banned(name, None).await
    }

    async fn set_banned(&self, name: &Name, why: Option<String>) -> Result<(), FarmError> {
        tracing::warn!(event = if why.is_some() { "banned" } else { "admitted" }, worker = %name, why);
        let worker = self.worker(name)?;
        let (text, of) = (why.clone(), name.clone());
        let set = move |connection: &Connection| {
            let sql = "UPDATE worker SET banned = ?2, refused = iif(?2 IS NULL, 0, refused) WHERE name = ?1";
            connection.prepare_cached(sql)?.execute(params![of.as_str(), text])?;
            Ok::<_, FarmError>(())
        };
        self.parts.database.write(set).await?;
        let worker = Arc::new(Worker { banned: why, ..(*worker).clone() });
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), worker);
        Ok(())
    }

    pub(super) async fn load_workers(&self) -> Result<(), FarmError> {
        const SQL: &str =
            "SELECT name, public_key, platform, isolation, architecture, token, operator, domain, key, banned
            FROM worker";
        let read = |connection: &Connection| {
            let mut statement = connection.prepare(SQL)?;
            let mut rows = statement.query([])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(worker(row)?);
            }
            Ok::<_, FarmError>(all)
        };
        let all = self.parts.database.read(read).await?;
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.extend(all.into_iter().map(|worker| (worker.profile.name.clone(), Arc::new(worker))));
        Ok(())
    }
}

fn damaged(error: impl std::fmt::Display) -> FarmError {
    FarmError::Damaged(error.to_string())
}

fn worker(row: &Row<'_>) -> Result<Worker, FarmError> {
    let text = |column| row.get::<_, String>(column);
    let public_key = text(1)?;
    let key = PublicKey::from_spki_pem(&public_key).map_err(damaged)?;
    let word = |text: String| serde_json::Value::String(text);
    let profile = Profile {
        name: text(0)?.parse().map_err(damaged)?,
        public_key,
        platform: text(2)?,
        isolation: serde_json::from_value(word(text(3)?))?,
        architecture: serde_json::from_value(word(text(4)?))?,
    };
    let admission =
        Admission { token: text(5)?, operator: text(6)?, domain: text(7)?.parse().map_err(damaged)?, key: None };
    Ok(Worker { profile, key, admission, banned: row.get(9)? })
}

/// Writes a worker down; gives why it is banned, where it is.
fn register(connection: &Connection, worker: &Worker, now: Millis) -> Result<Option<String>, FarmError> {
    const SQL: &str = "INSERT INTO worker
        (name, key, public_key, operator, platform, isolation, architecture, domain, token, seen)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (name) DO UPDATE SET operator = ?4, platform = ?5, isolation = ?6, architecture = ?7, domain = ?8,
            seen = ?10";
    let Worker { profile, key, admission, .. } = worker;
    let there = connection
        .prepare_cached("SELECT key, token, banned FROM worker WHERE name = ?1")?
        .query_row([profile.name.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
        });
    let banned = match there.optional()? {
        None => None,
        Some((old, ..)) if old != key.id().to_string() => {
            return Err(FarmError::NameTaken(profile.name.clone(), "key"));
        }
        Some((_, old, _)) if old != admission.token => return Err(FarmError::NameTaken(profile.name.clone(), "token")),
        Some((_, _, banned)) => banned,
    };
    connection.prepare_cached(SQL)?.execute(params![
        profile.name.as_str(),
        key.id().to_string(),
        profile.public_key,
        admission.operator,
        profile.platform,
        profile.isolation.name(),
        profile.architecture.name(),
        admission.domain.as_str(),
        admission.token,
        now.0,
    ])?;
    Ok(banned)
}

/// Whether a worker has fewer jobs than the most.
fn room(connection: &Connection, worker: &Name, most: u32) -> Result<(), FarmError> {
    const SQL: &str = "SELECT count(*) FROM attempt JOIN job ON job.number = attempt.job AND job.epoch = attempt.epoch
        WHERE attempt.worker = ?1 AND attempt.ended IS NULL AND job.state = 'waiting'";
    let has = connection.prepare_cached(SQL)?.query_row([worker.as_str()], |row| row.get(0))?;
    if has < most { Ok(()) } else { Err(FarmError::TooManyJobs(worker.clone(), has)) }
}

/// Writes down that a job was handed out; gives what is to be done, where it is not finished.
fn begin(connection: &Connection, lease: &Lease, by: &Worker, now: Millis) -> Result<Option<Request>, FarmError> {
    const JOB: &str = "UPDATE job SET epoch = ?2, worker = ?3, operator = ?4, platform = ?5, isolation = ?6 WHERE id = ?1 AND state = 'waiting' AND epoch < ?2
        RETURNING number, build";
    const ATTEMPT: &str = "INSERT INTO attempt (job, epoch, worker, leased) VALUES (?1, ?2, ?3, ?4)";
    let row = params![
        lease.job.to_string(),
        lease.epoch.0,
        lease.holder.as_str(),
        by.admission.operator,
        by.profile.platform,
        by.profile.isolation.name(),
    ];
    let found =
        connection.prepare_cached(JOB)?.query_row(row, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let Some((job, build)) = found.optional()? else { return Ok(None) };
    connection.prepare_cached(ATTEMPT)?.execute(params![job, lease.epoch.0, lease.holder.as_str(), now.0])?;
    let sql = "UPDATE worker SET seen = ?2 WHERE name = ?1";
    connection.prepare_cached(sql)?.execute(params![lease.holder.as_str(), now.0])?;
    let request = "SELECT request FROM build WHERE number = ?1";
    let bytes: Vec<u8> = connection.prepare_cached(request)?.query_row([build], |row| row.get(0))?;
    Ok(Some(canonical::from_slice(&bytes)?))
}

/// The number of a job in the database, and its epoch.
pub(super) fn number_of(connection: &Connection, job: JobId) -> Result<(i64, u32), FarmError> {
    let mut sql = connection.prepare_cached("SELECT number, epoch FROM job WHERE id = ?1")?;
    let found = sql.query_row([job.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.ok_or(FarmError::NoJob(job))
}
