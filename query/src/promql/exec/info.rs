//! `info`: adds labels of info series (`target_info` and its kind) to series of the same job and
//! instance.
//!
//! Info series are looked at when the series they are joined to are. Of several of one name the one
//! with the newest sample counts; what two of different names say about a label must agree.

use ephemeris_model::{Labels, METRIC_NAME, MatchOp, Matcher, SampleBuffer, SeriesSet, is_stale};
use rustc_hash::FxHashMap;

use super::batch::StepSeries;
use super::held::Held;
use super::key::{KeyLabels, Keys, Name};
use super::read::{Visit, read_all};
use super::{Context, lookback, merge};
use crate::promql::ast::{Extension, Position};
use crate::promql::error::QueryError;
use crate::promql::functions::Notes;
use crate::promql::plan::{Give, Grid, Info, Samples, Selector, Times};

/// Labels that say which target a series is from.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// An info series: its labels, and the time of its newest sample at each step.
struct InfoSeries {
    labels: Labels,
    newest: Vec<f64>,
}

/// Evaluates `info`.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Info,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let base = context.vector(&node.input, grid)?;
    if base.is_empty() {
        return Ok(base);
    }
    let matchers = with_positive_name(&node.matchers);
    let infos = read_infos(context, node, &matchers, grid)?;
    let mut keys = Keys::new(KeyLabels::Only(IDENTIFYING.map(str::to_owned).to_vec()));
    let mut by_key: FxHashMap<usize, Vec<&InfoSeries>> = FxHashMap::default();
    for info in &infos {
        by_key.entry(keys.number(&info.labels, Name::Visible)).or_default().push(info);
    }
    let wanted = Wanted::new(&matchers);
    let mut output = Vec::new();
    for series in base.into_inner() {
        context.budget.check()?;
        let name = series.labels.metric_name();
        if name.is_some_and(|name| is_info(&matchers, name)) {
            output.push(series);
            continue;
        }
        let key = keys.number(&series.labels, Name::Visible);
        let empty = keys.labels()[key].is_empty();
        let partners = by_key.get(&key).filter(|_| !empty).map_or(&[][..], Vec::as_slice);
        enrich(&series, partners, &wanted, &mut output)?;
    }
    output.retain(|series| !series.is_empty());
    context.hold(merge::same_labels(output, merge::Overlap::PerStep)?)
}

/// The matchers; where none says which names to take, names that end in `_info` are meant.
fn with_positive_name(matchers: &[Matcher]) -> Vec<Matcher> {
    let positive = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Regex);
    let mut all = matchers.to_vec();
    if !all.iter().any(|m| m.name == METRIC_NAME && positive(m)) {
        all.extend(Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info"));
    }
    all
}

/// Whether a series of this name is an info series itself.
fn is_info(matchers: &[Matcher], name: &str) -> bool {
    matchers.iter().filter(|m| m.name == METRIC_NAME).all(|m| m.matches(name))
}

/// What of info series is wanted.
struct Wanted {
    /// Only these labels; all if none is named.
    names: Vec<String>,
    /// Series without a fitting info series stay as they are.
    keeps_unmatched: bool,
}

impl Wanted {
    fn new(matchers: &[Matcher]) -> Self {
        let data = || matchers.iter().filter(|m| m.name != METRIC_NAME);
        Self {
            names: data().map(|m| m.name.clone()).collect(),
            keeps_unmatched: data().all(Matcher::matches_empty),
        }
    }

    fn takes(&self, label: &str) -> bool {
        label != METRIC_NAME
            && !IDENTIFYING.contains(&label)
            && (self.names.is_empty() || self.names.iter().any(|n| n == label))
    }
}

/// Adds to `output` the series with the labels it has at each step.
fn enrich(
    series: &StepSeries,
    partners: &[&InfoSeries],
    wanted: &Wanted,
    output: &mut Vec<StepSeries>,
) -> Result<(), QueryError> {
    let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
    for step in 0..series.values.len() {
        let Some(point) = series.point(step) else { continue };
        let chosen = newest_of_each_name(partners, step)?;
        let labels = if !chosen.is_empty() {
            joined(&series.labels, &chosen, wanted)?
        } else if wanted.keeps_unmatched {
            series.labels.clone()
        } else {
            continue;
        };
        let place = *places.entry(labels).or_insert_with_key(|labels| {
            let blank = StepSeries::absent(labels.clone(), series.values.len());
            output.push(StepSeries { drop_name: series.drop_name, ..blank });
            output.len() - 1
        });
        output[place].set(step, Some(point));
    }
    Ok(())
}

