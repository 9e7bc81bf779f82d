//! Bodies in LZ4's frame format. Its blocks are left to `lz4_flex`, which takes a frame that is cut
//! off between two blocks for a whole one; so the frame is walked through first. It also takes a
//! block of no content for the end; so it is read until nothing of the frame is left.

use std::io::{self, Read};

use lz4_flex::frame::FrameDecoder;

/// How a frame begins.
const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// Flags in the byte after it.
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
/// The bit of a block's size that says it is stored as it is.
const STORED: u32 = 1 << 31;

/// Reads the content of a body that is one whole frame. The decoder holds up to three blocks,
/// which have 4 MiB at most.
///
/// # Errors
/// If it is not.
pub(super) fn reader(body: &[u8]) -> io::Result<impl Read> {
    check(body).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?;
    Ok(Whole(FrameDecoder::new(body)))
}

/// Reads on behind blocks of no content, to the end of the frame.
struct Whole<'a>(FrameDecoder<&'a [u8]>);

impl Read for Whole<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.0.get_ref().len();
            let got = self.0.read(out)?;
            if got > 0 || out.is_empty() || self.0.get_ref().is_empty() {
                return Ok(got);
            }
            if self.0.get_ref().len() == left {
                let text = format!("{left} bytes of the frame are left at its end");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

/// The length of the content that the head of a frame states, if it does.
pub(super) fn stated(body: &[u8]) -> Option<u64> {
    let [flags, _, size @ ..] = body.strip_prefix(&MAGIC)?.first_chunk::<10>()?;
    (flags & CONTENT_SIZE != 0).then(|| u64::from_le_bytes(*size))
}

/// Walks over the blocks of a frame to its end, which must be that of the body.
fn check(body: &[u8]) -> Result<(), &'static str> {
    let cut = "the frame is cut off";
    let rest = body.strip_prefix(&MAGIC).ok_or("it does not begin with a frame of LZ4")?;
    let (flags, rest) = rest.split_first().ok_or(cut)?;
    let bytes_if = |flag: u8, bytes: usize| if flags & flag == 0 { 0 } else { bytes };
    // The largest size of blocks, and a checksum of the header.
    let header_bytes = 2 + bytes_if(CONTENT_SIZE, 8) + bytes_if(DICTIONARY, 4);
    let mut rest = rest.get(header_bytes..).ok_or(cut)?;
    loop {
        let (size, blocks) = rest.split_first_chunk::<4>().ok_or(cut)?;
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            rest = blocks;
            break;
        }
        let bytes = usize::try_from(size & !STORED).map_err(|_| cut)?;
        let bytes = bytes.saturating_add(bytes_if(BLOCK_CHECKSUMS, 4));
        rest = blocks.get(bytes..).ok_or(cut)?;
    }
    let end_bytes = bytes_if(CONTENT_CHECKSUM, 4);
    if rest.len() < end_bytes {
        return Err(cut);
    }
    if rest.len() > end_bytes {
        return Err("bytes follow the frame");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use proptest::prelude::*;

    use super::*;

    fn decode(body: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        reader(body)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn encode(message: &[u8], info: FrameInfo) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(message).expect("memory");
        encoder.finish().expect("memory")
    }

    fn infos() -> impl Strategy<Value = FrameInfo> {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(linked, blocks, content)| {
            FrameInfo::new()
                .block_size(BlockSize::Max64KB)
                .block_mode(if linked { BlockMode::Linked } else { BlockMode::Independent })
                .block_checksums(blocks)
                .content_checksum(content)
        })
    }

    #[test]
    fn a_known_frame_is_read() {
        // What `lz4` makes of it: one stored block, with a checksum of the content.
        let body = b"\x04\x22\x4d\x18\x64\x40\xa7\x06\x00\x00\x80hello\n\0\0\0\0\xf9\x5b\x6b\x94";
        assert_eq!(decode(body).expect("whole"), b"hello\n");
    }

    /// A frame of these blocks, each stored as it is.
    fn stored(blocks: &[&[u8]]) -> Vec<u8> {
        let mut body = b"\x04\x22\x4d\x18\x60\x40\x82".to_vec();
        for block in blocks {
            let bytes = u32::try_from(block.len()).expect("small");
            body.extend_from_slice(&(bytes | STORED).to_le_bytes());
            body.extend_from_slice(block);
        }
        body.extend_from_slice(&[0; 4]);
        body
    }

    #[test]
    fn a_block_of_no_content_is_not_the_end() {
        assert_eq!(decode(&stored(&[b"one", b"two"])).expect("whole"), b"onetwo");
        assert_eq!(decode(&stored(&[b"one", b"", b"", b"two"])).expect("whole"), b"onetwo");
        assert_eq!(decode(&stored(&[b"", b"one", b""])).expect("whole"), b"one");
        assert_eq!(decode(&stored(&[b""])).expect("whole"), b"");
        // A compressed block of no content: one token of no literals.
        let mut body = stored(&[b"one"]);
        body.truncate(body.len() - 4);
        body.extend_from_slice(b"\x01\0\0\0\0\x03\0\0\x80two\0\0\0\0");
        assert_eq!(decode(&body).expect("whole"), b"onetwo");
    }

    #[test]
    fn what_is_no_whole_frame_is_refused() {
        let body = encode(&[7; 200_000], FrameInfo::new().block_size(BlockSize::Max64KB));
        assert_eq!(decode(&body).ok(), Some(vec![7; 200_000]));
        assert_eq!(stated(&body), None);
        let sized = encode(&[7; 9], FrameInfo::new().content_size(Some(9)));
        assert_eq!((stated(&sized), decode(&sized).ok()), (Some(9), Some(vec![7; 9])));
        for end in 0..body.len() {
            assert!(decode(&body[..end]).is_err(), "cut at {end}");
        }
        let more = [&body[..], b"x"].concat();
        let error = decode(&more).expect_err("it is too long");
        assert_eq!(error.to_string(), "bytes follow the frame");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            parts in prop::collection::vec((any::<u8>(), 1_usize..40_000), 0..12),
            info in infos(),
        ) {
            let message: Vec<u8> =
                parts.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect();
            prop_assert_eq!(decode(&encode(&message, info)).expect("whole"), message);
        }

        #[test]
        fn damage_ends_in_an_error_or_in_what_fits(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            info in infos(),
        ) {
            let mut body = encode(b"hello hello hello hello", info);
            let at = at.index(body.len());
            body[at] = byte;
            if let Ok(message) = decode(&body) {
                prop_assert!(message.len() <= 8 << 20);
            }
        }
    }
}
