//! Pairs of agents that send the same: which replica of a cluster has its samples stored.
//!
//! The first replica of a cluster of which something is stored is chosen and stays so while that goes
//! on. Another one takes its place once nothing was heard of it for the failover time, measured by a
//! clock that nobody sets. A replica whose requests fail is not heard, so it keeps out no other.
//!
//! Replicas that send at the same time while none is chosen are all stored; of them the one that is
//! done first is chosen. That costs a few samples twice, and no samples lost.
//!
//! What was chosen is not kept over a restart: then the first to send is chosen again. Nothing is
//! lost by that, since an agent keeps what is not acknowledged and each of them has all samples.

use std::collections::HashMap;
use std::time::Duration;

use ephemeris_ingest::remote_write::replica::{Fate, ReplicaLabels};
use parking_lot::Mutex;

use crate::metrics::Counter;

/// Clusters of all tenants that are known at the same time; series of more are refused.
const CLUSTERS_IN_ALL_MAX: usize = 50_000;
/// Bytes of a name of a cluster or replica; series with longer ones are refused.
const NAME_BYTES_MAX: usize = 1_024;
/// Between two looks for clusters that fell silent.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

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
    known: Mutex<Known>,
    /// Samples, histograms and exemplars of replicas that were not chosen.
    pub deduplicated: Counter,
    /// Times a replica was chosen.
    pub elections: Counter,
}

#[derive(Debug, Default)]
struct Known {
    /// By tenant and name; a tenant here has at least one.
    tenants: HashMap<String, HashMap<String, Cluster>>,
    /// Clusters of all tenants.
    clusters: usize,
    /// When it was last looked for clusters that fell silent.
    swept: Duration,
}

#[derive(Debug)]
struct Cluster {
    /// The replica that is chosen; none yet if nothing was stored.
    chosen: Option<String>,
    /// When something of the chosen one was stored; without one, when the cluster was first named.
    heard: Duration,
}

impl Pairs {
    /// With these settings.
    #[must_use]
    pub fn new(config: PairConfig) -> Self {
        let (deduplicated, elections) = (Counter::default(), Counter::default());
        Self { config, known: Mutex::default(), deduplicated, elections }
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
            "clusters of agents are more than {} (ha.clusters_max), those of all tenants more than \
             {CLUSTERS_IN_ALL_MAX}, or names are longer than {NAME_BYTES_MAX} bytes",
            self.config.clusters_max
        )
    }

    /// Clusters known.
    #[must_use]
    pub fn clusters(&self) -> u64 {
        self.known.lock().clusters as u64
    }

    /// Begins a request of a tenant; `now` is of a clock that never goes back.
    #[must_use]
    pub fn request<'a>(&'a self, tenant: &'a str, now: Duration) -> PairRequest<'a> {
        PairRequest { pairs: self, tenant, now, kept: HashMap::new() }
    }

    fn failover(&self) -> Duration {
        Duration::from_millis(self.config.failover_ms.unsigned_abs())
    }

    fn fate(&self, (tenant, cluster): (&str, &str), replica: &str, now: Duration) -> Fate {
        let mut known = self.known.lock();
        if let Some(cluster) = known.tenants.get(tenant).and_then(|own| own.get(cluster)) {
            let is_kept = match &cluster.chosen {
                Some(chosen) => chosen == replica || cluster.is_silent(now, self.failover()),
                None => true,
            };
            return if is_kept { Fate::Keep } else { Fate::Drop };
        }
        known.sweep(now, self.failover());
        let own = known.tenants.get(tenant).map_or(0, HashMap::len);
        if own >= self.config.clusters_max || known.clusters >= CLUSTERS_IN_ALL_MAX {
            return Fate::Refuse;
        }
        // It takes its place at once, so that one request cannot name more than may be.
        known.cluster(tenant, cluster, now);
        Fate::Keep
    }

    /// Notes that something of a replica was stored.
    fn heard(&self, (tenant, cluster): (&str, &str), replica: String, now: Duration) {
        let mut known = self.known.lock();
        let cluster = known.cluster(tenant, cluster, now);
        if cluster.chosen.as_ref() == Some(&replica) {
            cluster.heard = cluster.heard.max(now);
        } else if cluster.chosen.is_none() || cluster.is_silent(now, self.failover()) {
            (cluster.chosen, cluster.heard) = (Some(replica), now);
            self.elections.add(1);
        }
    }
}

