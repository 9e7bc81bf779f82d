//! Reading a block that promtool 2.42 wrote (three series of 130 floats), whole and damaged; chunks
//! of histograms of every form; any bytes.

use std::collections::HashSet;

use proptest::prelude::*;

use super::chunks::{Points, Segment};
use super::histogram::{Counts, HistogramPoints};
use super::index::Index;
use super::message::Message;
use super::meta::Meta;
use super::tombstones::Tombstones;
use super::{Point, TsdbError};
use crate::proto::write_v1::{BucketSpan, Count, Histogram, ZeroCount};

const INDEX: &[u8] = include_bytes!("fixture/index");
const CHUNKS: &[u8] = include_bytes!("fixture/chunks");
const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Labels, time and bits of a sample.
type Found = (String, i64, u64);

/// Everything that can be read of a block, and the number of errors.
fn read(index: &[u8], chunks: &[u8]) -> Result<(Vec<Found>, usize), TsdbError> {
    let (mut found, mut errors) = (Vec::new(), 0);
    let mut index = Index::open(index.to_vec())?;
    let mut segment = Segment::open(chunks.to_vec())?;
    while let Some(series) = index.next() {
        let Ok(series) = series else {
            errors += 1;
            continue;
        };
        for place in &series.chunks {
            let Ok(points) = segment.chunk(place.offset) else {
                errors += 1;
                continue;
            };
            for point in points {
                match point {
                    Ok(Point::Float { timestamp_ms, value }) => {
                        let labels = format!("{:?}", series.labels);
                        found.push((labels, timestamp_ms, value.to_bits()));
                    }
                    _ => errors += 1,
                }
            }
        }
    }
    Ok((found, errors))
}

#[test]
fn a_block_is_read() {
    let mut index = Index::open(INDEX.to_vec()).expect("it is whole");
    let series = index.next().expect("there are three").expect("it is whole");
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(series.labels, [label("__name__", "up"), label("job", "a")]);
    assert_eq!((series.chunks[0].start_ms, series.chunks[0].segment), (1_790_000_000_000, 0));
    let (found, errors) = read(INDEX, CHUNKS).expect("it is whole");
    assert_eq!((found.len(), errors), (390, 0));
    assert!(found.iter().any(|(labels, _, _)| labels.contains("ü")));
    assert!(found.iter().any(|(.., bits)| *bits == 1), "the smallest float");
    assert!(found.iter().any(|(.., bits)| *bits == (-0.0_f64).to_bits()));
    let series: Vec<_> = found.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect();
    assert_eq!(series, [130; 3]);
}

#[test]
fn what_is_not_read_is_named() {
    let text = |error: TsdbError| error.to_string();
    let mut old = INDEX.to_vec();
    old[4] = 1;
    let error = Index::open(old).map(drop).map_err(text);
    assert_eq!(error, Err("index has version [1], only 2 is read".to_owned()));
    let error = Points::new(4, &[]).map(drop).map_err(text).expect_err("it is not known");
    assert!(error.starts_with("chunk has encoding 4; 1 (XOR), 2 (histogram)"), "{error}");
    let meta = br#"{"version":1,"minTime":1,"maxTime":5,"stats":{"numSeries":3},"x":{}}"#;
    let meta = Meta::read(meta).expect("it is whole");
    assert_eq!((meta.start_ms, meta.end_ms, meta.stats.series), (1, 5, 3));
    let error = Meta::read(br#"{"version":2,"minTime":1,"maxTime":5}"#).map_err(text);
    assert_eq!(error, Err("block has version 2, only 1 is read".to_owned()));
}

#[test]
fn tombstones_are_read() {
    // Series 5 from -1 to 2, and from 4 to 4.
    let stones = [5, 1, 4, 5, 8, 8];
    let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
    file.extend(stones);
    file.extend(crc32c::crc32c(&stones).to_be_bytes());
    let read = Tombstones::read(&file).expect("it is whole");
    assert_eq!(read.of(5), [(-1, 2), (4, 4)]);
    assert!(read.of(6).is_empty());
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        assert!(Tombstones::read(&damaged).is_err(), "byte {at}");
        assert!(Tombstones::read(&file[..at]).is_err(), "cut at {at}");
    }
}

