//! Label sets as text, as Loki's clients send them: `{job="x", host="y"}`.

use std::borrow::Cow;

use ephemeris_model::RejectReason;
use ephemeris_model::log_batch::{Pair, SERVICE_NAME};

/// Labels a service's name is taken from, the first that is there.
const SERVICE_LABELS: [&str; 14] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
    "service.name",
];
/// Name of a service nothing tells.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// A refused label set: why, and the text for the sender.
pub type Refused = (RejectReason, String);

/// Reads a label set: sorted by name, pairs with an empty value dropped, `service_name` derived.
///
/// # Errors
/// If it is no label set, a name comes twice, or no label is left.
pub fn read(raw: &[u8]) -> Result<Vec<Pair<'_>>, Refused> {
    let Ok(text) = simdutf8::basic::from_utf8(raw) else {
        let text = String::from_utf8_lossy(raw);
        return Err((RejectReason::InvalidUtf8, format!("labels {text:?} are not UTF-8")));
    };
    let mut pairs = parse(text).map_err(|cause| {
        let text = format!("error parsing labels '{text}' with error: {cause}");
        (RejectReason::InvalidLabels, text)
    })?;
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
        let text = format!("stream '{text}' has duplicate label name: '{}'", twice[0].0);
        return Err((RejectReason::DuplicateLabel, text));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    if pairs.is_empty() {
        let text = "error at least one label pair is required per stream".to_owned();
        return Err((RejectReason::NoLabels, text));
    }
    add_service_name(&mut pairs);
    Ok(pairs)
}

/// Adds `service_name` to sorted labels, if it is not there.
fn add_service_name(pairs: &mut Vec<Pair<'_>>) {
    let Err(at) = pairs.binary_search_by(|(name, _)| name.as_ref().cmp(SERVICE_NAME)) else {
        return;
    };
    let value_of = |wanted: &&str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    let value = SERVICE_LABELS.iter().find_map(value_of);
    pairs.insert(at, (SERVICE_NAME.into(), value.unwrap_or(UNKNOWN_SERVICE.into())));
}

/// The pairs in the order of the text.
fn parse(text: &str) -> Result<Vec<Pair<'_>>, String> {
    let mut rest = text.trim_start();
    rest = rest.strip_prefix('{').ok_or("an opening brace is missing")?.trim_start();
    let mut pairs = Vec::with_capacity(8);
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            let end = after.trim();
            return if end.is_empty() { Ok(pairs) } else { Err(format!("unexpected {end:?}")) };
        }
        let (name, after) = name(rest)?;
        let after = after.trim_start().strip_prefix('=');
        let after = after.ok_or_else(|| format!("`=` is missing after {name:?}"))?;
        let (value, after) = quoted(after.trim_start())?;
        pairs.push((name, value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err("a comma or a closing brace is missing".to_owned()),
        }
    }
}

/// A label name, which may be quoted, and what follows.
fn name(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    if text.starts_with(['"', '\'', '`']) {
        return quoted(text);
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '-')));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("no label name at {:?}", text.chars().take(20).collect::<String>()));
    }
    Ok((name.into(), rest))
}

/// A quoted text with its escapes undone, and what follows.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let quote = quote.ok_or("a value must be quoted")?;
    let inner = &text[1..];
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            let content = &inner[..at];
            let plain = quote == '`' || !content.contains('\\');
            let value = if plain { content.into() } else { unescape(content)?.into() };
            return Ok((value, &inner[at + 1..]));
        }
    }
    Err("a quote is not closed".to_owned())
}

/// Undoes the escapes of Go's quoted strings.
fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let bad = || format!("the escape \\{} is not known", escape.chars().next().unwrap_or(' '));
        let kind = escape.chars().next().ok_or_else(bad)?;
        let digits = |from: usize, count: usize, radix: u32| {
            let digits = escape.get(from..from + count)?;
            u32::from_str_radix(digits, radix).ok()
        };
        let (byte, used) = match kind {
            'a' => (7, 1),
            'b' => (8, 1),
            'f' => (12, 1),
            'n' => (b'\n', 1),
            'r' => (b'\r', 1),
            't' => (b'\t', 1),
            'v' => (11, 1),
            '\\' | '"' | '\'' => (kind as u8, 1),
            'x' => (digits(1, 2, 16).and_then(|n| u8::try_from(n).ok()).ok_or_else(bad)?, 3),
            '0'..='7' => (digits(0, 3, 8).and_then(|n| u8::try_from(n).ok()).ok_or_else(bad)?, 3),
            'u' | 'U' => {
                let count = if kind == 'u' { 4 } else { 8 };
                let c = digits(1, count, 16).and_then(char::from_u32).ok_or_else(bad)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &escape[1 + count..];
                continue;
            }
            _ => return Err(bad()),
        };
        bytes.push(byte);
        rest = &escape[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a label set as text.
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in pairs.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let plain = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain {
            out.extend_from_slice(name.as_bytes());
        } else {
            quote(name, out);
        }
        out.push(b'=');
        quote(value, out);
    }
    out.push(b'}');
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let pairs = read(text.as_bytes()).map_err(|(_, text)| text)?;
        let one = |(name, value): &Pair<'_>| format!("{name}={value}");
        Ok(pairs.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn label_sets_are_read_as_senders_write_them() {
        for (text, want) in [
            (r#"{job="a", host="b"}"#, "host=b job=a service_name=a"),
            (r#" { job = "a" , } "#, "job=a service_name=a"),
            (r#"{x="1",empty=""}"#, "service_name=unknown_service x=1"),
            (r#"{service_name="s",app="a"}"#, "app=a service_name=s"),
            (
                r#"{app="q\"\\\n\u00e4\x41\101"}"#,
                "app=q\"\\\n\u{e4}AA service_name=q\"\\\n\u{e4}AA",
            ),
            (r#"{"a.b"=`c\d`}"#, "a.b=c\\d service_name=unknown_service"),
        ] {
            assert_eq!(shown(text), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_label_set_is_refused_with_lokis_texts() {
        for (text, want) in [
            ("{}", "error at least one label pair is required per stream"),
            (r#"{a=""}"#, "error at least one label pair is required per stream"),
            (r#"{a="1",a="2"}"#, "stream '{a=\"1\",a=\"2\"}' has duplicate label name: 'a'"),
            ("{a=1}", "error parsing labels '{a=1}' with error: a value must be quoted"),
            ("", "error parsing labels '' with error: an opening brace is missing"),
        ] {
            assert_eq!(shown(text), Err(want.to_owned()), "{text}");
        }
        for text in [r#"{a="1"#, r#"{a="\q"}"#, r#"{a="1"} x"#, r#"{1a="x"}"#, r#"{a="1" b="2"}"#] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pairs = [("a", "q\"\\\n\u{e4}"), ("b.c", "x"), ("service_name", "s")];
        let mut text = Vec::new();
        write(pairs, &mut text);
        let read = read(&text).expect("a label set");
        let read: Vec<(&str, &str)> = read.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(read, pairs);
    }
}
