//! Reads a WAL file back, over torn ends and damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ephemeris_model::TimestampMs;

use super::io_error;
use super::record::{FRAME_BYTES, FrameHead, HEADER_BYTES, Header, Record};
use crate::error::Result;

/// Bytes looked through at once for the next record behind damage.
const SCAN_BYTES: usize = 1 << 20;

/// A part of a WAL file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WalDamage {
    pub(crate) path: PathBuf,
    /// First byte of it.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) cause: &'static str,
    /// When the last record before and the first record behind it came, where there is one.
    pub(crate) received: (Option<TimestampMs>, Option<TimestampMs>),
    /// Whether it is the end of the file, which a crash leaves behind without any loss of what was
    /// acknowledged.
    pub(crate) at_end: bool,
}

/// Hands all records of a file to `visit`, in order; answers what could not be read.
///
/// A record that `visit` refuses counts as damaged.
pub(crate) fn replay(
    path: &Path,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<(), &'static str>,
) -> Result<Vec<WalDamage>> {
    let failed = |e| io_error("reading", path, e);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut reader = Reader { file, length, marker: 0, payload: Vec::new() };
    let mut damage: Vec<WalDamage> = Vec::new();
    let lost = |offset, bytes, cause, before| WalDamage {
        path: path.to_owned(),
        offset,
        bytes,
        cause,
        received: (before, None),
        at_end: false,
    };
    match reader.header().map_err(failed)? {
        Ok(header) => reader.marker = header.marker,
        Err(cause) => {
            // Without the marker no record can be told from what a sender wrote.
            let at_end = length <= HEADER_BYTES as u64;
            return Ok(vec![WalDamage { at_end, ..lost(0, length, cause, None) }]);
        }
    }
    let (mut offset, mut before) = (HEADER_BYTES as u64, None);
    while offset < length {
        let (end, read) = match reader.record(offset).map_err(failed)? {
            Some(end) => (end, Record::decode(&reader.payload).map_err(|damage| damage.0)),
            None => (reader.next_record(offset + 1).map_err(failed)?, Err("no valid record")),
        };
        match read.and_then(|record| visit(&record).map(|()| record.received_at)) {
            Ok(received_at) => {
                before = Some(received_at);
                for place in damage.iter_mut().rev().take_while(|d| d.received.1.is_none()) {
                    place.received.1 = before;
                }
            }
            Err(cause) => damage.push(lost(offset, end - offset, cause, before)),
        }
        if let (Some(last), true) = (damage.last_mut(), end == length) {
            last.at_end = last.offset + last.bytes == length && last.cause == "no valid record";
        }
        offset = end;
    }
    Ok(damage)
}

struct Reader {
    file: File,
    length: u64,
    marker: u64,
    /// Payload of the record read last.
    payload: Vec<u8>,
}

impl Reader {
    fn header(&self) -> io::Result<Result<Header, &'static str>> {
        let mut bytes = [0; HEADER_BYTES];
        if self.length < HEADER_BYTES as u64 {
            return Ok(Err("the file ends within its header"));
        }
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(Header::decode(&bytes).map_err(|damage| damage.0))
    }

    /// Reads the record at `offset`; answers where it ends, or `None` if there is no valid one.
    fn record(&mut self, offset: u64) -> io::Result<Option<u64>> {
        let left = self.length - offset;
        if left < FRAME_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; FRAME_BYTES];
        self.file.read_exact_at(&mut head, offset)?;
        let Some(head) = FrameHead::decode(head, self.marker) else { return Ok(None) };
        if left - (FRAME_BYTES as u64) < head.length as u64 {
            return Ok(None);
        }
        let start = offset + FRAME_BYTES as u64;
        self.payload.resize(head.length, 0);
        self.file.read_exact_at(&mut self.payload, start)?;
        Ok(head.matches(&self.payload).then_some(start + head.length as u64))
    }

    /// Where the next valid record starts, at or after `offset`; the end of the file if none does.
    fn next_record(&mut self, mut offset: u64) -> io::Result<u64> {
        let marker = self.marker.to_le_bytes();
        let mut window = vec![0; SCAN_BYTES];
        while offset < self.length {
            let wanted = (self.length - offset).min(SCAN_BYTES as u64);
            let wanted = usize::try_from(wanted).unwrap_or(SCAN_BYTES);
            self.file.read_exact_at(&mut window[..wanted], offset)?;
            let mut from = 0;
            while let Some(at) = find(&window[from..wanted], &marker) {
                let start = offset + (from + at) as u64;
                if self.record(start)?.is_some() {
                    return Ok(start);
                }
                from += at + 1;
            }
            // A marker may lie across the border of two windows.
            let step = if wanted < SCAN_BYTES { wanted } else { wanted - marker.len() + 1 };
            offset += step as u64;
        }
        Ok(self.length)
    }
}

fn find(bytes: &[u8], wanted: &[u8; 8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
