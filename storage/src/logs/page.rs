//! A page: entries of one stream, encoded column by column. `docs/formats/log-block.md` draws it.

use std::borrow::Cow;

use ephemeris_model::LogColumns;

use super::counts::Counts;
use super::rows::{Column, Rows};
use super::text::{self, Form};
use crate::encoding::{Damage, Input, put_bytes, put_varint};
use crate::envelope::{Zip, put_packed, read_packed};
use crate::error::{Error, Result};
use crate::metrics::codec::integers;

/// Versions of the page's encoding, by the form of its lines.
const VERSION_WHOLE: u8 = 1;
const VERSION_DIGITS_APART: u8 = 2;
/// A page is full at this many bytes of lines and metadata.
pub const PAGE_BYTES: usize = 128 << 10;
/// A page is full at this many rows; in tests at few, so that streams have many pages.
pub const PAGE_ROWS: usize = if cfg!(test) { 7 } else { 16 << 10 };
/// A page is full at this many names of metadata, unless one entry alone has more.
pub const PAGE_NAMES: usize = if cfg!(test) { 12 } else { 1 << 10 };
/// A page is full at this many values of metadata, rows × names: in memory each has a place, also
/// where a row lacks the name.
pub const PAGE_CELLS: usize = if cfg!(test) { 40 } else { 1 << 18 };
/// Most rows a page is written and read with.
const ROWS_MAX: usize = 1 << 20;
/// Most columns a page is written and read with.
pub const COLUMNS_MAX: usize = if cfg!(test) { 1 << 6 } else { 1 << 16 };
/// Most bytes a row of a column of hex digits is written and read with.
const HEX_BYTES_MAX: usize = 1 << 20;

/// What is wrong with columns that each are whole.
pub(super) const MISFIT: Damage = Damage("its columns do not fit");

/// Forms of a column of metadata.
mod form {
    /// All rows have the one value.
    pub(super) const CONSTANT: u8 = 0;
    /// A byte for each row, into up to 255 values; 0 is none.
    pub(super) const DICTIONARY: u8 = 1;
    /// All rows have lowercase hex digits of one even length, two to a byte.
    pub(super) const HEX: u8 = 2;
    /// Lengths, and all values one after the other.
    pub(super) const TEXT: u8 = 3;
}

/// An encoded page, and what is known of it without decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Time of its first entry.
    pub min: i64,
    /// Time of its last entry, inclusive.
    pub max: i64,
    /// Number of entries.
    pub entries: u32,
    /// Bytes of their lines.
    pub line_bytes: u64,
    /// The encoded columns.
    pub bytes: Vec<u8>,
    /// Encoded [`Counts`]; empty if it is not counted.
    pub counts: Vec<u8>,
}

impl Page {
    /// Encodes rows, which are brought into order; `None` if there are none.
    ///
    /// # Errors
    /// If a column is over the limit of a value, or there are more rows or columns than
    /// [`decode`] takes.
    pub fn encode(rows: &mut Rows) -> Result<Option<Self>> {
        rows.sort();
        let (Some(&min), Some(&max)) = (rows.times().first(), rows.times().last()) else {
            return Ok(None);
        };
        if rows.len() > ROWS_MAX || rows.columns().len() > COLUMNS_MAX {
            return Err(Error::Limit(format!(
                "a page of {} rows and {} names of metadata is too large; {ROWS_MAX} and \
                 {COLUMNS_MAX} are allowed",
                rows.len(),
                rows.columns().len()
            )));
        }
        let bytes = encode_as(rows, text::smaller_form(rows.text())?)?;
        let entries = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let line_bytes = rows.text().len() as u64;
        let counts = Counts::of(rows).map(|counts| counts.encode()).unwrap_or_default();
        Ok(Some(Self { min, max, entries, line_bytes, bytes, counts }))
    }
}

/// The encoded columns of rows that are in order, with the lines in a form.
///
/// # Errors
/// If a column is over the limit of a value.
pub(super) fn encode_as(rows: &Rows, form: Form) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(rows.content_bytes() / 4 + 64);
    bytes.push(match form {
        Form::Whole => VERSION_WHOLE,
        Form::DigitsApart => VERSION_DIGITS_APART,
    });
    put_varint(&mut bytes, rows.len() as u64);
    put_part(&mut bytes, |out| {
        integers::encode(rows.times(), out);
        Ok(())
    })?;
    put_part(&mut bytes, |out| {
        integers::encode(&lengths(rows.ends()), out);
        Ok(())
    })?;
    put_part(&mut bytes, |out| text::put(rows.text(), form, out))?;
    put_varint(&mut bytes, rows.columns().len() as u64);
    for column in rows.columns() {
        put_bytes(&mut bytes, column.name().as_bytes());
        put_part(&mut bytes, |out| put_column(column, rows.len(), out))?;
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// What rows would come to with others: whether all of it fits one page.
pub(crate) struct Room {
    /// Bytes of lines and metadata that are added.
    pub(crate) bytes: usize,
    /// Number of rows that are added.
    pub(crate) rows: usize,
}

impl Room {
    /// Whether `rows` have room for this and for metadata of these names, sorted, without becoming
    /// more than a page of at most `rows_max` rows.
    pub(crate) fn is_in<'a>(
        &self,
        rows: &Rows,
        rows_max: usize,
        names: impl ExactSizeIterator<Item = &'a str>,
    ) -> bool {
        let after = rows.len() + self.rows;
        if rows.content_bytes() + self.bytes > PAGE_BYTES || after > rows_max {
            return false;
        }
        let fits = |names: usize| names <= PAGE_NAMES && names.saturating_mul(after) <= PAGE_CELLS;
        // Names are looked up only near the limits.
        let known = rows.columns().len();
        fits(known + names.len()) || fits(known + rows.new_names(names))
    }
}

