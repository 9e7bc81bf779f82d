//! What each codec makes of each kind of series: bytes a sample, and nanoseconds to encode and to
//! decode one, in this process and on one thread. Every value is compared bit for bit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ephemeris_storage::encoding::{Damage, Input, put_bytes};
use ephemeris_storage::metrics::codec::{CHUNK_LEN, floats};

use crate::celestrak::Elements;
use crate::constellation::values::{self, Kind as Shape};
use crate::workload;
use crate::{BenchError, Result, fail};

/// A page ends at so many bytes, samples or series, as one of a block does.
const PAGE_BYTES: usize = 32 << 10;
const PAGE_SAMPLES: usize = 64 << 10;
const PAGE_SERIES: usize = 1024;
/// A page is zipped if that saves one byte in so many.
const ZIP_SAVES: usize = 20;
/// Runs of each codec; the fastest counts.
const RUNS: usize = 3;
/// Milliseconds from a sample to the next.
const INTERVAL_MS: i64 = 15_000;
/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Series of each generated kind.
    pub series: usize,
    /// Samples of each; a day has 5,760 at 15 s.
    pub samples: usize,
    /// Orbital elements, as `celestrak` reads them.
    pub elements: Option<PathBuf>,
}

/// Series alike: a name and the values of each.
struct Kind {
    name: String,
    columns: Vec<Vec<f64>>,
    /// How many of the 16 metrics of the load of the design are of this kind.
    share: usize,
}

/// A way to bring the columns of a page into bytes and back.
struct Codec {
    name: &'static str,
    encode: fn(&[Vec<f64>]) -> Result<Vec<u8>>,
    /// Given the bytes and the length of each column.
    decode: fn(&[u8], &[usize]) -> Result<Vec<f64>>,
}

const CODECS: [Codec; 5] = [
    Codec { name: "zstd of the bits", encode: encode_raw, decode: decode_raw },
    Codec { name: "columns", encode: encode_columns, decode: decode_columns },
    Codec { name: "page", encode: encode_page, decode: decode_page },
    Codec { name: "pco a series", encode: encode_pco, decode: decode_pco },
    Codec { name: "pco a page", encode: encode_pco_page, decode: decode_pco_page },
];
/// Places of what is written now, and of what a merge might write, among [`CODECS`].
const PAGE: usize = 2;
const PCO: usize = 4;

/// Bytes a sample, and nanoseconds a sample to encode and decode.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    bytes: f64,
    encode_ns: f64,
    decode_ns: f64,
}

/// Measures, and gives a table in markdown.
///
/// # Errors
/// If the elements cannot be read, or a value does not come back.
pub fn run(options: &Options) -> Result<String> {
    let mut kinds = generated(options);
    if let Some(path) = &options.elements {
        kinds.extend(elements(&Elements::read(path)?));
    }
    let mut out = String::from("| values | samples |");
    for codec in &CODECS {
        let _ = write!(out, " {} |", codec.name);
    }
    out.push_str("\n|---|---:|");
    out.push_str(&"---:|".repeat(CODECS.len()));
    out.push('\n');
    let mut mix = [Figures::default(); CODECS.len()];
    let shares: usize = kinds.iter().map(|kind| kind.share).sum();
    for kind in &kinds {
        let pages = pages(&kind.columns);
        let samples: usize = kind.columns.iter().map(Vec::len).sum();
        let _ = write!(out, "| {} | {samples} |", kind.name);
        for (codec, mix) in CODECS.iter().zip(&mut mix) {
            let found = measure(codec, &pages)
                .map_err(|error| BenchError(format!("{}, {}: {error}", kind.name, codec.name)))?;
            add_cell(&mut out, found);
            #[expect(clippy::cast_precision_loss, reason = "at most 16")]
            let share = kind.share as f64 / shares as f64;
            mix.bytes += share * found.bytes;
            mix.encode_ns += share * found.encode_ns;
            mix.decode_ns += share * found.decode_ns;
        }
        out.push('\n');
    }
    out.push_str("| **the load of the design** | |");
    mix.iter().for_each(|found| add_cell(&mut out, *found));
    let saved = 100.0 * (1.0 - mix[PCO].bytes / mix[PAGE].bytes);
    let slower = mix[PCO].decode_ns / mix[PAGE].decode_ns;
    let _ = writeln!(
        out,
        "\n\nEach cell: bytes a sample; ns to encode, ns to decode one. Of the load of the design {} \
         saves {saved:.1} % of {} and decodes {slower:.1} times as long.",
        CODECS[PCO].name, CODECS[PAGE].name
    );
    Ok(out)
}

