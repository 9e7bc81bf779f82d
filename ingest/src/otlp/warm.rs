//! Translation with what is known from earlier requests gives what it gives without, to the byte,
//! and the labels that texts give.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use prost::Message as _;

use super::cache::Cache;
use super::keys::Keys;
use super::labels::{Pair, ResourceLabels, point_labels, scope_labels, set};
use super::message::{Data, DataKind, Temporality, Texts, each, resource, scope};
use super::naming::{NameKind, metric_name};
use super::options::{ExplicitHistograms, Options};
use super::point::{PlainNumber, Point, PointValue, int_value};
use super::reference::requests::requests;
use super::tests::{Nothing, all_pairs};
use super::{Accumulator, Naming, Translated, translate};
use crate::body::Limits;
use crate::proto::otlp::{self as proto, metric, number};
use crate::wire::Reader;

/// Names that fall together, with those of the resource, or with those that series have for
/// themselves; values that may be empty.
fn attributes() -> impl Strategy<Value = Vec<proto::KeyValue>> {
    let name = "[ab][._]?[ab]?|__name__|\\.\\.name\\.\\.|job|service.name|le|quantile|\\.|é";
    let one = (name, "[xy]{0,2}").prop_map(|(key, value)| proto::KeyValue::text(&key, &value));
    vec(one, 0..4)
}

/// One of few metrics, whose points have few different attributes and can mostly be used.
fn metrics() -> impl Strategy<Value = proto::Metric> {
    let point = (attributes(), 1_u64..4, 0_u64..2);
    (0_u8..5, "[mn][.]?", vec(point, 0..4), 1_i32..3).prop_map(
        |(kind, name, points, temporality)| {
            let number =
                |(attributes, time, start): (Vec<proto::KeyValue>, u64, u64)| proto::NumberPoint {
                    attributes,
                    time_unix_nano: time * 1_000_000_000,
                    start_time_unix_nano: start,
                    value: Some(number::Value::Int(1)),
                    ..Default::default()
                };
            let histogram = |(attributes, time, start): (Vec<proto::KeyValue>, u64, u64)| {
                proto::HistogramPoint {
                    attributes,
                    time_unix_nano: time * 1_000_000_000,
                    start_time_unix_nano: start,
                    count: 3,
                    sum: Some(1.5),
                    bucket_counts: vec![1, 2],
                    explicit_bounds: vec![0.5],
                    ..Default::default()
                }
            };
            let summary =
                |(attributes, time, start): (Vec<proto::KeyValue>, u64, u64)| proto::SummaryPoint {
                    attributes,
                    time_unix_nano: time * 1_000_000_000,
                    start_time_unix_nano: start,
                    quantile_values: vec![proto::Quantile { quantile: 0.5, value: 2.0 }],
                    ..Default::default()
                };
            let points = points.into_iter();
            let data = match kind {
                0 => {
                    metric::Data::Gauge(proto::Gauge { data_points: points.map(number).collect() })
                }
                1 | 2 => metric::Data::Sum(proto::Sum {
                    data_points: points.map(number).collect(),
                    aggregation_temporality: temporality,
                    is_monotonic: kind == 1,
                }),
                3 => metric::Data::Histogram(proto::Histogram {
                    data_points: points.map(histogram).collect(),
                    aggregation_temporality: temporality,
                }),
                _ => metric::Data::Summary(proto::Summary {
                    data_points: points.map(summary).collect(),
                }),
            };
            let description = "what it is".to_owned();
            proto::Metric { name, description, data: Some(data), ..Default::default() }
        },
    )
}

fn likely_requests() -> impl Strategy<Value = proto::MetricsRequest> {
    let scope = "[s]?".prop_map(|name| proto::Scope { name, ..Default::default() });
    let of_scope = (scope, vec(metrics(), 0..4)).prop_map(|(scope, metrics)| proto::ScopeMetrics {
        scope: Some(scope),
        metrics,
        ..Default::default()
    });
    let of_resource =
        (attributes(), vec(of_scope, 0..3)).prop_map(|(attributes, scope_metrics)| {
            let resource = Some(proto::Resource { attributes });
            proto::ResourceMetrics { resource, scope_metrics, ..Default::default() }
        });
    vec(of_resource, 0..4).prop_map(|resource_metrics| proto::MetricsRequest { resource_metrics })
}

fn options() -> impl Strategy<Value = Options> {
    let naming = prop::sample::select(Naming::ALL.map(|(naming, _)| naming).to_vec());
    (naming, any::<[bool; 3]>()).prop_map(|(naming, [promotes, scopes, native])| Options {
        naming,
        promoted: if promotes { vec!["*".to_owned()] } else { Vec::new() },
        scope_labels: scopes,
        keep_identifying: scopes,
        histograms: match native {
            true => ExplicitHistograms::Native,
            false => ExplicitHistograms::Classic,
        },
        ..Options::default()
    })
}

/// Translates requests one after the other, each with what the ones before left.
struct Sender {
    totals: Accumulator,
    cache: Option<Cache>,
}

impl Sender {
    fn send(&mut self, message: &[u8], options: &Options) -> Translated {
        let mut session = self.totals.session("t", &Nothing);
        let mut none = Cache::default();
        let cache = self.cache.as_mut().unwrap_or(&mut none);
        let limits = Limits::default();
        let got =
            translate(message, options, &limits, &mut session, cache, None).expect("well-formed");
        session.commit();
        got
    }
}

