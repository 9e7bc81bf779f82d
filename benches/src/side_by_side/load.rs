//! What is sent and asked in a scenario.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Options;
use super::questions::{Question, When};
use crate::workload::{Shape, Size, Workload};
use crate::{BenchError, Result, fail};

/// Milliseconds from scrape to scrape.
pub const INTERVAL_MS: i64 = 15_000;

/// A load with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// 102,400 series, 240 scrapes each.
    Steady,
    /// 2,000,384 series, 6 scrapes each.
    Wide,
    /// As steady, with 8 connections that query while it is sent.
    QueryStorm,
    /// As steady; killed with SIGKILL when half is sent, and started again.
    Restart,
}

/// What happens beside sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// So many connections that ask all queries in turn.
    Queries(usize),
    /// The server is killed when half is sent, and started again.
    Kill,
}

/// Bodies in files and queries for them.
#[derive(Clone, Debug)]
pub struct Load {
    /// One file for each connection.
    pub lanes: Vec<PathBuf>,
    /// What happens beside sending.
    pub beside: Beside,
    /// Series in all bodies.
    pub series_count: usize,
    /// Samples in all bodies.
    pub sample_count: usize,
    /// Bytes of all bodies.
    pub body_bytes: u64,
    /// What is asked once all is sent.
    pub questions: Vec<Question>,
    /// Queries whose values add up to the number of samples stored.
    pub counts: Vec<Question>,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Steady, Self::Wide, Self::QueryStorm, Self::Restart];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Wide => "wide",
            Self::QueryStorm => "query-storm",
            Self::Restart => "restart",
        }
    }

    /// The scenario with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|scenario| scenario.name() == name) {
            Some(scenario) => Ok(scenario),
            None => {
                let names = Self::ALL.map(Self::name).join(", ");
                fail(format!("scenario is {name:?}; there are {names}"))
            }
        }
    }
}

impl Load {
    /// Writes the bodies of a scenario to files in `dir`. They end at the last full second.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn record(options: &Options, dir: &Path) -> Result<Self> {
        let size = if options.scenario == Scenario::Wide { Size::Wide } else { Size::Steady };
        let (series, scrape_count) = size.counts();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a few millions"
        )]
        let series_count = (series as f64 * options.scale) as usize;
        let length_ms = i64::try_from(scrape_count).unwrap_or(i64::MAX) * INTERVAL_MS;
        let shape = Shape {
            series_count,
            scrape_count,
            connection_count: options.connections,
            interval_ms: INTERVAL_MS,
            start_ms: now_ms()? - length_ms,
            seed: options.seed,
        };
        let (workload, lanes) = Workload::record(&shape, dir)?;
        let end_ms = workload.last_ms.div_euclid(1000) * 1000 + 1000;
        let sizes = lanes.iter().map(|path| Ok(std::fs::metadata(path)?.len()));
        let body_bytes = sizes.sum::<Result<u64>>()?;
        Ok(Self {
            lanes,
            beside: match options.scenario {
                Scenario::Steady | Scenario::Wide => Beside::Nothing,
                Scenario::QueryStorm => Beside::Queries(8),
                Scenario::Restart => Beside::Kill,
            },
            series_count: workload.series_count,
            sample_count: workload.sample_count,
            body_bytes,
            questions: questions(scrape_count, end_ms),
            counts: counts(&shape, end_ms),
        })
    }
}

/// The query table: one metric of all satellites over the time of the load.
fn questions(scrape_count: usize, end_ms: i64) -> Vec<Question> {
    let steps = i64::try_from(scrape_count).unwrap_or(i64::MAX);
    let range = |step_ms: i64| {
        let length_ms = (steps * INTERVAL_MS).max(step_ms);
        When::Range { start_ms: end_ms - length_ms + step_ms, end_ms, step_ms }
    };
    let all = [
        (
            "sum by (plane) (rate)",
            "sum by (plane) (rate(satellite_downlink_packets_total[5m]))",
            range(INTERVAL_MS),
        ),
        (
            "quantile_over_time",
            "sum by (plane) (quantile_over_time(0.95, satellite_bus_voltage_volts[5m]))",
            range(60_000),
        ),
        ("count of all series", "count({job=\"telemetry\"})", When::At(end_ms)),
        ("topk of one metric", "topk(10, satellite_wheel_speed_rpm)", When::At(end_ms)),
        (
            "one series",
            "satellite_battery_temperature_celsius{satellite=\"A-000007\"}",
            range(INTERVAL_MS),
        ),
    ];
    let questions = all.map(|(name, expression, when)| Question {
        name: name.to_owned(),
        expression: expression.to_owned(),
        when,
    });
    questions.into()
}

/// Metric by metric, since without their names series of two may be the same.
fn counts(shape: &Shape, end_ms: i64) -> Vec<Question> {
    let range_s = (end_ms - shape.start_ms) / 1000 + 1;
    let counts = crate::workload::metric_names().map(|metric| Question {
        name: metric.to_owned(),
        expression: format!("sum(count_over_time({metric}[{range_s}s]))"),
        when: When::At(end_ms),
    });
    counts.collect()
}

fn now_ms() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.ok().and_then(|now| i64::try_from(now.as_millis()).ok());
    now.ok_or_else(|| BenchError("the clock of this machine is not set".to_owned()))
}
