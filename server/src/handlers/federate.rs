//! `/federate`: the newest sample of each selected series, in the exposition format.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ephemeris_model::{
    Labels, METRIC_NAME, Matcher, SampleBuffer, Select, Source, SourceError, TimeRange, is_stale,
};
use ephemeris_storage::Reader;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::labels::on_reader;
use super::selectors::required_selectors;
use crate::api::number::write_value;
use crate::api::{ApiError, Form, Tenant};
use crate::app::App;
use crate::metrics::text::{self, is_plain_name, write_labels, write_quoted};

/// Series by metric name, then labels, each with time and value of its newest sample.
type Newest = BTreeMap<String, BTreeMap<Labels, (i64, f64)>>;

/// Newest samples within the lookback, with their own times; series that ended are left out.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn federate(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let lookback_ms = app.config.query.lookback_ms;
    let range = TimeRange::inclusive(now + (1 - lookback_ms), now);
    let body = on_reader(&app, tenant, move |reader| {
        let mut newest = Newest::new();
        for matchers in required_selectors(&form)? {
            read_newest(reader, matchers, range, &mut newest)?;
        }
        Ok(exposition(&newest))
    });
    let kind = HeaderValue::from_static(text::CONTENT_TYPE);
    Ok(([(CONTENT_TYPE, kind)], body.await?).into_response())
}

fn read_newest(
    reader: &Reader,
    matchers: Vec<Matcher>,
    range: TimeRange,
    newest: &mut Newest,
) -> Result<(), SourceError> {
    let set = reader.select(&Select { matchers, range })?;
    let mut buffer = SampleBuffer::default();
    set.read(0..set.len(), &mut buffer, &mut |index, samples| {
        let last = samples.timestamps.last().copied().zip(samples.values.last().copied());
        // Native histograms have no form in this format.
        let is_histogram = samples.histogram_at(samples.len().wrapping_sub(1)).is_some();
        if let Some((at_ms, value)) = last.filter(|(_, v)| !is_stale(*v) && !is_histogram) {
            let labels = set.labels(index);
            let name = labels.metric_name().unwrap_or_default().to_owned();
            newest.entry(name).or_default().insert(labels, (at_ms, value));
        }
        Ok(())
    })
}

fn exposition(newest: &Newest) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, series) in newest {
        let plain = is_plain_name(name);
        out.extend_from_slice(b"# TYPE ");
        if plain {
            out.extend_from_slice(name.as_bytes());
        } else {
            write_quoted(&mut out, name);
        }
        out.extend_from_slice(b" untyped\n");
        for (labels, (at_ms, value)) in series {
            write_series(&mut out, (name, plain), labels);
            out.push(b' ');
            write_value(&mut out, *value);
            out.extend_from_slice(format!(" {at_ms}\n").as_bytes());
        }
    }
    out
}

/// `name{labels}`, or `{"name",labels}` if the name cannot stand alone. A series without
/// `instance` gets an empty one, so that the scraper's own is not put there.
fn write_series(out: &mut Vec<u8>, (name, plain): (&str, bool), labels: &Labels) {
    let own = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
    let missing = labels.get("instance").is_none().then_some(("instance", ""));
    let mut written = Vec::new();
    write_labels(&mut written, own.chain(missing));
    if plain {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&written);
        return;
    }
    out.push(b'{');
    write_quoted(out, name);
    // There is always a label, `instance` at the least.
    out.push(b',');
    out.extend_from_slice(written.strip_prefix(b"{").unwrap_or(&written));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_grouped_and_times_are_explicit() {
        let mut newest = Newest::new();
        let mut add = |pairs: &[(&str, &str)], value: f64| {
            let labels = Labels::from_pairs(pairs.iter().copied());
            let name = labels.metric_name().unwrap_or_default().to_owned();
            newest.entry(name).or_default().insert(labels, (1500, value));
        };
        add(&[("__name__", "up"), ("instance", "b")], 1.0);
        add(&[("__name__", "up"), ("job", "a\"")], f64::NAN);
        add(&[("__name__", "http.code")], 1e-7);
        let expected = "# TYPE \"http.code\" untyped\n\
                        {\"http.code\",instance=\"\"} 1e-07 1500\n\
                        # TYPE up untyped\n\
                        up{instance=\"b\"} 1 1500\n\
                        up{job=\"a\\\"\",instance=\"\"} NaN 1500\n";
        assert_eq!(String::from_utf8_lossy(&exposition(&newest)), expected);
    }
}
