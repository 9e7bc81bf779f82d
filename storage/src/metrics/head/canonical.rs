//! Label sets as bytes that say the same for each set.
//!
//! They are what remote write sends for labels in order, so that for most senders the hash of what
//! came is the hash of the set. Nothing but memory depends on that.

/// Before each label.
const LABEL: u8 = 0x0a;
/// Before the name of a label.
const NAME: u8 = 0x0a;
/// Before its value.
const VALUE: u8 = 0x12;

/// Puts the bytes of a label set, sorted by name, into `out`, in place of what it has.
pub(super) fn encode(labels: &[(&str, &str)], out: &mut Vec<u8>) {
    out.clear();
    for (name, value) in labels {
        out.push(LABEL);
        put_length(out, 2 + length_bytes(name) + length_bytes(value) + name.len() + value.len());
        for (tag, text) in [(NAME, name), (VALUE, value)] {
            out.push(tag);
            put_length(out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    crate::encoding::put_varint(out, length as u64);
}

const fn length_bytes(text: &str) -> usize {
    let bits = usize::BITS - text.len().leading_zeros();
    if bits == 0 { 1 } else { bits.div_ceil(7) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_remote_write() {
        let mut bytes = vec![1, 2, 3];
        encode(&[("__name__", "up"), ("a", "")], &mut bytes);
        assert_eq!(bytes, b"\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x05\x0a\x01a\x12\x00");
        for length in [127, 128, 16_383, 16_384] {
            let value = "v".repeat(length);
            encode(&[("n", &value)], &mut bytes);
            let inner = if length < 128 {
                1
            } else if length < 16_384 {
                2
            } else {
                3
            };
            let body = 2 + 1 + 1 + inner + length;
            let outer = if body < 128 {
                1
            } else if body < 16_384 {
                2
            } else {
                3
            };
            assert_eq!(bytes.len(), 1 + outer + body, "{length}");
        }
    }
}
