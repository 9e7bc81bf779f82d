//! Pipelines: what happens to an entry between the store and the answer.
//!
//! | file | holds |
//! |---|---|
//! | `state` | labels of the entry at hand |
//! | `hints` | which labels a metric query needs |
//! | `line_filter`, `pattern`, `ip` | filters on lines |
//! | `label_filter` | filters on labels |
//! | `json*`, `logfmt*`, `capture_stage`, `names` | parsers |
//! | `format_stage`, `template` | formats |
//! | `pick_stage` | `drop`, `keep`, `decolorize` |

mod capture_stage;
mod format_stage;
mod hints;
mod ip;
mod json;
mod json_path;
mod json_stage;
mod label_filter;
mod line_filter;
mod logfmt;
mod logfmt_stage;
mod names;
mod pattern;
mod pick_stage;
mod state;
mod template;

use std::borrow::Cow;

use capture_stage::RegexParser;
use ephemeris_model::{LabelHint, LineMatch, LineSearch, LineSearches};
use format_stage::CompiledLabelFormat;
pub(super) use hints::Hints;
use json_stage::JsonExpressions;
pub(super) use json_stage::flat_fields as json_fields;
use label_filter::CompiledLabelFilter;
use line_filter::CompiledLineFilter;
use logfmt_stage::LogfmtExpressions;
use pattern::CapturePattern;
pub(super) use state::{Category, ERROR, ERROR_DETAILS, EntryState};
use template::Template;

use super::ast::{LabelPick, LogfmtFlags, Stage};

/// Compiled stages.
#[derive(Debug)]
pub(super) struct Pipeline {
    stages: Vec<CompiledStage>,
}

#[derive(Debug)]
enum CompiledStage {
    Line(CompiledLineFilter),
    Json,
    JsonExpressions(JsonExpressions),
    Logfmt(LogfmtFlags),
    LogfmtExpressions(LogfmtExpressions),
    Regexp(RegexParser),
    Pattern(CapturePattern),
    Unpack,
    Label(CompiledLabelFilter),
    LineFormat(Template),
    LabelFormat(Vec<CompiledLabelFormat>),
    Decolorize,
    Drop(Vec<LabelPick>),
    Keep(Vec<LabelPick>),
}

impl Pipeline {
    pub(super) fn new(stages: &[Stage]) -> Result<Self, String> {
        stages.iter().map(compile).collect::<Result<_, _>>().map(|stages| Self { stages })
    }

