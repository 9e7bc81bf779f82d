//! Bodies of requests: their limits, and decompression into a buffer the caller keeps.

use std::io::{self, Read};

use crate::error::IngestError;

/// A copy of 64 bytes takes 3 bytes of snappy, and nothing yields more per byte.
const SNAPPY_RATIO_MAX: usize = 22;

/// A buffer that grew beyond this for one large body is given back at the next ordinary one.
const BUFFER_KEEP_BYTES: usize = 4 << 20;

/// The window a zstd frame may ask for, as a power of two: 8 MiB, what senders use at most.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a stream of framed snappy begins.
const SNAPPY_STREAM_START: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// What one request may cost before its content is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body as received.
    pub compressed_bytes_max: usize,
    /// Bytes of a body after decompression.
    pub decompressed_bytes_max: usize,
    /// Bytes of memory that series, samples and all else of one decoded request may take.
    pub batch_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes_max: 32 << 20,
            decompressed_bytes_max: 32 << 20,
            batch_bytes_max: 128 << 20,
        }
    }
}

impl Limits {
    /// For bodies that passed the limits of their time already: those in the WAL.
    pub const REPLAY: Self = Self {
        compressed_bytes_max: usize::MAX,
        decompressed_bytes_max: u32::MAX as usize,
        batch_bytes_max: usize::MAX,
    };
}

/// Checks the size of a body as received. Called before anything is read from it.
///
/// # Errors
/// If it is empty or too large.
pub fn check_size(body: &[u8], limits: &Limits) -> Result<(), IngestError> {
    if body.is_empty() {
        return Err(IngestError::EmptyBody);
    }
    if body.len() > limits.compressed_bytes_max {
        return Err(IngestError::CompressedTooLarge {
            got: body.len(),
            limit: limits.compressed_bytes_max,
        });
    }
    Ok(())
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// zlib, or deflate without its frame.
    Deflate,
    /// Zstandard.
    Zstd,
    /// A snappy block, or framed snappy.
    Snappy,
}

impl Compression {
    /// The names of all, for those who sent another one.
    pub const NAMES: &str = "gzip, deflate, zstd and snappy";

    /// The one with this name in `Content-Encoding`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Self::None,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" | "zlib" => Self::Deflate,
            "zstd" => Self::Zstd,
            "snappy" | "x-snappy-framed" => Self::Snappy,
            _ => return None,
        })
    }
}

/// Decompresses a body into `buffer` and returns what was filled, or the body itself if it is not
/// compressed. No more is decompressed than `limits.decompressed_bytes_max` and a little.
///
/// # Errors
/// If the body is too large, before or after, or is not what `compression` says.
pub fn decompress<'a>(
    body: &'a [u8],
    compression: Compression,
    limits: &Limits,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], IngestError> {
    if body.is_empty() {
        return Ok(body);
    }
    check_size(body, limits)?;
    match compression {
        Compression::None => check_decompressed(body, limits),
        Compression::Snappy if !body.starts_with(SNAPPY_STREAM_START) => {
            decompress_snappy(body, limits, buffer)
        }
        Compression::Snappy => {
            let open = || Ok(snap::read::FrameDecoder::new(body));
            read_limited("snappy", open, limits, buffer)
        }
        Compression::Gzip => {
            let open = || Ok(flate2::read::MultiGzDecoder::new(body));
            read_limited("gzip", open, limits, buffer)
        }
        Compression::Deflate if is_zlib(body) => {
            let open = || Ok(flate2::read::ZlibDecoder::new(body));
            read_limited("deflate", open, limits, buffer)
        }
        Compression::Deflate => {
            let open = || Ok(flate2::read::DeflateDecoder::new(body));
            read_limited("deflate", open, limits, buffer)
        }
        Compression::Zstd => {
            let open = || {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            };
            read_limited("zstd", open, limits, buffer)
        }
    }
}

fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [a, b, ..] if a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0)
}

/// Reads what `open` gives. A body of more than [`BUFFER_KEEP_BYTES`] is first read for its length
/// alone, so that one over the limit takes no memory and another exactly what it needs; a buffer
/// that grew as it is filled would be there twice each time it moves.
fn read_limited<'a, R: Read>(
    name: &'static str,
    open: impl Fn() -> io::Result<R>,
    limits: &Limits,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], IngestError> {
    let bad = |cause: io::Error| IngestError::BadCompression { name, cause: cause.to_string() };
    buffer.clear();
    buffer.shrink_to(BUFFER_KEEP_BYTES);
    // Pages that are not written to cost nothing; smaller buffers on the way there would.
    buffer.reserve_exact(BUFFER_KEEP_BYTES);
    let limit = limits.decompressed_bytes_max;
    let mut reader = open().map_err(bad)?.take((limit as u64).saturating_add(1));
    reader.by_ref().take(BUFFER_KEEP_BYTES as u64).read_to_end(buffer).map_err(bad)?;
    if buffer.len() == BUFFER_KEEP_BYTES {
        let rest = io::copy(&mut reader, &mut io::sink()).map_err(bad)?;
        let got = usize::try_from(rest).unwrap_or(usize::MAX).saturating_add(BUFFER_KEEP_BYTES);
        if got > limit {
            return Err(IngestError::DecompressedTooLarge { got, limit });
        }
        buffer.clear();
        buffer.reserve_exact(got);
        open().map_err(bad)?.take(got as u64).read_to_end(buffer).map_err(bad)?;
    }
    check_decompressed(buffer, limits)
}

