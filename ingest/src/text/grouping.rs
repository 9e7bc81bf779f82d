//! Labels in a path, as Prometheus' pushgateway has them: `job/<job>{/<label>/<value>}`, where
//! a name may end in `@base64`.

use crate::otlp::json::from_base64;

/// Labels of one path; one with more is refused.
const LABELS_MAX: usize = 64;

/// The labels of what follows `/metrics/` in a path, not yet percent-decoded.
///
/// # Errors
/// If it is not of this form; the text says how.
pub fn labels(path: &str) -> Result<Vec<(String, String)>, String> {
    let mut parts = path.trim_end_matches('/').split('/');
    let mut labels: Vec<(String, String)> = Vec::new();
    while let Some(name) = parts.next() {
        let raw = parts.next().ok_or_else(|| format!("label {name:?} in the path has no value"))?;
        let name = percent_decode(name)?;
        let value = percent_decode(raw)?;
        let (name, value) = match name.strip_suffix("@base64") {
            Some(name) => {
                let bytes = from_base64(&value).and_then(|b| String::from_utf8(b).ok());
                let value = bytes.ok_or_else(|| format!("{value:?} is no base64 of a text"))?;
                (name.to_owned(), value)
            }
            None => (name, value),
        };
        if name.is_empty() || name == "__name__" {
            return Err(format!("{name:?} in the path is no name of a label"));
        }
        if labels.iter().any(|(known, _)| *known == name) {
            return Err(format!("label {name:?} comes twice in the path"));
        }
        if labels.len() == LABELS_MAX {
            return Err(format!("the path has more than {LABELS_MAX} labels"));
        }
        labels.push((name, value));
    }
    match labels.first() {
        Some((name, job)) if name == "job" && !job.is_empty() => Ok(labels),
        _ => Err("the path must begin with the job: /metrics/job/<job>".to_owned()),
    }
}

fn percent_decode(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} in the path is not well-formed");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
        out.push(u8::try_from(high << 4 | low).map_err(|_| bad())?);
    }
    String::from_utf8(out).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_labels() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(labels("job/a"), Ok(vec![pair("job", "a")]));
        assert_eq!(
            labels("job/a%20b/path@base64/L3Zhci90bXA/instance/x"),
            Ok(vec![pair("job", "a b"), pair("path", "/var/tmp"), pair("instance", "x")])
        );
        assert_eq!(labels("job@base64/YQ==/x@base64/="), Ok(vec![pair("job", "a"), pair("x", "")]));
        for bad in ["", "job", "job/", "x/y", "job/a/b", "job/a/job/b", "job/%zz", "job@base64/*"] {
            assert!(labels(bad).is_err(), "{bad}");
        }
    }
}
