//! Holds the values of later sections while pages are written, since a block's file is written in
//! order of keys. Beyond a few megabytes they go to a scratch file.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::rocks::BlockSink;

/// Bytes kept in memory.
const MEMORY_BYTES_MAX: usize = 16 << 20;

/// Values on hold.
pub(crate) struct Spool {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    file_bytes: u64,
    memory_bytes: usize,
    values: Vec<Held>,
}

struct Held {
    section: u8,
    number: u32,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    File { offset: u64, length: usize },
}

impl Spool {
    /// An empty spool with its scratch file at `path`, created when it is needed.
    #[must_use]
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, file: None, file_bytes: 0, memory_bytes: 0, values: Vec::new() }
    }

    /// Holds a value.
    ///
    /// # Errors
    /// If the scratch file cannot be written.
    pub(crate) fn put(&mut self, section: u8, number: u32, bytes: Vec<u8>) -> Result<()> {
        let place = if self.memory_bytes + bytes.len() <= MEMORY_BYTES_MAX {
            self.memory_bytes += bytes.len();
            Place::Memory(bytes)
        } else {
            self.put_in_file(&bytes).map_err(|error| self.error(error))?
        };
        self.values.push(Held { section, number, place });
        Ok(())
    }

    fn put_in_file(&mut self, bytes: &[u8]) -> std::io::Result<Place> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut options = File::options();
                let file = options.read(true).write(true).create(true).truncate(true);
                self.file.insert(BufWriter::new(file.open(&self.path)?))
            }
        };
        file.write_all(bytes)?;
        let offset = self.file_bytes;
        self.file_bytes += bytes.len() as u64;
        Ok(Place::File { offset, length: bytes.len() })
    }

    fn error(&self, error: std::io::Error) -> Error {
        Error::io(format!("scratch file {}", self.path.display()), error)
    }

    /// Writes all values to the block, in order of their keys.
    ///
    /// # Errors
    /// If the scratch file cannot be read, or the block cannot be written.
    pub(crate) fn drain(&mut self, sink: &mut BlockSink) -> Result<()> {
        let mut values = std::mem::take(&mut self.values);
        values.sort_by_key(|held| (held.section, held.number));
        if let Some(file) = &mut self.file {
            let flushed = file.flush();
            flushed.map_err(|error| self.error(error))?;
        }
        for held in values {
            let bytes = match held.place {
                Place::Memory(bytes) => bytes,
                Place::File { offset, length } => {
                    self.read(offset, length).map_err(|error| self.error(error))?
                }
            };
            sink.put(held.section, held.number, &bytes)?;
        }
        Ok(())
    }

    /// All values that are in memory, in order of their keys.
    #[cfg(test)]
    pub(crate) fn take_all(&mut self) -> Vec<(u8, u32, Vec<u8>)> {
        let mut values = std::mem::take(&mut self.values);
        values.sort_by_key(|held| (held.section, held.number));
        let value = |held: Held| match held.place {
            Place::Memory(bytes) => Some((held.section, held.number, bytes)),
            Place::File { .. } => None,
        };
        values.into_iter().filter_map(value).collect()
    }

    fn read(&mut self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        if let Some(file) = &mut self.file {
            let file = file.get_mut();
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut bytes)?;
        }
        Ok(bytes)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // A file left behind is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}