fn add_cell(out: &mut String, found: Figures) {
    let Figures { bytes, encode_ns, decode_ns } = found;
    let _ = write!(out, " {bytes:.3}; {encode_ns:.1}, {decode_ns:.2} |");
}

/// The kinds of the load of the design, shapes of the constellation, and two that are told to suit
/// `pco`.
fn generated(options: &Options) -> Vec<Kind> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for (name, column) in workload::columns(options.series, options.samples) {
        let new = || Kind { name: format!("load: {name}"), columns: Vec::new(), share: 0 };
        let kind = kinds.entry(name).or_insert_with(new);
        kind.columns.extend(column);
        kind.share += 1;
    }
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    let shapes = [
        ("wave to 0.01", Shape::Orbit(20.0, 15.0)),
        ("walk to 0.1", Shape::Walk(50.0, 30.0, 0.1)),
        ("counter with resets", Shape::Counter(900)),
        ("mostly 0", Shape::Sparse(0.05, 3.0)),
        ("latency", Shape::Latency),
        ("switch", Shape::Switch(600)),
        ("random bits", Shape::Special(1e6)),
        ("steps of 12 bits", Shape::Walk(1.65, 1.0, 3.3 / 4096.0)),
    ];
    for (name, shape) in shapes {
        let column = |series: usize| {
            let at = |sample: usize| START_MS + INTERVAL_MS * i64::try_from(sample).unwrap_or(0);
            (0..options.samples).map(|i| values::value(shape, series as u64, at(i))).collect()
        };
        let columns = (0..options.series).map(column).collect();
        kinds.push(Kind { name: name.to_owned(), columns, share: 0 });
    }
    let rare = |series: usize| {
        let mut count = 0.0;
        let step = |sample: usize| {
            let drawn = workload::mix((series * options.samples + sample) as u64);
            count += f64::from(u8::from(drawn.is_multiple_of(200)));
            count
        };
        (0..options.samples).map(step).collect()
    };
    let columns = (0..options.series).map(rare).collect();
    kinds.push(Kind { name: "rare increments".to_owned(), columns, share: 0 });
    kinds
}

fn elements(elements: &Elements) -> Vec<Kind> {
    let named = |(name, columns)| Kind { name: format!("elements: {name}"), columns, share: 0 };
    elements.columns().into_iter().map(named).collect()
}

/// Neighbouring columns, as many as a page of a block takes.
fn pages(columns: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
    let mut pages = Vec::new();
    let mut page: Vec<Vec<f64>> = Vec::new();
    let (mut samples, mut bytes) = (0, 0);
    for column in columns {
        let full = bytes >= PAGE_BYTES || samples + column.len() > PAGE_SAMPLES;
        if !page.is_empty() && (full || page.len() == PAGE_SERIES) {
            pages.push(std::mem::take(&mut page));
            (samples, bytes) = (0, 0);
        }
        samples += column.len();
        bytes += columns_of(std::slice::from_ref(column)).len();
        page.push(column.clone());
    }
    pages.push(page);
    pages
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn measure(codec: &Codec, pages: &[Vec<Vec<f64>>]) -> Result<Figures> {
    let samples: usize = pages.iter().flatten().map(Vec::len).sum();
    let mut encoded = Vec::new();
    let encode = fastest(|| {
        encoded = pages.iter().map(|page| (codec.encode)(page)).collect::<Result<Vec<_>>>()?;
        Ok(())
    })?;
    let lengths: Vec<Vec<usize>> =
        pages.iter().map(|page| page.iter().map(Vec::len).collect()).collect();
    let mut decoded = Vec::new();
    let decode = fastest(|| {
        let pages = encoded.iter().zip(&lengths);
        decoded = pages.map(|(page, n)| (codec.decode)(page, n)).collect::<Result<Vec<_>>>()?;
        Ok(())
    })?;
    let wanted = pages.iter().flatten().flatten().map(|value| value.to_bits());
    if !decoded.iter().flatten().map(|value| value.to_bits()).eq(wanted) {
        return fail("values do not come back bit for bit".to_owned());
    }
    let each = |time: Duration| time.as_nanos() as f64 / samples as f64;
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    Ok(Figures {
        bytes: bytes as f64 / samples as f64,
        encode_ns: each(encode),
        decode_ns: each(decode),
    })
}

fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..RUNS {
        let started = Instant::now();
        run()?;
        fastest = fastest.min(started.elapsed());
    }
    Ok(fastest)
}

