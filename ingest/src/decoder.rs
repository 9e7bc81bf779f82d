//! Decodes bodies found in the WAL, with the decoders that serve requests.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ephemeris_model::{BodyDecoder, BodyKind, LogBatch, WriteBatch};

use crate::body::Limits;
use crate::loki;
use crate::remote_write::{self, Buffers};

/// Decodes bodies of every kind. Buffers are kept and used again; threads may share one.
#[derive(Default)]
pub struct Decoder {
    idle_buffers: Mutex<Vec<Buffers>>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl BodyDecoder for Decoder {
    fn decode(
        &self,
        kind: BodyKind,
        body: &[u8],
        visit: &mut dyn FnMut(&WriteBatch<'_>),
    ) -> Result<(), String> {
        let idle = || self.idle_buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = idle().pop().unwrap_or_default();
        let result = remote_write::decode(kind, body, &Limits::REPLAY, &mut buffers)
            .map(|batch| visit(&batch))
            .map_err(|e| e.to_string());
        idle().push(buffers);
        result
    }

    fn decode_logs(
        &self,
        kind: BodyKind,
        body: &[u8],
        visit: &mut dyn FnMut(&LogBatch<'_>),
    ) -> Result<(), String> {
        let mut buffers = loki::Buffers::default();
        let batch = loki::decode(kind, body, &Limits::REPLAY, &mut buffers);
        batch.map(|batch| visit(&batch)).map_err(|e| e.to_string())
    }
}
