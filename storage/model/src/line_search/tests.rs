//! Conditions on masked lines keep what they keep of the lines themselves.

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;

const OPS: [LineMatch; 4] =
    [LineMatch::Contains, LineMatch::NotContains, LineMatch::Regex, LineMatch::NotRegex];

/// What a condition keeps, told line by line by the plain tools.
fn plain(op: LineMatch, texts: &[String], line: &[u8]) -> bool {
    let found = texts.iter().any(|text| match op {
        LineMatch::Contains | LineMatch::NotContains => {
            text.is_empty() || line.windows(text.len()).any(|part| part == text.as_bytes())
        }
        LineMatch::Regex | LineMatch::NotRegex => {
            Regex::new(&translate(text)).expect("it is valid").is_match(line)
        }
    });
    found == matches!(op, LineMatch::Contains | LineMatch::Regex)
}

fn joined(lines: &[Vec<u8>]) -> (Vec<u8>, Vec<u32>) {
    let text = lines.concat();
    let mut end = 0;
    let ends = lines.iter().map(|line| {
        end += line.len() as u32;
        end
    });
    (text.clone(), ends.collect())
}

/// The lines found, those left open told by their digits.
fn found(searches: &LineSearches, lines: &[Vec<u8>], digits: Digits) -> Vec<usize> {
    let (mut text, ends) = joined(lines);
    if digits == Digits::Masked {
        text = mask_text(&text);
    }
    let lines_of = Lines::new(&text, &ends).expect("they fit");
    let kept = searches.find(lines_of, digits).into_iter().filter(|&(line, open)| {
        assert!(!open || digits == Digits::Masked, "lines with digits leave nothing open");
        !open || searches.keep(&lines[line])
    });
    kept.map(|(line, _)| line).collect()
}

fn check(conditions: &[(LineMatch, Vec<String>)], lines: &[Vec<u8>]) {
    let all = conditions.iter().map(|(op, texts)| LineSearch::new(*op, texts).expect("valid"));
    let searches = LineSearches::new(all.collect());
    let wanted: Vec<usize> = (0..lines.len())
        .filter(|&at| conditions.iter().all(|(op, texts)| plain(*op, texts, &lines[at])))
        .collect();
    for digits in [Digits::There, Digits::Masked] {
        assert_eq!(found(&searches, lines, digits), wanted, "{conditions:?} {digits:?}");
    }
    let digits_of =
        |line: &[u8]| -> Vec<u8> { line.iter().copied().filter(u8::is_ascii_digit).collect() };
    let digits = searches.digits();
    for &line in wanted.iter().filter(|_| !digits.is_empty()) {
        assert!(digits_of(&lines[line]).windows(digits.len()).any(|part| part == digits));
    }
    let needles = searches.needles();
    let holds =
        |line: usize, needle: &[u8]| lines[line].windows(needle.len()).any(|part| part == needle);
    assert!(wanted.iter().all(|&line| needles.iter().all(|needle| holds(line, needle))));
}

fn a_line() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'0'),
        b'0'..=b'9',
        Just(b'a'),
        Just(b'b'),
        Just(b'B'),
        Just(b' '),
        Just(b'\n'),
        Just(0xff),
        Just(0xc3),
        Just(0xa9),
    ];
    proptest::collection::vec(byte, 0..9)
}

fn a_pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        "[ab0-9]{1,3}",
        Just("[0-9]".to_owned()),
        Just("[1-3a]".to_owned()),
        Just("[^5]".to_owned()),
        Just(r"\d".to_owned()),
        Just(r"\D".to_owned()),
        Just(r"\b".to_owned()),
        Just(".".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just("(?i:ab)".to_owned()),
        Just("é".to_owned()),
        Just("(a|1)".to_owned()),
        Just("(aab|bba|b00)".to_owned()),
    ];
    let part = (atom, prop_oneof![Just(""), Just("*"), Just("+"), Just("?"), Just("{2}")]);
    let part = part.prop_map(|(atom, times)| {
        // A look does not repeat in RE2's way of writing.
        let alone = matches!(atom.as_str(), "^" | "$" | r"\b");
        if alone { atom } else { format!("(?:{atom}){times}") }
    });
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

