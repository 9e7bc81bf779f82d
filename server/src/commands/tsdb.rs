//! `ephemeris import` of Prometheus TSDB blocks: series by series, chunk by chunk, so that memory
//! does not grow with the blocks. What is damaged is named and passed over.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ephemeris_ingest::IngestError;
use ephemeris_ingest::tsdb::TsdbError;
use ephemeris_ingest::tsdb::chunks::Segment;
use ephemeris_ingest::tsdb::index::{ChunkPlace, Index, Series};
use ephemeris_ingest::tsdb::message::Message;
use ephemeris_ingest::tsdb::meta::Meta;
use ephemeris_ingest::tsdb::tombstones::Tombstones;
use ephemeris_model::BodyKind;
use ephemeris_storage::Store;

use super::writer::Writer;
use super::{CommandError, Progress, note};

/// Samples stored at once.
const BATCH_SAMPLES: usize = 20_000;
/// Bytes stored at once; histograms are large.
const BATCH_BYTES: usize = 4 << 20;
/// Damages told one by one.
const DAMAGES_MAX: u64 = 20;
/// Bytes of a file that is read as a whole: `meta.json` and `tombstones`.
const WHOLE_FILE_BYTES_MAX: u64 = 256 << 20;

/// Stores the samples of a block, or of all blocks in a directory, and seals them.
pub(super) fn run(store: &Store, tenant: &str, path: &Path) -> Result<ExitCode, CommandError> {
    let mut import = Import::new(store, tenant);
    let blocks = import.find(path)?;
    if path.join("wal").is_dir() {
        let what = "its samples, those of the last hours, are in no block yet";
        note(&format!("{} is not read: {what}", path.join("wal").display()));
    }
    import.series_all = blocks.iter().map(|block| block.meta.stats.series).sum();
    for block in &blocks {
        import.block(block)?;
    }
    import.store_message()?;
    import.progress.clear();
    store.close(Duration::MAX)?;
    note(&format!("{} blocks, {} series read", blocks.len(), import.series_done));
    if import.deleted > 0 {
        note(&format!("{} samples are deleted there and were left out", import.deleted));
    }
    let all_stored = import.writer.tell();
    if import.damages > 0 {
        note(&format!("{} damages; what they hold is not stored", import.damages));
    }
    let all = all_stored && import.damages == 0;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A block and what it says of itself.
struct Block {
    dir: PathBuf,
    meta: Meta,
}

struct Import<'a> {
    writer: Writer<'a>,
    message: Message,
    progress: Progress,
    series_done: u64,
    series_all: u64,
    deleted: u64,
    damages: u64,
}

impl<'a> Import<'a> {
    fn new(store: &'a Store, tenant: &'a str) -> Self {
        Self {
            writer: Writer::new(store, tenant),
            message: Message::default(),
            progress: Progress::new(),
            series_done: 0,
            series_all: 0,
            deleted: 0,
            damages: 0,
        }
    }

    /// The block at `path`, or those in it, the oldest first. Unfinished ones have a dot in their
    /// name and are not taken.
    fn find(&mut self, path: &Path) -> Result<Vec<Block>, CommandError> {
        let failed = |error| CommandError::Invalid(format!("{}: {error}", path.display()));
        let is_block = |dir: &Path| dir.join("meta.json").is_file();
        let mut dirs = vec![path.to_owned()];
        if !is_block(path) {
            let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            dirs = entries.map_err(failed)?.iter().map(fs::DirEntry::path).collect();
            dirs.retain(|dir| dir.extension().is_none() && is_block(dir));
        }
        if dirs.is_empty() {
            let what = "is neither a block of Prometheus (meta.json, index, chunks) nor has it any";
            return Err(CommandError::Invalid(format!("{} {what}", path.display())));
        }
        let mut blocks = Vec::new();
        for dir in dirs {
            let file = dir.join("meta.json");
            match read_whole(&file).and_then(|bytes| Meta::read(&bytes)) {
                Ok(meta) => blocks.push(Block { dir, meta }),
                Err(error) => self.damage(&file, &error),
            }
        }
        blocks.sort_by(|a, b| (a.meta.start_ms, &a.dir).cmp(&(b.meta.start_ms, &b.dir)));
        Ok(blocks)
    }

    /// Tells of something that cannot be read.
    fn damage(&mut self, what: &Path, error: &dyn std::fmt::Display) {
        self.damages += 1;
        if self.damages <= DAMAGES_MAX {
            self.progress.clear();
            note(&format!("{}: {error}", what.display()));
        }
    }

