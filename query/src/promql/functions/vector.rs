//! Functions that need all series of a vector at once.

use super::notes::Notes;
use super::{Function, FunctionError, histogram_vector, labels, sort};
use crate::promql::exec::batch::StepSeries;

/// An argument that is no vector.
#[derive(Clone, Debug)]
pub enum VectorArg {
    /// A scalar, one number a step.
    Numbers(Vec<f64>),
    /// A text.
    Text(String),
}

/// What kind of query asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// At one time; the order of results counts.
    Instant,
    /// At several; results are ordered by labels whatever a function does.
    Range,
}

/// A call of a function of whole vectors.
#[derive(Clone, Copy, Debug)]
pub struct VectorCall<'a> {
    /// Which: `label_replace`, `label_join`, `sort…`, `histogram_quantile(s)`,
    /// `histogram_fraction`.
    pub function: Function,
    /// All arguments but the vector, in order.
    pub args: &'a [VectorArg],
    /// Number of steps.
    pub step_count: usize,
    /// What kind of query asks.
    pub kind: QueryKind,
}

impl VectorCall<'_> {
    /// The text that is argument `index` of those without the vector.
    pub(super) fn text(&self, index: usize) -> Result<&str, FunctionError> {
        match self.args.get(index) {
            Some(VectorArg::Text(text)) => Ok(text),
            _ => Err(self.wrong_argument(index)),
        }
    }

    /// The numbers that are argument `index` of those without the vector.
    pub(super) fn numbers(&self, index: usize) -> Result<&[f64], FunctionError> {
        match self.args.get(index) {
            Some(VectorArg::Numbers(numbers)) => Ok(numbers),
            _ => Err(self.wrong_argument(index)),
        }
    }

    /// All texts from argument `index` on.
    pub(super) fn texts(&self, index: usize) -> impl Iterator<Item = &str> {
        self.args.iter().skip(index).filter_map(|arg| match arg {
            VectorArg::Text(text) => Some(text.as_str()),
            VectorArg::Numbers(_) => None,
        })
    }

    /// Cannot happen to a query that was type-checked.
    fn wrong_argument(&self, index: usize) -> FunctionError {
        FunctionError(format!("{}: argument {index} is of another type", self.function.name()))
    }
}

/// Evaluates the call over `series`. Series whose labels become equal are for the caller to merge.
///
/// # Errors
/// If an argument is not valid, with the text for the user.
pub fn call_vector(
    call: &VectorCall<'_>,
    mut series: Vec<StepSeries>,
    notes: &mut Notes,
) -> Result<Vec<StepSeries>, FunctionError> {
    match call.function {
        Function::LabelReplace => labels::replace(call, &mut series)?,
        Function::LabelJoin => labels::join(call, &mut series)?,
        Function::Sort | Function::SortDesc => sort::by_value(call, &mut series, notes),
        Function::SortByLabel | Function::SortByLabelDesc => {
            sort::by_label(call, &mut series, notes)?;
        }
        Function::HistogramQuantile => return histogram_vector::quantile(call, &series, notes),
        Function::HistogramQuantiles => return histogram_vector::quantiles(call, &series, notes),
        Function::HistogramFraction => return histogram_vector::fraction(call, &series, notes),
        function => {
            return Err(FunctionError(format!("{} is no function of vectors", function.name())));
        }
    }
    Ok(series)
}
