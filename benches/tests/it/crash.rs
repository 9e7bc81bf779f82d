//! A few cycles of the crash runs, against the real server: `make crash` and `make power-cut` are
//! the long ones.

use ephemeris_benches::crash::{Options, run};

/// Lives of the server, each ended at a moment the seed decides, and a complete comparison of
/// samples and log lines.
fn loses_nothing(cycles: usize, power_cut: bool) {
    let options = Options { cycles, seed: 11, power_cut, binary: None, server_flags: Vec::new() };
    let report = run(&options).expect("nothing acknowledged is lost").to_string();
    let number = |name: &str| {
        let line = report.lines().find(|line| line.contains(name)).expect("it is reported");
        line.chars().filter(char::is_ascii_digit).collect::<String>()
    };
    assert_eq!(number("lost"), "0", "{report}");
    for what in ["samples acknowledged", "log lines acknowledged"] {
        assert_ne!(number(what), "0", "{report}");
    }
}

#[test]
fn a_killed_server_loses_nothing() {
    loses_nothing(3, false);
}

#[test]
fn a_power_cut_takes_nothing_acknowledged() {
    loses_nothing(2, true);
}
