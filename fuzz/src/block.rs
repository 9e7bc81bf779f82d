//! A block with something in every section, of which one value is changed.

use std::sync::{Arc, LazyLock, Mutex};

use ephemeris_model::{
    CounterResetHint, Exemplar, Histogram, HistogramCounts, Labels, LineMatch, LineSearch, LineSearches,
    LogColumns, MatchOp, Matcher, NanoRange, Span, TimeRange,
};

use crate::catalog::{BlockId, BlockRow};
use crate::envelope::{self, Zip, section};
use crate::logs::block::{LogBlockWriter, PagePlace};
use crate::logs::deleted::LogDeleted;
use crate::logs::page::Page;
use crate::logs::rows::Rows;
use crate::logs::search::Search;
use crate::metrics::block::{Block, BlockWriter};
use crate::metrics::samples::SeriesSamples;
use crate::rocks::{BlockSink, Rocks, Values};
use crate::series::TenantId;

const TENANTS: [TenantId; 2] = [TenantId(0), TenantId(2)];
static MATCHERS: LazyLock<[Matcher; 3]> = LazyLock::new(|| {
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("valid");
    [
        matcher(MatchOp::Equal, "__name__", "m1"),
        matcher(MatchOp::Regex, "instance", "host-0.*"),
        matcher(MatchOp::NotEqual, "__name__", "m1"),
    ]
});
static SEARCHES: LazyLock<LineSearches> = LazyLock::new(|| {
    let pattern = LineSearch::new(LineMatch::NotRegex, &["[0-4]+x".to_owned()]).expect("valid");
    LineSearches::new(vec![LineSearch::text(b"line 1"), pattern])
});
const ALL_TIME: NanoRange = NanoRange { start: i64::MIN, end: i64::MAX };
const ALL: LogColumns = LogColumns { lines: true, metadata: true };

/// Which values are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Pages of values, histograms, exemplars, log entries; time vectors.
    Pages,
    /// Posting lists.
    Postings,
    /// All others.
    Rest,
}

impl Section {
    fn of(section: u8) -> Self {
        match section {
            section::VALUES
            | section::TIMES
            | section::HISTOGRAMS
            | section::EXEMPLARS
            | section::LOG_PAGES => Self::Pages,
            section::POSTINGS => Self::Postings,
            _ => Self::Rest,
        }
    }
}

/// A block of samples and one of log entries.
pub struct Sample {
    samples: (BlockRow, Values),
    entries: (BlockRow, Values),
}

impl Default for Sample {
    fn default() -> Self {
        Self { samples: samples(), entries: entries() }
    }
}

impl Sample {
    /// Changes a value of this section as `input` says, and asks the block everything. The first
    /// byte picks the value; the rest is a body, or, if the second byte is odd, what to change in the
    /// right one: places and bytes.
    pub fn ask(&self, which: Section, input: &[u8]) {
        let [pick, form, rest @ ..] = input else { return };
        let all = [&self.samples, &self.entries];
        let places: Vec<(usize, (u8, u32))> = (0..2)
            .flat_map(|block| all[block].1.keys().map(move |key| (block, *key)))
            .filter(|(_, (section, _))| Section::of(*section) == which)
            .collect();
        let (block, (section, number)) = places[usize::from(*pick) % places.len()];
        let (row, values) = all[block];
        let whole = envelope::open(section, number, &values[&(section, number)]).expect("whole");
        let body = if form % 2 == 0 { rest.to_vec() } else { changed(&whole, rest) };
        let sealed = envelope::seal(section, number, &body, Zip::IfSmaller).expect("small");
        let mut values = values.clone();
        values.insert((section, number), sealed.into());
        let answers = ask(row.clone(), values, which);
        if *whole == *body {
            assert_eq!(answers, Some(0), "a whole block is damaged");
        }
    }
}

/// Pieces of the body replaced: place (two bytes) and byte; an end without a byte cuts there.
fn changed(whole: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut body = whole.to_vec();
    for edit in edits.chunks(3) {
        let [low, high, rest @ ..] = edit else { break };
        let at = usize::from(u16::from_le_bytes([*low, *high])) % body.len().max(1);
        match (rest.first(), body.get_mut(at)) {
            (Some(byte), Some(place)) => *place = *byte,
            _ => body.truncate(at),
        }
    }
    body
}

/// Asks all that is read from such values; answers how often damage was told, `None` if the block does
/// not open.
fn ask(row: BlockRow, values: Values, which: Section) -> Option<usize> {
    let rocks = Arc::new(Rocks::new(values));
    let block = Block::open(&rocks, row).ok()?;
    let mut damage = Vec::new();
    let mut failed = 0;
    for tenant in TENANTS {
        if which != Section::Pages {
            failed += ask_index(&block, tenant);
        }
        let Ok(ids) = block.select(tenant, &[]) else {
            failed += 1;
            continue;
        };
        if which == Section::Rest {
            failed += usize::from(block.label_values(tenant, "instance", Some(&ids)).is_err());
            failed += usize::from(block.series_labels(&ids, &mut |_, _| {}).is_err());
        }
        if which == Section::Postings {
            continue;
        }
        // Damage may tell of more series than there are.
        let ids: Vec<u32> = ids.iter().take(100).collect();
        if block.row().payload == crate::catalog::Payload::Entries {
            failed += ids.iter().map(|id| read_stream(&block, *id)).sum::<usize>();
            continue;
        }
        let read = block.read(&ids, TimeRange::ALL, &mut damage, &mut |_, samples| {
            assert!(samples.timestamps.is_sorted_by(|a, b| a < b));
            assert_eq!(samples.values.len(), samples.len());
            Ok(())
        });
        failed += usize::from(read.is_err());
        failed += usize::from(block.exemplars(&ids, TimeRange::ALL).is_err());
    }
    Some(failed + damage.len())
}