fn check_decompressed<'a>(message: &'a [u8], limits: &Limits) -> Result<&'a [u8], IngestError> {
    if message.len() > limits.decompressed_bytes_max {
        return Err(IngestError::DecompressedTooLarge {
            got: message.len(),
            limit: limits.decompressed_bytes_max,
        });
    }
    Ok(message)
}

/// Decompresses a snappy block into `buffer` and returns the part of it that was filled.
/// The declared length is checked before any memory is taken; `buffer` is kept between calls so
/// that its memory is used again.
///
/// # Errors
/// If the body is empty, passes a limit or is not a snappy block.
pub fn decompress_snappy<'a>(
    body: &[u8],
    limits: &Limits,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], IngestError> {
    check_size(body, limits)?;
    let bad = |e: snap::Error| IngestError::BadSnappy(e.to_string());
    let declared = snap::raw::decompress_len(body).map_err(bad)?;
    if declared > body.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(IngestError::BadSnappy(format!(
            "{declared} bytes declared, more than {} bytes can hold",
            body.len()
        )));
    }
    if declared > limits.decompressed_bytes_max {
        return Err(IngestError::DecompressedTooLarge {
            got: declared,
            limit: limits.decompressed_bytes_max,
        });
    }
    if buffer.len() > BUFFER_KEEP_BYTES && declared <= BUFFER_KEEP_BYTES {
        buffer.truncate(BUFFER_KEEP_BYTES);
        buffer.shrink_to_fit();
    }
    if buffer.len() < declared {
        buffer.resize(declared, 0);
    }
    let filled = snap::raw::Decoder::new().decompress(body, buffer).map_err(bad)?;
    Ok(&buffer[..filled])
}

