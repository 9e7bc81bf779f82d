//! Pairs of agents that send the same: which replica of a cluster has its samples stored.
//!
//! The first replica heard of a cluster is chosen and stays so while it sends. Another one takes its
//! place once nothing was heard of it for the failover time, measured by the server's own clock.
//!
//! What was chosen is not kept over a restart: then the first to send is chosen again. Nothing is
//! lost by that, since an agent keeps what is not acknowledged and each of them has all samples.

use std::collections::HashMap;

use ephemeris_ingest::remote_write::replica::{Fate, ReplicaLabels};
use ephemeris_model::TimestampMs;
use parking_lot::Mutex;

use crate::metrics::Counter;

/// Tenants whose clusters are known at the same time; those of others are refused.
const TENANTS_MAX: usize = 10_000;
/// Bytes of a name of a cluster or replica; series with longer ones are refused.
const NAME_BYTES_MAX: usize = 1_024;
/// Between two looks for clusters that fell silent, in milliseconds.
const SWEEP_EVERY_MS: i64 = 1_000;

/// Settings of pairs.
#[derive(Clone, Debug)]
pub struct PairConfig {
    /// Tenants that send in pairs, separated by commas; `*` for all, empty for none.
    pub tenants: String,
    /// The labels that tell cluster and replica.
    pub labels: ReplicaLabels,
    /// After this silence of the chosen replica another one is chosen.
    pub failover_ms: i64,
    /// Clusters of one tenant.
    pub clusters_max: usize,
}

impl Default for PairConfig {
    fn default() -> Self {
        Self {
            tenants: String::new(),
            labels: ReplicaLabels {
                cluster: "cluster".to_owned(),
                replica: "__replica__".to_owned(),
            },
            failover_ms: 30_000,
            clusters_max: 1_000,
        }
    }
}

/// Who is chosen.
#[derive(Debug)]
pub struct Pairs {
    config: PairConfig,
    tenants: Mutex<HashMap<String, Tenant>>,
    /// Samples, histograms and exemplars of replicas that were not chosen.
    pub deduplicated: Counter,
    /// Times a replica was chosen.
    pub elections: Counter,
}

#[derive(Debug, Default)]
struct Tenant {
    clusters: HashMap<String, Chosen>,
    /// When it was last looked for clusters that fell silent.
    swept_ms: i64,
}

#[derive(Debug)]
struct Chosen {
    replica: String,
    heard_ms: i64,
}

impl Pairs {
    /// With these settings.
    #[must_use]
    pub fn new(config: PairConfig) -> Self {
        let (deduplicated, elections) = (Counter::default(), Counter::default());
        Self { config, tenants: Mutex::default(), deduplicated, elections }
    }

    /// Whether a tenant sends in pairs.
    #[must_use]
    pub fn is_on(&self, tenant: &str) -> bool {
        let mut names = self.config.tenants.split(',').map(str::trim);
        names.any(|name| name == "*" || !name.is_empty() && name == tenant)
    }

    /// The labels that tell cluster and replica.
    #[must_use]
    pub const fn labels(&self) -> &ReplicaLabels {
        &self.config.labels
    }

    /// Why a series was refused.
    #[must_use]
    pub fn refusal(&self) -> String {
        format!(
            "clusters of agents are more than {}, or names are longer than {NAME_BYTES_MAX} bytes \
             (ha.clusters_max)",
            self.config.clusters_max
        )
    }

    /// Clusters known.
    #[must_use]
    pub fn clusters(&self) -> u64 {
        self.tenants.lock().values().map(|tenant| tenant.clusters.len() as u64).sum()
    }

    /// What becomes of what a replica of a tenant's cluster sends now.
    #[must_use]
    pub fn fate(&self, (tenant, cluster): (&str, &str), replica: &str, now: TimestampMs) -> Fate {
        if cluster.len().max(replica.len()) > NAME_BYTES_MAX {
            return Fate::Refuse;
        }
        let mut tenants = self.tenants.lock();
        if !tenants.contains_key(tenant) {
            if tenants.len() >= TENANTS_MAX {
                let silent = |t: &mut Tenant| t.sweep(now.0, self.config.failover_ms);
                tenants.retain(|_, tenant| !silent(tenant));
            }
            if tenants.len() >= TENANTS_MAX {
                return Fate::Refuse;
            }
            tenants.insert(tenant.to_owned(), Tenant::default());
        }
        let Some(known) = tenants.get_mut(tenant) else { return Fate::Refuse };
        self.fate_in(known, cluster, replica, now.0)
    }

