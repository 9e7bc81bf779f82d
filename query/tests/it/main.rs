//! PromQL and LogQL from text to answer, by scripts.

mod absent;
mod chains;
mod engine;
mod explain;
mod formulas;
mod histograms;
mod logs;
mod passes;
mod print;
mod random;
mod scripts;

use std::path::{Path, PathBuf};

/// The package's own scripts.
fn own_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql")
}

/// A folder of scripts that lies outside the repository and need not be there.
fn outside(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    folder.is_dir().then_some(folder)
}

/// The scripts of a folder, by name: name and text.
fn scripts_in(folder: &Path, extensions: &[&str]) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut scripts: Vec<(String, String)> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| extensions.iter().any(|e| path.extension().is_some_and(|own| own == *e)))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a script can be read"))
        })
        .collect();
    scripts.sort_unstable();
    scripts
}

/// Adds floats by time.
fn push_floats(
    source: &mut ephemeris_query::script::MemorySource,
    labels: &ephemeris_model::Labels,
    samples: &[(i64, f64)],
) {
    for (at, value) in samples {
        source.push(labels, *at, 0, *value).expect("in order");
    }
}

/// So many cases of a property, or as many as `PROPTEST_CASES` says.
fn cases(count: u32) -> proptest::prelude::ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    proptest::prelude::ProptestConfig::with_cases(asked.unwrap_or(count))
}
