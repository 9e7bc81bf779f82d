//! Reports of several scenarios in one plot: how many times better Ephemeris is than each peer.

use std::path::Path;

use serde_json::Value;

use super::figures::{Better, Figure};
use super::output::plot;
use super::protocol::Protocol;
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

/// The name of this server in a report; it comes first.
const OURS: &str = "ephemeris";

/// The plot of reports in files, which `side-by-side --json` wrote, in their order.
///
/// # Errors
/// If a file cannot be read or is no report.
pub fn svg(reports: &[impl AsRef<Path>]) -> Result<String> {
    let (mut bars, mut peers) = (Vec::new(), Vec::new());
    for path in reports {
        let path = path.as_ref();
        let of_file = |text: String| BenchError(format!("{}: {text}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| of_file(e.to_string()))?;
        let report: Value = serde_json::from_str(&text).map_err(|e| of_file(e.to_string()))?;
        let found = bars_of(&report, &mut peers).map_err(|e| of_file(e.to_string()))?;
        bars.extend(found);
    }
    Ok(plot("times better than each peer", &bars))
}

/// Colour, name and ratio of each bar; peers without a figure have no bar. `known` are the peers
/// that have a colour, the same in every report.
fn bars_of(report: &Value, known: &mut Vec<String>) -> Result<Vec<(usize, String, f64)>> {
    let (Some(scenario), Some(servers)) =
        (report["scenario"].as_str(), report["servers"].as_array())
    else {
        return fail("not a report of side-by-side: it has no scenario or no servers");
    };
    let name = |server: &Value| server["name"].as_str().unwrap_or("a server").to_owned();
    let Some((ours, peers)) = servers.split_first().filter(|(ours, _)| name(ours) == OURS) else {
        return fail("a report whose first server is not ephemeris");
    };
    let scenario = match report["protocol"].as_str() {
        Some(protocol) if protocol != Protocol::RemoteWrite1.name() => {
            format!("{scenario} by {protocol}")
        }
        _ => scenario.to_owned(),
    };
    let mut bars = Vec::new();
    for figure in &FIGURES {
        let of = |server: &Value| server["figures"][figure.title()]["median"].as_f64();
        for peer in peers {
            let (Some(our), Some(their)) = (of(ours), of(peer)) else { continue };
            let times = if figure.better() == Better::Higher { our / their } else { their / our };
            if !(times.is_finite() && times > 0.0) {
                continue;
            }
            let name = name(peer);
            let colour = known.iter().position(|one| *one == name).unwrap_or_else(|| {
                known.push(name.clone());
                known.len() - 1
            });
            bars.push((colour, format!("{scenario} · {} · {name}", figure.title()), times));
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
        let foreign = write("foreign", json!([server("prometheus", 1.0, None)]));
        assert!(super::svg(&[foreign]).is_err());
    }

    #[test]
    fn a_peer_has_one_colour_in_all_reports_and_a_protocol_a_name() {
        let server = |name: &str| {
            let figures = json!({ Figure::Rate.title(): { "median": 1.0 } });
            json!({ "name": name, "figures": figures })
        };
        let report = |protocol: Option<&str>, peers: &[&str]| {
            let servers: Vec<Value> = [OURS].iter().chain(peers).map(|name| server(name)).collect();
            json!({ "scenario": "steady", "servers": servers, "protocol": protocol })
        };
        let mut known = Vec::new();
        bars_of(&report(None, &["prometheus", "victoria-metrics"]), &mut known).expect("bars");
        let bars = bars_of(&report(Some("rw2"), &["victoria-metrics"]), &mut known).expect("bars");
        let expected = "steady by rw2 · samples/s · victoria-metrics".to_owned();
        assert_eq!(bars, [(1, expected, 1.0)]);
    }
}