/// The parts of a page; lines and columns are still packed.
pub(super) struct Parts<'a> {
    pub(super) form: Form,
    pub(super) times: Vec<i64>,
    pub(super) ends: Vec<u32>,
    pub(super) text: &'a [u8],
    columns: Input<'a>,
}

impl<'a> Parts<'a> {
    /// Opens a page.
    ///
    /// # Errors
    /// If the bytes are no page.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        let form = read_form(&mut input)?;
        let rows = count_up_to(&mut input, ROWS_MAX)?;
        let times = read_integers(input.bytes()?, rows)?;
        let ends = ends(&read_integers(input.bytes()?, rows)?)?;
        let text = input.bytes()?;
        Ok(Self { form, times, ends, text, columns: input })
    }

    /// Its columns of metadata.
    ///
    /// # Errors
    /// If they are none.
    pub(super) fn columns(&self) -> Result<Vec<Column>, Damage> {
        let mut input = self.columns;
        let mut columns = Vec::new();
        for _ in 0..count_up_to(&mut input, COLUMNS_MAX)? {
            let name = input.text()?;
            columns.push(read_column(name, input.bytes()?, self.times.len())?);
        }
        input.end()?;
        Ok(columns)
    }

    /// Names of its columns of metadata.
    ///
    /// # Errors
    /// If they are none.
    pub(super) fn names(&self) -> Result<Vec<&'a str>, Damage> {
        let mut input = self.columns;
        let mut names = Vec::new();
        for _ in 0..count_up_to(&mut input, COLUMNS_MAX)? {
            names.push(input.text()?);
            input.bytes()?;
        }
        Ok(names)
    }

    /// Bytes of its lines.
    pub(super) fn text_len(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }
}

/// The lines of a page, one after the other.
///
/// # Errors
/// If the bytes are no page.
pub fn decode_text(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Damage> {
    let mut input = Input::new(bytes);
    let form = read_form(&mut input)?;
    count_up_to(&mut input, ROWS_MAX)?;
    let (_times, _lengths) = (input.bytes()?, input.bytes()?);
    text::read(input.bytes()?, form)
}

fn read_form(input: &mut Input<'_>) -> Result<Form, Damage> {
    match input.u8()? {
        VERSION_WHOLE => Ok(Form::Whole),
        VERSION_DIGITS_APART => Ok(Form::DigitsApart),
        _ => Err(Damage("the version of the page is not known")),
    }
}

/// Decodes the columns that are asked for. Without the lines, each has its length and zeros.
///
/// # Errors
/// If the bytes are no page.
pub fn decode(bytes: &[u8], wanted: LogColumns) -> Result<Rows, Damage> {
    let parts = Parts::open(bytes)?;
    let lines = if wanted.lines {
        text::read(parts.text, parts.form)?.into_owned()
    } else {
        vec![0; parts.text_len()]
    };
    let columns = if wanted.metadata { parts.columns()? } else { Vec::new() };
    Rows::from_parts(parts.times, lines, parts.ends, columns).ok_or(MISFIT)
}

fn put_part(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let mut part = Vec::new();
    write(&mut part)?;
    put_bytes(out, &part);
    Ok(())
}

fn lengths(ends: &[u32]) -> Vec<i64> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(starts).map(|(&end, start)| i64::from(end - start)).collect()
}

fn ends(lengths: &[i64]) -> Result<Vec<u32>, Damage> {
    const BAD: Damage = Damage("the length of a text is out of range");
    let mut end = 0_u32;
    let add = |&length: &i64| {
        let length = u32::try_from(length).map_err(|_| BAD)?;
        end = end.checked_add(length).ok_or(BAD)?;
        Ok(end)
    };
    lengths.iter().map(add).collect()
}

fn count_up_to(input: &mut Input<'_>, max: usize) -> Result<usize, Damage> {
    let count = input.varint()?;
    usize::try_from(count).ok().filter(|&n| n <= max).ok_or(Damage("a count is out of range"))
}

fn read_integers(bytes: &[u8], len: usize) -> Result<Vec<i64>, Damage> {
    let mut input = Input::new(bytes);
    let mut values = Vec::with_capacity(len);
    integers::decode(&mut input, len, 0..len, &mut values)?;
    input.end()?;
    Ok(values)
}