    fn fate_in(&self, tenant: &mut Tenant, cluster: &str, replica: &str, now_ms: i64) -> Fate {
        if let Some(chosen) = tenant.clusters.get_mut(cluster) {
            let silent_ms = now_ms.saturating_sub(chosen.heard_ms);
            if chosen.replica != replica {
                if silent_ms < self.config.failover_ms {
                    return Fate::Drop;
                }
                replica.clone_into(&mut chosen.replica);
                self.elections.add(1);
            }
            chosen.heard_ms = now_ms;
            return Fate::Keep;
        }
        if tenant.clusters.len() >= self.config.clusters_max {
            tenant.sweep(now_ms, self.config.failover_ms);
        }
        if tenant.clusters.len() >= self.config.clusters_max {
            return Fate::Refuse;
        }
        let chosen = Chosen { replica: replica.to_owned(), heard_ms: now_ms };
        tenant.clusters.insert(cluster.to_owned(), chosen);
        self.elections.add(1);
        Fate::Keep
    }
}

impl Tenant {
    /// Forgets clusters that fell silent: in them the next to send is chosen anyway. Answers whether
    /// none is left.
    fn sweep(&mut self, now_ms: i64, failover_ms: i64) -> bool {
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_EVERY_MS {
            self.swept_ms = now_ms;
            self.clusters.retain(|_, c| now_ms.saturating_sub(c.heard_ms) < failover_ms);
        }
        self.clusters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(clusters_max: usize) -> Pairs {
        Pairs::new(PairConfig { tenants: "a, b".to_owned(), clusters_max, ..PairConfig::default() })
    }

    #[test]
    fn tenants_are_named_or_all() {
        let some = pairs(1);
        assert!(some.is_on("a") && some.is_on("b") && !some.is_on("c"));
        assert!(!Pairs::new(PairConfig::default()).is_on("a"));
        assert!(!Pairs::new(PairConfig::default()).is_on(""), "off by default");
        let all = PairConfig { tenants: "*".to_owned(), ..PairConfig::default() };
        assert!(Pairs::new(all).is_on("c"));
    }

    #[test]
    fn the_first_is_kept_until_it_is_silent_for_the_failover_time() {
        let pairs = pairs(10);
        let fate = |replica, now| pairs.fate(("a", "c"), replica, TimestampMs(now));
        assert_eq!(fate("one", 0), Fate::Keep);
        assert_eq!(fate("two", 0), Fate::Drop);
        assert_eq!(fate("one", 20_000), Fate::Keep);
        assert_eq!(fate("two", 49_999), Fate::Drop, "heard of one 29,999 ms ago");
        assert_eq!(fate("two", 50_000), Fate::Keep);
        assert_eq!(fate("one", 50_001), Fate::Drop, "it has lost its place");
        assert_eq!(fate("three", 79_999), Fate::Drop);
        assert_eq!(fate("one", 80_000), Fate::Keep);
        assert_eq!(pairs.elections.get(), 3);
        // A clock that goes back chooses nobody.
        assert_eq!(fate("two", 0), Fate::Drop);
        assert_eq!(fate("two", i64::MIN), Fate::Drop);
    }

    #[test]
    fn clusters_and_tenants_are_apart() {
        let pairs = pairs(10);
        for (tenant, cluster, replica) in [("a", "c", "1"), ("a", "d", "2"), ("b", "c", "2")] {
            let fate = pairs.fate((tenant, cluster), replica, TimestampMs(1));
            assert_eq!(fate, Fate::Keep, "{tenant} {cluster}");
        }
        assert_eq!(pairs.clusters(), 3);
    }

    #[test]
    fn clusters_are_bounded_and_silent_ones_make_room() {
        let pairs = pairs(2);
        let fate = |cluster: &str, now| pairs.fate(("a", cluster), "1", TimestampMs(now));
        assert_eq!(fate("c", 10_000), Fate::Keep);
        assert_eq!(fate("d", 20_000), Fate::Keep);
        assert_eq!(fate("e", 39_999), Fate::Refuse);
        assert_eq!(fate("d", 39_999), Fate::Keep, "it is known");
        assert_eq!(fate("e", 40_999), Fate::Keep, "c is silent for the failover time");
        assert_eq!(fate("c", 41_000), Fate::Refuse);
        assert_eq!(fate(&"x".repeat(2_000), 0), Fate::Refuse);
        assert_eq!(pairs.clusters(), 2);
        assert!(pairs.refusal().contains("ha.clusters_max"));
    }
}
