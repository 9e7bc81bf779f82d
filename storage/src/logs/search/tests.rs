//! A search finds in an encoded page what it finds in decoded rows, in either form of lines.

use ephemeris_model::{LineMatch, LineSearch};
use proptest::prelude::*;

use super::super::page::{self, encode_as};
use super::*;

fn a_line() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => b'0'..=b'9',
        1 => Just(b'0'),
        2 => prop_oneof![Just(b'a'), Just(b'b'), Just(b' ')],
        1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..12)
}

fn a_condition() -> impl Strategy<Value = (LineMatch, String)> {
    prop_oneof![
        (prop_oneof!["[ab0-9]{0,4}", "[0-9a]{4,8}"], any::<bool>()).prop_map(|(text, keeps)| {
            (if keeps { LineMatch::Contains } else { LineMatch::NotContains }, text)
        }),
        ("(a|b|[0-9]|[1-7]| |\\.|\\.\\*|7){1,4}", any::<bool>()).prop_map(|(text, keeps)| {
            let text = text.replace("\\.", ".");
            (if keeps { LineMatch::Regex } else { LineMatch::NotRegex }, text)
        }),
    ]
}

fn rows(lines: &[Vec<u8>]) -> Rows {
    let mut rows = Rows::default();
    for (time, line) in (0..).zip(lines) {
        let id = format!("{time:08x}");
        let level = if line.len() > 5 { "warn" } else { "" };
        rows.push(
            time,
            line,
            [("id", &*id), ("level", level)].into_iter().filter(|p| !p.1.is_empty()),
        );
    }
    rows
}

type Shown<'a> = (i64, &'a [u8], Vec<(&'a str, &'a str)>);

/// Times, lines and metadata.
fn shown(rows: &Rows) -> Vec<Shown<'_>> {
    let row = |row| (rows.times()[row], rows.line(row), rows.metadata(row).collect());
    (0..rows.len()).map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn a_page_is_searched_as_its_rows_are(
        lines in proptest::collection::vec(a_line(), 1..30),
        conditions in proptest::collection::vec(a_condition(), 1..3),
        range in (-1i64..20, 0i64..40),
        columns in (any::<bool>(), any::<bool>()),
    ) {
        let rows = rows(&lines);
        let all = conditions.iter().filter_map(|(op, text)| {
            LineSearch::new(*op, std::slice::from_ref(text)).ok()
        });
        let filters = LineSearches::new(all.collect());
        let range = NanoRange { start: range.0, end: range.1 };
        let columns = LogColumns { lines: columns.0, metadata: columns.1 };
        let wanted = Search { filters: &filters, hints: &[], range, columns };
        let inside = |row: &usize| range.start <= rows.times()[*row] && rows.times()[*row] < range.end;
        let kept: Vec<usize> =
            (0..rows.len()).filter(inside).filter(|&row| filters.keep(rows.line(row))).collect();
        prop_assert_eq!(&matching(&rows, &wanted), &kept);
        let expected = rows.pick(kept.iter().copied());
        for form in [Form::Whole, Form::DigitsApart] {
            let bytes = encode_as(&rows, form).expect("it is small");
            let Found { rows: found, of } = search(&bytes, &wanted).expect("it is whole");
            prop_assert_eq!(of, rows.len());
            prop_assert_eq!(found.times(), expected.times());
            prop_assert_eq!(found.ends(), expected.ends());
            if columns.lines {
                prop_assert_eq!(found.text(), expected.text());
            }
            for row in 0..found.len() {
                let pairs: Vec<_> = found.metadata(row).collect();
                let wanted: Vec<_> = expected.metadata(row).filter(|_| columns.metadata).collect();
                prop_assert_eq!(pairs, wanted);
            }
            let counted = EntryCount {
                entries: kept.len() as u64,
                bytes: expected.text().len() as u64,
            };
            prop_assert_eq!(count(&bytes, &wanted), Ok((counted, rows.len())));
        }
    }

    #[test]
    fn a_changed_page_is_damage_or_a_page(
        lines in proptest::collection::vec(a_line(), 1..10),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        text in "[ab0-9]{0,3}",
    ) {
        let filters = LineSearches::new(vec![LineSearch::text(text.as_bytes())]);
        let range = NanoRange { start: i64::MIN, end: i64::MAX };
        let columns = LogColumns { lines: true, metadata: true };
        let wanted = Search { filters: &filters, hints: &[], range, columns };
        for form in [Form::Whole, Form::DigitsApart] {
            let mut bytes = encode_as(&rows(&lines), form).expect("it is small");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let found = search(&bytes, &wanted);
            if let (Ok(found), Ok(rows)) = (found, page::decode(&bytes, columns)) {
                let kept = (0..rows.len()).filter(|&row| filters.keep(rows.line(row)));
                let kept = rows.pick(kept);
                prop_assert_eq!(shown(&found.rows), shown(&kept));
            }
            let _ = search(&bytes[..at], &wanted);
            let _ = count(&bytes, &wanted);
        }
    }
}

#[test]
fn digits_that_are_rare_are_found_across_what_is_between() {
    let lines = ["at 12:34:56 x", "at 12:34:57 x", "123456", "1", "23456", "a12b34c56"];
    let lines = lines.map(|line| line.as_bytes().to_vec());
    let rows = rows(&lines);
    let (range, columns) =
        (NanoRange { start: 0, end: 9 }, LogColumns { lines: true, metadata: false });
    for (needle, found) in
        [("12:34:56", vec![0]), ("123456", vec![2]), ("b34c5", vec![5]), ("12:34:58", vec![])]
    {
        let filters = LineSearches::new(vec![LineSearch::text(needle.as_bytes())]);
        let wanted = Search { filters: &filters, hints: &[], range, columns };
        let bytes = encode_as(&rows, Form::DigitsApart).expect("it is small");
        let times: Vec<i64> = search(&bytes, &wanted).expect("it is whole").rows.times().to_vec();
        assert_eq!(times, found, "{needle}");
    }
}

#[test]
fn a_hint_is_about_pages_without_metadata_of_its_name() {
    let lines = ["level=warn 1", "level=info 2", "warn 3"].map(|line| line.as_bytes().to_vec());
    let filters = LineSearches::default();
    let columns = LogColumns { lines: true, metadata: true };
    let range = NanoRange { start: 0, end: 9 };
    // Only rows whose line is long have the metadata `level`.
    let rows = rows(&lines);
    for (name, found) in [("other", vec![0, 2]), ("level", vec![0, 1, 2])] {
        let hints = [LabelHint { name: name.to_owned(), line: LineSearch::text(b"warn") }];
        let wanted = Search { filters: &filters, hints: &hints, range, columns };
        assert_eq!(matching(&rows, &wanted), found);
        for form in [Form::Whole, Form::DigitsApart] {
            let bytes = encode_as(&rows, form).expect("it is small");
            let Found { rows: picked, of } = search(&bytes, &wanted).expect("it is whole");
            assert_eq!((picked.times().len(), of), (found.len(), 3), "{name}");
        }
    }
}
