//! Names of metrics and labels: from OpenTelemetry's to Prometheus', by the strategy set.
//!
//! The rules and their quirks are those of Prometheus' own translation, so that dashboards made
//! for it fit.

use std::borrow::Cow;

/// How names are translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Other characters become underscores; units and `_total` are appended.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Characters stay; units and `_total` are appended.
    NoUtf8EscapingWithSuffixes,
    /// Other characters become underscores; nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl Naming {
    /// Every strategy with its name in settings.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::UnderscoreEscapingWithSuffixes, "UnderscoreEscapingWithSuffixes"),
        (Self::NoUtf8EscapingWithSuffixes, "NoUTF8EscapingWithSuffixes"),
        (Self::UnderscoreEscapingWithoutSuffixes, "UnderscoreEscapingWithoutSuffixes"),
        (Self::NoTranslation, "NoTranslation"),
    ];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(naming, _)| *naming == self).map_or("", |(_, name)| name)
    }

    const fn escapes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes
        )
    }

    const fn has_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

/// What a metric is, as far as its name tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// A monotonic sum: `_total`.
    Counter,
    /// A gauge: `_ratio` if its unit is 1.
    Gauge,
    /// Anything else.
    Other,
}

/// The name of a metric; none if nothing is left of it.
pub(super) fn metric_name(
    naming: Naming,
    name: &str,
    unit: &str,
    kind: NameKind,
) -> Option<String> {
    let result = match (naming.escapes(), naming.has_suffixes()) {
        (true, true) => escaped_with_suffixes(name, unit, kind),
        (true, false) => escaped(name),
        (false, true) => plain_with_suffixes(name, unit, kind),
        (false, false) => name.to_owned(),
    };
    (!result.is_empty()).then_some(result)
}

fn escaped_with_suffixes(name: &str, unit: &str, kind: NameKind) -> String {
    let mut tokens = tokens(name);
    if tokens.is_empty() {
        return String::new();
    }
    let (main, per) = unit_words(unit);
    let (main, per) = (self::tokens(&main).join("_"), self::tokens(&per).join("_"));
    if !main.is_empty() && !tokens.contains(&main.as_str()) {
        tokens.push(&main);
    }
    if !per.is_empty() && !tokens.contains(&per.as_str()) {
        if tokens.last() != Some(&"per") {
            tokens.push("per");
        }
        tokens.push(&per);
    }
    match kind {
        NameKind::Counter => {
            tokens.retain(|token| *token != "total");
            tokens.push("total");
        }
        NameKind::Gauge if unit.trim() == "1" => {
            tokens.retain(|token| *token != "ratio");
            tokens.push("ratio");
        }
        NameKind::Gauge | NameKind::Other => {}
    }
    digit_first(tokens.join("_"), "_")
}

/// What lies between characters a metric name cannot have; underscores count as such.
fn tokens(name: &str) -> Vec<&str> {
    let between = |c: char| !(c.is_ascii_alphanumeric() || c == ':');
    name.split(between).filter(|token| !token.is_empty()).collect()
}

/// Each run of characters a metric name cannot have becomes one underscore, but none at the ends.
fn escaped(name: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let trimmed = name.trim_matches(|c| !valid(c));
    let mut out = String::with_capacity(trimmed.len() + 1);
    let mut in_run = false;
    for c in trimmed.chars() {
        if valid(c) {
            out.push(c);
        } else if !in_run {
            out.push('_');
        }
        in_run = !valid(c);
    }
    let from_valid = trimmed.chars().all(valid);
    if !from_valid && out.bytes().all(|b| b == b'_') {
        return String::new();
    }
    digit_first(out, "_")
}

fn plain_with_suffixes(name: &str, unit: &str, kind: NameKind) -> String {
    let (main, per) = unit_words(unit);
    let per = if per.is_empty() { per } else { format!("per_{per}") };
    let mut out = name;
    let ratio = kind == NameKind::Gauge && unit.trim() == "1";
    if kind == NameKind::Counter {
        out = out.strip_suffix("_total").unwrap_or(out);
    }
    if ratio {
        out = out.strip_suffix("_ratio").unwrap_or(out);
    }
    let without = |text: &str, word: &str| -> String {
        let stripped = text.strip_suffix(word).and_then(|rest| rest.strip_suffix('_'));
        stripped.unwrap_or(text).to_owned()
    };
    let mut out = if per.is_empty() { out.to_owned() } else { without(out, &per) };
    let mut append = |word: &str, always: bool| {
        if !word.is_empty() && (always || !out.ends_with(word)) {
            out.push('_');
            out.push_str(word);
        }
    };
    append(&main, false);
    append(&per, true);
    if kind == NameKind::Counter {
        append("total", true);
    }
    if ratio {
        append("ratio", true);
    }
    if name.is_empty() { String::new() } else { out }
}

fn digit_first(name: String, prefix: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("{prefix}{name}") } else { name }
}

