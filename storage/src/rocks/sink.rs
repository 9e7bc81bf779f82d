//! Writes the values of one block into a sorted file.

use std::path::PathBuf;

use rocksdb::{Options, SstFileWriter};

use super::{keys, rocks_error};
use crate::catalog::BlockId;
use crate::error::{Error, Result};

/// The file of a new block. Dropped before [`BlockSink::finish`], the file is removed.
pub struct BlockSink {
    block: BlockId,
    path: PathBuf,
    writer: SstFileWriter<'static>,
    last: Option<(u8, u32)>,
    finished: bool,
}

impl BlockSink {
    pub(super) fn create(block: BlockId, path: PathBuf, options: &'static Options) -> Result<Self> {
        let writer = SstFileWriter::create(options);
        open_file(&writer, &path)?;
        Ok(Self { block, path, writer, last: None, finished: false })
    }

    /// Number of the block.
    #[must_use]
    pub const fn block(&self) -> BlockId {
        self.block
    }

    /// Directory the file lies in, for scratch files that live no longer than it.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Appends a value. Sections and numbers ascend.
    ///
    /// # Errors
    /// If they do not, or the file cannot be written.
    pub fn put(&mut self, section: u8, number: u32, bytes: &[u8]) -> Result<()> {
        if self.last.replace((section, number)).is_some_and(|last| last >= (section, number)) {
            return Err(Error::Internal(format!(
                "value {section}/{number} of block {} is out of order",
                self.block.0
            )));
        }
        self.writer
            .put(keys::block_key(self.block, section, number), bytes)
            .map_err(|error| rocks_error("writing a block", &error))
    }

    /// Completes and syncs the file; answers its size in bytes.
    ///
    /// # Errors
    /// If it cannot be written or synced.
    pub fn finish(mut self) -> Result<u64> {
        self.writer.finish().map_err(|error| rocks_error("finishing a block", &error))?;
        self.finished = true;
        Ok(self.writer.file_size())
    }
}

/// The binding asks for a writer borrowed as long as its options; only the call itself needs it.
fn open_file(writer: &SstFileWriter<'static>, path: &std::path::Path) -> Result<()> {
    fn shorten<'a>(writer: &'a SstFileWriter<'static>) -> &'a SstFileWriter<'a> {
        writer
    }
    shorten(writer).open(path).map_err(|error| rocks_error("creating a block", &error))
}

impl Drop for BlockSink {
    fn drop(&mut self) {
        if !self.finished {
            // A file left behind is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
