//! LogQL scripts must pass: our own all of them, Loki's as many as `query/tests/logqltest-passes.txt`
//! says. And what is printed parses again.

use std::path::Path;

use ephemeris_query::logs::ast::Expr;
use ephemeris_query::logs::parse::parse;
use ephemeris_query::logs::print::prettify;
use ephemeris_query::logs::script::run_file;
use proptest::prelude::*;

use super::passes::{assert_all_pass, assert_as_before};

const EXTENSIONS: [&str; 2] = ["logqltest", "jsonl"];

#[test]
fn own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let total = assert_all_pass(&super::scripts_in(&folder, &EXTENSIONS), run_file);
    assert!(total >= 200, "{total} evaluations");
}

#[test]
fn loki_scripts_pass_as_before() {
    let Some(folder) = super::outside("logqltest") else { return };
    assert_as_before("logqltest-passes.txt", &super::scripts_in(&folder, &EXTENSIONS), run_file);
}

#[test]
fn deep_and_long_queries_are_refused_on_an_ordinary_stack() {
    let deep = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let queries = [
        deep("(", "vector(1)", ")", 60_000),
        deep("sum(", "vector(1)", ")", 20_000),
        deep("vector(1) + ", "vector(1)", "", 10_000),
        deep("2 ^ ", "vector(1)", "", 30_000),
        format!("{{a=\"b\"}} | {}", deep("(", "x=\"1\"", ")", 60_000)),
        format!("count_over_time({})", deep("(", "{a=\"b\"}[5m]", ")", 60_000)),
        "x".repeat(1 << 20),
    ];
    for query in queries {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let parsed = thread.spawn(move || parse(&query).is_err()).expect("a thread");
        assert!(parsed.join().expect("no overflow"));
    }
    let allowed = deep("sum(", "vector(1)", ")", 90);
    assert!(parse(&allowed).is_ok());
}

#[test]
fn deep_queries_are_laid_out_in_proportion_to_their_length() {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let run = thread.spawn(|| {
        let metric = "rate({a=\"b\"}[5m])";
        let mut query = metric.to_owned();
        for _ in 0..45 {
            query = format!("sum(({query}+{metric})*{metric})");
        }
        let whole = format!("{query}{}", format!("+{metric}").repeat(30));
        for query in [query, whole] {
            let expr = parse(&query).expect("a valid query");
            let pretty = prettify(&expr).expect("within the limit");
            assert!(pretty.len() < 20 * query.len(), "{} of {}", pretty.len(), query.len());
            let again = parse(&pretty).expect("it parses");
            assert_eq!(again.to_string(), expr.to_string());
        }
    });
    run.expect("a thread").join().expect("no overflow");
}

fn assert_prints(query: &str) -> Expr {
    let expr = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let line = expr.to_string();
    for text in [line.clone(), prettify(&expr).expect("short")] {
        let again = parse(&text).unwrap_or_else(|error| panic!("{query} as {text}: {error}"));
        assert_eq!(again.to_string(), line, "{query}");
    }
    expr
}

fn stage() -> impl Strategy<Value = String> {
    prop_oneof![
        "(\\|=|!=|\\|~|!~) \"[a-z]{0,4}\"( or \"[a-z]{1,3}\"){0,2}",
        "(\\|=|!=) ip\\(\"10\\.0\\.0\\.0/8\"\\)",
        "(\\|>|!>) \"[a-z]{1,3} <_> [a-z]{1,3}\"",
        "\\| (json|logfmt|unpack|decolorize)",
        "\\| json [a-c]{1,2}=\"x\\.y\\[0\\]\"",
        "\\| logfmt --strict --keep-empty [a-c]=\"k\"",
        "\\| pattern \"<[a-c]> [d-f]\"",
        "\\| regexp \"\\(\\?P<[a-c]>x\\)\"",
        "\\| [a-c] (=|!=|>|>=|<|<=) ([0-9]{1,4}|[0-9]{1,3}(ms|s|m|h)|[0-9]{1,3}(B|KB|MiB)|-[0-9])",
        "\\| [a-c]=\"[a-z]\" (and|or|,) \\([a-c]!~\"[a-z]+\" or [a-c]=ip\\(\"::1\"\\)\\)",
        "\\| line_format \"x\\{\\{\\.[a-c]\\}\\}\"",
        "\\| label_format [a-c]=[d-f], g=\"\\{\\{\\.a\\}\\}\"",
        "\\| (drop|keep) [a-c], [d-f]=~\"[a-z]\"",
    ]
}

fn metric() -> impl Strategy<Value = String> {
    let log = prop::collection::vec(stage(), 0..4)
        .prop_map(|stages| format!("{{app=\"x\", env!=\"y\"}} {}", stages.join(" ")));
    let range = (log, "(rate|count_over_time|bytes_rate|absent_over_time)", 1..500_u32)
        .prop_map(|(log, op, seconds)| format!("{op}({log} [{seconds}s])"));
    let unwrapped = ("(avg|max|quantile)", "( by \\([a-c], d\\)| without \\(\\)|)").prop_map(
        |(op, grouping)| {
            let param = if op == "quantile" { "0.5, " } else { "" };
            let log = "{a=\"b\"} | logfmt | unwrap duration(x) | __error__=\"\"";
            format!("{op}_over_time({param}{log} [5m] offset 1h){grouping}")
        },
    );
    let leaf = prop_oneof![range, unwrapped, "vector\\([0-9]{1,3}\\)"];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let operator = prop_oneof![
            Just("+".to_owned()),
            Just("^".to_owned()),
            Just("> bool".to_owned()),
            Just("or".to_owned()),
            Just("/ on (a) group_left (b)".to_owned()),
            Just("unless ignoring (a)".to_owned()),
        ];
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(a, op, b)| format!("({a}) {op} {b}")),
            inner.clone().prop_map(|e| format!("sum by (a) ({e})")),
            inner.clone().prop_map(|e| format!("topk(3, {e})")),
            inner.prop_map(|e| format!("label_replace({e}, \"a\", \"$1\", \"b\", \"(.*)\")")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(query in metric()) {
        assert_prints(&query);
    }

    #[test]
    fn log_queries_print_too(stages in prop::collection::vec(stage(), 0..6)) {
        assert_prints(&format!("{{app=\"x\"}} {}", stages.join(" ")));
    }

    #[test]
    fn nothing_panics(query in "[{}()\\[\\]|=!~<>a-c\"`,5ms ._+-]{0,60}") {
        let _ = parse(&query);
    }
}
