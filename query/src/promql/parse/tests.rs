//! Tests of the parser: shapes, errors with their places, limits.

use super::*;
use crate::promql::ast::{BinaryOp, Duration, ExprKind};

fn fails(query: &str, expected: &str) {
    let error = parse(query).expect_err(query);
    assert_eq!(error.to_string(), expected, "{query}");
}

#[test]
fn syntax_errors_name_the_place() {
    for (query, expected) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("# just a comment", "1:1: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("*1", "1:1: parse error: unexpected <op:*>"),
        ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        ("1)", "1:3: parse error: unexpected right parenthesis ')'"),
        ("999e", "1:1: parse error: bad number or duration syntax: \"999e\""),
        ("1 !~ 1", "1:3: parse error: unexpected character after '!': '~'"),
        ("1 =~ 1", "1:3: parse error: unexpected character after '=': '~'"),
        ("up[5m", "1:6: parse error: unclosed left bracket"),
        ("up[5mm]", "1:4: parse error: bad number or duration syntax: \"5mm\""),
        ("up[inf]", "1:4: parse error: unexpected character in duration expression: 'i'"),
        ("up[1e300]", "1:4: parse error: duration out of range"),
        ("up[0m]", "1:4: parse error: duration must be greater than 0"),
        (
            "up[]",
            "1:4: parse error: unexpected \"]\" in subquery or range selector, \
             expected number, duration, step(), or range()",
        ),
        ("(up)[5m]", "1:5: parse error: ranges only allowed for vector selectors"),
        ("up offset 5m[5m]", "1:13: parse error: no offset modifiers allowed before range"),
        ("up @ 1 [5m]", "1:8: parse error: no @ modifiers allowed before range"),
        ("up offset 1s offset 2s", "1:1: parse error: offset may not be set multiple times"),
        ("up @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
        ("up @ foo", "1:6: parse error: unexpected identifier \"foo\" in @, expected timestamp"),
        ("up{", "1:4: parse error: unexpected end of input inside braces"),
        (
            "up{a}",
            "1:5: parse error: unexpected \"}\" in label matching, \
             expected label matching operator",
        ),
        (
            "up{a=b}",
            "1:6: parse error: unexpected identifier \"b\" in label matching, expected string",
        ),
        (
            "up{,}",
            "1:4: parse error: unexpected \",\" in label matching, expected identifier or \"}\"",
        ),
        ("sum some by (x)", "1:5: parse error: unexpected identifier \"some\""),
        ("sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"),
        ("sum(up) keep", "1:9: parse error: unexpected identifier \"keep\""),
        (
            "sum without(==)(up)",
            "1:13: parse error: unexpected <op:==> in grouping opts, expected label",
        ),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        (
            "topk(up)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, \
             expected 2, got 1",
        ),
        ("nope(up)", "1:1: parse error: unknown function with name \"nope\""),
        ("rate(up[5m],)", "1:12: parse error: trailing commas not allowed in function call args"),
        ("up\n  + \"", "2:5: parse error: unterminated quoted string"),
        (r#""\q""#, "1:1: parse error: unknown escape sequence U+0071 'q'"),
        ("\u{e4}", "1:1: parse error: unexpected character: 'ä'"),
        (
            "up{a=~\"*\"}",
            "1:4: parse error: error parsing regexp: missing argument to repetition operator: `*`",
        ),
    ] {
        fails(query, expected);
    }
}

#[test]
fn type_errors_name_the_place() {
    for (query, expected) in [
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        (
            "up + bool up",
            "1:4: parse error: bool modifier can only be used on comparison operators",
        ),
        (
            "1 and up",
            "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "up or on(a) group_left(b) up",
            "1:1: parse error: no grouping allowed for \"or\" operation",
        ),
        (
            "up + on(a) group_left(a) up",
            "1:4: parse error: label \"a\" must not occur in ON and GROUP clause at once",
        ),
        ("1 + on(a) up", "1:1: parse error: vector matching only allowed between instant vectors"),
        (
            "rate(up)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"),
        (
            "round(up, 1, 2)",
            "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3",
        ),
        (
            "label_join(up)",
            "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1",
        ),
        (
            "sum(up[5m])",
            "1:5: parse error: expected type instant vector in aggregation expression, got range vector",
        ),
        (
            "-\"a\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        (
            "1[5m:]",
            "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
        ),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        (
            "{a=\"\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "up{__name__=\"x\"}",
            "1:1: parse error: metric name must not be set twice: \"up\" or \"x\"",
        ),
        (
            "info(up, x)",
            "1:10: parse error: expected label selectors only, got vector selector instead",
        ),
        (
            "up[5m] + 1",
            "1:1: parse error: binary expression must contain only scalar and instant vector types",
        ),
    ] {
        fails(query, expected);
    }
}

/// The tree as text with every operation in brackets.
fn shape(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary(b) => format!("({} {} {})", shape(&b.lhs), b.op.as_str(), shape(&b.rhs)),
        ExprKind::Unary(op, inner) => format!("{op:?}({})", shape(inner)),
        ExprKind::Number(n) => n.value.to_string(),
        ExprKind::Paren(inner) => format!("[{}]", shape(inner)),
        ExprKind::VectorSelector(s) => {
            let offset = s.offset.as_ref().map_or_else(String::new, |o| match o {
                Duration::Millis(ms) => format!("@{ms}"),
                Duration::Expr(_) => "@expr".to_owned(),
            });
            format!("{}{offset}", s.name.as_deref().unwrap_or("{}"))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (query, expected) in [
        ("1 + 2 * 3 ^ 2 ^ 2", "(1 + (2 * (3 ^ (2 ^ 2))))"),
        ("-1 ^ 2", "Minus((1 ^ 2))"),
        ("-a * b", "(Minus(a) * b)"),
        ("2 ^ -3 * 4", "((2 ^ -3) * 4)"),
        ("a or b and c unless d", "(a or ((b and c) unless d))"),
        ("a - b - c", "((a - b) - c)"),
        ("a % b atan2 c", "((a % b) atan2 c)"),
        ("a </ 1 + 2", "(a </ (1 + 2))"),
        ("a offset 100 + 2", "(a@100000 + 2)"),
        ("a offset -2 ^ 2", "(a@-2000 ^ 2)"),
        ("a offset (2 ^ 2)", "a@expr"),
        ("a offset step()*0", "(a@expr * 0)"),
        ("a offset 0s", "a"),
        ("--1", "1"),
        ("a == bool b", "(a == b)"),
        ("sum + by + offset offset 1s", "((sum + by) + offset@1000)"),
        ("a + fill(0) fill", "(a + fill)"),
    ] {
        let expr = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(shape(&expr), expected, "{query}");
    }
}

#[test]
fn odd_but_valid_queries() {
    for query in [
        r#"{"http.status", "code.x"=~"5..", a!="b",}"#,
        "SUM BY (job,) (Rate_total) # comment",
        "sum(up) by (on, bool, \"a.b\")",
        "up[5m:] @ end() offset -1h30m",
        "up[30s * 2 : step()] offset 5",
        "rate(up[5m] smoothed)",
        "up anchored",
        "start() + end() - range() * STEP()",
        "info(up, {})",
        "histogram_quantiles(up, \"q\", 0.5, 0.9)",
        "a / on(x) group_left fill_left(-Inf) fill_right(0x1) b",
        "inf + NaN + 0x1F + 1_000 + 5m",
        "day_of_month()",
        "count_values(\"a\\xc5z\", up)",
        "sum(up) without ()",
        "min_of(1, 2)",
        "job:rate:sum",
        ":x",
    ] {
        assert!(parse(query).is_ok(), "{query}: {:?}", parse(query).err());
    }
}

#[test]
fn bare_keywords_are_no_metrics() {
    for query in ["bool", "on", "ignoring", "group_left", "group_right", "atan2", "fill(1)"] {
        assert!(parse(query).is_err(), "{query}");
    }
}

#[test]
fn selectors_for_match_parameters() {
    assert_eq!(parse_selector("up{a=\"1\"}").unwrap().len(), 2);
    assert_eq!(parse_selector("{}").unwrap().len(), 0);
    for bad in ["up[5m]", "up offset 5m", "1", "rate(up[5m])", "", "up up", "(up)"] {
        assert!(parse_selector(bad).is_err(), "{bad}");
    }
}

#[test]
fn limits_have_clear_errors() {
    let long = format!("1{}", "+1".repeat(600_000));
    let expected = "1:1: parse error: query is 1200001 bytes; limit is 262144";
    assert_eq!(parse(&long).unwrap_err().to_string(), expected);
    let too_deep = "expression is nested too deeply; limit is 256 levels";
    for query in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}1", "-".repeat(10_000)),
        format!("1{}", "^1".repeat(10_000)),
        format!("{}up", "abs(".repeat(10_000)),
        format!("up[{}1s{}]", "(".repeat(10_000), ")".repeat(10_000)),
        format!("up[1s{}]", "+1s".repeat(10_000)),
        format!("up[{}1s]", "-".repeat(10_000)),
        format!("up offset {}1s", "-(".repeat(10_000)),
        format!("up{}", "[1m:1m]".repeat(10_000)),
    ] {
        let shown: String = query.chars().take(20).collect();
        assert_eq!(parse(&query).unwrap_err().message, too_deep, "{shown}");
    }
    let deepest = format!("{}1{}", "(".repeat(250), ")".repeat(250));
    let small_stack = std::thread::Builder::new().stack_size(1 << 20);
    let thread = small_stack.spawn(move || parse(&deepest).is_ok()).unwrap();
    assert!(thread.join().unwrap());
}

#[test]
fn set_operators_match_many_to_many() {
    let ExprKind::Binary(binary) = parse("a and b").unwrap().kind else { panic!("not binary") };
    assert_eq!(binary.op, BinaryOp::And);
    let matching = binary.matching.clone().unwrap();
    assert_eq!(matching.cardinality, crate::promql::ast::Cardinality::ManyToMany);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(query in "\\PC*") {
        let _ = parse(&query);
        let _ = parse_selector(&query);
    }

    #[test]
    fn a_mix_of_tokens_is_refused_or_prints_to_itself(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "up", "(", ")", "[", "]", "{", "}", ":", ",", "5m", "1", "\"a\"", "=", "=~", "!=",
                "sum", "by", "offset", "@", "start", "-", "+", "^", "and", "bool", "on", "fill",
                "group_left", "rate", "anchored", "#", "\n", "'", "\\", "step", "min_of", "é", ".",
                "[5m]", "[5m:]", "{a=\"b\"}", "offset -1m", "@ end()", "(up)", "0.5", "inf", "()",
                "[step()*2]", "sum(up)", "</", "atan2", "on(a)", "fill_right(nan)", "1e300", "0s",
            ]),
            0..12,
        ),
        glue in proptest::sample::select(vec!["", " "]),
    ) {
        if let Ok(expr) = parse(&tokens.join(glue)) {
            let line = expr.to_string();
            let again = parse(&line);
            proptest::prop_assert!(again.is_ok(), "{line}: {again:?}");
            proptest::prop_assert_eq!(again.map(|expr| expr.to_string()), Ok(line));
        }
    }
}
