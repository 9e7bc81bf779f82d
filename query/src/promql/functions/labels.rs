//! `label_replace` and `label_join`.

use ephemeris_model::{Labels, METRIC_NAME, MatchOp, Matcher};
use regex::{Captures, Regex, RegexBuilder};

use super::FunctionError;
use super::vector::VectorCall;
use crate::promql::exec::batch::StepSeries;
use crate::promql::text::has_stray_bytes;

/// Size limit of a compiled pattern, in bytes.
const COMPILED_REGEX_BYTES_MAX: usize = 4 << 20;

/// Longest value these functions make. Nested calls could else double a value at each level.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// `label_replace(v, destination, replacement, source, pattern)`
pub(super) fn replace(
    call: &VectorCall<'_>,
    series: &mut [StepSeries],
) -> Result<(), FunctionError> {
    let (destination, replacement) = (call.text(0)?, call.text(1)?);
    let (source, pattern) = (call.text(2)?, call.text(3)?);
    let regex = compile(pattern).ok_or_else(|| {
        FunctionError(format!("invalid regular expression in label_replace(): {pattern}"))
    })?;
    check_name(destination, "invalid destination label name in label_replace()")?;
    for one in series {
        let value = one.labels.get(source).unwrap_or_default();
        let Some(captures) = regex.captures(value) else { continue };
        let value =
            expand(replacement, &regex, &captures).ok_or_else(|| too_long("label_replace"))?;
        set_label(one, destination, value);
    }
    Ok(())
}

/// `label_join(v, destination, separator, source…)`
pub(super) fn join(call: &VectorCall<'_>, series: &mut [StepSeries]) -> Result<(), FunctionError> {
    let (destination, separator) = (call.text(0)?, call.text(1)?);
    let sources: Vec<&str> = call.texts(2).collect();
    for source in &sources {
        check_name(source, "invalid source label name in label_join()")?;
    }
    check_name(destination, "invalid destination label name in label_join()")?;
    for one in series {
        let value = |source: &&str| one.labels.get(source).unwrap_or_default();
        let values: Vec<&str> = sources.iter().map(value).collect();
        let separators = separator.len().saturating_mul(values.len());
        if values.iter().map(|value| value.len()).sum::<usize>() + separators > VALUE_BYTES_MAX {
            return Err(too_long("label_join"));
        }
        let joined = values.join(separator);
        set_label(one, destination, joined);
    }
    Ok(())
}

fn too_long(function: &str) -> FunctionError {
    FunctionError(format!(
        "{function}() makes a label value of more than {VALUE_BYTES_MAX} bytes, which is the limit"
    ))
}

fn check_name(name: &str, text: &str) -> Result<(), FunctionError> {
    if name.is_empty() || has_stray_bytes(name) {
        return Err(FunctionError(format!("{text}: {name}")));
    }
    Ok(())
}

fn set_label(series: &mut StepSeries, name: &str, value: String) {
    series.labels = with_label(&series.labels, name, value);
    if name == METRIC_NAME {
        // A name that was set stays.
        series.drop_name = false;
    }
}

pub(super) fn with_label(labels: &Labels, name: &str, value: String) -> Labels {
    let mut builder = labels.to_builder();
    builder.set(name, value);
    builder.build()
}

/// The pattern of a matcher with this value: the whole text must match.
fn compile(pattern: &str) -> Option<Regex> {
    let matcher = Matcher::new(MatchOp::Regex, "", pattern).ok()?;
    RegexBuilder::new(&matcher.anchored_pattern()).size_limit(COMPILED_REGEX_BYTES_MAX).build().ok()
}

/// Fills a template by Go's rules: `$1`, `$name`, `${name}`, `$$` for a dollar; a name is as long
/// as it can be; a group that is not there is empty; a dollar before anything else stays. None if
/// the result is too long.
fn expand(template: &str, regex: &Regex, captures: &Captures<'_>) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            out.push('$');
            rest = behind;
        } else if let Some((name, behind)) = group_name(rest) {
            push_group(&mut out, name, regex, captures);
            rest = behind;
        } else {
            out.push('$');
        }
        if out.len() > VALUE_BYTES_MAX {
            return None;
        }
    }
    out.push_str(rest);
    (out.len() <= VALUE_BYTES_MAX).then_some(out)
}

