//! Scripts must pass: our own all of them, Prometheus' as many as `query/tests/promqltest-passes.txt`
//! says.

use ephemeris_query::script::run;

use super::passes::{assert_all_pass, assert_as_before, failures};

#[test]
fn own_scripts_pass() {
    let scripts = super::scripts_in(&super::own_scripts(), &["test"]);
    assert!(assert_all_pass(&scripts, |_, text| run(text)) > 0);
}

#[test]
fn prometheus_scripts_pass_as_before() {
    let Some(folder) = super::outside("promqltest") else { return };
    let scripts = super::scripts_in(&folder, &["test"]);
    assert_as_before("promqltest-passes.txt", &scripts, |_, text| run(text));
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
