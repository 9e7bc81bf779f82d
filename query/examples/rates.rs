//! Times `sum by (plane) (rate(x[5m]))` and its kind over samples in memory: what a query costs
//! without storage. `cargo run --release -p ephemeris-query --example rates [THREADS [TEXT]]`;
//! with a text only the queries that hold it run.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use ephemeris_model::{
    Exemplar, Labels, Matcher, Metadata, SampleBuffer, Select, SeriesSet, Source, SourceError,
    TimeRange, TimestampMs,
};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, EngineOptions, RangeQuery};
use ephemeris_query::promql::parse::parse;

const SERIES: usize = 6_400;
const STEPS: i64 = 240;
const STEP_MS: i64 = 15_000;
const ROUNDS: usize = 9;

/// Series of one metric, all with samples at the same times.
struct Memory {
    series: Vec<(Labels, SampleBuffer)>,
}

impl Memory {
    fn new() -> Self {
        let series = (0..SERIES).map(|i| {
            let labels = Labels::from_pairs([
                ("__name__".to_owned(), "x_total".to_owned()),
                ("instance".to_owned(), format!("satellite-{i:05}:9100")),
                ("job".to_owned(), "satellite".to_owned()),
                ("plane".to_owned(), format!("{:02}", i % 72)),
                ("shell".to_owned(), (i % 5).to_string()),
                ("antenna".to_owned(), (i % 4).to_string()),
                ("version".to_owned(), "2026.31".to_owned()),
            ]);
            let mut samples = SampleBuffer::default();
            let mut value = 0.0;
            for step in 0..STEPS + 20 {
                value += ((i * 31 + step as usize * 17) % 97) as f64;
                samples.push((step - 20) * STEP_MS, value);
            }
            (labels, samples)
        });
        Self { series: series.collect() }
    }
}

struct All<'a>(&'a Memory);

impl SeriesSet for All<'_> {
    fn len(&self) -> usize {
        self.0.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0.series[index].0.clone()
    }

    fn read(
        &self,
        indices: Range<usize>,
        _: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        indices.into_iter().try_for_each(|i| visit(i, &self.0.series[i].1))
    }
}

impl Source for Memory {
    fn select(&self, _: &Select) -> Result<Arc<dyn SeriesSet + '_>, SourceError> {
        Ok(Arc::new(All(self)))
    }

    fn label_names(&self, _: &[Vec<Matcher>], _: TimeRange) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Vec<Matcher>],
        _: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn metadata(&self, _: Option<&str>) -> Result<Vec<Metadata>, SourceError> {
        Ok(Vec::new())
    }

    fn exemplars(
        &self,
        _: &[Vec<Matcher>],
        _: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        Ok(Vec::new())
    }
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let memory = Memory::new();
    let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
    let queries = [
        "sum by (plane) (rate(x_total[5m]))",
        "sum by (plane) (x_total)",
        "rate(x_total[5m])",
        "avg_over_time(x_total[5m])",
        "quantile_over_time(0.9, x_total[1h])",
        "topk(10, rate(x_total[5m]))",
        "x_total / on (instance) x_total",
        "x_total > x_total",
        "x_total * on (plane) group_left () sum by (plane) (x_total)",
        "count(x_total)",
        "max_over_time(rate(x_total[5m])[30m:1m])",
        "quantile by (plane) (0.9, x_total)",
    ];
    let range = RangeQuery {
        start: TimestampMs(0),
        end: TimestampMs((STEPS - 1) * STEP_MS),
        step_ms: STEP_MS,
    };
    for query in queries.into_iter().filter(|query| query.contains(&wanted)) {
        let expr = parse(query).expect("the query is valid");
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let budget = Budget::new(BudgetLimits::default());
                let start = Instant::now();
                let answer = engine.range(&memory, query, &expr, range, &budget);
                answer.expect("the query has an answer");
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{:8.2} ms, at best {:8.2}  {query}", times[ROUNDS / 2], times[0]);
    }
}
