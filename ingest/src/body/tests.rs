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
        Compression::Deflate => flate2::read::ZlibEncoder::new(zeros, level).read_to_end(&mut out),
        Compression::Zstd => {
            zstd::stream::read::Encoder::new(zeros, 1).and_then(|mut e| e.read_to_end(&mut out))
        }
        Compression::Snappy => snap::read::FrameEncoder::new(zeros).read_to_end(&mut out),
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            io::copy(&mut { zeros }, &mut encoder).expect("in memory");
            return encoder.finish().expect("in memory");
        }
        Compression::None => return vec![0; count],
    };
    read.expect("in memory");
    out
}

#[test]
fn what_passes_the_limit_takes_no_memory_and_what_is_large_takes_its_size() {
    let limit = 3 * BUFFER_KEEP_BYTES;
    let limits = Limits { decompressed_bytes_max: limit, ..Limits::default() };
    for compression in [
        Compression::Gzip,
        Compression::Deflate,
        Compression::Zstd,
        Compression::Snappy,
        Compression::Lz4,
    ] {
        let mut buffer = Vec::new();
        let body = zeros(compression, 4 * limit);
        let error = decompress(&body, compression, &limits, &mut buffer).expect_err("large");
        let expected = format!("{}", IngestError::DecompressedTooLarge { got: limit + 1, limit });
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
fn a_large_body_takes_its_size_whatever_length_it_states() {
    let limits = Limits { decompressed_bytes_max: 4 * BUFFER_KEEP_BYTES, ..Limits::default() };
    let count = 2 * BUFFER_KEEP_BYTES + 7;
    let whole = count as u64;
    let all = limits.decompressed_bytes_max as u64;
    for stated in [whole, whole + 1, whole - 1, 0, all + 1].map(Some).into_iter().chain([None]) {
        let open = || Ok(io::repeat(7).take(whole));
        let mut buffer = Vec::new();
        let message = read_limited(("x", stated), open, &limits, &mut buffer).expect("fits");
        assert!(message.len() == count && message.iter().all(|b| *b == 7), "{stated:?}");
        assert!(buffer.capacity() <= count + PIECE_BYTES, "{stated:?}");
    }
    // A body that states less than it holds is over the limit all the same.
    let open = || Ok(io::repeat(7).take(all + 1));
    let mut buffer = Vec::new();
    let error = read_limited(("x", Some(whole)), open, &limits, &mut buffer);
    assert!(matches!(error, Err(IngestError::DecompressedTooLarge { .. })));
    assert_eq!(stated_by_gzip(&zeros(Compression::Gzip, 1000)), Some(1000));
    assert_eq!(lz4::stated(&zeros(Compression::Lz4, 1000)), None, "it was not known");
    let body = zstd::bulk::compress(&[0; 1000], 1).expect("memory");
    assert_eq!(zstd::zstd_safe::get_frame_content_size(&body).ok().flatten(), Some(1000));
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
    for body in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80]] {
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
    assert_eq!(error.to_string(), "body is 51 bytes; limit is 50 (limits.compressed_bytes_max)");
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
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&message).expect("memory");
    for (name, body) in [
        ("gzip", gzip.finish().expect("memory")),
        ("deflate", zlib.finish().expect("memory")),
        ("deflate", raw.finish().expect("memory")),
        ("zstd", zstd::encode_all(&message[..], 1).expect("memory")),
        ("snappy", framed.into_inner().expect("memory")),
        ("snappy", compress_snappy(&message).expect("small")),
        ("lz4", lz4.finish().expect("memory")),
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
