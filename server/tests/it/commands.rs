//! The commands beside `serve`, as a user runs them.

use std::path::Path;
use std::process::{Command, Output};

use http::StatusCode;

use crate::support::{TestServer, minute_ms, series};
use ephemeris_ingest::proto::write_v1::WriteRequest;

fn run(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ephemeris"));
    let output = command.args(args).arg("--data-dir").arg(dir).output();
    output.expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed; its standard output.
fn succeed(args: &[&str], dir: &Path) -> String {
    let output = run(args, dir);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A directory a server has filled and left.
async fn settled(at: i64) -> tempfile::TempDir {
    let server = TestServer::start().await;
    let labels = [("__name__", "up"), ("job", "a\"b")];
    let dotted = [("__name__", "http.code"), ("x", "1")];
    let samples = [(at - 86_400_000, -0.5), (at, f64::INFINITY), (at + 1, f64::NAN)];
    let timeseries = vec![series(&labels, &samples), series(&dotted, &[(at, 7.0)])];
    let answer = server.write(&WriteRequest { timeseries, ..WriteRequest::default() }).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    server.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_checked_and_shown() {
    let dir = settled(minute_ms()).await;
    let data = dir.path().join("data");
    let told = succeed(&["verify"], &data);
    assert_eq!(
        told,
        "0 problems; 2 blocks, 14 values, 3 series, 4 samples, 0 WAL records checked\n"
    );
    let listed = succeed(&["inspect"], &data);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("2 blocks, 4 samples, "), "{listed}");
    let number = listed.lines().nth(1).and_then(|line| line.split_whitespace().next());
    let shown = succeed(&["inspect", "--block", number.expect("there is one")], &data);
    for part in ["samples      1 (0 histograms)", "dictionaries", "anonymous"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    let missing = run(&["inspect", "--block", "99"], &data);
    assert_eq!(text(&missing.stderr), "ephemeris: there is no block 99\n");

    let blocks = std::fs::read_dir(data.join("db")).expect("a list");
    let blocks = blocks.map(|entry| entry.expect("an entry").path());
    let block = blocks.filter(|path| path.extension().is_some_and(|end| end == "sst"));
    let block = block.max_by_key(|path| path.metadata().map_or(0, |data| data.len()));
    let block = block.expect("there is one");
    let mut bytes = std::fs::read(&block).expect("it is there");
    bytes[40] ^= 1;
    std::fs::write(&block, bytes).expect("it is written");
    let damaged = run(&["verify"], &data);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(text(&damaged.stdout).contains("block "), "{}", text(&damaged.stdout));
    let nothing = run(&["verify"], dir.path());
    assert!(text(&nothing.stderr).ends_with("is no data directory\n"), "{}", text(&nothing.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_go_out_and_in_again() {
    let at = minute_ms();
    let dir = settled(at).await;
    let data = dir.path().join("data");
    let json = succeed(&["export"], &data);
    let first = format!(
        "{{\"metric\":{{\"__name__\":\"http.code\",\"x\":\"1\"}},\"values\":[7],\"timestamps\":[{at}]}}\n"
    );
    assert!(json.starts_with(&first), "{json}");
    assert!(json.contains(r#""values":[-0.5,"+Inf","NaN"]"#), "{json}");
    let openmetrics = succeed(&["export", "--format", "openmetrics"], &data);
    let seconds = at / 1000;
    let line = format!("{{\"http.code\",x=\"1\"}} 7 {seconds}\nup{{job=\"a\\\"b\"}} -0.5 ");
    assert!(openmetrics.starts_with(&line), "{openmetrics}");
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");

    let file = dir.path().join("samples.txt");
    std::fs::write(&file, &openmetrics).expect("it is written");
    let other = dir.path().join("other");
    let path = file.to_str().expect("it is UTF-8");
    succeed(&["import", path], &other);
    assert_eq!(succeed(&["export"], &other), json);
    assert!(succeed(&["verify"], &other).starts_with("0 problems; 2 blocks, "));
    let some = ["export", "--match", "up", "--start", &(seconds - 60).to_string()];
    let some = succeed(&some, &other);
    assert!(some.contains(r#""values":["+Inf","NaN"]"#), "{some}");
    assert_eq!(some.lines().count(), 1);

    std::fs::write(&file, "up 1\nup 2 7\n").expect("it is written");
    let partly = run(&["import", path], &other);
    assert_eq!(partly.status.code(), Some(1));
    let told = text(&partly.stderr);
    assert!(told.contains("line 1: the sample has no time"), "{told}");
    assert!(told.contains("1 rejected (too_old)"), "{told}");
}
