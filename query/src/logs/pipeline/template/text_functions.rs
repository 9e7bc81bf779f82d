//! Functions of templates that work on text.

use super::exec::OUTPUT_BYTES_MAX;
use super::value::Value;
use crate::logs::regexes;

/// What a function of text gives.
pub(super) enum Given {
    Text(String),
    Bool(bool),
    Int(i64),
}

impl Value {
    pub(super) fn from_result(given: Given) -> Self {
        match given {
            Given::Text(text) => Self::Text(text),
            Given::Bool(value) => Self::Bool(value),
            Given::Int(value) => Self::Int(value),
        }
    }
}

const NAMES: &[&str] = &[
    "ToLower",
    "ToUpper",
    "Replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "count",
    "urldecode",
    "urlencode",
    "alignLeft",
    "alignRight",
    "b64enc",
    "b64dec",
    "lower",
    "upper",
    "title",
    "trunc",
    "substr",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "indent",
    "nindent",
    "replace",
    "repeat",
    "trim",
    "trimAll",
    "trimSuffix",
    "trimPrefix",
];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Given, String> {
    let text = |at: usize| {
        arguments.get(at).map(Value::to_text).ok_or_else(|| {
            format!("wrong number of args for {name}: want {} got {}", at + 1, arguments.len())
        })
    };
    let number = |at: usize| text(at).map(|_| arguments[at].to_int());
    let bool = |value: bool| Ok(Given::Bool(value));
    Ok(Given::Text(match name {
        "ToLower" | "lower" => text(0)?.to_lowercase(),
        "ToUpper" | "upper" => text(0)?.to_uppercase(),
        "title" => title(&text(0)?),
        "Replace" => replace(&text(0)?, &text(1)?, &text(2)?, number(3)?)?,
        "replace" => replace(&text(2)?, &text(0)?, &text(1)?, -1)?,
        "Trim" => text(0)?.trim_matches(is_in(&text(1)?)).to_owned(),
        "TrimLeft" => text(0)?.trim_start_matches(is_in(&text(1)?)).to_owned(),
        "TrimRight" => text(0)?.trim_end_matches(is_in(&text(1)?)).to_owned(),
        "trimAll" => text(1)?.trim_matches(is_in(&text(0)?)).to_owned(),
        "TrimPrefix" => without_prefix(&text(0)?, &text(1)?),
        "trimPrefix" => without_prefix(&text(1)?, &text(0)?),
        "TrimSuffix" => without_suffix(&text(0)?, &text(1)?),
        "trimSuffix" => without_suffix(&text(1)?, &text(0)?),
        "TrimSpace" | "trim" => text(0)?.trim().to_owned(),
        "regexReplaceAll" => regex_replace(&text(0)?, &text(1)?, &text(2)?)?,
        "regexReplaceAllLiteral" => {
            regex_replace(&text(0)?, &text(1)?, &text(2)?.replace('$', "$$"))?
        }
        "count" => {
            let found = regexes::anywhere(&text(0)?)?.find_iter(text(1)?.as_bytes()).count();
            return Ok(Given::Int(i64::try_from(found).unwrap_or(i64::MAX)));
        }
        "contains" => return bool(text(1)?.contains(&text(0)?)),
        "hasPrefix" => return bool(text(1)?.starts_with(&text(0)?)),
        "hasSuffix" => return bool(text(1)?.ends_with(&text(0)?)),
        "urlencode" => url_encode(&text(0)?),
        "urldecode" => url_decode(&text(0)?)?,
        "b64enc" => base64_encode(text(0)?.as_bytes()),
        "b64dec" => {
            let decoded = base64_decode(&text(0)?);
            decoded.map_or_else(
                || "illegal base64 data".to_owned(),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            )
        }
        "alignLeft" => align(&text(1)?, number(0)?, Side::Left)?,
        "alignRight" => align(&text(1)?, number(0)?, Side::Right)?,
        "trunc" => trunc(&text(1)?, number(0)?),
        "substr" => substr(&text(2)?, number(0)?, number(1)?),
        "indent" => indent(&text(1)?, number(0)?)?,
        "nindent" => format!("\n{}", indent(&text(1)?, number(0)?)?),
        _ => repeat(&text(1)?, number(0)?)?,
    }))
}

fn is_in(set: &str) -> impl Fn(char) -> bool + '_ {
    move |c| set.contains(c)
}

fn checked(length: usize) -> Result<usize, String> {
    if length > OUTPUT_BYTES_MAX {
        return Err(format!("text is longer than {OUTPUT_BYTES_MAX} bytes"));
    }
    Ok(length)
}