impl Known {
    /// The cluster, which is made if it is not known.
    fn cluster(&mut self, tenant: &str, name: &str, now: Duration) -> &mut Cluster {
        let own = self.tenants.entry(tenant.to_owned()).or_default();
        let before = own.len();
        own.entry(name.to_owned()).or_insert(Cluster { chosen: None, heard: now });
        self.clusters += own.len() - before;
        own.entry(name.to_owned()).or_insert(Cluster { chosen: None, heard: now })
    }

    /// Forgets clusters that fell silent, if it is time to: of them the next to send is chosen
    /// anyway.
    fn sweep(&mut self, now: Duration, failover: Duration) {
        if now.saturating_sub(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        self.tenants.retain(|_, clusters| {
            clusters.retain(|_, cluster| !cluster.is_silent(now, failover));
            !clusters.is_empty()
        });
        self.clusters = self.tenants.values().map(HashMap::len).sum();
    }
}

impl Cluster {
    fn is_silent(&self, now: Duration, failover: Duration) -> bool {
        now.saturating_sub(self.heard) >= failover
    }
}

/// What becomes of one request, of which the replicas count as heard only if it is
/// [stored](PairRequest::stored).
#[derive(Debug)]
pub struct PairRequest<'a> {
    pairs: &'a Pairs,
    tenant: &'a str,
    now: Duration,
    /// The replica kept of each cluster the request names.
    kept: HashMap<String, String>,
}

