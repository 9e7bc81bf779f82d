//! A reader of `key=value key="quoted value"`.

use std::borrow::Cow;

/// Reads fields from a line, one at a time.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    line: &'a [u8],
    at: usize,
    error: Option<String>,
}

/// A key and its value; nothing where the line is malformed.
pub(super) type Field<'a> = Option<(&'a [u8], Cow<'a, [u8]>)>;

impl<'a> Fields<'a> {
    pub(super) const fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0, error: None }
    }

    /// The first thing that was malformed.
    pub(super) fn into_error(self) -> Option<String> {
        self.error
    }

    fn fail(&mut self, message: &str) -> Field<'a> {
        if self.error.is_none() {
            self.error = Some(format!("logfmt syntax error at pos {} : {message}", self.at + 1));
        }
        None
    }

    /// Goes on behind the value that is malformed.
    fn unexpected(&mut self, byte: u8) -> Field<'a> {
        let message = format!("unexpected {:?}", char::from(byte));
        let nothing = self.fail(&message);
        while self.line.get(self.at).is_some_and(|b| *b > b' ') {
            self.at += 1;
        }
        nothing
    }

    fn key(&mut self) -> Result<&'a [u8], Field<'a>> {
        let start = self.at;
        while let Some(byte) = self.line.get(self.at) {
            match byte {
                b'=' if self.at == start => return Err(self.unexpected(b'=')),
                b'"' => return Err(self.unexpected(b'"')),
                b'=' | 0..=b' ' => break,
                _ => self.at += 1,
            }
        }
        let key = &self.line[start..self.at];
        if std::str::from_utf8(key).is_err() {
            self.fail("invalid key");
            return Err(None);
        }
        Ok(key)
    }

    fn field(&mut self) -> Field<'a> {
        let key = match self.key() {
            Ok(key) => key,
            Err(nothing) => return nothing,
        };
        if self.line.get(self.at) != Some(&b'=') {
            return Some((key, Cow::Borrowed(b"")));
        }
        self.at += 1;
        if self.line.get(self.at) == Some(&b'"') {
            return self.quoted(key);
        }
        let start = self.at;
        while let Some(byte) = self.line.get(self.at) {
            match byte {
                b'=' | b'"' => return self.unexpected(*byte),
                0..=b' ' => break,
                _ => self.at += 1,
            }
        }
        Some((key, Cow::Borrowed(&self.line[start..self.at])))
    }

    fn quoted(&mut self, key: &'a [u8]) -> Field<'a> {
        let start = self.at + 1;
        let mut at = start;
        let mut has_escapes = false;
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', &self.line[at.min(self.line.len())..])
            else {
                self.at = self.line.len();
                return self.fail("unterminated quoted value");
            };
            at += found;
            if self.line[at] == b'"' {
                break;
            }
            has_escapes = true;
            at += 2;
        }
        self.at = at + 1;
        let text = &self.line[start..at];
        if !has_escapes {
            return Some((key, Cow::Borrowed(text)));
        }
        match unescape(text) {
            Some(value) => Some((key, Cow::Owned(value))),
            None => self.fail("invalid quoted value"),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while self.line.get(self.at).is_some_and(|byte| *byte <= b' ') {
            self.at += 1;
        }
        (self.at < self.line.len()).then(|| self.field())
    }
}

/// Text without escapes, which are those of JSON; nothing if one is wrong.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    super::json::unescape_into(text, &mut out)?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> (Vec<String>, Option<String>) {
        let mut fields = Fields::new(line.as_bytes());
        let mut found = Vec::new();
        for (key, value) in fields.by_ref().flatten() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push(format!("{}={}", text(key), text(&value)));
        }
        (found, fields.into_error())
    }

    #[test]
    fn fields_are_read() {
        let (found, error) = fields(r#" a=1 b="x \"y\"" c= d  e="" "#);
        assert_eq!(found, ["a=1", "b=x \"y\"", "c=", "d=", "e="]);
        assert_eq!(error, None);
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        assert_eq!(fields(r#"a=1 =2 b=3=4 c=5 "x" d="cut"#).0, ["a=1", "c=5"]);
        let (_, error) = fields("a=1 b==2");
        assert_eq!(error.as_deref(), Some("logfmt syntax error at pos 7 : unexpected '='"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(line in "[a=\" \\\\un1]{0,30}") {
            let _ = fields(&line);
        }
    }
}