fn title(text: &str) -> String {
    let mut starts = true;
    text.chars()
        .flat_map(|c| {
            let upper = starts;
            starts = !(c.is_alphanumeric() || c == '_' || c == '\'');
            let same = (!upper).then_some(c);
            same.into_iter().chain(upper.then(|| c.to_uppercase()).into_iter().flatten())
        })
        .collect()
}

fn replace(text: &str, from: &str, to: &str, times: i64) -> Result<String, String> {
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    let found = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    checked(found.min(times).saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replacen(from, to, times))
}

fn without_prefix(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix).unwrap_or(text).to_owned()
}

fn without_suffix(text: &str, suffix: &str) -> String {
    text.strip_suffix(suffix).unwrap_or(text).to_owned()
}

fn regex_replace(pattern: &str, text: &str, to: &str) -> Result<String, String> {
    let regex = regexes::anywhere(pattern)?;
    checked(text.len().saturating_add(1).saturating_mul(to.len().max(1)))?;
    let replaced = regex.replace_all(text.as_bytes(), to.as_bytes());
    Ok(String::from_utf8_lossy(&replaced).into_owned())
}

/// Where a text stays when it is made longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn align(text: &str, width: i64, side: Side) -> Result<String, String> {
    let Ok(width) = usize::try_from(width) else { return Ok(text.to_owned()) };
    checked(width)?;
    let length = text.chars().count();
    let blanks = " ".repeat(width.saturating_sub(length));
    Ok(match side {
        Side::Left if length > width => text.chars().take(width).collect(),
        Side::Right if length > width => text.chars().skip(length - width).collect(),
        Side::Left => format!("{text}{blanks}"),
        Side::Right => format!("{blanks}{text}"),
    })
}

/// The first characters, or the last if the number is below 0.
fn trunc(text: &str, count: i64) -> String {
    let most = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        return text.chars().take(most).collect();
    }
    text.chars().skip(text.chars().count().saturating_sub(most)).collect()
}

fn substr(text: &str, start: i64, end: i64) -> String {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let (start, end) = match (start < 0, end < 0 || end > length) {
        (true, _) => (0, end.min(length)),
        (false, true) => (start, length),
        (false, false) => (start, end),
    };
    let at = |i: i64| usize::try_from(i).unwrap_or(0);
    text.chars().skip(at(start)).take(at(end.saturating_sub(start))).collect()
}

fn indent(text: &str, count: i64) -> Result<String, String> {
    let count = usize::try_from(count).unwrap_or(0);
    checked(count.saturating_mul(text.matches('\n').count() + 1).saturating_add(text.len()))?;
    let blanks = " ".repeat(count);
    Ok(format!("{blanks}{}", text.replace('\n', &format!("\n{blanks}"))))
}

fn repeat(text: &str, count: i64) -> Result<String, String> {
    let count = usize::try_from(count).map_err(|_| "negative Repeat count".to_owned())?;
    checked(text.len().saturating_mul(count))?;
    Ok(text.repeat(count))
}

pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn url_decode(text: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['%', '+']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        if rest[at..].starts_with('+') {
            out.push(b' ');
            rest = &rest[at + 1..];
            continue;
        }
        let digits = rest.get(at + 1..at + 3);
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.ok_or_else(|| {
            let escape: String = rest[at..].chars().take(3).collect();
            format!("invalid URL escape {escape:?}")
        })?);
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(String::from_utf8_lossy(&out).into_owned())
}

pub(super) fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
}

pub(super) fn js(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('"', "\\\"")
        .replace('<', "\\u003C")
        .replace('>', "\\u003E")
        .replace('&', "\\u0026")
        .replace('=', "\\u003D")
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    let mut out = Vec::new();
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in chunk {
            let value = BASE64.iter().position(|d| d == digit)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let missing = 4 - chunk.len();
        let bytes = (bits << (6 * missing)).to_be_bytes();
        out.extend_from_slice(&bytes[1..4 - missing]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_goes_both_ways() {
        for text in ["", "a", "ab", "abc", "Loki logs"] {
            let encoded = base64_encode(text.as_bytes());
            assert_eq!(base64_decode(&encoded).as_deref(), Some(text.as_bytes()), "{encoded}");
        }
        assert_eq!(base64_encode(b"foo bar"), "Zm9vIGJhcg==");
        assert_eq!(base64_decode("x"), None);
    }
}
