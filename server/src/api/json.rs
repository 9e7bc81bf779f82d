//! JSON by hand, for what is large or has an order of its own; the rest goes through `serde_json`.

use std::io;

use ephemeris_model::Labels;
use serde::Serialize;

/// Annotations of each kind an answer lists; the number of the others is told.
const ANNOTATIONS_MAX: usize = 10;

/// Whether the characters that mean something in HTML are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Html {
    /// `<`, `>` and `&` become `\u003c`, `\u003e` and `\u0026`.
    Escape,
    /// They stay.
    Keep,
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    write_escaped(out, text, Html::Keep);
}

/// Appends `text` as a JSON string.
pub fn write_escaped(out: &mut Vec<u8>, text: &str, html: Html) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let plain = match byte {
            b'"' | b'\\' | 0..=0x1f => false,
            b'<' | b'>' | b'&' => html == Html::Keep,
            _ => true,
        };
        if plain {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        write_escape(out, *byte);
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

/// Appends a label set as an object in order of names.
pub fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_string(out, value);
    }
    out.push(b'}');
}

/// Appends `,"warnings":[…]` or `,"infos":[…]`, unless there is none.
pub fn write_annotations(out: &mut Vec<u8>, kind: AnnotationKind, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    let (key, one) = match kind {
        AnnotationKind::Warnings => ("warnings", "warning"),
        AnnotationKind::Infos => ("infos", "info"),
    };
    out.extend_from_slice(format!(",\"{key}\":[").as_bytes());
    for (at, text) in texts.iter().take(ANNOTATIONS_MAX).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_escaped(out, text, Html::Escape);
    }
    if texts.len() > ANNOTATIONS_MAX {
        let more = texts.len() - ANNOTATIONS_MAX;
        out.push(b',');
        write_string(out, &format!("{more} more {one} annotations omitted"));
    }
    out.push(b']');
}

/// The two kinds of annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationKind {
    /// The answer may be wrong or not whole.
    Warnings,
    /// Worth knowing.
    Infos,
}

/// The end of a successful answer: annotations and the closing brace.
#[must_use]
pub fn tail(warnings: &[String], infos: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    write_annotations(&mut out, AnnotationKind::Warnings, warnings);
    write_annotations(&mut out, AnnotationKind::Infos, infos);
    out.push(b'}');
    out
}

/// A whole successful answer with small `data`.
#[must_use]
pub fn success(data: &impl Serialize, warnings: &[String]) -> Vec<u8> {
    let mut out = br#"{"status":"success","data":"#.to_vec();
    // Plain data with text keys cannot fail to serialize into memory.
    if serde_json::to_writer(&mut out, data).is_err() {
        out.extend_from_slice(b"null");
    }
    out.extend_from_slice(&tail(warnings, &[]));
    out
}

/// As [`success`], if `data` takes at most `bytes_max` bytes; `None` if it takes more.
#[must_use]
pub fn success_within(bytes_max: usize, data: &impl Serialize) -> Option<Vec<u8>> {
    let out = br#"{"status":"success","data":"#.to_vec();
    let mut out = Bounded { bytes_max: out.len().saturating_add(bytes_max), out };
    // Plain data with text keys fails only where there is no room.
    serde_json::to_writer(&mut out, data).ok()?;
    let mut out = out.out;
    out.extend_from_slice(&tail(&[], &[]));
    Some(out)
}

/// Memory that takes so many bytes.
struct Bounded {
    out: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.bytes_max.saturating_sub(self.out.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_takes_at_most_so_many_bytes() {
        let text = "abc";
        assert_eq!(success_within(5, &text), Some(success(&text, &[])));
        assert_eq!(success_within(4, &text), None);
    }

    #[test]
    fn strings_are_escaped_as_json_demands() {
        let text = "a\"b\\c\n\r\t\u{1}é<>&\u{7f}";
        let mut out = Vec::new();
        write_string(&mut out, text);
        assert_eq!(out, "\"a\\\"b\\\\c\\n\\r\\t\\u0001é<>&\u{7f}\"".as_bytes());
        assert_eq!(serde_json::from_slice::<String>(&out).ok().as_deref(), Some(text));
        out.clear();
        write_escaped(&mut out, "<&>", Html::Escape);
        assert_eq!(out, b"\"\\u003c\\u0026\\u003e\"");
    }

    #[test]
    fn annotations_are_counted_beyond_ten() {
        let texts: Vec<String> = (0..12).map(|i| format!("w{i}")).collect();
        let text = String::from_utf8(tail(&texts, &texts[..1])).expect("JSON is UTF-8");
        assert!(
            text.ends_with(r#""w9","2 more warning annotations omitted"],"infos":["w0"]}"#),
            "{text}"
        );
    }
}
