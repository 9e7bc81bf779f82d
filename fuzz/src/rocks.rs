//! In place of RocksDB: the values of blocks in memory.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::catalog::BlockId;
use crate::error::Result;
use crate::metrics::block::BlockCaches;

/// Values by section and number.
pub type Values = BTreeMap<(u8, u32), Arc<[u8]>>;

/// One block.
#[derive(Default)]
pub struct Rocks {
    pub values: Values,
    caches: BlockCaches,
}

/// A value of it.
pub struct Value<'a>(&'a [u8]);

impl Deref for Value<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl Rocks {
    pub fn new(values: Values) -> Self {
        Self { values, caches: BlockCaches::default() }
    }

    pub fn get(&self, _block: BlockId, section: u8, number: u32) -> Result<Option<Value<'_>>> {
        Ok(self.values.get(&(section, number)).map(|bytes| Value(bytes)))
    }

    pub const fn caches(&self) -> &BlockCaches {
        &self.caches
    }
}

/// Takes the values of a block that is written.
pub struct BlockSink {
    values: Arc<Mutex<Values>>,
    path: PathBuf,
}

impl BlockSink {
    pub fn new(values: &Arc<Mutex<Values>>) -> Self {
        // Only what does not fit into memory is written there.
        Self { values: Arc::clone(values), path: PathBuf::from("/dev/null") }
    }

    pub const fn block(&self) -> BlockId {
        BlockId(1)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn put(&mut self, section: u8, number: u32, bytes: &[u8]) -> Result<()> {
        self.values.lock().expect("one thread").insert((section, number), bytes.into());
        Ok(())
    }

    pub fn finish(self) -> Result<u64> {
        Ok(self.values.lock().expect("one thread").values().map(|v| v.len() as u64).sum())
    }
}
