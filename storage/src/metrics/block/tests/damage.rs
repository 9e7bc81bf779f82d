//! A damaged value is reported, whatever bit of it changed; it never panics, and what is answered
//! beside the report is right.

use super::*;
use crate::envelope::section;
use crate::error::ErrorKind;

pub(super) const TENANTS: [TenantId; 2] = [TenantId(0), TenantId(2)];

/// Every value of a block by section and number.
pub(super) fn values(rocks: &Rocks, id: BlockId) -> Vec<(u8, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for section in section::VALUES..=section::MANIFEST {
        for number in 0.. {
            let Some(value) = rocks.get(id, section, number).expect("it is whole") else { break };
            all.push((section, number, value.to_vec()));
        }
    }
    all
}

/// A block with something in every section.
pub(super) fn varied() -> Vec<Series> {
    let mut all = Vec::new();
    for i in 0..12u32 {
        let mut samples = SeriesSamples::default();
        for at in 0..30 {
            let when = i64::from(at * 1000 + i);
            if i % 3 == 1 && at > 5 {
                samples.push_histogram(when, histogram(at, i == 4));
            } else {
                samples.push(when, f64::from(at) * 1.1);
            }
            if i % 4 == 0 {
                samples.set_last_start(when - 7);
            }
        }
        let labels = vec![
            ("__name__".to_owned(), format!("m{}", i % 3)),
            ("instance".to_owned(), format!("host-{i}")),
        ];
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", "ab")]),
            timestamp_ms: 5,
            value: 0.5,
        };
        let exemplars = if i % 2 == 0 { vec![exemplar] } else { Vec::new() };
        all.push(Series { tenant: TENANTS[(i / 6) as usize], labels, samples, exemplars });
    }
    in_order(all)
}

/// Writes a copy of a block with one value changed, asks it everything, and removes it.
struct Changed<'a> {
    rocks: Arc<Rocks>,
    values: Vec<(u8, u32, Vec<u8>)>,
    row: BlockRow,
    all: &'a [Series],
    next: u32,
}

impl Changed<'_> {
    /// `None` leaves the value out.
    fn check(&mut self, at: usize, changed: Option<&[u8]>) {
        self.next += 1;
        let id = BlockId(self.next);
        let mut sink = self.rocks.block_sink(id).expect("the file is created");
        for (i, (section, number, bytes)) in self.values.iter().enumerate() {
            let bytes = if i == at { changed } else { Some(&bytes[..]) };
            if let Some(bytes) = bytes {
                sink.put(*section, *number, bytes).expect("it is in order");
            }
        }
        sink.finish().expect("it is written");
        self.rocks.ingest(id).expect("it is taken in");
        let mut row = self.row.clone();
        row.id = id;
        let value = (self.values[at].0, self.values[at].1);
        match Block::open(&self.rocks, row) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{value:?}: {error}"),
            Ok(block) => self.check_answers(&block, value),
        }
        self.rocks.delete_block(id).expect("it is deleted");
    }

    fn check_answers(&self, block: &Block, value: (u8, u32)) {
        let mut damage = Vec::new();
        for tenant in TENANTS {
            let right = expected(self.all, tenant);
            for line in everything(block, tenant, &mut damage) {
                assert!(right.contains(&line), "{value:?} gives a wrong answer: {line}");
            }
            let names = block.label_values(tenant, "instance", None);
            damage.extend(names.err().map(|error| error.to_string()));
            let matchers = [
                ephemeris_model::Matcher::equal("__name__", "m1"),
                ephemeris_model::Matcher::new(
                    ephemeris_model::MatchOp::Regex,
                    "instance",
                    "host-1?",
                )
                .expect("it is valid"),
            ];
            for matcher in matchers {
                let ids = block.select(tenant, &[matcher]);
                damage.extend(ids.err().map(|error| error.to_string()));
            }
        }
        let named = format!("value {}/{}", value.0, value.1);
        assert!(damage.iter().any(|text| text.contains(&named)), "{value:?}: {damage:?}");
    }
}

#[test]
fn every_damaged_value_is_reported_and_nothing_wrong_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let all = varied();
    let row = write_row(&rocks, 1, 0, &all);
    let values = values(&rocks, BlockId(1));
    assert!((1..=8).chain([11]).all(|section| values.iter().any(|(s, ..)| *s == section)));
    let mut changed = Changed { rocks, values: values.clone(), row, all: &all, next: 1 };
    for (at, (_, _, bytes)) in values.iter().enumerate() {
        changed.check(at, None);
        for end in [0, 1, 4, bytes.len() / 2, bytes.len() - 1] {
            changed.check(at, Some(&bytes[..end]));
        }
        // A prime step, so that all positions in a byte and all parts of the value have a turn.
        for bit in (0..bytes.len() * 8).step_by(37 + bytes.len() / 8) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            changed.check(at, Some(&flipped));
        }
    }
}

