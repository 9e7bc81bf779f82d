//! Tests of tails without sockets.

use ephemeris_model::{BatchEntry, BodyKind};

use super::*;

fn batch<'a>(app: &'a str, lines: &[(i64, &'a [u8])]) -> LogBatch<'a> {
    let entries: Vec<BatchEntry<'a>> = lines
        .iter()
        .map(|(timestamp_ns, line)| BatchEntry {
            timestamp_ns: *timestamp_ns,
            line,
            metadata: 0..0,
        })
        .collect();
    let count = u32::try_from(entries.len()).expect("few entries");
    let labels = Ok(vec![("app".into(), app.into())]);
    let stream = BatchStream { raw: app.as_bytes().into(), labels, entries: 0..count };
    let (streams, metadata) = (vec![stream], Vec::new());
    LogBatch { kind: BodyKind::LokiPush, body: b"", streams, entries, metadata }
}

fn open(tails: &Arc<Tails>, tenant: &str) -> Tail {
    tails.open(tenant, vec![Matcher::equal("app", "a")]).expect("there is room")
}

#[test]
fn a_tail_gets_what_matches_in_order_of_time_and_was_not_refused() {
    let tails = Arc::new(Tails::new(2));
    let (tail, other) = (open(&tails, "t"), open(&tails, "u"));
    let outcome = LogOutcome { refused: vec![0b10], ..LogOutcome::default() };
    tails.publish("t", &batch("a", &[(3, b"late"), (2, b"refused"), (1, b"early")]), &outcome);
    tails.publish("t", &batch("b", &[(4, b"other stream")]), &LogOutcome::default());
    let taken = tail.take(Duration::ZERO);
    assert_eq!(taken.runs.len(), 1);
    let (labels, run) = &taken.runs[0];
    assert_eq!(labels.get("app"), Some("a"));
    assert_eq!(run.timestamps(), [1, 3]);
    assert_eq!(run.all_lines(), b"earlylate");
    assert!(other.take(Duration::ZERO).runs.is_empty(), "another tenant");
    tails.publish("t", &batch("a", &[(5, b"x")]), &LogOutcome::default());
    assert!(tail.take(Duration::from_secs(60)).runs.is_empty(), "it has not waited long enough");
}

#[test]
fn a_full_queue_drops_and_names_what_it_drops() {
    let tails = Arc::new(Tails::new(1));
    let tail = open(&tails, "t");
    let line = vec![b'x'; QUEUE_BYTES_MAX / 2];
    for at in 0..3 {
        tails.publish("t", &batch("a", &[(at, &line)]), &LogOutcome::default());
    }
    let taken = tail.take(Duration::ZERO);
    assert_eq!((taken.runs.len(), taken.dropped.len()), (1, 2));
    assert_eq!(taken.dropped[0].timestamp_ns, 1);
    assert_eq!(tails.counts().dropped.get(), 2);
    tails.publish("t", &batch("a", &[(9, &line)]), &LogOutcome::default());
    assert_eq!(tail.take(Duration::ZERO).runs.len(), 1, "there is room again");
}

#[test]
fn tails_are_bounded_and_end() {
    let tails = Arc::new(Tails::new(2));
    let (first, _second) = (open(&tails, "t"), open(&tails, "t"));
    let refused = tails.open("t", Vec::new()).err();
    assert_eq!(refused, Some(TooMany { count: 3, limit: 2, set_by: "query.tails_max" }));
    assert!(tails.open("u", Vec::new()).is_ok(), "another tenant");
    drop(first);
    assert!(tails.open("t", Vec::new()).is_ok());
    assert_eq!(tails.counts().open, 1);
}
