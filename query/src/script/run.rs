//! Runs a script: loads, evaluates in every way a query can be evaluated, compares.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ephemeris_model::{Source, TimestampMs};

use super::classic::convert;
use super::compare::{
    check_sorted, compare_matrix, compare_notes, compare_vector, describe_lines, describe_matrix,
    describe_point, describe_vector, without_repeats,
};
use super::memory::MemorySource;
use super::pin::pinned;
use super::series::Value;
use super::syntax::{Command, Eval, Load, ScriptError, When, parse_script};
use crate::budget::{Budget, BudgetLimits};
use crate::promql::annotations::Severity;
use crate::promql::ast::Expr;
use crate::promql::engine::{Engine, EngineOptions, RangeQuery};
use crate::promql::exec::batch::Point;
use crate::promql::result::{Answer, AnswerValue, MatrixSeries, VectorSample};

/// How a script went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Queries whose answers are all as expected.
    pub passed: usize,
    /// Queries.
    pub total: usize,
    /// What went wrong, by line.
    pub failures: Vec<Failure>,
}

/// A query that gave another answer, or a script that cannot be run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Line in the script, from 1.
    pub line: usize,
    /// The query, or nothing if the script itself is at fault.
    pub query: String,
    /// What is wrong, and in which evaluation.
    pub problem: String,
    /// What the script expects.
    pub expected: String,
    /// What the engine answered.
    pub got: String,
}

/// Makes a source of the data a script has loaded so far.
pub type MakeSource<'a> = dyn FnMut(&MemorySource) -> Result<Box<dyn Source>, String> + 'a;

/// Runs a script over its data in memory. Everything that Prometheus has behind a feature flag is
/// on.
#[must_use]
pub fn run(script: &str) -> Report {
    run_over(script, &mut |data| Ok(Box::new(data.clone())))
}

/// Runs a script over a source that `make` fills with its data, anew after each load.
#[must_use]
pub fn run_over(script: &str, make: &mut MakeSource<'_>) -> Report {
    let commands = match parse_script(script) {
        Ok(commands) => commands,
        Err(error) => {
            let is_eval = |line: &&str| line.trim_start().starts_with("eval");
            let total = script.lines().filter(is_eval).count().max(1);
            return Report { passed: 0, total, failures: vec![at_fault(error)] };
        }
    };
    let is_eval = |command: &&Command| matches!(command, Command::Eval(_));
    let mut report = Report { total: commands.iter().filter(is_eval).count(), ..Report::default() };
    let engine = Engine::new(EngineOptions {
        delayed_name_removal: true,
        use_start_timestamps: true,
        ..EngineOptions::default()
    });
    let mut data = MemorySource::default();
    let mut source: Option<Box<dyn Source>> = None;
    for command in commands {
        let done = match command {
            Command::Clear => {
                (data, source) = (MemorySource::default(), None);
                Ok(())
            }
            Command::Load(load) => {
                source = None;
                store(&load, &mut data)
            }
            Command::Eval(eval) => made(&mut source, &data, make, eval.line).map(|source| {
                match check(&engine, source, &eval) {
                    Ok(()) => report.passed += 1,
                    Err(failure) => report.failures.push(*failure),
                }
            }),
        };
        if let Err(error) = done {
            report.failures.push(at_fault(error));
            return report;
        }
    }
    report
}

/// The source of the data as they are, made if it is not there yet.
fn made<'a>(
    source: &'a mut Option<Box<dyn Source>>,
    data: &MemorySource,
    make: &mut MakeSource<'_>,
    line: usize,
) -> Result<&'a dyn Source, ScriptError> {
    if source.is_none() {
        *source = Some(make(data).map_err(|message| ScriptError { line, message })?);
    }
    let missing = || ScriptError { line, message: "no source was made".to_owned() };
    source.as_deref().ok_or_else(missing)
}

fn at_fault(error: ScriptError) -> Failure {
    Failure {
        line: error.line,
        query: String::new(),
        problem: error.message,
        expected: String::new(),
        got: String::new(),
    }
}