fn a_condition() -> impl Strategy<Value = (LineMatch, Vec<String>)> {
    let texts = |op: LineMatch| match op {
        LineMatch::Contains | LineMatch::NotContains => {
            proptest::collection::vec("[ab0-9 ]{0,4}", 1..3).boxed()
        }
        LineMatch::Regex | LineMatch::NotRegex => {
            proptest::collection::vec(a_pattern(), 1..3).boxed()
        }
    };
    proptest::sample::select(&OPS[..]).prop_flat_map(move |op| (Just(op), texts(op)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn masked_lines_give_what_the_lines_give(
        conditions in proptest::collection::vec(a_condition(), 1..3),
        lines in proptest::collection::vec(a_line(), 0..6),
    ) {
        check(&conditions, &lines);
    }

    #[test]
    fn one_text_is_a_condition(text in "[ab0-9]{0,4}", line in a_line()) {
        let search = LineSearch::text(text.as_bytes());
        let expected = plain(LineMatch::Contains, std::slice::from_ref(&text), &line);
        prop_assert_eq!(search.keeps(&line), expected);
        match search.verdict(&mask_text(&line), Digits::Masked) {
            Verdict::Kept => prop_assert!(expected),
            Verdict::Dropped => prop_assert!(!expected),
            Verdict::Open => prop_assert!(text.bytes().any(|byte| byte.is_ascii_digit())),
        }
    }
}

#[test]
fn a_text_across_two_lines_hides_none_that_is_in_one() {
    let lines: Vec<Vec<u8>> = ["disk err", "or 5", "x", "bcd", "abc", "d"]
        .iter()
        .map(|line| line.as_bytes().to_vec())
        .collect();
    for op in OPS {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        check(&[(op, texts(&["error", "err"]))], &lines);
        check(&[(op, texts(&["err", "error"]))], &lines);
        check(&[(op, texts(&["abcd", "bc"]))], &lines);
    }
    for pattern in ["error|err", r"error|err\b", "(?i)ERROR|err", "abcd|bc", "abcd|bc$"] {
        for op in [LineMatch::Regex, LineMatch::NotRegex] {
            check(&[(op, vec![pattern.to_owned()])], &lines);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Lines are a text cut anywhere, so that what is looked for lies across their ends.
    #[test]
    fn texts_across_lines_are_in_none(
        text in "(abc|bc|cab){0,12}",
        cuts in proptest::collection::vec(0usize..37, 0..9),
        texts in proptest::collection::vec("[abc]{2,6}", 2..4),
        op in proptest::sample::select(&OPS[..]),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let lines: Vec<Vec<u8>> =
            cuts.windows(2).map(|pair| text.as_bytes()[pair[0]..pair[1]].to_vec()).collect();
        check(&[(op, vec![texts.join("|")])], &lines);
        check(&[(op, texts)], &lines);
    }
}

#[test]
fn digits_at_the_edges_of_lines_and_texts() {
    let lines: Vec<Vec<u8>> = ["1a2", "2a1", "a", "0a0", "12", "", "a2\u{e9}9"]
        .iter()
        .map(|line| line.as_bytes().to_vec())
        .collect();
    for text in ["1a", "a1", "2a", "0", "1a2", "21", "a", "2\u{e9}", "00"] {
        for op in OPS {
            check(&[(op, vec![text.to_owned()])], &lines);
        }
    }
}

#[test]
fn a_pattern_that_takes_all_digits_leaves_nothing_open() {
    let open = |pattern: &str| {
        let search = LineSearch::new(LineMatch::Regex, &[pattern.to_owned()]).expect("valid");
        search.verdict(b"err 0", Digits::Masked) == Verdict::Open
    };
    assert!(!open("(?i)fail|err[a-z]* [0-9]"));
    assert!(!open(r"\berr \d+$"));
    assert!(!open("e.r"));
    assert!(open("err [1-9]"));
    assert!(open("err 0"));
    assert!(open("err [^0]"));
}

#[test]
fn texts_that_are_everywhere_rule_out_nothing() {
    let rules_out = |text: &str| LineSearch::text(text.as_bytes()).rules_out();
    assert!(!rules_out("4711") && !rules_out("47:11"));
    assert!(rules_out("ab12") && rules_out("no digit"));
}

#[test]
fn a_bad_pattern_is_told() {
    let refused = LineSearch::new(LineMatch::Regex, &["(".to_owned()]).expect_err("it is bad");
    assert!(refused.to_string().contains("error parsing regexp"), "{refused}");
    let large = LineSearch::new(LineMatch::Regex, &[r"\pL{1000}{50}".to_owned()]);
    assert!(large.expect_err("it is large").to_string().contains("size limit"), "size");
}

#[test]
fn lines_must_cover_their_text() {
    assert!(Lines::new(b"ab", &[1, 2]).is_some());
    assert!(Lines::new(b"ab", &[1]).is_none());
    assert!(Lines::new(b"ab", &[2, 1, 2]).is_none());
    assert!(Lines::new(b"", &[]).is_some_and(|lines| lines.is_empty()));
}
