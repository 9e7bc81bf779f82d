//! The table of a tenant's label names: where each name's dictionary and posting lists lie.
//!
//! ```text
//! table := name count varint, name ×
//! name  := name, value count varint, postings of all its series, frame count varint, frame ×,
//!          group count varint, group ×
//! frame := item reference, first value
//! group := item reference, posting count varint
//! ```

use roaring::RoaringBitmap;

use super::dictionary::FRAME_LEN;
use super::packer::ItemRef;
use super::postings;
use crate::encoding::{Damage, Input, put_bytes, put_varint};
use crate::envelope::{self, Zip};
use crate::error::Result;

/// A frame of a dictionary.
#[derive(Debug)]
pub(super) struct FrameRef {
    pub item: ItemRef,
    pub first_value: Box<str>,
}

/// Posting lists of consecutive value numbers.
#[derive(Debug)]
pub(super) struct GroupRef {
    pub item: ItemRef,
    /// The first value number.
    pub first: u32,
    /// The first value number after it.
    pub end: u32,
}

/// A label name.
#[derive(Debug)]
pub(super) struct Name {
    pub name: Box<str>,
    pub value_count: u32,
    /// The series that have the label.
    pub series: RoaringBitmap,
    pub frames: Vec<FrameRef>,
    pub groups: Vec<GroupRef>,
}

/// A name being written; `series` is an encoded posting list.
pub(super) struct NameParts<'a> {
    pub name: &'a str,
    pub value_count: u32,
    pub series: &'a [u8],
    pub frames: &'a [FrameRef],
    pub groups: &'a [GroupRef],
}

/// Appends a name to the rows of a table.
pub(super) fn put_name(parts: &NameParts<'_>, out: &mut Vec<u8>) {
    put_bytes(out, parts.name.as_bytes());
    put_varint(out, u64::from(parts.value_count));
    put_bytes(out, parts.series);
    put_varint(out, parts.frames.len() as u64);
    for frame in parts.frames {
        frame.item.put(out);
        put_bytes(out, frame.first_value.as_bytes());
    }
    put_varint(out, parts.groups.len() as u64);
    for group in parts.groups {
        group.item.put(out);
        put_varint(out, u64::from(group.end - group.first));
    }
}

/// The table of `count` names whose rows were written by [`put_name`].
pub(super) fn seal_table(count: usize, rows: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::with_capacity(rows.len() + 4);
    put_varint(&mut body, count as u64);
    body.extend_from_slice(rows);
    let mut out = Vec::new();
    envelope::put_packed(&body, Zip::IfSmaller, &mut out)?;
    Ok(out)
}

/// Reads the table of a tenant with `series_count` series.
pub(super) fn read_table(bytes: &[u8], series_count: u32) -> Result<Vec<Name>, Damage> {
    let body = envelope::read_packed(Input::new(bytes))?;
    let mut input = Input::new(&body);
    let count = input.count()?;
    let names: Vec<Name> =
        (0..count).map(|_| read_name(&mut input, series_count)).collect::<Result<_, Damage>>()?;
    input.end()?;
    if !names.is_sorted_by(|a, b| a.name < b.name) {
        return Err(Damage("label names are out of order"));
    }
    Ok(names)
}

fn read_name(input: &mut Input<'_>, series_count: u32) -> Result<Name, Damage> {
    let name = input.text()?.into();
    let value_count = input.varint_u32()?;
    let mut series = RoaringBitmap::new();
    postings::read(input.bytes()?, series_count, &mut series)?;
    let frame_count = input.count()?;
    let frames = (0..frame_count)
        .map(|_| Ok(FrameRef { item: ItemRef::read(input)?, first_value: input.text()?.into() }))
        .collect::<Result<Vec<_>, Damage>>()?;
    let mut end = 0u32;
    let group_count = input.count()?;
    let groups = (0..group_count)
        .map(|_| {
            let item = ItemRef::read(input)?;
            let first = end;
            end = first
                .checked_add(input.varint_u32()?)
                .ok_or(Damage("there are too many values"))?;
            Ok(GroupRef { item, first, end })
        })
        .collect::<Result<Vec<_>, Damage>>()?;
    if end != value_count || (value_count as usize).div_ceil(FRAME_LEN) != frames.len() {
        return Err(Damage("a label name lacks values"));
    }
    Ok(Name { name, value_count, series, frames, groups })
}
