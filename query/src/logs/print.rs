//! Trees to text. What is printed parses to a tree that prints the same.

use std::fmt::{self, Display, Formatter, Write};

use ephemeris_model::Matcher;

use super::ast::{
    Binary, CompareOp, Comparison, ComparisonResult, Conversion, Expr, Extraction, FormatValue,
    Grouping, GroupingKind, IpOp, LabelFilter, LabelFormat, LabelPick, LabelReplace, LineFilter,
    LineOp, LineOperand, LogExpr, LogRange, LogfmtFlags, MatchLabels, Matching, MetricExpr,
    RangeAggregation, Side, Stage, VectorAggregation,
};
use super::units::{format_float, format_go_duration};
use crate::promql::print::layout::{LINE_CHARS_MAX, Layout, column, within};
use crate::promql::print::{TooLong, format_duration};
use crate::promql::text::quote;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(log) => log.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

/// A query over several lines if it is too long for one: a stage a line, operands indented. Beyond
/// 32 levels nothing is indented further.
///
/// # Errors
/// If the text would be longer than
/// [`LAYOUT_BYTES_MAX`](crate::promql::print::LAYOUT_BYTES_MAX).
pub fn prettify(expr: &Expr) -> Result<String, TooLong> {
    Layout::of(|out| match expr {
        Expr::Log(log) => pretty_log(log, 0, out),
        Expr::Metric(metric) => pretty_metric(metric, 0, out),
    })
}

/// The text of `shown`, if it fits into a line at `level`.
fn short(shown: &impl Display, level: usize) -> Option<String> {
    within(LINE_CHARS_MAX - column(level), shown)
}

fn pretty_log(log: &LogExpr, level: usize, out: &mut Layout) -> fmt::Result {
    if let Some(line) = short(log, level) {
        return out.line(level, line);
    }
    out.line(level, matchers(&log.matchers))?;
    for stage in &log.stages {
        out.write_char('\n')?;
        out.line(level + 1, stage)?;
    }
    Ok(())
}

fn pretty_metric(expr: &MetricExpr, level: usize, out: &mut Layout) -> fmt::Result {
    if let Some(line) = short(expr, level) {
        return out.line(level, line);
    }
    match expr {
        MetricExpr::Number(_) | MetricExpr::Vector(_) => return out.line(level, expr),
        MetricExpr::Range(aggregation) => {
            out.line(level, format_args!("{}(\n", aggregation.op.as_str()))?;
            if let Some(param) = aggregation.param {
                out.line(level + 1, format_args!("{},\n", format_float(param)))?;
            }
            pretty_log(&aggregation.range.log, level + 1, out)?;
            out.write_str(&window(&aggregation.range))?;
        }
        MetricExpr::Aggregate(aggregation) => {
            let blank = if aggregation.grouping.is_some() { " " } else { "" };
            let grouping = grouping(aggregation.grouping.as_ref());
            out.line(level, format_args!("{}{grouping}{blank}(\n", aggregation.op.as_str()))?;
            if aggregation.param != 0 {
                out.line(level + 1, format_args!("{},\n", aggregation.param))?;
            }
            pretty_metric(&aggregation.inner, level + 1, out)?;
        }
        MetricExpr::LabelReplace(replace) => {
            out.line(level, "label_replace(\n")?;
            pretty_metric(&replace.inner, level + 1, out)?;
            out.write_str(&replace_texts(replace))?;
        }
        MetricExpr::Binary(binary) => {
            out.line(level, "(\n")?;
            pretty_metric(&binary.lhs, level + 1, out)?;
            out.write_char('\n')?;
            out.line(level, operator(binary))?;
            out.write_char('\n')?;
            pretty_metric(&binary.rhs, level + 1, out)?;
        }
    }
    out.write_char('\n')?;
    out.line(level, ")")?;
    match expr {
        MetricExpr::Range(aggregation) => out.write_str(&grouping(aggregation.grouping.as_ref())),
        _ => Ok(()),
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&matchers(&self.matchers))?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

fn matchers(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(matcher).collect();
    format!("{{{}}}", texts.join(", "))
}

fn matcher(matcher: &Matcher) -> String {
    format!("{}{}{}", matcher.name, matcher.op.as_str(), quote(&matcher.value))
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(filter) => filter.fmt(f),
            Self::Json(fields) => write!(f, "| json{}", extractions(fields)),
            Self::Logfmt { flags: LogfmtFlags { strict, keep_empty }, extractions: fields } => {
                let strict = if *strict { " --strict" } else { "" };
                let keep_empty = if *keep_empty { " --keep-empty" } else { "" };
                write!(f, "| logfmt{strict}{keep_empty}{}", extractions(fields))
            }
            Self::Regexp(pattern) => write!(f, "| regexp {}", quote(pattern)),
            Self::Pattern(pattern) => write!(f, "| pattern {}", quote(pattern)),
            Self::Unpack => f.write_str("| unpack"),
            Self::Label(filter) => write!(f, "| {filter}"),
            Self::LineFormat(template) => write!(f, "| line_format {}", quote(template)),
            Self::LabelFormat(formats) => {
                let texts: Vec<String> = formats.iter().map(label_format).collect();
                write!(f, "| label_format {}", texts.join(", "))
            }
            Self::Decolorize => f.write_str("| decolorize"),
            Self::Drop(labels) => write!(f, "| drop {}", picks(labels)),
            Self::Keep(labels) => write!(f, "| keep {}", picks(labels)),
        }
    }
}

