//! PromQL and LogQL from text to answer, by scripts.

mod engine;
mod formulas;
mod logs;
mod print;
mod random;
mod scripts;

use std::path::{Path, PathBuf};

/// The package's own scripts.
fn own_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql")
}

/// Prometheus' scripts, which lie outside the repository and need not be there.
fn outside_scripts() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/promqltest");
    folder.is_dir().then_some(folder)
}

/// The scripts of a folder, by name: name and text.
fn scripts_in(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut scripts: Vec<(String, String)> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a script can be read"))
        })
        .collect();
    scripts.sort_unstable();
    scripts
}