/// Writes bits, the highest first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u64, count: u32) {
        self.0.extend((0..count).rev().map(|place| value >> place & 1 == 1));
    }

    /// With the width number `width`.
    fn varbit(&mut self, value: u64, width: usize) {
        for _ in 0..width {
            self.put(1, 1);
        }
        if width < 8 {
            self.put(0, 1);
        }
        self.put(value, WIDTHS[width]);
    }

    fn uint(&mut self, value: u64) {
        let width = WIDTHS.iter().position(|w| *w == 64 || value < 1 << w).expect("64 bits fit");
        self.varbit(value, width);
    }

    fn int(&mut self, value: i64) {
        let fits = |w: u32| {
            w == 64
                || (w == 0 && value == 0)
                || (w > 0 && (1 - (1_i64 << (w - 1))..=1 << (w - 1)).contains(&value))
        };
        let width = WIDTHS.iter().position(|w| fits(*w)).expect("64 bits fit");
        self.varbit(value.cast_unsigned(), width);
    }

    fn float(&mut self, value: f64) {
        self.put(value.to_bits(), 64);
    }

    /// With all 64 bits, unless the value is the one before.
    fn xor(&mut self, value: f64, before: f64) {
        let xor = value.to_bits() ^ before.to_bits();
        self.put(u64::from(xor != 0), 1);
        if xor != 0 {
            self.put(0b1, 1);
            self.put(0, 11);
            self.put(xor, 64);
        }
    }

    fn finish(&self) -> Vec<u8> {
        let byte =
            |bits: &[bool]| (0..8).fold(0, |b, i| b << 1 | u8::from(bits.get(i) == Some(&true)));
        self.0.chunks(8).map(byte).collect()
    }
}

/// What a chunk has: time, number, zero bucket, sum, buckets (two positive ones, a negative one).
type Row = (i64, u64, u64, f64, [i64; 3]);

fn layout(flags: u64, rows: usize, schema: i32, bounds: &[f64]) -> Bits {
    let mut bits = Bits::default();
    bits.put(rows as u64, 16);
    bits.put(flags, 8);
    // 2^-2 is 1 more than 2^-3, and 1 stands for 2^-243.
    bits.put(if schema == -53 { 0 } else { 242 }, 8);
    bits.int(i64::from(schema));
    bits.uint(1);
    bits.uint(2);
    bits.int(-1);
    bits.uint(1);
    bits.uint(1);
    bits.int(7);
    if schema == -53 {
        bits.uint(bounds.len() as u64);
        for bound in bounds {
            let thousandths = bound * 1000.0;
            if (0.0..=33_554_430.0).contains(&thousandths)
                && thousandths.fract() == 0.0
                && bound.is_sign_positive()
            {
                bits.uint(thousandths as u64 + 1);
            } else {
                bits.put(0, 1);
                bits.float(*bound);
            }
        }
    }
    bits
}

fn expected(row: &Row, flags: u64, schema: i32, bounds: &[f64], counts: Counts) -> Histogram {
    let (timestamp, number, zero, sum, [a, b, c]) = *row;
    let mut wanted = Histogram {
        sum: Some(sum),
        schema,
        zero_threshold: if schema == -53 { 0.0 } else { 0.25 },
        positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
        negative_spans: vec![BucketSpan { offset: 7, length: 1 }],
        custom_values: bounds.to_vec(),
        reset_hint: if flags == 0xc0 { 3 } else { 0 },
        timestamp,
        ..Histogram::default()
    };
    match counts {
        Counts::Integer => {
            wanted.count = Some(Count::Integer(number));
            wanted.zero_count = Some(ZeroCount::Integer(zero));
            (wanted.positive_deltas, wanted.negative_deltas) = (vec![a, b], vec![c]);
        }
        Counts::Float => {
            wanted.count = Some(Count::Float(number as f64));
            wanted.zero_count = Some(ZeroCount::Float(zero as f64));
            let float = |value: i64| value as f64;
            (wanted.positive_counts, wanted.negative_counts) =
                (vec![float(a), float(b)], vec![float(c)]);
        }
    }
    wanted
}

