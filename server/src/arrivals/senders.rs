//! Who sent, by the name each program gives itself in `User-Agent`.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::USER_AGENT;
use serde_json::{Value, json};

/// Senders of one tenant by one protocol that are told apart; more are counted as one.
const SENDERS_MAX: usize = 50;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 100;
/// The sender that stands for all beyond [`SENDERS_MAX`].
const OTHERS: &str = "(others)";
/// The sender that does not name itself.
const UNNAMED: &str = "(unnamed)";

/// What became of the items of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Samples, histograms, exemplars or entries stored; of OTLP metrics, data points.
    pub stored: u64,
    /// Refused.
    pub refused: u64,
}

/// Counts by sender.
#[derive(Debug, Default)]
pub(super) struct Senders(BTreeMap<String, Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    failed: u64,
    sent: Sent,
    last_ms: i64,
}

impl Senders {
    /// Counts a request: what became of its items, or none if it failed as a whole.
    pub(super) fn add(&mut self, headers: &HeaderMap, sent: Option<Sent>, now_ms: i64) {
        let name = headers.get(USER_AGENT).map_or(UNNAMED, |name| name.to_str().unwrap_or(UNNAMED));
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        let is_known = self.0.len() < SENDERS_MAX || self.0.contains_key(name);
        let name = if is_known { name } else { OTHERS };
        let counts = match self.0.get_mut(name) {
            Some(counts) => counts,
            None => self.0.entry(name.to_owned()).or_default(),
        };
        counts.requests += 1;
        counts.last_ms = now_ms;
        match sent {
            Some(Sent { stored, refused }) => {
                counts.sent.stored += stored;
                counts.sent.refused += refused;
            }
            None => counts.failed += 1,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let shown = self.0.iter().map(|(name, counts)| {
            json!({
                "sender": name,
                "requests": counts.requests,
                "failedRequests": counts.failed,
                "stored": counts.sent.stored,
                "refused": counts.sent.refused,
                "lastReceived": crate::api::time::format_rfc3339(counts.last_ms),
            })
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn named(name: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_str(name).expect("a header value"));
        headers
    }

    #[test]
    fn senders_are_told_apart_up_to_a_number() {
        let mut senders = Senders::default();
        let sent = Some(Sent { stored: 5, refused: 1 });
        for i in 0..SENDERS_MAX + 10 {
            senders.add(&named(&format!("agent/{i}")), sent, 0);
        }
        senders.add(&named("agent/0"), None, 1_500);
        assert_eq!(senders.0.len(), SENDERS_MAX + 1);
        let first = &senders.to_json()[1];
        let expected = json!({
            "sender": "agent/0", "requests": 2, "failedRequests": 1, "stored": 5, "refused": 1,
            "lastReceived": "1970-01-01T00:00:01.500Z",
        });
        assert_eq!(*first, expected);
        assert_eq!(senders.0[OTHERS].requests, 10);
    }

    #[test]
    fn names_may_be_missing_long_or_strange() {
        let mut senders = Senders::default();
        senders.add(&HeaderMap::new(), None, 0);
        senders.add(&named(&"x".repeat(5_000)), None, 0);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes(b"caf\xe9").expect("a header value"));
        senders.add(&headers, None, 0);
        assert_eq!(senders.0[UNNAMED].requests, 2);
        assert_eq!(senders.0[&"x".repeat(NAME_BYTES_MAX)].requests, 1);
    }
}
