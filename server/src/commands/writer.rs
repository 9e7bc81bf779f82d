//! The way of imports into the store: a message at a time, as if it had been received.

use ephemeris_ingest::{Buffers, Limits, remote_write};
use ephemeris_model::{BodyKind, Rejects};
use ephemeris_storage::{ErrorKind, Store};

use super::{CommandError, note};

/// Stores messages of one tenant and counts.
pub(super) struct Writer<'a> {
    store: &'a Store,
    tenant: &'a str,
    buffers: Buffers,
    stored: u64,
    rejects: Rejects,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a Store, tenant: &'a str) -> Self {
        let (buffers, rejects) = (Buffers::default(), Rejects::default());
        Self { store, tenant, buffers, stored: 0, rejects }
    }

    /// Samples stored so far, histograms included.
    pub(super) const fn stored(&self) -> u64 {
        self.stored
    }

    /// Stores a message; makes room for it if there is none.
    pub(super) fn store(&mut self, kind: BodyKind, body: &[u8]) -> Result<(), CommandError> {
        let decoded = remote_write::decode(kind, body, &Limits::default(), &mut self.buffers)
            .map_err(|error| CommandError::Invalid(error.to_string()))?;
        let outcome = match self.store.write(self.tenant, &decoded) {
            Err(error) if error.kind() == ErrorKind::Busy => {
                self.store.seal()?;
                self.store.maintain()?;
                self.store.write(self.tenant, &decoded)?
            }
            done => done?,
        };
        self.stored += outcome.samples_written + outcome.histograms_written;
        self.rejects.merge(outcome.rejects);
        Ok(self.store.maintain()?)
    }

    /// Tells what was stored and what was rejected; whether nothing was rejected.
    pub(super) fn tell(&self) -> bool {
        note(&format!("{} samples stored", self.stored));
        if !self.rejects.is_empty() {
            note(&self.rejects.summary());
        }
        self.rejects.is_empty()
    }
}
