//! Remote write of tenants whose agents come in pairs: one replica's samples are stored.

use ephemeris_ingest::body::decompress_snappy;
use ephemeris_ingest::remote_write::replica::{self, Fate};
use ephemeris_ingest::{Limits, remote_write};
use ephemeris_model::{BodyKind, RejectReason, Rejects, WriteOutcome};

use super::{protocol_of, refused_body, store_batch};
use crate::api::{ApiError, Tenant};
use crate::app::App;
use crate::workers::Scratch;

/// Stores what the chosen replicas sent. What others sent counts as written, for it is: by them.
pub(super) fn store(
    app: &App,
    tenant: &Tenant,
    (kind, body): (BodyKind, &[u8]),
    scratch: &mut Scratch,
) -> Result<WriteOutcome, ApiError> {
    let limits = &app.config.bodies;
    let refuse = |error| refused_body(&error);
    let message = decompress_snappy(body, limits, &mut scratch.message).map_err(refuse)?;
    let (now, name) = (app.clock.now(), tenant.as_str());
    let mut request = app.pairs.request(name, app.clock.passed());
    let mut fate = |cluster: &str, replica: &str| -> Fate { request.fate(cluster, replica) };
    let filtered = replica::filter(kind, message, app.pairs.labels(), limits, &mut fate);
    let Some(filtered) = filtered.map_err(refuse)? else {
        return store_batch(app, tenant, (kind, body), scratch);
    };
    let protocol = protocol_of(kind);
    let mut outcome = WriteOutcome::default();
    if !filtered.message.is_empty() {
        // It was made here, from a request within its limits.
        let own = Limits { compressed_bytes_max: usize::MAX, ..*limits };
        let kind = match kind {
            BodyKind::RemoteWrite2 => BodyKind::RemoteWrite2Plain,
            _ => BodyKind::RemoteWrite1Plain,
        };
        let batch = remote_write::decode(kind, &filtered.message, &own, &mut scratch.ingest);
        outcome = app.write(tenant, protocol, &batch.map_err(refuse)?)?;
    } else {
        app.arrivals.came((protocol, name), now.0);
    }
    let written = outcome.samples_written + outcome.histograms_written + outcome.exemplars_written;
    if written > 0 || outcome.rejects.is_empty() {
        request.stored();
    }
    let (dropped, refused) = (filtered.dropped, filtered.refused);
    outcome.samples_written += dropped.samples;
    outcome.histograms_written += dropped.histograms;
    outcome.exemplars_written += dropped.exemplars;
    if dropped.total() > 0 {
        app.pairs.deduplicated.add(dropped.total());
        app.arrivals.deduplicated((protocol, name), dropped.total(), now.0);
    }
    if refused.total() > 0 {
        let mut rejects = Rejects::default();
        rejects.add(RejectReason::TooManyClusters, refused.total(), || app.pairs.refusal());
        app.metrics.rejected(&rejects);
        app.arrivals.rejected((protocol, name), &rejects, now.0);
        outcome.rejects.merge(rejects);
    }
    Ok(outcome)
}
