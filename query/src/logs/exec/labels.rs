//! `label_replace`.

use super::Series;
use crate::logs::ast::LabelReplace;
use crate::logs::error::LogQueryError;
use crate::logs::regexes;

/// Longest value it makes: nested calls could else double a value at each level.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Sets a label where the pattern fits the value of another.
pub(super) fn replace(
    replace: &LabelReplace,
    mut series: Vec<Series>,
) -> Result<Vec<Series>, LogQueryError> {
    let regex = regexes::anchored(&replace.pattern).map_err(|error| {
        LogQueryError::execution(format!("invalid regex in label_replace: {error}"))
    })?;
    for one in &mut series {
        let value = one.labels.get(&replace.source).unwrap_or_default();
        let Some(captures) = regex.captures(value.as_bytes()) else { continue };
        let mut expanded = Vec::new();
        captures.expand(replace.replacement.as_bytes(), &mut expanded);
        if expanded.len() > VALUE_BYTES_MAX {
            return Err(LogQueryError::execution(format!(
                "label_replace would make a value of {} bytes; limit is {VALUE_BYTES_MAX}",
                expanded.len()
            )));
        }
        let expanded = String::from_utf8_lossy(&expanded);
        let new = Some(&*expanded).filter(|value| !value.is_empty());
        one.labels = one.labels.with(&replace.destination, new);
    }
    Ok(series)
}
