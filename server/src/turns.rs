//! Whose query runs next: so many at a time in all and for each tenant, the others wait in a line
//! for each tenant. Of the tenants that wait, the one with the fewest running queries comes first;
//! of these, the one whose last turn is longest ago. No threads are here, see [`crate::queries`].
//!
//! **Invariant**: while a query waits, either as many run as may in all, or as many of its tenant.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::metrics::{Counter, Histogram};

/// How many may run and wait.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// Queries that run, at least 1.
    pub running_max: usize,
    /// Of one tenant, at least 1.
    pub tenant_running_max: usize,
    /// Queries that wait.
    pub waiting_max: usize,
    /// Of one tenant.
    pub tenant_waiting_max: usize,
    /// How long a query waits.
    pub wait_max: Duration,
}

/// Why a query got no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TurnError {
    /// Too many wait.
    #[error("too many queries wait for their turn; limit is {limit} (query.queue_max)")]
    Queue {
        /// The limit.
        limit: usize,
    },
    /// Too many of the tenant wait.
    #[error(
        "too many queries of this tenant wait for their turn; limit is {limit} \
         (query.tenant_queue_max)"
    )]
    TenantQueue {
        /// The limit.
        limit: usize,
    },
    /// It waited too long.
    #[error(
        "query waited {} ms for its turn, which is the limit (query.queue_wait_max); at most \
         {running} run at a time ({setting})", .limit.as_millis()
    )]
    Wait {
        /// The limit.
        limit: Duration,
        /// Queries that may run of those it waited for.
        running: usize,
        /// Setting of `running`.
        setting: &'static str,
    },
    /// The time of the query was up while it waited.
    #[error("query timed out in query queue")]
    Timeout,
}

/// What became of those who wanted a turn.
#[derive(Debug, Default)]
pub struct TurnCounts {
    /// Time waited by those who got one.
    pub waited: Histogram,
    refused: [Counter; 4],
}

impl TurnCounts {
    /// Refusals by reason.
    #[must_use]
    pub fn refused(&self) -> [(&'static str, &Counter); 4] {
        let [queue, tenant, wait, timeout] = &self.refused;
        [("queue", queue), ("tenant_queue", tenant), ("timeout", timeout), ("wait", wait)]
    }

    fn refuse(&self, error: TurnError) -> TurnError {
        let at = match error {
            TurnError::Queue { .. } => 0,
            TurnError::TenantQueue { .. } => 1,
            TurnError::Wait { .. } => 2,
            TurnError::Timeout => 3,
        };
        self.refused[at].add(1);
        error
    }
}

/// Gives turns.
#[derive(Debug)]
pub struct Turns {
    limits: TurnLimits,
    state: Mutex<State>,
    counts: TurnCounts,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Number of the next to wait.
    next: u64,
    /// Those who run or wait.
    tenants: HashMap<Arc<str>, Line>,
    /// Tenants of whom some wait; the last turn of the first is longest ago.
    order: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct Line {
    running: usize,
    /// By number, in order.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Turns {
    /// Nobody runs yet.
    #[must_use]
    pub fn new(mut limits: TurnLimits) -> Self {
        limits.running_max = limits.running_max.max(1);
        limits.tenant_running_max = limits.tenant_running_max.clamp(1, limits.running_max);
        Self { limits, state: Mutex::default(), counts: TurnCounts::default() }
    }

    /// What became of those who wanted a turn.
    #[must_use]
    pub const fn counts(&self) -> &TurnCounts {
        &self.counts
    }

    /// Those who wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Of these tenants the one of whom most queries run and wait now; of several such, the first.
    #[must_use]
    pub fn busiest<'a, T: AsRef<str>>(&self, tenants: &'a [T]) -> Option<&'a T> {
        let state = self.state.lock();
        let queries = |tenant: &&T| {
            let line = state.tenants.get(tenant.as_ref());
            line.map_or(0, |line| line.running + line.waiting.len())
        };
        // Of several the last is taken.
        tenants.iter().rev().max_by_key(queries)
    }

    /// Waits for a turn of `tenant`, until `deadline` at most. Who drops the future has left the
    /// line.
    ///
    /// # Errors
    /// If too many wait, or it takes too long.
    pub async fn wait(
        self: &Arc<Self>,
        tenant: &str,
        deadline: std::time::Instant,
    ) -> Result<Turn, TurnError> {
        let began = Instant::now();
        let (waiting, woken) = match self.enter(tenant).map_err(|e| self.counts.refuse(e))? {
            Entry::Turn(turn) => {
                self.counts.waited.observe(Duration::ZERO);
                return Ok(turn);
            }
            Entry::Waits(waiting, woken) => (waiting, woken),
        };
        let limit = began + self.limits.wait_max;
        let deadline = Instant::from_std(deadline);
        match timeout_at(limit.min(deadline), woken).await {
            Ok(_) => {
                self.counts.waited.observe(began.elapsed());
                Ok(waiting.into_turn())
            }
            Err(_) if deadline < limit => Err(self.counts.refuse(TurnError::Timeout)),
            Err(_) => Err(self.counts.refuse(self.waited_too_long(tenant))),
        }
    }

