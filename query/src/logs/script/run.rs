//! Runs a script: loads, evaluates, compares.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::compare::{
    compare_entries, compare_metric, describe_entries, describe_expected, describe_metric,
};
use super::memory::MemoryLogs;
use super::syntax::{Command, Eval, Logs, When, parse_script};
use crate::budget::{Budget, BudgetLimits};
use crate::logs::ast::Expr;
use crate::logs::engine::{EntryQuery, LogEngine, MetricRange};
use crate::logs::parse::parse;
use crate::logs::result::{EntriesAnswer, MetricValue};
use crate::script::{Failure, Report};

/// Runs a script on entries in memory.
#[must_use]
pub fn run(script: &str) -> Report {
    evaluate_with(script, &|logs, query| query.in_memory(logs))
}

/// Runs a script, its queries through `answer`: a test of the server asks over HTTP.
#[must_use]
pub fn evaluate_with(
    script: &str,
    answer: &dyn Fn(&MemoryLogs, &Query<'_>) -> Result<Answered, String>,
) -> Report {
    let commands = match parse_script(script) {
        Ok(commands) => commands,
        Err(error) => {
            let is_eval = |line: &&str| line.starts_with("eval");
            let total = script.lines().filter(is_eval).count().max(1);
            let failure = Failure {
                line: error.line,
                query: String::new(),
                problem: error.message,
                expected: String::new(),
                got: String::new(),
            };
            return Report { passed: 0, total, failures: vec![failure] };
        }
    };
    let mut report = Report::default();
    let mut logs = MemoryLogs::default();
    for command in commands {
        match command {
            Command::Clear => logs = MemoryLogs::default(),
            Command::Load(entries) => {
                for entry in entries {
                    let line = entry.line.as_bytes();
                    logs.push(&entry.labels, entry.timestamp_ns, line, entry.metadata);
                }
            }
            Command::Eval(eval) => {
                report.total += 1;
                match check(&logs, &eval, answer) {
                    Ok(()) => report.passed += 1,
                    Err(failure) => report.failures.push(*failure),
                }
            }
        }
    }
    report
}

/// A query of a script.
pub struct Query<'a> {
    eval: &'a Eval,
}

/// What a query answered.
#[derive(Debug)]
pub enum Answered {
    /// Numbers.
    Metric(MetricValue),
    /// Entries.
    Entries(EntriesAnswer),
}

impl Query<'_> {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.eval.query
    }

    /// Answers it from entries in memory.
    ///
    /// # Errors
    /// What is wrong with the query, or what went wrong with it.
    pub fn in_memory(&self, logs: &MemoryLogs) -> Result<Answered, String> {
        let expr = parse(&self.eval.query).map_err(|error| error.to_string())?;
        let budget = Budget::new(BudgetLimits::default());
        let answer = match (self.eval.when, &expr) {
            (When::Instant(at), Expr::Metric(metric)) => {
                LogEngine.instant(logs, metric, at, &budget)
            }
            (When::Range { start, end, step }, Expr::Metric(metric)) => {
                let range = MetricRange { start_ns: start, end_ns: end, step_ns: step };
                LogEngine.range(logs, metric, range, &budget)
            }
            (When::Logs(how), Expr::Log(log)) => {
                let answer = LogEngine.entries(logs, log, entry_query(how), &budget);
                return answer.map(Answered::Entries).map_err(|error| error.to_string());
            }
            _ => return Err("the query is of another kind".to_owned()),
        };
        answer.map(|answer| Answered::Metric(answer.value)).map_err(|error| error.to_string())
    }
}

fn entry_query(logs: Logs) -> EntryQuery {
    EntryQuery {
        start_ns: logs.start,
        end_ns: logs.end,
        direction: logs.direction,
        limit: logs.limit,
        interval_ns: logs.interval,
    }
}

fn check(
    logs: &MemoryLogs,
    eval: &Eval,
    answer: &dyn Fn(&MemoryLogs, &Query<'_>) -> Result<Answered, String>,
) -> Result<(), Box<Failure>> {
    let query = Query { eval };
    let answered = catch_unwind(AssertUnwindSafe(|| answer(logs, &query)));
    let answered = answered.unwrap_or_else(|_| Err("the engine panicked".to_owned()));
    let got = describe(&answered, eval);
    judge(eval, answered).map_err(|problem| {
        Box::new(Failure {
            line: eval.line,
            query: eval.query.clone(),
            problem,
            expected: describe_expected(&eval.expected),
            got,
        })
    })
}

fn judge(eval: &Eval, answered: Result<Answered, String>) -> Result<(), String> {
    let expected = &eval.expected;
    match (answered, &expected.fail) {
        (Err(error), _) if error == "the engine panicked" => Err(error),
        (Err(error), Some(text)) if text.fits(&error) => Ok(()),
        (Err(_), Some(_)) => Err("another error".to_owned()),
        (Err(_), None) => Err("an error".to_owned()),
        (Ok(_), Some(_)) => Err("an answer where an error is expected".to_owned()),
        (Ok(Answered::Metric(value)), None) => compare_metric(expected, eval.when, &value),
        (Ok(Answered::Entries(answer)), None) => match eval.when {
            When::Logs(logs) => compare_entries(expected, logs, &answer),
            _ => Err("entries".to_owned()),
        },
    }
}

fn describe(answered: &Result<Answered, String>, eval: &Eval) -> String {
    match (answered, eval.when) {
        (Err(error), _) => error.clone(),
        (Ok(Answered::Metric(value)), _) => describe_metric(value),
        (Ok(Answered::Entries(answer)), When::Logs(logs)) => describe_entries(answer, logs),
        (Ok(Answered::Entries(_)), _) => "entries".to_owned(),
    }
}
