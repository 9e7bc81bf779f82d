//! A comparison as a table, as markdown, as JSON and as an SVG plot of ratios.

use std::fmt;
use std::fs;

use serde_json::{Map, Value, json};

use super::Options;
use super::figures::{Better, Figure, Median, Summary};
use super::load::Load;
use super::peer::Peer;
use super::questions::Difference;
use crate::report::grouped;

/// A server and what it did.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The server.
    pub peer: Peer,
    /// Its version.
    pub version: String,
    /// Its figures.
    pub summary: Summary,
    /// What it said to a body that it refused.
    pub refusal: Option<String>,
    /// How its answers differ from Prometheus', in the order of questions; empty if Prometheus did
    /// not take part.
    pub differences: Vec<Difference>,
}

/// A comparison; Ephemeris comes first.
#[derive(Clone, Debug)]
pub struct Comparison {
    scenario: &'static str,
    /// Series, samples, runs and connections, in words.
    load: String,
    /// How the load was sent.
    protocol: &'static str,
    machine: String,
    questions: Vec<(String, String)>,
    servers: Vec<Participant>,
}

impl Comparison {
    /// Puts it together.
    #[must_use]
    pub fn new(options: &Options, load: &Load, servers: Vec<Participant>) -> Self {
        let questions = load.questions.iter().map(|q| (q.name.clone(), q.expression.clone()));
        Self {
            scenario: options.scenario.name(),
            load: format!(
                "{} series, {} samples by {}, {} connections, medians of {} runs",
                grouped(load.series_count as u64),
                grouped(load.sample_count as u64),
                load.protocol.name(),
                load.lanes.len(),
                options.runs.max(1)
            ),
            protocol: load.protocol.name(),
            machine: machine(),
            questions: questions.collect(),
            servers,
        }
    }

    /// Figures of Ephemeris in order.
    fn figures(&self) -> Vec<&Figure> {
        let first = self.servers.first();
        first.map_or_else(Vec::new, |s| s.summary.iter().map(|(figure, _)| figure).collect())
    }

    /// Rows of cells, the head first: a title, a figure of each server, a ratio to each peer.
    fn rows(&self) -> Vec<Vec<String>> {
        let Some((ours, peers)) = self.servers.split_first() else { return Vec::new() };
        let mut head = vec![String::new()];
        head.extend(self.servers.iter().map(|s| s.peer.name.clone()));
        head.extend(peers.iter().map(|s| format!("× {}", s.peer.name)));
        let mut rows = vec![head];
        for figure in self.figures() {
            let mut row = vec![figure.title()];
            row.extend(self.servers.iter().map(|s| cell(s.summary.get(figure))));
            row.extend(peers.iter().map(|peer| {
                let times = ours.summary.times_better(&peer.summary, figure);
                times.map_or_else(String::new, |times| format!("{times:.2}"))
            }));
            rows.push(row);
        }
        for (i, (name, _)) in self.questions.iter().enumerate() {
            let verdicts: Vec<_> =
                self.servers.iter().map(|s| verdict(s.differences.get(i))).collect();
            if verdicts.iter().any(|verdict| !verdict.is_empty()) {
                let mut row = vec![format!("{name}: against Prometheus' answer")];
                row.extend(verdicts);
                row.resize(1 + self.servers.len() + peers.len(), String::new());
                rows.push(row);
            }
        }
        rows
    }

