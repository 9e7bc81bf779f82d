//! Reads a WAL file back, over torn ends and damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ephemeris_model::TimestampMs;

use super::io_error;
use super::record::{FRAME_BYTES, FrameHead, HEADER_BYTES, Header, PAYLOAD_BYTES_MAX, Record};
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
        // The first record has the marker too.
        Err(cause) if reader.finds_marker().map_err(failed)? => {
            tracing::error!(path = %path.display(), cause, "the header of a WAL file is damaged");
        }
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
            None => match reader.next_record(offset + 1).map_err(failed)? {
                end if end == length && reader.is_last_record(offset).map_err(failed)? => {
                    tracing::error!(path = %path.display(), offset, "a length was damaged");
                    (end, Record::decode(&reader.payload).map_err(|damage| damage.0))
                }
                end => (end, Err("no valid record")),
            },
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
            last.at_end = last.offset + last.bytes == length
                && last.cause == "no valid record"
                && reader.is_torn(last.offset).map_err(failed)?;
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

    /// Takes the marker from where the first record should be; answers whether there is one.
    fn finds_marker(&mut self) -> io::Result<bool> {
        let start = HEADER_BYTES as u64;
        if self.length < start + FRAME_BYTES as u64 {
            return Ok(false);
        }
        let mut marker = [0; 8];
        self.file.read_exact_at(&mut marker, start)?;
        self.marker = u64::from_le_bytes(marker);
        Ok(self.record(start)?.is_some())
    }

    /// Whether all from `offset` on is one record of which only the length is damaged; it is in
    /// `payload` then.
    fn is_last_record(&mut self, offset: u64) -> io::Result<bool> {
        let Some(left) = (self.length - offset).checked_sub(FRAME_BYTES as u64) else {
            return Ok(false);
        };
        let Some(length) = u32::try_from(left).ok().filter(|n| *n as usize <= PAYLOAD_BYTES_MAX)
        else {
            return Ok(false);
        };
        let mut head = [0; FRAME_BYTES];
        self.file.read_exact_at(&mut head, offset)?;
        let Some(head) = FrameHead::read(head, self.marker) else { return Ok(false) };
        self.payload.resize(length as usize, 0);
        self.file.read_exact_at(&mut self.payload, offset + FRAME_BYTES as u64)?;
        Ok(head.with_length(length).matches(&self.payload))
    }

    /// Whether the end of the file from `offset` on is what a crash leaves of a record: its first
    /// bytes, or none that were written. Bytes that are there and wrong are damage.
    fn is_torn(&self, offset: u64) -> io::Result<bool> {
        let left = self.length - offset;
        if left < FRAME_BYTES as u64 {
            return Ok(true);
        }
        let mut head = [0; FRAME_BYTES];
        self.file.read_exact_at(&mut head, offset)?;
        if let Some(head) = FrameHead::decode(head, self.marker) {
            return Ok(left - (FRAME_BYTES as u64) < head.length as u64);
        }
        self.is_zero(offset)
    }

    fn is_zero(&self, mut offset: u64) -> io::Result<bool> {
        let mut window = vec![0; SCAN_BYTES];
        while offset < self.length {
            let wanted = (self.length - offset).min(SCAN_BYTES as u64);
            let wanted = usize::try_from(wanted).unwrap_or(SCAN_BYTES);
            self.file.read_exact_at(&mut window[..wanted], offset)?;
            if window[..wanted].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += wanted as u64;
        }
        Ok(true)
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
