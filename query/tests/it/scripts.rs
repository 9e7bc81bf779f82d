//! Scripts must pass: our own all of them, Prometheus' as many as they did before.
//!
//! `query/tests/promqltest-passes.txt` says how many queries of each of Prometheus' scripts pass.
//! After an improvement write it anew:
//!
//! ```text
//! EPHEMERIS_UPDATE_PASSES=1 cargo test --release -p ephemeris-query --test it
//! ```

use std::fmt::Write;
use std::path::Path;

use ephemeris_query::script::{Report, run};

fn failures(name: &str, report: &Report) -> String {
    let mut out = String::new();
    for failure in &report.failures {
        let _ = writeln!(
            out,
            "{name}:{}: {}\n  {}\n  expected {}\n  got {}",
            failure.line, failure.problem, failure.query, failure.expected, failure.got
        );
    }
    out
}

#[test]
fn own_scripts_pass() {
    for (name, text) in super::scripts_in(&super::own_scripts()) {
        let report = run(&text);
        let failures = failures(&name, &report);
        assert!(failures.is_empty(), "{failures}");
        assert!(report.total > 0 && report.passed == report.total, "{name}: {report:?}");
    }
}

#[test]
fn prometheus_scripts_pass_as_before() {
    let Some(folder) = super::outside_scripts() else { return };
    let passes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promqltest-passes.txt");
    let mut found = String::new();
    let mut details = String::new();
    for (name, text) in super::scripts_in(&folder) {
        let report = run(&text);
        let _ = writeln!(found, "{name} {}/{}", report.passed, report.total);
        details.push_str(&failures(&name, &report));
    }
    if std::env::var_os("EPHEMERIS_UPDATE_PASSES").is_some() {
        std::fs::write(&passes, &found).expect("the list can be written");
        return;
    }
    let before = std::fs::read_to_string(&passes).expect("the list is in the repository");
    let count = |list: &str, name: &str| -> Option<(usize, usize)> {
        let line = list.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        let (passed, total) = line.split_once('/')?;
        Some((passed.parse().ok()?, total.parse().ok()?))
    };
    for line in before.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let (was, now) = (count(&before, name), count(&found, name));
        let kept = matches!((was, now), (Some(was), Some(now)) if was.0 <= now.0 && was.1 == now.1);
        assert!(kept, "{name}: was {was:?}, is {now:?}\n{details}");
    }
}