/// Compresses `message` as a snappy block, as senders of remote write do.
///
/// # Errors
/// If the message is 4 GiB or larger, which the format cannot express.
pub fn compress_snappy(message: &[u8]) -> Result<Vec<u8>, IngestError> {
    snap::raw::Encoder::new()
        .compress_vec(message)
        .map_err(|e| IngestError::BadSnappy(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refuse(body: &[u8], limits: &Limits) -> IngestError {
        let mut buffer = Vec::new();
        let error = decompress_snappy(body, limits, &mut buffer).expect_err("must be refused");
        assert_eq!(buffer.capacity(), 0, "memory was taken before the check");
        error
    }

    /// Zeros, compressed.
    fn zeros(compression: Compression, count: usize) -> Vec<u8> {
        let zeros = io::repeat(0).take(count as u64);
        let (mut out, level) = (Vec::new(), flate2::Compression::fast());
        let read = match compression {
            Compression::Gzip => flate2::read::GzEncoder::new(zeros, level).read_to_end(&mut out),
            Compression::Deflate => {
                flate2::read::ZlibEncoder::new(zeros, level).read_to_end(&mut out)
            }
            Compression::Zstd => {
                zstd::stream::read::Encoder::new(zeros, 1).and_then(|mut e| e.read_to_end(&mut out))
            }
            Compression::Snappy => snap::read::FrameEncoder::new(zeros).read_to_end(&mut out),
            Compression::None => return vec![0; count],
        };
        read.expect("in memory");
        out
    }

    #[test]
    fn what_passes_the_limit_takes_no_memory_and_what_is_large_takes_its_size() {
        let limit = 3 * BUFFER_KEEP_BYTES;
        let limits = Limits { decompressed_bytes_max: limit, ..Limits::default() };
        for compression in
            [Compression::Gzip, Compression::Deflate, Compression::Zstd, Compression::Snappy]
        {
            let mut buffer = Vec::new();
            let body = zeros(compression, 4 * limit);
            let error = decompress(&body, compression, &limits, &mut buffer).expect_err("large");
            let expected =
                format!("{}", IngestError::DecompressedTooLarge { got: limit + 1, limit });
            assert_eq!(error.to_string(), expected, "{compression:?}");
            assert!(buffer.capacity() <= 2 * BUFFER_KEEP_BYTES, "{compression:?}");
            for count in [BUFFER_KEEP_BYTES - 1, BUFFER_KEEP_BYTES, BUFFER_KEEP_BYTES + 1, limit] {
                let body = zeros(compression, count);
                let message = decompress(&body, compression, &limits, &mut buffer).expect("fits");
                assert!(message.len() == count && message.iter().all(|b| *b == 0));
            }
            assert_eq!(buffer.capacity(), limit, "{compression:?}");
        }
    }

    #[test]
    fn a_block_comes_back_and_the_buffer_is_used_again() {
        let mut buffer = Vec::new();
        for message in [&b"hello hello hello"[..], b"", b"hi", &[7; 100_000]] {
            let body = compress_snappy(message).expect("small");
            let got = decompress_snappy(&body, &Limits::default(), &mut buffer);
            assert_eq!(got.expect("valid block"), message);
        }
        assert_eq!(buffer.len(), 100_000);
    }

    #[test]
    fn a_buffer_grown_for_a_large_body_is_given_back() {
        let mut buffer = Vec::new();
        for (size, kept) in [(9 << 20, 9 << 20), (10, BUFFER_KEEP_BYTES)] {
            let body = compress_snappy(&vec![1; size]).expect("small");
            decompress_snappy(&body, &Limits::default(), &mut buffer).expect("valid block");
            assert_eq!(buffer.capacity(), kept);
        }
    }

    #[test]
    fn an_empty_body_is_an_error() {
        assert_eq!(refuse(b"", &Limits::default()).to_string(), "body is empty");
    }

    #[test]
    fn a_declared_length_the_input_cannot_hold_is_corrupt() {
        for body in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80]]
        {
            let error = refuse(body, &Limits::default());
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
        let error = refuse(&[0x80, 0x01, 0, 0], &Limits::default());
        assert_eq!(
            error.to_string(),
            "body is not valid snappy: 128 bytes declared, more than 4 bytes can hold"
        );
    }

    #[test]
    fn limits_name_themselves() {
        let limits =
            Limits { compressed_bytes_max: 50, decompressed_bytes_max: 100, ..Limits::default() };
        let body = compress_snappy(&[7; 101]).expect("small");
        let error = refuse(&body, &limits);
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(
            error.to_string(),
            "decompressed body is 101 bytes; limit is 100 (limits.decompressed_bytes_max)"
        );
        let error = refuse(&[0; 51], &limits);
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(
            error.to_string(),
            "body is 51 bytes; limit is 50 (limits.compressed_bytes_max)"
        );
    }

    #[test]
    fn every_compression_comes_back_and_has_its_limit() {
        use std::io::Write as _;
        let message = vec![7_u8; 100_000];
        let level = flate2::Compression::fast();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        gzip.write_all(&message).expect("memory");
        zlib.write_all(&message).expect("memory");
        raw.write_all(&message).expect("memory");
        framed.write_all(&message).expect("memory");
        for (name, body) in [
            ("gzip", gzip.finish().expect("memory")),
            ("deflate", zlib.finish().expect("memory")),
            ("deflate", raw.finish().expect("memory")),
            ("zstd", zstd::encode_all(&message[..], 1).expect("memory")),
            ("snappy", framed.into_inner().expect("memory")),
            ("snappy", compress_snappy(&message).expect("small")),
            ("", message.clone()),
        ] {
            let compression = Compression::from_name(name).expect("known");
            let mut buffer = Vec::new();
            let got = decompress(&body, compression, &Limits::default(), &mut buffer);
            assert_eq!(got.expect("valid"), message, "{name}");
            let limits = Limits { decompressed_bytes_max: 99_999, ..Limits::default() };
            let got = decompress(&body, compression, &limits, &mut buffer);
            let error = got.expect_err("one byte too many");
            assert_eq!(error.kind(), ErrorKind::Limit, "{name}: {error}");
            if !name.is_empty() {
                let got = decompress(&[0x17; 20], compression, &limits, &mut buffer);
                assert_eq!(got.expect_err("garbage").kind(), ErrorKind::Invalid, "{name}");
            }
        }
        assert_eq!(Compression::from_name("br"), None);
        assert_eq!(Compression::from_name("gzip, gzip"), None);
    }

    #[test]
    fn a_damaged_block_is_an_error() {
        let body = compress_snappy(&[7; 1000]).expect("small");
        for cut in 1..body.len() {
            let mut buffer = Vec::new();
            let got = decompress_snappy(&body[..cut], &Limits::default(), &mut buffer);
            assert!(matches!(got, Err(IngestError::BadSnappy(_))), "cut at {cut}: {got:?}");
        }
    }
}
