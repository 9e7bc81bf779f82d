//! Reads what a remote read asks for and writes it in the form the client takes.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_ingest::body as encoding;
use ephemeris_ingest::remote_read::samples::ReadResponse;
use ephemeris_ingest::remote_read::{Query, ReadRequest, ResponseType, chunked};
use ephemeris_model::{
    Labels, SampleBuffer, Select, SeriesSet, Source, SourceError, TimeRange, TimestampMs,
};
use ephemeris_query::budget::{Budget, Load};
use ephemeris_query::promql::error::QueryError;
use ephemeris_storage::Reader;

use super::frames::Outlet;
use super::{Message, Start};
use crate::api::ApiError;

/// Largest answer in one message.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// About what the labels of a series take.
const SERIES_BYTES: u64 = 300;

/// The series of all queries, and how they are read.
pub(super) struct Answer<'a> {
    accepted: &'a [ResponseType],
    sets: Vec<Arc<dyn SeriesSet + 'a>>,
    budget: &'a Arc<Budget>,
}

impl<'a> Answer<'a> {
    /// Selects the series.
    ///
    /// # Errors
    /// If they are too many, or the store cannot answer.
    pub(super) fn new(
        reader: &'a Reader,
        request: &'a ReadRequest,
        budget: &'a Arc<Budget>,
    ) -> Result<Self, ApiError> {
        let mut sets = Vec::with_capacity(request.queries.len());
        for query in &request.queries {
            budget.check().map_err(QueryError::from)?;
            let set = select(reader, query)?;
            budget.touch_series(set.len() as u64).map_err(QueryError::from)?;
            sets.push(set);
        }
        Ok(Self { accepted: &request.accepted, sets, budget })
    }

    /// Writes the answer.
    ///
    /// # Errors
    /// If it is too large or takes too long, the client goes away, or reading fails.
    pub(super) fn write(&self, outlet: &mut Outlet) -> Result<(), ApiError> {
        let prefers_stream = self.accepted.first() == Some(&ResponseType::StreamedXorChunks);
        if !prefers_stream {
            return self.message(outlet);
        }
        // A stream holds XOR chunks, and those hold floats alone.
        if !self.has_histograms()? {
            return self.stream(outlet);
        }
        if self.accepted.contains(&ResponseType::Samples) {
            return self.message(outlet);
        }
        Err(ApiError::bad_data(
            "the selection holds native histograms, which are served as SAMPLES only; \
             accepted_response_types must name it",
        ))
    }

    fn message(&self, outlet: &mut Outlet) -> Result<(), ApiError> {
        let mut response = ReadResponse::default();
        let mut held = 0;
        for set in &self.sets {
            self.each_series(&**set, &mut |labels, samples| {
                response.series(labels, samples);
                if response.len() > MESSAGE_BYTES_MAX {
                    let text = format!(
                        "answer is larger than {MESSAGE_BYTES_MAX} bytes; ask for \
                         STREAMED_XOR_CHUNKS or for less"
                    );
                    return Err(ApiError::bad_data(text));
                }
                let grown = response.len() as u64 - held;
                held += grown;
                self.hold(grown)
            })?;
            response.end_query();
        }
        let message = response.finish();
        let bytes = encoding::compress_snappy(&message);
        let bytes = bytes.map_err(|error| ApiError::internal(error.to_string()))?;
        drop(message);
        self.hold(bytes.len() as u64)?;
        self.budget.release(Load { samples: 0, bytes: held });
        outlet.start(Start::Message(Message { bytes, _budget: Arc::clone(self.budget) }));
        Ok(())
    }

    fn stream(&self, outlet: &mut Outlet) -> Result<(), ApiError> {
        for (index, set) in self.sets.iter().enumerate() {
            self.each_series(&**set, &mut |labels, samples| {
                chunked::frames(index, labels, samples, &mut |frame| {
                    outlet.start(Start::Stream);
                    outlet.send(frame)
                })
            })?;
        }
        outlet.start(Start::Stream);
        outlet.finish()
    }

    /// Whether there is a histogram among the samples; looks no further than the first.
    fn has_histograms(&self) -> Result<bool, ApiError> {
        let mut buffer = SampleBuffer::default();
        for set in &self.sets {
            let mut found = false;
            let read = self.read(&**set, 0..set.len(), &mut buffer, &mut |_, samples| {
                found = !samples.histograms.is_empty();
                // An error ends the reading; it goes no further than here.
                if found { Err(ApiError::internal("a histogram was found")) } else { Ok(()) }
            });
            if found {
                return Ok(true);
            }
            read?;
        }
        Ok(false)
    }

    /// Visits the series of a query in order of their labels.
    fn each_series(
        &self,
        set: &dyn SeriesSet,
        visit: &mut dyn FnMut(&Labels, &SampleBuffer) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let bytes = SERIES_BYTES * set.len() as u64;
        self.hold(bytes)?;
        let mut series: Vec<(Labels, usize)> = (0..set.len()).map(|i| (set.labels(i), i)).collect();
        series.sort_unstable();
        let mut buffer = SampleBuffer::default();
        for (labels, index) in series {
            self.read(set, index..index + 1, &mut buffer, &mut |_, samples| {
                if samples.is_empty() { Ok(()) } else { visit(&labels, samples) }
            })?;
        }
        self.budget.release(Load { samples: 0, bytes });
        Ok(())
    }

    fn hold(&self, bytes: u64) -> Result<(), ApiError> {
        Ok(self.budget.hold(Load { samples: 0, bytes }).map_err(QueryError::from)?)
    }

    /// Reads series, counted by the budget; the error of `visit` comes through as it is.
    fn read(
        &self,
        set: &dyn SeriesSet,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut problem = None;
        let result = set.read(indices, buffer, &mut |index, samples| {
            self.budget.count_read(samples.len() as u64);
            let checked = self.budget.check().map_err(|error| QueryError::from(error).into());
            checked.and_then(|()| visit(index, samples)).map_err(|error| {
                problem = Some(error);
                SourceError::Canceled
            })
        });
        match problem {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }
}

fn select<'a>(reader: &'a Reader, query: &Query) -> Result<Arc<dyn SeriesSet + 'a>, ApiError> {
    let range = TimeRange::inclusive(TimestampMs(query.start_ms), TimestampMs(query.end_ms));
    let matchers = query.matchers.clone();
    Ok(reader.select(&Select { matchers, range })?)
}
