//! Entries of one stream as columns: timestamps, lines, and a column for each name of structured
//! metadata.

use hashbrown::HashSet;
use rustc_hash::FxBuildHasher;
use xxhash_rust::xxh3::Xxh3;

/// Entries of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    times: Vec<i64>,
    /// All lines, one after the other.
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<u32>,
    /// Sorted by name.
    columns: Vec<Column>,
}

/// Values of one name of structured metadata. An empty value is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    name: Box<str>,
    text: String,
    /// Where each value ends; rows after the last one have none.
    ends: Vec<u32>,
}

impl Column {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), text: String::new(), ends: Vec::new() }
    }

    /// A column of values that follow one another; `None` if an end is not between characters.
    pub(super) fn from_parts(name: &str, text: String, ends: Vec<u32>) -> Option<Self> {
        let good = ends.is_sorted() && ends.iter().all(|&end| text.is_char_boundary(end as usize));
        good.then(|| Self { name: name.into(), text, ends })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a row; empty if it has none.
    #[must_use]
    pub fn value(&self, row: usize) -> &str {
        let Some(&end) = self.ends.get(row) else { return "" };
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..end as usize]
    }

    /// The values of some of the rows.
    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        let mut picked = Self::new(&self.name);
        for (place, &row) in rows.iter().enumerate() {
            match self.value(row) {
                "" => {}
                value => picked.push(place, value),
            }
        }
        picked
    }

    pub(super) fn push(&mut self, row: usize, value: &str) {
        self.ends.resize(row, position(self.text.len()));
        self.text.push_str(value);
        self.ends.push(position(self.text.len()));
    }
}

impl Rows {
    /// Rows without metadata; `None` if the columns do not fit one another.
    pub(super) fn from_parts(
        times: Vec<i64>,
        text: Vec<u8>,
        ends: Vec<u32>,
        columns: Vec<Column>,
    ) -> Option<Self> {
        let fits = times.len() == ends.len()
            && ends.is_sorted()
            && ends.last().is_none_or(|&end| end as usize == text.len())
            && columns.iter().all(|column| column.ends.len() <= times.len())
            && columns.is_sorted_by(|a, b| a.name < b.name)
            && times.is_sorted();
        fits.then_some(Self { times, text, ends, columns })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Nanoseconds since the epoch, one per row.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// All lines.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where each line ends in [`Rows::text`].
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The columns of metadata, by name.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The line of a row, which must be there.
    #[must_use]
    pub fn line(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[row] as usize]
    }

    /// Structured metadata of a row, by name.
    pub fn metadata(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.columns.iter().map(move |column| (column.name(), column.value(row)));
        pairs.filter(|(_, value)| !value.is_empty())
    }

    /// Appends a row; `metadata` is sorted by name.
    pub fn push<'a>(
        &mut self,
        time: i64,
        line: &[u8],
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let row = self.times.len();
        self.times.push(time);
        self.text.extend_from_slice(line);
        self.ends.push(position(self.text.len()));
        // Rows of a stream have the same names as a rule, so the next column is the right one.
        let mut at = 0;
        for (name, value) in metadata {
            if self.columns.get(at).is_none_or(|column| *column.name != *name) {
                let found = self.columns.binary_search_by(|column| (*column.name).cmp(name));
                at = found.unwrap_or_else(|place| {
                    self.columns.insert(place, Column::new(name));
                    place
                });
            }
            self.columns[at].push(row, value);
            at += 1;
        }
    }

    /// How many of these names, which are sorted, no row has yet.
    pub(super) fn new_names<'a>(&self, names: impl Iterator<Item = &'a str>) -> usize {
        let mut at = 0;
        let is_new = |name: &&str| {
            // Names of one stream come in the same order as a rule.
            if self.columns.get(at).is_some_and(|column| *column.name == **name) {
                at += 1;
                return false;
            }
            let found = self.columns.binary_search_by(|column| (*column.name).cmp(*name));
            at = found.map_or_else(|place| place, |place| place + 1);
            found.is_err()
        };
        names.filter(is_new).count()
    }

    /// Appends rows of others, from row `from` on.
    pub(crate) fn extend_from(&mut self, others: &Self, from: usize) {
        for row in from..others.len() {
            self.push(others.times[row], others.line(row), others.metadata(row));
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.times.clear();
        self.text.clear();
        self.ends.clear();
        self.columns.clear();
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let column = |column: &Column| column.text.capacity() + 4 * column.ends.capacity() + 64;
        self.text.capacity()
            + 8 * self.times.capacity()
            + 4 * self.ends.capacity()
            + self.columns.iter().map(column).sum::<usize>()
    }

    /// Bytes of lines and metadata.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.text.len() + self.columns.iter().map(|column| column.text.len()).sum::<usize>()
    }

    /// Brings the rows into order of time, equal times in order of arrival; of equal rows the
    /// first stays.
    pub fn sort(&mut self) {
        if self.times.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut order: Vec<u32> = (0..position(self.len())).collect();
        order.sort_by_key(|&row| self.times[row as usize]);
        let mut seen = Seen::default();
        order.retain(|&row| seen.is_new(self, row as usize));
        if order.len() < self.len() || !order.is_sorted() {
            *self = self.pick(order.iter().map(|&row| row as usize));
        }
    }

    /// Some of the rows.
    #[must_use]
    pub fn pick(&self, rows: impl Iterator<Item = usize>) -> Self {
        let mut picked = Self::default();
        for row in rows {
            picked.push(self.times[row], self.line(row), self.metadata(row));
        }
        picked
    }
}

/// Tells repeats among rows that come in order of time.
#[derive(Default)]
pub(crate) struct Seen {
    time: Option<i64>,
    hashes: HashSet<u128, FxBuildHasher>,
}

impl Seen {
    /// Whether no row before had the same time, line and metadata.
    pub(crate) fn is_new(&mut self, rows: &Rows, row: usize) -> bool {
        let time = rows.times[row];
        if self.time.replace(time) != Some(time) {
            self.hashes.clear();
        }
        let mut hash = Xxh3::new();
        hash.update(rows.line(row));
        for (name, value) in rows.metadata(row) {
            hash.update(&[0xff]);
            hash.update(name.as_bytes());
            hash.update(&[0xfe]);
            hash.update(value.as_bytes());
        }
        self.hashes.insert(hash.digest128())
    }
}

/// A place in the text of a run, which ends long before 4 GiB.
fn position(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