fn store(load: &Load, source: &mut MemorySource) -> Result<(), ScriptError> {
    let fail = |message: String| ScriptError { line: load.line, message };
    let mut classic = Vec::new();
    for series in &load.series {
        let labels = &series.line.labels;
        let mut floats = Vec::new();
        let mut at = 0_i64;
        for (i, value) in series.line.values.iter().enumerate() {
            let start = series.starts.get(i).copied().flatten().map_or(0, |offset| at + offset);
            match value {
                Value::Missing => {}
                Value::Float(value) => {
                    source.push(labels, at, start, *value).map_err(fail)?;
                    if !ephemeris_model::is_stale(*value) {
                        floats.push((at, *value));
                    }
                }
                Value::Histogram(histogram, _) => {
                    source.push_histogram(labels, at, start, histogram).map_err(fail)?;
                }
            }
            at = at.saturating_add(load.interval_ms);
        }
        classic.push((labels, floats));
    }
    if load.with_nhcb {
        for native in convert(classic.into_iter()).map_err(fail)? {
            let (labels, at) = (&native.labels, native.timestamp_ms);
            source.push_histogram(labels, at, 0, &native.histogram).map_err(fail)?;
        }
    }
    Ok(())
}

/// What went wrong with one evaluation.
struct Wrong {
    problem: String,
    got: String,
}

impl Wrong {
    fn new(problem: impl Into<String>, got: impl Into<String>) -> Self {
        Self { problem: problem.into(), got: got.into() }
    }
}

/// One evaluation of a query.
struct Run<'a> {
    engine: &'a Engine,
    source: &'a dyn Source,
    eval: &'a Eval,
    expr: &'a Expr,
}

fn check(engine: &Engine, source: &dyn Source, eval: &Eval) -> Result<(), Box<Failure>> {
    let run = |expr: &Expr, when: When| {
        let run = Run { engine, source, eval, expr };
        let checked = catch_unwind(AssertUnwindSafe(|| run.check(when)));
        checked.unwrap_or_else(|_| Err(Wrong::new("the engine panicked", "")))
    };
    let failure = |wrong: Wrong, how: &str| {
        Box::new(Failure {
            line: eval.line,
            query: eval.query.clone(),
            problem: format!("{}{how}", wrong.problem),
            expected: describe_expected(eval),
            got: wrong.got,
        })
    };
    run(&eval.expr, eval.when).map_err(|wrong| failure(wrong, ""))?;
    let When::Instant(at) = eval.when else { return Ok(()) };
    let Some(expr) = pinned(&eval.expr, at) else { return Ok(()) };
    let elsewhere = match at {
        0 => vec![-1000, 0, 1000],
        _ => vec![-10 * at, 0, at / 5, at, 10 * at],
    };
    for other in elsewhere {
        run(&expr, When::Instant(other))
            .map_err(|wrong| failure(wrong, &format!(" (with @, evaluated at {other} ms)")))?;
    }
    Ok(())
}

fn describe_expected(eval: &Eval) -> String {
    let expected = &eval.expected;
    if let Some(text) = &expected.fail {
        format!("an error with {}", text.describe())
    } else if let Some(text) = &expected.string {
        format!("the string {text:?}")
    } else if let Some(value) = expected.scalar {
        format!("the scalar {value}")
    } else {
        describe_lines(&expected.series)
    }
}

fn describe_answer(value: &AnswerValue) -> String {
    match value {
        AnswerValue::Scalar { value, .. } => format!("the scalar {value}"),
        AnswerValue::String { text, .. } => format!("the string {text:?}"),
        AnswerValue::Vector { samples, .. } => describe_vector(samples),
        AnswerValue::Matrix(series) => describe_matrix(series),
    }
}

