//! Families of lines. A line of an entry is a line of its family with each digit redrawn, so that
//! numbers repeat no more than they would in a long log.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workload::mix;
use crate::{BenchError, Result, fail};

/// Families used at most.
const FAMILIES_MAX: usize = 10;
/// Lines a file must have.
const LINES_MIN: usize = 50;
/// Longer lines are left out.
const LINE_BYTES_MAX: usize = 1_000;
/// Lines of a built-in family.
const BUILT_IN_LINES: usize = 500;

/// Lines of one kind of program.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// The `job` label.
    pub(super) job: String,
    /// The lines.
    pub(super) lines: Vec<String>,
}

/// Templates: `%w` a word, `%d` digits, `%h` eight hex digits, `%l` a level.
const TEMPLATES: [(&str, &[&str]); FAMILIES_MAX] = [
    (
        "gateway",
        &[
            "ts=2026-03-%dT10:%d:%d.%dZ caller=%w.go:%d level=%l component=%w msg=\"%w %w\" duration=%dms bytes=%d",
            "ts=2026-03-%dT10:%d:%d.%dZ caller=%w.go:%d level=%l component=%w msg=\"request served\" path=/api/%w/%d status=%d",
        ],
    ),
    (
        "billing",
        &[
            r#"{"time":"2026-03-%dT10:%d:%d","level":"%l","size":%d,"user":"%w-%d","message":"%w %w of %w"}"#,
            r#"{"time":"2026-03-%dT10:%d:%d","level":"%l","size":%d,"error":"%w: %w refused","attempt":%d}"#,
        ],
    ),
    (
        "web",
        &[
            "10.%d.%d.%d - - [%d/Mar/2026:10:%d:%d +0000] \"GET /%w/%w-%d HTTP/1.1\" %d %d \"-\" \"Mozilla/5.0 (X11; Linux x86_64) %w/%d\"",
        ],
    ),
    (
        "sshd",
        &[
            "Mar %d 10:%d:%d host sshd[%d]: Failed password for invalid user %w from 10.%d.%d.%d port %d ssh2",
            "Mar %d 10:%d:%d host sshd[%d]: Received disconnect from 10.%d.%d.%d: %d: Bye Bye [preauth]",
        ],
    ),
    (
        "storage-node",
        &[
            "%d %d INFO dfs.DataNode$PacketResponder: PacketResponder %d for block blk_%d terminating",
            "%d %d WARN dfs.FSNamesystem: BLOCK* NameSystem.%w: blockMap updated: 10.%d.%d.%d:%d is added to blk_%d size %d",
        ],
    ),
    (
        "scheduler",
        &[
            "2026-03-%d 10:%d:%d,%d INFO [main] org.example.%w.%w: Task attempt_%d_%d transitioned from %w to %w",
            "2026-03-%d 10:%d:%d,%d ERROR [IPC Server handler %d] org.example.%w.%w: could not reach %w after %d tries",
        ],
    ),
    (
        "modem",
        &[
            "[%d.%d] %w: beam %d locked, snr=%d.%d dB, doppler %d Hz",
            "[%d.%d] %w: frame %h dropped, crc %h expected",
        ],
    ),
    (
        "kernel",
        &[
            "Mar %d 10:%d:%d host kernel: [%d.%d] %w %d:%d: %w error at 0x%h",
            "Mar %d 10:%d:%d host kernel: audit: type=%d pid=%d uid=%d comm=\"%w\" exe=\"/usr/bin/%w\"",
        ],
    ),
    (
        "queue",
        &["[2026-03-%d 10:%d:%d,%d] %l [%w-%d] %w-%d: rolled new segment at offset %d in %d ms"],
    ),
    (
        "orchestrator",
        &["I03%d 10:%d:%d.%d %d %w_controller.go:%d] \"%w\" pod=\"%w/%w-%h\" err=\"%w %w\""],
    ),
];

