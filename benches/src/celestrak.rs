//! Real orbital elements of satellites, in order of arrival: each row was published long after the
//! time it is true for, rows come again, and some come again with other values. All of it must come
//! back bit for bit.
//!
//! Attribution: the elements are CelesTrak's.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::encode_remote_write;
use ephemeris_model::{Labels, Sample};

use crate::client::Client;
use crate::query;
use crate::report::{Report, grouped, megabytes};
use crate::send::send;
use crate::server::{Server, directory_bytes};
use crate::workload::Body;
use crate::{BenchError, Result, fail};
use csv::Table;

mod csv;

/// Metric names and the columns they come from.
const METRICS: [(&str, &str); 9] = [
    ("satellite_mean_motion_rev_per_day", "mean_motion_rev_per_day"),
    ("satellite_mean_motion_dot", "mean_motion_dot"),
    ("satellite_bstar", "bstar"),
    ("satellite_inclination_degrees", "inclination_deg"),
    ("satellite_raan_degrees", "raan_deg"),
    ("satellite_eccentricity", "eccentricity"),
    ("satellite_arg_perigee_degrees", "arg_perigee_deg"),
    ("satellite_mean_anomaly_degrees", "mean_anomaly_deg"),
    ("satellite_rev_number", "rev_number"),
];

/// Place of the inclination among [`METRICS`]; the mean motion is the first.
const INCLINATION: usize = 3;

/// Columns that are labels.
const LABELS: [&str; 4] = ["norad_id", "name", "group", "intl_designator"];

/// Rows in one body; each has a sample of every metric.
const ROWS_PER_BODY: usize = 500;

/// Old enough that no row is too old.
const RETENTION: &str = "3650d";

/// Mean altitude in km by shell: from the mean motion by Kepler's third law (Earth's gravitational
/// parameter in km³/s², less its equatorial radius in km); a shell is the inclination, rounded to a
/// degree.
pub const ALTITUDE_BY_SHELL: &str = r#"
avg by (shell) (
    (
        (398600.4418 / (2 * pi() * max by (norad_id) (
            last_over_time(satellite_mean_motion_rev_per_day[40d])
        ) / 86400) ^ 2) ^ (1 / 3)
      - 6378.137
    )
  * on (norad_id) group_left (shell)
    count_values by (norad_id) ("shell", round(
        max by (norad_id) (last_over_time(satellite_inclination_degrees[40d]))
    ))
)"#;

/// One row: what was known of one satellite at one time.
#[derive(Clone, Debug)]
struct Row {
    series: [Labels; METRICS.len()],
    epoch_ms: i64,
    values: [f64; METRICS.len()],
    first_seen_s: i64,
}

/// Elements in order of arrival.
#[derive(Clone, Debug)]
pub struct Elements {
    rows: Vec<Row>,
}

/// What [`Elements::compare`] found to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Series of all metrics.
    pub series_count: usize,
    /// Samples of all metrics.
    pub sample_count: usize,
}

impl Compared {
    /// Pairs of a satellite and an epoch.
    #[must_use]
    pub const fn pair_count(&self) -> usize {
        self.sample_count / METRICS.len()
    }
}

