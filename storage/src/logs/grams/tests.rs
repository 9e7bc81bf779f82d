//! A page that holds a text is always among the candidates.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{GramIndex, GramWriter, INDEX_NUMBER};
use crate::encoding::Damage;
use crate::envelope::{self, section};
use crate::metrics::block::Spool;

/// The values of rows over pages, by number; the pages of each group are given.
fn written(groups: &[Vec<String>]) -> BTreeMap<u32, Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut spool = Spool::new(dir.path().join("spool"));
    let mut writer = GramWriter::default();
    for group in groups {
        for page in group {
            writer.push(page.as_bytes(), &mut spool).expect("it is small");
        }
        writer.end_group();
    }
    writer.finish(&mut spool).expect("it is small");
    let values = spool.take_all();
    let open = |(section, number, value): &(u8, u32, Vec<u8>)| {
        assert_eq!(*section, section::GRAMS);
        (*number, envelope::open(*section, *number, value).expect("whole").into_owned())
    };
    values.iter().map(open).collect()
}

fn candidates(
    values: &BTreeMap<u32, Vec<u8>>,
    index: &GramIndex,
    stripe: u32,
    needle: &str,
) -> Result<Vec<u8>, Damage> {
    index.candidates(stripe, &[needle.as_bytes().to_vec()], |number, read| {
        read(values.get(&number).ok_or(Damage("it is missing"))?)
    })
}

proptest! {
    #[test]
    fn a_page_with_the_text_is_a_candidate(
        groups in proptest::collection::vec(proptest::collection::vec("[a-d0-1]{0,30}", 0..20), 1..4),
        needle in "[a-d0-1]{4,8}",
    ) {
        let values = written(&groups);
        let Some(body) = values.get(&INDEX_NUMBER) else {
            prop_assert!(groups.iter().map(Vec::len).sum::<usize>() < 2);
            return Ok(());
        };
        let index = GramIndex::decode(body).expect("it is whole");
        prop_assert_eq!(index.encode(), body.clone());
        let (mut found, mut total) = (0, 0);
        for (number, group) in (0..).zip(&groups) {
            prop_assert_eq!(index.place(number, group.len()), None);
            for (at, page) in group.iter().enumerate() {
                let place = index.place(number, at).expect("there is such a page");
                let bits = candidates(&values, &index, place.stripe, &needle).expect("whole");
                let is_one = bits[place.at as usize / 8] >> (place.at % 8) & 1 == 1;
                prop_assert!(is_one || !page.contains(&needle), "{page} has {needle}");
                found += usize::from(is_one);
                total += 1;
            }
        }
        // Thirty bytes of a page set few of the rows, so most pages are left out.
        prop_assert!(total < 10 || found * 2 <= total + 10, "{found} of {total}");
    }

    #[test]
    fn any_bytes_decode_or_are_damage(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        rows in proptest::collection::vec(any::<u8>(), 0..2_000),
    ) {
        if let Ok(index) = GramIndex::decode(&bytes) {
            let needles = [b"needle".to_vec()];
            let place = index.place(0, 0);
            let stripe = place.map_or(7, |place| place.stripe);
            let _ = index.candidates::<Damage>(stripe, &needles, |_, read| read(&rows));
        }
    }

    #[test]
    fn a_changed_index_is_damage_or_an_index(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = GramIndex::new(10, 16, &[3, 0, 40]).encode();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = GramIndex::decode(&body);
        prop_assert!(GramIndex::decode(&body[..at]).is_err());
    }
}
