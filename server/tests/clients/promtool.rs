//! promtool reads from the server.

use std::process::Command;

use crate::programs::{client_program, start_server, wait_for_own_metrics};

/// Runs promtool and returns what it prints; fails the test if it fails.
fn promtool(args: &[&str]) -> String {
    let output = Command::new(client_program("promtool")).args(args).output();
    let output = output.expect("promtool can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_queries_instants_ranges_series_and_labels() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    wait_for_own_metrics(&server).await;
    let url = format!("http://{}", server.address);

    let instant = promtool(&["query", "instant", &url, "ephemeris_build_info * 2"]);
    assert!(instant.contains("=> 2 @"), "{instant}");

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("the clock is after 1970").as_secs();
    let (start, end) = ((now - 5).to_string(), (now + 5).to_string());
    let (start, end) = (format!("--start={start}"), format!("--end={end}"));
    let range =
        promtool(&["query", "range", &start, &end, "--step=1s", &url, "ephemeris_build_info"]);
    assert!(range.contains("ephemeris_build_info{") && range.contains("1 @["), "{range}");

    let series = promtool(&["query", "series", "--match=ephemeris_build_info", &url]);
    assert!(series.contains("job=\"ephemeris\""), "{series}");

    let labels = promtool(&["query", "labels", &url, "job"]);
    assert_eq!(labels.trim(), "ephemeris");
}
