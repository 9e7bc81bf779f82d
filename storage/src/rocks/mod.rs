//! RocksDB: the only place that names it. Two families: `catalog`, a few small rows written with
//! sync, and `blocks`, filled only by ingesting one sorted file per block and never compacted.
//!
//! A block is freed by deleting its file, so no tombstone is ever written there. No sample passes
//! a memtable.

pub mod keys;
mod sink;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBPinnableSlice, DBRecoveryMode, IngestExternalFileOptions, IteratorMode, Options, WriteBatch,
    WriteOptions,
};

use crate::catalog::BlockId;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::block::BlockCaches;
pub use sink::BlockSink;

const CATALOG: &str = "catalog";
const BLOCKS: &str = "blocks";
/// RocksDB's cache of what was read from blocks, and of their indexes.
const CACHE_BYTES: usize = 24 << 20;
/// Files held open at most. Finite, so that opening does not open every block.
const OPEN_FILES_MAX: i32 = 1024;
/// A new block up to this size is read once, since writing it left nothing in the page cache.
const WARM_BYTES_MAX: u64 = 256 << 20;
/// What fails when a block cannot be read.
const READING: &str = "reading a block";
/// Where a block's file lies until it is ingested.
const INCOMING: &str = "incoming";

/// The database. Threads share it.
pub struct Rocks {
    db: DB,
    /// Whether rows of the catalog may be lost, since its files were damaged.
    salvaged: bool,
    incoming: PathBuf,
    caches: BlockCaches,
}

/// A value as it lies in RocksDB's memory.
pub struct Value<'a>(DBPinnableSlice<'a>);

impl Deref for Value<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Changes to the catalog that happen together or not at all.
#[derive(Default)]
pub struct CatalogBatch {
    batch: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl CatalogBatch {
    /// The changes: a key, and its value unless it is removed.
    #[must_use]
    pub fn changes(&self) -> &Vec<(Vec<u8>, Option<Vec<u8>>)> {
        &self.batch
    }

    /// Sets a row.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.batch.push((key.into(), Some(value.into())));
    }

    /// Removes a row.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.batch.push((key.into(), None));
    }
}

/// Whether a catalog write is on disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It is.
    Now,
    /// It is after the next synced write.
    Later,
}

