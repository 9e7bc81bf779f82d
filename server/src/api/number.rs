//! Numbers as the Prometheus API writes them: sample values in shortest round-trip decimal,
//! timestamps in seconds with three decimals where they are needed.

use std::io::Write as _;

/// Integers up to here have a float of their own each.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends a sample value without quotes: fixed notation for 1e-6 ≤ |value| < 1e21, otherwise with
/// an exponent of a sign and at least two digits; `NaN`, `+Inf`, `-Inf`.
pub fn write_value(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-6..1e21).contains(&magnitude) {
        write_exponent(out, value);
    } else {
        write_fixed(out, value);
    }
}

/// Appends a value in fixed notation whatever its size, as scalars have it.
pub fn write_fixed(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.fract() == 0.0 && value.abs() < EXACT_INTEGER_MAX {
        write_integer(out, value);
    } else {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        if text.contains('e') {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{value}");
        } else {
            out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the caller made sure that it is an integer")]
fn write_integer(out: &mut Vec<u8>, value: f64) {
    if value < 0.0 {
        out.push(b'-');
    }
    write_unsigned(out, (value.abs() as i64).unsigned_abs());
}

/// Appends `number` in decimal.
pub fn write_unsigned(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        // A remainder of 10 fits in a byte.
        digits[first] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

fn write_exponent(out: &mut Vec<u8>, value: f64) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// Appends a time in seconds: the integer part and, only if they are not zero, three decimals.
pub fn write_timestamp(out: &mut Vec<u8>, timestamp_ms: i64) {
    if timestamp_ms < 0 {
        out.push(b'-');
    }
    let magnitude = timestamp_ms.unsigned_abs();
    write_unsigned(out, magnitude / 1000);
    let fraction = magnitude % 1000;
    if fraction != 0 {
        let _ = write!(out, ".{fraction:03}");
    }
}

/// Appends a time in seconds as a plain JSON number, as scalar and string results have it.
#[expect(clippy::cast_precision_loss, reason = "the API defines this time as a float")]
pub fn write_plain_seconds(out: &mut Vec<u8>, timestamp_ms: i64) {
    write_fixed(out, timestamp_ms as f64 / 1000.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: f64) -> String {
        text(|out| write_value(out, value))
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("only ASCII is written")
    }

    #[test]
    fn values_follow_the_api() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (1.2345678e-67, "1.2345678e-67"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (5e-324, "5e-324"),
            (0.000_012_3, "0.0000123"),
            (std::f64::consts::PI, "3.141592653589793"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (EXACT_INTEGER_MAX, "9007199254740992"),
        ];
        for (number, expected) in cases {
            assert_eq!(value(number), expected);
        }
    }

    #[test]
    fn every_value_reads_back_bit_for_bit() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let number = f64::from_bits(state);
            if number.is_finite() {
                for written in [value(number), text(|out| write_fixed(out, number))] {
                    let back: f64 = written.parse().expect("a number was written");
                    assert_eq!(back.to_bits(), number.to_bits(), "{written}");
                }
            }
        }
    }

    #[test]
    fn scalars_have_no_exponent() {
        assert_eq!(text(|out| write_fixed(out, 1e21)), "1000000000000000000000");
        assert_eq!(text(|out| write_fixed(out, 1e-7)), "0.0000001");
    }

    #[test]
    fn timestamps_have_three_decimals_or_none() {
        let cases =
            [(0, "0"), (1000, "1"), (1, "0.001"), (10, "0.010"), (1100, "1.100"), (-1, "-0.001")];
        for (ms, expected) in cases {
            assert_eq!(text(|out| write_timestamp(out, ms)), expected);
        }
        assert_eq!(text(|out| write_timestamp(out, i64::MIN)), "-9223372036854775.808");
        assert_eq!(text(|out| write_plain_seconds(out, 1100)), "1.1");
        assert_eq!(text(|out| write_plain_seconds(out, -1)), "-0.001");
    }
}
