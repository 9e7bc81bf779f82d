//! Chains of very many operators: parsed, checked, planned, run, printed, cloned and dropped on an
//! ordinary stack, in work that grows with their length.

use ephemeris_model::{Labels, TimestampMs};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, RangeQuery};
use ephemeris_query::promql::parse::{QUERY_BYTES_MAX, parse};
use ephemeris_query::promql::print::prettify;
use ephemeris_query::promql::result::AnswerValue;
use ephemeris_query::script::MemorySource;

const LINKS: usize = 10_000;

/// Runs `work` on a stack as threads have it by default.
fn on_an_ordinary_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work).expect("a thread");
    thread.join().expect("no overflow and no panic");
}

fn chain(first: &str, link: &str, links: usize) -> String {
    format!("{first}{}", link.repeat(links))
}

fn source() -> MemorySource {
    let mut source = MemorySource::default();
    for name in ["a", "b", "c"] {
        let series = Labels::from_pairs([("__name__", name), ("x", "1")]);
        super::push_floats(&mut source, &series, &[(0, 1.0), (60_000, 2.0)]);
    }
    source
}

/// The only value of the answer at 60 s.
fn value(source: &MemorySource, query: &str) -> f64 {
    let expr = parse(query).expect("a valid query");
    let (engine, budget) = (Engine::default(), Budget::new(BudgetLimits::default()));
    let at = TimestampMs(60_000);
    let answer = engine.instant(source, query, &expr, at, &budget).expect("an answer");
    match answer.value {
        AnswerValue::Scalar { value, .. } => value,
        AnswerValue::Vector { samples, .. } => {
            assert_eq!(samples.len(), 1, "{samples:?}");
            match &samples[0].point {
                ephemeris_query::promql::exec::batch::Point::Float(value) => *value,
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ten_thousand_operators_give_what_they_should() {
    on_an_ordinary_stack(|| {
        let source = source();
        let all = |first: &str, link: &str| value(&source, &chain(first, link, LINKS));
        let links = 10_000.0;
        assert_eq!(all("1", " + 1"), links + 1.0);
        assert_eq!(all("time()", " + 1"), links + 60.0);
        assert_eq!(all("a", " + b"), 2.0 * (links + 1.0));
        assert_eq!(all("sum(a)", " or sum(b)"), 2.0);
        assert_eq!(all("a", " + 1"), links + 2.0);
        assert_eq!(all("a", " * 1 + b - 1 - 1"), 2.0);
        assert_eq!(all("1 + a", " + b + 1"), 3.0 * links + 3.0);
        assert_eq!(all("a @ 0", " + b @ 0"), links + 1.0);
        assert_eq!(all("a @ 0 + 1", " + 1 * b"), 2.0 * links + 2.0);
        assert_eq!(value(&source, &format!("absent({})", chain("z", " or z", LINKS))), 1.0);
    });
}

#[test]
fn a_range_over_a_chain_is_as_without_one() {
    on_an_ordinary_stack(|| {
        let source = source();
        let query = format!("sum_over_time(({})[2m:1m])", chain("a", " + b", LINKS));
        let expr = parse(&query).expect("a valid query");
        let range = RangeQuery { start: TimestampMs(0), end: TimestampMs(60_000), step_ms: 60_000 };
        let budget = Budget::new(BudgetLimits::default());
        let answer = Engine::default().range(&source, &query, &expr, range, &budget);
        let AnswerValue::Matrix(matrix) = answer.expect("an answer").value else {
            panic!("a matrix")
        };
        assert_eq!(matrix[0].floats, [(0, 10_001.0), (60_000, 30_003.0)]);
    });
}

#[test]
fn chains_are_printed_cloned_and_dropped_as_trees() {
    on_an_ordinary_stack(|| {
        for (links, indented) in [(200, true), (LINKS, false)] {
            let query = chain("a", " + b", links);
            let expr = parse(&query).expect("a valid query");
            let copy = expr.clone();
            drop(expr);
            assert_eq!(copy.to_string(), query);
            let pretty = prettify(&copy).expect("within the limit");
            assert_eq!(parse(&pretty).expect("it parses").to_string(), query);
            assert_eq!(pretty.starts_with(' '), indented);
            assert!(pretty.len() < 20 * query.len() + 200_000, "{}", pretty.len());
        }
    });
}

/// Chains of the longest length that is indented, each the first operand of the next.
#[test]
fn chains_in_parentheses_do_not_multiply_their_indents() {
    on_an_ordinary_stack(|| {
        let nested = |first: &str, link: &str, links: usize, nesting: usize| {
            let inner = chain(first, link, links);
            (0..nesting).fold(inner, |inner, _| chain(&format!("({inner})"), link, 255))
        };
        for query in [
            nested("a", "+a", 5000, 10),
            nested("a", "+a", 1, 110),
            chain("(a+", "(a+", 120) + "a" + &")".repeat(121),
            chain("rate(b[1m:1m])", &format!("+({})", chain("a", "+a", 99)), 200),
        ] {
            let expr = parse(&query).expect("a valid query");
            let pretty = prettify(&expr).expect("within the limit");
            assert!(pretty.len() < 100 * query.len(), "{} of {}", pretty.len(), query.len());
            if pretty.len() <= QUERY_BYTES_MAX {
                let again = parse(&pretty).expect("it parses").to_string();
                assert_eq!(again, expr.to_string());
            }
        }
        let long = nested("1e308", "+1e308", 14_600, 110);
        let error = prettify(&parse(&long).expect("valid")).expect_err("too long").to_string();
        assert!(error.contains("limit is 16777216"), "{error}");
    });
}

#[test]
fn what_is_deep_on_another_side_is_still_refused() {
    on_an_ordinary_stack(|| {
        for query in [
            chain("", "2 ^ ", LINKS) + "2",
            chain("", "1 + (", LINKS) + "1",
            chain("", "(1 + ", LINKS) + "1",
            chain("", "-", LINKS) + "1",
        ] {
            let error = parse(&query).expect_err("too deep").to_string();
            assert!(error.contains("nested too deeply; limit is 256 levels"), "{error}");
        }
    });
}

#[test]
fn errors_far_down_a_chain_have_their_place() {
    on_an_ordinary_stack(|| {
        let query = format!("{} + a[5m]", chain("a", " + b", LINKS));
        let error = parse(&query).expect_err("a range vector").to_string();
        let column = query.len() - "a[5m]".len() + 1;
        assert!(error.contains("must contain only scalar and instant vector types"), "{error}");
        assert!(error.starts_with(&format!("1:{column}: ")), "{error}");
        let query = format!("foo[5m]{}", chain("", " + b", LINKS));
        let error = parse(&query).expect_err("a range vector").to_string();
        assert!(error.starts_with("1:1: "), "{error}");
    });
}

/// A megabyte is refused before it is read; the longest chain that is read ends as well.
#[test]
fn the_longest_texts_are_refused_or_parsed() {
    on_an_ordinary_stack(|| {
        for text in ["1+", "a or ", "((", "{a=\"b\"}[", "\"", "a{", "rate("] {
            let query = text.repeat((1 << 20) / text.len());
            let error = parse(&query).expect_err("too long").to_string();
            assert!(error.contains(&format!("limit is {QUERY_BYTES_MAX}")), "{error}");
        }
        let links = (QUERY_BYTES_MAX - 1) / 2;
        let query = chain("1", "+1", links);
        let expr = parse(&query).expect("a valid query");
        let pretty = prettify(&expr).expect("within the limit");
        assert!(pretty.len() < 20 * query.len());
        assert_eq!(value(&source(), &query), links as f64 + 1.0);
    });
}
