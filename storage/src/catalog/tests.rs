//! What the catalog promises across restarts.

use ephemeris_model::{MetricType, TimeRange, TimestampMs};

use super::*;

fn open(dir: &std::path::Path) -> (Arc<Rocks>, Catalog) {
    let rocks = Arc::new(Rocks::open(dir).expect("it opens"));
    let catalog = Catalog::open(Arc::clone(&rocks)).expect("it is read");
    (rocks, catalog)
}

fn ingest(rocks: &Rocks, id: BlockId) -> BlockRow {
    let mut sink = rocks.block_sink(id).expect("the file is created");
    sink.put(11, 0, b"manifest").expect("it is written");
    let bytes = sink.finish().expect("it is synced");
    rocks.ingest(id).expect("it is taken in");
    BlockRow {
        payload: Payload::Samples,
        id,
        range: TimeRange::of_day(1),
        min_time: TimestampMs(1),
        max_time: TimestampMs(2),
        level: 0,
        bytes,
        series_count: 1,
        sample_count: 2,
    }
}

#[test]
fn only_committed_blocks_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let (first, second) = (catalog.next_block_id(), catalog.next_block_id());
    let row = ingest(&rocks, first);
    ingest(&rocks, second);
    let change = CatalogChange {
        added: vec![row.clone()],
        finished_generation: Some(7),
        ..Default::default()
    };
    catalog.commit(change).expect("it is written");
    drop((rocks, catalog));
    let (rocks, catalog) = open(dir.path());
    assert_eq!(catalog.blocks(), [row]);
    assert_eq!(rocks.block_ids().expect("a list"), [first]);
    assert_eq!(catalog.finished_generations(), [7]);
    assert!(catalog.next_block_id() > second);
    catalog.forget_generations(&[7]).expect("it is written");
    assert!(catalog.finished_generations().is_empty());
}

#[test]
fn ids_of_removed_blocks_do_not_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let id = catalog.next_block_id();
    let added = vec![ingest(&rocks, id)];
    catalog.commit(CatalogChange { added, ..Default::default() }).expect("it is written");
    catalog.note_damage(id, "a page").expect("it is written");
    assert_eq!(catalog.damaged_blocks(), [(id, "a page".to_owned())]);
    let removed = vec![id];
    catalog.commit(CatalogChange { removed, ..Default::default() }).expect("it is written");
    rocks.delete_block(id).expect("it is deleted");
    drop((rocks, catalog));
    let (_, catalog) = open(dir.path());
    assert!(catalog.blocks().is_empty() && catalog.damaged_blocks().is_empty());
    assert!(catalog.next_block_id() > id);
}

#[test]
fn tenants_and_metadata_are_remembered() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let a = catalog.tenant_or_create("a").expect("it is written");
    let b = catalog.tenant_or_create("b").expect("it is written");
    assert_ne!(a, b);
    let told = |help: &str| Metadata {
        metric: "up".to_owned(),
        metric_type: MetricType::Gauge,
        help: help.to_owned(),
        unit: String::new(),
    };
    for help in ["1", "2", "3", "4", "5", "5", "3"] {
        catalog.put_metadata(a, &[told(help)]).expect("it is written");
    }
    drop((rocks, catalog));
    let (_, catalog) = open(dir.path());
    assert_eq!(catalog.tenant("a"), Some(a));
    assert_eq!(catalog.tenant_or_create("b").expect("found"), b);
    let helps = |list: Vec<Metadata>| list.into_iter().map(|m| m.help).collect::<String>();
    assert_eq!(helps(catalog.metadata(a, Some("up"))), "5432");
    assert_eq!(helps(catalog.metadata(a, None)), "5432");
    assert!(catalog.metadata(b, None).is_empty());
    assert!(catalog.metadata(a, Some("down")).is_empty());
}

/// RocksDB's own log, which holds the newest rows.
fn rocks_log(dir: &std::path::Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(dir).expect("a list").map(|entry| entry.expect("one").path());
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max_by_key(|path| path.metadata().expect("it is there").len()).expect("there is one")
}

#[test]
fn a_damaged_row_is_told_and_a_torn_end_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    for _ in 0..20 {
        let id = catalog.next_block_id();
        let added = vec![ingest(&rocks, id)];
        catalog.commit(CatalogChange { added, ..Default::default() }).expect("it is written");
    }
    let (path, blocks) = (rocks_log(dir.path()), catalog.blocks());
    drop((rocks, catalog));
    let whole = std::fs::read(&path).expect("it is there");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&path, &damaged).expect("it is written");
    let refused = Rocks::open(dir.path()).err().expect("rows are lost");
    assert_eq!(refused.kind(), crate::ErrorKind::Corrupt, "{refused}");
    std::fs::write(&path, &whole[..whole.len() - 3]).expect("it is written");
    let (_, catalog) = open(dir.path());
    assert_eq!(catalog.blocks(), blocks[..19], "the last commit was torn");
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let mut batch = CatalogBatch::default();
    batch.put(keys::single_key(keys::row::FORMAT), 9u32.to_le_bytes());
    rocks.catalog_write(batch, Sync::Now).expect("it is written");
    drop(catalog);
    let refused = Catalog::open(rocks).err().expect("it is refused");
    assert!(refused.to_string().contains("format version 9"), "{refused}");
}