impl Rocks {
    /// Opens the database in `dir`, creating it if it is not there.
    ///
    /// # Errors
    /// If RocksDB cannot open it.
    pub fn open(dir: &Path) -> Result<Self> {
        check_current(dir)?;
        let incoming = dir.join(INCOMING);
        // Files left here were never ingested.
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("removing {}", incoming.display()), error));
            }
            _ => {}
        }
        fs::create_dir_all(&incoming)
            .map_err(|error| Error::io(format!("creating {}", incoming.display()), error))?;
        let (db, salvaged) = open_database(dir)?;
        Ok(Self { db, salvaged, incoming, caches: BlockCaches::default() })
    }

    /// Opens the database in `dir` to read it; nothing there is changed.
    ///
    /// # Errors
    /// If RocksDB cannot open it.
    pub fn open_read_only(dir: &Path) -> Result<Self> {
        check_current(dir)?;
        let open = |options: &Options| {
            let families = [
                ColumnFamilyDescriptor::new(CATALOG, catalog_options()),
                ColumnFamilyDescriptor::new(BLOCKS, block_options()),
            ];
            DB::open_cf_descriptors_read_only(options, dir, families, false)
        };
        let mut options = database_options();
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        let (db, salvaged) = match open(&options) {
            Ok(db) => (db, false),
            Err(_) => {
                options.set_paranoid_checks(false);
                options.set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord);
                (open(&options).map_err(|error| unopened(dir, &error))?, true)
            }
        };
        Ok(Self { db, salvaged, incoming: dir.join(INCOMING), caches: BlockCaches::default() })
    }

    /// Hands all values of a block to `visit`: section, number and bytes.
    ///
    /// # Errors
    /// If RocksDB finds damage or cannot read.
    pub fn each_value(&self, block: BlockId, visit: &mut dyn FnMut(u8, u32, &[u8])) -> Result<()> {
        let start = keys::block_key(block, 0, 0);
        let mode = IteratorMode::From(&start, rocksdb::Direction::Forward);
        for item in self.db.iterator_cf(self.blocks(), mode) {
            let (key, value) = item.map_err(|error| rocks_error(READING, &error))?;
            let Some((section, number)) = keys::parse_block_key(block, &key) else { break };
            visit(section, number, &value);
        }
        Ok(())
    }

    /// A writer for the values of a new block. Nothing is visible before [`Rocks::ingest`].
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn block_sink(&self, block: BlockId) -> Result<BlockSink> {
        BlockSink::create(block, self.incoming_path(block), sink_options())
    }

    fn incoming_path(&self, block: BlockId) -> PathBuf {
        self.incoming.join(format!("{:010}.sst", block.0))
    }

    /// Moves the finished file of `block` into the database. The catalog does not know it yet.
    ///
    /// # Errors
    /// If RocksDB refuses it.
    pub fn ingest(&self, block: BlockId) -> Result<()> {
        let path = self.incoming_path(block);
        warm(&path)?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        options.set_allow_blocking_flush(false);
        self.db
            .ingest_external_file_cf_opts(self.blocks(), &options, vec![path])
            .map_err(|error| rocks_error("ingesting a block", &error))
    }

    /// Deletes the file of `block`. Values held keep their memory.
    ///
    /// # Errors
    /// If RocksDB fails.
    pub fn delete_block(&self, block: BlockId) -> Result<()> {
        let first = keys::block_key(block, 0, 0);
        let last = keys::block_key(block, u8::MAX, u32::MAX);
        self.db
            .delete_file_in_range_cf(self.blocks(), first, last)
            .map_err(|error| rocks_error("deleting a block", &error))
    }

    /// The blocks that have a file.
    ///
    /// # Errors
    /// If RocksDB fails.
    pub fn block_ids(&self) -> Result<Vec<BlockId>> {
        let files =
            self.db.live_files().map_err(|error| rocks_error("listing the blocks", &error))?;
        let ids: BTreeSet<BlockId> = files
            .iter()
            .filter(|file| file.column_family_name == BLOCKS)
            .filter_map(|file| file.start_key.as_deref().and_then(keys::block_of_key))
            .collect();
        Ok(ids.into_iter().collect())
    }

    /// A value of a block.
    ///
    /// # Errors
    /// If RocksDB finds damage or cannot read.
    pub fn get(&self, block: BlockId, section: u8, number: u32) -> Result<Option<Value<'_>>> {
        let key = keys::block_key(block, section, number);
        let found = self.db.get_pinned_cf(self.blocks(), key);
        Ok(found.map_err(|error| rocks_error(READING, &error))?.map(Value))
    }

    /// Decoded parts of this database's blocks; RocksDB keeps only what was read.
    #[must_use]
    pub const fn caches(&self) -> &BlockCaches {
        &self.caches
    }

    /// A row of the catalog.
    ///
    /// # Errors
    /// If RocksDB cannot read.
    pub fn catalog_get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db
            .get_cf(self.catalog(), key)
            .map_err(|error| rocks_error("reading the catalog", &error))
    }

    /// All rows of the catalog whose key starts with `kind`, by key.
    ///
    /// # Errors
    /// If RocksDB cannot read all of them.
    pub fn catalog_rows(&self, kind: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let start = [kind];
        let mode = IteratorMode::From(&start, rocksdb::Direction::Forward);
        let mut rows = Vec::new();
        // This iterator yields its status as an item, so an error cannot pass as the end.
        for item in self.db.iterator_cf(self.catalog(), mode) {
            let (key, value) = item.map_err(|error| rocks_error("reading the catalog", &error))?;
            if key.first() != Some(&kind) {
                break;
            }
            rows.push((key.into_vec(), value.into_vec()));
        }
        Ok(rows)
    }

    /// Whether the catalog may lack rows that were written: files of it were damaged when it was
    /// opened.
    #[must_use]
    pub const fn is_salvaged(&self) -> bool {
        self.salvaged
    }

    /// Throws the catalog away and puts `rows` in its place. Cut in between, it is empty.
    ///
    /// # Errors
    /// If RocksDB fails.
    pub fn replace_catalog(&mut self, rows: CatalogBatch) -> Result<()> {
        let failed = |error| rocks_error("replacing the catalog", &error);
        self.db.drop_cf(CATALOG).map_err(failed)?;
        self.db.create_cf(CATALOG, &catalog_options()).map_err(failed)?;
        self.salvaged = false;
        self.catalog_write(rows, Sync::Now)
    }

    /// Writes rows of the catalog, all or none.
    ///
    /// # Errors
    /// If RocksDB cannot write or sync.
    pub fn catalog_write(&self, changes: CatalogBatch, sync: Sync) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in changes.batch {
            match value {
                Some(value) => batch.put_cf(self.catalog(), key, value),
                None => batch.delete_cf(self.catalog(), key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync == Sync::Now);
        self.db
            .write_opt(batch, &options)
            .map_err(|error| rocks_error("writing the catalog", &error))
    }

    /// A copy of the database in `dir`, which must not exist; block files are hard links.
    ///
    /// # Errors
    /// If RocksDB cannot make it.
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
            .map_err(|error| rocks_error("copying the database", &error))
    }

    fn blocks(&self) -> &ColumnFamily {
        self.family(BLOCKS)
    }

    fn catalog(&self) -> &ColumnFamily {
        self.family(CATALOG)
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("both families were opened with the database")
    }
}

