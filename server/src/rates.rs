//! How much each tenant may send in a second: samples, bytes of log lines, and series and streams
//! never seen before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::api::ApiError;
use crate::api::error::ErrorType;

/// What a tenant may save up, as a time of its rate.
const BURST_SECONDS: f64 = 10.0;
/// Tenants remembered; beyond, those that owe nothing are forgotten.
const TENANTS_MAX: usize = 10_000;

/// The rates, of one second.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Samples and histograms.
    pub samples_per_second_max: u64,
    /// Bytes of log lines.
    pub log_bytes_per_second_max: u64,
    /// New series and new streams.
    pub new_series_per_second_max: u64,
}

/// What each tenant has left.
#[derive(Debug)]
pub struct Rates {
    limits: RateLimits,
    tenants: Mutex<HashMap<String, Tenant>>,
}

#[derive(Debug)]
struct Tenant {
    at: Instant,
    /// What is left; below 0 it is owed.
    samples: f64,
    log_bytes: f64,
    series: f64,
}

impl Rates {
    /// With these limits.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        Self { limits, tenants: Mutex::default() }
    }

    /// Lets a request with so many samples pass, or says what it passes over. A request is let
    /// through as long as its tenant owes nothing, whatever its size.
    ///
    /// # Errors
    /// If the tenant owes something.
    pub fn admit(&self, tenant: &str, samples: usize, now: Instant) -> Result<(), ApiError> {
        let RateLimits { samples_per_second_max, new_series_per_second_max, .. } = self.limits;
        let mut tenants = self.tenants.lock();
        let state = self.refill(&mut tenants, tenant, now);
        let over = |what: &str, limit: u64, setting: &str| {
            let text = format!(
                "tenant {tenant:?} sends more than {limit} {what} a second (limits.{setting})"
            );
            Err(ApiError::new(ErrorType::RateLimited, text))
        };
        if state.samples <= 0.0 {
            return over("samples", samples_per_second_max, "samples_per_second_max");
        }
        if state.series <= 0.0 {
            return over("new series", new_series_per_second_max, "new_series_per_second_max");
        }
        state.samples -= crate::metrics::count(samples as u64);
        Ok(())
    }

    /// Lets a push of so many lines and bytes of them pass, as [`Rates::admit`] does.
    ///
    /// # Errors
    /// If the tenant owes something; the text is Loki's.
    pub fn admit_lines(
        &self,
        tenant: &str,
        (lines, bytes): (usize, u64),
        now: Instant,
    ) -> Result<(), ApiError> {
        let RateLimits { log_bytes_per_second_max, new_series_per_second_max, .. } = self.limits;
        let mut tenants = self.tenants.lock();
        let state = self.refill(&mut tenants, tenant, now);
        if state.log_bytes <= 0.0 {
            let text = format!(
                "ingestion rate limit exceeded for user {tenant} (limit: \
                 {log_bytes_per_second_max} bytes/sec) while attempting to ingest '{lines}' lines \
                 totaling '{bytes}' bytes, reduce log volume or raise \
                 limits.log_bytes_per_second_max"
            );
            return Err(ApiError::new(ErrorType::RateLimited, text));
        }
        if state.series <= 0.0 {
            let text = format!(
                "tenant {tenant:?} sends more than {new_series_per_second_max} new streams a \
                 second (limits.new_series_per_second_max)"
            );
            return Err(ApiError::new(ErrorType::RateLimited, text));
        }
        state.log_bytes -= crate::metrics::count(bytes);
        Ok(())
    }

    /// Counts series that a request created.
    pub fn created(&self, tenant: &str, series: u64, now: Instant) {
        if series > 0 {
            let mut tenants = self.tenants.lock();
            self.refill(&mut tenants, tenant, now).series -= crate::metrics::count(series);
        }
    }

    fn refill<'a>(
        &self,
        tenants: &'a mut HashMap<String, Tenant>,
        name: &str,
        now: Instant,
    ) -> &'a mut Tenant {
        let samples_rate = crate::metrics::count(self.limits.samples_per_second_max);
        let bytes_rate = crate::metrics::count(self.limits.log_bytes_per_second_max);
        let series_rate = crate::metrics::count(self.limits.new_series_per_second_max);
        let full = |rate: f64| rate * BURST_SECONDS;
        if tenants.len() > TENANTS_MAX {
            let idle = Duration::from_secs(60);
            let owes = |t: &Tenant| t.samples < 0.0 || t.log_bytes < 0.0;
            tenants.retain(|_, t| now.saturating_duration_since(t.at) < idle || owes(t));
        }
        let state = tenants.entry(name.to_owned()).or_insert_with(|| Tenant {
            at: now,
            samples: full(samples_rate),
            log_bytes: full(bytes_rate),
            series: full(series_rate),
        });
        let passed = now.saturating_duration_since(state.at).as_secs_f64();
        state.at = now;
        state.samples = (state.samples + passed * samples_rate).min(full(samples_rate));
        state.log_bytes = (state.log_bytes + passed * bytes_rate).min(full(bytes_rate));
        state.series = (state.series + passed * series_rate).min(full(series_rate));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_owes_waits_until_it_has_paid() {
        let limits = RateLimits {
            samples_per_second_max: 10,
            log_bytes_per_second_max: 100,
            new_series_per_second_max: 1,
        };
        let rates = Rates::new(limits);
        let now = Instant::now();
        assert!(rates.admit("a", 150, now).is_ok());
        let error = rates.admit("a", 1, now).expect_err("it owes 50");
        assert!(error.message.contains("limits.samples_per_second_max"), "{}", error.message);
        assert!(rates.admit("b", 1, now).is_ok(), "another tenant");
        let later = now + Duration::from_secs(6);
        assert!(rates.admit("a", 1, later).is_ok());
        rates.created("a", 11, later);
        let error = rates.admit("a", 1, later).expect_err("too many series");
        assert!(error.message.contains("limits.new_series_per_second_max"), "{}", error.message);
    }
    #[test]
    fn lines_are_paid_for_in_bytes() {
        let limits = RateLimits {
            samples_per_second_max: 10,
            log_bytes_per_second_max: 100,
            new_series_per_second_max: 1,
        };
        let (rates, now) = (Rates::new(limits), Instant::now());
        assert!(rates.admit_lines("a", (3, 1_500), now).is_ok());
        let error = rates.admit_lines("a", (2, 9), now).expect_err("it owes 500 bytes");
        let text = "ingestion rate limit exceeded for user a (limit: 100 bytes/sec) while \
                    attempting to ingest '2' lines totaling '9' bytes";
        assert!(error.message.starts_with(text), "{}", error.message);
        assert!(rates.admit("a", 1, now).is_ok(), "samples have a rate of their own");
        assert!(rates.admit_lines("a", (2, 9), now + Duration::from_secs(6)).is_ok());
    }
}
