use std::sync::Arc;
use std::time::Duration;

use ephemeris_model::{FloatHistogram, Labels};
use ephemeris_query::promql::result::QueryStats;

use super::*;
use crate::api::stats::StatsDetail;

fn stats() -> AnswerStats {
    let query = QueryStats::default();
    AnswerStats { query, queued: Duration::ZERO, detail: StatsDetail::None }
}

/// The whole answer, written in pieces of `piece_bytes`.
fn written(value: AnswerValue, piece_bytes: usize) -> String {
    let warnings = ["w".to_owned()];
    let mut pieces = AnswerPieces::new(value, &stats(), &warnings, &[]);
    let mut all = Vec::new();
    loop {
        let mut piece = Vec::new();
        let more = pieces.fill(&mut piece, piece_bytes);
        all.append(&mut piece);
        if more == More::No {
            return String::from_utf8(all).expect("JSON is UTF-8");
        }
    }
}

fn labels(text: &str) -> Labels {
    Labels::from_pairs([("__name__", text)])
}

fn matrix() -> AnswerValue {
    let histogram = Arc::new(FloatHistogram { count: 1.0, sum: 2.0, ..Default::default() });
    AnswerValue::Matrix(vec![
        MatrixSeries {
            labels: labels("a"),
            floats: vec![(0, 1.0), (1500, f64::NAN)],
            histograms: vec![(3000, Arc::clone(&histogram)), (4000, histogram)],
        },
        MatrixSeries { labels: labels("b<"), floats: vec![(-1, -0.0)], histograms: vec![] },
    ])
}

#[test]
fn a_matrix_is_the_same_in_pieces_of_any_size() {
    let expected = concat!(
        r#"{"status":"success","data":{"resultType":"matrix","result":["#,
        r#"{"metric":{"__name__":"a"},"values":[[0,"1"],[1.500,"NaN"]],"#,
        r#""histograms":[[3,{"count":"1","sum":"2"}],[4,{"count":"1","sum":"2"}]]},"#,
        r#"{"metric":{"__name__":"b<"},"values":[[-0.001,"-0"]]}]},"warnings":["w"]}"#
    );
    for piece_bytes in [1, 10, 77, 100_000] {
        assert_eq!(written(matrix(), piece_bytes), expected, "pieces of {piece_bytes}");
    }
}

#[test]
fn every_type_of_result_has_its_form() {
    let scalar = AnswerValue::Scalar { at_ms: 1100, value: 1e21 };
    assert_eq!(
        written(scalar, 9999),
        r#"{"status":"success","data":{"resultType":"scalar","result":[1.1,"1000000000000000000000"]},"warnings":["w"]}"#
    );
    let text = AnswerValue::String { at_ms: 4000, text: "a\"".to_owned() };
    assert_eq!(
        written(text, 9999),
        r#"{"status":"success","data":{"resultType":"string","result":[4,"a\""]},"warnings":["w"]}"#
    );
    let histogram = Point::Histogram(Arc::new(FloatHistogram::default()));
    let samples = vec![
        VectorSample { labels: Labels::empty(), point: Point::Float(f64::INFINITY) },
        VectorSample { labels: labels("h"), point: histogram },
    ];
    assert_eq!(
        written(AnswerValue::Vector { at_ms: 10, samples }, 1),
        concat!(
            r#"{"status":"success","data":{"resultType":"vector","result":["#,
            r#"{"metric":{},"value":[0.010,"+Inf"]},"#,
            r#"{"metric":{"__name__":"h"},"histogram":[0.010,{"count":"0","sum":"0"}]}]},"#,
            r#""warnings":["w"]}"#
        )
    );
    let none = AnswerValue::Matrix(Vec::new());
    assert_eq!(
        written(none, 1),
        r#"{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["w"]}"#
    );
}

#[test]
fn a_limit_cuts_series() {
    let mut value = matrix();
    assert!(!truncate(&mut value, None));
    assert!(!truncate(&mut value, Some(2)));
    assert!(truncate(&mut value, Some(1)));
    assert!(matches!(&value, AnswerValue::Matrix(series) if series.len() == 1));
}
