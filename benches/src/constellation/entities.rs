//! Groups of things that are watched, what is measured on each, and how many there are.

use super::values::{Kind, mix};

/// How many there are of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Satellites.
    pub satellites: usize,
    /// Computers of each.
    pub nodes: usize,
    /// Lasers of each.
    pub lasers: usize,
    /// Beams of each.
    pub beams: usize,
    /// User terminals.
    pub terminals: usize,
    /// Gateway sites.
    pub gateways: usize,
    /// Antennas of each.
    pub antennas: usize,
}

/// A group of things that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// A satellite's bus.
    Satellite,
    /// A computer on board.
    Node,
    /// A laser on board.
    Laser,
    /// A beam to the ground.
    Beam,
    /// A link to a gateway, which is another every few minutes.
    GatewayLink,
    /// A user terminal.
    Terminal,
    /// An antenna of a gateway.
    Antenna,
}

/// One thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entity {
    /// Its group.
    pub group: Group,
    /// Its number in the group.
    pub number: usize,
}

/// What is measured on each thing of a group.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its values move.
    pub kind: Kind,
    /// Labels beside those of the entity.
    pub labels: &'static [(&'static str, &'static str)],
    /// Whether it carries attributes.
    pub is_info: bool,
}

impl Tier {
    /// The tiers by name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let [satellites, nodes, lasers, beams, terminals, gateways, antennas] = match name {
            "ci" => [20, 2, 3, 4, 200, 2, 4],
            "small" => [200, 4, 3, 8, 5_000, 10, 8],
            "medium" => [1_500, 8, 3, 16, 50_000, 60, 8],
            "large" => [10_000, 16, 3, 24, 500_000, 150, 10],
            _ => return None,
        };
        Some(Self { satellites, nodes, lasers, beams, terminals, gateways, antennas })
    }

    /// With so many times the satellites, terminals and gateways, at least one of each.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a few hundred thousand"
    )]
    pub fn scaled(self, scale: f64) -> Self {
        let share = |count: usize| ((count as f64 * scale) as usize).max(1);
        Self {
            satellites: share(self.satellites),
            terminals: share(self.terminals),
            gateways: share(self.gateways),
            ..self
        }
    }

    /// Number of things in a group.
    #[must_use]
    pub const fn count(&self, group: Group) -> usize {
        match group {
            Group::Satellite | Group::GatewayLink => self.satellites,
            Group::Node => self.satellites * self.nodes,
            Group::Laser => self.satellites * self.lasers,
            Group::Beam => self.satellites * self.beams,
            Group::Terminal => self.terminals,
            Group::Antenna => self.gateways * self.antennas,
        }
    }

    /// All things.
    pub fn entities(&self) -> impl Iterator<Item = Entity> {
        let tier = *self;
        Group::ALL.into_iter().flat_map(move |group| {
            (0..tier.count(group)).map(move |number| Entity { group, number })
        })
    }

    /// Series at one moment.
    #[must_use]
    pub fn series_count(&self) -> usize {
        Group::ALL.iter().map(|group| self.count(*group) * group.metrics().len()).sum()
    }
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 7] = [
        Self::Satellite,
        Self::Node,
        Self::Laser,
        Self::Beam,
        Self::GatewayLink,
        Self::Terminal,
        Self::Antenna,
    ];

    /// Whether it flies.
    #[must_use]
    pub const fn is_on_board(self) -> bool {
        !matches!(self, Self::Terminal | Self::Antenna)
    }

    /// The `job` label.
    #[must_use]
    pub const fn job(self) -> &'static str {
        match self {
            Self::Satellite => "bus",
            Self::Node => "node",
            Self::Laser => "laser",
            Self::Beam => "beam",
            Self::GatewayLink => "gwlink",
            Self::Terminal => "ut",
            Self::Antenna => "gateway",
        }
    }

    /// What is measured on each.
    #[must_use]
    pub const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Satellite => SATELLITE,
            Self::Node => NODE,
            Self::Laser => LASER,
            Self::Beam => BEAM,
            Self::GatewayLink => GATEWAY_LINK,
            Self::Terminal => TERMINAL,
            Self::Antenna => ANTENNA,
        }
    }
}

impl Metric {
    /// Its number in a group; that of an unknown one is the group's length.
    #[must_use]
    pub fn number(&self, group: Group) -> u64 {
        let same = |m: &Metric| m.name == self.name && m.labels == self.labels;
        let all = group.metrics();
        all.iter().position(same).unwrap_or(all.len()) as u64
    }
}

