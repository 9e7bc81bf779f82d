//! The exposition format, text version 0.0.4.

use std::io::Write as _;

use super::family::Family;

/// `Content-Type` of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends families.
pub fn write(out: &mut Vec<u8>, families: &[Family]) {
    for family in families {
        let Family { name, help, kind, points } = family;
        // Writing to a Vec cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        for point in points {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(point.suffix.as_bytes());
            write_labels(out, point.labels.iter().map(|(n, v)| (*n, v.as_str())));
            out.push(b' ');
            crate::api::number::write_value(out, point.value);
            out.push(b'\n');
        }
    }
}

/// Appends labels in braces, or nothing if there is none.
pub fn write_labels<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut lead = b'{';
    for (name, value) in labels {
        out.push(lead);
        lead = b',';
        if is_plain_name(name) {
            out.extend_from_slice(name.as_bytes());
        } else {
            write_quoted(out, name);
        }
        out.push(b'=');
        write_quoted(out, value);
    }
    if lead == b',' {
        out.push(b'}');
    }
}

/// Appends `text` in quotes.
pub fn write_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Whether a label or metric name can stand without quotes.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    !name.is_empty() && name.bytes().all(plain) && !name.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_where_needed() {
        let mut out = Vec::new();
        write_labels(&mut out, [("a", "x\"\\\n"), ("b.c", "1")].into_iter());
        assert_eq!(out, b"{a=\"x\\\"\\\\\\n\",\"b.c\"=\"1\"}");
        assert!(is_plain_name("a:b_1") && !is_plain_name("1a") && !is_plain_name(""));
    }
}
