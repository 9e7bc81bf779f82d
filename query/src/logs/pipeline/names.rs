//! Names of fields as names of labels.

/// Appends `name` to `out`, every character that no label name may hold replaced. At the start of
/// `out` a digit gets an underscore before it.
pub(super) fn push_sanitized(out: &mut String, name: &str) {
    let name = name.trim();
    if out.is_empty() && name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    out.extend(name.chars().map(|c| if is_kept(c) { c } else { '_' }));
}

/// `name` as a label name.
pub(super) fn sanitized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    push_sanitized(&mut out, name);
    out
}

/// Bytes as text, without what is no UTF-8.
pub(super) fn text_of(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::REPLACEMENT_CHARACTER) => text.into(),
        _ => String::from_utf8_lossy(bytes).replace(char::REPLACEMENT_CHARACTER, "").into(),
    }
}
