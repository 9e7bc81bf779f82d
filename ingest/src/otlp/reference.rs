//! What these decoders read is what `prost` reads of the same bytes: names, kinds, points, buckets,
//! exemplars and attributes, of requests as senders make them and of damaged ones.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use self::requests::requests;
use super::attributes::{Attribute, push_attribute};
use super::message::{Data, DataKind, Resource, Scope, Temporality, Texts, each, resource, scope};
use super::point::{Buckets, Point, PointExemplar, PointValue, int_value};
use crate::error::IngestError;
use crate::proto::otlp::{self as proto, any_value, exemplar, metric, number};
use crate::wire::Reader;

pub(super) mod requests;

/// All of a request, as text, so that a difference can be read. Floats show their bits.
type Lines = Vec<String>;

fn ours(message: &[u8]) -> Result<Lines, IngestError> {
    let mut lines = Lines::new();
    each(Reader::new(message), 1, "resource metrics", |part| {
        let Resource { attributes } = resource(part)?;
        lines.push(format!("resource {}", pairs(&attributes)));
        each(part, 2, "scope metrics", |part| {
            let Scope { name, version, schema_url, attributes } = scope(part)?;
            lines.push(format!("scope {name:?} {version:?} {schema_url:?} {}", pairs(&attributes)));
            each(part, 2, "metric", |part| our_metric(part, &mut lines))
        })
    })?;
    Ok(lines)
}

fn our_metric(part: Reader<'_>, lines: &mut Lines) -> Result<(), IngestError> {
    let Texts { name, description, unit, .. } = Texts::read(part)?;
    let Data { kind, points, temporality, is_monotonic, .. } = Data::find(part)?;
    lines.push(format!(
        "metric {name:?} {description:?} {unit:?} {kind:?} {temporality:?} {is_monotonic}"
    ));
    let Some(points) = points else { return Ok(()) };
    each(points, 1, "data point", |part| {
        let point = Point::read(kind, part, Vec::new())?;
        let attributes = point.read_attributes()?;
        let exemplars: Vec<String> = point.exemplars.iter().map(our_exemplar).collect();
        lines.push(format!(
            "point {} {} {} {:?} {} [{}]",
            point.start_ns,
            point.time_ns,
            point.is_absent(),
            pairs(&attributes),
            our_value(&point.value),
            exemplars.join(",")
        ));
        Ok(())
    })
}

fn our_value(value: &PointValue) -> String {
    let buckets = |b: &Buckets| format!("{} {:?}", b.offset, b.counts);
    match value {
        PointValue::None => "none".to_owned(),
        PointValue::Double(n) => format!("double {:x}", n.to_bits()),
        PointValue::Int(n) => format!("int {n}"),
        PointValue::Histogram(h) => {
            format!(
                "{} {:?} {:?} {:?}",
                h.count,
                h.sum.map(f64::to_bits),
                bits(&h.bounds),
                h.counts
            )
        }
        PointValue::Exponential(h) => exponential_text(
            (h.count, h.sum),
            (h.scale, h.zero_count, h.zero_threshold),
            [buckets(&h.positive), buckets(&h.negative)],
        ),
        PointValue::Summary(s) => {
            let quantiles: Vec<_> =
                s.quantiles.iter().map(|(q, v)| (q.to_bits(), v.to_bits())).collect();
            format!("{} {:x} {quantiles:?}", s.count, s.sum.to_bits())
        }
    }
}

fn exponential_text(
    (count, sum): (u64, Option<f64>),
    (scale, zero_count, zero_threshold): (i32, u64, f64),
    [positive, negative]: [String; 2],
) -> String {
    let (sum, zero_threshold) = (sum.map(f64::to_bits), zero_threshold.to_bits());
    format!("{count} {sum:?} {scale} {zero_count} {zero_threshold:x} {positive} {negative}")
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|n| n.to_bits()).collect()
}

