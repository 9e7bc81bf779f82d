//! What stands beside the pages of a log block: counts, rows of grams; and lines with their digits
//! apart.

use crate::encoding::Damage;
use crate::logs::counts::{Counts, GroupCounts};
use crate::logs::grams::GramIndex;
use crate::logs::text::{self, Form};

/// Any bytes as counts of a page, and as those of a group of pages: no panic, and counts that are
/// read add up and are written as they were read.
pub fn any_counts(input: &[u8]) {
    if let Ok(counts) = Counts::decode(input) {
        assert_eq!(Counts::decode(&counts.encode()).as_ref(), Ok(&counts));
        let entries = counts.cells().map(|(.., count)| count.entries);
        let sum = entries.fold(0_u64, u64::saturating_add);
        assert_eq!(sum, counts.total().entries);
    }
    let [pages, body @ ..] = input else { return };
    if let Ok(group) = GroupCounts::decode(body, usize::from(*pages)) {
        for at in 0..=usize::from(*pages) {
            let _ = group.page(at);
        }
    }
}

/// Any bytes as how rows of grams lie, and as rows: no panic, and places that can be asked for.
pub fn any_grams(input: &[u8]) {
    let [split, rest @ ..] = input else { return };
    let (index, rows) = rest.split_at(usize::from(*split).min(rest.len()));
    let Ok(index) = GramIndex::decode(index) else { return };
    assert_eq!(GramIndex::decode(&index.encode()).as_ref(), Ok(&index));
    let stripe = index.place(0, 0).map_or(7, |place| place.stripe);
    let needles = [b"needle of text".to_vec()];
    let found = index.candidates::<Damage>(stripe, &needles, |_, read| read(rows));
    if let (Ok(bits), Some(place)) = (found, index.place(0, 0)) {
        assert!(place.at as usize / 8 < bits.len());
    }
}

/// Any bytes as lines with their digits apart: no panic, and what is read is written so again.
pub fn any_lines(input: &[u8]) {
    let Ok(lines) = text::read(input, Form::DigitsApart) else { return };
    if lines.len() > 1 << 20 {
        return;
    }
    for form in [Form::Whole, Form::DigitsApart] {
        let mut out = Vec::new();
        text::put(&lines, form, &mut out).expect("it is small");
        assert_eq!(text::read(&out, form).expect("it is whole"), lines);
    }
}
