//! Random messages, and damage to them.

use ephemeris_ingest::proto::write_v1::{
    BucketSpan, Count, Exemplar, Histogram, Label, MetricMetadata, Sample, TimeSeries,
    WriteRequest, ZeroCount,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Any bits of a float, special ones more often.
pub(crate) fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1000_i32..1000).prop_map(f64::from),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        Just(f64::from_bits(0xfff8_0000_dead_beef)),
        Just(-0.0),
    ]
}

/// Any time, those of our days more often.
pub(crate) fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 1_700_000_000_000_i64..1_900_000_000_000, Just(0)]
}

/// Bytes of a name or value, not always UTF-8.
pub(crate) fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[a-z_]{0,12}".prop_map(String::into_bytes), vec(any::<u8>(), 0..200)]
}

fn label() -> impl Strategy<Value = Label> {
    (text(), text()).prop_map(|(name, value)| Label { name, value })
}

fn sample() -> impl Strategy<Value = Sample> {
    (option::of(value()), timestamp()).prop_map(|(value, timestamp)| Sample { value, timestamp })
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    (vec(label(), 0..3), option::of(value()), timestamp())
        .prop_map(|(labels, value, timestamp)| Exemplar { labels, value, timestamp })
}

fn span() -> impl Strategy<Value = BucketSpan> {
    let offset = prop_oneof![any::<i32>(), 0_i32..4];
    let length = prop_oneof![any::<u32>(), 0_u32..3];
    (offset, length).prop_map(|(offset, length)| BucketSpan { offset, length })
}

/// A histogram, as a rule an invalid one.
pub(crate) fn any_histogram() -> impl Strategy<Value = Histogram> {
    let count = prop_oneof![any::<u64>().prop_map(Count::Integer), value().prop_map(Count::Float)];
    let zero =
        prop_oneof![any::<u64>().prop_map(ZeroCount::Integer), value().prop_map(ZeroCount::Float)];
    let numbers = (option::of(count), option::of(value()), -60_i32..60, option::of(zero));
    let side = || (vec(span(), 0..4), vec(any::<i64>(), 0..6), vec(value(), 0..6));
    let rest = (any::<i32>(), timestamp(), vec(value(), 0..4), timestamp());
    (numbers, side(), side(), rest).prop_map(|(numbers, negative, positive, rest)| Histogram {
        count: numbers.0,
        sum: numbers.1,
        schema: numbers.2,
        zero_threshold: 0.5,
        zero_count: numbers.3,
        negative_spans: negative.0,
        negative_deltas: negative.1,
        negative_counts: negative.2,
        positive_spans: positive.0,
        positive_deltas: positive.1,
        positive_counts: positive.2,
        reset_hint: rest.0,
        timestamp: rest.1,
        custom_values: rest.2,
        start_timestamp: rest.3,
    })
}

fn metadata() -> impl Strategy<Value = MetricMetadata> {
    (any::<i32>(), text(), text(), text()).prop_map(|(number, name, help, unit)| MetricMetadata {
        r#type: number,
        metric_family_name: name,
        help,
        unit,
    })
}

fn series() -> impl Strategy<Value = TimeSeries> {
    (vec(label(), 0..10), vec(sample(), 0..4), vec(exemplar(), 0..3), vec(any_histogram(), 0..2))
        .prop_map(|(labels, samples, exemplars, histograms)| TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        })
}

/// Any remote-write 1.0 request.
pub(crate) fn request() -> impl Strategy<Value = WriteRequest> {
    (vec(series(), 0..5), vec(metadata(), 0..3))
        .prop_map(|(timeseries, metadata)| WriteRequest { timeseries, metadata })
}

/// A change to a message.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
}

impl Damage {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(i, byte)| Self::Set(i, byte)),
            at().prop_map(Self::Cut),
            (at(), vec(any::<u8>(), 1..12)).prop_map(|(i, bytes)| Self::Insert(i, bytes)),
            at().prop_map(Self::Remove),
        ]
    }

    pub(crate) fn apply(&self, message: &mut Vec<u8>) {
        match self {
            Self::Insert(at, bytes) => {
                let at = at.index(message.len() + 1);
                message.splice(at..at, bytes.iter().copied());
            }
            _ if message.is_empty() => {}
            Self::Set(at, byte) => {
                let at = at.index(message.len());
                message[at] = *byte;
            }
            Self::Cut(at) => message.truncate(at.index(message.len())),
            Self::Remove(at) => drop(message.remove(at.index(message.len()))),
        }
    }
}

/// Well-formed fields, nested, with numbers and wire types that may not fit the schema.
pub(crate) fn fields() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (1_u8..18, any::<u64>()).prop_map(|(number, value)| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(u64::from(number) << 3, &mut bytes);
            prost::encoding::encode_varint(value, &mut bytes);
            bytes
        }),
        (1_u8..18, any::<[u8; 8]>()).prop_map(|(number, value)| tagged(number, 1, &value)),
        (1_u8..18, any::<[u8; 4]>()).prop_map(|(number, value)| tagged(number, 5, &value)),
        vec(any::<u8>(), 0..6),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let many = vec(inner, 0..6).prop_map(|parts| parts.concat());
        prop_oneof![
            3 => (1_u8..18, many.clone()).prop_map(|(number, content)| {
                let mut bytes = Vec::new();
                prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut bytes);
                prost::encoding::encode_varint(content.len() as u64, &mut bytes);
                bytes.extend(content);
                bytes
            }),
            1 => (1_u8..18, many).prop_map(|(number, content)| {
                [tagged(number, 3, &content), tagged(number, 4, &[])].concat()
            }),
        ]
    })
}

fn tagged(number: u8, wire: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(u64::from(number) << 3 | wire, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}
