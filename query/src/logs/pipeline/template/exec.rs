//! Executes the tree of a template.

use super::Input;
use super::functions;
use super::parse::{Node, Operand, Pipe};
use super::value::Value;

/// Longest text a template makes, in bytes.
pub(super) const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Most elements all `range` of a template go through.
const STEPS_MAX: usize = 100_000;

pub(super) fn execute(nodes: &[Node], input: &Input<'_>) -> Result<String, String> {
    let mut run = Run { input, out: String::new(), variables: Vec::new(), steps: 0 };
    run.nodes(nodes, &Value::Labels)?;
    Ok(run.out)
}

struct Run<'a> {
    input: &'a Input<'a>,
    out: String,
    variables: Vec<(String, Value)>,
    steps: usize,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let scope = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
            if self.out.len() > OUTPUT_BYTES_MAX {
                return Err(format!("text is longer than {OUTPUT_BYTES_MAX} bytes"));
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.names.is_empty() {
                    if let Value::Labels = value {
                        let labels = self.labels();
                        labels.print(&mut self.out);
                    } else {
                        value.print(&mut self.out);
                    }
                }
            }
            Node::If(branches) => {
                let scope = self.variables.len();
                for (condition, body) in branches {
                    let holds = match condition {
                        Some(pipe) => self.pipe(pipe, dot)?.is_true(),
                        None => true,
                    };
                    if holds {
                        self.nodes(body, dot)?;
                        break;
                    }
                }
                self.variables.truncate(scope);
            }
            Node::With { pipe, body, otherwise } => {
                let scope = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                if value.is_true() {
                    self.nodes(body, &value)?;
                } else {
                    self.nodes(otherwise, dot)?;
                }
                self.variables.truncate(scope);
            }
            Node::Range { pipe, body, otherwise } => self.range(pipe, body, otherwise, dot)?,
        }
        Ok(())
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let bare = Pipe { names: Vec::new(), commands: pipe.commands.clone() };
        let items: Vec<(Value, Value)> = match self.pipe(&bare, dot)? {
            Value::List(items) => (0..).zip(items).map(|(i, item)| (Value::Int(i), item)).collect(),
            Value::Map(fields) => {
                fields.into_iter().map(|(name, value)| (Value::Text(name), value)).collect()
            }
            Value::Labels => match self.labels() {
                Value::Map(fields) => {
                    fields.into_iter().map(|(name, value)| (Value::Text(name), value)).collect()
                }
                _ => Vec::new(),
            },
            Value::Nil => Vec::new(),
            other => return Err(format!("range can't iterate over {}", other.to_text())),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(format!("range goes through more than {STEPS_MAX} elements"));
            }
            let scope = self.variables.len();
            match pipe.names.as_slice() {
                [one] => self.variables.push((one.clone(), item.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), item.clone()));
                }
                _ => {}
            }
            self.nodes(body, &item)?;
            self.variables.truncate(scope);
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut piped = None;
        for command in &pipe.commands {
            piped = Some(self.command(command, piped, dot)?);
        }
        let value = piped.unwrap_or(Value::Nil);
        if let [name] = pipe.names.as_slice() {
            match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                Some((_, old)) => *old = value.clone(),
                None => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Nil) };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.operand(first, dot);
        };
        // These look at their arguments only as far as they must.
        if name == "and" || name == "or" {
            let mut value = Value::Nil;
            for operand in rest {
                value = self.operand(operand, dot)?;
                if value.is_true() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(piped.unwrap_or(value));
        }
        let mut arguments =
            rest.iter().map(|o| self.operand(o, dot)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(piped);
        for argument in &mut arguments {
            if let Value::Labels = argument {
                *argument = self.labels();
            }
        }
        functions::call(name, &arguments, self.input)
            .map_err(|error| format!("error calling {name}: {error}"))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        Ok(match operand {
            Operand::Dot => dot.clone(),
            Operand::Nil => Value::Nil,
            Operand::Bool(value) => Value::Bool(*value),
            Operand::Int(value) => Value::Int(*value),
            Operand::Float(value) => Value::Float(*value),
            Operand::Text(text) => Value::Text(text.clone()),
            Operand::Field(fields) => self.fields(dot.clone(), fields)?,
            Operand::Variable(name, fields) if name.is_empty() => {
                self.fields(Value::Labels, fields)?
            }
            Operand::Variable(name, fields) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                let value = found.map(|(_, value)| value.clone());
                let value = value.ok_or_else(|| format!("undefined variable \"${name}\""))?;
                self.fields(value, fields)?
            }
            Operand::Function(_) => {
                return self.command(std::slice::from_ref(operand), None, dot);
            }
            Operand::Pipe(pipe, fields) => {
                let value = self.pipe(pipe, dot)?;
                self.fields(value, fields)?
            }
        })
    }

    fn fields(&self, mut value: Value, fields: &[String]) -> Result<Value, String> {
        for field in fields {
            value = match value {
                // A label that is missing is empty.
                Value::Labels => Value::text(self.input.labels.text_of(field)),
                Value::Map(mut map) => map.remove(field).unwrap_or(Value::Nil),
                Value::Nil => Value::Nil,
                other => {
                    return Err(format!("can't evaluate field {field} in type {}", other.kind()));
                }
            };
        }
        Ok(value)
    }

    fn labels(&self) -> Value {
        let labels = self.input.labels.all();
        Value::Map(labels.map(|(n, v)| (n.to_owned(), Value::text(v))).collect())
    }
}
