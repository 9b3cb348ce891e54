// SPDX-License-Identifier: Apache-2.0
//! The key-value bucket: one record of each job, changed only by who knows what was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageErrorKind, PersistenceMode, Republish, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::{NatsError, NatsOptions, TRY, connect, fits};
use super::record::{Key, Record};
use crate::QueueError;

/// The most bytes of a record; one has some hundreds.
const MOST_BYTES: i32 = 16 * 1024;
/// How long is waited before something is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// After so long without an answer, another server is asked: this one may be cut off from the rest of its cluster, where it is
/// there, and can do nothing.
const ELSEWHERE: Duration = Duration::from_secs(2 * TRY.as_secs());

/// A bucket.
pub(super) struct Bucket {
    context: Context,
    stream: Stream,
    name: String,
    patience: Duration,
    /// What was asked for when the connection broke is not answered any more.
    broken: Arc<Notify>,
    /// Since when nothing was answered, where that is so.
    unanswered: Mutex<Option<Instant>>,
}

/// What came of a write.
#[derive(Debug)]
pub(super) enum Written {
    /// It is there, as this revision.
    At(u64),
    /// It is not: something else is there, or nothing.
    Not(Option<Found>),
}

/// What is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) revision: u64,
    /// None where it was removed.
    pub(super) record: Option<Record>,
}

/// All that is there.
pub(super) struct All {
    pub(super) records: BTreeMap<Key, (u64, Record)>,
    /// How many were removed, of which it is still said that they were.
    pub(super) removed: usize,
}

impl Bucket {
    /// The farm's bucket, which is made where there is none.
    pub(super) async fn open(options: &NatsOptions) -> Result<Self, NatsError> {
        let (context, broken) = connect(options).await?;
        let name = format!("reprove_{}", options.farm);
        let wanted = config(&name, options);
        let mut why = "no answer".to_owned();
        let opened = tokio::time::timeout(options.patience, async {
            loop {
                match context.get_stream(&wanted.name).await {
                    Ok(stream) => return stream,
                    Err(error) if is_none(&error) => {
                        if let Err(error) = context.create_stream(wanted.clone()).await {
                            why = error.to_string();
                        }
                    }
                    Err(error) => why = error.to_string(),
                }
                tokio::time::sleep(PAUSE / 10).await;
            }
        });
        let Ok(stream) = opened.await else { return Err(NatsError::Bucket { bucket: name, why }) };
        if let Some(what) = unfit(&stream.cached_info().config, &wanted) {
            return Err(NatsError::Unfit { bucket: name, what });
        }
        Ok(Self { context, stream, name, patience: options.patience, broken, unanswered: Mutex::default() })
    }

    /// A name that nothing else has.
    pub(super) fn unique_name(&self) -> String {
        self.context.client().new_inbox().trim_start_matches("_INBOX.").to_owned()
    }

    /// The name of the server that answers.
    pub(super) fn server(&self) -> String {
        self.context.client().server_info().server_name
    }

    fn subject(&self, key: &impl Display) -> String {
        format!("$KV.{}.{key}", self.name)
    }

    /// Writes a record where revision `expected` is, or where nothing is for 0. As long as it is not known whether that was
    /// done, it is done again: that can't do it twice, since the first time changes the revision.
    pub(super) async fn write(&self, key: &Key, record: &Record, expected: u64) -> Result<Written, QueueError> {
        let payload = serde_json::to_vec(record).map_err(|error| QueueError::Transport(error.to_string()))?;
        let payload = &payload;
        self.insist("writing", move || self.try_to_write(key, record, payload.clone(), expected)).await
    }

