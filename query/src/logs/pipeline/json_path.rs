//! Paths into JSON: `a.b[0]["c d"]`.

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathStep {
    /// Into the field of an object.
    Field(String),
    /// Into the element of an array.
    Index(usize),
}

/// Reads a path.
pub(super) fn parse_path(path: &str) -> Result<Vec<PathStep>, String> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    if rest.is_empty() {
        return Err("syntax error: unexpected $end".to_owned());
    }
    while !rest.is_empty() {
        let (step, behind) = if let Some(inside) = rest.strip_prefix('[') {
            bracket(inside)?
        } else {
            let name = match rest.strip_prefix('.') {
                Some(name) if !steps.is_empty() => name,
                None if steps.is_empty() => rest,
                _ => return Err(unexpected(rest)),
            };
            field(name)?
        };
        steps.push(step);
        rest = behind.trim_start();
    }
    Ok(steps)
}

fn field(text: &str) -> Result<(PathStep, &str), String> {
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    if length == 0 || text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(unexpected(text));
    }
    let (name, behind) = text.split_at(length);
    Ok((PathStep::Field(name.to_owned()), behind))
}

fn bracket(text: &str) -> Result<(PathStep, &str), String> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.ok_or_else(|| unexpected(""))?;
        let name = crate::promql::text::unquote(&text[..end + 2]).map_err(|_| unexpected(text))?;
        let behind = quoted[end + 1..].trim_start();
        let behind = behind.strip_prefix(']').ok_or_else(|| unexpected(behind))?;
        return Ok((PathStep::Field(name), behind));
    }
    let (index, behind) = text.split_once(']').ok_or_else(|| unexpected(""))?;
    let index = index.trim().parse().map_err(|_| unexpected(index))?;
    Ok((PathStep::Index(index), behind))
}

fn unexpected(text: &str) -> String {
    match text.chars().next() {
        Some(c) => format!("syntax error: unexpected {c:?}"),
        None => "syntax error: unexpected $end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let field = |name: &str| PathStep::Field(name.to_owned());
        let steps = parse_path(r#"a.b[0]["c d"].e"#);
        let wanted = vec![field("a"), field("b"), PathStep::Index(0), field("c d"), field("e")];
        assert_eq!(steps, Ok(wanted));
        for bad in ["", "a.", "a[", "a[x]", ".a", "a..b", "a-b", r#"a["b]"#] {
            assert!(parse_path(bad).is_err(), "{bad}");
        }
    }
}
