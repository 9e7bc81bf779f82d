//! The queries that run now: who asked what, since when, and what each has read so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ephemeris_query::budget::Budget;
use http::HeaderMap;
use parking_lot::Mutex;

/// Longest part of a header that is kept.
const ORIGIN_BYTES_MAX: usize = 200;

/// Where in Grafana a query comes from, as its headers tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Dashboard, by its uid.
    pub dashboard: String,
    /// Panel, by its number.
    pub panel: String,
}

impl Origin {
    /// What the headers tell; empty where they tell nothing.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().chars().take(ORIGIN_BYTES_MAX).collect()
        };
        Self { dashboard: text("x-dashboard-uid"), panel: text("x-panel-id") }
    }
}

/// A query that runs or waits.
#[derive(Debug)]
pub struct ActiveQuery {
    /// Its text.
    pub text: String,
    /// Who asked.
    pub tenant: String,
    /// First step, milliseconds.
    pub start_ms: i64,
    /// Last step, milliseconds.
    pub end_ms: i64,
    /// Between steps, milliseconds; 0 for an instant query.
    pub step_ms: i64,
    /// Where it comes from.
    pub origin: Origin,
    /// When it came.
    pub began: Instant,
    /// What it used so far.
    pub budget: Arc<Budget>,
}

/// All of them, by number in order of coming.
#[derive(Debug, Default)]
pub struct ActiveQueries {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<ActiveQuery>>>,
}

impl ActiveQueries {
    /// Lists `query` until what is returned is dropped.
    pub fn enter(self: &Arc<Self>, query: ActiveQuery) -> Entered {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.running.lock().insert(number, Arc::new(query));
        Entered { queries: Arc::clone(self), number }
    }

    /// Those of `tenant`, the oldest first.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str) -> Vec<(u64, Arc<ActiveQuery>)> {
        let running = self.running.lock();
        let own = running.iter().filter(|(_, query)| query.tenant == tenant);
        own.map(|(number, query)| (*number, Arc::clone(query))).collect()
    }
}

/// Takes its query off the list when it is dropped.
#[derive(Debug)]
pub struct Entered {
    queries: Arc<ActiveQueries>,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.queries.running.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use ephemeris_query::budget::BudgetLimits;

    use super::*;

    #[test]
    fn a_query_is_listed_for_its_tenant_while_it_runs() {
        let queries = Arc::new(ActiveQueries::default());
        let query = |tenant: &str| ActiveQuery {
            text: "up".to_owned(),
            tenant: tenant.to_owned(),
            start_ms: 0,
            end_ms: 0,
            step_ms: 0,
            origin: Origin::default(),
            began: Instant::now(),
            budget: Arc::new(Budget::new(BudgetLimits::default())),
        };
        let first = queries.enter(query("a"));
        let second = queries.enter(query("b"));
        assert_eq!(queries.of_tenant("a").len(), 1);
        drop(first);
        assert!(queries.of_tenant("a").is_empty());
        assert_eq!(queries.of_tenant("b")[0].0, 1);
        drop(second);
        assert!(queries.of_tenant("b").is_empty());
    }
}
