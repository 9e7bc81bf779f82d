//! `info`: gives series the labels of info metrics that describe the same target.

use ephemeris_model::{Labels, METRIC_NAME, MatchOp, Matcher, is_stale};
use rustc_hash::{FxHashMap, FxHashSet};

use super::FunctionError;
use crate::promql::exec::batch::StepSeries;

/// The info metric if none is named.
const TARGET_INFO: &str = "target_info";
/// Names of info metrics, where only names to leave out are given.
const INFO_NAMES: &str = ".+_info";
/// Labels that identify a target.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// Longest list of targets to select by, in bytes; with more, all targets are read.
const TARGET_PATTERN_BYTES_MAX: usize = 32 << 10;

/// An info metric's series: when its newest sample was taken, as seen from each step.
#[derive(Clone, Debug)]
pub struct InfoSeries {
    /// Its labels.
    pub labels: Labels,
    /// Milliseconds since the epoch, one per step; none where the series has no sample.
    pub sample_times: Vec<Option<i64>>,
    /// A sample at some step is a histogram.
    pub has_histogram: bool,
}

/// A call of `info`.
#[derive(Clone, Debug)]
pub struct InfoCall {
    /// Which metrics are info metrics.
    names: Vec<Matcher>,
    /// Which of their labels are wanted, and with which values.
    data: Vec<Matcher>,
}

impl InfoCall {
    /// A call with the matchers of its second argument, if it has one.
    #[must_use]
    pub fn new(matchers: &[Matcher]) -> Self {
        let is_name = |matcher: &&Matcher| matcher.name == METRIC_NAME;
        let mut names: Vec<Matcher> = matchers.iter().filter(is_name).cloned().collect();
        let data = matchers.iter().filter(|matcher| !is_name(matcher)).cloned().collect();
        let positive = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Regex);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        } else if !names.iter().any(positive) {
            names.extend(Matcher::new(MatchOp::Regex, METRIC_NAME, INFO_NAMES).ok());
        }
        Self { names, data }
    }

    /// What selects the info series that can match `base`; none if no series can.
    #[must_use]
    pub fn selector(&self, base: &[StepSeries]) -> Option<Vec<Matcher>> {
        let is_target = |series: &&StepSeries| {
            !self.is_info(series)
                && IDENTIFYING.iter().any(|name| series.labels.get(name).is_some())
        };
        let targets: Vec<&StepSeries> = base.iter().filter(is_target).collect();
        if targets.is_empty() {
            return None;
        }
        let mut matchers = Vec::new();
        for name in IDENTIFYING {
            let values = targets.iter().map(|series| series.labels.get(name).unwrap_or_default());
            matchers.extend(one_of(name, values.collect()));
        }
        matchers.extend(self.names.iter().chain(&self.data).cloned());
        Some(matchers)
    }

    /// Info metrics themselves are left as they are.
    fn is_info(&self, series: &StepSeries) -> bool {
        let name = series.labels.metric_name().unwrap_or_default();
        self.names.iter().all(|matcher| matcher.matches(name))
    }

    /// Begins to give series of `step_count` steps the labels of `info`.
    ///
    /// # Errors
    /// If info series contradict each other.
    pub fn joining<'a>(
        &'a self,
        info: &'a [InfoSeries],
        step_count: usize,
    ) -> Result<InfoJoin<'a>, FunctionError> {
        if info.iter().any(|series| series.has_histogram) {
            return Err(FunctionError("info sample should be float".to_owned()));
        }
        let mut by_target: FxHashMap<Labels, Vec<&InfoSeries>> = FxHashMap::default();
        for series in info {
            by_target.entry(series.labels.keep(&IDENTIFYING)).or_default().push(series);
        }
        Ok(InfoJoin { call: self, by_target, step_count, results: Results::default() })
    }

    /// `base` with the labels of `info`.
    #[cfg(test)]
    fn combine(
        &self,
        base: &[StepSeries],
        info: &[InfoSeries],
        step_count: usize,
    ) -> Result<Vec<StepSeries>, FunctionError> {
        let mut join = self.joining(info, step_count)?;
        base.iter().try_for_each(|series| join.take(series))?;
        Ok(join.finish())
    }

    /// `labels` with those of the info series; none if a series without them is not wanted.
    fn enriched<'a>(
        &self,
        labels: &Labels,
        info: impl Iterator<Item = &'a InfoSeries>,
    ) -> Result<Option<Labels>, FunctionError> {
        let mut found = false;
        let mut added: Vec<(&str, &str)> = Vec::new();
        for series in info {
            found = true;
            for (name, value) in series.labels.iter() {
                let wanted = self.data.is_empty() || self.data.iter().any(|m| m.name == name);
                if name == METRIC_NAME || !wanted {
                    continue;
                }
                if added.iter().any(|(n, v)| *n == name && *v != value) {
                    return Err(FunctionError(format!("conflicting label: {name}")));
                }
                if labels.get(name).is_none() {
                    added.push((name, value));
                }
            }
        }
        if !found && !self.data.iter().all(Matcher::matches_empty) {
            return Ok(None);
        }
        let mut builder = labels.to_builder();
        for (name, value) in added {
            builder.set(name, value);
        }
        Ok(Some(builder.build()))
    }
}

