//! How values move: functions of a series' number and a time, without state.

/// Milliseconds between points that a walk is drawn through.
const LATTICE_MS: i64 = 15_000;
/// A satellite goes round once in so many.
const ORBIT_MS: i64 = 5_736_000;
/// A computer is started again once in so many: a week.
const BOOT_MS: i64 = 604_800_000;

/// How the values of a series move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// 1.
    Constant,
    /// Seconds of the last start.
    Boot,
    /// A wave around the middle, with this amplitude, to 0.01, with the orbit.
    Orbit(f64, f64),
    /// Between middle − spread and middle + spread in steps.
    Walk(f64, f64, f64),
    /// Rises by less than twice so much in 15 s, in whole numbers; begins anew at each start.
    Counter(u64),
    /// 0 but for this share of the time, when it is up to so much.
    Sparse(f64, f64),
    /// Seconds of a ping: a base, a step every 15 s, a tail.
    Latency,
    /// 0 or 1; another draw every so many seconds, 1 of 8 is 1.
    Switch(i64),
    /// All bits random up to this size; one in 10,000 is NaN, infinite, −0, the largest or the
    /// smallest number.
    Special(f64),
}

/// The value at a time.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "whole numbers stay below 2^53")]
pub fn value(kind: Kind, series: u64, time_ms: i64) -> f64 {
    let tick = time_ms.div_euclid(LATTICE_MS);
    let draw = at(series, tick);
    match kind {
        Kind::Constant => 1.0,
        Kind::Boot => (booted_ms(series, time_ms) / 1000) as f64,
        Kind::Orbit(middle, amplitude) => {
            let phase = below(series, ORBIT_MS);
            let turn =
                (time_ms.saturating_add(phase)).rem_euclid(ORBIT_MS) as f64 / ORBIT_MS as f64;
            quantised(middle + amplitude * (turn * std::f64::consts::TAU).cos(), 0.01)
        }
        Kind::Walk(middle, spread, step) => {
            quantised(middle + spread * (2.0 * smooth(series, time_ms) - 1.0), step)
        }
        Kind::Counter(most) => {
            let ticks = (time_ms - booted_ms(series, time_ms)).div_euclid(LATTICE_MS);
            // At tick k between k × most and (k + 1) × most: it never falls.
            let whole = ticks.max(0).unsigned_abs().saturating_mul(most);
            whole.saturating_add(draw % most.max(1)) as f64
        }
        Kind::Sparse(share, most) => {
            let size = unit(mix(draw ^ 1));
            if unit(draw) < share { quantised(most * size * size, 0.001) } else { 0.0 }
        }
        Kind::Latency => {
            let tail = unit(mix(draw ^ 2)).powi(12) * 0.06;
            quantised(0.022 + 0.008 * unit(draw) + tail, 0.0001)
        }
        Kind::Switch(dwell_s) => {
            let dwell = time_ms.div_euclid(dwell_s.saturating_mul(1000).max(1));
            f64::from(u8::from(at(series ^ 3, dwell).is_multiple_of(8)))
        }
        Kind::Special(size) => special(draw, size),
    }
}

fn special(draw: u64, size: f64) -> f64 {
    const SPECIALS: [f64; 6] =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e308, f64::MIN_POSITIVE / 4.0];
    match draw % 60_000 {
        n @ 0..6 => SPECIALS[n as usize],
        _ => size * (2.0 * unit(mix(draw)) - 1.0),
    }
}

/// The last start before a time: once a week, for each series at another moment.
fn booted_ms(series: u64, time_ms: i64) -> i64 {
    let phase = below(mix(series ^ 4), BOOT_MS);
    (time_ms.saturating_add(phase)).div_euclid(BOOT_MS).saturating_mul(BOOT_MS) - phase
}

/// From 0 to 1, moving slowly: through a random point every 16 ticks, with some noise.
#[expect(clippy::cast_precision_loss, reason = "a part of some minutes")]
fn smooth(series: u64, time_ms: i64) -> f64 {
    let period = LATTICE_MS * 16;
    let (knot, part) = (time_ms.div_euclid(period), time_ms.rem_euclid(period));
    let part = part as f64 / period as f64;
    let (from, to) = (unit(at(series, knot)), unit(at(series, knot.saturating_add(1))));
    let noise = unit(at(series ^ 5, time_ms.div_euclid(LATTICE_MS)));
    0.95 * (from + (to - from) * part) + 0.05 * noise
}

/// The nearest multiple of `step`, as few digits as it has.
fn quantised(value: f64, step: f64) -> f64 {
    if step >= 1.0 {
        return (value / step).round() * step;
    }
    let per_unit = (1.0 / step).round();
    (value * per_unit).round() / per_unit
}

fn at(series: u64, tick: i64) -> u64 {
    mix(series ^ mix(tick.cast_unsigned()))
}

fn below(random: u64, end: i64) -> i64 {
    i64::try_from(random % end.unsigned_abs().max(1)).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Every bit of the answer depends on every bit of `x`; the finaliser of SplitMix64.
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
