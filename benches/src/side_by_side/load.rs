//! What is sent and asked in a scenario.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Options;
use super::panels;
use super::protocol::Protocol;
use super::questions::{Question, When};
use crate::constellation::entities::{Group, Tier};
use crate::constellation::{Constellation, Dumps, INTERVAL_MS, bodies};
use crate::workload::{Shape, Size, Workload};
use crate::{BenchError, Result, fail};

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
    /// A constellation in which 1, 10 or 100 % of all entities are replaced every ten minutes.
    Churn(Share),
    /// A constellation whose gateway links are all handed over at once.
    Handover,
    /// A constellation of which one satellite in 25 sends an hour late, beside the others.
    PassDump,
    /// A constellation, then the queries of its dashboard.
    Panels,
    /// An hour of the medium tier as fast as it goes, with the queries of the dashboard beside it.
    Hour,
}

/// What is replaced in ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// 1 %.
    One,
    /// 10 %.
    Ten,
    /// 100 %.
    All,
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
    /// What the bodies are written in.
    pub protocol: Protocol,
    /// What happens beside sending.
    pub beside: Beside,
    /// Series in all bodies.
    pub series_count: usize,
    /// Samples in all bodies.
    pub sample_count: usize,
    /// Different samples: what queries must find.
    pub stored_count: usize,
    /// Bytes of all bodies.
    pub body_bytes: u64,
    /// What is asked once all is sent.
    pub questions: Vec<Question>,
    /// Queries whose values add up to the number of samples stored.
    pub counts: Vec<Question>,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Steady,
        Self::Wide,
        Self::QueryStorm,
        Self::Restart,
        Self::Churn(Share::One),
        Self::Churn(Share::Ten),
        Self::Churn(Share::All),
        Self::Handover,
        Self::PassDump,
        Self::Panels,
        Self::Hour,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Wide => "wide",
            Self::QueryStorm => "query-storm",
            Self::Restart => "restart",
            Self::Churn(Share::One) => "churn-1",
            Self::Churn(Share::Ten) => "churn-10",
            Self::Churn(Share::All) => "churn-100",
            Self::Handover => "handover",
            Self::PassDump => "pass-dump",
            Self::Panels => "panels",
            Self::Hour => "hour",
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
        let churn_per_mille = match options.scenario {
            Scenario::Churn(Share::One) => 10,
            Scenario::Churn(Share::Ten) => 100,
            Scenario::Churn(Share::All) => 1000,
            Scenario::Handover | Scenario::PassDump | Scenario::Panels | Scenario::Hour => 0,
            _ => return Self::workload(options, dir),
        };
        let tier = if options.scenario == Scenario::Hour { "medium" } else { "small" };
        let Some(tier) = Tier::named(tier) else { return fail(format!("there is no tier {tier}")) };
        let length_ms = 240 * INTERVAL_MS;
        let start_ms = now_ms()? - length_ms;
        let is = |scenario| options.scenario == scenario;
        let constellation = Constellation {
            seed: options.seed,
            tier: tier.scaled(options.scale),
            start_ms,
            scrape_count: 240,
            churn_per_mille,
            storm_ms: is(Scenario::Handover).then_some(start_ms + length_ms / 2),
            dumps: if is(Scenario::PassDump) { Dumps::Late } else { Dumps::None },
        };
        let manifest = bodies::record(&constellation, options.connections, dir)?;
        let lanes = options.protocol.record(manifest.lanes)?;
        let sizes = lanes.iter().map(|path| Ok(std::fs::metadata(path)?.len()));
        let body_bytes = sizes.sum::<Result<u64>>()?;
        let end_ms = manifest.last_ms.div_euclid(1000) * 1000 + 1000;
        let has_panels = is(Scenario::Panels) || is(Scenario::Hour);
        Ok(Self {
            lanes,
            protocol: options.protocol,
            beside: if is(Scenario::Hour) { Beside::Queries(1) } else { Beside::Nothing },
            series_count: manifest.series_count,
            sample_count: manifest.sent_count,
            stored_count: manifest.stored_count,
            body_bytes,
            questions: if has_panels {
                panels::questions(start_ms, end_ms)?
            } else {
                constellation_questions(end_ms)
            },
            counts: constellation_counts(start_ms, end_ms),
        })
    }

    fn workload(options: &Options, dir: &Path) -> Result<Self> {
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
        let lanes = options.protocol.record(lanes)?;
        let end_ms = workload.last_ms.div_euclid(1000) * 1000 + 1000;
        let sizes = lanes.iter().map(|path| Ok(std::fs::metadata(path)?.len()));
        let body_bytes = sizes.sum::<Result<u64>>()?;
        Ok(Self {
            lanes,
            protocol: options.protocol,
            beside: match options.scenario {
                Scenario::QueryStorm => Beside::Queries(8),
                Scenario::Restart => Beside::Kill,
                _ => Beside::Nothing,
            },
            series_count: workload.series_count,
            sample_count: workload.sample_count,
            stored_count: workload.sample_count,
            body_bytes,
            questions: questions(options.scenario, shape.quiet_ms(end_ms), shape.start_ms),
            counts: counts(&shape, end_ms),
        })
    }
}