    /// Runs an entry, whose labels are in `state`, through all stages. Nothing is left if a filter
    /// drops it, else its line.
    pub(super) fn process<'a>(
        &self,
        timestamp_ns: i64,
        line: &'a [u8],
        state: &mut EntryState,
        hints: &Hints,
    ) -> Option<Cow<'a, [u8]>> {
        let mut line = Cow::Borrowed(line);
        for stage in &self.stages {
            let replaced = match stage {
                CompiledStage::Line(filter) => {
                    if !filter.keeps(&line) {
                        return None;
                    }
                    None
                }
                CompiledStage::Label(filter) => {
                    if !filter.keeps(state) {
                        return None;
                    }
                    None
                }
                other => other.apply(timestamp_ns, &line, state, hints),
            };
            if let Some(replaced) = replaced {
                line = Cow::Owned(replaced);
            }
        }
        Some(line)
    }

    /// Whether all it does is drop entries whose labels do not match.
    pub(super) fn matches_labels_only(&self) -> bool {
        let is_match =
            |stage: &CompiledStage| matches!(stage, CompiledStage::Label(f) if f.is_match());
        self.stages.iter().all(is_match)
    }

    /// Whether it reads or changes lines.
    pub(super) fn uses_lines(&self) -> bool {
        let labels_only = |stage: &CompiledStage| {
            matches!(
                stage,
                CompiledStage::Label(_) | CompiledStage::Drop(_) | CompiledStage::Keep(_)
            )
        };
        !self.stages.iter().all(labels_only)
    }

    /// What the lines of all entries it keeps fulfil, for a store to evaluate. Stages that do nothing
    /// else are taken out, so that only entries which fulfil all of this may be run through it.
    pub(super) fn take_filters(&mut self) -> LineSearches {
        let mut filters = Vec::new();
        let is_same_line = |stage: &CompiledStage| {
            !matches!(
                stage,
                CompiledStage::LineFormat(_) | CompiledStage::Unpack | CompiledStage::Decolorize
            )
        };
        let count = self.stages.iter().take_while(|stage| is_same_line(stage)).count();
        let changing = self.stages.split_off(count);
        // A filter drops the same entries before and behind stages that leave the line as it is.
        for stage in std::mem::take(&mut self.stages) {
            match stage {
                CompiledStage::Line(CompiledLineFilter::Search(search)) => filters.push(search),
                stage => {
                    if let CompiledStage::Line(filter) = &stage {
                        filters.extend(filter.implied());
                    }
                    self.stages.push(stage);
                }
            }
        }
        self.stages.extend(changing);
        LineSearches::new(filters)
    }

    /// What the lines of entries it keeps fulfil, if a label is read from them: it is equal to a text,
    /// so the text is in the line, or an escape that may stand for some of it.
    pub(super) fn label_hints(&self) -> Vec<LabelHint> {
        let mut hints = Vec::new();
        for stage in &self.stages {
            match stage {
                CompiledStage::Label(filter) => filter.texts(&mut |name, text| {
                    let texts = [text.to_owned(), "\\".to_owned()];
                    let line = LineSearch::new(LineMatch::Contains, &texts);
                    hints.extend(line.map(|line| LabelHint { name: name.to_owned(), line }));
                }),
                CompiledStage::Line(_)
                | CompiledStage::Logfmt(_)
                | CompiledStage::LogfmtExpressions(_) => {}
                _ => break,
            }
        }
        hints
    }

    /// Whether it makes or changes texts of all labels there are.
    pub(super) fn formats(&self) -> bool {
        let is_format = |stage: &CompiledStage| {
            matches!(stage, CompiledStage::LineFormat(_) | CompiledStage::LabelFormat(_))
        };
        self.stages.iter().any(is_format)
    }

    /// Names of labels its stages look at.
    pub(super) fn label_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for stage in &self.stages {
            match stage {
                CompiledStage::Label(filter) => filter.names(&mut names),
                CompiledStage::LineFormat(template) => names.extend(template.fields()),
                CompiledStage::LabelFormat(formats) => {
                    for format in formats {
                        match format {
                            CompiledLabelFormat::Rename { from, .. } => names.push(from),
                            CompiledLabelFormat::Template { template, .. } => {
                                names.extend(template.fields());
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        names
    }
}

impl CompiledStage {
    /// Applies a stage that drops nothing; gives the new line if there is one.
    fn apply(
        &self,
        timestamp_ns: i64,
        line: &[u8],
        state: &mut EntryState,
        hints: &Hints,
    ) -> Option<Vec<u8>> {
        match self {
            Self::Json => json_stage::parse_all(line, state, hints),
            Self::JsonExpressions(expressions) => expressions.parse(line, state, hints),
            Self::Logfmt(flags) => logfmt_stage::parse_all(line, *flags, state, hints),
            Self::LogfmtExpressions(expressions) => expressions.parse(line, state, hints),
            Self::Regexp(parser) => parser.parse(line, state, hints),
            Self::Pattern(pattern) => capture_stage::parse_pattern(pattern, line, state, hints),
            Self::LabelFormat(formats) => {
                format_stage::format_labels(formats, timestamp_ns, line, state);
            }
            Self::Drop(picks) => pick_stage::drop_labels(picks, state),
            Self::Keep(picks) => pick_stage::keep_labels(picks, state),
            Self::Unpack => {
                return json_stage::unpack(line, state, hints).map(String::into_bytes);
            }
            Self::LineFormat(template) => {
                let line = format_stage::format_line(template, timestamp_ns, line, state);
                return line.map(String::into_bytes);
            }
            Self::Decolorize => return pick_stage::decolorize(line),
            Self::Line(_) | Self::Label(_) => {}
        }
        None
    }
}

fn compile(stage: &Stage) -> Result<CompiledStage, String> {
    Ok(match stage {
        Stage::Line(filter) => CompiledStage::Line(CompiledLineFilter::new(filter)?),
        Stage::Json(extractions) if extractions.is_empty() => CompiledStage::Json,
        Stage::Json(extractions) => {
            CompiledStage::JsonExpressions(JsonExpressions::new(extractions)?)
        }
        Stage::Logfmt { flags, extractions } if extractions.is_empty() => {
            CompiledStage::Logfmt(*flags)
        }
        Stage::Logfmt { flags, extractions } => {
            CompiledStage::LogfmtExpressions(LogfmtExpressions::new(*flags, extractions)?)
        }
        Stage::Regexp(pattern) => CompiledStage::Regexp(
            RegexParser::new(pattern).map_err(|error| format!("invalid regexp parser: {error}"))?,
        ),
        Stage::Pattern(pattern) => CompiledStage::Pattern(
            CapturePattern::new(pattern)
                .map_err(|error| format!("invalid pattern parser: {error}"))?,
        ),
        Stage::Unpack => CompiledStage::Unpack,
        Stage::Label(filter) => CompiledStage::Label(CompiledLabelFilter::new(filter)?),
        Stage::LineFormat(text) => CompiledStage::LineFormat(
            Template::new("line", text)
                .map_err(|error| format!("invalid line template: {error}"))?,
        ),
        Stage::LabelFormat(formats) => {
            CompiledStage::LabelFormat(format_stage::compile_label_formats(formats)?)
        }
        Stage::Decolorize => CompiledStage::Decolorize,
        Stage::Drop(picks) => CompiledStage::Drop(picks.clone()),
        Stage::Keep(picks) => CompiledStage::Keep(picks.clone()),
    })
}

/// A parser could not read the line.
fn fail_parse(state: &mut EntryState, hints: &Hints, error: &str, details: &str) {
    state.fail(error, details);
    if hints.preserves_error() {
        state.preserve_error();
    }
}