impl PairRequest<'_> {
    /// What becomes of the series of a replica of a cluster in it.
    #[must_use]
    pub fn fate(&mut self, cluster: &str, replica: &str) -> Fate {
        if cluster.len().max(replica.len()) > NAME_BYTES_MAX {
            return Fate::Refuse;
        }
        // Of one request, too, but one replica is kept, even while none is chosen.
        if let Some(kept) = self.kept.get(cluster) {
            return if kept == replica { Fate::Keep } else { Fate::Drop };
        }
        let fate = self.pairs.fate((self.tenant, cluster), replica, self.now);
        if fate == Fate::Keep {
            self.kept.insert(cluster.to_owned(), replica.to_owned());
        }
        fate
    }

    /// Ends a request of which something was stored, or which had nothing to store.
    pub fn stored(self) {
        for (cluster, replica) in self.kept {
            self.pairs.heard((self.tenant, &cluster), replica, self.now);
        }
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

    /// The fate of a request of one replica, which is stored if it is kept.
    fn sent(pairs: &Pairs, (tenant, cluster): (&str, &str), replica: &str, now_ms: u64) -> Fate {
        let mut request = pairs.request(tenant, Duration::from_millis(now_ms));
        let fate = request.fate(cluster, replica);
        request.stored();
        fate
    }

    /// As [`sent`], but it fails.
    fn failed(pairs: &Pairs, cluster: &str, replica: &str, now_ms: u64) -> Fate {
        pairs.request("a", Duration::from_millis(now_ms)).fate(cluster, replica)
    }

    #[test]
    fn the_first_is_kept_until_it_is_silent_for_the_failover_time() {
        let pairs = pairs(10);
        let fate = |replica, now| sent(&pairs, ("a", "c"), replica, now);
        assert_eq!(fate("one", 0), Fate::Keep);
        assert_eq!(fate("two", 0), Fate::Drop);
        assert_eq!(fate("one", 20_000), Fate::Keep);
        assert_eq!(fate("one", 10_000), Fate::Keep, "done late, it takes nothing back");
        assert_eq!(fate("two", 49_999), Fate::Drop, "heard of one 29,999 ms ago");
        assert_eq!(fate("two", 50_000), Fate::Keep);
        assert_eq!(fate("one", 50_001), Fate::Drop, "it has lost its place");
        assert_eq!(fate("three", 79_999), Fate::Drop);
        assert_eq!(fate("one", 80_000), Fate::Keep);
        assert_eq!(pairs.elections.get(), 3);
    }

    #[test]
    fn a_replica_whose_requests_fail_is_not_heard() {
        let pairs = pairs(10);
        assert_eq!(failed(&pairs, "c", "bad", 0), Fate::Keep);
        assert_eq!(sent(&pairs, ("a", "c"), "good", 1), Fate::Keep, "nobody was chosen");
        assert_eq!(failed(&pairs, "c", "bad", 2), Fate::Drop);
        // It began to fail after it was chosen: its place is free after the failover time.
        assert_eq!(failed(&pairs, "c", "good", 20_000), Fate::Keep);
        assert_eq!(sent(&pairs, ("a", "c"), "bad", 30_000), Fate::Drop);
        assert_eq!(sent(&pairs, ("a", "c"), "bad", 30_001), Fate::Keep);
        assert_eq!(failed(&pairs, "c", "good", 30_002), Fate::Drop);
        assert_eq!(pairs.elections.get(), 2);
    }

    #[test]
    fn of_those_that_send_at_once_the_first_to_be_done_is_chosen() {
        let pairs = pairs(10);
        let mut one = pairs.request("a", Duration::ZERO);
        let mut two = pairs.request("a", Duration::ZERO);
        assert_eq!([one.fate("c", "1"), two.fate("c", "2")], [Fate::Keep; 2]);
        assert_eq!(one.fate("c", "2"), Fate::Drop, "one replica of a request");
        two.stored();
        one.stored();
        assert_eq!(sent(&pairs, ("a", "c"), "1", 1), Fate::Drop);
        assert_eq!(sent(&pairs, ("a", "c"), "2", 1), Fate::Keep);
        assert_eq!((pairs.elections.get(), pairs.clusters()), (1, 1));
    }

    #[test]
    fn clusters_and_tenants_are_apart() {
        let pairs = pairs(10);
        for (tenant, cluster, replica) in [("a", "c", "1"), ("a", "d", "2"), ("b", "c", "2")] {
            let fate = sent(&pairs, (tenant, cluster), replica, 1);
            assert_eq!(fate, Fate::Keep, "{tenant} {cluster}");
        }
        assert_eq!(pairs.clusters(), 3);
    }

    #[test]
    fn clusters_are_bounded_and_silent_ones_make_room() {
        let pairs = pairs(2);
        let fate = |cluster: &str, now| sent(&pairs, ("a", cluster), "1", now);
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

    #[test]
    fn one_request_names_no_more_clusters_than_may_be() {
        let pairs = pairs(2);
        let mut request = pairs.request("a", Duration::ZERO);
        let fates = ["c", "d", "e"].map(|cluster| request.fate(cluster, "1"));
        assert_eq!(fates, [Fate::Keep, Fate::Keep, Fate::Refuse]);
    }

    #[test]
    fn clusters_of_all_tenants_are_bounded_together() {
        let pairs = pairs(10);
        for i in 0..CLUSTERS_IN_ALL_MAX {
            assert_eq!(sent(&pairs, (&i.to_string(), "c"), "1", 0), Fate::Keep);
        }
        assert_eq!(sent(&pairs, ("a", "c"), "1", 29_999), Fate::Refuse);
        assert_eq!(sent(&pairs, ("0", "d"), "1", 29_999), Fate::Refuse, "of a known tenant, too");
        assert_eq!(sent(&pairs, ("0", "c"), "1", 29_999), Fate::Keep, "it is known");
        assert_eq!(sent(&pairs, ("a", "c"), "1", 30_999), Fate::Keep, "the others are silent");
        assert_eq!(pairs.clusters(), 2);
    }
}
