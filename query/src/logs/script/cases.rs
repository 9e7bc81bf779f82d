//! Lists of queries that are valid or not: a line a case, a JSON object with `query`, `ok`, and the
//! error as the constructor call that Loki's tests write.

use super::super::parse::parse;
use super::super::pipeline::json_fields;
use crate::promql::text::unquote;
use crate::script::{Failure, Report};

/// The error Loki's tests know by name.
const NO_SELECTIVE_MATCHER: &str = "errAtleastOneEqualityMatcherRequired";

/// Runs the cases of a `.jsonl` file.
#[must_use]
pub fn run_cases(text: &str) -> Report {
    let mut report = Report::default();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        report.total += 1;
        match check(line) {
            Ok(()) => report.passed += 1,
            Err(wrong) => report.failures.push(Failure {
                line: i + 1,
                query: wrong.query,
                problem: wrong.problem.to_owned(),
                expected: wrong.expected,
                got: wrong.got,
            }),
        }
    }
    report
}

struct Wrong {
    query: String,
    problem: &'static str,
    expected: String,
    got: String,
}

fn check(line: &str) -> Result<(), Wrong> {
    let fields = json_fields(line);
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    let query = field("query").unwrap_or_default().to_owned();
    let expected = field("err").map(expected_error);
    let got = parse(&query).map_err(|error| error.to_string());
    let problem = match (&got, field("ok"), &expected) {
        (Ok(_), Some("true"), None) => return Ok(()),
        (Err(_), Some("false"), None) => return Ok(()),
        (Err(error), Some("false"), Some(wanted)) if wanted == error => return Ok(()),
        (_, None, _) => "the case does not say whether the query is valid",
        (Ok(_), ..) => "the query was accepted",
        (Err(_), Some("true"), _) => "the query was refused",
        (Err(_), ..) => "another error",
    };
    let got = got.err().unwrap_or_else(|| "a valid query".to_owned());
    Err(Wrong { query, problem, expected: expected.unwrap_or_default(), got })
}

/// The text of `logqlmodel.NewParseError("message", line, column)`.
fn expected_error(call: &str) -> String {
    let Some(arguments) = call.strip_prefix("logqlmodel.NewParseError(") else {
        return call.to_owned();
    };
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
    let mut parts = arguments.rsplitn(3, ',').map(str::trim);
    let (column, line) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let message = parts.next().unwrap_or_default();
    let message = if message == NO_SELECTIVE_MATCHER {
        super::super::parse::NO_SELECTIVE_MATCHER.to_owned()
    } else {
        unquote(message).unwrap_or_else(|_| message.to_owned())
    };
    match (line, column) {
        ("0", "0") => format!("parse error : {message}"),
        _ => format!("parse error at line {line}, col {column}: {message}"),
    }
}