fn put_column(column: &Column, rows: usize, out: &mut Vec<u8>) -> Result<()> {
    let values = || (0..rows).map(|row| column.value(row));
    let first = column.value(0);
    if !first.is_empty() && values().all(|value| value == first) {
        out.push(form::CONSTANT);
        out.extend_from_slice(first.as_bytes());
        return Ok(());
    }
    if let Some((dictionary, places)) = dictionary(values()) {
        out.push(form::DICTIONARY);
        put_varint(out, dictionary.len() as u64);
        dictionary.iter().for_each(|value| put_bytes(out, value.as_bytes()));
        return put_packed(&places, Zip::IfSmaller, out);
    }
    if is_hex(first) && values().all(|value| value.len() == first.len() && is_hex(value)) {
        out.push(form::HEX);
        put_varint(out, first.len() as u64 / 2);
        for value in values() {
            out.extend(
                value.as_bytes().chunks_exact(2).map(|two| nibble(two[0]) << 4 | nibble(two[1])),
            );
        }
        return Ok(());
    }
    out.push(form::TEXT);
    let lengths: Vec<i64> = values().map(|value| value.len() as i64).collect();
    put_part(out, |out| {
        integers::encode(&lengths, out);
        Ok(())
    })?;
    let text: String = values().collect();
    put_packed(text.as_bytes(), Zip::IfSmaller, out)
}

/// The distinct values, and the place of each row's value in them, 0 for none; `None` if there are
/// too many.
fn dictionary<'a>(values: impl Iterator<Item = &'a str>) -> Option<(Vec<&'a str>, Vec<u8>)> {
    let mut found: Vec<&str> = Vec::new();
    let mut numbers = hashbrown::HashMap::<&str, u8, rustc_hash::FxBuildHasher>::default();
    let mut places = Vec::new();
    for value in values {
        if value.is_empty() {
            places.push(0);
            continue;
        }
        let number = match numbers.get(value) {
            Some(&number) => number,
            None => {
                found.push(value);
                let number = u8::try_from(found.len()).ok()?;
                numbers.insert(value, number);
                number
            }
        };
        places.push(number);
    }
    // A dictionary of values that hardly repeat is a text with more work.
    (found.len() * 2 <= places.len() || found.len() <= 8).then_some((found, places))
}

fn is_hex(value: &str) -> bool {
    let digits = value.as_bytes();
    (8..=2 * HEX_BYTES_MAX).contains(&digits.len())
        && digits.len().is_multiple_of(2)
        && digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

const fn nibble(digit: u8) -> u8 {
    if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 }
}

fn read_column(name: &str, bytes: &[u8], rows: usize) -> Result<Column, Damage> {
    let mut input = Input::new(bytes);
    match input.u8()? {
        form::CONSTANT => {
            let value = utf8(input.rest())?;
            let mut column = Column::new(name);
            (0..rows).for_each(|row| column.push(row, value));
            Ok(column)
        }
        form::DICTIONARY => {
            let count = count_up_to(&mut input, 255)?;
            let mut values = vec![""];
            for _ in 0..count {
                values.push(input.text()?);
            }
            let places = read_packed(input)?;
            if places.len() != rows {
                return Err(Damage("a dictionary column has another number of rows"));
            }
            let mut column = Column::new(name);
            for (row, &place) in places.iter().enumerate() {
                let value = values.get(usize::from(place));
                column.push(row, value.ok_or(Damage("a value is not in the dictionary"))?);
            }
            Ok(column)
        }
        form::HEX => read_hex(name, input, rows),
        form::TEXT => {
            let ends = ends(&read_integers(input.bytes()?, rows)?)?;
            let text = utf8(&read_packed(input)?)?.to_owned();
            let whole = ends.last().map_or(0, |&end| end as usize) == text.len();
            let column = Column::from_parts(name, text, ends).filter(|_| whole);
            column.ok_or(Damage("values of a column do not fit their text"))
        }
        _ => Err(Damage("the form of a column is not known")),
    }
}

fn read_hex(name: &str, mut input: Input<'_>, rows: usize) -> Result<Column, Damage> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let width = count_up_to(&mut input, HEX_BYTES_MAX)?;
    let bytes = input.rest();
    if width.checked_mul(rows) != Some(bytes.len()) {
        return Err(Damage("a column of hex digits has another length"));
    }
    let digits = |&byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    let text: Vec<u8> = bytes.iter().flat_map(digits).collect();
    let text = String::from_utf8(text).map_err(|_| Damage("hex digits are no text"))?;
    let ends = ends(&vec![2 * width as i64; rows])?;
    Column::from_parts(name, text, ends).ok_or(Damage("hex digits do not fit"))
}

fn utf8(bytes: &[u8]) -> Result<&str, Damage> {
    std::str::from_utf8(bytes).map_err(|_| Damage("a text is not UTF-8"))
}
