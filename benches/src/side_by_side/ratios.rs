//! Reports of several scenarios in one plot: how many times better Ephemeris is than each peer.

use std::path::Path;

use serde_json::Value;

use super::figures::{Better, Figure};
use super::output::plot;
use crate::{BenchError, Result, fail};

/// What is plotted of each scenario.
const FIGURES: [Figure; 6] = [
    Figure::Rate,
    Figure::Cpu,
    Figure::MemoryPeak,
    Figure::MemorySettled,
    Figure::Disk,
    Figure::WriteP99,
];

/// The plot of reports in files, which `side-by-side --json` wrote, in their order.
///
/// # Errors
/// If a file cannot be read or is no report.
pub fn svg(reports: &[impl AsRef<Path>]) -> Result<String> {
    let mut bars = Vec::new();
    for path in reports {
        let path = path.as_ref();
        let of_file = |text: String| BenchError(format!("{}: {text}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| of_file(e.to_string()))?;
        let report: Value = serde_json::from_str(&text).map_err(|e| of_file(e.to_string()))?;
        let found = bars_of(&report).map_err(|e| of_file(e.to_string()))?;
        bars.extend(found);
    }
    Ok(plot("times better than each peer", &bars))
}

/// Colour, name and ratio of each bar; peers without a figure have no bar.
fn bars_of(report: &Value) -> Result<Vec<(usize, String, f64)>> {
    let (Some(scenario), Some(servers)) =
        (report["scenario"].as_str(), report["servers"].as_array())
    else {
        return fail("not a report of side-by-side: it has no scenario or no servers");
    };
    let Some((ours, peers)) = servers.split_first() else {
        return fail("a report without servers");
    };
    let mut bars = Vec::new();
    for figure in &FIGURES {
        let of = |server: &Value| server["figures"][figure.title()]["median"].as_f64();
        for (colour, peer) in peers.iter().enumerate() {
            let (Some(our), Some(their)) = (of(ours), of(peer)) else { continue };
            let times = if figure.better() == Better::Higher { our / their } else { their / our };
            if times.is_finite() && times > 0.0 {
                let name = peer["name"].as_str().unwrap_or("a peer");
                bars.push((colour, format!("{scenario} · {} · {name}", figure.title()), times));
            }
        }
    }
    Ok(bars)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scenarios_share_a_plot_and_peers_without_a_figure_have_no_bar() {
        let dir = tempfile::tempdir().expect("a directory");
        let server = |name: &str, rate: f64, disk: Option<f64>| {
            let mut figures = json!({ Figure::Rate.title(): { "median": rate } });
            if let Some(disk) = disk {
                figures[Figure::Disk.title()] = json!({ "median": disk });
            }
            json!({ "name": name, "figures": figures })
        };
        let write = |scenario: &str, servers: Value| {
            let path = dir.path().join(scenario);
            let report = json!({ "scenario": scenario, "servers": servers });
            std::fs::write(&path, report.to_string()).expect("written");
            path
        };
        let ours = server("ephemeris", 6e6, Some(2.0));
        let steady = write("steady", json!([ours, server("prometheus", 2e6, Some(5.0))]));
        let wide = write("wide", json!([ours, server("victoria-metrics", 12e6, None)]));
        let svg = svg(&[steady, wide]).expect("reports");
        let bar = |name: &str, times: &str| {
            let at = svg.find(name).unwrap_or_else(|| panic!("{name} in {svg}"));
            let text = svg[at..].lines().nth(2).expect("a number");
            assert!(text.contains(&format!(">{times}</text>")), "{name}: {text}");
        };
        bar("steady · samples/s · prometheus", "3.00");
        bar(&format!("steady · {} · prometheus", Figure::Disk.title()), "2.50");
        bar("wide · samples/s · victoria-metrics", "0.50");
        assert_eq!(svg.matches("<rect").count(), 4, "three bars on a ground: {svg}");
        let no_report = write("none", json!("x"));
        std::fs::write(&no_report, "{}").expect("written");
        assert!(super::svg(&[no_report]).is_err());
    }
}