fn encode(rows: &[Row], mut bits: Bits, counts: Counts) -> Vec<u8> {
    let mut before: Option<&Row> = None;
    let mut changes = [0_i64; 6];
    for row in rows {
        let columns = |row: &Row| {
            let [a, b, c] = row.4;
            [row.0, row.1.cast_signed(), row.2.cast_signed(), a, b, c]
        };
        let now = columns(row);
        let old = before.map_or([0; 6], columns);
        for (i, (new, old)) in now.iter().zip(old).enumerate() {
            if i == 3 {
                match before {
                    None => bits.float(row.3),
                    Some(before) => bits.xor(row.3, before.3),
                }
            }
            let change = new.wrapping_sub(old);
            match (before.is_some(), counts == Counts::Integer || i == 0) {
                (false, true) if (1..3).contains(&i) => bits.uint(new.cast_unsigned()),
                (false, true) => bits.int(*new),
                (false, false) => bits.float(*new as f64),
                (true, true) => bits.int(change.wrapping_sub(changes[i])),
                (true, false) => bits.xor(*new as f64, old as f64),
            }
            changes[i] = if before.is_some() { change } else { 0 };
        }
        before = Some(row);
    }
    bits.finish()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let small = || prop_oneof![-9_i64..9, -70_000_i64..70_000, any::<i64>().prop_map(|v| v >> 12)];
    let count = || small().prop_map(i64::unsigned_abs);
    let row = (any::<i64>(), count(), count(), -1e9..1e9, [small(), small(), small()]);
    prop::collection::vec(row, 0..20)
}

proptest! {
    #[test]
    fn histograms_are_read_as_they_were_written(
        rows in rows(),
        flags in prop::sample::select(vec![0_u64, 0x40, 0x80, 0xc0]),
        bounds in prop::option::of(prop::collection::vec(
            prop_oneof![(0_i32..9_000_000).prop_map(|n| f64::from(n) / 1000.0), any::<f64>()], 0..9,
        )),
    ) {
        let (schema, bounds) = bounds.map_or((5, Vec::new()), |bounds| (-53, bounds));
        for counts in [Counts::Integer, Counts::Float] {
            let data = encode(&rows, layout(flags, rows.len(), schema, &bounds), counts);
            let read: Result<Vec<Point>, _> =
                HistogramPoints::new(&data, counts).expect("a whole head").collect();
            let wanted = rows.iter().map(|row| expected(row, flags, schema, &bounds, counts));
            let wanted: Vec<Point> = wanted.map(|h| Point::Histogram(Box::new(h))).collect();
            prop_assert_eq!(format!("{:?}", read.expect("it is whole")), format!("{wanted:?}"));
        }
    }

    #[test]
    fn floats_are_read_as_they_were_written(
        samples in prop::collection::vec((any::<i64>().prop_map(|t| t >> 3), any::<u64>()), 0..50),
        interval in 1_i64..100_000,
    ) {
        for spread in [0, 3, 14, 40] {
            let times: Vec<i64> = samples.iter().zip(0..)
                .map(|((jitter, _), i)| i * interval + (jitter & ((1 << spread) - 1))).collect();
            let values: Vec<f64> = samples.iter()
                .map(|(_, bits)| f64::from_bits(bits >> (spread % 13) << (spread % 7))).collect();
            let data = crate::remote_read::encode_xor(&times, &values);
            let points = Points::new(1, &data).expect("a whole head");
            let read: Vec<(i64, u64)> = points.map(|point| match point {
                Ok(Point::Float { timestamp_ms, value }) => (timestamp_ms, value.to_bits()),
                other => panic!("{other:?}"),
            }).collect();
            let values = values.iter().map(|value| value.to_bits());
            prop_assert_eq!(read, times.into_iter().zip(values).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_left_of_a_damaged_block_is_true(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
        in_index in any::<bool>(),
    ) {
        let (mut index, mut chunks) = (INDEX.to_vec(), CHUNKS.to_vec());
        let file = if in_index { &mut index } else { &mut chunks };
        for (at, bit) in flips {
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let whole: HashSet<_> = read(INDEX, CHUNKS).expect("it is whole").0.into_iter().collect();
        if let Ok((found, errors)) = read(&index, &chunks) {
            prop_assert!(found.iter().all(|sample| whole.contains(sample)));
            prop_assert!(found.len() == whole.len() || errors > 0 || in_index);
        }
    }

    #[test]
    fn any_bytes_are_a_chunk_or_an_error(
        encoding in 0_u8..8,
        data in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if let Ok(points) = Points::new(encoding, &data) {
            let mut message = Message::default();
            message.open(&[("__name__".to_owned(), "x".to_owned())]).expect("it is small");
            for point in points.take(2_000).flatten() {
                message.push(&point).expect("it is small");
            }
            message.close().expect("it is small");
        }
    }
}
