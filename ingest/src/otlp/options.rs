//! How OTLP metrics are translated, as far as it can be chosen.

use super::naming::Naming;

/// What becomes of delta points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeltaMode {
    /// They are added up: each series reads as if its sender were cumulative.
    #[default]
    Accumulate,
    /// They are stored as they come.
    Keep,
}

/// What becomes of histograms with explicit bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExplicitHistograms {
    /// Series `_bucket`, `_sum` and `_count`.
    #[default]
    Classic,
    /// A native histogram with custom buckets.
    Native,
}

/// Choices of the translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How names are translated.
    pub naming: Naming,
    /// Resource attributes that become labels of each series; `*` is all of them.
    pub promoted: Vec<String>,
    /// Whether series get labels that name their scope.
    pub scope_labels: bool,
    /// Whether `target_info` is written.
    pub target_info: bool,
    /// Whether `target_info` also has what `job` and `instance` are made of.
    pub keep_identifying: bool,
    /// What becomes of histograms with explicit bounds.
    pub histograms: ExplicitHistograms,
    /// What becomes of delta points.
    pub delta: DeltaMode,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            promoted: Vec::new(),
            scope_labels: false,
            target_info: true,
            keep_identifying: false,
            histograms: ExplicitHistograms::default(),
            delta: DeltaMode::default(),
        }
    }
}

impl Options {
    pub(super) fn promotes(&self, key: &str) -> bool {
        self.promoted.iter().any(|p| p == "*" || p == key)
    }
}
