//! A short crash run against the server itself: samples and log lines.

use ephemeris_benches::crash::{Options, run};

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let options = Options { cycles: 3, seed: 11, binary: None, server_flags: Vec::new() };
    let report = run(&options).expect("nothing is lost").to_string();
    for what in ["samples acknowledged", "log lines acknowledged"] {
        let line = report.lines().find(|line| line.starts_with(what)).expect("it is reported");
        let count = line.rsplit(' ').next().unwrap_or_default();
        assert_ne!(count, "0", "{report}");
    }
}
