//! Parts that rows of tombstones share: matchers and lists of blocks.

use ephemeris_model::{MatchOp, Matcher};

use super::row::BlockId;
use crate::encoding::{Damage, Input, put_bytes, put_varint};

pub(super) fn put_matchers(out: &mut Vec<u8>, matchers: &[Matcher]) {
    put_varint(out, matchers.len() as u64);
    for matcher in matchers {
        out.push(number_of(matcher.op));
        put_bytes(out, matcher.name.as_bytes());
        put_bytes(out, matcher.value.as_bytes());
    }
}

pub(super) fn read_matchers(input: &mut Input<'_>) -> Result<Vec<Matcher>, Damage> {
    (0..input.count()?).map(|_| read_matcher(input)).collect()
}

/// Blocks, ascending, as steps.
pub(super) fn put_blocks(out: &mut Vec<u8>, blocks: &[BlockId]) {
    put_varint(out, blocks.len() as u64);
    let mut last = 0;
    for block in blocks {
        put_varint(out, u64::from(block.0 - last));
        last = block.0;
    }
}

pub(super) fn read_blocks(input: &mut Input<'_>) -> Result<Vec<BlockId>, Damage> {
    let mut blocks = Vec::new();
    let mut last = 0u32;
    for _ in 0..input.count()? {
        let next = last.checked_add(input.varint_u32()?);
        last = next.ok_or(Damage("a block id is too large"))?;
        blocks.push(BlockId(last));
    }
    Ok(blocks)
}

fn read_matcher(input: &mut Input<'_>) -> Result<Matcher, Damage> {
    let op = match input.u8()? {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(Damage("a matcher is not known")),
    };
    let (name, value) = (input.text()?, input.text()?);
    Matcher::new(op, name, value).map_err(|_| Damage("a pattern is not valid"))
}

/// Numbers are never reused.
const fn number_of(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}
