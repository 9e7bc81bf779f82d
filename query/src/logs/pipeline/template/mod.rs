//! Go's templates, as far as log queries use them: pipelines, variables, `if`, `range`, `with`, and
//! the functions Loki has. Named templates are not supported.

mod exec;
mod functions;
mod json_value;
mod parse;
mod text_functions;
mod time;
mod value;

use super::state::EntryState;

/// What a template sees.
pub(super) struct Input<'a> {
    pub(super) timestamp_ns: i64,
    pub(super) line: &'a [u8],
    pub(super) labels: &'a EntryState,
}

/// A parsed template.
#[derive(Debug)]
pub(super) struct Template {
    name: &'static str,
    nodes: Vec<parse::Node>,
    /// Names of labels it looks at.
    fields: Vec<String>,
}

impl Template {
    pub(super) fn new(name: &'static str, text: &str) -> Result<Self, String> {
        let nodes = parse::parse(text).map_err(|error| format!("template: {name}:1: {error}"))?;
        let mut fields = Vec::new();
        parse::fields_of(&nodes, &mut fields);
        Ok(Self { name, nodes, fields })
    }

    /// The text it makes of an entry.
    pub(super) fn execute(&self, input: &Input<'_>) -> Result<String, String> {
        exec::execute(&self.nodes, input).map_err(|error| {
            format!("template: {}:1: executing \"{}\": {error}", self.name, self.name)
        })
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(String::as_str)
    }
}
