//! What came in, by protocol and reason: never by tenant or sender, whose number has no bound.
//! Those are in `/api/v1/status/ingest` ([`crate::arrivals`]), of which this is the sum.

use crate::arrivals::{Arrivals, LATENESS, Protocol};

use super::family::{Counter, Family, FamilyPoint, Kind};
use super::{WriteEnd, count};

/// Requests and bytes by protocol.
#[derive(Debug, Default)]
pub(super) struct Received {
    requests: [[Counter; WriteEnd::ALL.len()]; Protocol::ALL.len()],
    bytes: [Counter; Protocol::ALL.len()],
}

impl Received {
    pub(super) fn ended(&self, protocol: Protocol, end: WriteEnd) {
        self.requests[protocol as usize][end as usize].add(1);
    }

    pub(super) fn read(&self, protocol: Protocol, bytes: u64) {
        self.bytes[protocol as usize].add(bytes);
    }

    /// Reads them out, and the sums of `arrivals`.
    pub(super) fn families(&self, arrivals: &Arrivals, out: &mut Vec<Family>) {
        let mut requests = Vec::new();
        let mut bytes = Vec::new();
        for protocol in Protocol::ALL {
            for (end, name) in WriteEnd::ALL {
                let number = self.requests[protocol as usize][end as usize].get();
                requests.push(point(protocol, [("result", name)], number));
            }
            bytes.push(point(protocol, [], self.bytes[protocol as usize].get()));
        }
        out.push(counter(
            "ephemeris_received_requests_total",
            "Write requests by protocol, and how they ended.",
            requests,
        ));
        out.push(counter(
            "ephemeris_received_bytes_total",
            "Bytes of bodies received, by protocol.",
            bytes,
        ));
        sums(arrivals, out);
    }
}

fn sums(arrivals: &Arrivals, out: &mut Vec<Family>) {
    let (mut items, mut rejects, mut lateness) = (Vec::new(), Vec::new(), Vec::new());
    for (protocol, sum) in arrivals.by_protocol() {
        for (kind, number) in [
            ("sample", sum.samples),
            ("histogram", sum.histograms),
            ("exemplar", sum.exemplars),
            ("entry", sum.entries),
        ] {
            items.push(point(protocol, [("kind", kind)], number));
        }
        for (reason, (number, _)) in &sum.rejects {
            rejects.push(point(protocol, [("reason", *reason)], *number));
        }
        let mut total = 0;
        for ((_, bound_ms), number) in LATENESS.iter().zip(&sum.lateness) {
            total += number;
            let le = match *bound_ms {
                i64::MAX => "+Inf".to_owned(),
                bound_ms => (bound_ms / 1000).to_string(),
            };
            let point = point(protocol, [("le", le.as_str())], total);
            lateness.push(FamilyPoint { suffix: "_bucket", ..point });
        }
        let late = point(protocol, [], sum.late_ms);
        lateness.push(FamilyPoint { suffix: "_sum", value: late.value / 1e3, ..late });
        lateness.push(FamilyPoint { suffix: "_count", ..point(protocol, [], total) });
    }
    out.push(counter(
        "ephemeris_received_items_total",
        "Samples, histograms, exemplars and log entries stored, by protocol.",
        items,
    ));
    out.push(counter(
        "ephemeris_received_rejects_total",
        "What was refused, by protocol and reason; a reason shows once it was met.",
        rejects,
    ));
    let name = "ephemeris_received_lateness_seconds";
    let help = "Time from the timestamp of a sample or entry to its arrival, of up to 64 of each \
                request, by protocol.";
    out.push(Family { name, help, kind: Kind::Histogram, points: lateness });
}

fn counter(name: &'static str, help: &'static str, points: Vec<FamilyPoint>) -> Family {
    Family { name, help, kind: Kind::Counter, points }
}

fn point<const N: usize>(
    protocol: Protocol,
    more: [(&'static str, &str); N],
    number: u64,
) -> FamilyPoint {
    let mut labels = vec![("protocol", protocol.as_str().to_owned())];
    labels.extend(more.map(|(name, value)| (name, value.to_owned())));
    FamilyPoint { suffix: "", labels, value: count(number) }
}