impl Entity {
    /// The satellite it is on; meaningless for things on the ground.
    #[must_use]
    pub const fn satellite(&self, tier: &Tier) -> usize {
        match self.group {
            Group::Node => self.number / tier.nodes,
            Group::Laser => self.number / tier.lasers,
            Group::Beam => self.number / tier.beams,
            _ => self.number,
        }
    }

    /// Appends the labels that say which one it is.
    pub fn name(&self, seed: u64, tier: &Tier, pairs: &mut Vec<(&'static str, String)>) {
        if self.group.is_on_board() {
            let satellite = self.satellite(tier);
            pairs.push(("sat", format!("S{satellite:04}")));
            pairs.push(("instance", format!("s{satellite:04}.{}:9100", self.group.job())));
        }
        match self.group {
            Group::Node => pairs.push(("node", format!("n{:02}", self.number % tier.nodes))),
            Group::Laser => pairs.push(("laser", (self.number % tier.lasers).to_string())),
            Group::Beam => pairs.push(("beam", format!("b{:02}", self.number % tier.beams))),
            Group::Terminal => {
                let id = (u128::from(mix(seed ^ self.number as u64)) << 64)
                    | u128::from(mix(self.number as u64 | (1 << 40)));
                let hex = format!("{id:032x}");
                let ut = format!("ut{}-{}-{}", &hex[..8], &hex[8..16], &hex[16..24]);
                pairs.push(("ut", ut));
            }
            Group::Antenna => {
                pairs.push(("gateway", format!("gw-{:03}", self.number / tier.antennas)));
                pairs.push(("antenna", (self.number % tier.antennas).to_string()));
            }
            Group::Satellite | Group::GatewayLink => {}
        }
    }
}

type Pairs = &'static [(&'static str, &'static str)];

const fn m(name: &'static str, kind: Kind, labels: Pairs) -> Metric {
    Metric { name, kind, labels, is_info: false }
}

const fn info(name: &'static str) -> Metric {
    Metric { name, kind: Kind::Constant, labels: &[], is_info: true }
}

const SATELLITE: &[Metric] = &[
    m("sl_sat_battery_soc_ratio", Kind::Orbit(0.7, 0.2), &[]),
    m("sl_sat_battery_voltage_volts", Kind::Orbit(48.0, 3.0), &[("string", "a")]),
    m("sl_sat_battery_voltage_volts", Kind::Orbit(48.0, 3.0), &[("string", "b")]),
    m("sl_sat_solar_array_watts", Kind::Orbit(2000.0, 1900.0), &[("wing", "port")]),
    m("sl_sat_solar_array_watts", Kind::Orbit(2000.0, 1900.0), &[("wing", "starboard")]),
    m("sl_sat_temperature_celsius", Kind::Orbit(18.0, 12.0), &[("zone", "bus")]),
    m("sl_sat_temperature_celsius", Kind::Orbit(22.0, 15.0), &[("zone", "payload")]),
    m("sl_sat_temperature_celsius", Kind::Orbit(8.0, 30.0), &[("zone", "panel")]),
    m("sl_sat_reaction_wheel_rpm", Kind::Walk(2000.0, 1500.0, 1.0), &[("wheel", "x")]),
    m("sl_sat_reaction_wheel_rpm", Kind::Walk(2000.0, 1500.0, 1.0), &[("wheel", "y")]),
    m("sl_sat_attitude_error_degrees", Kind::Special(0.02), &[("axis", "roll")]),
    m("sl_sat_altitude_meters", Kind::Walk(550_000.0, 400.0, 0.1), &[]),
    m("sl_sat_propellant_kilograms", Kind::Walk(40.0, 1.0, 0.001), &[]),
    m("sl_sat_thruster_on_seconds_total", Kind::Counter(2), &[]),
    m("sl_sat_contact_age_seconds", Kind::Sparse(0.08, 3000.0), &[]),
    m("sl_sat_safe_mode", Kind::Switch(2_592_000), &[]),
    info("sl_sat_info"),
];
const NODE: &[Metric] = &[
    m("node_cpu_seconds_total", Kind::Counter(15), &[("mode", "idle")]),
    m("node_cpu_seconds_total", Kind::Counter(4), &[("mode", "user")]),
    m("node_memory_MemAvailable_bytes", Kind::Walk(2e9, 1e9, 4096.0), &[]),
    m("node_load1", Kind::Walk(1.5, 1.4, 0.01), &[]),
    m("node_network_receive_bytes_total", Kind::Counter(9_000_000), &[("device", "eth0")]),
    m("node_network_transmit_bytes_total", Kind::Counter(9_000_000), &[("device", "eth0")]),
    m("sl_node_ecc_errors_total", Kind::Counter(2), &[("type", "correctable")]),
    m("node_boot_time_seconds", Kind::Boot, &[]),
    m("up", Kind::Constant, &[]),
];
const LASER: &[Metric] = &[
    m("sl_laser_link_up", Kind::Switch(86_400), &[]),
    m("sl_laser_rx_power_dbm", Kind::Walk(-20.0, 6.0, 0.05), &[]),
    m("sl_laser_pointing_error_urad", Kind::Walk(3.0, 2.5, 0.01), &[]),
    m("sl_laser_tx_bytes_total", Kind::Counter(90_000_000_000), &[]),
    m("sl_laser_rx_bytes_total", Kind::Counter(90_000_000_000), &[]),
    m("sl_laser_fec_codewords_total", Kind::Counter(40_000_000), &[("kind", "corrected")]),
    m("sl_laser_fec_codewords_total", Kind::Counter(3), &[("kind", "uncorrected")]),
    info("sl_laser_peer_info"),
];
const BEAM: &[Metric] = &[
    m("sl_beam_eirp_dbw", Kind::Walk(36.0, 3.0, 0.1), &[]),
    m("sl_beam_active_terminals", Kind::Walk(60.0, 55.0, 1.0), &[]),
    m("sl_beam_mcs_index", Kind::Walk(15.0, 12.0, 1.0), &[]),
    m("sl_beam_tx_bytes_total", Kind::Counter(4_000_000_000), &[]),
    m("sl_beam_rx_bytes_total", Kind::Counter(600_000_000), &[]),
    m("sl_beam_scheduler_slots_total", Kind::Counter(11_000), &[("result", "used")]),
    m("sl_beam_scheduler_slots_total", Kind::Counter(120), &[("result", "dropped")]),
];
const GATEWAY_LINK: &[Metric] = &[
    m("sl_gateway_link_cn_ratio_db", Kind::Walk(14.0, 6.0, 0.1), &[("dir", "down")]),
    m("sl_gateway_link_cn_ratio_db", Kind::Walk(14.0, 6.0, 0.1), &[("dir", "up")]),
    m("sl_gateway_link_bytes_total", Kind::Counter(30_000_000_000), &[("dir", "down")]),
    m("sl_gateway_link_bytes_total", Kind::Counter(9_000_000_000), &[("dir", "up")]),
    m("sl_gateway_link_doppler_hertz", Kind::Walk(0.0, 400_000.0, 1.0), &[]),
];
const TERMINAL: &[Metric] = &[
    m("sl_ut_downlink_bits_per_second", Kind::Walk(9e7, 8.9e7, 1.0), &[]),
    m("sl_ut_uplink_bits_per_second", Kind::Walk(1e7, 9.9e6, 1.0), &[]),
    m("sl_ut_ping_drop_ratio", Kind::Sparse(0.08, 1.0), &[]),
    m("sl_ut_ping_latency_seconds", Kind::Latency, &[]),
    m("sl_ut_obstruction_ratio", Kind::Sparse(0.08, 1.0), &[]),
    m("sl_ut_signal_quality_ratio", Kind::Walk(0.8, 0.2, 0.001), &[]),
    m("sl_ut_power_watts", Kind::Walk(70.0, 25.0, 0.1), &[]),
    m("sl_ut_gps_satellites", Kind::Walk(14.0, 8.0, 1.0), &[]),
    info("sl_ut_info"),
];
const ANTENNA: &[Metric] = &[
    m("sl_gw_antenna_pointing_error_degrees", Kind::Walk(0.02, 0.02, 0.0001), &[("axis", "az")]),
    m("sl_gw_antenna_tx_power_dbm", Kind::Walk(43.0, 2.0, 0.1), &[]),
    m("sl_gw_antenna_rx_level_dbm", Kind::Walk(-60.0, 8.0, 0.1), &[]),
    m("sl_gw_antenna_hpa_temperature_celsius", Kind::Walk(55.0, 12.0, 0.1), &[("unit", "1")]),
    m("sl_gw_antenna_frames_total", Kind::Counter(900_000), &[("result", "ok")]),
    m("sl_gw_antenna_frames_total", Kind::Counter(40), &[("result", "error")]),
];
