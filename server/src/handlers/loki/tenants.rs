//! The streams of several tenants as those of one: each stream gets the label `__tenant_id__`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::{
    EntryBuffer, EntryCount, Labels, LogSelect, LogSource, Matcher, NanoRange, SourceError,
    StreamList, StreamSet,
};
use ephemeris_storage::Reader;

/// The label that tells whose a stream is.
const TENANT_ID: &str = "__tenant_id__";

/// Readers of one or several tenants.
pub(super) struct Tenants(pub(super) Vec<(String, Reader)>);

impl Tenants {
    /// Readers of the tenants that satisfy the matchers of their label, with the other matchers.
    fn wanted(&self, matchers: &[Matcher]) -> (Vec<&(String, Reader)>, Vec<Matcher>) {
        let (of_tenant, others): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|matcher| matcher.name == TENANT_ID);
        let wanted = |(tenant, _): &&(String, Reader)| of_tenant.iter().all(|m| m.matches(tenant));
        (self.0.iter().filter(wanted).collect(), others)
    }
}

fn with_tenant(labels: &Labels, tenant: &str) -> Labels {
    let mut builder = labels.to_builder();
    builder.set(TENANT_ID, tenant);
    builder.build()
}

impl LogSource for Tenants {
    fn select_streams(&self, select: &LogSelect) -> Result<Arc<dyn StreamSet + '_>, SourceError> {
        if let [(_, reader)] = self.0.as_slice() {
            return reader.select_streams(select);
        }
        let (readers, matchers) = self.wanted(&select.matchers);
        let select = LogSelect { matchers, ..select.clone() };
        let mut joined = Joined::default();
        for (tenant, reader) in readers {
            let set = reader.select_streams(&select)?;
            joined.places.extend((0..set.len()).map(|index| (joined.sets.len(), index)));
            joined.sets.push((tenant.clone(), set));
        }
        Ok(Arc::new(joined))
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<StreamList, SourceError> {
        if let [(_, reader)] = self.0.as_slice() {
            return reader.streams(selectors, range);
        }
        let all = [Vec::new()];
        let selectors = if selectors.is_empty() { &all } else { selectors };
        let (mut found, mut warnings) = (Vec::new(), BTreeSet::new());
        for matchers in selectors {
            let (readers, matchers) = self.wanted(matchers);
            for (tenant, reader) in readers {
                let list = reader.streams(std::slice::from_ref(&matchers), range)?;
                warnings.extend(list.warnings);
                found.extend(list.streams.iter().map(|labels| with_tenant(labels, tenant)));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(StreamList { streams: found, warnings: warnings.into_iter().collect() })
    }
}

/// Streams of several selections.
#[derive(Default)]
struct Joined<'a> {
    sets: Vec<(String, Arc<dyn StreamSet + 'a>)>,
    /// Selection and place in it, for each stream.
    places: Vec<(usize, usize)>,
}

impl StreamSet for Joined<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn labels(&self, index: usize) -> Labels {
        let (set, place) = self.places[index];
        let (tenant, set) = &self.sets[set];
        with_tenant(&set.labels(place), tenant)
    }

    fn read(
        &self,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        let (set, place) = self.places[index];
        self.sets[set].1.read(place, range, buffer, visit)
    }

    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError> {
        let (set, place) = self.places[index];
        self.sets[set].1.count(place, range)
    }

    fn warnings(&self) -> Vec<String> {
        self.sets.iter().flat_map(|(_, set)| set.warnings()).collect()
    }
}
