//! Random requests of OTLP metrics, as `prost` has them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::proto::otlp::{self as proto, any_value, exemplar, metric, number};

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), (-9_i32..9).prop_map(f64::from)]
}

fn attributes() -> impl Strategy<Value = Vec<proto::KeyValue>> {
    let scalar = prop_oneof![
        ".{0,8}".prop_map(any_value::Value::String),
        any::<bool>().prop_map(any_value::Value::Bool),
        any::<i64>().prop_map(any_value::Value::Int),
        float().prop_map(any_value::Value::Double),
        vec(any::<u8>(), 0..6).prop_map(any_value::Value::Bytes),
    ];
    let any_of = |value| proto::AnyValue { value };
    let nested = option::of(scalar).prop_map(any_of).prop_recursive(2, 8, 3, move |inner| {
        let entry = (".{0,4}", option::of(inner.clone()))
            .prop_map(|(key, value)| proto::KeyValue { key, value });
        prop_oneof![
            vec(inner, 0..3)
                .prop_map(|values| any_value::Value::Array(proto::ArrayValue { values })),
            vec(entry, 0..3)
                .prop_map(|values| any_value::Value::Map(proto::KeyValueList { values })),
        ]
        .prop_map(move |value| any_of(Some(value)))
    });
    let one =
        (".{0,6}", option::of(nested)).prop_map(|(key, value)| proto::KeyValue { key, value });
    vec(one, 0..3)
}

fn exemplars() -> impl Strategy<Value = Vec<proto::Exemplar>> {
    let value = prop_oneof![
        float().prop_map(exemplar::Value::Double),
        any::<i64>().prop_map(exemplar::Value::Int)
    ];
    let id = || vec(any::<u8>(), 0..4);
    let one = (any::<u64>(), id(), id(), attributes(), option::of(value)).prop_map(
        |(time_unix_nano, span_id, trace_id, filtered_attributes, value)| proto::Exemplar {
            time_unix_nano,
            span_id,
            trace_id,
            filtered_attributes,
            value,
        },
    );
    vec(one, 0..2)
}

/// What all points have: start, time, flags, attributes, exemplars.
type Common = (u64, u64, u32, Vec<proto::KeyValue>, Vec<proto::Exemplar>);

fn common() -> impl Strategy<Value = Common> {
    (any::<u64>(), any::<u64>(), 0_u32..4, attributes(), exemplars())
}

fn number_point() -> impl Strategy<Value = proto::NumberPoint> {
    let value = prop_oneof![
        float().prop_map(number::Value::Double),
        any::<i64>().prop_map(number::Value::Int)
    ];
    (common(), option::of(value)).prop_map(
        |((start, time, flags, attributes, exemplars), value)| proto::NumberPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            exemplars,
            attributes,
            flags,
            value,
        },
    )
}

fn histogram_point() -> impl Strategy<Value = proto::HistogramPoint> {
    let numbers = (any::<u64>(), option::of(float()), vec(any::<u64>(), 0..4), vec(float(), 0..4));
    (common(), numbers).prop_map(|((start, time, flags, attributes, exemplars), numbers)| {
        proto::HistogramPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            count: numbers.0,
            sum: numbers.1,
            bucket_counts: numbers.2,
            explicit_bounds: numbers.3,
            exemplars,
            attributes,
            flags,
        }
    })
}

fn exponential_point() -> impl Strategy<Value = proto::ExponentialPoint> {
    let buckets = || {
        let some = (any::<i32>(), vec(any::<u64>(), 0..4));
        option::of(
            some.prop_map(|(offset, bucket_counts)| proto::Buckets { offset, bucket_counts }),
        )
    };
    let numbers = (any::<u64>(), option::of(float()), any::<i32>(), any::<u64>(), float());
    (common(), numbers, buckets(), buckets()).prop_map(
        |((start, time, flags, attributes, exemplars), numbers, positive, negative)| {
            proto::ExponentialPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: numbers.0,
                sum: numbers.1,
                scale: numbers.2,
                zero_count: numbers.3,
                positive,
                negative,
                flags,
                exemplars,
                // Zero with a sign is not sent.
                zero_threshold: if numbers.4 == 0.0 { 0.0 } else { numbers.4 },
            }
        },
    )
}

fn summary_point() -> impl Strategy<Value = proto::SummaryPoint> {
    let plain = || float().prop_map(|n| if n == 0.0 { 0.0 } else { n });
    let quantile =
        (plain(), plain()).prop_map(|(quantile, value)| proto::Quantile { quantile, value });
    (common(), any::<u64>(), plain(), vec(quantile, 0..3)).prop_map(
        |((start, time, flags, attributes, _), count, sum, quantile_values)| proto::SummaryPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            quantile_values,
            attributes,
            flags,
        },
    )
}

fn metrics() -> impl Strategy<Value = proto::Metric> {
    use metric::Data;
    let temporality = || -1_i32..4;
    let data = prop_oneof![
        vec(number_point(), 0..3).prop_map(|data_points| Data::Gauge(proto::Gauge { data_points })),
        (vec(number_point(), 0..3), temporality(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| {
                Data::Sum(proto::Sum { data_points, aggregation_temporality, is_monotonic })
            }
        ),
        (vec(histogram_point(), 0..3), temporality()).prop_map(
            |(data_points, aggregation_temporality)| {
                Data::Histogram(proto::Histogram { data_points, aggregation_temporality })
            }
        ),
        (vec(exponential_point(), 0..3), temporality()).prop_map(
            |(data_points, aggregation_temporality)| {
                Data::Exponential(proto::ExponentialHistogram {
                    data_points,
                    aggregation_temporality,
                })
            }
        ),
        vec(summary_point(), 0..3)
            .prop_map(|data_points| Data::Summary(proto::Summary { data_points })),
    ];
    (".{0,8}", ".{0,8}", ".{0,4}", attributes(), option::of(data)).prop_map(
        |(name, description, unit, metadata, data)| proto::Metric {
            name,
            description,
            unit,
            metadata,
            data,
        },
    )
}

pub(in crate::otlp) fn requests() -> impl Strategy<Value = proto::MetricsRequest> {
    let scope = (".{0,6}", ".{0,3}", attributes())
        .prop_map(|(name, version, attributes)| proto::Scope { name, version, attributes });
    let of_scope = (option::of(scope), vec(metrics(), 0..3), ".{0,4}").prop_map(
        |(scope, metrics, schema_url)| proto::ScopeMetrics { scope, metrics, schema_url },
    );
    let resource = attributes().prop_map(|attributes| proto::Resource { attributes });
    let of_resource =
        (option::of(resource), vec(of_scope, 0..3)).prop_map(|(resource, scope_metrics)| {
            proto::ResourceMetrics { resource, scope_metrics, schema_url: String::new() }
        });
    vec(of_resource, 0..3).prop_map(|resource_metrics| proto::MetricsRequest { resource_metrics })
}
