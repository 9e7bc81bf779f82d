//! The parameters `match[]`, `start` and `end` of the endpoints that list series and labels.

use ephemeris_model::{Matcher, PatternBudget, TimeRange, TimestampMs};
use ephemeris_query::promql::parse::parse_selector_within;

use crate::api::{ApiError, Form};

/// Most selectors in one request.
const SELECTORS_MAX: usize = 1000;

/// The selectors of `match[]`. Compiles their patterns, so it is for workers.
///
/// # Errors
/// If one cannot be parsed, or selects all series there are.
pub fn selectors(form: &Form) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let (mut selectors, mut patterns) = (Vec::new(), PatternBudget::default());
    for text in form.all("match[]") {
        if selectors.len() == SELECTORS_MAX {
            let cause = format!("more than {SELECTORS_MAX} selectors");
            return Err(ApiError::parameter("match[]", cause));
        }
        let matchers = parse_selector_within(&mut patterns, text)
            .map_err(|error| ApiError::parameter("match[]", error))?;
        if matchers.iter().all(Matcher::matches_empty) {
            let cause = "match[] must contain at least one non-empty matcher";
            return Err(ApiError::parameter("match[]", cause));
        }
        selectors.push(matchers);
    }
    Ok(selectors)
}

/// The selectors of `match[]`, of which there must be one.
///
/// # Errors
/// As [`selectors`], and if there is none.
pub fn required_selectors(form: &Form) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let selectors = selectors(form)?;
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    Ok(selectors)
}

/// The range from `start` to `end`, both included; all of time if they are missing.
///
/// # Errors
/// If one is no time, or the end lies before the start.
pub fn range(form: &Form) -> Result<TimeRange, ApiError> {
    let start = form.time("start")?;
    let end = form.time("end")?;
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        let cause = "end timestamp must not be before start timestamp";
        return Err(ApiError::parameter("end", cause));
    }
    let (start, end) = (start.unwrap_or(TimestampMs::MIN), end.unwrap_or(TimestampMs::MAX));
    Ok(TimeRange::inclusive(start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_must_select() {
        let error = |url: &str| {
            selectors(&Form::new(b"", url.as_bytes())).expect_err("it is refused").message
        };
        let all = "invalid parameter \"match[]\": match[] must contain at least one non-empty \
                   matcher";
        assert_eq!(error("match[]={a=~%22.*%22}"), all);
        assert!(error("match[]={").starts_with("invalid parameter \"match[]\": 1:"));
        let two = selectors(&Form::new(b"match[]=up&match[]={a=%22b%22}", b"")).expect("two");
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn the_patterns_of_all_selectors_share_a_budget() {
        let many = "match[]={a=~%22%5C%5CpL{60}y17%22}&".repeat(20);
        let error = selectors(&Form::new(many.as_bytes(), b"")).expect_err("too costly").message;
        assert!(error.contains("limit is 524288"), "{error}");
    }

    #[test]
    fn a_range_without_ends_is_all_of_time() {
        assert_eq!(range(&Form::default()).ok(), Some(TimeRange::ALL));
        assert!(range(&Form::new(b"", b"start=2&end=1")).is_err());
    }
}
