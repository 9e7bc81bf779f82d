//! Tests of the printers.

use super::*;
use crate::promql::parse::parse;

fn canonical(query: &str) -> String {
    parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).to_string()
}

#[test]
fn canonical_form() {
    for (query, expected) in [
        ("sum(up)by(a,\"b.c\")", r#"sum by (a, "b.c") (up)"#),
        ("sum by()(up)", "sum(up)"),
        ("sum without()(up)", "sum without () (up)"),
        ("topk(5,up)", "topk(5, up)"),
        (
            "up{b=\"1\",a!~'x\"y'}[90s]offset -1h @1",
            r#"up{a!~"x\"y",b="1"}[1m30s] @ 1.000 offset -1h"#,
        ),
        ("{\"a.b\",\"c d\"=\"e\"}", r#"{"c d"="e",__name__="a.b"}"#),
        ("a+on(x)group_left b", "a + on (x) group_left () b"),
        ("a==bool ignoring(x)fill(1)b", "a == bool ignoring (x) fill (1) b"),
        ("a+fill_left(1)fill_right(-inf)b", "a + fill_left (1) fill_right (-Inf) b"),
        ("1e9+0x10-5m*-Inf", "1000000000 + 16 - 5m * -Inf"),
        ("Inf^2+Inf", "Inf ^ 2 + +Inf"),
        ("up[1h:]", "up[1h:]"),
        ("up[(5m):step()]", "up[(5m):step()]"),
        (
            "up[5m]smoothed offset(1+max_of(step(),-2s))",
            "up[5m] smoothed offset (1 + max_of(step(), -2s))",
        ),
        ("up @ start() anchored", "up @ start() anchored"),
        ("-(a)", "-(a)"),
        ("info(up,{})", "info(up, {})"),
        ("'it\\'s'", r#""it's""#),
    ] {
        assert_eq!(canonical(query), expected, "{query}");
    }
}

#[test]
fn durations() {
    for (ms, text) in [
        (0, "0s"),
        (1, "1ms"),
        (90_000, "1m30s"),
        (7 * 86_400_000, "1w"),
        (8 * 86_400_000, "8d"),
        (365 * 86_400_000, "1y"),
        (366 * 86_400_000, "366d"),
        (86_400_000 + 3_600_001, "1d1h1ms"),
    ] {
        assert_eq!(format_duration(ms), text);
    }
}

#[test]
fn long_queries_are_spread_over_lines() {
    let long = "a_metric_with_quite_a_long_name_to_fill_the_line";
    let query = format!("sum by (x) (rate({long}[5m]) + rate({long}[5m])) / topk(3, {long})");
    let expected = format!(
        "  sum by (x) (\n      rate({long}[5m])\n    +\n      rate({long}[5m])\n  )\n/\n  topk(3, {long})"
    );
    assert_eq!(prettify(&parse(&query).unwrap()), Ok(expected));
    let short = prettify(&parse("sum(up) by (x)").unwrap());
    assert_eq!(short.as_deref(), Ok("sum by (x) (up)"));
}
