//! Parts of a script's lines: comments, quoted texts, labels, brackets, times.

use ephemeris_model::Matcher;

use crate::logs::parse::parse_matchers;
use crate::logs::units::{parse_float, parse_go_duration};

/// Whether a backslash in quotes is an escape: it is in queries, not in lines of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// It is.
    Known,
    /// It stands for itself.
    Unknown,
}

/// `line` without its comment.
pub(super) fn without_comment(line: &str, escapes: Escapes) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match quote {
            None if c == '#' => return line[..at].trim_end(),
            None if c == '"' || c == '`' => quote = Some(c),
            Some(open) if c == open && !escaped => quote = None,
            _ => {}
        }
        escaped = escapes == Escapes::Known && quote == Some('"') && c == '\\' && !escaped;
    }
    line.trim_end()
}

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// Labels in braces at the start of `text`, and the rest.
pub(super) fn labels(text: &str) -> Result<(Pairs, &str), String> {
    let mut quoted = false;
    let mut escaped = false;
    let end = text.find(|c| {
        let closes = c == '}' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    let end = end.ok_or_else(|| format!("labels do not end: {text}"))?;
    let matchers = parse_matchers(&text[..=end]).map_err(|error| error.to_string())?;
    let pair = |matcher: Matcher| (matcher.name, matcher.value);
    Ok((matchers.into_iter().map(pair).collect(), text[end + 1..].trim_start()))
}

/// A text in quotes at the start of `text`, taken as it stands, and the rest.
pub(super) fn quoted(text: &str) -> Result<(&str, &str), String> {
    let quote = text.chars().next().filter(|c| *c == '"' || *c == '`');
    let quote = quote.ok_or_else(|| format!("no quoted text: {text}"))?;
    let (inside, rest) =
        text[1..].split_once(quote).ok_or_else(|| format!("text does not end: {text}"))?;
    Ok((inside, rest.trim_start()))
}

/// The next word, and the rest.
pub(super) fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// A time in nanoseconds, and the rest.
pub(super) fn time(text: &str) -> Result<(i64, &str), String> {
    let (time, rest) = word(text);
    Ok((parse_go_duration(time)?, rest))
}

/// What stands in brackets at the start of `text`, and the rest.
pub(super) fn bracket(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[')?;
    let mut quoted = false;
    let end = inside.find(|c| {
        let closes = c == ']' && !quoted;
        quoted ^= c == '"';
        closes
    })?;
    Some((&inside[..end], inside[end + 1..].trim_start()))
}

/// `k="v" k="v"`
pub(super) fn pairs(text: &str) -> Result<Pairs, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').ok_or_else(|| format!("no pair: {rest}"))?;
        let (value, behind) = quoted(behind)?;
        pairs.push((name.trim().to_owned(), value.to_owned()));
        rest = behind.trim_start_matches(',').trim_start();
    }
    Ok(pairs)
}

/// Points of a series: a number, `_`, `axN`, `a+bxN`, `a-bxN`.
pub(super) fn points(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut points = Vec::new();
    for item in text.split_whitespace() {
        if item == "_" {
            points.push(None);
            continue;
        }
        if let Some(count) = item.strip_prefix("_x") {
            let count: usize = count.parse().map_err(|_| format!("no count: {item}"))?;
            points.extend(std::iter::repeat_n(None, count));
            continue;
        }
        match item.split_once('x').filter(|(start, _)| *start != "0" && !start.is_empty()) {
            Some((start, count)) => {
                let count: usize = count.parse().map_err(|_| format!("no count: {item}"))?;
                let (start, step) = start_and_step(start)?;
                points.extend((0..=count).map(|i| Some(start + step * i as f64)));
            }
            None => points.push(Some(parse_float(item)?)),
        }
    }
    Ok(points)
}

/// `a+b`: the sign that is neither the first character nor that of an exponent divides.
fn start_and_step(text: &str) -> Result<(f64, f64), String> {
    let bytes = text.as_bytes();
    let divides =
        |i: &usize| matches!(bytes[*i], b'+' | b'-') && !bytes[i - 1].eq_ignore_ascii_case(&b'e');
    match (1..bytes.len()).find(divides) {
        Some(at) => Ok((parse_float(&text[..at])?, parse_float(&text[at..])?)),
        None => Ok((parse_float(text)?, 0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_lines_but_not_texts() {
        let known = |line| without_comment(line, Escapes::Known);
        assert_eq!(known("a # b"), "a");
        assert_eq!(known(r##"a "# \" #" `#` # b"##), r##"a "# \" #" `#`"##);
        assert_eq!(without_comment(r#""a\" # b"#, Escapes::Unknown), r#""a\""#);
    }

    #[test]
    fn points_are_read() {
        let all = points("1 _ 1+2x2 3x1 1e-3-1x1 NaN 0x1p3").expect("points");
        assert_eq!(all.len(), 11);
        assert_eq!(all[2..5], [Some(1.0), Some(3.0), Some(5.0)]);
        assert_eq!(all[7..9], [Some(1e-3), Some(-0.999)]);
        assert_eq!(all[10], Some(8.0));
    }
}
