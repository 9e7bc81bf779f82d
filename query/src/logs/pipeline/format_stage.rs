//! `line_format` and `label_format`.

use super::state::{Category, ERROR, EntryState};
use super::template::{Input, Template};
use crate::logs::ast::{FormatValue, LabelFormat};

/// The error of an entry a template cannot be applied to.
const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// The line a template gives; the line stays if it gives none.
pub(super) fn format_line(
    template: &Template,
    timestamp_ns: i64,
    line: &[u8],
    state: &mut EntryState,
) -> Option<String> {
    let input = Input { timestamp_ns, line, labels: state };
    match template.execute(&input) {
        Ok(text) => Some(text),
        Err(error) => {
            state.fail(TEMPLATE_ERROR, &error);
            None
        }
    }
}

/// A label that is set.
#[derive(Debug)]
pub(super) enum CompiledLabelFormat {
    Rename { from: String, to: String },
    Template { name: String, template: Template },
}

/// Compiles the parts of a `label_format`.
pub(super) fn compile_label_formats(
    formats: &[LabelFormat],
) -> Result<Vec<CompiledLabelFormat>, String> {
    let mut names: Vec<&str> = Vec::new();
    let mut compiled = Vec::new();
    for LabelFormat { name, value } in formats {
        if name == ERROR {
            return Err(format!("{name} cannot be formatted"));
        }
        if names.contains(&name.as_str()) {
            return Err(format!(
                "multiple label name '{name}' not allowed in a single format operation"
            ));
        }
        names.push(name);
        compiled.push(match value {
            FormatValue::Rename(from) => {
                CompiledLabelFormat::Rename { from: from.clone(), to: name.clone() }
            }
            FormatValue::Template(text) => {
                let template = Template::new("label", text)
                    .map_err(|error| format!("invalid template for label '{name}': {error}"))?;
                CompiledLabelFormat::Template { name: name.clone(), template }
            }
        });
    }
    Ok(compiled)
}

/// Sets labels, one after the other; templates see the labels as they were before the first.
pub(super) fn format_labels(
    formats: &[CompiledLabelFormat],
    timestamp_ns: i64,
    line: &[u8],
    state: &mut EntryState,
) {
    let mut before: Option<EntryState> = None;
    for format in formats {
        match format {
            CompiledLabelFormat::Rename { from, to } => {
                let found = state.get_with_category(from);
                let Some((value, category)) = found.map(|(v, c)| (v.to_owned(), c)) else {
                    continue;
                };
                state.set(category, to, &value);
                if from != to {
                    state.delete(from);
                }
            }
            CompiledLabelFormat::Template { name, template } => {
                let result = {
                    let labels = before.get_or_insert_with(|| state.clone());
                    template.execute(&Input { timestamp_ns, line, labels })
                };
                match result {
                    Ok(text) => state.set(Category::Parsed, name, &text),
                    Err(error) => state.fail(TEMPLATE_ERROR, &error),
                }
            }
        }
    }
}
