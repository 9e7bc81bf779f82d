//! The envelope of every value in a block: kind, version, packing, body, checksum.
//!
//! The checksum covers the value's section and number too, so a value that lies in the wrong place
//! is damage as well. It is checked at every read, before anything else is looked at.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::encoding::{Damage, Input, put_varint, varint_len};
use crate::error::{AtPlace, Error, Result};

/// Sections of a block: the part of a key that says what a value is.
pub mod section {
    /// Pages of values.
    pub const VALUES: u8 = 1;
    /// The directory: where each series is.
    pub const DIRECTORY: u8 = 2;
    /// Time vectors.
    pub const TIMES: u8 = 3;
    /// Label columns.
    pub const LABELS: u8 = 4;
    /// Posting lists.
    pub const POSTINGS: u8 = 5;
    /// Label names and dictionaries of label values.
    pub const DICTIONARIES: u8 = 6;
    /// Pages of histograms.
    pub const HISTOGRAMS: u8 = 7;
    /// Exemplars.
    pub const EXEMPLARS: u8 = 8;
    /// Pages of log entries.
    pub const LOG_PAGES: u8 = 9;
    /// Rows of grams of log lines.
    pub const GRAMS: u8 = 10;
    /// The manifest.
    pub const MANIFEST: u8 = 11;
}

/// Version of every kind of value.
const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZIPPED: u8 = 1;
const ZSTD_LEVEL: i32 = 1;
/// Longest body after unzipping.
pub const BODY_BYTES_MAX: usize = 1 << 30;
const CHECKSUM_BYTES: usize = 4;

/// Whether a body is zipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zip {
    /// If that saves a twentieth or more.
    IfSmaller,
    /// Never.
    No,
}

/// The stored form of a body.
///
/// # Errors
/// If it is over the limit of a value.
pub fn seal(section: u8, number: u32, body: &[u8], zip: Zip) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() / 2 + 16);
    out.extend_from_slice(&[section, VERSION]);
    put_packed(body, zip, &mut out)?;
    let checksum = checksum(section, number, &out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

/// The body of a stored value.
///
/// # Errors
/// If the checksum is wrong, or the version is not known.
pub fn open(section: u8, number: u32, bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    let place = || format!("value {section}/{number}");
    let Some((sealed, stored)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(Error::corrupt(place(), format!("it has only {} bytes", bytes.len())));
    };
    let (expected, found) = (u32::from_le_bytes(*stored), checksum(section, number, sealed));
    if expected != found {
        let detail = format!("checksum {expected:08x} expected, {found:08x} found");
        return Err(Error::corrupt(place(), detail));
    }
    let mut input = Input::new(sealed);
    let header = input.array::<2>().at(place)?;
    if header != [section, VERSION] {
        return Err(Error::corrupt(place(), format!("its kind and version are {header:?}")));
    }
    read_packed(input).at(place)
}

fn checksum(section: u8, number: u32, sealed: &[u8]) -> u32 {
    let [a, b, c, d] = number.to_le_bytes();
    crc32c::crc32c_append(crc32c::crc32c(&[section, a, b, c, d]), sealed)
}

/// Appends a body, zipped if that is asked for and pays.
///
/// # Errors
/// If it is over the limit of a value.
pub fn put_packed(body: &[u8], zip: Zip, out: &mut Vec<u8>) -> Result<()> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Error::Limit(format!(
            "a value of a block has {} bytes; limit is {BODY_BYTES_MAX}",
            body.len()
        )));
    }
    if zip == Zip::IfSmaller
        && let Some(zipped) = compress(body)
        && (zipped.len() + varint_len(body.len() as u64)) * 20 <= body.len() * 19
    {
        out.push(ZIPPED);
        put_varint(out, body.len() as u64);
        out.extend_from_slice(&zipped);
    } else {
        out.push(PLAIN);
        out.extend_from_slice(body);
    }
    Ok(())
}

/// The body [`put_packed`] wrote, which takes all of `input`.
///
/// # Errors
/// If it cannot be unzipped.
pub fn read_packed(mut input: Input<'_>) -> Result<Cow<'_, [u8]>, Damage> {
    match input.u8()? {
        PLAIN => Ok(Cow::Borrowed(input.rest())),
        ZIPPED => {
            let len = input.count_up_to(BODY_BYTES_MAX)?;
            let body = decompress(input.rest(), len).ok_or(Damage("it cannot be unzipped"))?;
            if body.len() == len { Ok(Cow::Owned(body)) } else { Err(Damage("ends early")) }
        }
        _ => Err(Damage("its packing is not known")),
    }
}

thread_local! {
    /// Contexts of zstd are costly to make and hold some hundred kilobytes.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

fn compress(body: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut()?.compress(body).ok()
    })
}

fn decompress(zipped: &[u8], len: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        slot.as_mut()?.decompress(zipped, len).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_zipped_or_not() {
        let random: Vec<u8> =
            (0..999u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for body in [&b""[..], b"short", &[7; 5000], &random] {
            for zip in [Zip::IfSmaller, Zip::No] {
                let sealed = seal(3, 9, body, zip).expect("it is small");
                assert_eq!(&*open(3, 9, &sealed).expect("it is whole"), body);
            }
        }
        assert!(seal(3, 9, &[7; 5000], Zip::IfSmaller).expect("it is small").len() < 100);
    }

    #[test]
    fn every_flipped_bit_cut_and_move_is_damage() {
        let sealed = seal(3, 9, &[7; 300], Zip::IfSmaller).expect("it is small");
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(3, 9, &flipped).is_err(), "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert!(open(3, 9, &sealed[..end]).is_err(), "cut at {end}");
        }
        assert!(open(3, 8, &sealed).is_err());
        assert!(open(4, 9, &sealed).is_err());
    }
}
