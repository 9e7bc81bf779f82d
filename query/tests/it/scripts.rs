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

/// The deepest trees the parser lets through run on the stack a thread has by default.
#[test]
fn the_deepest_queries_run_on_an_ordinary_stack() {
    let wrapped = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let queries = [
        wrapped("(", "vector(1)", ")", 250),
        wrapped("abs(", "vector(1)", ")", 250),
        wrapped("sum(", "vector(1)", ")", 250),
        wrapped("-(", "vector(1)", ")", 120),
        wrapped("1 + (", "vector(1)", ")", 120),
        wrapped("vector(1) or ", "vector(1)", "", 250),
        wrapped("", "vector(1)", " + vector(1)", 250),
        wrapped("max_over_time(", "vector(1)", "[1m:1m])", 120),
        wrapped("sum by (a) (topk(1, ", "vector(1)", "))", 120),
        format!("vector(1) and vector({})", wrapped("(", "1", ")", 250)),
    ];
    for query in queries {
        let script = format!("eval instant at 10m count({query})\n\t{{}} 1\n");
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let run = thread.spawn(move || run(&script)).expect("a thread");
        let report = run.join().expect("no overflow");
        assert_eq!(report.passed, 1, "{}", failures("deep", &report));
    }
}
