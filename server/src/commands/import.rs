//! `ephemeris import`: the samples of an OpenMetrics text, through the store's own way in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ephemeris_ingest::proto::encode_remote_write;
use ephemeris_model::{BodyKind, Labels, Sample};
use ephemeris_storage::Store;

use super::writer::Writer;
use super::{CommandError, Progress, note, openmetrics};

/// Samples stored at once.
const BATCH_SAMPLES: usize = 20_000;
/// Wrong lines told one by one.
const WRONG_LINES_MAX: u64 = 20;
/// Longest line.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Stores the samples of `file` and seals them.
pub(super) fn run(store: &Store, tenant: &str, file: &Path) -> Result<ExitCode, CommandError> {
    let failed = |error| CommandError::Invalid(format!("{}: {error}", file.display()));
    let (input, total): (Box<dyn Read>, Option<u64>) = if file == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(failed)?;
        let total = opened.metadata().map_err(failed)?.len();
        (Box::new(opened), Some(total))
    };
    let mut import = Import::new(store, tenant);
    let mut input = BufReader::with_capacity(1 << 20, input);
    let (mut line, mut number, mut bytes) = (String::new(), 0u64, 0u64);
    let mut progress = Progress::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_BYTES_MAX).read_line(&mut line)?;
        if read == 0 {
            break;
        }
        (number, bytes) = (number + 1, bytes + read as u64);
        import.line(number, &line)?;
        let stored = import.writer.stored();
        match total {
            Some(total) => progress.share(bytes, total, || format!("{stored} samples")),
            None => progress.tell(|| format!("{bytes} bytes, {stored} samples")),
        }
    }
    progress.clear();
    import.store_batch()?;
    store.close(Duration::MAX)?;
    let all_stored = import.writer.tell();
    if import.wrong > 0 {
        note(&format!("{} lines could not be read", import.wrong));
    }
    let all = all_stored && import.wrong == 0;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Import<'a> {
    writer: Writer<'a>,
    batch: BTreeMap<Labels, Vec<Sample>>,
    batch_samples: usize,
    wrong: u64,
}

impl<'a> Import<'a> {
    fn new(store: &'a Store, tenant: &'a str) -> Self {
        let writer = Writer::new(store, tenant);
        Self { writer, batch: BTreeMap::new(), batch_samples: 0, wrong: 0 }
    }

    fn line(&mut self, number: u64, text: &str) -> Result<(), CommandError> {
        match openmetrics::parse(text) {
            Ok(None) => {}
            Ok(Some(line)) => {
                let sample = Sample { timestamp_ms: line.timestamp_ms, value: line.value };
                self.batch.entry(line.labels).or_default().push(sample);
                self.batch_samples += 1;
            }
            Err(error) => {
                self.wrong += 1;
                if self.wrong <= WRONG_LINES_MAX {
                    note(&format!("line {number}: {error}"));
                }
            }
        }
        if self.batch_samples >= BATCH_SAMPLES { self.store_batch() } else { Ok(()) }
    }

    /// Stores what was read so far.
    fn store_batch(&mut self) -> Result<(), CommandError> {
        self.batch_samples = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let series: Vec<(&Labels, &[Sample])> =
            batch.iter().map(|(labels, samples)| (labels, samples.as_slice())).collect();
        self.writer.store(BodyKind::RemoteWrite1Plain, &encode_remote_write(&series, &[]))
    }
}
