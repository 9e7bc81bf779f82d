//! Operators between two vectors that compute: series are matched by a key, then sample by sample.

use ephemeris_model::{Labels, is_stale};
use rustc_hash::{FxHashMap, FxHashSet};

use super::arithmetic::{self, Computed, OperatorNotes, points};
use super::batch::{Point, StepSeries};
use super::held::{Held, floats};
use super::key::{KeyLabels, Keys, is_reserved, without_name};
use super::{Context, merge};
use crate::budget::Load;
use crate::promql::ast::{Cardinality, VectorMatching};
use crate::promql::error::QueryError;
use crate::promql::plan::{Grid, Join, Side};

/// The labels `on` or `ignoring` match by.
pub(super) fn match_labels(matching: &VectorMatching) -> KeyLabels {
    if matching.on {
        KeyLabels::Only(matching.labels.clone())
    } else {
        KeyLabels::AllBut(matching.labels.clone())
    }
}

/// Series with one key, by their place in each side.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// Evaluates an operator between vectors, of which the left one is there.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Join,
    lhs: Held<'a>,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let matching = &node.matching;
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    let rhs = context.vector(&node.rhs, grid)?;
    let many_side = match matching.cardinality {
        Cardinality::OneToMany => Side::Right,
        _ => Side::Left,
    };
    let (many, one) = match many_side {
        Side::Left => (&lhs, &rhs),
        Side::Right => (&rhs, &lhs),
    };
    let mut keys = Keys::new(match_labels(matching));
    let mut groups: Vec<Group> = Vec::new();
    for (series, side) in [(many, Side::Left), (one, Side::Right)] {
        for (at, series) in series.iter().enumerate() {
            let number = keys.number(&series.labels, context.name_of(series));
            if number == groups.len() {
                groups.push(Group::default());
            }
            match side {
                Side::Left => groups[number].many.push(at),
                Side::Right => groups[number].one.push(at),
            }
        }
    }
    let mut joiner = Joiner {
        context,
        node,
        steps: grid.count,
        many,
        one,
        many_side,
        // Without fill values nothing can match where a side is empty, so nothing is wrong there.
        live: live_steps(many, one, fills, grid.count),
        notes: OperatorNotes::default(),
        output: Vec::new(),
        held: Load::default(),
    };
    for (key, group) in keys.labels().iter().zip(&groups) {
        context.budget.check()?;
        joiner.join(key, group)?;
    }
    let Joiner { mut output, notes, held, .. } = joiner;
    notes.annotate(context, node.position);
    drop((lhs, rhs));
    context.budget.release(held);
    output.retain(|series| !series.is_empty());
    context.hold(merge::same_labels(output, merge::Overlap::PerStep)?)
}

/// The steps at which both sides have a sample; all steps if missing ones are filled in.
fn live_steps(many: &[StepSeries], one: &[StepSeries], fills: bool, steps: usize) -> Vec<bool> {
    if fills {
        return vec![true; steps];
    }
    let any = |side: &[StepSeries], step| side.iter().any(|s| has_sample(s, step));
    (0..steps).map(|step| any(many, step) && any(one, step)).collect()
}

fn has_sample(series: &StepSeries, step: usize) -> bool {
    !is_stale(series.values[step]) || matches!(series.histograms.get(step), Some(Some(_)))
}

struct Joiner<'j, 'a> {
    context: &'j Context<'a>,
    node: &'j Join,
    steps: usize,
    many: &'j [StepSeries],
    one: &'j [StepSeries],
    /// Which side of the operator the "many" are.
    many_side: Side,
    live: Vec<bool>,
    notes: OperatorNotes,
    output: Vec<StepSeries>,
    held: Load,
}

