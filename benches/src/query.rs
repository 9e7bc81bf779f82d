//! Instant queries over HTTP, with answers as label sets and samples.

use ephemeris_model::Labels;
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::{BenchError, Result, fail};

/// A series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Its labels.
    pub labels: Labels,
    /// Its samples: milliseconds and value. An instant vector has one.
    pub samples: Vec<(i64, f64)>,
}

/// Evaluates `expression` at `time_ms`. A scalar comes as a series without labels.
///
/// # Errors
/// If the server does not answer with success, or with a warning: then something may be missing.
pub fn instant(client: &mut Client, expression: &str, time_ms: i64) -> Result<Vec<Answered>> {
    let time = seconds(time_ms);
    let answer = client.form("/api/v1/query", &[("query", expression), ("time", &time)])?;
    read(expression, &answer)
}

/// Milliseconds as the seconds that queries take.
#[must_use]
pub fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000))
}

/// Reads the answer to an instant or range query.
///
/// # Errors
/// As [`instant`].
pub fn read(expression: &str, answer: &Answer) -> Result<Vec<Answered>> {
    let context = |what: &str| {
        BenchError(format!("query {expression}: {what}: {} {}", answer.status, answer.excerpt()))
    };
    if answer.status != 200 {
        return Err(context("refused"));
    }
    let json: Value =
        serde_json::from_slice(&answer.body).map_err(|e| context(&format!("not JSON ({e})")))?;
    if json.get("warnings").is_some() {
        return Err(context("answered with a warning"));
    }
    parse(&json).ok_or_else(|| context("unexpected answer"))
}

/// The value of an expression that has one: a scalar, or a vector of one series.
///
/// # Errors
/// As [`instant`], and if there is another number of series.
pub fn single(client: &mut Client, expression: &str, time_ms: i64) -> Result<f64> {
    let answered = instant(client, expression, time_ms)?;
    match answered.as_slice() {
        [Answered { samples, .. }] if samples.len() == 1 => Ok(samples[0].1),
        _ => fail(format!("query {expression}: {} series, expected one", answered.len())),
    }
}

fn parse(json: &Value) -> Option<Vec<Answered>> {
    let data = json.get("data")?;
    let result = data.get("result")?;
    if data.get("resultType")? == "scalar" {
        let samples = vec![sample(result)?];
        return Some(vec![Answered { labels: Labels::empty(), samples }]);
    }
    result.as_array()?.iter().map(series).collect()
}

fn series(json: &Value) -> Option<Answered> {
    let labels = json.get("metric")?.as_object()?;
    let pairs: Option<Vec<(&String, &str)>> =
        labels.iter().map(|(name, value)| Some((name, value.as_str()?))).collect();
    let samples = match (json.get("value"), json.get("values")) {
        (Some(one), _) => vec![sample(one)?],
        (_, Some(many)) => many.as_array()?.iter().map(sample).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(Answered { labels: Labels::from_pairs(pairs?), samples })
}

/// `[seconds, "value"]`.
fn sample(json: &Value) -> Option<(i64, f64)> {
    let [time, value] = json.as_array()?.as_slice() else { return None };
    let value = match value.as_str()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of our days are exact")]
    let time_ms = (time.as_f64()? * 1e3).round() as i64;
    Some((time_ms, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_result_is_read() {
        let text = r#"{"data":{"resultType":"matrix","result":[{"metric":{"__name__":"x"},
            "values":[[1790000000.123,"-0"],[1790000001,"+Inf"]]}]}}"#;
        let answered = parse(&serde_json::from_str(text).expect("JSON")).expect("a matrix");
        assert_eq!(answered[0].labels.metric_name(), Some("x"));
        let [(first, zero), (_, infinite)] = answered[0].samples[..] else { panic!("two samples") };
        assert_eq!((first, zero.to_bits()), (1_790_000_000_123, (-0.0_f64).to_bits()));
        assert_eq!(infinite, f64::INFINITY);
        let text = r#"{"data":{"resultType":"scalar","result":[1,"2.5"]}}"#;
        let answered = parse(&serde_json::from_str(text).expect("JSON")).expect("a scalar");
        assert_eq!(answered[0].samples, [(1000, 2.5)]);
        assert_eq!(parse(&serde_json::from_str("{}").expect("JSON")), None);
    }
}
