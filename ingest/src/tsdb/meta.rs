//! The file `meta.json` of a block.

use serde::Deserialize;

use super::TsdbError;

/// The one version there is.
const VERSION: u64 = 1;

/// What a block says of itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Meta {
    /// Version of this file.
    pub version: u64,
    /// First time, in milliseconds since the epoch.
    #[serde(rename = "minTime")]
    pub start_ms: i64,
    /// End of the time, not part of it.
    #[serde(rename = "maxTime")]
    pub end_ms: i64,
    /// What is in the block.
    #[serde(default)]
    pub stats: Stats,
}

/// What is in a block, deleted samples included.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Stats {
    /// Samples.
    #[serde(default, rename = "numSamples")]
    pub samples: u64,
    /// Series.
    #[serde(default, rename = "numSeries")]
    pub series: u64,
    /// Chunks.
    #[serde(default, rename = "numChunks")]
    pub chunks: u64,
}

impl Meta {
    /// Reads the file.
    ///
    /// # Errors
    /// If it is not JSON of this form, or of another version.
    pub fn read(file: &[u8]) -> Result<Self, TsdbError> {
        let meta: Self = serde_json::from_slice(file)
            .map_err(|error| super::damaged(0, format!("no description of a block: {error}")))?;
        if meta.version != VERSION {
            let what = format!("block has version {}, only {VERSION} is read", meta.version);
            return Err(TsdbError::Unsupported(what));
        }
        Ok(meta)
    }
}
