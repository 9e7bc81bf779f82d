//! How cost grows with the number of series: CPU of a new series and of a sample of a known one, and
//! memory, for Ephemeris and the peers that are installed.

use std::path::PathBuf;

use crate::report::grouped;
use crate::scale::{INTERVAL_MS, round};
use crate::server::Server;
use crate::side_by_side::peer::{Kind, Peer};
use crate::{Result, terminals};

/// Prometheus is not given more: it needs several kilobytes for a series.
const PROMETHEUS_SERIES_MAX: u64 = 1_000_000;
/// Samples of known series are sent until there are so many of them, since CPU is counted in
/// hundredths of a second …
const KNOWN_SAMPLES_MIN: u64 = 2_000_000;
/// … but so many times at least, and …
const KNOWN_ROUNDS_MIN: u64 = 2;
/// … at most.
const KNOWN_ROUNDS_MAX: u64 = 100;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Numbers of series.
    pub series: Vec<u64>,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for it.
    pub server_flags: Vec<String>,
}

/// What series cost one server.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The server.
    pub server: String,
    /// How many there were.
    pub series: u64,
    /// Server CPU of the first sample of a series, in µs.
    pub new_us: f64,
    /// Server CPU of a later sample, in µs.
    pub known_us: f64,
    /// Resident memory over that of the empty server, in bytes a series.
    pub memory_bytes: f64,
}

/// One figure of a cost.
type FigureOf = fn(&Cost) -> f64;

/// The three things plotted: a title with the unit, and where it is.
const PANELS: [(&str, FigureOf); 3] = [
    ("µs of CPU, new series", |cost| cost.new_us),
    ("µs of CPU, known series", |cost| cost.known_us),
    ("bytes of memory a series", |cost| cost.memory_bytes),
];

/// Measures every server with every number of series, each on a directory of its own. `progress` is
/// told what is being done.
///
/// # Errors
/// If a server fails or refuses a body.
pub fn run(options: &Options, progress: &dyn Fn(&str)) -> Result<Vec<Cost>> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let flags = options.server_flags.clone();
    let mut servers =
        vec![Peer { name: "ephemeris".to_owned(), kind: Kind::Ephemeris, binary, flags }];
    servers.extend(Peer::installed());
    let mut costs = Vec::new();
    for &series in &options.series {
        for server in &servers {
            if server.kind == Kind::Prometheus && series > PROMETHEUS_SERIES_MAX {
                continue;
            }
            progress(&format!("{} series: {}", grouped(series), server.name));
            costs.push(measure(server, series)?);
        }
    }
    Ok(costs)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn measure(peer: &Peer, series: u64) -> Result<Cost> {
    let dir = tempfile::tempdir()?;
    let server = peer.start(&dir.path().join("data"))?;
    let empty = server.memory()?.now;
    let known_rounds =
        (KNOWN_SAMPLES_MIN / series.max(1)).clamp(KNOWN_ROUNDS_MIN, KNOWN_ROUNDS_MAX);
    let mut time_ms = terminals::now_ms()? - (known_rounds.cast_signed() + 1) * INTERVAL_MS;
    let created = round(&server, series, time_ms)?;
    let mut known_cpu_s = 0.0;
    for _ in 0..known_rounds {
        time_ms += INTERVAL_MS;
        known_cpu_s += round(&server, series, time_ms)?.cpu_s;
    }
    let grown = server.memory()?.now.saturating_sub(empty);
    server.kill()?;
    let series = series.max(1);
    Ok(Cost {
        server: peer.name.clone(),
        series,
        new_us: created.cpu_s * 1e6 / series as f64,
        known_us: known_cpu_s * 1e6 / (series * known_rounds) as f64,
        memory_bytes: grown as f64 / series as f64,
    })
}

/// A table: a line for each server and number of series.
#[must_use]
pub fn markdown(costs: &[Cost]) -> String {
    let mut text = "| series | server |".to_owned();
    for (title, _) in PANELS {
        text.push_str(&format!(" {title} |"));
    }
    text.push_str("\n|---:|---|---:|---:|---:|\n");
    for cost in costs {
        text.push_str(&format!("| {} | {} |", grouped(cost.series), cost.server));
        for (_, of) in PANELS {
            text.push_str(&format!(" {:.*} |", if of(cost) < 100.0 { 2 } else { 0 }, of(cost)));
        }
        text.push('\n');
    }
    text
}

