//! Checks a data directory nobody has open: every value of every block, the catalog, the WAL.
//! Nothing is changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ephemeris_model::{BodyDecoder, LogColumns, Matcher, TimeRange};
use hashbrown::HashMap;
use roaring::RoaringBitmap;

use crate::catalog::{BlockRow, Catalog, Payload};
use crate::envelope;
use crate::error::Result;
use crate::logs::block::GROUP_STREAMS;
use crate::logs::grams::{GRAM_BYTES, GramIndex};
use crate::metrics::block::Block;
use crate::open::{CATALOG, DATABASE, WAL, lock_existing};
use crate::rocks::Rocks;
use crate::series::TenantId;
use crate::wal::replay::replay;
use crate::wal::wal_files;

/// Problems told of one block or file, at most.
const PROBLEMS_MAX: usize = 100;

/// Places of a page's text whose grams are looked for in the rows, about.
const GRAMS_CHECKED: usize = 8;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blocks looked at.
    pub blocks: u64,
    /// Values of blocks whose checksum was checked.
    pub values: u64,
    /// Series of blocks.
    pub series: u64,
    /// Samples of blocks that were decoded.
    pub samples: u64,
    /// Records of the WAL that were decoded.
    pub wal_records: u64,
    /// What is wrong; empty if nothing is.
    pub problems: Vec<String>,
    /// What is worth knowing and no problem.
    pub remarks: Vec<String>,
}

/// Checks the data directory `dir`. `progress` is told each step in words.
///
/// # Errors
/// If the directory is in use, is no data directory, or cannot be opened at all.
pub fn verify(
    dir: &Path,
    decoder: &dyn BodyDecoder,
    progress: &mut dyn FnMut(&str),
) -> Result<Verified> {
    let _lock = lock_existing(dir)?;
    let mut found = Verified::default();
    progress("catalog");
    let rocks = Rocks::open_read_only(&dir.join(DATABASE))?;
    let catalog = Catalog::inspect(rocks, &dir.join(CATALOG), &mut found.problems)?;
    for (id, text) in catalog.damaged_blocks() {
        found.remarks.push(format!("block {} was found damaged before: {text}", id.0));
    }
    found.remarks.extend(catalog.missing(TimeRange::ALL));
    let rows = catalog.blocks();
    for (n, row) in rows.iter().enumerate() {
        progress(&format!("block {} ({} of {})", row.id.0, n + 1, rows.len()));
        verify_block(catalog.rocks(), row, &mut found)?;
    }
    for id in catalog.rocks().block_ids()? {
        if rows.iter().all(|row| row.id != id) {
            let text = format!("block {} was never committed; the next start deletes it", id.0);
            found.remarks.push(text);
        }
    }
    progress("wal");
    verify_wal(&dir.join(WAL), &catalog, decoder, &mut found)?;
    Ok(found)
}

fn verify_block(rocks: &Arc<Rocks>, row: &BlockRow, found: &mut Verified) -> Result<()> {
    let mut problems = Vec::new();
    found.blocks += 1;
    let read = rocks.each_value(row.id, &mut |section, number, bytes| {
        found.values += 1;
        if let Err(error) = envelope::open(section, number, bytes) {
            problems.push(format!("block {}: {error}", row.id.0));
        }
    });
    problems.extend(read.err().map(|error| format!("block {}: {error}", row.id.0)));
    match Block::open(rocks, row.clone()) {
        Ok(block) => {
            let mut contents = Contents { block: &block, problems: &mut problems, samples: 0 };
            contents.check();
            found.samples += contents.samples;
            found.series += row.series_count;
        }
        Err(error) => problems.push(format!("block {} cannot be opened: {error}", row.id.0)),
    }
    put_problems(problems, found);
    Ok(())
}

fn put_problems(mut problems: Vec<String>, found: &mut Verified) {
    let mut seen = BTreeSet::new();
    problems.retain(|text| seen.insert(text.clone()));
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    found.problems.append(&mut problems);
    if more > 0 {
        found.problems.push(format!("… and {more} more"));
    }
}

/// Decodes all a block holds, and compares its parts.
struct Contents<'a> {
    block: &'a Block,
    problems: &'a mut Vec<String>,
    samples: u64,
}

