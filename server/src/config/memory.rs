//! How much memory there is: of the machine, or of the cgroup the process runs in.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::value::{format_bytes, parse_bytes};

/// A memory budget as it is set: a size, or a share of what there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryBudget {
    /// A number of bytes.
    Bytes(u64),
    /// A percentage of the memory of the machine or cgroup.
    Percent(f64),
}

/// The least budget the store works with.
const BUDGET_BYTES_MIN: u64 = 64 << 20;

impl MemoryBudget {
    /// The budget in bytes on this machine.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of memory is rounded to a byte"
    )]
    pub fn bytes(self) -> u64 {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (available_bytes() as f64 * percent / 100.0) as u64,
        };
        bytes.max(BUDGET_BYTES_MIN)
    }
}

impl FromStr for MemoryBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_suffix('%') {
            return match number.trim().parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self::Percent(percent)),
                _ => Err(format!("{text:?} is no percentage above 0% and up to 100%")),
            };
        }
        match parse_bytes(text)? {
            bytes if bytes < BUDGET_BYTES_MIN => {
                Err(format!("{text} is too small; the least is {}", format_bytes(BUDGET_BYTES_MIN)))
            }
            bytes => Ok(Self::Bytes(bytes)),
        }
    }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&format_bytes(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Memory of the machine, or of the cgroup if that is less.
#[must_use]
pub fn available_bytes() -> u64 {
    let machine = machine_bytes().unwrap_or(1 << 30);
    cgroup_bytes().map_or(machine, |cgroup| cgroup.min(machine))
}

fn machine_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit on the way from the root to the cgroup of this process.
fn cgroup_bytes() -> Option<u64> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(path.trim_start_matches('/'));
    let limits = own.ancestors().take_while(|dir| dir.starts_with(root)).filter_map(limit_of);
    limits.chain(limit_of(root)).min()
}

/// The limit of one cgroup; `max` stands for none.
fn limit_of(dir: &Path) -> Option<u64> {
    fs::read_to_string(dir.join("memory.max")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_sizes_or_shares() {
        assert_eq!("512MiB".parse(), Ok(MemoryBudget::Bytes(512 << 20)));
        assert_eq!("25%".parse(), Ok(MemoryBudget::Percent(25.0)));
        for text in ["", "0%", "101%", "NaN%", "1MiB", "x"] {
            assert!(text.parse::<MemoryBudget>().is_err(), "{text}");
        }
        assert_eq!(MemoryBudget::Percent(50.0).to_string(), "50%");
    }

    #[test]
    fn there_is_some_memory() {
        assert!(MemoryBudget::Percent(50.0).bytes() >= BUDGET_BYTES_MIN);
    }
}
