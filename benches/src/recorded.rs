//! Request bodies written to files first, one file per connection, and read back one by one while
//! they are sent: replaying costs the client almost nothing, and every server gets the same bytes.
//!
//! A file is a run of `u32 body bytes, u32 samples, body`, little-endian. It lives as long as one
//! measurement and is read by the program that wrote it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::workload::Body;
use crate::{BenchError, Result, fail};

/// A body larger than this is a damaged file.
const BODY_BYTES_MAX: u32 = 64 << 20;
/// Bytes of the two lengths before a body.
const HEAD_BYTES: usize = 8;

/// Writes the bodies of one connection.
#[derive(Debug)]
pub struct LaneWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

/// Reads them back in order.
#[derive(Debug)]
pub struct LaneReader {
    file: BufReader<File>,
}

impl LaneWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).map_err(|e| BenchError(format!("{}: {e}", path.display())))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Appends a body.
    ///
    /// # Errors
    /// If it is too large or cannot be written.
    pub fn push(&mut self, body: &Body) -> Result<()> {
        let length = u32::try_from(body.bytes.len()).ok().filter(|n| *n <= BODY_BYTES_MAX);
        let (Some(length), Ok(samples)) = (length, u32::try_from(body.sample_count)) else {
            return fail(format!("a body of {} bytes; at most {BODY_BYTES_MAX}", body.bytes.len()));
        };
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&samples.to_le_bytes())?;
        Ok(self.file.write_all(&body.bytes)?)
    }

    /// Completes the file and gives its path.
    ///
    /// # Errors
    /// If the rest cannot be written.
    pub fn finish(mut self) -> Result<PathBuf> {
        self.file.flush()?;
        Ok(self.path)
    }
}

impl LaneReader {
    /// Opens a file written by [`LaneWriter`].
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| BenchError(format!("{}: {e}", path.display())))?;
        Ok(Self { file: BufReader::with_capacity(1 << 20, file) })
    }

    /// Reads the next body into `bytes`; gives its samples, or none at the end.
    ///
    /// # Errors
    /// If the file ends within a body or a length cannot be.
    pub fn next(&mut self, bytes: &mut Vec<u8>) -> Result<Option<usize>> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        self.file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if head.is_empty() {
            return Ok(None);
        }
        let (Some(length), Some(samples)) = (head.first_chunk(), head.last_chunk()) else {
            return fail("a file of bodies ends within a length");
        };
        let (length, samples) = (u32::from_le_bytes(*length), u32::from_le_bytes(*samples));
        if head.len() < HEAD_BYTES || length > BODY_BYTES_MAX {
            return fail(format!("a file of bodies has a body of {length} bytes"));
        }
        bytes.resize(length as usize, 0);
        self.file.read_exact(bytes)?;
        Ok(Some(samples as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_in_order_and_a_cut_file_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lane");
        let bodies: Vec<Body> =
            (0..5_u8).map(|n| Body { bytes: vec![n; n.into()], sample_count: n.into() }).collect();
        let mut writer = LaneWriter::create(&path).expect("a file");
        for body in &bodies {
            writer.push(body).expect("written");
        }
        writer.finish().expect("written");
        let read_all = || -> Result<Vec<(usize, Vec<u8>)>> {
            let (mut reader, mut bytes) = (LaneReader::open(&path)?, Vec::new());
            let mut all = Vec::new();
            while let Some(samples) = reader.next(&mut bytes)? {
                all.push((samples, bytes.clone()));
            }
            Ok(all)
        };
        let expected: Vec<_> = bodies.iter().map(|b| (b.sample_count, b.bytes.clone())).collect();
        assert_eq!(read_all().expect("whole"), expected);

        let whole = std::fs::read(&path).expect("readable");
        let mut ends = 0;
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).expect("writable");
            ends += usize::from(read_all().is_ok());
        }
        // Only cuts between bodies are whole files; the last is the full length itself.
        assert_eq!(ends, bodies.len());
    }
}
