//! Real log files go in through both forms of Loki push and come back byte for byte, from the head
//! and from blocks. Without the shared files a small sample stands for them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use ephemeris_ingest::proto::push::{Entry, PushRequest, Stream, Timestamp};
use ephemeris_model::{
    Direction, EntryBuffer, LineSearches, LogColumns, LogSelect, LogSource, NanoRange,
};
use http::StatusCode;
use prost::Message as _;
use serde_json::{Value, json};

use super::support::{TestServer, compress, minute_ms};

const PATH: &str = "/loki/api/v1/push";
const JSON: (&str, &str) = ("content-type", "application/json");
/// Lines of one push.
const LINES_PER_PUSH: usize = 2000;
const SECOND: i64 = 1_000_000_000;

/// What no file of text lacks, and what it should not have.
const SAMPLE: &[u8] =
    b"Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; uid=0\n\
    {\"level\":\"warn\",\"msg\":\"caf\xc3\xa9 \\u00e9 \\n\",\"n\":1.50}\n\
    \n\
    \ttabs\tand \"quotes\" and \\ and trailing \r\n\
    \x1b[31mred\x1b[0m nul \x00 end\n\
    \xe2\x80\xa8 separators \xf0\x9f\x9b\xb0 a satellite\n\
    broken \xff\xfe \xc3( \xed\xa0\x80 bytes\n\
    the same line\n\
    the same line";

/// Name and lines of each file.
fn files() -> Vec<(String, Vec<Vec<u8>>)> {
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut files = vec![("sample".to_owned(), lines(SAMPLE))];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/logs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read(&path).expect("it is read");
                files.push((path.display().to_string(), lines(&text)));
            }
        }
    }
    files
}

fn protobuf(file: &str, first_ns: i64, lines: &[Vec<u8>]) -> Bytes {
    let entries = (first_ns..).zip(lines).map(|(at, line)| {
        let nanos = i32::try_from(at % SECOND).expect("below a second");
        let timestamp = Some(Timestamp { seconds: at / SECOND, nanos });
        Entry { timestamp, line: line.clone(), structured_metadata: Vec::new() }
    });
    let labels = format!("{{file={file:?},form=\"protobuf\"}}").into_bytes();
    let streams = vec![Stream { labels, entries: entries.collect(), hash: 0 }];
    compress(&PushRequest { streams }.encode_to_vec()).into()
}

fn in_json(file: &str, first_ns: i64, lines: &[Vec<u8>]) -> Bytes {
    let values: Vec<Value> = (first_ns..)
        .zip(lines)
        .filter_map(|(at, line)| Some(json!([at.to_string(), std::str::from_utf8(line).ok()?])))
        .collect();
    let stream = json!({"file": file, "form": "json"});
    json!({"streams": [{"stream": stream, "values": values}]}).to_string().into()
}

/// All lines by form and file, in order of time.
fn stored(server: &TestServer) -> BTreeMap<(String, String), Vec<Vec<u8>>> {
    let reader = server.app.store().expect("the store").reader("anonymous").expect("a reader");
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
    let mut all = BTreeMap::new();
    for index in 0..set.len() {
        let labels = set.labels(index);
        let label = |name: &str| labels.get(name).expect("it was sent").to_owned();
        let lines: &mut Vec<Vec<u8>> = all.entry((label("form"), label("file"))).or_default();
        set.read(index, range, &mut EntryBuffer::default(), &mut |run| {
            lines.extend((0..run.len()).map(|at| run.line(at).to_vec()));
            Ok(ControlFlow::Continue(()))
        })
        .expect("entries");
    }
    all
}

#[tokio::test]
async fn real_logs_come_back_byte_for_byte() {
    let server = TestServer::start().await;
    let start = minute_ms() * 1_000_000;
    let mut sent = BTreeMap::new();
    for (file, lines) in files() {
        for (push, lines) in lines.chunks(LINES_PER_PUSH).enumerate() {
            let first = start + i64::try_from(push * LINES_PER_PUSH).expect("few lines");
            for (headers, body) in [
                (&[][..], protobuf(&file, first, lines)),
                (&[JSON][..], in_json(&file, first, lines)),
            ] {
                let answer = server.send("POST", PATH, headers, body).await;
                assert_eq!(answer.status, StatusCode::NO_CONTENT, "{file}: {}", answer.text());
            }
        }
        let is_text = |line: &Vec<u8>| std::str::from_utf8(line).is_ok();
        let text: Vec<Vec<u8>> = lines.iter().filter(|line| is_text(line)).cloned().collect();
        sent.insert(("json".to_owned(), file.clone()), text);
        sent.insert(("protobuf".to_owned(), file), lines);
    }
    let check = |server: &TestServer, place: &str| {
        let stored = stored(server);
        assert!(stored.keys().eq(sent.keys()), "{place}: files are missing");
        for (key, lines) in &sent {
            let different = stored[key].iter().zip(lines).position(|(got, want)| got != want);
            assert_eq!(different, None, "{place}: {key:?} differs");
            assert_eq!(stored[key].len(), lines.len(), "{place}: {key:?}");
        }
    };
    check(&server, "head");
    server.app.store().expect("the store").seal().expect("it seals");
    check(&server, "blocks");
    let server = TestServer::start_in(server.stop().await, |_| {}).await;
    check(&server, "after a restart");
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_become_replacement_characters_in_answers() {
    let server = TestServer::start().await;
    let at = minute_ms() * 1_000_000;
    let body = protobuf("f", at, &[b"broken \xff bytes \xc3".to_vec()]);
    let answer = server.send("POST", PATH, &[], body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    // Filters see the bytes.
    for path in ["query_range", "export"] {
        let query = super::support::encode("{form=\"protobuf\"} |= \"bytes\"");
        let answer = server.get(&format!("/loki/api/v1/{path}?query={query}&start=0")).await;
        let want = "\"broken \u{fffd} bytes \u{fffd}\"";
        assert!(answer.text().contains(want), "{path}: {}", answer.text());
    }
    server.stop().await;
}