impl Elements {
    /// Reads the elements from CSV, in a zstd frame if the name ends so.
    ///
    /// # Errors
    /// If the file cannot be read or a column is missing.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let file = File::open(path).map_err(|e| BenchError(format!("{}: {e}", path.display())))?;
        if path.extension().is_some_and(|extension| extension == "zst") {
            zstd::Decoder::new(file)?.read_to_string(&mut text)?;
        } else {
            std::io::BufReader::new(file).read_to_string(&mut text)?;
        }
        Self::parse(&text)
    }

    /// The values of each metric, by satellite and in order of arrival.
    #[must_use]
    pub fn columns(&self) -> Vec<(&'static str, Vec<Vec<f64>>)> {
        let of_metric = |at: usize| {
            let mut columns: BTreeMap<&Labels, Vec<f64>> = BTreeMap::new();
            for row in &self.rows {
                columns.entry(&row.series[at]).or_default().push(row.values[at]);
            }
            (METRICS[at].1, columns.into_values().collect())
        };
        (0..METRICS.len()).map(of_metric).collect()
    }

    /// Reads the elements from the text of a CSV file.
    ///
    /// # Errors
    /// If a column is missing or a number is none.
    pub fn parse(text: &str) -> Result<Self> {
        let table = Table::parse(text)?;
        let labels = LABELS.map(|name| table.column(name));
        let values = METRICS.map(|(_, column)| table.column(column));
        let (epoch, first_seen) =
            (table.column("epoch_unix_ms"), table.column("first_seen_unix_s"));
        let mut rows = Vec::with_capacity(table.rows.len());
        for row in &table.rows {
            let mut pairs = Vec::with_capacity(LABELS.len() + 1);
            for (name, column) in LABELS.iter().zip(&labels) {
                pairs.push((*name, row.text(column)?));
            }
            let series = METRICS.map(|(metric, _)| {
                let name = std::iter::once(("__name__", metric));
                Labels::from_pairs(name.chain(pairs.iter().copied()))
            });
            let mut of_row = [0.0; METRICS.len()];
            for (value, column) in of_row.iter_mut().zip(&values) {
                *value = row.number(column)?;
            }
            rows.push(Row {
                series,
                epoch_ms: row.number(&epoch)?,
                values: of_row,
                first_seen_s: row.number(&first_seen)?,
            });
        }
        // Stable: rows that arrived together stay in the order of the file.
        rows.sort_by_key(|row| row.first_seen_s);
        Ok(Self { rows })
    }

    /// Number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The rows as requests, in order of arrival.
    ///
    /// # Errors
    /// If a body cannot be compressed.
    pub fn bodies(&self) -> Result<Vec<Body>> {
        let bodies = self.rows.chunks(ROWS_PER_BODY).map(|rows| {
            let samples: Vec<(&Labels, [Sample; 1])> = rows
                .iter()
                .flat_map(|row| {
                    row.series.iter().zip(row.values).map(|(labels, value)| {
                        (labels, [Sample { timestamp_ms: row.epoch_ms, value }])
                    })
                })
                .collect();
            let series: Vec<(&Labels, &[Sample])> =
                samples.iter().map(|(labels, samples)| (*labels, &samples[..])).collect();
            let message = encode_remote_write(&series, &[]);
            let bytes = compress_snappy(&message)?;
            Ok(Body { bytes, sample_count: samples.len() })
        });
        bodies.collect()
    }

    /// What must be stored of one metric: where a time comes again with another value, the greater
    /// one in total order of bits.
    fn expected(&self, metric: usize) -> HashMap<&Labels, BTreeMap<i64, f64>> {
        let mut series: HashMap<&Labels, BTreeMap<i64, f64>> = HashMap::new();
        for row in &self.rows {
            let value = row.values[metric];
            series
                .entry(&row.series[metric])
                .or_default()
                .entry(row.epoch_ms)
                .and_modify(|kept| {
                    if value.total_cmp(kept).is_gt() {
                        *kept = value;
                    }
                })
                .or_insert(value);
        }
        series
    }

    /// The time of the newest elements.
    #[must_use]
    pub fn last_epoch_ms(&self) -> i64 {
        self.rows.iter().map(|row| row.epoch_ms).max().unwrap_or_default()
    }

    /// What [`ALTITUDE_BY_SHELL`] must answer at [`Elements::last_epoch_ms`].
    #[must_use]
    pub fn altitude_by_shell(&self) -> BTreeMap<String, f64> {
        let motions = self.newest_by_satellite(0);
        let inclinations = self.newest_by_satellite(INCLINATION);
        let mut shells: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (satellite, inclination) in inclinations {
            let radians_per_second = std::f64::consts::TAU * motions[&satellite] / 86_400.0;
            let altitude = (398_600.441_8 / radians_per_second.powi(2)).cbrt() - 6_378.137;
            let shell = shells.entry((inclination + 0.5).floor().to_string()).or_default();
            *shell = (shell.0 + altitude, shell.1 + 1.0);
        }
        shells.into_iter().map(|(shell, (sum, count))| (shell, sum / count)).collect()
    }

    /// The newest value of each satellite; the greater one where it is in two groups.
    fn newest_by_satellite(&self, metric: usize) -> HashMap<String, f64> {
        let mut newest: HashMap<String, f64> = HashMap::new();
        for (labels, samples) in self.expected(metric) {
            let satellite = labels.get("norad_id").unwrap_or_default().to_owned();
            if let Some((_, value)) = samples.last_key_value() {
                let kept = newest.entry(satellite).or_insert(f64::NEG_INFINITY);
                *kept = kept.max(*value);
            }
        }
        newest
    }

    /// Reads everything back from the server at `address` and compares bit for bit.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, address: SocketAddr) -> Result<Compared> {
        let mut client = Client::connect(address)?;
        let times = || self.rows.iter().map(|row| row.epoch_ms);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return fail("there are no elements");
        };
        let range_ms = last - first + 1;
        let mut compared = Compared { series_count: 0, sample_count: 0 };
        for (at, (metric, _)) in METRICS.iter().enumerate() {
            let expected = self.expected(at);
            let answered = query::instant(&mut client, &format!("{metric}[{range_ms}ms]"), last)?;
            if answered.len() != expected.len() {
                let (got, sent) = (answered.len(), expected.len());
                return fail(format!("{metric}: {got} series came back of {sent}"));
            }
            for series in answered {
                let Some(samples) = expected.get(&series.labels) else {
                    return fail(format!("{} was never sent", series.labels));
                };
                compare_series(&series, samples)?;
                compared.sample_count += samples.len();
            }
            compared.series_count += expected.len();
        }
        Ok(compared)
    }
}

fn compare_series(got: &query::Answered, expected: &BTreeMap<i64, f64>) -> Result<()> {
    let mut samples = got.samples.iter();
    for (time, value) in expected {
        match samples.next() {
            Some((got_time, got)) if got_time == time && got.to_bits() == value.to_bits() => {}
            other => {
                return fail(format!(
                    "{}: {other:?} came back where ({time}, {value}) was expected",
                    got.labels
                ));
            }
        }
    }
    match samples.next() {
        Some(extra) => fail(format!("{}: {extra:?} was never sent", got.labels)),
        None => Ok(()),
    }
}