impl Joiner<'_, '_> {
    fn join(&mut self, key: &Labels, group: &Group) -> Result<(), QueryError> {
        let matching = &self.node.matching;
        // Upstream's fill values belong to the sides as matched, not as written: `fill_left` is
        // for the "many", also of `group_right`.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        if let ([one], None, None) = (&group.one[..], fill_many, fill_one)
            && self.join_columns(key, &group.many, *one)?
        {
            return Ok(());
        }
        let no_partner = (group.one.is_empty() && fill_one.is_none())
            || (group.many.is_empty() && fill_many.is_none());
        if no_partner && group.one.len() < 2 {
            return Ok(());
        }
        let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
        let mut pairs: FxHashMap<(Option<usize>, Option<usize>), usize> = FxHashMap::default();
        for step in (0..self.steps).filter(|step| self.live[*step]).collect::<Vec<_>>() {
            let one = self.only_one(key, &group.one, step)?;
            if one.is_none() && fill_one.is_none() {
                continue;
            }
            let mut matched = false;
            let present = group.many.iter().filter(|at| has_sample(&self.many[**at], step));
            let mut partners: Vec<Option<usize>> = present.map(|at| Some(*at)).collect();
            if partners.is_empty() && one.is_some() && fill_many.is_some() {
                partners.push(None);
            }
            for many in partners {
                let value = |side: &[StepSeries], at: Option<usize>, fill: Option<f64>| match at {
                    Some(at) => side[at].point(step),
                    None => fill.map(Point::Float),
                };
                let (Some(x), Some(y)) =
                    (value(self.many, many, fill_many), value(self.one, one, fill_one))
                else {
                    continue;
                };
                let Some(point) = self.compute(&x, &y) else { continue };
                let place = match pairs.get(&(many, one)) {
                    Some(place) => *place,
                    None => {
                        let place = self.place(key, (many, one), &mut places)?;
                        pairs.insert((many, one), place);
                        place
                    }
                };
                self.insert(place, step, point, &mut matched)?;
            }
        }
        Ok(())
    }

    /// The usual case: one series on the "one" side, no histograms, and results that differ in
    /// their labels. False, and nothing done, if it is not that case.
    fn join_columns(
        &mut self,
        key: &Labels,
        many: &[usize],
        one: usize,
    ) -> Result<bool, QueryError> {
        let op = self.node.op;
        let one_to_one = self.node.matching.cardinality == Cardinality::OneToOne;
        let plain = |series: &StepSeries| series.histograms.is_empty();
        if (one_to_one && many.len() > 1)
            || !(op.is_comparison() || arithmetic::arithmetic(op).is_some())
            || !plain(&self.one[one])
            || !many.iter().all(|at| plain(&self.many[*at]))
        {
            return Ok(false);
        }
        let results: Vec<(Labels, bool)> =
            many.iter().map(|at| self.result_labels(key, (Some(*at), Some(one)))).collect();
        if many.len() > 1 {
            let mut seen = FxHashSet::default();
            if !results.iter().all(|(labels, _)| seen.insert(labels)) {
                return Ok(false);
            }
        }
        for (at, (labels, drop_name)) in many.iter().zip(results) {
            self.hold_one()?;
            let mut out = StepSeries::absent(labels, self.steps);
            out.drop_name = drop_name;
            let (x, y) = (&self.many[*at].values, &self.one[one].values);
            let (lhs, rhs) = match self.many_side {
                Side::Left => (x, y),
                Side::Right => (y, x),
            };
            arithmetic::columns(op, (lhs, rhs), self.node.return_bool, &mut out.values);
            self.output.push(out);
        }
        Ok(true)
    }

    /// Counts one more series of output.
    fn hold_one(&mut self) -> Result<(), QueryError> {
        let load = floats(self.steps);
        self.held += load;
        Ok(self.context.budget.hold(load)?)
    }