/// Opens the database; answers too whether rows of the catalog may be lost. A damaged or missing
/// file of a block is no reason not to open: RocksDB is asked again to be less strict, and reading
/// that block fails instead. If its log is damaged, what can be read of it is taken.
fn open_database(dir: &Path) -> Result<(DB, bool)> {
    let open = |options: &Options| {
        let families = [
            ColumnFamilyDescriptor::new(CATALOG, catalog_options()),
            ColumnFamilyDescriptor::new(BLOCKS, block_options()),
        ];
        DB::open_cf_descriptors(options, dir, families)
    };
    let mut options = database_options();
    let failed = match open(&options) {
        Ok(db) => return Ok((db, false)),
        Err(error) => error,
    };
    if failed.kind() != rocksdb::ErrorKind::Corruption {
        return Err(unopened(dir, &failed));
    }
    tracing::error!(error = %failed, "a file of the database is damaged; opening without it");
    options.set_paranoid_checks(false);
    if failed.as_ref().contains(".sst")
        && let Ok(db) = open(&options)
    {
        return Ok((db, false));
    }
    options.set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord);
    match open(&options) {
        Ok(db) => Ok((db, true)),
        Err(error) => Err(unopened(dir, &error)),
    }
}

/// Refuses a directory of which the file that makes it a database is gone: RocksDB would begin a new
/// one there and delete all blocks.
fn check_current(dir: &Path) -> Result<()> {
    if dir.join("CURRENT").exists() {
        return Ok(());
    }
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("listing {}", dir.display()), error)),
    };
    for entry in listed {
        let entry =
            entry.map_err(|error| Error::io(format!("listing {}", dir.display()), error))?;
        if entry.path().extension().is_some_and(|extension| extension == "sst") {
            return Err(lost_list(dir, "CURRENT is missing"));
        }
    }
    Ok(())
}

/// Says what to do where the list of files itself is damaged.
fn unopened(dir: &Path, error: &rocksdb::Error) -> Error {
    let found = rocks_error("opening the database", error);
    if found.kind() != ErrorKind::Corrupt {
        return found;
    }
    lost_list(dir, error)
}

fn lost_list(dir: &Path, cause: impl std::fmt::Display) -> Error {
    let detail = format!(
        "RocksDB's list of its files (CURRENT, MANIFEST-*) cannot be used: {cause}; the blocks \
         themselves may be whole; move the data directory away and start on a snapshot, or write \
         the data again"
    );
    Error::corrupt(dir.display().to_string(), detail)
}

