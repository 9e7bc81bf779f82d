//! Requests as clients send them; chunks read back by a decoder written from the format's page.

use ephemeris_model::{Labels, MatchOp, SampleBuffer};
use proptest::prelude::*;
use prost::Message;

use super::chunked::{ChunkedReadResponse, frames};
use super::samples::ReadResponse;
use super::{ResponseType, decode, xor};

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn bits(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |value, _| {
            let bit = (self.bytes[self.at / 8] >> (7 - self.at % 8)) & 1;
            self.at += 1;
            (value << 1) | u64::from(bit)
        })
    }

    fn signed(&mut self, width: u32) -> i64 {
        let raw = self.bits(width);
        // The range is one longer above than a two's complement number would be.
        if width < 64 && raw > 1 << (width - 1) { raw as i64 - (1 << width) } else { raw as i64 }
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.bits(8);
            value |= (byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn value(&mut self, last: u64, window: &mut (u32, u32)) -> u64 {
        if self.bits(1) == 0 {
            return last;
        }
        if self.bits(1) == 1 {
            let leading = self.bits(5) as u32;
            let width = match self.bits(6) as u32 {
                0 => 64,
                width => width,
            };
            *window = (leading, 64 - leading - width);
        }
        last ^ (self.bits(64 - window.0 - window.1) << window.1)
    }
}

fn read_chunk(bytes: &[u8]) -> Vec<(i64, u64)> {
    let mut reader = BitReader { bytes, at: 0 };
    let count = reader.bits(16);
    let (mut at, mut delta, mut value, mut window) = (0_i64, 0_i64, 0, (0, 0));
    let mut samples = Vec::new();
    for i in 0..count {
        match i {
            0 => {
                let raw = reader.varint();
                at = (raw >> 1) as i64 ^ -((raw & 1) as i64);
                value = reader.bits(64);
            }
            1 => {
                delta = reader.varint() as i64;
                at = at.wrapping_add(delta);
                value = reader.value(value, &mut window);
            }
            _ => {
                let widths = [14, 17, 20, 64];
                let ones = (0..4).take_while(|_| reader.bits(1) == 1).count();
                let change = if ones == 0 { 0 } else { reader.signed(widths[ones - 1]) };
                delta = delta.wrapping_add(change);
                at = at.wrapping_add(delta);
                value = reader.value(value, &mut window);
            }
        }
        samples.push((at, value));
    }
    samples
}

proptest! {
    #[test]
    fn chunks_come_back_bit_for_bit(
        start in any::<i64>(),
        steps in proptest::collection::vec(
            (prop_oneof![Just(15_000_i64), 0..100_000_i64, any::<i64>()],
             prop_oneof![Just(1.0_f64), any::<f64>(), (0..100_u32).prop_map(f64::from)]),
            0..150,
        ),
    ) {
        let mut at = start;
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for (step, value) in steps {
            at = at.wrapping_add(step);
            times.push(at);
            values.push(value);
        }
        let expected: Vec<(i64, u64)> =
            times.iter().zip(&values).map(|(at, value)| (*at, value.to_bits())).collect();
        prop_assert_eq!(read_chunk(&xor::encode(&times, &values)), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

/// `start = 1000, end = 2000, name =~ "a|b"`, then the forms asked for.
fn request(forms: &[u8]) -> Vec<u8> {
    let matcher = [&[0x08, 2, 0x12, 4][..], b"name", &[0x1a, 3], b"a|b"].concat();
    let mut query = vec![0x08, 0xe8, 0x07, 0x10, 0xd0, 0x0f, 0x1a, matcher.len() as u8];
    query.extend(matcher);
    query.extend([0x22, 0]); // empty hints
    let mut message = vec![0x0a, query.len() as u8];
    message.extend(query);
    message.extend(forms);
    message
}

#[test]
fn a_request_is_read() {
    let read = decode(&request(&[0x10, 1, 0x10, 0])).expect("well-formed");
    let query = &read.queries[0];
    assert_eq!((query.start_ms, query.end_ms), (1000, 2000));
    assert_eq!((query.matchers[0].op, query.matchers[0].name.as_str()), (MatchOp::Regex, "name"));
    assert!(query.matchers[0].matches("b") && !query.matchers[0].matches("c"));
    assert_eq!(read.accepted, [ResponseType::StreamedXorChunks, ResponseType::Samples]);
    let packed = decode(&request(&[0x12, 2, 7, 1])).expect("packed, one of them unknown");
    assert_eq!(packed.accepted, [ResponseType::StreamedXorChunks]);
    assert_eq!(decode(&request(&[])).expect("none").accepted, [ResponseType::Samples]);
    let error = decode(&request(&[0x10, 9])).expect_err("none we have");
    assert!(error.to_string().contains("any of the requested response types: [9]"), "{error}");
    let mut bad = request(&[]);
    bad[11] = 9;
    assert_eq!(decode(&bad).expect_err("no such type").to_string(), "matcher type 9; it is 0 to 3");
}

#[test]
fn patterns_of_all_queries_together_have_a_limit() {
    let pattern = br"\pL{60}y17";
    let matcher = [&[0x08, 2, 0x12, 1][..], b"i", &[0x1a, pattern.len() as u8], pattern].concat();
    let matcher = [&[0x1a, matcher.len() as u8][..], &matcher].concat();
    let query = |count: usize| {
        let body = matcher.repeat(count);
        [&[0x0a, (body.len() & 0x7f) as u8 | 0x80, (body.len() >> 7) as u8][..], &body].concat()
    };
    assert_eq!(decode(&query(4)).expect("a few").queries[0].matchers.len(), 4);
    let error = decode(&query(4).repeat(4)).expect_err("too much").to_string();
    assert!(error.contains("limit is 524288"), "{error}");
    let error = decode(&[0x0a, 0].repeat(11)).expect_err("too many").to_string();
    assert_eq!(error, "more than 10 queries, which is the limit");
}

fn series(count: usize) -> (Labels, SampleBuffer) {
    let mut buffer = SampleBuffer::default();
    for i in 0..count {
        buffer.push(i as i64 * 15_000, (i as f64).sin());
    }
    (Labels::from_pairs([("__name__", "m"), ("a", "b")]), buffer)
}

#[test]
fn a_long_series_is_cut_into_frames_with_checksums() {
    let (labels, buffer) = series(200_000);
    let (mut got, mut count) = (Vec::new(), 0);
    let mut read = |frame: Vec<u8>| -> Result<(), ()> {
        assert!(frame.len() < 1 << 20);
        let length_bytes = frame.iter().position(|b| *b < 0x80).expect("a varint") + 1;
        let (crc, body) = frame[length_bytes..].split_at(4);
        assert_eq!(crc, crc32c::crc32c(body).to_be_bytes());
        let message = ChunkedReadResponse::decode(body).expect("a message");
        assert_eq!(message.query_index, 3);
        for chunk in &message.chunked_series[0].chunks {
            let samples = read_chunk(&chunk.data);
            assert_eq!(samples.first().map(|s| s.0), Some(chunk.min_time_ms));
            assert_eq!(samples.last().map(|s| s.0), Some(chunk.max_time_ms));
            got.extend(samples);
        }
        count += 1;
        Ok(())
    };
    frames(3, &labels, &buffer, &mut read).expect("nothing fails");
    assert!(count > 1, "one frame holds it all");
    let expected: Vec<(i64, u64)> =
        buffer.timestamps.iter().zip(&buffer.values).map(|(at, v)| (*at, v.to_bits())).collect();
    assert_eq!(got, expected);
}

#[test]
fn every_query_has_a_result_in_the_message() {
    #[derive(Clone, PartialEq, Message)]
    struct Answer {
        #[prost(message, repeated, tag = "1")]
        results: Vec<QueryResult>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct QueryResult {
        #[prost(message, repeated, tag = "1")]
        timeseries: Vec<crate::proto::write_v1::TimeSeries>,
    }
    let (labels, buffer) = series(3);
    let mut response = ReadResponse::default();
    response.end_query();
    response.series(&labels, &buffer);
    response.end_query();
    let answer = Answer::decode(response.finish().as_slice()).expect("a message");
    assert_eq!(answer.results.len(), 2);
    assert!(answer.results[0].timeseries.is_empty());
    let samples = &answer.results[1].timeseries[0].samples;
    assert_eq!(samples[2].value.map(f64::to_bits), Some(buffer.values[2].to_bits()));
}