fn extractions(fields: &[Extraction]) -> String {
    let field = |field: &Extraction| format!("{}={}", field.name, quote(&field.path));
    let texts: Vec<String> = fields.iter().map(field).collect();
    if texts.is_empty() { String::new() } else { format!(" {}", texts.join(", ")) }
}

fn label_format(LabelFormat { name, value }: &LabelFormat) -> String {
    match value {
        FormatValue::Rename(from) => format!("{name}={from}"),
        FormatValue::Template(template) => format!("{name}={}", quote(template)),
    }
}

fn picks(picks: &[LabelPick]) -> String {
    let texts: Vec<String> = picks
        .iter()
        .map(|pick| match pick {
            LabelPick::Name(name) => name.clone(),
            LabelPick::Matcher(one) => matcher(one),
        })
        .collect();
    texts.join(", ")
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.op {
            LineOp::Contains => "|=",
            LineOp::NotContains => "!=",
            LineOp::Regex => "|~",
            LineOp::NotRegex => "!~",
            LineOp::Pattern => "|>",
            LineOp::NotPattern => "!>",
        })?;
        for (i, operand) in self.operands.iter().enumerate() {
            f.write_str(if i == 0 { " " } else { " or " })?;
            match operand {
                LineOperand::Text(text) => f.write_str(&quote(text))?,
                LineOperand::Ip(pattern) => write!(f, "ip({})", quote(pattern))?,
            }
        }
        Ok(())
    }
}

impl CompareOp {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let compare = |f: &mut Formatter<'_>, name: &str, op: CompareOp, value: &str| {
            write!(f, "{name}{}{value}", op.as_str())
        };
        match self {
            Self::Text(one) => f.write_str(&matcher(one)),
            Self::Number(Comparison { name, op, value }) => {
                compare(f, name, *op, &format_float(*value))
            }
            Self::Duration(Comparison { name, op, value }) => {
                compare(f, name, *op, &format_go_duration(*value))
            }
            Self::Bytes(Comparison { name, op, value }) => {
                compare(f, name, *op, &format!("{value}B"))
            }
            Self::Ip { name, op, pattern } => {
                let op = if *op == IpOp::Found { "=" } else { "!=" };
                write!(f, "{name}{op}ip({})", quote(pattern))
            }
            Self::And(filters) => joined(f, filters, " and "),
            Self::Or(filters) => joined(f, filters, " or "),
        }
    }
}