/// Sends the elements in `path` to a server of its own, compares what comes back, ends and starts
/// the server, and compares again.
///
/// # Errors
/// If the server fails, refuses a body, or anything differs.
pub fn run(path: &Path, binary: Option<PathBuf>, flags: &[String]) -> Result<Report> {
    let elements = Elements::read(path)?;
    let binary = binary.map_or_else(Server::default_binary, Ok)?;
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("data");
    let flags = [&["--retention".to_owned(), RETENTION.to_owned()], flags].concat();

    let server = Server::start(&binary, &data_dir, &flags)?;
    let sent = send(server.address(), &[elements.bodies()?])?;
    let compared = elements.compare(server.address())?;
    let peak = server.memory()?.peak;
    let cpu_s = server.stop()?;
    let disk_bytes = directory_bytes(&data_dir)?;
    let server = Server::start(&binary, &data_dir, &flags)?;
    let again = elements.compare(server.address())?;
    server.stop()?;
    if again != compared {
        return fail(format!("{compared:?} before the end of the server, {again:?} after"));
    }

    let mut report = Report::default();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let per_sample = disk_bytes as f64 / compared.sample_count.max(1) as f64;
    report
        .add("rows sent", grouped(elements.row_count() as u64))
        .add("samples sent", grouped(sent.sample_count as u64))
        .add("sent in", format!("{:.2} s", sent.elapsed.as_secs_f64()))
        .add("writes sent again", sent.retry_count.to_string())
        .add("series", grouped(compared.series_count as u64))
        .add("satellite and epoch pairs", grouped(compared.pair_count() as u64))
        .add("samples equal bit for bit, before and after a restart", {
            grouped(compared.sample_count as u64)
        })
        .add("server CPU, with queries and settling", format!("{cpu_s:.2} s"))
        .add("memory, peak", megabytes(peak))
        .add("on disk after settling", megabytes(disk_bytes))
        .add("bytes per sample on disk", format!("{per_sample:.3}"));
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "norad_id,group,name,intl_designator,epoch_unix_ms,mean_motion_dot,bstar,\
        inclination_deg,raan_deg,eccentricity,arg_perigee_deg,mean_anomaly_deg,\
        mean_motion_rev_per_day,rev_number,first_seen_unix_s\n\
        7,geo,TDRS 3,88091B,2000,-3.12e-06,0,12.5,1,2,3,4,1.5,12,300\n\
        7,geo,TDRS 3,88091B,1000,-3.11e-06,0,12.5,1,2,3,4,1.5,12,200\n\
        7,geo,TDRS 3,88091B,2000,-3.13e-06,0,12.75,1,2,3,4,1.5,12,400\n";

    #[test]
    fn rows_come_in_order_of_arrival_and_the_greater_value_counts() {
        let elements = Elements::parse(TEXT).expect("valid");
        let arrived: Vec<i64> = elements.rows.iter().map(|row| row.first_seen_s).collect();
        assert_eq!(arrived, [200, 300, 400]);
        let bodies = elements.bodies().expect("small");
        assert_eq!((bodies.len(), bodies[0].sample_count), (1, 27));
        let series: Vec<_> = elements.expected(1).into_values().collect();
        assert_eq!(series, [BTreeMap::from([(1000, -3.11e-6), (2000, -3.12e-6)])]);
        let (labels, samples) = elements.expected(3).into_iter().next().expect("one series");
        assert_eq!(samples, BTreeMap::from([(1000, 12.5), (2000, 12.75)]));
        assert_eq!(
            labels.to_string(),
            "{__name__=\"satellite_inclination_degrees\", group=\"geo\", \
             intl_designator=\"88091B\", name=\"TDRS 3\", norad_id=\"7\"}"
        );
    }

    #[test]
    fn what_is_no_table_of_elements_is_an_error() {
        for (text, expected) in [
            (TEXT.replace("bstar", "star"), "line 2 has no column bstar"),
            (TEXT.replace("12.75", "x"), "line 4: inclination_deg is \"x\", expected a number"),
            (TEXT.replace("TDRS 3", "\"TDRS 3\""), "line 2 has quotes, which are not read"),
        ] {
            assert_eq!(Elements::parse(&text).expect_err("invalid").to_string(), expected);
        }
    }

    #[test]
    fn differences_are_found() {
        let expected = BTreeMap::from([(1, 0.0), (2, 5.0)]);
        let answered = |samples: &[(i64, f64)]| query::Answered {
            labels: Labels::empty(),
            samples: samples.to_vec(),
        };
        assert!(compare_series(&answered(&[(1, 0.0), (2, 5.0)]), &expected).is_ok());
        for wrong in [
            &[(1, -0.0), (2, 5.0)][..],
            &[(1, 0.0)],
            &[(1, 0.0), (2, 5.0), (3, 1.0)],
            &[(1, 0.0), (3, 5.0)],
        ] {
            assert!(compare_series(&answered(wrong), &expected).is_err(), "{wrong:?}");
        }
    }
}
