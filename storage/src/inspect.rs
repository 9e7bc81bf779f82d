//! What is in a data directory nobody has open: its blocks, and the parts of one of them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::catalog::{BlockId, BlockRow, Catalog};
use crate::envelope::section;
use crate::error::{Error, Result};
use crate::metrics::block::{Block, Manifest};
use crate::open::{CATALOG, DATABASE, lock_existing};
use crate::rocks::Rocks;

/// A data directory, open for looking.
pub struct Inspected {
    catalog: Catalog,
    _lock: std::fs::File,
}

/// One section of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionSize {
    /// Number of its values.
    pub values: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
}

/// The parts of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockParts {
    /// What the catalog says.
    pub row: BlockRow,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Sections by number.
    pub sections: BTreeMap<u8, SectionSize>,
    /// Names of its tenants, with their numbers of series.
    pub tenants: Vec<(String, u32)>,
    /// Damage found earlier.
    pub damage: Option<String>,
    /// Deletions that are about it.
    pub tombstones: usize,
}

impl Inspected {
    /// Opens the data directory `dir`; nothing there is changed.
    ///
    /// # Errors
    /// If it is in use, or cannot be opened.
    pub fn open(dir: &Path) -> Result<Self> {
        let lock = lock_existing(dir)?;
        let rocks = Rocks::open_read_only(&dir.join(DATABASE))?;
        // What is wrong with the catalog is what `verify` is for.
        let catalog = Catalog::inspect(rocks, &dir.join(CATALOG), &mut Vec::new())?;
        Ok(Self { catalog, _lock: lock })
    }

    /// All blocks, by time.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockRow> {
        let mut rows = self.catalog.blocks();
        rows.sort_by_key(|row| (row.range.start, row.id));
        rows
    }

    /// The parts of one block.
    ///
    /// # Errors
    /// If there is no such block, or it cannot be read.
    pub fn block(&self, number: u32) -> Result<BlockParts> {
        let id = BlockId(number);
        let row = self.catalog.blocks().into_iter().find(|row| row.id == id);
        let row = row.ok_or_else(|| Error::NotFound(format!("there is no block {number}")))?;
        let mut sections: BTreeMap<u8, SectionSize> = BTreeMap::new();
        self.catalog.rocks().each_value(id, &mut |section, _, bytes| {
            let size = sections.entry(section).or_default();
            size.values += 1;
            size.bytes += bytes.len() as u64;
            size.largest = size.largest.max(bytes.len() as u64);
        })?;
        let block = Block::open(self.catalog.rocks(), row.clone())?;
        let names = self.catalog.tenants();
        let name = |tenant| {
            let found = names.iter().find(|(_, id)| *id == tenant);
            found.map_or_else(|| "?".to_owned(), |(name, _)| name.clone())
        };
        let tenants = block.tenants();
        let tenants = tenants.map(|(id, series)| (name(id), series.end - series.start)).collect();
        let damaged = self.catalog.damaged_blocks();
        Ok(BlockParts {
            manifest: block.manifest().clone(),
            sections,
            tenants,
            damage: damaged.into_iter().find(|(damaged, _)| *damaged == id).map(|(_, text)| text),
            tombstones: self.catalog.tombstones().iter().filter(|one| one.names(id)).count()
                + self.catalog.log_tombstones().iter().filter(|(one, _)| one.names(id)).count(),
            row,
        })
    }
}

/// What a section is called.
#[must_use]
pub const fn section_name(number: u8) -> &'static str {
    match number {
        section::VALUES => "values",
        section::DIRECTORY => "directory",
        section::TIMES => "time vectors",
        section::LABELS => "label columns",
        section::POSTINGS => "posting lists",
        section::DICTIONARIES => "dictionaries",
        section::HISTOGRAMS => "histograms",
        section::EXEMPLARS => "exemplars",
        section::LOG_PAGES => "log pages",
        section::GRAMS => "grams",
        section::MANIFEST => "manifest",
        _ => "unknown",
    }
}