/// The query table: one metric of all satellites over the time of the load. Windows begin five
/// minutes in, so that they are full: Prometheus 2 and 3 extrapolate half-empty ones differently.
fn questions(scenario: Scenario, end_ms: i64, start_ms: i64) -> Vec<Question> {
    let range = |step_ms: i64| {
        let steps = (end_ms - start_ms - 330_000) / step_ms;
        When::Range { start_ms: end_ms - steps.max(1) * step_ms, end_ms, step_ms }
    };
    let one_series = "satellite_battery_temperature_celsius{satellite=\"A-000007\"}";
    let mut all = vec![
        ("count of all series", "count({job=\"telemetry\"})", When::At(end_ms)),
        ("topk of one metric", "topk(10, satellite_clock_offset_seconds)", When::At(end_ms)),
        ("one series", one_series, When::At(end_ms)),
    ];
    if scenario == Scenario::Wide {
        // Six scrapes fill no window.
        let sum = "sum by (plane) (satellite_terminals_attached)";
        all.push(("sum by (plane)", sum, When::At(end_ms)));
    } else {
        let rate = "sum by (plane) (rate(satellite_downlink_packets_total[5m]))";
        let quantile = "sum by (plane) (quantile_over_time(0.95, satellite_bus_voltage_volts[5m]))";
        all.push(("sum by (plane) (rate)", rate, range(INTERVAL_MS)));
        all.push(("quantile_over_time", quantile, range(60_000)));
        all.push(("one series, all steps", one_series, range(INTERVAL_MS)));
    }
    questions_of(&all)
}

/// The query mix of a constellation.
fn constellation_questions(end_ms: i64) -> Vec<Question> {
    let range = When::Range { start_ms: end_ms - 3_000_000, end_ms, step_ms: 60_000 };
    let now = When::At(end_ms);
    questions_of(&[
        ("out of contact", "count(sl_sat_contact_age_seconds > 900)", now),
        ("bytes by gateway", "sum by (gateway) (rate(sl_gateway_link_bytes_total[5m]))", range),
        ("busiest terminals", "topk(20, sl_ut_downlink_bits_per_second)", now),
        (
            "latency by country",
            "quantile by (country) (0.95, sl_ut_ping_latency_seconds * on (ut) group_left (country) \
             sl_ut_info)",
            now,
        ),
        ("one satellite", "sl_sat_temperature_celsius{sat=\"S0002\"}", range),
        ("terminals by cell", "count by (h3cell) (sl_ut_info)", now),
        (
            "uncorrected by shell",
            "sum by (shell) (rate(sl_laser_fec_codewords_total{kind=\"uncorrected\"}[5m]) * on (sat) \
             group_left (shell) sl_sat_info)",
            range,
        ),
    ])
}

fn questions_of(all: &[(&str, &str, When)]) -> Vec<Question> {
    let questions = all.iter().map(|(name, expression, when)| Question {
        name: (*name).to_owned(),
        expression: (*expression).to_owned(),
        when: *when,
        target_ms: None,
    });
    questions.collect()
}

/// Metric by metric, as for the workload.
fn constellation_counts(start_ms: i64, end_ms: i64) -> Vec<Question> {
    let range_s = (end_ms - start_ms) / 1000 + 1;
    let metrics = Group::ALL.iter().flat_map(|group| group.metrics());
    let names: BTreeSet<&str> = metrics.map(|metric| metric.name).collect();
    let counts = names.into_iter().map(|name| Question {
        name: name.to_owned(),
        expression: format!("sum(count_over_time({name}[{range_s}s]))"),
        when: When::At(end_ms),
        target_ms: None,
    });
    counts.collect()
}

/// Metric by metric, since without their names series of two may be the same.
fn counts(shape: &Shape, end_ms: i64) -> Vec<Question> {
    let range_s = (end_ms - shape.start_ms) / 1000 + 1;
    let counts = crate::workload::metric_names().map(|metric| Question {
        name: metric.to_owned(),
        expression: format!("sum(count_over_time({metric}[{range_s}s]))"),
        when: When::At(end_ms),
        target_ms: None,
    });
    counts.collect()
}

fn now_ms() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.ok().and_then(|now| i64::try_from(now.as_millis()).ok());
    now.ok_or_else(|| BenchError("the clock of this machine is not set".to_owned()))
}
