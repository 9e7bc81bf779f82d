//! Encodings of columns. A column is cut into sub-chunks of [`CHUNK_LEN`] values, each encoded on
//! its own, so that a reader of a short range decodes little and one outlier costs only itself.
//!
//! Every encoding is exact to the bit, and every decoder answers [`Damage`] to bytes it did not
//! write, never panics and never allocates more than the caller's count asks for.
//!
//! [`Damage`]: crate::encoding::Damage

pub mod bits;
pub mod floats;
pub mod histograms;
pub mod integers;
pub mod times;

use std::ops::Range;

use crate::encoding::{Damage, Input, put_varint};

/// Values in a sub-chunk; positions in it fit a byte.
pub const CHUNK_LEN: usize = 240;

/// Writes a column: the lengths of all sub-chunks but the last, then the sub-chunks.
fn encode_column<T>(values: &[T], out: &mut Vec<u8>, mut encode: impl FnMut(&[T], &mut Vec<u8>)) {
    if values.len() <= CHUNK_LEN {
        if !values.is_empty() {
            encode(values, out);
        }
        return;
    }
    let mut body = Vec::with_capacity(values.len());
    let mut start = 0;
    let mut chunks = values.chunks(CHUNK_LEN).peekable();
    while let Some(chunk) = chunks.next() {
        encode(chunk, &mut body);
        if chunks.peek().is_some() {
            put_varint(out, (body.len() - start) as u64);
            start = body.len();
        }
    }
    out.extend_from_slice(&body);
}

/// Reads the sub-chunks of a column of `len` values that hold a value of `wanted`, and hands each
/// to `decode` with its number of values and which of them are wanted.
fn decode_column(
    input: &mut Input<'_>,
    len: usize,
    wanted: Range<usize>,
    mut decode: impl FnMut(&mut Input<'_>, usize, Range<usize>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    if wanted.end > len || wanted.start > wanted.end {
        return Err(Damage("a column is shorter than asked for"));
    }
    let chunk_count = len.div_ceil(CHUNK_LEN);
    if chunk_count <= 1 {
        return if len == 0 { Ok(()) } else { decode(input, len, wanted) };
    }
    let mut lengths = *input;
    for _ in 1..chunk_count {
        input.varint()?;
    }
    for chunk in 0..chunk_count {
        let start = chunk * CHUNK_LEN;
        let chunk_len = CHUNK_LEN.min(len - start);
        let from = wanted.start.clamp(start, start + chunk_len) - start;
        let to = wanted.end.clamp(start, start + chunk_len) - start;
        if chunk + 1 == chunk_count {
            return decode(input, chunk_len, from..to);
        }
        let bytes = lengths.count_up_to(input.len())?;
        let mut body = Input::new(input.take(bytes)?);
        if from < to {
            decode(&mut body, chunk_len, from..to)?;
            body.end()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