    async fn try_to_write(
        &self,
        key: &Key,
        record: &Record,
        payload: Vec<u8>,
        expected: u64,
    ) -> Result<Written, String> {
        let message = PublishMessage::build().payload(payload.into()).expected_last_subject_sequence(expected);
        let ack = match self.context.send_publish(self.subject(key), message).await {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        let error = match ack {
            Ok(ack) => return Ok(Written::At(ack.sequence)),
            Err(error) => error,
        };
        if error.kind() != PublishErrorKind::WrongLastSequence {
            return Err(error.to_string());
        }
        match self.read(key).await? {
            Some(Found { revision, record: Some(is) }) if is.by == record.by && is.write == record.write => {
                Ok(Written::At(revision))
            }
            Some(found) if found.revision > expected => Ok(Written::Not(Some(found))),
            None if expected > 0 => Ok(Written::Not(None)),
            // The server that answers has not yet what it was refused for.
            _ => Err(error.to_string()),
        }
    }

    /// What the stream's leader has under a key.
    async fn read(&self, key: &Key) -> Result<Option<Found>, String> {
        match self.stream.get_last_raw_message_by_subject(&self.subject(key)).await {
            Ok(message) => {
                let (revision, payload) = (message.sequence, &message.payload);
                let record = (!payload.is_empty()).then(|| self.parse(&key.to_string(), payload)).transpose()?;
                Ok(Some(Found { revision, record }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn parse(&self, key: &str, bytes: &[u8]) -> Result<Record, String> {
        serde_json::from_slice(bytes).map_err(|error| {
            let name = &self.name;
            format!(
                "{key} in the bucket {name} is no record of this program ({error}); delete it with `nats kv del {name} {key}`"
            )
        })
    }

    /// Removes the record of this revision, or a later one. That it was removed is written in its place, as any other change:
    /// were it only taken out, a server that is killed could come back with the record that was there before it.
    pub(super) async fn remove(&self, key: &Key, revision: u64) -> Result<(), QueueError> {
        self.insist("removing", move || self.try_to_remove(key, revision)).await
    }

    async fn try_to_remove(&self, key: &Key, mut revision: u64) -> Result<(), String> {
        loop {
            let message =
                PublishMessage::build().header("KV-Operation", "DEL").expected_last_subject_sequence(revision);
            let ack = match self.context.send_publish(self.subject(key), message).await {
                Ok(ack) => ack.await,
                Err(error) => Err(error),
            };
            let Err(error) = ack else { return Ok(()) };
            if error.kind() != PublishErrorKind::WrongLastSequence {
                return Err(error.to_string());
            }
            match self.read(key).await? {
                None | Some(Found { record: None, .. }) => return Ok(()),
                Some(found) if found.revision > revision => revision = found.revision,
                Some(_) => return Err(error.to_string()),
            }
        }
    }

    /// Takes everything out that is older than this revision.
    pub(super) async fn cut_off(&self, before: u64) -> Result<(), QueueError> {
        let cut_off = move || async move {
            let cut_off = self.stream.purge().sequence(before).await;
            cut_off.map(|_| ()).map_err(|error| error.to_string())
        };
        self.insist("taking out what is old", cut_off).await
    }

    /// The last sequence number that the stream has given.
    pub(super) async fn last_sequence(&self) -> Result<u64, QueueError> {
        let asked = move || async {
            let info = self.stream.get_info().await.map_err(|error| error.to_string())?;
            Ok(info.state.last_sequence)
        };
        self.insist("asking for the state", asked).await
    }

    /// All records. What was written before this was called is among them, whichever server answers: something is written
    /// first, and read until that comes.
    pub(super) async fn all(&self, by: &str) -> Result<All, QueueError> {
        let began = Instant::now();
        loop {
            let last = self.mark(by).await?;
            match self.until(last).await {
                Ok(Ok(all)) => return Ok(all),
                // Where reading breaks off, as while the servers agree on another leader, it is begun anew.
                Err(_) if began.elapsed() < self.patience => tokio::time::sleep(PAUSE).await,
                Ok(Err(error)) | Err(error) => return Err(QueueError::Transport(error)),
            }
        }
    }

    /// Writes who asks, and gives the revision: the newest that most of the servers have, while one that is cut off from them
    /// may still say that an older one is.
    pub(super) async fn mark(&self, by: &str) -> Result<u64, QueueError> {
        self.insist("writing", move || self.begin(by)).await
    }

    async fn begin(&self, by: &str) -> Result<u64, String> {
        let begun = serde_json::json!({ "by": by }).to_string();
        let ack = self.context.publish(self.subject(&"coordinator"), begun.into()).await;
        let ack = ack.map_err(|error| error.to_string())?.await;
        Ok(ack.map_err(|error| error.to_string())?.sequence)
    }

    /// Reads to a revision; the inner error is what no reading makes better.
    async fn until(&self, last: u64) -> Result<Result<All, String>, String> {
        let config = push::OrderedConfig {
            deliver_subject: self.context.client().new_inbox(),
            deliver_policy: DeliverPolicy::All,
            ..push::OrderedConfig::default()
        };
        let within = |error: &dyn Display| format!("reading everything: {error}");
        let consumer = self.stream.create_consumer(config).await.map_err(|error| within(&error))?;
        let mut messages = consumer.messages().await.map_err(|error| within(&error))?;
        let (prefix, mut records, mut removed) = (self.subject(&""), BTreeMap::new(), BTreeSet::new());
        loop {
            let next = tokio::time::timeout(self.patience, messages.next()).await;
            let message = match next {
                Ok(Some(message)) => message.map_err(|error| within(&error))?,
                Ok(None) => return Err(within(&"the servers broke off")),
                Err(_) => return Err(within(&format!("no answer within {:?}", self.patience))),
            };
            let revision = message.info().map_err(|error| within(&error))?.stream_sequence;
            let key = message.subject.strip_prefix(&prefix).unwrap_or_default();
            if key.starts_with("job.") {
                let parsed = match key.parse::<Key>() {
                    Ok(parsed) => parsed,
                    Err(error) => return Ok(Err(within(&format!("{key}: {error}")))),
                };
                if message.payload.is_empty() {
                    records.remove(&parsed);
                    removed.insert(parsed);
                } else {
                    removed.remove(&parsed);
                    match self.parse(key, &message.payload) {
                        Ok(record) => drop(records.insert(parsed, (revision, record))),
                        Err(error) => return Ok(Err(error)),
                    }
                }
            }
            if revision >= last {
                return Ok(Ok(All { records, removed: removed.len() }));
            }
        }
    }

    /// Connects again, to any of the servers, where it is time for that.
    async fn elsewhere(&self, is_unfit: bool) {
        let is_time = {
            let mut since = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
            let is_time = since.map_or(is_unfit, |since| since.elapsed() >= ELSEWHERE);
            if is_time || since.is_none() {
                *since = Some(Instant::now());
            }
            is_time
        };
        if is_time {
            // Where that can't be asked for, the client has ended, and so has all of this.
            let _ = self.context.client().force_reconnect().await;
        }
    }

    /// Tries until something comes of it, for as long as the patience is.
    async fn insist<T, F: Future<Output = Result<T, String>> + Send>(
        &self,
        what: &str,
        tried: impl Fn() -> F + Send,
    ) -> Result<T, QueueError> {
        let mut why = "no answer".to_owned();
        let done = tokio::time::timeout(self.patience, async {
            loop {
                let server = fits(self.context.client().server_info());
                let is_unfit = server.is_err();
                let tried = async {
                    server.map_err(|error| error.to_string())?;
                    tried().await
                };
                let tried = tokio::select! {
                    tried = tried => tried,
                    () = self.broken.notified() => Err("the connection broke".to_owned()),
                };
                match tried {
                    Ok(done) => return done,
                    Err(error) => why = error,
                }
                self.elsewhere(is_unfit).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        let Ok(done) = done.await else {
            let (name, patience) = (&self.name, self.patience);
            let text = format!("{what} in the bucket {name} came to nothing within {patience:?}: {why}");
            return Err(QueueError::Transport(text));
        };
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(done)
    }
}

fn is_none(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config(name: &str, options: &NatsOptions) -> Config {
    let farm = &options.farm;
    Config {
        name: format!("KV_{name}"),
        description: Some(format!("The jobs of reprove's farm {farm}: what is written here by hand is believed")),
        subjects: vec![format!("$KV.{name}.>")],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: options.replicas,
        max_messages_per_subject: 1,
        max_message_size: MOST_BYTES,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        republish: Some(Republish {
            source: format!("$KV.{name}.job.>"),
            destination: format!("reprove.{farm}.job.>"),
            headers_only: false,
        }),
        ..Config::default()
    }
}

/// Why a bucket that is there can't be used.
fn unfit(found: &Config, wanted: &Config) -> Option<String> {
    if found.num_replicas != wanted.num_replicas {
        return Some(format!("has {} replicas, not {}", found.num_replicas, wanted.num_replicas));
    }
    let checks = [
        (found.storage == StorageType::File, "is not kept in files"),
        (found.retention == RetentionPolicy::Limits, "does not keep what was read"),
        (found.subjects == wanted.subjects, "is of other subjects"),
        (found.max_messages_per_subject == 1, "keeps more than one value of each key"),
        (found.max_age == Duration::ZERO, "forgets what is old"),
        (found.max_messages <= 0 && found.max_bytes <= 0, "has a bound on how much it keeps"),
        (found.discard == DiscardPolicy::New, "drops what is old to make room"),
        (found.persist_mode != Some(PersistenceMode::Async), "says that it has what is not in its files yet"),
        (!found.no_ack && !found.sealed && !found.deny_purge, "can't be written to, or does not say that it was"),
        (found.mirror.is_none() && found.sources.is_none(), "is filled from another one"),
    ];
    checks.into_iter().find(|(fits, _)| !fits).map(|(_, what)| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_loses_things_is_not_used() {
        let options = NatsOptions::new(Vec::new(), "farm".parse().unwrap());
        let wanted = config("reprove_farm", &options);
        assert_eq!(unfit(&wanted, &wanted), None);
        let wrong = [
            Config { num_replicas: 3, ..wanted.clone() },
            Config { storage: StorageType::Memory, ..wanted.clone() },
            Config { retention: RetentionPolicy::WorkQueue, ..wanted.clone() },
            Config { subjects: vec![">".to_owned()], ..wanted.clone() },
            Config { max_messages_per_subject: 2, ..wanted.clone() },
            Config { max_age: Duration::from_secs(1), ..wanted.clone() },
            Config { max_bytes: 1, ..wanted.clone() },
            Config { discard: DiscardPolicy::Old, ..wanted.clone() },
            Config { persist_mode: Some(PersistenceMode::Async), ..wanted.clone() },
            Config { deny_purge: true, ..wanted.clone() },
        ];
        for config in wrong {
            assert!(unfit(&config, &wanted).is_some(), "{config:?}");
        }
    }
}
