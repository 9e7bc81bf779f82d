//! Numbers as Prometheus writes them.

/// Shortest decimal that reads back the same, in the form Go gives `%g`: an exponent of at least
/// two digits below 1e-4 and from 1e6 on.
#[must_use]
pub fn format_g(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let (negative, digits, exponent) = decimal(value);
    let mut text = String::new();
    if negative {
        text.push('-');
    }
    if !(-4..6).contains(&exponent) {
        push_scientific(&mut text, &digits, exponent);
    } else {
        push_plain(&mut text, &digits, exponent);
    }
    text
}

/// As [`format_g`], with `.0` behind whole numbers: how OpenMetrics writes `le` and `quantile`.
#[must_use]
pub fn format_open_metrics(value: f64) -> String {
    let mut text = format_g(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// Shortest decimal that reads back the same, without an exponent, as Go's `%f` of shortest
/// precision: how values stand in the HTTP API and in labels made of values.
#[must_use]
pub fn format_f(value: f64) -> String {
    if !value.is_finite() {
        return format_g(value);
    }
    let (negative, digits, exponent) = decimal(value);
    let mut text = String::new();
    if negative {
        text.push('-');
    }
    push_plain(&mut text, &digits, exponent);
    text
}

/// Sign, significant digits and exponent of the first digit.
fn decimal(value: f64) -> (bool, String, i32) {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let negative = mantissa.starts_with('-');
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
    (negative, digits, exponent.parse().unwrap_or(0))
}

fn push_scientific(text: &mut String, digits: &str, exponent: i32) {
    text.push_str(&digits[..1]);
    if digits.len() > 1 {
        text.push('.');
        text.push_str(&digits[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    text.push_str(&format!("e{sign}{:02}", exponent.abs()));
}

fn push_plain(text: &mut String, digits: &str, exponent: i32) {
    let Ok(point) = usize::try_from(exponent + 1) else {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
        text.push_str(digits);
        return;
    };
    if point == 0 {
        text.push_str("0.");
        text.push_str(digits);
    } else if digits.len() <= point {
        text.push_str(digits);
        text.extend(std::iter::repeat_n('0', point - digits.len()));
    } else {
        text.push_str(&digits[..point]);
        text.push('.');
        text.push_str(&digits[point..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_form() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123456.0, "123456"),
            (1e6, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (1.5e300, "1.5e+300"),
            (123.456, "123.456"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(format_g(value), text);
        }
    }

    #[test]
    fn open_metrics_form_shows_a_float() {
        assert_eq!(format_open_metrics(1.0), "1.0");
        assert_eq!(format_open_metrics(0.25), "0.25");
        assert_eq!(format_open_metrics(1e9), "1e+09");
        assert_eq!(format_open_metrics(f64::INFINITY), "+Inf");
    }

    #[test]
    fn plain_form_has_no_exponent() {
        assert_eq!(format_f(1e-7), "0.0000001");
        assert_eq!(format_f(-1.25e22), "-12500000000000000000000");
        assert_eq!(format_f(0.1), "0.1");
    }

    #[test]
    fn both_forms_read_back() {
        for bits in (0..2000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let back: f64 = format_g(value).parse().expect("a number");
                assert_eq!(back.to_bits(), bits);
                let back: f64 = format_f(value).parse().expect("a number");
                assert_eq!(back.to_bits(), bits);
            }
        }
    }
}