/// The name at the start of `text`, in braces or not, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = match text.strip_prefix('{') {
        Some(inside) => (true, inside),
        None => (false, text),
    };
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let behind = if braced { behind.strip_prefix('}')? } else { behind };
    Some((name, behind))
}

fn push_group(out: &mut String, name: &str, regex: &Regex, captures: &Captures<'_>) {
    let group = if name.bytes().all(|b| b.is_ascii_digit()) {
        name.parse().ok().and_then(|number| captures.get(number))
    } else {
        let named = regex.capture_names().enumerate().filter(|(_, n)| *n == Some(name));
        named.filter_map(|(number, _)| captures.get(number)).next()
    };
    out.push_str(group.map_or("", |group| group.as_str()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::functions::Function;
    use crate::promql::functions::notes::Notes;
    use crate::promql::functions::vector::{QueryKind, VectorArg, call_vector};

    fn call(function: Function, texts: &[&str]) -> Result<Labels, FunctionError> {
        let args: Vec<_> = texts.iter().map(|t| VectorArg::Text((*t).to_owned())).collect();
        let call = VectorCall { function, args: &args, step_count: 1, kind: QueryKind::Instant };
        let labels = [("__name__", "m"), ("src", "source-value-10"), ("dst", "old")];
        let series = vec![StepSeries::absent(Labels::from_pairs(labels), 1)];
        Ok(call_vector(&call, series, &mut Notes::default())?[0].labels.clone())
    }

    fn replaced(texts: &[&str]) -> String {
        let labels = call(Function::LabelReplace, texts).expect("valid arguments");
        labels.get("dst").unwrap_or("none").to_owned()
    }

    #[test]
    fn the_whole_value_must_match() {
        assert_eq!(replaced(&["dst", "to-$1", "src", "source-value-(.*)"]), "to-10");
        assert_eq!(replaced(&["dst", "to-$1", "src", "value-(.*)"]), "old");
        assert_eq!(replaced(&["dst", "$1-value-$2", "src", "(.*)-value-(.*)"]), "source-value-10");
        assert_eq!(replaced(&["dst", "value-$1", "missing", "(.*)"]), "value-");
        assert_eq!(replaced(&["dst", "", "dst", ".*"]), "none");
    }

    #[test]
    fn templates_follow_go() {
        let expanded = |template| replaced(&["dst", template, "src", "(?P<word>[a-z]+)-.*-(1)(0)"]);
        assert_eq!(expanded("${word}s"), "sources");
        assert_eq!(expanded("$words"), "none");
        assert_eq!(expanded("$2x"), "none");
        assert_eq!(expanded("${2}x"), "1x");
        assert_eq!(expanded("$$1 $ ${ $-"), "$1 $ ${ $-");
        assert_eq!(expanded("[$99]"), "[]");
        assert_eq!(expanded("[$99999999999999999999]"), "[]");
    }

    #[test]
    fn invalid_arguments_have_their_texts() {
        let error = |texts: &[&str]| call(Function::LabelReplace, texts).expect_err("invalid").0;
        assert_eq!(
            error(&["dst", "", "src", "(.*"]),
            "invalid regular expression in label_replace(): (.*"
        );
        assert_eq!(
            error(&["", "", "src", ".*"]),
            "invalid destination label name in label_replace(): "
        );
        let joined = call(Function::LabelJoin, &["dst", "-", ""]).expect_err("invalid").0;
        assert_eq!(joined, "invalid source label name in label_join(): ");
    }

    #[test]
    fn values_have_a_limit() {
        let long = "$1".repeat(VALUE_BYTES_MAX / 10);
        let texts = ["dst", long.as_str(), "src", "(.*)"];
        let error = call(Function::LabelReplace, &texts).expect_err("too long").0;
        assert_eq!(
            error,
            "label_replace() makes a label value of more than 65536 bytes, which is the limit"
        );
        let separator = "-".repeat(VALUE_BYTES_MAX);
        assert!(call(Function::LabelJoin, &["dst", &separator, "src", "src"]).is_err());
    }

    #[test]
    fn labels_are_joined_in_order() {
        let joined = |texts: &[&str]| {
            let labels = call(Function::LabelJoin, texts).expect("valid arguments");
            labels.get("dst").unwrap_or("none").to_owned()
        };
        assert_eq!(joined(&["dst", "-", "dst", "missing", "src"]), "old--source-value-10");
        assert_eq!(joined(&["dst", ", "]), "none");
    }
}