fn our_exemplar(e: &PointExemplar<'_>) -> String {
    let value = e.value.to_bits();
    format!("{} {value:x} {:?} {:?} {}", e.time_ns, e.span_id, e.trace_id, pairs(&e.attributes))
}

fn pairs(attributes: &[Attribute<'_>]) -> String {
    let all: Vec<_> = attributes.iter().map(|a| (a.key, a.value.as_ref())).collect();
    format!("{all:?}")
}

fn theirs(request: &proto::MetricsRequest) -> Lines {
    let mut lines = Lines::new();
    for part in &request.resource_metrics {
        let attributes = part.resource.as_ref().map_or(&[][..], |r| &r.attributes);
        lines.push(format!("resource {}", their_pairs(attributes)));
        for part in &part.scope_metrics {
            let scope = part.scope.clone().unwrap_or_default();
            lines.push(format!(
                "scope {:?} {:?} {:?} {}",
                scope.name,
                scope.version,
                part.schema_url,
                their_pairs(&scope.attributes)
            ));
            part.metrics.iter().for_each(|metric| their_metric(metric, &mut lines));
        }
    }
    lines
}

fn their_metric(metric: &proto::Metric, lines: &mut Lines) {
    use metric::Data;
    let (kind, temporality, is_monotonic) = match &metric.data {
        None => (DataKind::None, 0, false),
        Some(Data::Gauge(_)) => (DataKind::Gauge, 0, false),
        Some(Data::Sum(d)) => (DataKind::Sum, d.aggregation_temporality, d.is_monotonic),
        Some(Data::Histogram(d)) => (DataKind::Histogram, d.aggregation_temporality, false),
        Some(Data::Exponential(d)) => (DataKind::Exponential, d.aggregation_temporality, false),
        Some(Data::Summary(_)) => (DataKind::Summary, 0, false),
    };
    let temporality = match temporality {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    };
    lines.push(format!(
        "metric {:?} {:?} {:?} {kind:?} {temporality:?} {is_monotonic}",
        metric.name, metric.description, metric.unit
    ));
    match &metric.data {
        None => {}
        Some(Data::Gauge(d)) => d.data_points.iter().for_each(|p| their_number(p, lines)),
        Some(Data::Sum(d)) => d.data_points.iter().for_each(|p| their_number(p, lines)),
        Some(Data::Histogram(d)) => d.data_points.iter().for_each(|p| {
            let value = format!(
                "{} {:?} {:?} {:?}",
                p.count,
                p.sum.map(f64::to_bits),
                bits(&p.explicit_bounds),
                p.bucket_counts
            );
            let times = (p.start_time_unix_nano, p.time_unix_nano, p.flags);
            their_point(times, (&p.attributes, &p.exemplars), &value, lines);
        }),
        Some(Data::Exponential(d)) => d.data_points.iter().for_each(|p| {
            let buckets = |b: &Option<proto::Buckets>| {
                let b = b.clone().unwrap_or_default();
                format!("{} {:?}", b.offset, b.bucket_counts)
            };
            let value = exponential_text(
                (p.count, p.sum),
                (p.scale, p.zero_count, p.zero_threshold),
                [buckets(&p.positive), buckets(&p.negative)],
            );
            let times = (p.start_time_unix_nano, p.time_unix_nano, p.flags);
            their_point(times, (&p.attributes, &p.exemplars), &value, lines);
        }),
        Some(Data::Summary(d)) => d.data_points.iter().for_each(|p| {
            let all = p.quantile_values.iter();
            let quantiles: Vec<_> =
                all.map(|q| (q.quantile.to_bits(), q.value.to_bits())).collect();
            let value = format!("{} {:x} {quantiles:?}", p.count, p.sum.to_bits());
            let times = (p.start_time_unix_nano, p.time_unix_nano, p.flags);
            their_point(times, (&p.attributes, &[]), &value, lines);
        }),
    }
}

fn their_number(p: &proto::NumberPoint, lines: &mut Lines) {
    let value = match p.value {
        None => "none".to_owned(),
        Some(number::Value::Double(n)) => format!("double {:x}", n.to_bits()),
        Some(number::Value::Int(n)) => format!("int {n}"),
    };
    let times = (p.start_time_unix_nano, p.time_unix_nano, p.flags);
    their_point(times, (&p.attributes, &p.exemplars), &value, lines);
}

fn their_point(
    (start, time, flags): (u64, u64, u32),
    (attributes, exemplars): (&[proto::KeyValue], &[proto::Exemplar]),
    value: &str,
    lines: &mut Lines,
) {
    let exemplars: Vec<String> = exemplars.iter().map(their_exemplar).collect();
    lines.push(format!(
        "point {start} {time} {} {:?} {value} [{}]",
        flags & 1 == 1,
        their_pairs(attributes),
        exemplars.join(",")
    ));
}

fn their_exemplar(e: &proto::Exemplar) -> String {
    let value = match e.value {
        None => 0.0,
        Some(exemplar::Value::Double(n)) => n,
        Some(exemplar::Value::Int(n)) => int_value(n),
    };
    let (time, value) = (e.time_unix_nano, value.to_bits());
    let attributes = their_pairs(&e.filtered_attributes);
    format!("{time} {value:x} {:?} {:?} {attributes}", e.span_id, e.trace_id)
}

/// Attributes as `prost` read them. Texts and booleans are shown here, values of other kinds by our
/// own code, of what `prost` makes of them.
fn their_pairs(attributes: &[proto::KeyValue]) -> String {
    let all: Vec<(String, String)> = attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            let shown = match value {
                None => String::new(),
                Some(any_value::Value::String(text)) => text.clone(),
                Some(any_value::Value::Bool(yes)) => yes.to_string(),
                Some(any_value::Value::Int(n)) => n.to_string(),
                Some(_) => our_text(attribute),
            };
            (attribute.key.clone(), shown)
        })
        .collect();
    format!("{all:?}")
}