    fn enter(self: &Arc<Self>, tenant: &str) -> Result<Entry, TurnError> {
        let limits = &self.limits;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let known = state.tenants.get_key_value(tenant);
        let (own, of_tenant) = known.map_or((0, 0), |(_, line)| (line.running, line.waiting.len()));
        let runs = state.running < limits.running_max && own < limits.tenant_running_max;
        if !runs && state.waiting >= limits.waiting_max {
            return Err(TurnError::Queue { limit: limits.waiting_max });
        }
        if !runs && of_tenant >= limits.tenant_waiting_max {
            return Err(TurnError::TenantQueue { limit: limits.tenant_waiting_max });
        }
        let tenant = known.map_or_else(|| Arc::from(tenant), |(name, _)| Arc::clone(name));
        let line = state.tenants.entry(Arc::clone(&tenant)).or_default();
        if runs {
            state.running += 1;
            line.running += 1;
            return Ok(Entry::Turn(Turn { turns: Arc::clone(self), tenant }));
        }
        let (wake, woken) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        if line.waiting.is_empty() {
            state.order.push_back(Arc::clone(&tenant));
        }
        line.waiting.push_back((number, wake));
        state.waiting += 1;
        let waiting = Waiting { place: Some((Arc::clone(self), tenant)), number };
        Ok(Entry::Waits(waiting, woken))
    }

    fn waited_too_long(&self, tenant: &str) -> TurnError {
        let own = self.state.lock().tenants.get(tenant).map_or(0, |line| line.running);
        let limit = self.limits.wait_max;
        let TurnLimits { running_max, tenant_running_max, .. } = self.limits;
        if own >= tenant_running_max && tenant_running_max < running_max {
            let setting = "query.tenant_concurrency_max";
            return TurnError::Wait { limit, running: tenant_running_max, setting };
        }
        TurnError::Wait { limit, running: running_max, setting: "query.concurrency_max" }
    }

    /// Ends a turn of `tenant` and gives those that are free now.
    fn release(&self, tenant: &Arc<str>) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        if let Some(line) = state.tenants.get_mut(tenant) {
            line.running = line.running.saturating_sub(1);
        }
        state.forget_if_idle(tenant);
        while state.running < self.limits.running_max
            && state.give_next(self.limits.tenant_running_max)
        {}
    }

    /// Leaves the line; a turn that was given meanwhile is passed on.
    fn leave(&self, tenant: &Arc<str>, number: u64) {
        let mut state = self.state.lock();
        let line = state.tenants.get_mut(tenant).map(|line| &mut line.waiting);
        let place = line.and_then(|waiting| {
            let at = waiting.binary_search_by_key(&number, |(number, _)| *number).ok()?;
            waiting.remove(at).map(|_| waiting.is_empty())
        });
        match place {
            None => {
                drop(state);
                self.release(tenant);
            }
            Some(last) => {
                state.waiting -= 1;
                if last {
                    state.order.retain(|waiting| waiting != tenant);
                    state.forget_if_idle(tenant);
                }
            }
        }
    }
}

impl State {
    /// Gives one turn, if one may be given within the limit of tenants.
    fn give_next(&mut self, tenant_running_max: usize) -> bool {
        let running = |tenant: &Arc<str>| self.tenants.get(tenant).map_or(0, |line| line.running);
        let places = self.order.iter().enumerate().map(|(at, tenant)| (running(tenant), at));
        // The first of those with the fewest, as `at` breaks ties.
        let Some((_, at)) = places.min().filter(|(running, _)| *running < tenant_running_max)
        else {
            return false;
        };
        let Some(tenant) = self.order.remove(at) else { return false };
        let Some(line) = self.tenants.get_mut(&tenant) else { return false };
        let Some((_, wake)) = line.waiting.pop_front() else { return false };
        // Who does not listen any more passes the turn on when it finds its place gone.
        let _ = wake.send(());
        line.running += 1;
        self.running += 1;
        self.waiting -= 1;
        if !line.waiting.is_empty() {
            self.order.push_back(tenant);
        }
        true
    }

    fn forget_if_idle(&mut self, tenant: &Arc<str>) {
        let idle = |line: &Line| line.running == 0 && line.waiting.is_empty();
        if self.tenants.get(tenant).is_some_and(idle) {
            self.tenants.remove(tenant);
        }
    }
}

enum Entry {
    Turn(Turn),
    Waits(Waiting, oneshot::Receiver<()>),
}

/// A query in the line.
struct Waiting {
    /// Gone when it became a turn.
    place: Option<(Arc<Turns>, Arc<str>)>,
    number: u64,
}

impl Waiting {
    /// The turn that was given.
    fn into_turn(mut self) -> Turn {
        let (turns, tenant) = self.place.take().expect("it is taken here alone, by value");
        Turn { turns, tenant }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((turns, tenant)) = self.place.take() {
            turns.leave(&tenant, self.number);
        }
    }
}

/// The turn of one query; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    tenant: Arc<str>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.release(&self.tenant);
    }
}

#[cfg(test)]
mod tests;
