use super::*;

fn series(labels: &[(&str, &str)], values: &[f64]) -> StepSeries {
    let mut series = StepSeries::absent(Labels::from_pairs(labels.iter().copied()), values.len());
    series.values.copy_from_slice(values);
    series
}

fn info(labels: &[(&str, &str)], times: &[Option<i64>]) -> InfoSeries {
    InfoSeries {
        labels: Labels::from_pairs(labels.iter().copied()),
        sample_times: times.to_vec(),
        has_histogram: false,
    }
}

fn regex(name: &str, pattern: &str) -> Matcher {
    Matcher::new(MatchOp::Regex, name, pattern).expect("a valid pattern")
}

fn labels_of(results: &[StepSeries]) -> Vec<String> {
    results.iter().map(|one| one.labels.to_string()).collect()
}

#[test]
fn labels_of_the_target_are_added() {
    let base = [series(&[("__name__", "m"), ("instance", "a"), ("x", "own")], &[1.0])];
    let target = [("__name__", "target_info"), ("instance", "a"), ("x", "other"), ("y", "new")];
    let target = [info(&target, &[Some(0)])];
    let call = InfoCall::new(&[]);
    let results = call.combine(&base, &target, 1).expect("no conflict");
    assert_eq!(labels_of(&results), [r#"{__name__="m", instance="a", x="own", y="new"}"#]);
    let call = InfoCall::new(&[regex("z", ".+")]);
    assert!(call.combine(&base, &[], 1).expect("no conflict").is_empty());
    let call = InfoCall::new(&[regex("z", ".*")]);
    assert_eq!(call.combine(&base, &[], 1).expect("no conflict").len(), 1);
}

#[test]
fn the_newest_of_several_counts() {
    let base = [series(&[("__name__", "m"), ("job", "a")], &[1.0, 2.0])];
    let old = [("__name__", "target_info"), ("job", "a"), ("v", "old")];
    let new = [("__name__", "target_info"), ("job", "a"), ("v", "new")];
    let both = [info(&old, &[Some(0), Some(0)]), info(&new, &[None, Some(5)])];
    let results = InfoCall::new(&[]).combine(&base, &both, 2).expect("no conflict");
    let wanted = [r#"{__name__="m", job="a", v="old"}"#, r#"{__name__="m", job="a", v="new"}"#];
    assert_eq!(labels_of(&results), wanted);
    assert!(is_stale(results[0].values[1]) && is_stale(results[1].values[0]));

    let same = [info(&old, &[Some(5), None]), info(&new, &[Some(5), None])];
    let error = InfoCall::new(&[]).combine(&base, &same, 2).expect_err("the same time");
    assert!(error.0.starts_with("found duplicate series for info metric"));
}

#[test]
fn metrics_may_not_contradict_each_other() {
    let base = [series(&[("__name__", "m"), ("job", "a")], &[1.0])];
    let one = info(&[("__name__", "a_info"), ("job", "a"), ("x", "1")], &[Some(0)]);
    let two = info(&[("__name__", "b_info"), ("job", "a"), ("x", "2")], &[Some(0)]);
    let call = InfoCall::new(&[regex(METRIC_NAME, ".+_info")]);
    let error = call.combine(&base, &[one, two], 1).expect_err("a conflict");
    assert_eq!(error.0, "conflicting label: x");
}

#[test]
fn info_metrics_are_left_alone() {
    let base = [series(&[("__name__", "build_info"), ("job", "a")], &[1.0])];
    let target = [info(&[("__name__", "target_info"), ("job", "a"), ("x", "1")], &[Some(0)])];
    let call = InfoCall::new(&[regex(METRIC_NAME, ".+_info")]);
    let results = call.combine(&base, &target, 1).expect("no conflict");
    assert_eq!(labels_of(&results), [r#"{__name__="build_info", job="a"}"#]);
    assert_eq!(call.selector(&base), None);
}

#[test]
fn targets_are_named_in_the_selector() {
    let base = [
        series(&[("__name__", "m"), ("instance", "b.1"), ("job", "x")], &[1.0]),
        series(&[("__name__", "m"), ("instance", "a")], &[1.0]),
    ];
    let name = Matcher::new(MatchOp::NotEqual, METRIC_NAME, "target_info").expect("valid");
    let selector = InfoCall::new(&[name]).selector(&base).expect("targets");
    let texts: Vec<String> = selector.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"instance=~"a|b\\.1""#,
            r#"job=~"|x""#,
            r#"__name__!="target_info""#,
            r#"__name__=~".+_info""#
        ]
    );
}
