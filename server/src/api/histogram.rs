//! Native histograms as JSON.

use ephemeris_model::FloatHistogram;
use ephemeris_query::promql::histogram::{Bucket, all_buckets};

use super::number::write_value;

/// Appends `{"count":"…","sum":"…","buckets":[[rule,"lower","upper","count"],…]}`. Empty buckets
/// are left out, and the key with them if all are empty.
pub fn write_histogram(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    out.extend_from_slice(br#"{"count":""#);
    write_value(out, histogram.count);
    out.extend_from_slice(br#"","sum":""#);
    write_value(out, histogram.sum);
    out.push(b'"');
    let mut lead: &[u8] = br#","buckets":["#;
    for bucket in all_buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0) {
        out.extend_from_slice(lead);
        lead = b",";
        write_bucket(out, &bucket);
    }
    if lead == b"," {
        out.push(b']');
    }
    out.push(b'}');
}

fn write_bucket(out: &mut Vec<u8>, bucket: &Bucket) {
    let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => b'0',
        (true, false) => b'1',
        (false, false) => b'2',
        (true, true) => b'3',
    };
    out.extend_from_slice(&[b'[', rule]);
    for number in [bucket.lower, bucket.upper, bucket.count] {
        out.extend_from_slice(b",\"");
        write_value(out, number);
        out.push(b'"');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephemeris_model::Span;

    #[test]
    fn buckets_go_from_the_lowest_to_the_highest() {
        let histogram = FloatHistogram {
            schema: 2,
            count: 10.0,
            sum: 20.0,
            zero_threshold: 0.001,
            zero_count: 12.0,
            positive_spans: vec![Span { offset: 3, length: 2 }],
            positive_buckets: vec![1.0, 0.0],
            negative_spans: vec![Span { offset: 3, length: 1 }],
            negative_buckets: vec![1.0],
            ..FloatHistogram::default()
        };
        let mut out = Vec::new();
        write_histogram(&mut out, &histogram);
        let expected = concat!(
            r#"{"count":"10","sum":"20","buckets":["#,
            r#"[1,"-1.6817928305074288","-1.414213562373095","1"],[3,"-0.001","0.001","12"],"#,
            r#"[0,"1.414213562373095","1.6817928305074288","1"]]}"#
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
        out.clear();
        write_histogram(&mut out, &FloatHistogram::default());
        assert_eq!(out, br#"{"count":"0","sum":"0"}"#);
    }
}
