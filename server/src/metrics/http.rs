//! Metrics of requests and connections.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::count;
use super::family::{Counter, Family, FamilyPoint, Gauge, Histogram, Kind};

/// Metrics of requests and connections.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    /// Connections open now.
    pub connections: Gauge,
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Connections closed because the head of a request did not come in time.
    pub header_timeouts: Counter,
    /// Requests being answered now.
    pub in_flight: Gauge,
    duration: Histogram,
    /// Requests by route template and status; a handful of pairs, never more than routes × codes.
    requests: Mutex<BTreeMap<String, BTreeMap<u16, u64>>>,
}

impl HttpMetrics {
    /// Counts a request answered with `status`. `route` is a template, never the path itself.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        self.duration.observe(took);
        let mut requests = self.requests.lock();
        let codes = match requests.get_mut(route) {
            Some(codes) => codes,
            None => requests.entry(route.to_owned()).or_default(),
        };
        *codes.entry(status).or_default() += 1;
    }

    /// Reads them out.
    pub(super) fn families(&self, out: &mut Vec<Family>) {
        let mut points = Vec::new();
        for (route, codes) in &*self.requests.lock() {
            for (code, requests) in codes {
                let labels = vec![("code", code.to_string()), ("route", route.clone())];
                points.push(FamilyPoint { suffix: "", labels, value: count(*requests) });
            }
        }
        let name = "ephemeris_http_requests_total";
        let help = "Requests answered, by route template and status.";
        out.push(Family { name, help, kind: Kind::Counter, points });
        out.push(self.duration.family(
            "ephemeris_http_request_duration_seconds",
            "Time from the head of a request to the head of its answer.",
        ));
        out.push(Family::gauge(
            "ephemeris_http_requests_in_flight",
            "Requests being answered now.",
            count(self.in_flight.get()),
        ));
        out.push(Family::gauge(
            "ephemeris_http_connections",
            "Connections open now.",
            count(self.connections.get()),
        ));
        out.push(Family::counter(
            "ephemeris_http_connections_accepted_total",
            "Connections accepted.",
            &self.connections_accepted,
        ));
        out.push(Family::counter(
            "ephemeris_http_header_timeouts_total",
            "Connections closed because the head of a request did not come in time.",
            &self.header_timeouts,
        ));
    }
}