/// Reads a new file once, so that its first queries find it in the page cache.
fn warm(path: &Path) -> Result<()> {
    let context = |error| Error::io(format!("reading {}", path.display()), error);
    let mut file = fs::File::open(path).map_err(context)?;
    if file.metadata().map_err(context)?.len() <= WARM_BYTES_MAX {
        std::io::copy(&mut file, &mut std::io::sink()).map_err(context)?;
    }
    Ok(())
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A torn end is what a crash leaves. Damage before it must not pass for the end, since blocks
    // whose rows are lost would be deleted.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_keep_log_file_num(4);
    options.set_stats_dump_period_sec(0);
    options.set_max_total_wal_size(8 << 20);
    options.set_max_manifest_file_size(16 << 20);
    options.set_max_background_jobs(2);
    options
}

fn catalog_options() -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(2 << 20);
    options.set_max_write_buffer_number(2);
    options.set_compression_type(DBCompressionType::None);
    options
}

/// Options of family `blocks`, with a cache of its own: a copy of a database in the same process
/// must not be answered from the other's.
fn block_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_format_version(6);
    table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    table.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    // Values are packed already.
    options.set_compression_type(DBCompressionType::None);
    options.set_disable_auto_compactions(true);
    options.set_write_buffer_size(1 << 20);
    options
}

/// The same for the files that are ingested, which outlive no database but borrow their options.
fn sink_options() -> &'static Options {
    static OPTIONS: OnceLock<Options> = OnceLock::new();
    OPTIONS.get_or_init(block_options)
}

fn rocks_error(context: &'static str, error: &rocksdb::Error) -> Error {
    let text = error.to_string();
    // A file that is gone, or lies on a bad sector, is as bad as one that is damaged.
    let corrupt = error.kind() == rocksdb::ErrorKind::Corruption
        || text.contains("No such file or directory")
        || (context == READING && text.contains("Input/output error"));
    Error::Rocks { context, text, corrupt }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_block(rocks: &Rocks, id: u32) {
        let mut sink = rocks.block_sink(BlockId(id)).expect("the file is created");
        sink.put(1, 0, b"page").expect("it is written");
        sink.put(11, 0, b"manifest").expect("it is written");
        sink.finish().expect("it is synced");
        rocks.ingest(BlockId(id)).expect("it is taken in");
    }

    #[test]
    fn a_block_is_there_from_ingest_to_delete() {
        let dir = tempfile::tempdir().expect("a directory");
        let rocks = Rocks::open(dir.path()).expect("it opens");
        for id in [1, 2, 3] {
            write_block(&rocks, id);
        }
        rocks.delete_block(BlockId(2)).expect("it is deleted");
        assert_eq!(rocks.block_ids().expect("a list"), [BlockId(1), BlockId(3)]);
        assert!(rocks.get(BlockId(2), 1, 0).expect("read").is_none());
        drop(rocks);
        let rocks = Rocks::open(dir.path()).expect("it opens again");
        assert_eq!(rocks.block_ids().expect("a list"), [BlockId(1), BlockId(3)]);
        assert_eq!(&*rocks.get(BlockId(3), 1, 0).expect("read").expect("found"), b"page");
    }

    #[test]
    fn a_copy_opens_on_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let rocks = Rocks::open(&dir.path().join("a")).expect("it opens");
        write_block(&rocks, 1);
        let mut batch = CatalogBatch::default();
        batch.put(*b"\x03row", *b"value");
        rocks.catalog_write(batch, Sync::Now).expect("it is written");
        rocks.checkpoint(&dir.path().join("b")).expect("it is copied");
        let copy = Rocks::open(&dir.path().join("b")).expect("it opens");
        assert_eq!(copy.block_ids().expect("a list"), [BlockId(1)]);
        assert_eq!(copy.catalog_rows(3).expect("rows").len(), 1);
        assert_eq!(copy.catalog_rows(2).expect("rows").len(), 0);
    }
}