fn ask_index(block: &Block, tenant: TenantId) -> usize {
    let matches = |matchers: &[Matcher]| usize::from(block.select(tenant, matchers).is_err());
    matches(&MATCHERS[..1])
        + matches(&MATCHERS[1..])
        + usize::from(block.label_names(tenant, None).is_err())
        + usize::from(block.label_values(tenant, "instance", None).is_err())
}

fn read_stream(block: &Arc<Block>, id: u32) -> usize {
    let Ok(group) = block.log_group(0) else { return 1 };
    let pages = group.pages(id).unwrap_or_default();
    let failed = |place: &PagePlace| {
        let read = block.log_page(place, ALL);
        let search = Search { filters: &SEARCHES, hints: &[], range: ALL_TIME, columns: ALL };
        // What is found is a part of what is read.
        let found = block.search_log_page(place, &search).map_or(0, |rows| rows.len());
        assert!(read.as_ref().is_ok_and(|rows| rows.len() >= found) || read.is_err());
        read.is_err()
    };
    let pages: usize = pages.iter().map(|place| usize::from(failed(place))).sum();
    usize::from(block.log_pieces(id, ALL_TIME, &LogDeleted::default()).is_err()) + pages
}

fn samples() -> (BlockRow, Values) {
    let values = Arc::new(Mutex::new(Values::new()));
    let mut writer = BlockWriter::new(BlockSink::new(&values), TimeRange::of_day(0), 0);
    for i in 0..12u32 {
        let mut samples = SeriesSamples::default();
        // Of one the column has two parts.
        for at in 0..if i == 3 { 250u32 } else { 20 } {
            let when = i64::from(at * 1000 + i);
            if i % 3 == 1 && at > 12 {
                samples.push_histogram(when, Arc::new(histogram(at, i == 4)));
            } else {
                samples.push(when, f64::from(at) * if i == 2 { 0.137 } else { 1.5 });
            }
            if i % 4 == 0 {
                samples.set_last_start(when - 7);
            }
        }
        let (name, host) = (format!("m{}", i % 6 / 2), format!("host-{i:02}"));
        let labels = [("__name__", name.as_str()), ("instance", host.as_str())];
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", "ab")]),
            timestamp_ms: 5,
            value: 0.5,
        };
        let exemplars = if i % 2 == 0 { vec![exemplar] } else { Vec::new() };
        writer.push(TENANTS[(i / 6) as usize], &labels, &samples, &exemplars).expect("in order");
    }
    let row = writer.finish().expect("it is written");
    let values = values.lock().expect("one thread").clone();
    (row, values)
}

fn histogram(seed: u32, float: bool) -> Histogram {
    let counts = if float {
        HistogramCounts::Float {
            count: f64::from(seed) + 0.5,
            zero_count: 0.0,
            positive: vec![0.25, f64::from(seed)],
            negative: Vec::new(),
        }
    } else {
        HistogramCounts::Integer {
            count: u64::from(seed),
            zero_count: 1,
            positive: vec![i64::from(seed), 3],
            negative: Vec::new(),
        }
    };
    Histogram {
        schema: 1,
        sum: f64::from(seed) / 10.0,
        zero_threshold: 1e-128,
        reset_hint: CounterResetHint::Unknown,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts,
    }
}

fn entries() -> (BlockRow, Values) {
    let values = Arc::new(Mutex::new(Values::new()));
    let mut writer = LogBlockWriter::new(BlockSink::new(&values), TimeRange::of_day(0), 0);
    for i in 0..6i64 {
        let mut rows = Rows::default();
        for at in 0..10 {
            let line = format!("line {at} of {i} took {} ms", at * 37 % 11);
            let id = format!("{:032x}", at * 77);
            rows.push(at * 1_000_000 + i, line.as_bytes(), [("trace_id", id.as_str())].into_iter());
        }
        let page = Page::encode(&mut rows).expect("it is small").expect("it has rows");
        let host = format!("host-{i}");
        let labels = [("app", "a"), ("instance", host.as_str())];
        let tenant = TENANTS[usize::from(i >= 3)];
        let written = writer.push(tenant, &labels, [Ok(page)], &mut |_, error| Err(error));
        written.expect("in order");
    }
    let row = writer.finish().expect("it is written");
    let values = values.lock().expect("one thread").clone();
    (row, values)
}
