//! The queries of the constellation dashboard, as Grafana sends them for an hour on a panel of some
//! 240 points.

use serde_json::Value;

use super::questions::{Question, When};
use crate::{BenchError, Result};

/// The dashboard that is shipped.
const DASHBOARD: &str = include_str!("../../../dashboards/constellation.json");
/// What Grafana puts in for four scrape intervals.
const RATE_INTERVAL: &str = "1m";
/// A panel that shows one moment should be there at once …
const INSTANT_TARGET_MS: f64 = 300.0;
/// … one that shows an hour in a second.
const RANGE_TARGET_MS: f64 = 1000.0;

/// All queries of the dashboard over the time from `start_ms` to `end_ms`.
///
/// # Errors
/// If the dashboard is none.
pub fn questions(start_ms: i64, end_ms: i64) -> Result<Vec<Question>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)
        .map_err(|e| BenchError(format!("dashboards/constellation.json: {e}")))?;
    let step_ms = 15_000;
    let start_ms = end_ms - (end_ms - start_ms - 330_000).max(step_ms) / step_ms * step_ms;
    let mut questions = Vec::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        let targets = panel["targets"].as_array().into_iter().flatten();
        let expressions = targets.filter_map(|t| Some((t["expr"].as_str()?, t["range"] == true)));
        for (number, (expression, is_range)) in expressions.enumerate() {
            let name =
                if number == 0 { title.to_owned() } else { format!("{title}, {}", number + 1) };
            let range = When::Range { start_ms, end_ms, step_ms };
            questions.push(Question {
                name,
                expression: expression.replace("$__rate_interval", RATE_INTERVAL),
                when: if is_range { range } else { When::At(end_ms) },
                target_ms: Some(if is_range { RANGE_TARGET_MS } else { INSTANT_TARGET_MS }),
            });
        }
    }
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_of_the_dashboard_is_asked_with_its_interval_put_in() {
        let questions = questions(0, 3_600_000).expect("the dashboard is read");
        assert!(questions.len() >= 20, "only {}", questions.len());
        assert!(questions.iter().all(|q| !q.expression.contains('$')), "{questions:?}");
        let ranges = questions.iter().filter(|q| matches!(q.when, When::Range { .. })).count();
        assert!(ranges > 10 && ranges < questions.len(), "{ranges} of {}", questions.len());
        let names: std::collections::BTreeSet<_> = questions.iter().map(|q| &q.name).collect();
        assert_eq!(names.len(), questions.len(), "names tell them apart");
    }
}
