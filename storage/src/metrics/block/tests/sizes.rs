//! Bytes a sample for the load the design is measured with.

use std::time::{Duration, Instant};

use super::*;
use crate::encoding::Input;
use crate::metrics::codec::floats;

/// A small generator of numbers that are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Of 16 metrics of a target: 5 integer counters, 3 walks of two decimals, 3 integer walks, 2 walks
/// of full precision, 2 booleans that seldom flip, 1 constant.
fn values(metric: u32, count: usize, random: &mut Random) -> Vec<f64> {
    let mut at = 1000.0 + 100.0 * random.unit();
    let rate = 10f64.powf(1.0 + 4.0 * random.unit());
    (0..count)
        .map(|_| {
            match metric {
                0..5 => at += (rate * (1.0 + 0.2 * random.normal())).round().max(0.0),
                5..11 => at += random.normal() * 2.0,
                11..13 => at += random.normal() * 3.0,
                13..15 if random.unit() < 0.01 => at = if at == 1.0 { 0.0 } else { 1.0 },
                13..15 => at = if at == 1.0 { 1.0 } else { 0.0 },
                _ => at = 42.0,
            }
            match metric {
                5..8 => (at * 100.0).round() / 100.0,
                0..5 | 8..11 => at.round(),
                _ => at,
            }
        })
        .collect()
}

/// The shortest of several runs: the machine may have other work.
fn shortest(mut run: impl FnMut()) -> Duration {
    let timed = |_| {
        let started = Instant::now();
        run();
        started.elapsed()
    };
    (0..7).map(timed).min().unwrap_or_default()
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what this is run for")]
fn the_load_of_the_design_takes_less_than_its_goal() {
    const TARGETS: u32 = 200;
    const SCRAPES: usize = 240;
    let mut random = Random(88_172_645_463_325_252);
    let mut all = Vec::new();
    for target in 0..TARGETS {
        let offset = i64::from(target * 71 % 15_000);
        for metric in 0..16 {
            let times = (0..SCRAPES).map(|i| offset + 15_000 * i64::try_from(i).expect("small"));
            let samples = SeriesSamples {
                timestamps: times.collect(),
                values: values(metric, SCRAPES, &mut random),
                ..Default::default()
            };
            let label = |name: &str, value: String| (name.to_owned(), value);
            let labels = vec![
                label("__name__", format!("telemetry_metric_{metric:02}_total")),
                label("instance", format!("node-{target:05}.fleet:9100")),
                label("job", format!("fleet-{}", target % 4)),
                label("plane", format!("p{}", target % 22)),
                label("region", format!("region-{}", target % 5)),
                label("sat", format!("S{target:05}")),
                label("shell", format!("{}", target % 3)),
            ];
            let (tenant, exemplars) = (TenantId(0), Vec::new());
            all.push(Series { tenant, labels, samples, exemplars });
        }
    }
    let all = in_order(all);
    let samples = all.len() * SCRAPES;
    let ns = |time: Duration| time.as_nanos() as f64 / samples as f64;
    let mut columns = Vec::new();
    let encode = shortest(|| {
        columns.clear();
        for series in &all {
            let mut out = Vec::new();
            floats::encode(&series.samples.values, &mut out);
            columns.push(out);
        }
    });
    let mut values = Vec::new();
    let decode = shortest(|| {
        for column in &columns {
            values.clear();
            floats::decode(&mut Input::new(column), SCRAPES, 0..SCRAPES, &mut values)
                .expect("it was encoded");
        }
    });
    println!("columns alone: encode {:.1} ns, decode {:.2} ns a sample", ns(encode), ns(decode));
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let next = std::cell::Cell::new(1);
    let written = shortest(|| {
        next.set(next.get() + 1);
        let sink = rocks.block_sink(BlockId(next.get())).expect("the file is created");
        let mut writer = BlockWriter::new(sink, TimeRange::of_day(0), 0);
        for series in &all {
            writer.push(series.tenant, &series.labels(), &series.samples, &[]).expect("in order");
        }
    });
    let block = write(&rocks, 1, 0, &all);
    let ids: Vec<u32> = (0..).take(all.len()).collect();
    let (mut damage, mut sum) = (Vec::new(), 0);
    let read = shortest(|| {
        sum = 0;
        block
            .read(&ids, TimeRange::ALL, &mut damage, &mut |_, samples| {
                sum += samples.len();
                Ok(())
            })
            .expect("whole");
    });
    assert_eq!((sum, damage.len()), (samples, 0));
    for section in 1..=11u8 {
        let mut bytes = 0;
        for number in 0.. {
            let Some(value) = rocks.get(BlockId(1), section, number).expect("whole") else { break };
            bytes += value.len();
        }
        println!("section {section}: {:.4} B a sample", bytes as f64 / samples as f64);
    }
    let bytes_per_sample = block.row().bytes as f64 / samples as f64;
    println!(
        "{bytes_per_sample:.3} B a sample; write {:.1} ns, read {:.2} ns",
        ns(written),
        ns(read)
    );
    assert!(bytes_per_sample < 1.8, "{bytes_per_sample:.3} B a sample");
}
