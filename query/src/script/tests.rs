//! Tests of the runner itself: what it accepts, and that it finds what is wrong.

use super::syntax::{Command, Text, When, parse_script};
use super::*;

fn error(script: &str) -> String {
    match parse_script(script) {
        Ok(_) => panic!("accepted: {script}"),
        Err(error) => format!("{}: {}", error.line, error.message),
    }
}

#[test]
fn blocks_end_at_empty_lines_and_comments() {
    let script = "load 5m\n  a 1 2\n# comment\n\nload 1m\n\ta 3\n\teval instant at 1m a\n";
    assert!(error(script).starts_with("7: "), "a block goes on until an empty line");
    let script = "clear\nload 5m\n a 1\n b 2\n\n\nEVAL instant at 0 a\n  a 1\n";
    assert!(error(script).starts_with("7: "), "commands are in lower case");
    let script =
        "clear\neval instant at 5m 1+1\n  2\neval range from 0 to 1m step 10s a # c\n a 1\n";
    let commands = parse_script(script).unwrap();
    let [Command::Clear, Command::Eval(first), Command::Eval(second)] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!((first.when, first.expected.scalar), (When::Instant(300_000), Some(2.0)));
    assert_eq!(second.when, When::Range { start: 0, end: 60_000, step: 10_000 });
    assert_eq!(second.expected.series.len(), 1);
}

#[test]
fn expectations_are_read() {
    let script =
        "eval instant at 0 a\n expect fail regex: a.c|{x} \n expect no_info\n expect ordered";
    let commands = parse_script(script).unwrap();
    let [Command::Eval(eval)] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(eval.expected.fail.as_ref().is_some_and(|text| text.fits("xabcx") && text.fits("{x}")));
    assert!(!eval.expected.fail.as_ref().is_some_and(|text| text.fits("xacx")));
    assert!(eval.expected.infos.none && eval.expected.ordered);
    assert!(Text::Exactly("a".to_owned()).fits("a") && Text::Any.fits("b"));
    for bad in [
        "eval instant at 0 a\n expect warn\n expect no_warn",
        "eval instant at 0 a\n expect fail\n expect fail",
        "eval instant at 0 a\n expect nothing",
        "eval instant at 0 a\n a 1 2",
        "eval instant at 0 a +",
        "eval instant a",
        "eval range from 5m to 0 step 1m a",
        "eval range from 0 to 5m step 1m a\n expect ordered",
        "load 5\n a 1",
        "load 5m\n a@st 1s\n b 1",
        "load 5m\n a@st 1s",
        "nothing",
    ] {
        assert!(parse_script(bad).is_err(), "{bad}");
    }
}

#[test]
fn start_timestamps_are_offsets() {
    let script = "load 1m\n a{b=\"c\"}@st _ _x2 -30s-1mx1 0 5s\n a{b=\"c\"} _ _x2 1 2 3 4";
    let commands = parse_script(script).unwrap();
    let [Command::Load(load)] = commands.as_slice() else { panic!("{commands:?}") };
    let expected = [None, None, None, Some(-30_000), Some(-90_000), Some(0), Some(5000)];
    assert_eq!(load.series[0].starts, expected);
}

#[test]
fn a_script_at_fault_passes_nothing() {
    let report = run("eval instant at 0 1\n 1\n\neval instant at 0 (\n");
    assert_eq!((report.passed, report.total, report.failures.len()), (0, 2, 1));
    let report = run("load 1m\n a {{schema:0 count:-1}}\n\neval instant at 0 1\n 1\n");
    assert_eq!((report.passed, report.total, report.failures.len()), (0, 1, 1));
}

#[test]
fn the_same_series_twice_in_one_load_is_the_later_one() {
    let commands = parse_script("load 1m\n a 1\n b 1\n a 2 3\n").unwrap();
    let [Command::Load(load)] = commands.as_slice() else { panic!("{commands:?}") };
    let lines: Vec<usize> = load.series.iter().map(|s| s.line.values.len()).collect();
    assert_eq!(lines, [1, 2]);
}

/// The script's data and queries, each with one expectation that does not hold.
const WRONG: &str = r#"
load 1m
	a{x="1"} 1 2 3
	a{x="2"} 4 5 6
	h {{schema:0 count:3 sum:3 buckets:[1 2]}}x2

eval instant at 1m a
	a{x="1"} 2

eval instant at 1m a
	a{x="1"} 2
	a{x="2"} 5
	a{x="3"} 5

eval instant at 1m a
	a{x="1"} 2
	a{x="2"} 5.001

eval instant at 1m sum(a)
	7

eval instant at 1m 7
	{} 7

eval instant at 1m sort_desc(a)
	expect ordered
	a{x="1"} 2
	a{x="2"} 5

eval instant at 1m a
	expect fail
	a{x="1"} 2
	a{x="2"} 5

eval instant at 1m abs({__name__=~"a|h"}) + on() a
	expect fail msg: something else

eval instant at 1m quantile(2, a)
	expect no_warn
	{} +Inf

eval instant at 1m sum(a)
	expect warn
	{} 7

eval instant at 1m quantile(2, a)
	expect warn msg: PromQL warning: another text (1:1)
	{} +Inf

eval instant at 1m h
	h {{schema:0 count:3 sum:3 buckets:[2 1]}}

eval instant at 1m h
	h {{schema:0 count:3 sum:3 buckets:[1 2] counter_reset_hint:gauge}}

eval instant at 1m h
	h 3

eval instant at 1m "a"
	expect string "b"

eval range from 0 to 2m step 1m a{x="1"}
	a{x="1"} 1 2

eval range from 0 to 2m step 1m a{x="1"}
	a{x="1"} 1 2 3 3

eval range from 0 to 2m step 1m a{x="1"}
	a{x="1"} 1 2 4

eval instant at 2m a{x="1"}[2m]
	expect range vector from 0 to 2m step 1m
	a{x="1"} 1 2 3

eval instant at 1m no_such
	no_such 1
"#;

#[test]
fn every_expectation_that_does_not_hold_is_found() {
    let report = run(WRONG);
    assert_eq!(report.passed, 0, "{report:?}");
    let evals = WRONG.lines().filter(|line| line.starts_with("eval")).count();
    assert_eq!((report.total, report.failures.len()), (evals, evals));
}