    /// The series of the "one" side that has a sample at `step`.
    fn only_one(
        &self,
        key: &Labels,
        candidates: &[usize],
        step: usize,
    ) -> Result<Option<usize>, QueryError> {
        let mut present = candidates.iter().copied().filter(|at| has_sample(&self.one[*at], step));
        let first = present.next();
        let (Some(first_at), Some(second_at)) = (first, present.next()) else { return Ok(first) };
        let mut pair = [&self.one[first_at].labels, &self.one[second_at].labels];
        pair.sort();
        let side = match self.many_side {
            Side::Left => "right",
            Side::Right => "left",
        };
        Err(QueryError::execution(format!(
            "found duplicate series for the match group {key} on the {side} hand-side of the \
             operation: [{}, {}];many-to-many matching not allowed: matching labels must be \
             unique on one side",
            pair[0], pair[1]
        )))
    }

    /// The result for a sample of the "many" and one of the "one" side.
    fn compute(&mut self, many: &Point, one: &Point) -> Option<Point> {
        let computed = match self.many_side {
            Side::Left => points(self.node.op, many, one, &mut self.notes),
            Side::Right => points(self.node.op, one, many, &mut self.notes),
        };
        match computed {
            Computed::Undefined => None,
            Computed::Value(_) if self.node.return_bool => Some(Point::Float(1.0)),
            Computed::Unequal if self.node.return_bool => Some(Point::Float(0.0)),
            Computed::Unequal => None,
            Computed::Value(value) => Some(value),
        }
    }

    /// Where in the output the results of a pair go.
    fn place(
        &mut self,
        key: &Labels,
        (many, one): (Option<usize>, Option<usize>),
        places: &mut FxHashMap<Labels, usize>,
    ) -> Result<usize, QueryError> {
        let (labels, drop_name) = self.result_labels(key, (many, one));
        if let Some(place) = places.get(&labels) {
            return Ok(*place);
        }
        self.hold_one()?;
        let place = self.output.len();
        places.insert(labels.clone(), place);
        self.output.push(StepSeries { drop_name, ..StepSeries::absent(labels, self.steps) });
        Ok(place)
    }

    /// The labels of the results of a pair, and whether the name among them is to go.
    fn result_labels(
        &self,
        key: &Labels,
        (many, one): (Option<usize>, Option<usize>),
    ) -> (Labels, bool) {
        let many = many.map(|at| &self.many[at]);
        let one = one.map_or(key, |at| &self.one[at].labels);
        let mut labels = self.labels(many.map_or(key, |series| &series.labels), one);
        let delayed = self.context.options.delayed_name_removal;
        if self.node.return_bool && !delayed {
            labels = without_name(&labels);
        }
        let drops = self.node.return_bool || many.is_some_and(|series| series.drop_name);
        let drop_name = drops && delayed && labels.metric_name().is_some();
        (labels, drop_name)
    }

    /// The labels of a result: those of the "many" side, plus what `group_*` takes over.
    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.node.matching;
        let computes = arithmetic::arithmetic(self.node.op).is_some();
        let kept = |label: &str| {
            if computes && is_reserved(label) {
                return false;
            }
            let matched = matching.labels.iter().any(|l| l == label);
            matching.cardinality != Cardinality::OneToOne || matched == matching.on
        };
        let base = Labels::from_sorted(many.iter().filter(|(label, _)| kept(label)));
        if matching.include.is_empty() {
            return base;
        }
        let mut builder = base.to_builder();
        for label in &matching.include {
            // An empty value removes the label.
            builder.set(label.as_str(), one.get(label).unwrap_or_default());
        }
        builder.build()
    }

    fn insert(
        &mut self,
        place: usize,
        step: usize,
        point: Point,
        matched: &mut bool,
    ) -> Result<(), QueryError> {
        let one_to_one = self.node.matching.cardinality == Cardinality::OneToOne;
        if one_to_one && std::mem::replace(matched, true) {
            return Err(QueryError::execution(
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)",
            ));
        }
        let series = &mut self.output[place];
        if has_sample(series, step) {
            return Err(QueryError::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        series.set(step, Some(point));
        Ok(())
    }
}
