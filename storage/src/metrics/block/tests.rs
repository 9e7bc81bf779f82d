//! Blocks against the plain data they were written from, whole and damaged.

mod damage;
mod fixture;
mod roundtrip;
mod sizes;

use std::sync::Arc;

use ephemeris_model::{
    CounterResetHint, Exemplar, Histogram, HistogramCounts, Labels, Span, TimeRange, TimestampMs,
    stale_nan,
};
use proptest::prelude::*;

use super::*;
use crate::catalog::{BlockId, BlockRow};
use crate::metrics::samples::{SampleRef, SeriesSamples};
use crate::rocks::Rocks;
use crate::series::{TenantId, series_order};

/// A series as it goes into a block.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) tenant: TenantId,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: SeriesSamples,
    pub(crate) exemplars: Vec<Exemplar>,
}

impl Series {
    pub(crate) fn labels(&self) -> Vec<(&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Brings series into the order of blocks; of equal label sets the first stays.
pub(crate) fn in_order(mut all: Vec<Series>) -> Vec<Series> {
    let order = |a: &Series, b: &Series| {
        a.tenant.cmp(&b.tenant).then_with(|| series_order(&a.labels(), &b.labels()))
    };
    all.sort_by(order);
    all.dedup_by(|a, b| order(a, b).is_eq());
    all
}

/// Writes and opens a block of day 0.
pub(crate) fn write(rocks: &Arc<Rocks>, id: u32, level: u8, all: &[Series]) -> Arc<Block> {
    let row = write_row(rocks, id, level, all);
    Block::open(rocks, row).expect("it was written")
}

fn write_row(rocks: &Arc<Rocks>, id: u32, level: u8, all: &[Series]) -> BlockRow {
    let sink = rocks.block_sink(BlockId(id)).expect("the file is created");
    let mut writer = BlockWriter::new(sink, TimeRange::of_day(0), level);
    for series in all {
        let Series { tenant, samples, exemplars, .. } = series;
        writer.push(*tenant, &series.labels(), samples, exemplars).expect("it is in order");
    }
    let row = writer.finish().expect("it is written");
    rocks.ingest(BlockId(id)).expect("it is taken in");
    row
}

/// All bits of samples, as far as they can be told apart.
pub(crate) fn bits(samples: &SeriesSamples) -> Vec<(i64, u64, Option<String>, i64)> {
    let one = |s: SampleRef<'_>| {
        let text = s.histogram.map(|h| format!("{h:?} {:x}", h.sum.to_bits()));
        (s.timestamp, if text.is_some() { 0 } else { s.value.to_bits() }, text, s.start)
    };
    samples.iter().map(one).collect()
}

pub(crate) fn exemplar_bits(all: &[Exemplar]) -> Vec<(String, i64, u64)> {
    let one = |e: &Exemplar| (e.labels.to_string(), e.timestamp_ms, e.value.to_bits());
    all.iter().map(one).collect()
}

fn histogram(seed: u32, float: bool) -> Arc<Histogram> {
    let n = u64::from(seed % 50);
    let bucket = i64::from(seed % 50);
    Arc::new(Histogram {
        schema: i32::try_from(seed % 3).expect("small"),
        sum: f64::from(seed) / 10.0,
        zero_threshold: 1e-128,
        reset_hint: CounterResetHint::from_number(n % 4),
        positive_spans: vec![Span { offset: 1, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: if float {
            HistogramCounts::Float {
                count: f64::from(seed) + 0.5,
                zero_count: 0.0,
                positive: vec![0.25, f64::from(seed)],
                negative: Vec::new(),
            }
        } else {
            HistogramCounts::Integer {
                count: n,
                zero_count: 1,
                positive: vec![bucket, -bucket],
                negative: Vec::new(),
            }
        },
    })
}

/// Samples of one series inside day 0.
pub(crate) fn samples() -> impl Strategy<Value = SeriesSamples> {
    let value = prop_oneof![
        (-500i32..500).prop_map(|n| f64::from(n) / 10.0),
        any::<u64>().prop_map(f64::from_bits),
        Just(stale_nan()),
        Just(-0.0),
    ];
    let sample = (0i64..4000, value, 0u32..10, any::<u32>());
    (proptest::collection::vec(sample, 0..40), 1i64..3, 0u8..4).prop_map(|(rows, step, kind)| {
        let mut samples = SeriesSamples::default();
        let mut at = rows.first().map_or(0, |row| row.0);
        for (gap, value, choice, seed) in rows {
            at += 1000 * step + if choice == 0 { gap } else { 0 };
            if kind > 1 && (kind == 3 || choice < 4) {
                samples.push_histogram(at, histogram(seed, choice == 1));
            } else {
                samples.push(at, value);
            }
            // With floats, histograms and both.
            if seed % 3 == 0 && choice > 5 {
                samples.set_last_start(at - 500);
            }
        }
        samples
    })
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let one =
        (0i64..4000, any::<u64>(), "[a-f]{0,4}").prop_map(|(timestamp_ms, bits, id)| Exemplar {
            labels: Labels::from_pairs([("trace_id", id)]),
            timestamp_ms,
            value: f64::from_bits(bits),
        });
    proptest::collection::vec(one, 0..3).prop_map(|mut all| {
        all.sort_by_key(|exemplar| exemplar.timestamp_ms);
        all
    })
}

/// Series of a few tenants; label values are shared by many.
pub(crate) fn series_list() -> impl Strategy<Value = Vec<Series>> {
    let labels = ("m[0-3]", proptest::option::of("a|b"), proptest::option::of("[0-9]{1,2}"));
    let one = (0u32..3, labels, samples(), exemplars());
    proptest::collection::vec(one, 0..60).prop_map(|rows| {
        let build = |(tenant, (name, job, instance), samples, exemplars)| {
            let pairs =
                [("__name__", Some(name)), ("instance", instance), ("job", job)].into_iter();
            let labels =
                pairs.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            Series { tenant: TenantId(tenant), labels, samples, exemplars }
        };
        in_order(rows.into_iter().map(build).collect())
    })
}

/// Everything a block answers about a tenant, as text; errors and damage as they come.
pub(crate) fn everything(block: &Block, tenant: TenantId, damage: &mut Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let ids = match block.select(tenant, &[]) {
        Ok(ids) => ids,
        Err(error) => {
            damage.push(error.to_string());
            return lines;
        }
    };
    let mut names = std::collections::BTreeMap::new();
    let labels = block.series_labels(&ids, &mut |id, labels| {
        names.insert(id, format!("{labels:?}"));
    });
    damage.extend(labels.err().map(|error| error.to_string()));
    let ids: Vec<u32> = ids.iter().collect();
    let read = block.read(&ids, TimeRange::ALL, damage, &mut |id, samples| {
        if let Some(name) = names.get(&id) {
            lines.push(format!("{name} {:?}", bits(samples)));
        }
        Ok(())
    });
    damage.extend(read.err().map(|error| error.to_string()));
    match block.exemplars(&ids, TimeRange::ALL) {
        Ok(found) => lines.extend(found.iter().filter_map(|(id, all)| {
            names.get(id).map(|name| format!("{name} {:?}", exemplar_bits(all)))
        })),
        Err(error) => damage.push(error.to_string()),
    }
    lines
}

/// What [`everything`] should answer.
pub(crate) fn expected(all: &[Series], tenant: TenantId) -> Vec<String> {
    let mine = || all.iter().filter(|s| s.tenant == tenant);
    let with_samples = mine().filter(|s| !s.samples.is_empty());
    let samples = with_samples.map(|s| format!("{:?} {:?}", s.labels(), bits(&s.samples)));
    let with_exemplars = mine().filter(|s| !s.exemplars.is_empty());
    let exemplars =
        with_exemplars.map(|s| format!("{:?} {:?}", s.labels(), exemplar_bits(&s.exemplars)));
    samples.chain(exemplars).collect()
}

fn time(at: i64) -> TimestampMs {
    TimestampMs(at)
}
