//! Prometheus remote read: the request, and both forms of its answer. Nothing is read from a store
//! here; series come in as labels and columns of samples.
//!
//! | module | holds |
//! |---|---|
//! | [`chunked`] | the streamed answer: frames of XOR chunks |
//! | `xor` | the XOR chunk of Prometheus' storage |
//! | [`samples`] | the answer as one message |
//!
//! Source of the rules: `prompb/remote.proto` of Prometheus and `tsdb/docs/format/chunks.md`.

pub mod chunked;
pub mod samples;

mod xor;

#[cfg(test)]
pub(crate) use xor::encode as encode_xor;

use ephemeris_model::{MatchOp, Matcher, PatternBudget};

use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType};

/// Most queries of one request.
pub const QUERIES_MAX: usize = 10;
/// Most matchers of one query.
const MATCHERS_MAX: usize = 100;

/// Most response types looked at.
const RESPONSE_TYPES_MAX: usize = 16;

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// One message that holds samples.
    Samples,
    /// A stream of frames that hold XOR chunks.
    StreamedXorChunks,
}

/// Selects series and a range of their time.
#[derive(Clone, Debug)]
pub struct Query {
    /// First millisecond.
    pub start_ms: i64,
    /// Last millisecond.
    pub end_ms: i64,
    /// All must hold.
    pub matchers: Vec<Matcher>,
}

/// A remote-read request.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The queries; each has its own part in the answer.
    pub queries: Vec<Query>,
    /// Forms of an answer the client takes and we have, the one it likes best first.
    pub accepted: Vec<ResponseType>,
}

/// Reads a request, already decompressed.
///
/// # Errors
/// If it is no such message, has too many queries or matchers, or patterns that are too large
/// together.
pub fn decode(message: &[u8]) -> Result<ReadRequest, IngestError> {
    let mut reader = Reader::new(message);
    let (mut queries, mut asked) = (Vec::new(), Vec::new());
    let mut patterns = PatternBudget::default();
    while let Some(field) = reader.field()? {
        match (field.number, field.wire) {
            (1, WireType::Length) => {
                if queries.len() == QUERIES_MAX {
                    return Err(refuse(format!(
                        "more than {QUERIES_MAX} queries, which is the limit"
                    )));
                }
                queries.push(query(&mut reader, &mut patterns)?);
            }
            (2, WireType::Varint) => ask(&mut asked, &mut reader)?,
            (2, WireType::Length) => {
                let mut packed = reader.message("accepted_response_types")?;
                while !packed.is_at_end() {
                    ask(&mut asked, &mut packed)?;
                }
            }
            _ => reader.skip(field)?,
        }
    }
    Ok(ReadRequest { queries, accepted: accepted(&asked)? })
}

/// Reads a response type; those behind the first few are not looked at.
fn ask(asked: &mut Vec<u64>, reader: &mut Reader<'_>) -> Result<(), IngestError> {
    let number = reader.varint("accepted_response_types")?;
    if asked.len() < RESPONSE_TYPES_MAX {
        asked.push(number);
    }
    Ok(())
}

fn accepted(asked: &[u64]) -> Result<Vec<ResponseType>, IngestError> {
    if asked.is_empty() {
        return Ok(vec![ResponseType::Samples]);
    }
    let known = |number: &u64| match number {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::StreamedXorChunks),
        _ => None,
    };
    let accepted: Vec<ResponseType> = asked.iter().filter_map(known).collect();
    if accepted.is_empty() {
        return Err(refuse(format!(
            "server does not support any of the requested response types: {asked:?}; \
             supported: SAMPLES (0), STREAMED_XOR_CHUNKS (1)"
        )));
    }
    Ok(accepted)
}

fn query(reader: &mut Reader<'_>, patterns: &mut PatternBudget) -> Result<Query, IngestError> {
    let mut inner = reader.message("query")?;
    let mut query = Query { start_ms: 0, end_ms: 0, matchers: Vec::new() };
    while let Some(field) = inner.field()? {
        match (field.number, field.wire) {
            (1, WireType::Varint) => query.start_ms = inner.varint("start")?.cast_signed(),
            (2, WireType::Varint) => query.end_ms = inner.varint("end")?.cast_signed(),
            (3, WireType::Length) => {
                if query.matchers.len() == MATCHERS_MAX {
                    let text = format!("more than {MATCHERS_MAX} matchers in a query, the limit");
                    return Err(refuse(text));
                }
                query.matchers.push(matcher(&mut inner, patterns)?);
            }
            _ => inner.skip(field)?,
        }
    }
    Ok(query)
}

fn matcher(reader: &mut Reader<'_>, patterns: &mut PatternBudget) -> Result<Matcher, IngestError> {
    let mut inner = reader.message("matcher")?;
    let (mut op, mut name, mut value) = (0, String::new(), String::new());
    while let Some(field) = inner.field()? {
        match (field.number, field.wire) {
            (1, WireType::Varint) => op = inner.varint("type")?,
            (2, WireType::Length) => name = text(&mut inner, field, "name")?,
            (3, WireType::Length) => value = text(&mut inner, field, "value")?,
            _ => inner.skip(field)?,
        }
    }
    let op = match op {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        other => return Err(refuse(format!("matcher type {other}; it is 0 to 3"))),
    };
    Matcher::within(patterns, op, name, value).map_err(|error| refuse(error.to_string()))
}

fn text(reader: &mut Reader<'_>, field: Field, what: &str) -> Result<String, IngestError> {
    let bytes = reader.bytes(what)?;
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| refuse(format!("{what} at byte {} is not UTF-8", field.at)))?;
    Ok(text.to_owned())
}

fn refuse(problem: String) -> IngestError {
    IngestError::BadMessage(problem)
}

/// The sender's bytes of a varint.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
