// SPDX-License-Identifier: Apache-2.0
//! Who has which job of builds that several rebuilders are asked for. Only of those that are not finished: it is filled at the
//! start from the database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::{BuildId, Claim, Distinct, Epoch, JobId, may_run};

#[derive(Default)]
pub(super) struct Placement {
    builds: Mutex<BTreeMap<BuildId, Claims>>,
}

struct Claims {
    distinct: BTreeSet<Distinct>,
    /// By slot; under which epoch is known once the queue has said it.
    of: BTreeMap<u8, (Claim, Option<Epoch>)>,
}

impl Placement {
    /// Begins to look after a build. What is asked for once needs no looking after.
    pub(super) fn open(&self, build: BuildId, rebuilders: u8, distinct: &BTreeSet<Distinct>) {
        if rebuilders > 1 {
            let claims = Claims { distinct: distinct.clone(), of: BTreeMap::new() };
            self.lock().insert(build, claims);
        }
    }

    /// Gives `who` a job, where it may have it.
    pub(super) fn claim(&self, job: JobId, who: &Claim) -> bool {
        let mut builds = self.lock();
        let Some(claims) = builds.get_mut(&job.build) else { return true };
        let others = claims.of.iter().filter(|(slot, _)| **slot != job.slot).map(|(_, (claim, _))| claim);
        let may = may_run(who, others, &claims.distinct);
        if may {
            claims.of.insert(job.slot, (who.clone(), None));
        }
        may
    }

    /// The job was handed out under this epoch.
    pub(super) fn confirm(&self, job: JobId, epoch: Epoch) {
        if let Some((_, known)) = self.lock().get_mut(&job.build).and_then(|claims| claims.of.get_mut(&job.slot)) {
            *known = Some(epoch);
        }
    }

    /// Takes a job away from whoever had it under this epoch, which came to nothing. One that was handed out again since is left
    /// alone.
    pub(super) fn release(&self, job: JobId, epoch: Epoch) {
        if let Some(claims) = self.lock().get_mut(&job.build)
            && claims.of.get(&job.slot).is_some_and(|(_, of)| *of == Some(epoch))
        {
            claims.of.remove(&job.slot);
        }
    }

    /// Whether a build is looked after.
    pub(super) fn is_open(&self, build: BuildId) -> bool {
        self.lock().contains_key(&build)
    }

    /// No job of the build will be handed out any more.
    pub(super) fn close(&self, build: BuildId) {
        self.lock().remove(&build);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<BuildId, Claims>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use reprove_attest::SigningKey;
    use reprove_model::{Digest, Isolation};

    use super::*;

    fn claim(n: u8) -> Claim {
        Claim {
            worker: format!("w{n}").parse().unwrap(),
            key: SigningKey::ed25519([n; 32]).public_key().id(),
            operator: "o".to_owned(),
            isolation: Isolation::Namespaces,
        }
    }

    #[test]
    fn a_worker_has_one_job_of_a_build_and_another_gets_what_it_lost() {
        let placement = Placement::default();
        let build = BuildId::new(&Digest::of(b"b"), 0);
        placement.open(build, 2, &Distinct::usual());
        assert!(placement.claim(build.job(1), &claim(1)));
        assert!(!placement.claim(build.job(2), &claim(1)));
        assert!(placement.claim(build.job(2), &claim(2)));
        // The same job again, as after a lease that was lost.
        placement.confirm(build.job(1), Epoch(1));
        placement.release(build.job(1), Epoch(1));
        assert!(!placement.claim(build.job(1), &claim(2)));
        assert!(placement.claim(build.job(1), &claim(3)));
        // What is said late of the lease before takes nothing from whoever has it now.
        placement.release(build.job(1), Epoch(1));
        placement.confirm(build.job(1), Epoch(2));
        placement.release(build.job(1), Epoch(1));
        assert!(!placement.claim(build.job(2), &claim(3)));
        placement.close(build);
        assert!(placement.claim(build.job(1), &claim(2)));
    }
}