fn our_text(attribute: &proto::KeyValue) -> String {
    let field = proto::Resource { attributes: vec![attribute.clone()] }.encode_to_vec();
    let (mut reader, mut out) = (Reader::new(&field), Vec::new());
    let tag = reader.field().ok().flatten().expect("the one field");
    match push_attribute(&mut reader, tag, &mut out) {
        Ok(()) => out[0].value.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The fields of a message with the highest number first; those of one number keep their order.
fn turned(message: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field().expect("well-formed") {
        reader.skip(field).expect("well-formed");
        fields.push((field.number, reader.since(field.at)));
    }
    fields.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    fields.iter().flat_map(|(_, field)| field.iter().copied()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_is_read_as_prost_reads_it(request in requests()) {
        let message = request.encode_to_vec();
        prop_assert_eq!(ours(&message).expect("well-formed"), theirs(&request));
    }

    #[test]
    fn fields_may_come_in_any_order(mut request in requests()) {
        // A resource may come after its metrics.
        let parts: Vec<Vec<u8>> = request
            .resource_metrics
            .drain(..)
            .map(|part| turned(&part.encode_to_vec()))
            .collect();
        let mut message = Vec::new();
        for part in parts {
            crate::output::bytes(&mut message, 1, &part);
        }
        let reference = proto::MetricsRequest::decode(&message[..]).expect("well-formed");
        prop_assert_eq!(ours(&message).expect("well-formed"), theirs(&reference));
    }

    #[test]
    fn a_damaged_request_that_both_take_is_read_alike(
        request in requests(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut message = request.encode_to_vec();
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len() + 1));
        }
        for (at, byte) in changes {
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
        }
        if let (Ok(ours), Ok(reference)) = (ours(&message), proto::MetricsRequest::decode(&message[..])) {
            prop_assert_eq!(ours, theirs(&reference));
        }
    }
}