/// Of the info series with a sample at `step`, for each name the one with the newest.
fn newest_of_each_name<'i>(
    partners: &[&'i InfoSeries],
    step: usize,
) -> Result<Vec<&'i InfoSeries>, QueryError> {
    let mut chosen: Vec<&InfoSeries> = Vec::new();
    for info in partners.iter().copied().filter(|info| !is_stale(info.newest[step])) {
        let name = info.labels.metric_name();
        let Some(known) = chosen.iter_mut().find(|c| c.labels.metric_name() == name) else {
            chosen.push(info);
            continue;
        };
        let (time, best) = (info.newest[step], known.newest[step]);
        if time == best {
            return Err(QueryError::execution(format!(
                "found duplicate series for info metric: existing {} @ {best}, new {} @ {time}",
                known.labels, info.labels
            )));
        }
        if time > best {
            *known = info;
        }
    }
    Ok(chosen)
}

/// The labels of a series with those of its info series; its own are not overwritten.
fn joined(base: &Labels, infos: &[&InfoSeries], wanted: &Wanted) -> Result<Labels, QueryError> {
    let mut added: Vec<(&str, &str)> = Vec::new();
    for info in infos {
        for (name, value) in info.labels.iter().filter(|(name, _)| wanted.takes(name)) {
            if base.get(name).is_some() {
                continue;
            }
            match added.iter().find(|(known, _)| *known == name) {
                Some((_, other)) if *other != value => {
                    return Err(QueryError::execution(format!("conflicting label: {name}")));
                }
                Some(_) => {}
                None => added.push((name, value)),
            }
        }
    }
    let mut builder = base.to_builder();
    for (name, value) in added {
        builder.set(name, value);
    }
    Ok(builder.build())
}

/// Reads the info series of one stripe.
struct Reader<'p> {
    selector: &'p Selector,
    grid: Grid,
    found: Vec<InfoSeries>,
}

impl Visit for Reader<'_> {
    fn series(
        &mut self,
        set: &dyn SeriesSet,
        index: usize,
        samples: &SampleBuffer,
    ) -> Result<(), QueryError> {
        let mut out = StepSeries::absent(set.labels(index), self.grid.count);
        let mut notes = Notes::default();
        let value = Selector { give: Give::Value, ..self.selector.clone() };
        lookback::fill(&value, &self.grid, samples, &mut out, &mut notes);
        if out.histograms.iter().any(Option::is_some) {
            return Err(QueryError::execution("this should be an info metric, with float samples"));
        }
        if out.is_empty() {
            return Ok(());
        }
        lookback::fill(self.selector, &self.grid, samples, &mut out, &mut notes);
        self.found.push(InfoSeries { labels: out.labels, newest: out.values });
        Ok(())
    }
}

fn read_infos(
    context: &Context<'_>,
    node: &Info,
    matchers: &[Matcher],
    grid: &Grid,
) -> Result<Vec<InfoSeries>, QueryError> {
    let samples = Samples {
        matchers: matchers.to_vec(),
        times: Times { ..node.times },
        range_ms: node.lookback_ms,
        extension: Extension::None,
        stats_only: false,
    };
    let (first, last) = samples.times.bounds(grid);
    let first = first.saturating_sub(node.lookback_ms).saturating_add(1);
    let set = context.select(&samples, (first, last))?;
    let selector = Selector { samples, give: Give::Timestamp, position: Position::default() };
    let make = || Reader { selector: &selector, grid: *grid, found: Vec::new() };
    let readers = read_all(context, &*set, &make)?;
    let mut infos: Vec<InfoSeries> = readers.into_iter().flat_map(|r| r.found).collect();
    infos.sort_by(|a, b| a.labels.cmp(&b.labels));
    context.budget.admit((infos.len() as u64).saturating_mul(grid.count as u64))?;
    Ok(infos)
}
