//! The XOR chunk of Prometheus' storage (`tsdb/docs/format/chunks.md`): times as differences of
//! differences, values as XOR with the one before, bit by bit.

/// Widths of a difference of differences, each with the bits that announce it.
const WIDTHS: [(u64, u32, u32); 3] = [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)];
/// Leading zeros are told in five bits.
const LEADING_MAX: u32 = 31;

/// Bits, the highest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
}

impl Bits {
    /// Appends the low `count` bits of `value`, the highest first.
    fn push(&mut self, value: u64, count: u32) {
        for place in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (((value >> place) & 1) as u8) << self.free;
            }
        }
    }
}

/// The bits of a value that differed last time: zeros before and behind them.
#[derive(Clone, Copy)]
struct Window {
    leading: u32,
    trailing: u32,
}

/// Encodes samples as one chunk. At most 65,535 of them.
pub(crate) fn encode(timestamps: &[i64], values: &[f64]) -> Vec<u8> {
    let count = timestamps.len().min(values.len()).min(usize::from(u16::MAX));
    let mut bits = Bits::default();
    bits.push(count as u64, 16);
    let (mut delta, mut window) = (0_i64, None);
    for i in 0..count {
        let bits_of = |i: usize| values[i].to_bits();
        match i {
            0 => {
                let at = timestamps[0];
                push_varint(&mut bits, ((at << 1) ^ (at >> 63)).cast_unsigned());
                bits.push(bits_of(0), 64);
            }
            1 => {
                delta = timestamps[1].wrapping_sub(timestamps[0]);
                push_varint(&mut bits, delta.cast_unsigned());
                window = push_value(&mut bits, bits_of(0) ^ bits_of(1), window);
            }
            _ => {
                let next = timestamps[i].wrapping_sub(timestamps[i - 1]);
                push_change(&mut bits, next.wrapping_sub(delta));
                delta = next;
                window = push_value(&mut bits, bits_of(i - 1) ^ bits_of(i), window);
            }
        }
    }
    bits.bytes
}

fn push_varint(bits: &mut Bits, value: u64) {
    let mut bytes = Vec::new();
    super::put_varint(&mut bytes, value);
    for byte in bytes {
        bits.push(u64::from(byte), 8);
    }
}

/// A change of the interval.
fn push_change(bits: &mut Bits, change: i64) {
    if change == 0 {
        return bits.push(0, 1);
    }
    for (prefix, prefix_bits, width) in WIDTHS {
        let half = 1_i64 << (width - 1);
        if (1 - half..=half).contains(&change) {
            bits.push(prefix, prefix_bits);
            return bits.push(change.cast_unsigned(), width);
        }
    }
    bits.push(0b1111, 4);
    bits.push(change.cast_unsigned(), 64);
}

fn push_value(bits: &mut Bits, xor: u64, window: Option<Window>) -> Option<Window> {
    if xor == 0 {
        bits.push(0, 1);
        return window;
    }
    bits.push(1, 1);
    let leading = xor.leading_zeros().min(LEADING_MAX);
    let trailing = xor.trailing_zeros();
    if let Some(last) = window.filter(|w| leading >= w.leading && trailing >= w.trailing) {
        bits.push(0, 1);
        bits.push(xor >> last.trailing, 64 - last.leading - last.trailing);
        return window;
    }
    let width = 64 - leading - trailing;
    bits.push(1, 1);
    bits.push(u64::from(leading), 5);
    // 64 does not fit into six bits and is written as 0, which does not occur otherwise.
    bits.push(u64::from(width & 63), 6);
    bits.push(xor >> trailing, width);
    Some(Window { leading, trailing })
}
