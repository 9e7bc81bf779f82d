//! Bodies of requests: their limits, and decompression into a buffer the caller keeps.

use std::io::{self, Read};

use crate::error::IngestError;

mod lz4;

/// A copy of 64 bytes takes 3 bytes of snappy, and nothing yields more per byte.
const SNAPPY_RATIO_MAX: usize = 22;

/// A buffer that grew beyond this for one large body is given back at the next ordinary one.
const BUFFER_KEEP_BYTES: usize = 4 << 20;

/// Bytes of a piece of a body whose length is not known.
const PIECE_BYTES: usize = 1 << 20;

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
    /// LZ4, in a frame.
    Lz4,
}

impl Compression {
    /// The names of all, for those who sent another one.
    pub const NAMES: &str = "gzip, deflate, zstd, snappy and lz4";

    /// The one with this name in `Content-Encoding`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Self::None,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" | "zlib" => Self::Deflate,
            "zstd" => Self::Zstd,
            "snappy" | "x-snappy-framed" => Self::Snappy,
            "lz4" => Self::Lz4,
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
            read_limited(("snappy", None), open, limits, buffer)
        }
        Compression::Gzip => {
            let open = || Ok(flate2::read::MultiGzDecoder::new(body));
            read_limited(("gzip", stated_by_gzip(body)), open, limits, buffer)
        }
        Compression::Deflate if is_zlib(body) => {
            let open = || Ok(flate2::read::ZlibDecoder::new(body));
            read_limited(("deflate", None), open, limits, buffer)
        }
        Compression::Deflate => {
            let open = || Ok(flate2::read::DeflateDecoder::new(body));
            read_limited(("deflate", None), open, limits, buffer)
        }
        Compression::Zstd => {
            let open = || {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            };
            let stated = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
            read_limited(("zstd", stated), open, limits, buffer)
        }
        Compression::Lz4 => {
            read_limited(("lz4", lz4::stated(body)), || lz4::reader(body), limits, buffer)
        }
    }
}

fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [a, b, ..] if a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0)
}

/// The length of the content that the end of a gzip body states: of its last member, in 32 bits.
fn stated_by_gzip(body: &[u8]) -> Option<u64> {
    body.last_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
}

/// Reads what `open` gives. A body of more than [`BUFFER_KEEP_BYTES`] that states its length is read
/// into as much; one that does not, or is longer, into pieces that are put together once all of them
/// are there, each given back as it is copied. A buffer that grew as it is filled would be there
/// twice each time it moves.
fn read_limited<'a, R: Read>(
    (name, stated): (&'static str, Option<u64>),
    open: impl FnOnce() -> io::Result<R>,
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
    if buffer.len() < BUFFER_KEEP_BYTES {
        return check_decompressed(buffer, limits);
    }
    let stated = stated.and_then(|bytes| usize::try_from(bytes).ok());
    if let Some(more) = stated.filter(|all| *all <= limit).map(|all| all - all.min(buffer.len())) {
        buffer.reserve_exact(more);
        reader.by_ref().take(more as u64).read_to_end(buffer).map_err(bad)?;
    }
    let pieces = read_pieces(&mut reader).map_err(bad)?;
    let got = pieces.iter().fold(buffer.len(), |sum, piece| sum + piece.len());
    if got > limit {
        return Err(IngestError::DecompressedTooLarge { got, limit });
    }
    buffer.reserve_exact(got - buffer.len());
    pieces.into_iter().for_each(|piece| buffer.extend_from_slice(&piece));
    check_decompressed(buffer, limits)
}

/// All that is left, in pieces of [`PIECE_BYTES`].
fn read_pieces(reader: &mut impl Read) -> io::Result<Vec<Vec<u8>>> {
    let mut pieces = Vec::new();
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(pieces);
        }
        pieces.push(piece);
    }
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
mod tests;
