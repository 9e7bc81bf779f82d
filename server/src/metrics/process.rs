//! The standard metrics of a process, read from `/proc`.

use std::fs;

use super::family::{Family, Kind};

/// Ticks a second in `/proc/self/stat`; fixed by the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads them out; one that cannot be read is left out.
pub(super) fn families(out: &mut Vec<Family>) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the name, is in parentheses and may hold blanks.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number - 3).and_then(|f| f.parse::<f64>().ok());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kb| kb * 1024.0)
    };
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND);
    let start = field(22).zip(boot_time()).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND);
    let (counter, gauge) = (Kind::Counter, Kind::Gauge);
    let values = [
        ("process_cpu_seconds_total", "User and system CPU time.", counter, cpu),
        ("process_start_time_seconds", "Start of the process, as a Unix time.", gauge, start),
        ("process_threads", "Threads.", gauge, field(20)),
        ("process_resident_memory_bytes", "Resident memory.", gauge, kilobytes("VmRSS:")),
        ("process_resident_memory_peak_bytes", "Peak of it.", gauge, kilobytes("VmHWM:")),
        ("process_virtual_memory_bytes", "Virtual memory.", gauge, kilobytes("VmSize:")),
        ("process_open_fds", "Open file descriptors.", gauge, open_files()),
        ("process_max_fds", "Limit on open file descriptors.", gauge, open_files_max()),
    ];
    let present = values.into_iter().filter_map(|(name, help, kind, value)| {
        value.map(|value| Family::single((name, help, kind), value))
    });
    out.extend(present);
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn open_files() -> Option<f64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(entries).ok().map(f64::from)
}

fn open_files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_names_are_there() {
        let mut out = Vec::new();
        families(&mut out);
        let value = |name: &str| {
            out.iter().find(|f| f.name == name).and_then(|f| f.points.first()).map(|p| p.value)
        };
        assert!(value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e5));
        assert!(value("process_open_fds").is_some_and(|count| count >= 3.0));
        assert!(value("process_start_time_seconds").is_some_and(|time| time > 1e9));
        assert!(value("process_cpu_seconds_total").is_some());
    }
}