/// Ten families made from templates, the same for the same seed.
pub(super) fn built_in(seed: u64) -> Vec<Family> {
    let mut random = Random(seed);
    let words: Vec<String> = (0..400).map(|_| random.word()).collect();
    let family = |(job, templates): &(&str, &[&str])| {
        let mut line = |at: usize| random.fill(templates[at % templates.len()], &words);
        Family { job: (*job).to_owned(), lines: (0..BUILT_IN_LINES).map(&mut line).collect() }
    };
    TEMPLATES.iter().map(family).collect()
}

/// The first ten files with enough lines below `dir`, by path.
///
/// # Errors
/// If it cannot be read, or has no such file.
pub(super) fn from_files(dir: &Path) -> Result<Vec<Family>> {
    let mut paths = Vec::new();
    list(dir, &mut paths)?;
    paths.sort();
    let mut families: Vec<Family> = Vec::new();
    for path in paths {
        let text = fs::read(&path).map_err(|e| BenchError(format!("{}: {e}", path.display())))?;
        let text = String::from_utf8_lossy(&text);
        let fits = |line: &&str| !line.is_empty() && line.len() <= LINE_BYTES_MAX;
        let lines: Vec<String> = text.lines().filter(fits).map(str::to_owned).collect();
        let job = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if let Some(job) = job.filter(|_| lines.len() >= LINES_MIN && families.len() < FAMILIES_MAX)
        {
            families.push(Family { job, lines });
        }
    }
    if families.is_empty() {
        return fail(format!("{}: no file has {LINES_MIN} lines", dir.display()));
    }
    Ok(families)
}

fn list(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).map_err(|e| BenchError(format!("{}: {e}", dir.display())))?;
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() {
            list(&path, paths)?;
        } else if matches!(extension, "log" | "txt" | "json" | "jsonl" | "ndjson") {
            paths.push(path);
        }
    }
    Ok(())
}

/// A seeded sequence of numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is above 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 24] = [
            "ba", "con", "der", "fle", "ga", "hin", "ket", "lo", "mar", "nu", "or", "pli", "qua",
            "ren", "sto", "tan", "ul", "ver", "wi", "xe", "yor", "zan", "che", "thr",
        ];
        (0..2 + self.below(3)).map(|_| SYLLABLES[self.below(SYLLABLES.len())]).collect()
    }

    fn fill(&mut self, template: &str, words: &[String]) -> String {
        const LEVELS: [&str; 6] = ["info", "info", "info", "debug", "warn", "error"];
        let mut parts = template.split('%');
        let mut line = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.as_bytes().first() {
                Some(b'w') => line.push_str(&words[self.below(words.len())]),
                Some(b'd') => line.push_str(&(10 + self.next() % 9_990).to_string()),
                Some(b'h') => line.push_str(&format!("{:08x}", self.next() >> 32)),
                _ => line.push_str(LEVELS[self.below(LEVELS.len())]),
            }
            line.push_str(&part[1.min(part.len())..]);
        }
        line
    }

    /// Appends `line` with each digit redrawn.
    pub(super) fn redraw(&mut self, line: &str, out: &mut Vec<u8>) {
        let mut digits = 0;
        for byte in line.bytes() {
            if byte.is_ascii_digit() {
                if digits == 0 {
                    digits = self.next() | 1 << 63;
                }
                out.push(b'0' + u8::try_from(digits % 10).unwrap_or(0));
                digits /= 10;
            } else {
                out.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_lines_and_only_digits_change() {
        let families = built_in(7);
        assert_eq!(families.len(), FAMILIES_MAX);
        let mut texts = [Vec::new(), Vec::new(), Vec::new()];
        let line = &families[0].lines[0];
        for (text, seed) in texts.iter_mut().zip([1, 1, 2]) {
            Random(seed).redraw(line, text);
        }
        assert_eq!(texts[0], texts[1]);
        assert_ne!(texts[0], texts[2]);
        let no_digits = |text: &[u8]| -> Vec<u8> {
            text.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect()
        };
        assert_eq!(no_digits(&texts[2]), no_digits(line.as_bytes()));
        assert!(!line.contains('%'), "{line}");
    }
}