/// All of a translation.
fn shown(got: &Translated) -> String {
    let refused = (&got.refused.points, got.refused.message());
    format!(
        "{:?} {} {refused:?} {:?}",
        got.body,
        got.points,
        (&got.sample_points, &got.histogram_points)
    )
}

/// The labels of each point of gauges and cumulative sums, made from texts alone.
fn plainly(message: &[u8], options: &Options) -> BTreeSet<Vec<(String, String)>> {
    let mut all = BTreeSet::new();
    let walked = each(Reader::new(message), 1, "", |part| {
        let of_resource = ResourceLabels::new(&resource(part)?, options);
        each(part, 2, "", |part| {
            let of_scope = scope_labels(&scope(part)?, options);
            each(part, 2, "", |part| {
                let (texts, data) = (Texts::read(part)?, Data::find(part)?);
                let kind = match data.kind {
                    _ if data.temporality == Temporality::Delta => return Ok(()),
                    DataKind::Gauge => NameKind::Gauge,
                    DataKind::Sum if data.is_monotonic => NameKind::Counter,
                    DataKind::Sum => NameKind::Other,
                    _ => return Ok(()),
                };
                let name = metric_name(options.naming, texts.name, texts.unit, kind);
                let name = name.expect("it is usable");
                let points = data.points.expect("it has data");
                each(points, 1, "", |part| {
                    let point = Point::read(data.kind, part, Vec::new())?;
                    let mut attributes = point.read_attributes()?;
                    let mut labels =
                        point_labels(&mut attributes, &of_resource, &of_scope, options.naming);
                    set(&mut labels, ("__name__".into(), name.clone().into()));
                    all.insert(sorted(&labels));
                    Ok(())
                })
            })
        })
    });
    walked.expect("well-formed");
    all
}

fn sorted(labels: &[Pair<'_>]) -> Vec<(String, String)> {
    let mut out: Vec<_> = labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    out.sort();
    out
}

/// Each point of gauges and sums that is read in one go is what it is field by field.
fn compare_plain(message: &[u8]) -> usize {
    let (keys, mut count) = (Keys::default(), 0);
    let walked = each(Reader::new(message), 1, "", |part| {
        each(part, 2, "", |part| {
            each(part, 2, "", |part| {
                let data = Data::find(part)?;
                let Some(points) = data.points else { return Ok(()) };
                if !matches!(data.kind, DataKind::Gauge | DataKind::Sum) {
                    return Ok(());
                }
                each(points, 1, "", |part| {
                    let Some(plain) = PlainNumber::read(part) else { return Ok(()) };
                    let point = Point::read(data.kind, part, Vec::new())?;
                    let value = match point.value {
                        PointValue::Double(value) => value,
                        PointValue::Int(value) => int_value(value),
                        _ => panic!("it has no number"),
                    };
                    let times = (point.start_ns, point.time_ns);
                    assert_eq!((plain.start_ns, plain.time_ns), times);
                    assert_eq!(plain.value.to_bits(), value.to_bits());
                    assert_eq!(keys.of(plain.attributes), point.attributes_key(&keys));
                    assert!(!point.is_absent() && point.exemplars.is_empty());
                    assert!(!point.has_too_many_attributes());
                    count += 1;
                    Ok(())
                })
            })
        })
    });
    walked.expect("well-formed");
    count
}

#[test]
fn many_points_are_read_in_one_go() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let message = (0..50).map(|_| {
        let tree = likely_requests().new_tree(&mut runner).expect("a request");
        compare_plain(&tree.current().encode_to_vec())
    });
    assert!(message.sum::<usize>() > 100, "the short cut is taken");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_read_in_one_go_is_what_it_is_field_by_field(request in requests()) {
        compare_plain(&request.encode_to_vec());
    }

    #[test]
    fn what_is_known_changes_nothing(
        some in vec(likely_requests(), 1..4),
        other in requests(),
        order in vec((0_usize..4, 0_usize..2), 1..8),
        bound in prop::sample::select(vec![0, 4_000, 1 << 20]),
        both in [options(), options()],
    ) {
        let mut warm =
            Sender { totals: Accumulator::new(100), cache: Some(Cache::new(bound)) };
        let mut cold = Sender { totals: Accumulator::new(100), cache: None };
        let all: Vec<Vec<u8>> = some.iter().chain([&other]).map(prost::Message::encode_to_vec).collect();
        for (step, (at, options)) in order.iter().enumerate() {
            // Options do not change often.
            let options = &both[if step < 5 { 0 } else { *options }];
            let message = &all[at % all.len()];
            prop_assert_eq!(shown(&warm.send(message, options)), shown(&cold.send(message, options)));
        }
    }

    #[test]
    fn labels_are_those_that_texts_give(request in likely_requests(), options in options()) {
        let message = request.encode_to_vec();
        let mut sender = Sender { totals: Accumulator::new(100), cache: Some(Cache::default()) };
        let expected = plainly(&message, &options);
        for _ in 0..2 {
            let got = all_pairs(&sender.send(&message, &options));
            for labels in &expected {
                prop_assert!(got.contains(labels), "{:?} is not among {:?}", labels, got);
            }
        }
    }
}
