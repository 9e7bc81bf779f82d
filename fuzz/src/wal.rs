//! Records of the WAL.

#[path = "../../storage/src/wal/record.rs"]
pub(crate) mod record;

use record::{FRAME_BYTES, FrameHead, Header, Record};

/// Reads `bytes` as a header, as a frame and as a payload. What can be read is written again: the
/// same bytes come of it.
pub fn any_record(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(Some(&header.encode()[..]), bytes.get(..header.encode().len()));
    }
    let marker = 77;
    if let Some((head, payload)) = bytes.split_first_chunk::<FRAME_BYTES>()
        && let Some(head) = FrameHead::decode(*head, marker)
        && let Some(payload) = payload.get(..head.length)
        && head.matches(payload)
    {
        let _ = Record::decode(payload);
    }
    let Ok(record) = Record::decode(bytes) else { return };
    let mut written = Vec::new();
    record.put(&record.frame(marker), &mut written);
    assert_eq!(&written[FRAME_BYTES..], bytes, "it is written otherwise than it was read");
    let (head, payload) = written.split_first_chunk::<FRAME_BYTES>().expect("it has a frame");
    let head = FrameHead::decode(*head, marker).expect("it is a frame");
    assert!(head.matches(payload) && head.length == payload.len());
    let last = record.verdicts.0.len() * 8;
    let _ = (record.verdicts.refused(last), record.verdicts.refused(usize::MAX));
}
