// SPDX-License-Identifier: Apache-2.0
//! How much a store holds, and what happens before it would hold too much.

use std::sync::Mutex;

use crate::collect::Collection;
use crate::lock::lock;
use crate::options::ByteSize;
use crate::{Store, StoreError};

/// What the store held when it was last measured, and what this process has added since.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<Option<Measured>>);

#[derive(Clone, Copy, Debug)]
struct Measured {
    used: u64,
    /// How many more bytes this process adds before it measures again, since others add as well.
    good_for: u64,
}

impl Measured {
    fn now(store: &Store, quota: u64) -> Result<Self, StoreError> {
        let used = store.size()?;
        Ok(Self { used, good_for: (quota.saturating_sub(used) / 2).max(quota / 64) })
    }

    /// Counts `size` more bytes, where they fit.
    fn add(&mut self, size: u64, quota: u64) -> bool {
        let fits = self.used.checked_add(size).is_some_and(|sum| sum <= quota);
        if fits {
            self.used += size;
            self.good_for = self.good_for.saturating_sub(size);
        }
        fits
    }
}

impl Store {
    /// Makes sure that `size` more bytes may be named: where they would be too many, first removes what nothing needs, and
    /// then what the oldest roots alone keep.
    pub(crate) fn make_room(&self, size: u64) -> Result<(), StoreError> {
        let Some(ByteSize(quota)) = self.options().quota else { return Ok(()) };
        self.must_fit(size)?;
        let mut measured = lock(&self.usage().0);
        let mut now = match *measured {
            Some(before) if before.good_for >= size => before,
            _ => Measured::now(self, quota)?,
        };
        if !now.add(size, quota) {
            let at_most = Some(ByteSize(quota - size));
            let collected = self.collect(&Collection { at_most, ..Collection::default() })?;
            self.options().tell.say(&format!(
                "the store was full: removed {} and {} of its roots",
                ByteSize(collected.freed),
                collected.roots.len()
            ));
            now = Measured::now(self, quota)?;
            if !now.add(size, quota) {
                *measured = None;
                let (quota, used, needed) = (ByteSize(quota), ByteSize(now.used), ByteSize(size));
                return Err(StoreError::Quota { quota, used, needed });
            }
        }
        *measured = Some(now);
        Ok(())
    }

    /// Whether one file of `size` bytes could ever fit.
    pub(crate) fn must_fit(&self, size: u64) -> Result<(), StoreError> {
        match self.options().quota {
            Some(quota) if size > quota.0 => {
                Err(StoreError::Quota { quota, used: ByteSize(0), needed: ByteSize(size) })
            }
            _ => Ok(()),
        }
    }
}