/// Values whose checksum is right, but that were swapped for others of the same kind of block.
#[test]
fn values_of_another_block_do_not_panic() {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let all = varied();
    let row = write_row(&rocks, 1, 0, &all);
    write_row(&rocks, 2, 0, &all[..3]);
    let (mine, other) = (values(&rocks, BlockId(1)), values(&rocks, BlockId(2)));
    for (id, (section, number, bytes)) in (3..).zip(&other) {
        let mut sink = rocks.block_sink(BlockId(id)).expect("the file is created");
        for (s, n, own) in &mine {
            let bytes = if (s, n) == (section, number) { bytes } else { own };
            sink.put(*s, *n, bytes).expect("it is in order");
        }
        sink.finish().expect("it is written");
        rocks.ingest(BlockId(id)).expect("it is taken in");
        let mut row = row.clone();
        row.id = BlockId(id);
        if let Ok(block) = Block::open(&rocks, row) {
            for tenant in TENANTS {
                everything(&block, tenant, &mut Vec::new());
                let _ = block.label_values(tenant, "instance", None);
            }
        }
    }
}

/// Bodies changed at random and sealed with a right checksum: whatever a decoder is handed, it does
/// not panic and does not ask for more memory than there is. `EPHEMERIS_MUTATIONS` says how many.
#[test]
fn bodies_changed_under_a_right_checksum_do_not_panic() {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let row = write_row(&rocks, 1, 0, &varied());
    let values = values(&rocks, BlockId(1));
    let count = std::env::var("EPHEMERIS_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let mut random = crate::tests::random::Random::new(11);
    for id in 2..2 + count.unwrap_or(500) {
        let at = random.below(values.len() as u64) as usize;
        let mut sink = rocks.block_sink(BlockId(id)).expect("the file is created");
        for (n, (section, number, bytes)) in values.iter().enumerate() {
            if n != at {
                sink.put(*section, *number, bytes).expect("it is in order");
                continue;
            }
            let mut body = crate::envelope::open(*section, *number, bytes).expect("whole").to_vec();
            for _ in 0..=random.below(4) {
                let place = random.below(body.len() as u64) as usize;
                body[place] = random.next() as u8;
            }
            if random.chance(4) {
                body.truncate(random.below(body.len() as u64) as usize);
            }
            let zip = crate::envelope::Zip::IfSmaller;
            let sealed = crate::envelope::seal(*section, *number, &body, zip).expect("small");
            sink.put(*section, *number, &sealed).expect("it is in order");
        }
        sink.finish().expect("it is written");
        rocks.ingest(BlockId(id)).expect("it is taken in");
        let mut row = row.clone();
        row.id = BlockId(id);
        if let Ok(block) = Block::open(&rocks, row) {
            for tenant in TENANTS {
                everything(&block, tenant, &mut Vec::new());
                let _ = block.label_names(tenant, None);
                let _ = block.label_values(tenant, "instance", None);
                let _ = block.select(tenant, &[ephemeris_model::Matcher::equal("__name__", "m1")]);
            }
        }
        rocks.delete_block(BlockId(id)).expect("it is deleted");
    }
}

/// Bytes changed in the file itself, where RocksDB's own structures lie too.
#[test]
fn a_damaged_file_is_reported_and_the_others_are_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let all = varied();
    let (mut rows, mut file) = (Vec::new(), std::path::PathBuf::new());
    {
        let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
        rows.push(write_row(&rocks, 1, 0, &all));
        for entry in std::fs::read_dir(dir.path()).expect("a list") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "sst") {
                file = path;
            }
        }
        rows.push(write_row(&rocks, 2, 0, &all));
    }
    let whole = std::fs::read(&file).expect("the file is there");
    let flips = (0..whole.len()).step_by(whole.len() / 60);
    let cuts = [0, 1, whole.len() / 2, whole.len() - 1];
    for (at, is_cut) in flips.map(|at| (at, false)).chain(cuts.map(|at| (at, true))) {
        let mut changed = whole.clone();
        if is_cut {
            changed.truncate(at);
        } else {
            changed[at] ^= 0x10;
        }
        std::fs::write(&file, &changed).expect("it is written");
        let rocks =
            Arc::new(Rocks::open(dir.path()).expect("one bad file is no reason not to start"));
        let mut damage = Vec::new();
        match Block::open(&rocks, rows[0].clone()) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}"),
            Ok(block) => {
                assert!(!is_cut, "cut at {at}");
                for tenant in TENANTS {
                    let right = expected(&all, tenant);
                    let answer = everything(&block, tenant, &mut damage);
                    assert!(answer.iter().all(|line| right.contains(line)), "byte {at}");
                    assert!(answer.len() == right.len() || !damage.is_empty(), "byte {at}");
                }
            }
        }
        let other = Block::open(&rocks, rows[1].clone()).expect("it is whole");
        for tenant in TENANTS {
            assert_eq!(everything(&other, tenant, &mut Vec::new()), expected(&all, tenant));
        }
    }
    std::fs::remove_file(&file).expect("it is removed");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("a missing file is none either"));
    let error = Block::open(&rocks, rows[0].clone()).err().expect("its file is missing");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let other = Block::open(&rocks, rows[1].clone()).expect("it is whole");
    assert_eq!(other.select(TENANTS[0], &[]).expect("whole").len(), 6);
}
