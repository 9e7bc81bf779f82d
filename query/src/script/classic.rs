//! Classic histograms as native ones with custom buckets, for `load_with_nhcb`.

use std::collections::BTreeMap;

use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use ephemeris_model::{FloatHistogram, Labels, METRIC_NAME, Span};

/// What is known of one classic histogram at one time.
#[derive(Clone, Debug, Default)]
struct Classic {
    /// Upper bound and cumulative count, by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// A native histogram made of a classic one.
pub(super) struct Converted {
    pub(super) labels: Labels,
    pub(super) timestamp_ms: i64,
    pub(super) histogram: FloatHistogram,
}

/// Converts all classic histograms among `series`, each in order of time.
pub(super) fn convert<'a>(
    series: impl Iterator<Item = (&'a Labels, Vec<(i64, f64)>)>,
) -> Result<Vec<Converted>, String> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.metric_name().unwrap_or_default();
        let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
            let Some(le) = labels.get("le").and_then(upper_bound) else { continue };
            (base, Part::Bucket(le))
        } else if let Some(base) = name.strip_suffix("_count") {
            (base, Part::Count)
        } else if let Some(base) = name.strip_suffix("_sum") {
            (base, Part::Sum)
        } else {
            continue;
        };
        let labels = labels.to_builder().set(METRIC_NAME, base).remove("le").build();
        let times = found.entry(labels).or_default();
        for (timestamp_ms, value) in samples {
            let classic = times.entry(timestamp_ms).or_default();
            match part {
                Part::Bucket(le) => classic.add_bucket(le, value),
                Part::Count => classic.count = Some(value),
                Part::Sum => classic.sum = value,
            }
        }
    }
    let mut converted = Vec::new();
    for (labels, times) in found {
        for (timestamp_ms, classic) in times {
            let histogram = classic.into_native().map_err(|error| format!("{labels}: {error}"))?;
            converted.push(Converted { labels: labels.clone(), timestamp_ms, histogram });
        }
    }
    Ok(converted)
}

#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

fn upper_bound(le: &str) -> Option<f64> {
    le.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

impl Classic {
    fn add_bucket(&mut self, le: f64, count: f64) {
        if let Err(at) = self.buckets.binary_search_by(|(bound, _)| bound.total_cmp(&le)) {
            self.buckets.insert(at, (le, count));
        }
    }

    fn into_native(mut self) -> Result<FloatHistogram, String> {
        let highest = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let last = self.buckets.last().map_or(0.0, |(_, count)| *count);
        if last != count {
            return Err(format!("count {count} is not that of the last bucket, {last}"));
        }
        let mut previous = 0.0;
        let mut positive_buckets = Vec::with_capacity(self.buckets.len());
        for (bound, cumulative) in &self.buckets {
            if cumulative.is_nan() || *cumulative < previous {
                return Err(format!("bucket {bound} counts {cumulative}, less than {previous}"));
            }
            positive_buckets.push(cumulative - previous);
            previous = *cumulative;
        }
        self.buckets.pop();
        let length = u32::try_from(positive_buckets.len()).map_err(|_| "too many buckets")?;
        let mut histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length }],
            positive_buckets,
            custom_values: self.buckets.iter().map(|(bound, _)| *bound).collect(),
            ..FloatHistogram::default()
        };
        crate::promql::histogram::compact(&mut histogram);
        Ok(histogram)
    }
}