/// Series that get labels of info series, one after the other.
pub struct InfoJoin<'a> {
    call: &'a InfoCall,
    by_target: FxHashMap<Labels, Vec<&'a InfoSeries>>,
    step_count: usize,
    results: Results,
}

impl InfoJoin<'_> {
    /// Adds `series` with its new labels, step by step: a series whose info labels change becomes
    /// several.
    ///
    /// # Errors
    /// If info series contradict each other, or results have the same labels.
    pub fn take(&mut self, series: &StepSeries) -> Result<(), FunctionError> {
        if self.call.is_info(series) {
            return self.results.take_whole(series);
        }
        let target = series.labels.keep(&IDENTIFYING);
        let target = self.by_target.get(&target).filter(|_| !target.is_empty());
        let candidates = target.map_or(&[][..], Vec::as_slice);
        let mut known: FxHashMap<Vec<usize>, Option<Labels>> = FxHashMap::default();
        for step in (0..self.step_count).filter(|step| has_sample(series, *step)) {
            let current = newest(candidates, step)?;
            let labels = match known.get(&current) {
                Some(labels) => labels.clone(),
                None => {
                    let chosen = current.iter().filter_map(|at| candidates.get(*at).copied());
                    let labels = self.call.enriched(&series.labels, chosen)?;
                    known.insert(current, labels.clone());
                    labels
                }
            };
            if let Some(labels) = labels {
                self.results.take(series, step, labels)?;
            }
        }
        Ok(())
    }

    /// How many series there are so far.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.results.series.len()
    }

    /// The results.
    #[must_use]
    pub fn finish(self) -> Vec<StepSeries> {
        self.results.series
    }
}

/// A matcher for any of `values`, the empty one for a missing label. None if the label is missing
/// everywhere, or if values are too many to be named; what does not belong is found out later.
fn one_of(name: &str, values: FxHashSet<&str>) -> Option<Matcher> {
    let mut values: Vec<String> = values.into_iter().map(regex::escape).collect();
    values.sort_unstable();
    let pattern = values.join("|");
    if pattern.is_empty() || pattern.len() > TARGET_PATTERN_BYTES_MAX {
        return None;
    }
    Matcher::new(MatchOp::Regex, name, pattern).ok()
}

fn has_sample(series: &StepSeries, step: usize) -> bool {
    !is_stale(series.values[step]) || matches!(series.histograms.get(step), Some(Some(_)))
}

/// Of the info series of one target those that count at `step`: of each metric the one with the
/// newest sample.
fn newest(candidates: &[&InfoSeries], step: usize) -> Result<Vec<usize>, FunctionError> {
    let mut chosen: Vec<(usize, i64)> = Vec::new();
    for (at, series) in candidates.iter().enumerate() {
        let Some(Some(time)) = series.sample_times.get(step).copied() else { continue };
        let name = series.labels.metric_name();
        let rival = chosen.iter_mut().find(|(i, _)| candidates[*i].labels.metric_name() == name);
        match rival {
            None => chosen.push((at, time)),
            Some((_, existing)) if *existing > time => {}
            Some(rival) if rival.1 < time => *rival = (at, time),
            Some((existing, _)) => {
                return Err(FunctionError(format!(
                    "found duplicate series for info metric: existing {} @ {time}, new {} @ {time}",
                    candidates[*existing].labels, series.labels
                )));
            }
        }
    }
    Ok(chosen.into_iter().map(|(at, _)| at).collect())
}

/// Result series by their labels.
#[derive(Default)]
struct Results {
    series: Vec<StepSeries>,
    places: FxHashMap<(Labels, bool), usize>,
}

impl Results {
    fn take_whole(&mut self, series: &StepSeries) -> Result<(), FunctionError> {
        for step in (0..series.values.len()).filter(|step| has_sample(series, *step)) {
            self.take(series, step, series.labels.clone())?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        series: &StepSeries,
        step: usize,
        labels: Labels,
    ) -> Result<(), FunctionError> {
        let at =
            *self.places.entry((labels, series.drop_name)).or_insert_with_key(|(labels, _)| {
                let mut result = StepSeries::absent(labels.clone(), series.values.len());
                result.drop_name = series.drop_name;
                self.series.push(result);
                self.series.len() - 1
            });
        let result = &mut self.series[at];
        if has_sample(result, step) {
            return Err(FunctionError(
                "vector cannot contain metrics with the same labelset".to_owned(),
            ));
        }
        result.set(step, series.point(step));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