/// The name of a label; none if nothing is left of it.
pub(super) fn label_name(naming: Naming, name: &str) -> Option<Cow<'_, str>> {
    if name.bytes().all(|b| b == b'_') {
        return None;
    }
    if !naming.escapes() {
        return Some(Cow::Borrowed(name));
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let escaped: Cow<'_, str> = if name.bytes().all(|b| valid(char::from(b))) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.chars().map(|c| if valid(c) { c } else { '_' }).collect())
    };
    if escaped.bytes().all(|b| b == b'_') {
        return None;
    }
    let reserved = escaped.starts_with("__") && escaped.ends_with("__");
    if escaped.starts_with(|c: char| c.is_ascii_digit()) {
        Some(Cow::Owned(format!("key_{escaped}")))
    } else if escaped.starts_with('_') && !escaped.starts_with("__") && !reserved {
        Some(Cow::Owned(format!("key{escaped}")))
    } else {
        Some(escaped)
    }
}

/// The words of a unit: before the first slash, and after it.
pub(super) fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let usable = |part: &str| {
        let part = part.trim();
        if part.contains(['{', '}']) { String::new() } else { part.to_owned() }
    };
    let (main, per) = (usable(main), usable(per));
    let main = UNITS.iter().find(|(code, _)| *code == main).map_or(main, |(_, w)| (*w).to_owned());
    let per = PER_UNITS.iter().find(|(code, _)| *code == per).map_or(per, |(_, w)| (*w).to_owned());
    (main, per)
}

/// The unit as metadata has it: the same words as in the name.
pub(super) fn unit_text(unit: &str) -> String {
    match unit_words(unit) {
        (main, per) if per.is_empty() => main,
        (main, per) if main.is_empty() => format!("per_{per}"),
        (main, per) => format!("{main}_per_{per}"),
    }
}

const UNITS: [(&str, &str); 30] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("kBy", "kilobytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
    ("1", ""),
    ("KHz", "kilohertz"),
    ("MHz", "megahertz"),
    ("GHz", "gigahertz"),
];

const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

#[cfg(test)]
mod tests {
    use super::NameKind::{Counter, Gauge, Other};
    use super::*;

    #[test]
    fn metric_names_are_those_of_prometheus() {
        for (name, unit, kind, expected) in [
            ("requests", "", Counter, "requests_total"),
            ("cpu_usage", "1", Gauge, "cpu_usage_ratio"),
            ("items", "1", Counter, "items_total"),
            ("response_time", "ms", Other, "response_time_milliseconds"),
            ("requests", "1/s", Gauge, "requests_per_second"),
            ("requests", "1/s", Counter, "requests_per_second_total"),
            ("throughput", "By/s", Gauge, "throughput_bytes_per_second"),
            ("custom_metric", "By/{custom}", Gauge, "custom_metric_bytes"),
            (
                "custom_metric",
                "unit@with#special/chars",
                Gauge,
                "custom_metric_unit_with_special_per_chars",
            ),
            ("123metric", "", Gauge, "_123metric"),
            ("system.cpu.time", "s", Counter, "system_cpu_time_seconds_total"),
            ("http.server.duration", "ms", Other, "http_server_duration_milliseconds"),
            ("a.total.b", "", Counter, "a_b_total"),
        ] {
            let naming = Naming::UnderscoreEscapingWithSuffixes;
            assert_eq!(metric_name(naming, name, unit, kind).as_deref(), Some(expected));
        }
        let naming = Naming::UnderscoreEscapingWithSuffixes;
        assert_eq!(metric_name(naming, "@#$%", "", Gauge), None);
    }

    #[test]
    fn the_other_strategies_keep_what_they_promise() {
        let name = |naming, name, unit, kind| metric_name(naming, name, unit, kind);
        let bare = Naming::UnderscoreEscapingWithoutSuffixes;
        assert_eq!(name(bare, "metric@@##$$name", "s", Counter).as_deref(), Some("metric_name"));
        assert_eq!(name(bare, "___", "", Gauge).as_deref(), Some("___"));
        assert_eq!(name(bare, "@_#_$_%", "", Gauge), None);
        let utf8 = Naming::NoUtf8EscapingWithSuffixes;
        assert_eq!(
            name(utf8, "otelcol_process_cpu_seconds", "s", Counter).as_deref(),
            Some("otelcol_process_cpu_seconds_total")
        );
        assert_eq!(
            name(utf8, "system.io", "By/s", Gauge).as_deref(),
            Some("system.io_bytes_per_second")
        );
        assert_eq!(name(Naming::NoTranslation, "a.b", "s", Counter).as_deref(), Some("a.b"));
    }

    #[test]
    fn label_names_are_those_of_prometheus() {
        for (name, expected) in [
            ("http.method", Some("http_method")),
            ("label:with:colons", Some("label_with_colons")),
            ("123label", Some("key_123label")),
            (".foo", Some("key_foo")),
            ("_foo", Some("key_foo")),
            ("__foo", Some("__foo")),
            ("__reserved__", Some("__reserved__")),
            ("ようこそ", None),
            ("__", None),
            ("", None),
        ] {
            let naming = Naming::UnderscoreEscapingWithSuffixes;
            assert_eq!(label_name(naming, name).as_deref(), expected, "{name}");
        }
        assert_eq!(label_name(Naming::NoTranslation, "a.b").as_deref(), Some("a.b"));
    }

    #[test]
    fn units_are_words() {
        for (unit, expected) in [("s", "seconds"), ("1", ""), ("By/s", "bytes_per_second")] {
            assert_eq!(unit_text(unit), expected);
        }
    }
}
