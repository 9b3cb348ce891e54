// SPDX-License-Identifier: Apache-2.0
//! What others say of a statement that somebody has signed: that a log has it, and when it was there.

use std::cmp::Reverse;

use jiff::Timestamp;
use reprove_model::{DigestSet, Sha256, canonical};

use super::Seen;
use crate::evidence::{Attested, BuiltIn, judge, judge_foreign};
use crate::log::{Checkpoint, LogPolicy, Logged};
use crate::roots::CLOCKS_DIFFER;
use crate::{Envelope, Proof, Provenance, TrustRoots, TrustedKey};

/// What a proof says of logs and of authorities, and which of them are believed.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) proof: &'a Proof,
    pub(super) trust: &'a TrustRoots,
}

impl<'a> Evidence<'a> {
    /// The word of a trusted log that it has the statement that `key` has signed: of several, one that the most trusted
    /// witnesses saw, and always the same one.
    pub(super) fn logged(&self, key: &TrustedKey, payload: Sha256) -> Result<Logged, String> {
        if self.trust.logs().is_empty() {
            return Err("the trust file names no log".into());
        }
        let mut why = "the proof has no log's word for it".to_owned();
        let mut best: Option<Logged> = None;
        for envelope in self.signed(key, payload) {
            for logged in self.proof.logged.iter().filter(|logged| logged.is_of(envelope)) {
                for log in self.trust.logs() {
                    let (log, witnesses) = (log.clone(), self.trust.witnesses().to_vec());
                    match logged.verify(envelope, &key.key, &LogPolicy { log, witnesses, quorum: 0 }) {
                        Ok(word) => best = Some(best.map_or(word.clone(), |best| better(best, word))),
                        Err(error) => why = error.to_string(),
                    }
                }
            }
        }
        best.ok_or(why)
    }

    /// When a trusted authority first saw the signature of the statement that `key` has signed.
    pub(super) fn seen(&self, key: &TrustedKey, payload: Sha256, now: Timestamp) -> Result<Seen, String> {
        if self.trust.timestamp_authorities().is_empty() {
            return Err("the trust file names no timestamp authority".into());
        }
        let mut why = "the proof has no timestamp of it".to_owned();
        let mut first: Option<Seen> = None;
        for envelope in self.signed(key, payload) {
            for timestamped in self.proof.timestamped.iter().filter(|each| each.is_of(envelope)) {
                for authority in self.trust.timestamp_authorities() {
                    match timestamped.verify(envelope, authority) {
                        Ok(at) if at.duration_since(now) > CLOCKS_DIFFER => {
                            why = format!("it is of {at}, which has not come yet")
                        }
                        Ok(at) => {
                            let seen = Seen { at, by: authority.name().to_owned() };
                            first = Some(first.map_or(seen.clone(), |first| earlier(first, seen)));
                        }
                        Err(error) => why = error.to_string(),
                    }
                }
            }
        }
        first.ok_or(why)
    }

    /// What a processor, or who else is trusted for that, says of the build that a provenance is of, by the evidence that the comparison names.
    pub(super) fn attested(
        &self,
        payload: DigestSet,
        provenance: &Provenance,
        named: Option<DigestSet>,
        at: Timestamp,
    ) -> Result<Attested, String> {
        let mut of_it = self.proof.evidence.iter().filter(|evidence| evidence.payload == payload.sha256);
        let evidence = of_it.find(|evidence| evidence.digest().ok() == named && named.is_some());
        let evidence = evidence.ok_or("the proof does not have the evidence that the comparison names")?;
        let mut envelopes = self.proof.envelopes.iter();
        let envelope = envelopes.find(|envelope| envelope.payload_digest() == payload.sha256);
        let bytes = envelope.ok_or("the provenance is not there")?.payload();
        let parameters = &provenance.build_definition.internal_parameters;
        if !parameters.isolation.has_evidence() {
            let judged = judge_foreign(evidence, bytes, parameters.isolation, self.trust.tee(), at);
            return judged.map_err(|e| e.to_string());
        }
        let machine = parameters.machine.as_ref().ok_or("the provenance does not say which machine it was")?;
        let recipe = canonical::to_vec(&provenance.build_definition.external_parameters.recipe);
        let command_line = machine.command_line();
        let built = BuiltIn {
            provenance: bytes,
            lock: parameters.lock,
            recipe: recipe.map(|recipe| DigestSet::of(&recipe)).map_err(|e| e.to_string())?,
            build: machine.job,
            kernel: machine.kernel.sha256,
            initrd: machine.initrd.sha256,
            command_line: &command_line,
            isolation: parameters.isolation,
            processors: parameters.conditions.processors,
        };
        judge(evidence, &built, self.trust.tee(), at).map_err(|e| e.to_string())
    }

    /// The envelopes of a payload that `key` has signed: it may be there twice, with two signatures that are both good, and
    /// either may be the one that others saw.
    fn signed(&self, key: &TrustedKey, payload: Sha256) -> impl Iterator<Item = &'a Envelope> {
        let key = key.key;
        let is_same = move |each: &&Envelope| each.keyid() == key.id() && each.payload_digest() == payload;
        self.proof.envelopes.iter().filter(is_same).filter(move |each| each.verify(&[key]).is_ok())
    }
}

fn better(a: Logged, b: Logged) -> Logged {
    let order = |word: &Logged| {
        let Checkpoint { origin, size, root } = word.checkpoint.clone();
        (Reverse(word.witnessed.len()), origin, size, root, word.index, word.witnessed.clone())
    };
    if order(&b) < order(&a) { b } else { a }
}

fn earlier(a: Seen, b: Seen) -> Seen {
    let order = |seen: &Seen| (seen.at, seen.by.clone());
    if order(&b) < order(&a) { b } else { a }
}

impl Seen {
    pub(super) fn time(seen: Option<&Self>) -> Option<Timestamp> {
        seen.map(|seen| seen.at)
    }
}