impl Run<'_> {
    fn check(&self, when: When) -> Result<(), Wrong> {
        let answer = match (self.evaluate(when), &self.eval.expected.fail) {
            (Ok(answer), None) => answer,
            (Ok(answer), Some(_)) => {
                let got = describe_answer(&answer.value);
                return Err(Wrong::new("an answer where an error is expected", got));
            }
            (Err(error), Some(text)) if text.fits(&error) => return Ok(()),
            (Err(error), _) => return Err(Wrong::new("an error", error)),
        };
        self.check_notes(&answer)?;
        match when {
            When::Range { start, end, step } => {
                self.check_matrix(&answer.value, (start, end, step))
            }
            When::Instant(at) => {
                let is_scalar = self.check_instant(&answer.value)?;
                if self.also_as_range() { self.check_as_range(at, is_scalar) } else { Ok(()) }
            }
        }
    }

    fn evaluate(&self, when: When) -> Result<Answer, String> {
        let budget = Budget::new(BudgetLimits::default());
        let query = &self.eval.query;
        let answer = match when {
            When::Instant(at) => {
                self.engine.instant(self.source, query, self.expr, TimestampMs(at), &budget)
            }
            When::Range { start, end, step } => {
                let (start, end) = (TimestampMs(start), TimestampMs(end));
                let range = RangeQuery { start, end, step_ms: step };
                self.engine.range(self.source, query, self.expr, range, &budget)
            }
        };
        answer.map_err(|error| error.to_string())
    }

    fn check_notes(&self, answer: &Answer) -> Result<(), Wrong> {
        let expected = &self.eval.expected;
        for (severity, notes) in
            [(Severity::Warning, &expected.warnings), (Severity::Info, &expected.infos)]
        {
            let got = without_repeats(answer.annotations.render(severity, &self.eval.query));
            compare_notes(notes, &got).map_err(|problem| Wrong::new(problem, got.join("\n")))?;
        }
        Ok(())
    }

    fn check_matrix(&self, got: &AnswerValue, times: (i64, i64, i64)) -> Result<(), Wrong> {
        let expected = &self.eval.expected;
        let checked = match (got, expected.scalar) {
            (AnswerValue::Matrix(series), None) => compare_matrix(&expected.series, times, series),
            _ => Err("not series over time".to_owned()),
        };
        checked.map_err(|problem| Wrong::new(problem, describe_answer(got)))
    }

    /// Compares the answer to an instant query; tells whether it is a scalar.
    fn check_instant(&self, got: &AnswerValue) -> Result<bool, Wrong> {
        let expected = &self.eval.expected;
        if let Some(times) = expected.range_vector {
            return self.check_matrix(got, times).map(|()| false);
        }
        let checked = match (got, expected.scalar, &expected.string) {
            (AnswerValue::String { text, .. }, None, Some(wanted)) if text == wanted => Ok(false),
            (AnswerValue::Scalar { value, .. }, Some(wanted), None) => {
                self.check_scalar(wanted, *value).map(|()| true)
            }
            (AnswerValue::Vector { samples, .. }, None, None) => {
                compare_vector(&expected.series, expected.ordered, samples).map(|()| false)
            }
            _ => Err("another kind of answer".to_owned()),
        };
        checked.map_err(|problem| Wrong::new(problem, describe_answer(got)))
    }

    #[expect(clippy::unused_self, reason = "one of several checks with the same shape")]
    fn check_scalar(&self, wanted: f64, got: f64) -> Result<(), String> {
        if super::compare::almost_equal(wanted, got) {
            Ok(())
        } else {
            Err("another value".to_owned())
        }
    }

    /// Whether the query is evaluated over a range around its time as well.
    fn also_as_range(&self) -> bool {
        let expected = &self.eval.expected;
        let asks_for_range =
            ["start()", "end()", "range()", "step()"].iter().any(|f| self.eval.query.contains(f));
        expected.string.is_none() && expected.range_vector.is_none() && !asks_for_range
    }

    /// Evaluates over three steps and compares the one in the middle.
    fn check_as_range(&self, at: i64, is_scalar: bool) -> Result<(), Wrong> {
        const MINUTE: i64 = 60_000;
        let when = When::Range { start: at - MINUTE, end: at + MINUTE, step: MINUTE };
        let answer =
            self.evaluate(when).map_err(|error| Wrong::new("an error as range query", error))?;
        let expected = &self.eval.expected;
        if expected.ordered {
            return Ok(());
        }
        let AnswerValue::Matrix(series) = &answer.value else {
            return Err(Wrong::new("a range query without series", describe_answer(&answer.value)));
        };
        let checked = check_sorted(series).and_then(|()| {
            let samples = samples_at(series, at);
            match (is_scalar, expected.scalar, samples.as_slice()) {
                (false, ..) => compare_vector(&expected.series, false, &samples),
                (true, Some(wanted), [VectorSample { point: Point::Float(got), .. }]) => {
                    self.check_scalar(wanted, *got)
                }
                (true, _, points) => {
                    let points: Vec<String> =
                        points.iter().map(|sample| describe_point(&sample.point)).collect();
                    Err(format!("not one number but {points:?}"))
                }
            }
        });
        checked.map_err(|problem| {
            Wrong::new(format!("{problem}, as range query"), describe_matrix(series))
        })
    }
}

/// The samples of `series` at one time.
fn samples_at(series: &[MatrixSeries], at: i64) -> Vec<VectorSample> {
    let point = |series: &MatrixSeries| {
        let float = series.floats.iter().find(|(time, _)| *time == at);
        let histogram = series.histograms.iter().find(|(time, _)| *time == at);
        float
            .map(|(_, value)| Point::Float(*value))
            .or_else(|| histogram.map(|(_, h)| Point::Histogram(std::sync::Arc::clone(h))))
    };
    let sample = |series: &MatrixSeries| {
        point(series).map(|point| VectorSample { labels: series.labels.clone(), point })
    };
    series.iter().filter_map(sample).collect()
}
