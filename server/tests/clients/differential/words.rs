//! The functions, operators and modifiers of Prometheus 2.42.

/// Functions of one vector that are continuous but not linear: operands to the bit.
pub(super) const SMOOTH: [&str; 21] = [
    "exp", "ln", "log2", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "round", "sgn",
];
/// Functions of one vector whose result is a whole number: operands to the bit.
pub(super) const WHOLE: [&str; 2] = ["floor", "ceil"];
/// Parts of a date.
pub(super) const CALENDAR: [&str; 8] = [
    "minute",
    "hour",
    "month",
    "year",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
];
/// Functions of a window that pick or count samples.
pub(super) const PICKING: [&str; 9] = [
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "count_over_time",
    "present_over_time",
    "changes",
    "resets",
    "idelta",
    "sum_over_time",
];
/// Functions of a window that compute.
pub(super) const COMPUTING: [&str; 5] =
    ["avg_over_time", "stddev_over_time", "stdvar_over_time", "delta", "deriv"];
/// Functions of a window of a counter that stays far from zero.
pub(super) const COUNTING: [&str; 3] = ["rate", "increase", "irate"];

/// Words that must turn up: the functions, aggregations, operators and modifiers of 2.42.
pub(super) fn all() -> Vec<String> {
    let calls = [
        "abs",
        "absent",
        "absent_over_time",
        "clamp",
        "clamp_max",
        "clamp_min",
        "histogram_quantile",
        "holt_winters",
        "label_join",
        "label_replace",
        "pi",
        "predict_linear",
        "quantile_over_time",
        "scalar",
        "sort",
        "sort_desc",
        "time",
        "timestamp",
        "vector",
    ];
    let calls = calls.iter().chain(&SMOOTH).chain(&WHOLE).chain(&PICKING).chain(&COMPUTING);
    let calls = calls.chain(&COUNTING).chain(&CALENDAR);
    let mut words: Vec<String> = calls.map(|name| format!("{name}(")).collect();
    let others = [
        "sum ",
        "avg ",
        "min ",
        "max ",
        "count ",
        "group ",
        "stddev ",
        "stdvar ",
        "quantile ",
        "topk ",
        "bottomk ",
        "count_values ",
        " by (",
        " without (",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " ^ ",
        " atan2 ",
        " == ",
        " != ",
        " > ",
        " < ",
        " >= ",
        " <= ",
        " bool ",
        " and ",
        " or ",
        " unless ",
        " on (",
        " ignoring (",
        " group_left ",
        " group_right ",
        " offset ",
        " offset -",
        " @ start()",
        " @ end()",
        " @ 1",
        "=~",
        "!~",
        "!=",
        ":1m]",
        "-(",
        "+(",
    ];
    words.extend(others.iter().map(|word| (*word).to_owned()));
    words
}