fn encode_raw(page: &[Vec<f64>]) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = page.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    Ok(zstd::bulk::compress(&bytes, 1)?)
}

fn decode_raw(bytes: &[u8], lengths: &[usize]) -> Result<Vec<f64>> {
    let bytes = zstd::bulk::decompress(bytes, 8 * lengths.iter().sum::<usize>())?;
    let (values, _) = bytes.as_chunks();
    Ok(values.iter().map(|value| f64::from_le_bytes(*value)).collect())
}

/// Each column after its length, as in a page of a block.
fn columns_of(page: &[Vec<f64>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Vec::new();
    for column in page {
        body.clear();
        floats::encode(column, &mut body);
        put_bytes(&mut out, &body);
    }
    out
}

fn encode_columns(page: &[Vec<f64>]) -> Result<Vec<u8>> {
    Ok(columns_of(page))
}

fn decode_columns(bytes: &[u8], lengths: &[usize]) -> Result<Vec<f64>> {
    let mut input = Input::new(bytes);
    // A sub-chunk is decoded whole.
    let mut out = Vec::with_capacity(lengths.iter().sum::<usize>() + CHUNK_LEN);
    for &len in lengths {
        let mut body = Input::new(input.bytes().map_err(damaged)?);
        floats::decode(&mut body, len, 0..len, &mut out).map_err(damaged)?;
    }
    Ok(out)
}

/// The columns, zipped if that saves enough; the first byte says whether.
fn encode_page(page: &[Vec<f64>]) -> Result<Vec<u8>> {
    let plain = columns_of(page);
    let zipped = zstd::bulk::compress(&plain, 1)?;
    let pays = zipped.len() + plain.len() / ZIP_SAVES < plain.len();
    let (first, rest) = if pays { (1, zipped) } else { (0, plain) };
    Ok([&[first], &rest[..]].concat())
}

fn decode_page(bytes: &[u8], lengths: &[usize]) -> Result<Vec<f64>> {
    match bytes.split_first() {
        Some((0, plain)) => decode_columns(plain, lengths),
        Some((_, zipped)) => {
            // A column of nothing but exceptions takes up to ten bytes a value.
            let most = 16 * lengths.iter().sum::<usize>() + 64 * lengths.len() + 64;
            decode_columns(&zstd::bulk::decompress(zipped, most)?, lengths)
        }
        None => fail("a page is empty".to_owned()),
    }
}

fn encode_pco(page: &[Vec<f64>]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for column in page {
        let body = compress(column)?;
        put_bytes(&mut out, &body);
    }
    Ok(out)
}

fn decode_pco(bytes: &[u8], lengths: &[usize]) -> Result<Vec<f64>> {
    let mut input = Input::new(bytes);
    let mut out = Vec::with_capacity(lengths.iter().sum());
    for _ in lengths {
        out.extend(decompress(input.bytes().map_err(damaged)?)?);
    }
    Ok(out)
}

fn encode_pco_page(page: &[Vec<f64>]) -> Result<Vec<u8>> {
    compress(&page.concat())
}

fn decode_pco_page(bytes: &[u8], _: &[usize]) -> Result<Vec<f64>> {
    decompress(bytes)
}

fn compress(values: &[f64]) -> Result<Vec<u8>> {
    let config = pco::ChunkConfig::default();
    pco::standalone::simple_compress(values, &config).map_err(|e| BenchError(e.to_string()))
}

fn decompress(bytes: &[u8]) -> Result<Vec<f64>> {
    pco::standalone::simple_decompress(bytes).map_err(|e| BenchError(e.to_string()))
}

fn damaged(damage: Damage) -> BenchError {
    BenchError(format!("what was encoded is damaged: {}", damage.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_every_kind() {
        let options = Options { series: 3, samples: 250, elements: None };
        let table = run(&options).expect("all come back");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
        // A header, a rule, six kinds of the load, nine more, and the mix.
        assert_eq!(rows.len(), 2 + 6 + 9 + 1, "{table}");
        assert!(rows.iter().all(|row| row.matches('|').count() == 3 + CODECS.len()), "{table}");
        let constant = rows.iter().find(|row| row.starts_with("| load: constant")).expect("a row");
        assert!(constant.contains("| 750 |"), "{constant}");
        let columns = vec![vec![1.0, f64::NAN], vec![-0.0; 70_000]];
        for codec in &CODECS {
            let bytes = (codec.encode)(&columns).expect("it is encoded");
            let back = (codec.decode)(&bytes, &[2, 70_000]).expect("it is decoded");
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back), bits(&columns.concat()), "{}", codec.name);
        }
    }
}