    /// As a section of a markdown page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n{}; {}.\n\n", self.scenario, self.load, self.machine);
        for server in &self.servers {
            let durability = server.peer.kind.durability();
            text.push_str(&format!("- {}: {}; {durability}\n", server.peer.name, server.version));
        }
        text.push('\n');
        for (i, row) in self.rows().into_iter().enumerate() {
            let cells = row.len();
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if i == 0 {
                text.push_str(&format!("|---|{}\n", "---:|".repeat(cells - 1)));
            }
        }
        text.push_str("\nAsked:\n\n");
        for (name, expression) in &self.questions {
            text.push_str(&format!("- {name}: `{expression}`\n"));
        }
        for server in &self.servers {
            if let Some(refusal) = &server.refusal {
                text.push_str(&format!("- {} refused: `{}`\n", server.peer.name, refusal.trim()));
            }
        }
        text
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let servers = self.servers.iter().map(|server| {
            let figures: Map<String, Value> = server
                .summary
                .iter()
                .map(|(figure, m)| {
                    let spread = json!({"median": m.median, "min": m.lowest, "max": m.highest});
                    (figure.title(), spread)
                })
                .collect();
            let answers: Map<String, Value> = self
                .questions
                .iter()
                .zip(&server.differences)
                .map(|((name, _), d)| {
                    let difference = json!({
                        "points": d.points, "unpaired": d.unpaired, "unequal": d.unequal,
                        // Infinity is no JSON.
                        "largest": d.largest.min(f64::MAX),
                    });
                    (name.clone(), difference)
                })
                .collect();
            json!({
                "name": server.peer.name,
                "version": server.version,
                "durability": server.peer.kind.durability(),
                "figures": figures,
                "against_prometheus": answers,
                "refusal": server.refusal,
            })
        });
        json!({
            "scenario": self.scenario,
            "load": self.load,
            "protocol": self.protocol,
            "machine": self.machine,
            "queries": self.questions.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "servers": servers.collect::<Vec<_>>(),
        })
    }

    /// How many times better Ephemeris is than each peer, figure by figure, as bars on a scale of
    /// powers of ten; a bar to the left is a loss.
    #[must_use]
    pub fn svg(&self) -> String {
        let Some((ours, peers)) = self.servers.split_first() else { return String::new() };
        let mut bars = Vec::new();
        for figure in self.figures() {
            if figure.better() == Better::Neither || matches!(figure, Figure::QueryP99(_)) {
                continue;
            }
            for (n, peer) in peers.iter().enumerate() {
                if let Some(times) = ours.summary.times_better(&peer.summary, figure) {
                    bars.push((n, format!("{} · {}", figure.title(), peer.peer.name), times));
                }
            }
        }
        plot(&format!("{}: times better than each peer", self.scenario), &bars)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}; {}", self.scenario, self.load, self.machine)?;
        for server in &self.servers {
            let durability = server.peer.kind.durability();
            writeln!(f, "  {}: {}; {durability}", server.peer.name, server.version)?;
            if let Some(refusal) = &server.refusal {
                writeln!(f, "  {} refused: {}", server.peer.name, refusal.trim())?;
            }
        }
        let rows = self.rows();
        let columns = rows.first().map_or(0, Vec::len);
        let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &rows {
            write!(f, "{:width$}", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "× is how many times better Ephemeris is; below 1 it is behind")
    }
}

/// Bars on a scale of powers of ten: which colour, what, how many times better.
pub(super) fn plot(title: &str, bars: &[(usize, String, f64)]) -> String {
    const COLOURS: [&str; 4] = ["#3b6fb6", "#c8703a", "#5b8a3c", "#8a5ba8"];
    const TEXT: i32 = 430;
    const PLOT: i32 = 420;
    const ROW: i32 = 18;
    let logs = bars.iter().map(|(_, _, times)| times.log10());
    let left = logs.clone().fold(-0.3, f64::min);
    let right = logs.fold(1.0, f64::max);
    let x = |log: f64| f64::from(TEXT) + (log - left) / (right - left) * f64::from(PLOT);
    let height = ROW * i32::try_from(bars.len()).unwrap_or(0) + 60;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n<text x=\"10\" y=\"20\" font-size=\"15\">{}</text>\n",
        TEXT + PLOT + 70,
        escape(title)
    );
    for power in [0.1, 1.0, 10.0, 100.0, 1000.0_f64] {
        let at = x(power.log10());
        if power.log10() >= left && power.log10() <= right {
            let colour = if (power - 1.0).abs() < 0.01 { "black" } else { "#cccccc" };
            svg.push_str(&format!(
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"30\" y2=\"{}\" stroke=\"{colour}\"/>\n\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{power}</text>\n",
                height - 25,
                height - 10
            ));
        }
    }
    for (row, (colour, name, times)) in bars.iter().enumerate() {
        let y = 34 + ROW * i32::try_from(row).unwrap_or(0);
        let (zero, end) = (x(0.0), x(times.log10()));
        svg.push_str(&format!(
            "<text x=\"10\" y=\"{}\">{}</text>\n<rect x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" \
             height=\"{}\" fill=\"{}\"/>\n<text x=\"{:.1}\" y=\"{}\">{times:.2}</text>\n",
            y + 12,
            escape(name),
            zero.min(end),
            (end - zero).abs(),
            ROW - 4,
            COLOURS[colour % COLOURS.len()],
            zero.max(end) + 4.0,
            y + 12
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn cell(median: Option<Median>) -> String {
    let Some(Median { median, lowest, highest }) = median else { return String::new() };
    if lowest < highest && (highest - lowest) > 0.005 * highest.abs() {
        format!("{} ({} – {})", number(median), number(lowest), number(highest))
    } else {
        number(median)
    }
}

/// Three or four digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "for people; never negative here"
        )]
        size if size >= 1000.0 && value > 0.0 => grouped(value.round() as u64),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn verdict(difference: Option<&Difference>) -> String {
    let Some(difference) = difference else { return String::new() };
    if difference.is_equal() {
        return format!("equal, {} points", grouped(difference.points as u64));
    }
    format!(
        "{} of {} differ, by up to {:.1e}; {} unpaired",
        grouped(difference.unequal as u64),
        grouped(difference.points as u64),
        difference.largest,
        difference.unpaired
    )
}

/// Cores, memory, processor, kernel and day.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let gib = memory.split(' ').next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cores} cores ({processor}), {:.0} GiB, Linux {kernel}", gib / 1_048_576.0)
}

#[cfg(test)]
mod tests;
