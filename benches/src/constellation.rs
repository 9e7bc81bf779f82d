//! A seeded, stateless constellation: satellites, their links and beams, terminals, antennas. Every
//! label set and every value is a function of seed, series and time, so any sample can be computed
//! again and an answer can be checked, not only timed.
//!
//! | module | holds |
//! |---|---|
//! | [`entities`] | groups of things and their metrics; tiers |
//! | [`values`] | how values move |
//! | [`bodies`] | scrapes as remote-write bodies: live, late, repeated |

use ephemeris_model::Labels;

use entities::{Entity, Group, Metric, Tier};
use values::mix;

pub mod bodies;
pub mod entities;
pub mod values;

/// Milliseconds from scrape to scrape of one entity.
pub const INTERVAL_MS: i64 = 15_000;
/// How long a gateway sees a satellite.
const VISIBILITY_MS: i64 = 240_000;
/// How often a laser finds another peer, on average.
const PEER_MS: i64 = 6 * 3_600_000;
/// What churn is counted in.
pub const CHURN_WINDOW_MS: i64 = 600_000;
/// One scrape in so many is missed.
const MISSED_ONE_IN: u64 = 200;
/// One scrape in so many is sent twice.
const REPEATED_ONE_IN: u64 = 200;
/// One satellite in so many has no path by laser and sends all it has at a pass.
const DUMPING_ONE_IN: u64 = 25;

/// A constellation over some time.
#[derive(Clone, Debug)]
pub struct Constellation {
    /// Decides everything.
    pub seed: u64,
    /// How much of everything.
    pub tier: Tier,
    /// The first scrape.
    pub start_ms: i64,
    /// Scrapes of each entity.
    pub scrape_count: usize,
    /// Of 1,000 entities so many get a new `revision`, so new series, in every window of ten
    /// minutes.
    pub churn_per_mille: u64,
    /// When all gateway links are handed over at once.
    pub storm_ms: Option<i64>,
    /// Whether satellites without a path send late, at a pass.
    pub dumps: Dumps,
}

/// Whether part of the fleet sends late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumps {
    /// All send at once.
    None,
    /// One satellite in 25 sends all its samples beside the live ones of the others, each series in
    /// order, hours in minutes.
    Late,
}

/// How a scrape arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// At once.
    Live,
    /// At once, and again with the same values after the next one.
    Repeated,
    /// It was missed: it never arrives.
    Missed,
}

impl Constellation {
    /// When an entity is scraped for the `number`-th time: spread over the interval.
    #[must_use]
    pub fn scrape_ms(&self, entity: Entity, number: usize) -> i64 {
        let phase = i64::try_from(self.random(entity, 1, 0) % INTERVAL_MS.unsigned_abs());
        let elapsed = i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(INTERVAL_MS);
        self.start_ms.saturating_add(elapsed).saturating_add(phase.unwrap_or(0))
    }

    /// How the `number`-th scrape arrives.
    #[must_use]
    pub fn arrival(&self, entity: Entity, number: usize) -> Arrival {
        let random = self.random(entity, 2, number as u64);
        if random.is_multiple_of(MISSED_ONE_IN) {
            Arrival::Missed
        } else if (random >> 32).is_multiple_of(REPEATED_ONE_IN) {
            Arrival::Repeated
        } else {
            Arrival::Live
        }
    }

    /// Whether an entity sends at a pass only.
    #[must_use]
    pub fn is_dumping(&self, entity: Entity) -> bool {
        let satellite = Entity { group: Group::Satellite, number: entity.satellite(&self.tier) };
        self.dumps == Dumps::Late
            && entity.group.is_on_board()
            && self.random(satellite, 3, 0).is_multiple_of(DUMPING_ONE_IN)
    }