impl Contents<'_> {
    fn note<T>(&mut self, read: Result<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("block {}: {error}", self.block.row().id.0));
                None
            }
        }
    }

    fn wrong(&mut self, what: &str) {
        self.problems.push(format!("block {}: {what}", self.block.row().id.0));
    }

    fn check(&mut self) {
        let block = self.block;
        for (tenant, series) in block.tenants() {
            self.check_labels(tenant, series);
        }
        let row = block.row();
        match row.payload {
            Payload::Samples => self.check_samples(),
            Payload::Entries => self.check_entries(),
        }
        if self.samples != row.sample_count && self.problems.is_empty() {
            let what = match row.payload {
                Payload::Samples => "samples",
                Payload::Entries => "entries",
            };
            let text = format!("{} {what} are named, {} are there", row.sample_count, self.samples);
            self.wrong(&text);
        }
    }

    /// Label sets against posting lists.
    fn check_labels(&mut self, tenant: TenantId, series: std::ops::Range<u32>) {
        let block = self.block;
        let mut all = RoaringBitmap::new();
        all.insert_range(series);
        let mut holders: HashMap<(String, String), RoaringBitmap> = HashMap::new();
        let read = block.labels_of_many(&all, &mut |id, pairs| {
            for (name, value) in pairs {
                let key = ((*name).to_owned(), (*value).to_owned());
                holders.entry(key).or_default().insert(id);
            }
        });
        if self.note(read).is_none() {
            return;
        }
        let names = self.note(block.label_names(tenant, None)).unwrap_or_default();
        for name in &names {
            let values = self.note(block.label_values(tenant, name, None)).unwrap_or_default();
            for value in values {
                let listed = block.select(tenant, &[Matcher::equal(name, &value)]);
                let Some(listed) = self.note(listed) else { continue };
                if holders.remove(&(name.clone(), value.clone())) != Some(listed) {
                    self.wrong(&format!("the posting list of {name}={value:?} is not right"));
                }
            }
        }
        if let Some((name, value)) = holders.into_keys().next() {
            self.wrong(&format!("{name}={value:?} is not in the dictionary"));
        }
    }

    /// Every page of every stream of a log block.
    fn check_entries(&mut self) {
        let block = self.block;
        let count = u32::try_from(block.row().series_count).unwrap_or(u32::MAX);
        let grams = self.note(block.gram_index()).flatten();
        for number in 0..count.div_ceil(GROUP_STREAMS) {
            let Some(group) = self.note(block.log_group(number)) else { continue };
            for (at, place) in group.all_pages().iter().enumerate() {
                let counts = self.note(block.log_counts((number, at))).flatten();
                let entries = counts.map(|counts| counts.total().entries);
                if entries.is_some_and(|entries| entries != u64::from(place.entries)) {
                    self.wrong("counts of a page do not add up to its entries");
                }
                let all = LogColumns { lines: true, metadata: true };
                if let Some(rows) = self.note(block.log_page(place, all)) {
                    self.samples += rows.len() as u64;
                    if let Some(index) = &grams {
                        self.check_grams(index, (number, at), rows.text());
                    }
                }
            }
        }
    }

    /// Whether the rows of grams tell that a page may hold what it holds, for some of its text.
    fn check_grams(&mut self, index: &GramIndex, (group, at): (u32, usize), text: &[u8]) {
        let Some(place) = index.place(group, at) else {
            return self.wrong("a page has no place in the rows of grams");
        };
        let step = (text.len() / GRAMS_CHECKED).max(1);
        for gram in text.windows(GRAM_BYTES).step_by(step) {
            let found = self.block.gram_candidates(index, place.stripe, &[gram.to_vec()]);
            let Some(bits) = self.note(found) else { return };
            let bits = bits.get(place.at as usize / 8).copied().unwrap_or(0);
            if bits >> (place.at % 8) & 1 == 0 {
                return self.wrong("the rows of grams lack a text of a page");
            }
        }
    }

    fn check_samples(&mut self) {
        let block = self.block;
        let count = u32::try_from(block.row().series_count).unwrap_or(u32::MAX);
        let mut next = 0;
        while next < count {
            let Some(page) = self.note(block.page_of(next)) else { return };
            next = page.end.max(next + 1);
            let ids: Vec<u32> = page.collect();
            let (mut damage, mut samples) = (Vec::new(), 0);
            let read = block.read(&ids, TimeRange::ALL, &mut damage, &mut |_, found| {
                samples += found.len() as u64;
                Ok(())
            });
            self.samples += samples;
            self.problems.extend(damage);
            self.note(read);
            self.note(block.exemplars(&ids, TimeRange::ALL));
        }
    }
}

fn verify_wal(
    dir: &Path,
    catalog: &Catalog,
    decoder: &dyn BodyDecoder,
    found: &mut Verified,
) -> Result<()> {
    let finished = catalog.finished_generations().last().copied().unwrap_or(0);
    let files = if dir.is_dir() { wal_files(dir)? } else { Vec::new() };
    let files: Vec<_> =
        files.into_iter().filter(|(generation, _)| *generation > finished).collect();
    for (n, (_, path)) in files.iter().enumerate() {
        let mut records = 0;
        let damages = replay(path, &mut |record| {
            records += 1;
            let decoded = if record.kind.holds_logs() {
                decoder.decode_logs(record.kind, record.body, &mut |_| {})
            } else {
                decoder.decode(record.kind, record.body, &mut |_| {})
            };
            decoded.map_err(|_| "its body cannot be decoded")
        })?;
        found.wal_records += records;
        let newest = n + 1 == files.len();
        let mut problems = Vec::new();
        for damage in damages {
            let text = format!(
                "{}: {} bytes at {}: {}",
                damage.path.display(),
                damage.bytes,
                damage.offset,
                damage.cause
            );
            if damage.at_end && newest {
                let text = format!("{text}; the end of a write that was never acknowledged");
                found.remarks.push(text);
            } else {
                problems.push(text);
            }
        }
        put_problems(problems, found);
    }
    Ok(())
}
