//! Exemplars of a run of series.
//!
//! ```text
//! payload  := count varint, exemplar ×
//! exemplar := time step zigzag, value 8 bytes, label count varint, ( name, value ) ×
//! ```
//! Payloads lie in the frame of a page, with the series they belong to before it.

use ephemeris_model::{Exemplar, Labels};

use crate::encoding::{Damage, Input, put_bytes, put_varint, put_zigzag};

/// Writes the exemplars of a series.
pub(super) fn put(exemplars: &[Exemplar], out: &mut Vec<u8>) {
    put_varint(out, exemplars.len() as u64);
    let mut last = 0;
    for exemplar in exemplars {
        put_zigzag(out, exemplar.timestamp_ms.wrapping_sub(last));
        last = exemplar.timestamp_ms;
        out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        put_varint(out, exemplar.labels.len() as u64);
        for (name, value) in exemplar.labels.iter() {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }
}

/// Reads the exemplars of a series.
///
/// # Errors
/// If they are damaged.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Exemplar>, Damage> {
    let mut input = Input::new(bytes);
    let count = input.count()?;
    let mut exemplars = Vec::with_capacity(count);
    let mut last = 0i64;
    for _ in 0..count {
        let timestamp_ms = last.wrapping_add(input.zigzag()?);
        last = timestamp_ms;
        let value = f64::from_bits(input.u64()?);
        let label_count = input.count()?;
        let pairs = (0..label_count)
            .map(|_| Ok((input.text()?, input.text()?)))
            .collect::<Result<Vec<_>, Damage>>()?;
        exemplars.push(Exemplar { labels: Labels::from_pairs(pairs), timestamp_ms, value });
    }
    input.end()?;
    Ok(exemplars)
}

/// Writes the series a page of histograms or exemplars belongs to, ascending, from the group's
/// start.
pub(super) fn put_series(series: &[u16], out: &mut Vec<u8>) {
    put_varint(out, series.len() as u64);
    let mut last = 0;
    for &number in series {
        put_varint(out, u64::from(number - last));
        last = number;
    }
}

/// Reads the series of a page.
///
/// # Errors
/// If they are damaged.
pub(super) fn read_series(input: &mut Input<'_>) -> Result<Vec<u16>, Damage> {
    let count = input.count()?;
    let mut last = 0u16;
    (0..count)
        .map(|_| {
            let step = u16::try_from(input.varint()?).ok();
            last = step
                .and_then(|step| last.checked_add(step))
                .ok_or(Damage("a series is unknown"))?;
            Ok(last)
        })
        .collect()
}
