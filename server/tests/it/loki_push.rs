//! Loki push: what is stored, what is refused, and how that is told.

use std::io::Write as _;
use std::ops::ControlFlow;

use bytes::Bytes;
use ephemeris_ingest::proto::push::{Entry, Pair, PushRequest, Stream, Timestamp};
use ephemeris_model::{
    Direction, EntryBuffer, LineSearches, LogColumns, LogSelect, LogSource, NanoRange,
};
use http::StatusCode;
use prost::Message;

use super::support::{Answer, TestServer, compress, minute_ms};

const PATH: &str = "/loki/api/v1/push";

fn entry(ms: i64, line: &str, metadata: &[(&str, &str)]) -> Entry {
    let nanos = i32::try_from(ms % 1000 * 1_000_000).expect("below a second");
    Entry {
        timestamp: Some(Timestamp { seconds: ms / 1000, nanos }),
        line: line.as_bytes().to_vec(),
        structured_metadata: metadata.iter().map(|(n, v)| Pair::new(n, v)).collect(),
    }
}

fn request(labels: &str, entries: Vec<Entry>) -> Vec<u8> {
    let stream = Stream { labels: labels.as_bytes().to_vec(), entries, hash: 0 };
    compress(&PushRequest { streams: vec![stream] }.encode_to_vec())
}

async fn push(server: &TestServer, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    server.send("POST", PATH, headers, Bytes::from(body)).await
}

/// All entries of a tenant as text.
fn stored(server: &TestServer, tenant: &str) -> Vec<String> {
    let reader = server.app.store().expect("the store").reader(tenant).expect("a reader");
    let range = NanoRange { start: i64::MIN, end: i64::MAX };
    let select = LogSelect {
        matchers: Vec::new(),
        range,
        direction: Direction::Forward,
        columns: LogColumns { lines: true, metadata: true },
        filters: LineSearches::default(),
        hints: Vec::new(),
    };
    let set = reader.select_streams(&select).expect("streams");
    let mut buffer = EntryBuffer::default();
    let mut all = Vec::new();
    for index in 0..set.len() {
        let labels = set.labels(index);
        set.read(index, range, &mut buffer, &mut |run| {
            for i in 0..run.len() {
                let pairs: Vec<String> = run.metadata(i).map(|(n, v)| format!("{n}={v}")).collect();
                let line = String::from_utf8_lossy(run.line(i));
                all.push(format!("{labels} {line} {}", pairs.join(",")));
            }
            Ok(ControlFlow::Continue(()))
        })
        .expect("entries");
    }
    all.sort();
    all
}

#[tokio::test]
async fn protobuf_and_json_are_stored_and_answered_204() {
    let server = TestServer::start().await;
    let now = minute_ms();
    let body = request("{app=\"a\"}", vec![entry(now, "an ERROR", &[("trace_id", "ff")])]);
    let answer = push(&server, &[("content-type", "application/x-protobuf")], body.clone()).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
    // A repeat is harmless.
    assert_eq!(push(&server, &[], body).await.status, StatusCode::NO_CONTENT);
    let json = format!(
        r#"{{"streams":[{{"stream":{{"job":"b"}},"values":[["{now}000001","level=info x",{{"k":"v"}}]]}}]}}"#
    );
    let kind = ("content-type", "application/json; charset=utf-8");
    let answer = push(&server, &[kind], json.clone().into_bytes()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(json.as_bytes()).expect("memory");
    let body = gzip.finish().expect("memory");
    let headers = [kind, ("content-encoding", "gzip"), ("x-scope-orgid", "t2")];
    assert_eq!(push(&server, &headers, body).await.status, StatusCode::NO_CONTENT);
    let of_json = r#"{job="b", service_name="b"} level=info x detected_level=info,k=v"#;
    let of_protobuf = r#"{app="a", service_name="a"} an ERROR detected_level=error,trace_id=ff"#;
    assert_eq!(stored(&server, "anonymous"), [of_protobuf, of_json]);
    assert_eq!(stored(&server, "t2"), [of_json]);
    server.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let server = TestServer::start().await;
    let body = request(
        "{app=\"a\"}",
        vec![entry(minute_ms(), "one", &[]), entry(minute_ms(), "two", &[])],
    );
    assert_eq!(push(&server, &[], body).await.status, StatusCode::NO_CONTENT);
    let before = stored(&server, "anonymous");
    let dir = server.stop().await;
    let server = TestServer::start_with(|config| config.data_dir = dir.path().join("data")).await;
    assert_eq!(stored(&server, "anonymous"), before);
    assert_eq!(before.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_told_in_lokis_words_and_the_rest_is_stored() {
    let server = TestServer::start().await;
    let now = minute_ms();
    let day = 24 * 3_600_000;
    let entries = vec![
        entry(now, "good", &[]),
        entry(now - 401 * day, "old", &[]),
        entry(now, &"x".repeat(300_000), &[]),
    ];
    let answer = push(&server, &[], request("{app=\"a\"}", entries)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let text = answer.text();
    assert!(text.starts_with("entry for stream '{app=\"a\"}' has timestamp too old: "), "{text}");
    assert!(text.contains("1 entries stored; rejected: 1 too_old, 1 line_too_long"), "{text}");
    assert_eq!(stored(&server, "anonymous").len(), 1);
    for (labels, want) in [
        ("{}", "error at least one label pair is required per stream"),
        ("{a=b}", "error parsing labels '{a=b}' with error: a value must be quoted"),
    ] {
        let answer = push(&server, &[], request(labels, vec![entry(now, "x", &[])])).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().starts_with(want), "{}", answer.text());
    }
    assert_eq!(push(&server, &[], b"no snappy".to_vec()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(push(&server, &[], Vec::new()).await.status, StatusCode::BAD_REQUEST);
    let json = ("content-type", "application/json");
    let answer = push(
        &server,
        &[json],
        br#"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#.to_vec(),
    )
    .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = push(&server, &[("content-encoding", "br")], b"x".to_vec()).await;
    assert_eq!(answer.text(), "Content-Encoding \"br\" not supported\n");
    assert_eq!(stored(&server, "anonymous").len(), 1);
    server.stop().await;
}
