//! From matchers to series ids.

use std::ops::Range;

use ephemeris_model::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use super::automaton::{Automaton, Shape};
use super::dictionary::{self, FRAME_LEN};
use super::names::Name;
use super::postings;
use super::tenant::{Reading, TenantIndex};
use crate::encoding::{Damage, Input};
use crate::envelope::section;
use crate::error::{AtPlace, Result};

/// Up to this many values are tested one by one; an automaton is not worth building.
const FEW_VALUES: u32 = 64;

/// What a matcher leaves of the series.
enum Selected {
    Only(RoaringBitmap),
    AllBut(RoaringBitmap),
}

impl TenantIndex {
    /// The series that satisfy all matchers.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn select(&self, reading: Reading<'_>, matchers: &[Matcher]) -> Result<RoaringBitmap> {
        let mut ordered: Vec<&Matcher> = matchers.iter().collect();
        ordered.sort_by_key(|matcher| cost(matcher));
        let mut selected = RoaringBitmap::new();
        selected.insert_range(0..self.series_count());
        for matcher in ordered {
            if selected.is_empty() {
                break;
            }
            match self.apply(reading, matcher)? {
                Selected::Only(ids) => selected &= ids,
                Selected::AllBut(ids) => selected -= ids,
            }
        }
        Ok(selected)
    }

    fn apply(&self, reading: Reading<'_>, matcher: &Matcher) -> Result<Selected> {
        let Some(name) = self.name(&matcher.name) else {
            let none = RoaringBitmap::new();
            let all = matcher.matches_empty();
            return Ok(if all { Selected::AllBut(none) } else { Selected::Only(none) });
        };
        let empty_text = matcher.value.is_empty();
        Ok(match matcher.op {
            MatchOp::Equal if empty_text => Selected::AllBut(name.series.clone()),
            MatchOp::NotEqual if empty_text => Selected::Only(name.series.clone()),
            MatchOp::Equal => Selected::Only(self.with_value(reading, name, &matcher.value)?),
            MatchOp::NotEqual => {
                Selected::AllBut(self.with_value(reading, name, &matcher.value)?)
            }
            MatchOp::Regex | MatchOp::NotRegex => {
                let hit = self.with_pattern(reading, name, matcher)?;
                // Of the series with the label those that hit are wanted, or those that do not;
                // whether those without it are is told by the empty value.
                let negative = matcher.op == MatchOp::NotRegex;
                match (negative, matcher.matches_empty()) {
                    (false, false) => Selected::Only(hit),
                    (false, true) => Selected::AllBut(&name.series - hit),
                    (true, false) => Selected::Only(&name.series - hit),
                    (true, true) => Selected::AllBut(hit),
                }
            }
        })
    }

    /// Series whose label has this value.
    fn with_value(&self, reading: Reading<'_>, name: &Name, value: &str) -> Result<RoaringBitmap> {
        let found = self.find_value(reading, name, value)?;
        let mut ids = RoaringBitmap::new();
        if let Some(number) = found {
            let wanted = number..number + 1;
            self.add_postings(reading, name, std::slice::from_ref(&wanted), &mut ids)?;
        }
        Ok(ids)
    }

    /// Number of a value.
    fn find_value(&self, reading: Reading<'_>, name: &Name, value: &str) -> Result<Option<u32>> {
        let after = name.frames.partition_point(|frame| *frame.first_value <= *value);
        let Some(at) = after.checked_sub(1) else { return Ok(None) };
        let found = self.frame(reading, name, at)?.find(value);
        Ok(found.and_then(|position| u32::try_from(at * FRAME_LEN + position).ok()))
    }

    /// Series whose label has a value the pattern fits.
    fn with_pattern(
        &self,
        reading: Reading<'_>,
        name: &Name,
        matcher: &Matcher,
    ) -> Result<RoaringBitmap> {
        let numbers = match Shape::of(&matcher.value) {
            Shape::Literals(literals) => {
                let mut numbers = RoaringBitmap::new();
                for literal in literals.iter().filter(|literal| !literal.is_empty()) {
                    numbers.extend(self.find_value(reading, name, literal)?);
                }
                numbers
            }
            Shape::Prefix(prefix)
                if prefix.is_empty() && matches!(&*matcher.value, ".*" | ".+") =>
            {
                return Ok(name.series.clone());
            }
            Shape::Prefix(prefix) => self.values_of_pattern(reading, name, matcher, &prefix)?,
        };
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let mut ids = RoaringBitmap::new();
        // Each series has one value, so the rest can be taken away instead.
        if count > name.value_count / 2 {
            self.add_postings(reading, name, &gaps(&numbers, name.value_count), &mut ids)?;
            return Ok(&name.series - ids);
        }
        let ranges: Vec<Range<u32>> = ranges(&numbers);
        self.add_postings(reading, name, &ranges, &mut ids)?;
        Ok(ids)
    }

    /// Numbers of the values the pattern fits; all of them start with `prefix`.
    fn values_of_pattern(
        &self,
        reading: Reading<'_>,
        name: &Name,
        matcher: &Matcher,
        prefix: &str,
    ) -> Result<RoaringBitmap> {
        let mut numbers = RoaringBitmap::new();
        let automaton = if name.value_count <= FEW_VALUES {
            None
        } else {
            Automaton::of(&matcher.anchored_pattern())
        };
        let from = name.frames.partition_point(|frame| *frame.first_value <= *prefix);
        for (at, frame) in name.frames.iter().enumerate().skip(from.saturating_sub(1)) {
            if *frame.first_value > *prefix && !frame.first_value.starts_with(prefix) {
                break;
            }
            let first = u32::try_from(at * FRAME_LEN).unwrap_or(u32::MAX);
            match &automaton {
                Some(automaton) => {
                    let bytes = reading.source.item(section::DICTIONARIES, frame.item)?;
                    let (mut walk, mut number) = (automaton.walk(), first);
                    dictionary::walk_frame(&bytes, |shared, suffix| {
                        if walk.matches(shared, suffix) {
                            numbers.insert(number);
                        }
                        number = number.saturating_add(1);
                    })
                    .at(|| reading.source.place(section::DICTIONARIES, frame.item.number))?;
                }
                None => {
                    let frame = self.frame(reading, name, at)?;
                    let negative = matcher.op == MatchOp::NotRegex;
                    let values = (0..frame.len()).filter_map(|i| frame.get(i));
                    let hits = values.zip(first..).filter(|(v, _)| matcher.matches(v) != negative);
                    numbers.extend(hits.map(|(_, number)| number));
                }
            }
        }
        Ok(numbers)
    }

    /// Adds the series of the values in `ranges` (ascending) to `ids`.
    fn add_postings(
        &self,
        reading: Reading<'_>,
        name: &Name,
        ranges: &[Range<u32>],
        ids: &mut RoaringBitmap,
    ) -> Result<()> {
        let Some(start) = ranges.first().map(|range| range.start) else { return Ok(()) };
        let mut ranges = ranges.iter().peekable();
        let from = name.groups.partition_point(|group| group.end <= start);
        for group in &name.groups[from..] {
            while ranges.next_if(|range| range.end <= group.first).is_some() {}
            let Some(next) = ranges.peek() else { break };
            if next.start >= group.end {
                continue;
            }
            reading.source.with_body(section::POSTINGS, group.item.number, &mut |body| {
                let place = || reading.source.place(section::POSTINGS, group.item.number);
                let item = group.item.slice(body).at(place)?;
                let mut ranges = ranges.clone();
                let mut wanted = |number: u32| {
                    while ranges.next_if(|range| range.end <= number).is_some() {}
                    ranges.peek().is_some_and(|range| range.start <= number)
                };
                let lists = group.first..group.end;
                read_group(item, lists, self.series_count(), &mut wanted, ids).at(place)
            })?;
        }
        Ok(())
    }
}

/// Adds the wanted posting lists of a group to `ids`.
fn read_group(
    bytes: &[u8],
    lists: Range<u32>,
    series_count: u32,
    wanted: &mut dyn FnMut(u32) -> bool,
    ids: &mut RoaringBitmap,
) -> Result<(), Damage> {
    let mut lengths = Input::new(bytes);
    let mut bodies = Input::new(bytes);
    for _ in lists.clone() {
        bodies.varint()?;
    }
    for number in lists {
        let length = lengths.count_up_to(bodies.len())?;
        let list = bodies.take(length)?;
        if wanted(number) {
            postings::read(list, series_count, ids)?;
        }
    }
    bodies.end()
}

/// Cheap and selective matchers first.
fn cost(matcher: &Matcher) -> u8 {
    match matcher.op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

/// Runs of consecutive numbers.
fn ranges(numbers: &RoaringBitmap) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.end == number => range.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

/// Runs of the numbers below `end` that are not in the set.
fn gaps(numbers: &RoaringBitmap, end: u32) -> Vec<Range<u32>> {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..end);
    all -= numbers;
    ranges(&all)
}
