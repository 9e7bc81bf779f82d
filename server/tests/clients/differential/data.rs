//! The samples both servers get: gauges, counters that reset, classic histograms, with gaps, NaN,
//! infinities and staleness markers.
//!
//! Samples lie a few milliseconds beside multiples of 250 ms and never on one, queries ask at
//! multiples of 500 ms with ranges of whole milliseconds times 250: so no sample is on the edge of
//! a window, where Prometheus 2 and 3 differ. Values of gauges and counters are multiples of 1/4,
//! so that their sums are exact in any order. Counters stay far from zero: how close to zero a
//! counter may be extrapolated changed between 2.42 and 3.

use ephemeris_ingest::proto::write_v1::{Label, Sample, TimeSeries, WriteRequest};
use ephemeris_model::stale_nan;
use prost::Message;

use super::random::Random;

/// Distance of samples.
const INTERVAL_MS: i64 = 15_000;
/// Samples of a series, but for its gaps.
const SAMPLES: i64 = 160;
/// How long the data is.
pub(crate) const SPAN_MS: i64 = INTERVAL_MS * SAMPLES;
/// Bounds of the classic histograms.
pub(crate) const BOUNDS: [&str; 6] = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];

/// Every series from `start_ms` on, as bodies of remote write, oldest first.
pub(crate) fn bodies(start_ms: i64, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut all = Vec::new();
    for job in ["a", "b", "c"] {
        for instance in ["0", "1", "2", "3"] {
            let labels = [("job", job), ("instance", instance)];
            all.push(("gauge", labels.to_vec(), gauge(&mut random)));
            all.push(("up", labels.to_vec(), up(&mut random)));
            all.push(("distinct", labels.to_vec(), distinct(&mut random, all.len())));
            all.push(("sparse", labels.to_vec(), sparse(&mut random)));
            if instance != "3" {
                let version = ["1.0", "1.1"][random.below(2)];
                let info = [labels[0], labels[1], ("version", version)];
                all.push(("build_info", info.to_vec(), steady(1.0)));
                for code in ["200", "500"] {
                    let labels = [labels[0], labels[1], ("code", code)];
                    all.push(("requests_total", labels.to_vec(), counter(&mut random)));
                }
            }
        }
        histogram(&mut random, job, &mut all);
    }
    all.push(("special", vec![("kind", "inf")], special(&mut random)));
    all.push(("special", vec![("kind", "negative")], steady(-2.5)));
    all.push(("special", vec![("kind", "epoch")], steady(1_700_000_000.0)));
    in_time(start_ms, &mut random, &all)
}

/// Values by number of the interval.
type Values = Vec<(i64, f64)>;
type Series = (&'static str, Vec<(&'static str, &'static str)>, Values);

/// Splits series by time: Prometheus takes no sample far behind its newest.
fn in_time(start_ms: i64, random: &mut Random, all: &[Series]) -> Vec<Vec<u8>> {
    let offsets: Vec<i64> =
        all.iter().map(|_| i64::try_from(random.below(240)).expect("small") + 5).collect();
    let body = |from: i64| {
        let mut request = WriteRequest::default();
        for ((name, labels, values), offset) in all.iter().zip(&offsets) {
            let mut pairs = vec![("__name__", *name)];
            pairs.extend(labels);
            pairs.sort_unstable();
            let samples: Vec<Sample> = values
                .iter()
                .filter(|(at, _)| (from..from + 40).contains(at))
                .map(|(at, value)| Sample::new(start_ms + at * INTERVAL_MS + offset, *value))
                .collect();
            if !samples.is_empty() {
                let labels = pairs.iter().map(|(name, value)| Label::new(*name, *value)).collect();
                request.timeseries.push(TimeSeries { labels, samples, ..TimeSeries::default() });
            }
        }
        let message = request.encode_to_vec();
        snap::raw::Encoder::new().compress_vec(&message).expect("a small message")
    };
    (0..SAMPLES).step_by(40).map(body).collect()
}

/// A multiple of 1/4 below `end`.
fn quarters(random: &mut Random, end: usize) -> f64 {
    f64::from(u32::try_from(random.below(end * 4)).expect("small")) / 4.0
}

/// Leaves out runs of samples, some of them behind a staleness marker.
fn with_gaps(random: &mut Random, values: Values) -> Values {
    let mut kept = Vec::new();
    let mut missing = 0;
    for (at, value) in values {
        if missing > 0 {
            missing -= 1;
        } else if random.once_in(40) {
            missing = random.below(30);
            if random.once_in(2) {
                kept.push((at, stale_nan()));
            }
        } else {
            kept.push((at, value));
        }
    }
    kept
}

fn gauge(random: &mut Random) -> Values {
    let value = |random: &mut Random| match random.below(30) {
        0 => f64::NAN,
        1 => 0.0,
        _ => quarters(random, 1000) - 200.0,
    };
    let values = (0..SAMPLES).map(|at| (at, value(random))).collect();
    with_gaps(random, values)
}

fn up(random: &mut Random) -> Values {
    let values = (0..SAMPLES).map(|at| (at, f64::from(u8::from(!random.once_in(6))))).collect();
    with_gaps(random, values)
}

/// Values no other series of this metric has, so that `topk` has no ties.
fn distinct(random: &mut Random, index: usize) -> Values {
    let index = f64::from(u32::try_from(index).expect("small"));
    let values = (0..SAMPLES).map(|at| (at, quarters(random, 500).floor() * 1024.0 + index));
    values.collect()
}

/// A sample every few minutes, some of them further apart than the lookback.
fn sparse(random: &mut Random) -> Values {
    let mut values = Vec::new();
    let mut at = 0;
    while at < SAMPLES {
        values.push((at, quarters(random, 100)));
        at += i64::try_from(random.below(28)).expect("small") + 1;
    }
    values
}

/// Starts at 3000 and is reset to 500 once: so no window extrapolates down to zero, wherever its
/// gaps and the reset are.
fn counter(random: &mut Random) -> Values {
    let reset_at = i64::try_from(random.below(120)).expect("small") + 20;
    let mut value = 3000.0;
    let mut values = Vec::new();
    for at in 0..SAMPLES {
        value = if at == reset_at { 500.0 } else { value + quarters(random, 10) };
        values.push((at, value));
    }
    with_gaps(random, values)
}

fn steady(value: f64) -> Values {
    (0..SAMPLES).map(|at| (at, value)).collect()
}

fn special(random: &mut Random) -> Values {
    let choices = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 1e300, 5e-324];
    (0..SAMPLES).map(|at| (at, choices[random.below(choices.len())])).collect()
}

fn histogram(random: &mut Random, job: &'static str, all: &mut Vec<Series>) {
    let mut counts = [1000.0_f64; 6];
    let mut columns: [Values; 8] = std::array::from_fn(|_| Vec::new());
    let mut sum = 4000.0;
    for at in 0..SAMPLES {
        for bucket in 0..6 {
            let more = quarters(random, 8).floor();
            sum += more;
            counts[bucket..].iter_mut().for_each(|count| *count += more);
        }
        for (column, count) in columns.iter_mut().zip(counts) {
            column.push((at, count));
        }
        columns[6].push((at, sum));
        columns[7].push((at, counts[5]));
    }
    let mut columns = columns.into_iter();
    for (bound, column) in BOUNDS.into_iter().zip(columns.by_ref()) {
        all.push(("latency_bucket", vec![("job", job), ("le", bound)], column));
    }
    for (name, column) in ["latency_sum", "latency_count"].into_iter().zip(columns) {
        all.push((name, vec![("job", job)], column));
    }
}