    /// Changes exactly when labels of the entity's series do.
    #[must_use]
    pub fn identity(&self, entity: Entity, time_ms: i64) -> (i64, u64) {
        let period_ms = match entity.group {
            Group::GatewayLink => VISIBILITY_MS,
            Group::Laser => PEER_MS,
            _ => i64::MAX,
        };
        let phase = i64::try_from(self.random(entity, 4, 0) >> 1).unwrap_or(0) % period_ms;
        let handovers = time_ms.saturating_add(phase).div_euclid(period_ms);
        let is_after = self.storm_ms.is_some_and(|storm_ms| time_ms >= storm_ms);
        let storms = i64::from(is_after && entity.group == Group::GatewayLink);
        // Two storms' worth apart, so that a handover is never undone by the next.
        (handovers.saturating_mul(2).saturating_add(storms), self.revision(entity, time_ms))
    }

    /// How often the entity was replaced since the start.
    fn revision(&self, entity: Entity, time_ms: i64) -> u64 {
        if self.churn_per_mille == 0 {
            return 0;
        }
        let windows = (time_ms - self.start_ms).div_euclid(CHURN_WINDOW_MS).max(0).unsigned_abs();
        let flips =
            (1..=windows).filter(|w| self.random(entity, 5, *w) % 1000 < self.churn_per_mille);
        flips.count() as u64
    }

    /// The labels of a series at a time.
    #[must_use]
    pub fn labels(&self, entity: Entity, metric: &Metric, time_ms: i64) -> Labels {
        let identity = self.identity(entity, time_ms);
        let mut pairs = vec![
            ("__name__", metric.name.to_owned()),
            ("env", "prod".to_owned()),
            ("job", entity.group.job().to_owned()),
            ("region", format!("r{}", self.random(entity, 6, 0) % 8)),
        ];
        let pick = |salt, of: usize| {
            self.random(entity, salt, identity.0.cast_unsigned()) % of.max(1) as u64
        };
        entity.name(self.seed, &self.tier, &mut pairs);
        match (entity.group, metric.is_info) {
            (Group::GatewayLink, _) => {
                pairs.push(("gateway", format!("gw-{:03}", pick(7, self.tier.gateways))));
                pairs.push(("antenna", pick(8, self.tier.antennas).to_string()));
            }
            (Group::Laser, true) => {
                pairs.push(("peer", format!("S{:04}", pick(9, self.tier.satellites))));
            }
            (Group::Satellite, true) => {
                pairs.push(("shell", ["550-53", "570-70", "560-97"][entity.number % 3].to_owned()));
                pairs.push(("plane", format!("p{:03}", entity.number / 20)));
                pairs.push(("sw", "2026.11.04".to_owned()));
            }
            (Group::Terminal, true) => {
                let countries = ["US", "CA", "DE", "JP", "BR", "AU", "NG", "UA"];
                let country = countries[usize::try_from(pick(10, 8)).unwrap_or(0) % 8];
                pairs.push(("country", country.to_owned()));
                pairs.push(("h3cell", format!("85{:010x}fff", pick(11, 20_000))));
                pairs.push(("plan", ["home", "roam", "business"][entity.number % 3].to_owned()));
            }
            _ => {}
        }
        if self.churn_per_mille > 0 {
            pairs.push(("revision", identity.1.to_string()));
        }
        pairs.extend(metric.labels.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Labels::from_pairs(pairs)
    }

    /// The value of a series at a time.
    #[must_use]
    pub fn value(&self, entity: Entity, metric: &Metric, time_ms: i64) -> f64 {
        let series = self.random(entity, 12, metric.number(entity.group));
        values::value(metric.kind, series, time_ms)
    }

    /// A number for one purpose.
    fn random(&self, entity: Entity, salt: u64, number: u64) -> u64 {
        let of_entity = mix(self.seed ^ mix(((entity.group as u64) << 48) | entity.number as u64));
        mix(of_entity ^ mix((salt << 56) ^ number))
    }
}

#[cfg(test)]
mod tests;