    fn block(&mut self, block: &Block) -> Result<(), CommandError> {
        let (file, tombstones) = (block.dir.join("index"), block.dir.join("tombstones"));
        let deleted = match read_tombstones(&tombstones) {
            Ok(deleted) => deleted,
            // Without them what was deleted would come back.
            Err(error) => {
                self.damage(&tombstones, &error);
                return Ok(());
            }
        };
        let opened = File::open(&file).map_err(TsdbError::from).and_then(Index::open);
        let mut index = match opened {
            Ok(index) => index,
            Err(error) => {
                self.damage(&file, &error);
                return Ok(());
            }
        };
        let mut segments = Segments { dir: block.dir.join("chunks"), open: None };
        let mut found = 0;
        while let Some(series) = index.next() {
            match series {
                Ok(series) => {
                    found += 1;
                    self.series(&mut segments, &series, deleted.of(series.id))?;
                    self.series_done += 1;
                }
                Err(error) => self.damage(&file, &error),
            }
            let (done, all, stored) = (self.series_done, self.series_all, self.writer.stored());
            let text = || format!("{done} of {all} series, {stored} samples");
            self.progress.share(done, all, text);
        }
        let told = block.meta.stats.series;
        if found < told {
            self.damage(&file, &format!("{found} series were read, meta.json tells of {told}"));
        }
        Ok(())
    }

    fn series(
        &mut self,
        segments: &mut Segments,
        series: &Series,
        deleted: &[(i64, i64)],
    ) -> Result<(), CommandError> {
        self.message.open(&series.labels).map_err(|error| refused(&error))?;
        for place in &series.chunks {
            if let Err(error) = self.chunk(segments, series, place, deleted)? {
                let file = segments.dir.join(segment_name(place.segment));
                let (labels, at) = (text_of(&series.labels), place.offset);
                let ChunkPlace { start_ms, end_ms, .. } = place;
                let what = format!("chunk at {at} of {labels}, {start_ms} to {end_ms} ms");
                self.damage(&file, &format!("{what}: {error}"));
            }
        }
        self.message.close().map_err(|error| refused(&error))?;
        if self.message.points() >= BATCH_SAMPLES || self.message.bytes() >= BATCH_BYTES {
            self.store_message()?;
        }
        Ok(())
    }

    /// Adds the samples of a chunk to the open series. Damage is the inner error.
    fn chunk(
        &mut self,
        segments: &mut Segments,
        series: &Series,
        place: &ChunkPlace,
        deleted: &[(i64, i64)],
    ) -> Result<Result<(), TsdbError>, CommandError> {
        let points = match segments.open(place.segment).and_then(|s| s.chunk(place.offset)) {
            Ok(points) => points,
            Err(error) => return Ok(Err(error)),
        };
        for point in points {
            let point = match point {
                Ok(point) => point,
                Err(error) => return Ok(Err(error)),
            };
            let at = point.timestamp_ms();
            if deleted.iter().any(|(start, end)| (*start..=*end).contains(&at)) {
                self.deleted += 1;
                continue;
            }
            self.message.push(&point).map_err(|error| refused(&error))?;
            if self.message.points() >= BATCH_SAMPLES || self.message.bytes() >= BATCH_BYTES {
                self.message.close().map_err(|error| refused(&error))?;
                self.store_message()?;
                self.message.open(&series.labels).map_err(|error| refused(&error))?;
            }
        }
        Ok(Ok(()))
    }

    fn store_message(&mut self) -> Result<(), CommandError> {
        let message = std::mem::take(&mut self.message);
        if message.points() == 0 {
            return Ok(());
        }
        self.writer.store(BodyKind::RemoteWrite2Plain, &message.finish())
    }
}

/// The segments of a block, of which the one last used is open.
struct Segments {
    dir: PathBuf,
    open: Option<(u32, Segment<File>)>,
}

impl Segments {
    fn open(&mut self, number: u32) -> Result<&mut Segment<File>, TsdbError> {
        let open = match self.open.take() {
            Some((open, segment)) if open == number => segment,
            _ => Segment::open(File::open(self.dir.join(segment_name(number)))?)?,
        };
        Ok(&mut self.open.insert((number, open)).1)
    }
}

/// Places count segments from 0, their files are named from 1.
fn segment_name(number: u32) -> String {
    format!("{:06}", u64::from(number) + 1)
}

fn read_whole(file: &Path) -> Result<Vec<u8>, TsdbError> {
    let bytes = fs::metadata(file)?.len();
    if bytes > WHOLE_FILE_BYTES_MAX {
        let what = format!("file is {bytes} bytes; limit is {WHOLE_FILE_BYTES_MAX}");
        return Err(TsdbError::Unsupported(what));
    }
    Ok(fs::read(file)?)
}

/// A block in which nothing was deleted may be without the file.
fn read_tombstones(file: &Path) -> Result<Tombstones, TsdbError> {
    if file.try_exists()? {
        Tombstones::read(&read_whole(file)?)
    } else {
        Ok(Tombstones::default())
    }
}

/// What this crate wrote is refused only if it passes a limit.
fn refused(error: &IngestError) -> CommandError {
    CommandError::Invalid(error.to_string())
}

fn text_of(labels: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(","))
}