fn joined(f: &mut Formatter<'_>, filters: &[LabelFilter], word: &str) -> fmt::Result {
    let texts: Vec<String> = filters.iter().map(ToString::to_string).collect();
    write!(f, "({})", texts.join(word))
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // No literal stands for these, but a computation does.
            Self::Number(value) if value.is_nan() => f.write_str("(0 / 0)"),
            Self::Number(value) if value.is_infinite() => {
                write!(f, "({}1e308 * 10)", if *value < 0.0 { "-" } else { "" })
            }
            Self::Number(value) => f.write_str(&format_float(*value)),
            Self::Vector(value) => write!(f, "vector({})", format_float(*value)),
            Self::Range(aggregation) => aggregation.fmt(f),
            Self::Aggregate(aggregation) => aggregation.fmt(f),
            Self::Binary(binary) => {
                write!(f, "({} {} {})", binary.lhs, operator(binary), binary.rhs)
            }
            Self::LabelReplace(replace) => {
                write!(f, "label_replace({}{})", replace.inner, replace_texts(replace))
            }
        }
    }
}

fn replace_texts(replace: &LabelReplace) -> String {
    let LabelReplace { destination, replacement, source, pattern, .. } = replace;
    let texts = [destination, replacement, source, pattern].map(|text| quote(text));
    format!(", {}", texts.join(", "))
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.as_str())?;
        if let Some(param) = self.param {
            write!(f, "{}, ", format_float(param))?;
        }
        let grouping = grouping(self.grouping.as_ref());
        write!(f, "{}{}){grouping}", self.range.log, window(&self.range))
    }
}

/// What stands behind the entries of a window.
fn window(range: &LogRange) -> String {
    let mut out = String::new();
    if let Some(unwrap) = &range.unwrap {
        let label = &unwrap.label;
        out.push_str(&match unwrap.conversion {
            Conversion::Number => format!(" | unwrap {label}"),
            Conversion::Bytes => format!(" | unwrap bytes({label})"),
            Conversion::Duration => format!(" | unwrap duration({label})"),
            Conversion::DurationSeconds => format!(" | unwrap duration_seconds({label})"),
        });
        for filter in &unwrap.filters {
            let _ = write!(out, " | {filter}");
        }
    }
    let _ = write!(out, " [{}]", duration(range.range_ns));
    if range.offset_ns != 0 {
        let _ = write!(out, " offset {}", duration(range.offset_ns));
    }
    out
}

/// In Prometheus' form where that is exact.
fn duration(ns: i64) -> String {
    if ns > 0 && ns % 1_000_000 == 0 {
        format_duration(ns / 1_000_000)
    } else {
        format_go_duration(ns)
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}(", self.op.as_str(), grouping(self.grouping.as_ref()))?;
        if self.param > 0 {
            write!(f, "{}, ", self.param)?;
        }
        write!(f, "{})", self.inner)
    }
}

fn grouping(grouping: Option<&Grouping>) -> String {
    let Some(Grouping { kind, names }) = grouping else { return String::new() };
    let kind = match kind {
        GroupingKind::By => "by",
        GroupingKind::Without => "without",
    };
    format!(" {kind} ({})", names.join(", "))
}

fn operator(binary: &Binary) -> String {
    let mut out = binary.op.as_str().to_owned();
    if binary.comparison == ComparisonResult::Bool {
        out.push_str(" bool");
    }
    let Matching { labels, group } = &binary.matching;
    match labels {
        Some(MatchLabels::On(names)) => {
            let _ = write!(out, " on ({})", names.join(", "));
        }
        Some(MatchLabels::Ignoring(names)) => {
            let _ = write!(out, " ignoring ({})", names.join(", "));
        }
        None => {}
    }
    if let Some(group) = group {
        let side = if group.many == Side::Left { "left" } else { "right" };
        let _ = write!(out, " group_{side} ({})", group.include.join(", "));
    }
    out
}
