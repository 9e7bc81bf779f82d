//! The 16 metrics of a satellite and how their values move: 5 integer counters, 3 walks with two
//! decimals, 3 walks of integers, 2 walks of full precision, 2 switches that seldom flip and
//! 1 constant.

/// How a value moves from scrape to scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Rises by 0 up to, not including, so much.
    Counter(u64),
    /// Moves up or down by at most so many hundredths.
    Decimal(u64),
    /// Moves up or down by at most so much.
    Integer(u64),
    /// Moves up or down by less than so much, all bits of it random.
    Precise(f64),
    /// 0 or 1; flips once in so many scrapes.
    Switch(u64),
    /// Always the same.
    Constant,
}

impl Kind {
    /// What it is called in tables.
    const fn name(self) -> &'static str {
        match self {
            Self::Counter(_) => "integer counter",
            Self::Decimal(_) => "walk of two decimals",
            Self::Integer(_) => "integer walk",
            Self::Precise(_) => "walk of full precision",
            Self::Switch(_) => "switch",
            Self::Constant => "constant",
        }
    }
}

/// One of the metrics of a satellite.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Labels beside those that all series have.
    pub(super) extra_labels: &'static [(&'static str, &'static str)],
}

const fn metric(
    name: &'static str,
    kind: Kind,
    extra_labels: &'static [(&'static str, &'static str)],
) -> Metric {
    Metric { name, kind, extra_labels }
}

pub(super) const METRICS: [Metric; 16] = [
    metric(
        "satellite_downlink_packets_total",
        Kind::Counter(1500),
        &[("beam", "b07"), ("direction", "down")],
    ),
    metric("satellite_uplink_frames_total", Kind::Counter(400), &[("direction", "up")]),
    metric("satellite_crosslink_frames_total", Kind::Counter(200), &[("link", "fore-starboard")]),
    metric("satellite_commands_total", Kind::Counter(50), &[]),
    metric("satellite_memory_corrections_total", Kind::Counter(4), &[("bank", "2")]),
    metric("satellite_bus_voltage_volts", Kind::Decimal(50), &[("bus", "main-a")]),
    metric(
        "satellite_battery_temperature_celsius",
        Kind::Decimal(40),
        &[("pack", "1"), ("sensor", "t3")],
    ),
    metric("satellite_wheel_current_amperes", Kind::Decimal(30), &[("wheel", "x")]),
    metric("satellite_wheel_speed_rpm", Kind::Integer(8), &[("wheel", "x")]),
    metric("satellite_terminals_attached", Kind::Integer(5), &[("beam", "b07")]),
    metric("satellite_queue_depth_frames", Kind::Integer(3), &[("queue", "priority")]),
    metric("satellite_attitude_error_radians", Kind::Precise(1e-4), &[("axis", "roll")]),
    metric("satellite_clock_offset_seconds", Kind::Precise(1e-7), &[]),
    metric("satellite_in_eclipse", Kind::Switch(180), &[]),
    metric("satellite_thruster_firing", Kind::Switch(500), &[("thruster", "n2")]),
    metric("satellite_software_info", Kind::Constant, &[("image", "flight-7.3.1"), ("slot", "b")]),
];

/// Where a series stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueState {
    random: u64,
    whole: i64,
    real: f64,
}

impl ValueState {
    pub(super) fn new(seed: u64, series: usize) -> Self {
        let random = mix(seed.wrapping_add(mix(series as u64)));
        let whole = i64::try_from(mix(random) % 10_000).unwrap_or(0);
        Self { random, whole, real: unit(mix(random ^ 1)) }
    }

    /// The value at `scrape`; to be called for one scrape after the other.
    #[expect(clippy::cast_precision_loss, reason = "values stay far below 2^53")]
    pub(super) fn next(&mut self, kind: Kind, scrape: usize) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let random = mix(self.random);
        match kind {
            Kind::Counter(limit) => self.whole += signed(random % limit),
            Kind::Decimal(most) | Kind::Integer(most) => {
                self.whole += signed(random % (2 * most + 1)) - signed(most);
            }
            Kind::Precise(most) => self.real += (2.0 * unit(random) - 1.0) * most,
            Kind::Switch(one_in) => {
                self.whole = if scrape == 0 { self.whole & 1 } else { self.whole };
                self.whole ^= i64::from(random.is_multiple_of(one_in));
            }
            Kind::Constant => self.whole = 1,
        }
        match kind {
            Kind::Decimal(_) => self.whole as f64 / 100.0,
            Kind::Precise(_) => self.real,
            _ => self.whole as f64,
        }
    }
}

fn signed(small: u64) -> i64 {
    i64::try_from(small).unwrap_or(i64::MAX)
}

/// A number from 0 up to, not including, 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of SplitMix64: every bit of the answer depends on every bit of `x`.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The values of so many series of each metric, with what kind they are of.
pub(crate) fn columns(
    series: usize,
    samples: usize,
) -> impl Iterator<Item = (&'static str, Vec<Vec<f64>>)> {
    METRICS.iter().zip(0..).map(move |(metric, number)| {
        let column = |at: usize| {
            let mut state = ValueState::new(1, METRICS.len() * at + number);
            (0..samples).map(|scrape| state.next(metric.kind, scrape)).collect()
        };
        (metric.kind.name(), (0..series).map(column).collect())
    })
}
