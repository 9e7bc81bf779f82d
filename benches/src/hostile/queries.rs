//! Queries of death: questions made to keep a server busy or to break it, about series named `m` with
//! labels `group` (few values), `id` (one a series) and `text` (long). Also a file of the server's
//! tests, so nothing outside this file is used here.

/// The queries, by what they attack.
#[must_use]
pub fn queries() -> Vec<String> {
    let chain = |operator: &str, count: usize| vec!["m"; count].join(operator);
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}m{}", open.repeat(count), close.repeat(count))
    };
    let mut all: Vec<String> = [
        // Many steps of subqueries, and subqueries in them.
        "max_over_time(m[10y:1s])",
        "count_over_time(m[100y:1ms])",
        "sum_over_time(sum_over_time(m[1h:1s])[1h:1s])",
        "max_over_time(max_over_time(max_over_time(m[1d:1s])[1d:1s])[1d:1s])",
        "sum_over_time(vector(1)[1000y:1ms])",
        "quantile_over_time(0.5, m[1h:1s])",
        "mad_over_time(m[1h:1s])",
        "deriv(rate(m[1h:1s])[1h:1s])",
        "absent_over_time(nothing[100y:1ms])",
        "m[1h:1ms]",
        "m[100y]",
        // Joins of everything with everything.
        "m * on () group_left () m",
        "m + on (group) group_left () m",
        "m == on () m",
        "count(m and on () m)",
        "m unless on (id) label_replace(m, \"id\", \"$1$1\", \"id\", \"(.*)\")",
        "m * on (id) group_left (text) m",
        "(m or m * 2) or on (nothing) m",
        "sum(m * on (id) m * on (id) m * on (id) m * on (id) m)",
        // Aggregations with many groups and large answers.
        "topk(1e9, m)",
        "bottomk(1e18, m[1h:1m] @ end())",
        "topk by (id) (1000, m)",
        "quantile by (id) (0.5, m)",
        "count_values(\"text\", m)",
        "count_values by (id, text) (\"v\", m * time())",
        "limitk(1e15, m)",
        "limit_ratio(0.999, m)",
        "sort_by_label(m, \"text\", \"id\")",
        "sort(m * on (id) m)",
        "stddev by (id, text) (m)",
        "histogram_quantile(0.9, label_replace(m, \"le\", \"$1\", \"id\", \"(.*)\"))",
        "info(m)",
        // Labels that grow, patterns that are dear.
        "label_replace(m, \"text\", \"$1$1$1$1$1$1$1$1\", \"text\", \"(.*)\")",
        "label_join(label_join(m, \"a\", \"-\", \"text\", \"text\", \"text\"), \"b\", \"\", \"a\", \"a\", \"a\")",
        "label_replace(m, \"a\", \"$1\", \"text\", \"(x+x+)+y\")",
        "{text=~\"(x+x+)+y\"}",
        "{__name__=~\".*\", text=~\".*x.*x.*x.*x.*x.*[0-9]{3,}.*\"}",
        "{__name__=~\".+\"}",
        "{text=~\"((a{0,100}){0,100}){0,100}\"}",
        "{text!~\"(?i:(x|X|y|Y)*z)\", __name__!=\"\"}",
        // Numbers at the end of the scale.
        "m offset 290y",
        "m offset -290y",
        "m @ 9e15",
        "predict_linear(m[1h], 1e308)",
        "sum(m) ^ m ^ m ^ m",
        "round(m, 5e-324)",
    ]
    .map(str::to_owned)
    .to_vec();
    // Long and deep texts.
    all.extend([
        nested("(", ")", 10_000),
        nested("-", "", 10_000),
        nested("sum(", ")", 10_000),
        nested("abs(", ")", 200),
        nested("max_over_time(", "[1h:1m])", 60),
        nested("(", "", 50_000),
        chain(" + ", 50_000),
        chain(" or ", 200),
        chain(" * on (id) ", 200),
        format!(
            "m{{id=~\"{}\"}}",
            (0..10_000).map(|i| i.to_string()).collect::<Vec<_>>().join("|")
        ),
        format!("m{{{}}}", vec!["text=~\".*x.*\""; 900].join(",")),
        format!("m{{text=\"{}\"}}", "x".repeat(200_000)),
        format!("{}1", "1 + ".repeat(100_000)),
        "\"".to_owned() + &"\\x41".repeat(50_000),
    ]);
    all
}
