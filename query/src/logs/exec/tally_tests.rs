//! Counting by minute and level gives what reading every entry gives.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::log_batch::DETECTED_LEVEL;
use ephemeris_model::logs::{
    CountBy, EntryBuffer, EntryCount, LogSelect, NanoRange, StreamList, StreamSet, Tally, TallyBy,
};
use ephemeris_model::{Labels, LogSource, Matcher, SourceError};
use proptest::prelude::*;

use super::range;
use crate::budget::{Budget, BudgetLimits};
use crate::logs::ast::Expr;
use crate::logs::engine::MetricRange;
use crate::logs::parse::parse;
use crate::logs::result::MetricValue;
use crate::logs::script::MemoryLogs;

const MINUTE_NS: i64 = 60_000_000_000;

/// A source that counts whatever it can by minute and level.
struct Counting(MemoryLogs);

struct CountingSet<'a>(Arc<dyn StreamSet + 'a>);

impl LogSource for Counting {
    fn select_streams(&self, select: &LogSelect) -> Result<Arc<dyn StreamSet + '_>, SourceError> {
        Ok(Arc::new(CountingSet(self.0.select_streams(select)?)))
    }

    fn streams(&self, s: &[Vec<Matcher>], range: NanoRange) -> Result<StreamList, SourceError> {
        self.0.streams(s, range)
    }
}

impl StreamSet for CountingSet<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0.labels(index)
    }

    fn read(
        &self,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        self.0.read(index, range, buffer, visit)
    }

    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError> {
        self.0.count(index, range)
    }

    fn tally(
        &self,
        index: usize,
        range: NanoRange,
        how: TallyBy<'_>,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(Tally<'_>) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        let mut cells: BTreeMap<(i64, String), EntryCount> = BTreeMap::new();
        self.0.read(index, range, buffer, &mut |run| {
            for i in 0..run.len() {
                let minute = (run.timestamps()[i] - 1).div_euclid(MINUTE_NS);
                let level = run.metadata(i).find(|(name, _)| *name == DETECTED_LEVEL);
                let level = level.filter(|_| how.by == CountBy::Level).map_or("", |(_, l)| l);
                let cell = cells.entry((minute, level.to_owned())).or_default();
                cell.entries += 1;
                cell.bytes += run.line(i).len() as u64;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for ((minute, level), count) in cells {
            let start = minute * MINUTE_NS + 1;
            let cell = NanoRange { start, end: start + MINUTE_NS };
            if (how.is_whole)(cell) {
                let _ = visit(Tally::Counted { range: cell, level: &level, count })?;
                continue;
            }
            let part = NanoRange { start: start.max(range.start), end: cell.end.min(range.end) };
            self.0.read(index, part, buffer, &mut |run| {
                let mut one = EntryBuffer::default();
                for i in 0..run.len() {
                    let own = run.metadata(i).find(|(name, _)| *name == DETECTED_LEVEL);
                    let own = own.filter(|_| how.by == CountBy::Level).map_or("", |(_, l)| l);
                    if own == level {
                        one.push(run.timestamps()[i], run.line(i), run.metadata(i));
                    }
                }
                visit(Tally::Entries(&one))
            })?;
        }
        Ok(())
    }
}

fn answer(source: &dyn LogSource, query: &str, at: MetricRange) -> Result<String, String> {
    let Ok(Expr::Metric(expr)) = parse(query) else { panic!("{query} is a metric query") };
    let budget = Budget::new(BudgetLimits::default());
    let answer = range(source, &expr, at, &budget).map_err(|error| error.to_string())?;
    let MetricValue::Matrix(series) = answer.value else { panic!("{query} is no range query") };
    Ok(format!("{series:?}"))
}

proptest! {
    #[test]
    fn counted_and_read_entries_give_the_same_answer(
        entries in proptest::collection::vec(
            (0i64..12, -1i64..2, 0usize..5, "[xy]{0,3}", 0usize..2),
            0..60,
        ),
        step in proptest::sample::select(vec![MINUTE_NS, 2 * MINUTE_NS, 45_000_000_000]),
        from in proptest::sample::select(vec![0, MINUTE_NS, 7]),
        window in proptest::sample::select(vec!["1m", "2m", "90s", "5m"]),
    ) {
        let mut logs = MemoryLogs::default();
        for (half_minutes, ns, level, line, stream) in entries {
            let app = ["a", "b"][stream];
            let labels = Labels::from_pairs([("app", app), ("level", "of the stream")]);
            let level = ["", "info", "error", "warn", "debug"][level];
            let mut metadata = vec![("trace".to_owned(), line.clone())];
            if !level.is_empty() {
                metadata.insert(0, (DETECTED_LEVEL.to_owned(), level.to_owned()));
            }
            metadata.retain(|(_, value)| !value.is_empty());
            logs.push(&labels, half_minutes * MINUTE_NS / 2 + ns, line.as_bytes(), metadata);
        }
        let counting = Counting(logs.clone());
        let at = MetricRange { start_ns: from, end_ns: from + 6 * MINUTE_NS, step_ns: step };
        for query in [
            "sum by (detected_level) (count_over_time({app=~\".+\"}[W]))",
            "sum by (app, detected_level) (rate({app=~\".+\"}[W]))",
            "sum by (detected_level) (bytes_over_time({app=~\".+\"} | detected_level!=\"info\" [W]))",
            "sum(bytes_rate({app=~\".+\"} | detected_level=~\"err.*|\" or app=\"b\" [W]))",
            "sum by (app) (count_over_time({app=~\".+\"}[W]))",
            "sum by (trace) (count_over_time({app=~\".+\"}[W]))",
            "count_over_time({app=~\".+\"} | detected_level=\"warn\" [W])",
            "absent_over_time({app=\"b\"}[W])",
        ] {
            let query = query.replace("[W]", &format!("[{window}]"));
            prop_assert_eq!(answer(&counting, &query, at), answer(&logs, &query, at), "{}", query);
        }
    }
}
