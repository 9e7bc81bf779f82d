//! Lists of how many queries of each script from outside pass, which must not fall.
//!
//! After an improvement write them anew:
//!
//! ```text
//! EPHEMERIS_UPDATE_PASSES=1 cargo test --release --workspace --test it
//! ```

use std::fmt::Write;
use std::path::Path;

use ephemeris_query::script::Report;

/// The failures of a script, as text.
pub(super) fn failures(name: &str, report: &Report) -> String {
    let mut out = String::new();
    for failure in &report.failures {
        let _ = writeln!(
            out,
            "{name}:{}: {}\n  {}\n  expected {}\n  got {}",
            failure.line, failure.problem, failure.query, failure.expected, failure.got
        );
    }
    out
}

/// Fails unless all queries of all scripts pass. Gives their number.
pub(super) fn assert_all_pass(
    scripts: &[(String, String)],
    run: impl Fn(&Path, &str) -> Report,
) -> usize {
    let mut total = 0;
    for (name, text) in scripts {
        let report = run(Path::new(name), text);
        let failures = failures(name, &report);
        assert!(failures.is_empty(), "{failures}");
        assert!(report.total > 0 && report.passed == report.total, "{name}: {report:?}");
        total += report.total;
    }
    total
}

/// Fails if fewer queries of a script pass than `list`, a file in `query/tests`, says.
pub(super) fn assert_as_before(
    list: &str,
    scripts: &[(String, String)],
    run: impl Fn(&Path, &str) -> Report,
) {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(list);
    let (mut found, mut details) = (String::new(), String::new());
    for (name, text) in scripts {
        let report = run(Path::new(name), text);
        let _ = writeln!(found, "{name} {}/{}", report.passed, report.total);
        details.push_str(&failures(name, &report));
    }
    if std::env::var_os("EPHEMERIS_UPDATE_PASSES").is_some() {
        std::fs::write(&list, &found).expect("the list can be written");
        return;
    }
    let before = std::fs::read_to_string(&list).expect("the list is in the repository");
    for line in before.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let (was, now) = (count(&before, name), count(&found, name));
        let kept = matches!((was, now), (Some(was), Some(now)) if was.0 <= now.0 && was.1 == now.1);
        assert!(kept, "{name}: was {was:?}, is {now:?}\n{details}");
    }
}

/// How many queries of a script pass, and how many there are.
fn count(list: &str, name: &str) -> Option<(usize, usize)> {
    let line = list.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    let (passed, total) = line.split_once('/')?;
    Some((passed.parse().ok()?, total.parse().ok()?))
}

#[test]
fn lists_are_read_by_whole_names() {
    let list = "a.test 1/2\naa.test 3/4\n";
    assert_eq!(count(list, "a.test"), Some((1, 2)));
    assert_eq!(count(list, "aa.test"), Some((3, 4)));
    assert_eq!(count(list, "aa"), None);
}
