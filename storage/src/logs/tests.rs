//! Pages: what comes back, and what damage does.

use ephemeris_model::LogColumns;
use proptest::prelude::*;

use super::page::{self, Page};
use super::rows::Rows;

const ALL: LogColumns = LogColumns { lines: true, metadata: true };

type Row = (i64, Vec<u8>, Vec<(&'static str, String)>);

fn row() -> impl Strategy<Value = Row> {
    let time = prop_oneof![3 => 0i64..50, 1 => any::<i64>()];
    let line = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..30),
        "took [0-9]{1,9} ms".prop_map(String::into_bytes),
    ];
    let value = prop_oneof![
        Just(String::new()),
        Just("info".to_owned()),
        "[0-9a-f]{32}",
        "[0-9a-f]{0,9}",
        ".{0,5}",
    ];
    let pairs = (value.clone(), value.clone(), value);
    (time, line, pairs).prop_map(|(time, line, (a, b, c))| {
        let pairs = vec![("a", a), ("b", b), ("trace_id", c)];
        (time, line, pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    })
}

fn rows(all: &[Row]) -> Rows {
    let mut rows = Rows::default();
    for (time, line, pairs) in all {
        rows.push(*time, line, pairs.iter().map(|(name, value)| (*name, value.as_str())));
    }
    rows
}

fn shown(rows: &Rows) -> Vec<Row> {
    let name = |name: &str| ["a", "b", "trace_id"].into_iter().find(|n| *n == name).expect("known");
    let row = |row: usize| {
        let pairs = rows.metadata(row).map(|(n, v)| (name(n), v.to_owned())).collect();
        (rows.times()[row], rows.line(row).to_vec(), pairs)
    };
    (0..rows.len()).map(row).collect()
}

proptest! {
    #[test]
    fn a_page_gives_back_its_rows_in_order_each_once(all in proptest::collection::vec(row(), 1..60)) {
        let mut expected: Vec<Row> = Vec::new();
        for row in &all {
            if !expected.contains(row) {
                expected.push(row.clone());
            }
        }
        expected.sort_by_key(|row| row.0);
        let page = Page::encode(&mut rows(&all)).expect("it is small").expect("it has rows");
        let decoded = page::decode(&page.bytes, ALL).expect("it is whole");
        prop_assert_eq!(shown(&decoded), expected.clone());
        prop_assert_eq!((page.min, page.max), (expected[0].0, expected[expected.len() - 1].0));
        let none = LogColumns { lines: false, metadata: false };
        let bare = page::decode(&page.bytes, none).expect("it is whole");
        prop_assert_eq!(bare.times(), decoded.times());
        prop_assert_eq!(bare.ends(), decoded.ends());
    }

    #[test]
    fn any_bytes_decode_or_are_damage(
        version in 1_u8..=2,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut versioned = vec![version];
        versioned.extend_from_slice(&bytes);
        let _ = page::decode(&versioned, ALL);
    }

    #[test]
    fn a_changed_byte_is_damage_or_a_page(
        all in proptest::collection::vec(row(), 1..20),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let page = Page::encode(&mut rows(&all)).expect("it is small").expect("it has rows");
        let mut bytes = page.bytes;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = page::decode(&bytes, ALL);
        let _ = page::decode(&bytes[..at], ALL);
    }
}