/// The same as lines over the number of series, both scales in powers of ten.
#[must_use]
pub fn svg(costs: &[Cost]) -> String {
    let (width, height, left, top) = (300.0, 240.0, 60.0, 40.0);
    const COLOURS: [&str; 4] = ["#1b7f79", "#c8553d", "#5b6abf", "#8a8a8a"];
    let mut servers: Vec<&str> = Vec::new();
    for cost in costs {
        if !servers.contains(&cost.server.as_str()) {
            servers.push(&cost.server);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let series_log = |cost: &Cost| (cost.series.max(1) as f64).log10();
    let mut svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1140 340\" \
                   font-family=\"sans-serif\" font-size=\"12\">\n\
                   <rect width=\"1140\" height=\"340\" fill=\"white\"/>\n"
        .to_owned();
    for (number, (title, of)) in (0_u8..).zip(PANELS) {
        let x0 = left + f64::from(number) * (width + 80.0);
        let (x_low, x_high) = decades(costs.iter().map(series_log));
        let (y_low, y_high) = decades(costs.iter().map(|cost| of(cost).max(1e-3).log10()));
        let x = |log: f64| x0 + (log - x_low) / (x_high - x_low) * width;
        let y = |log: f64| top + height - (log - y_low) / (y_high - y_low) * height;
        svg.push_str(&format!("<text x=\"{x0}\" y=\"24\" font-weight=\"bold\">{title}</text>\n"));
        for (low, high, is_x) in [(x_low, x_high, true), (y_low, y_high, false)] {
            let mut decade = low;
            while decade <= high {
                let label = if decade < 0.0 {
                    format!("{:.*}", usize::from(decade <= -2.0) + 1, 10f64.powf(decade))
                } else {
                    format!("1e{decade:.0}")
                };
                let (x1, y1, x2, y2) = if is_x {
                    (x(decade), top, x(decade), top + height)
                } else {
                    (x0, y(decade), x0 + width, y(decade))
                };
                let (tx, ty) = if is_x { (x1 - 10.0, y2 + 16.0) } else { (x1 - 34.0, y1 + 4.0) };
                svg.push_str(&format!(
                    "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" \
                     stroke=\"#ddd\"/>\n<text x=\"{tx:.1}\" y=\"{ty:.1}\">{label}</text>\n"
                ));
                decade += 1.0;
            }
        }
        for (server, colour) in servers.iter().zip(COLOURS.iter().cycle()) {
            let of_server = costs.iter().filter(|cost| cost.server == **server);
            let points = of_server.map(|cost| {
                format!("{:.1},{:.1}", x(series_log(cost)), y(of(cost).max(1e-3).log10()))
            });
            let points: Vec<String> = points.collect();
            svg.push_str(&format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                points.join(" ")
            ));
        }
    }
    for (place, (server, colour)) in (0_u8..).zip(servers.iter().zip(COLOURS.iter().cycle())) {
        let x = left + f64::from(place) * 160.0;
        svg.push_str(&format!("<text x=\"{x}\" y=\"326\" fill=\"{colour}\">{server}</text>\n"));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The powers of ten around all values, at least one apart.
fn decades(logs: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for log in logs {
        (low, high) = (low.min(log.floor()), high.max(log.ceil()));
    }
    if low.is_finite() && high.is_finite() { (low, high.max(low + 1.0)) } else { (0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(server: &str, series: u64, memory_bytes: f64) -> Cost {
        Cost { server: server.to_owned(), series, new_us: 4.0, known_us: 0.2, memory_bytes }
    }

    #[test]
    fn the_plot_holds_a_line_of_each_server_inside_its_frame() {
        let costs = [
            cost("ephemeris", 10_000, 900.0),
            cost("victoria-metrics", 10_000, 5_000.0),
            cost("ephemeris", 1_000_000, 230.0),
        ];
        let svg = svg(&costs);
        let lines: Vec<&str> = svg.lines().filter(|l| l.starts_with("<polyline")).collect();
        assert_eq!(lines.len(), 6, "three panels of two servers");
        for number in lines.iter().flat_map(|line| line.split('"').nth(1)).flat_map(|points| {
            points.split([' ', ',']).map(|n| n.parse::<f64>().expect("a number"))
        }) {
            assert!((0.0..1140.0).contains(&number), "{number}");
        }
        let table = markdown(&costs);
        assert!(table.contains("| 1,000,000 | ephemeris | 4.00 | 0.20 | 230 |"), "{table}");
    }

    #[test]
    fn decades_enclose_and_never_touch() {
        assert_eq!(decades([2.5, 3.5].into_iter()), (2.0, 4.0));
        assert_eq!(decades([2.0].into_iter()), (2.0, 3.0));
        assert_eq!(decades(std::iter::empty()), (0.0, 1.0));
    }
}
