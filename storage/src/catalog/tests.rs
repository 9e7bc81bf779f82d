//! What the catalog promises across restarts.

use ephemeris_model::{MetricType, TimeRange, TimestampMs};

use super::*;

fn open(dir: &Path) -> (Arc<Rocks>, Catalog) {
    let rocks = Rocks::open(dir).expect("it opens");
    let catalog = Catalog::open(rocks, &dir.join("copy")).expect("it is read");
    (Arc::clone(catalog.rocks()), catalog)
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
        arrival: id,
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

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let mut batch = CatalogBatch::default();
    batch.put(keys::single_key(keys::row::FORMAT), 9u32.to_le_bytes());
    rocks.catalog_write(batch, Sync::Now).expect("it is written");
    drop((rocks, catalog));
    let rocks = Rocks::open(dir.path()).expect("it opens");
    let refused = Catalog::open(rocks, &dir.path().join("copy"));
    let refused = refused.err().expect("it is refused");
    assert!(refused.to_string().contains("format version 9"), "{refused}");
}

/// Files of RocksDB whose name ends so.
fn files(dir: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(dir).expect("a list").map(|entry| entry.expect("an entry").path());
    let named = all.filter(|path| path.to_string_lossy().ends_with(end));
    named.filter(|path| path.metadata().is_ok_and(|data| data.len() > 0)).collect()
}

#[test]
fn a_damaged_catalog_is_taken_from_its_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let tenant = catalog.tenant_or_create("fleet").expect("it is written");
    let ids = [catalog.next_block_id(), catalog.next_block_id()];
    let rows = ids.map(|id| ingest(&rocks, id));
    for row in &rows {
        let change = CatalogChange { added: vec![row.clone()], ..Default::default() };
        catalog.commit(change).expect("it is written");
    }
    drop((rocks, catalog));
    let keep = tempfile::tempdir().expect("a directory");
    let copy = |from: &Path, to: &Path| {
        for entry in std::fs::read_dir(from).expect("a list") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("it has a name");
                std::fs::copy(&path, to.join(name)).expect("it is copied");
            }
        }
    };
    copy(dir.path(), keep.path());
    let log = files(keep.path(), ".log").pop().expect("RocksDB has a log");
    let length = log.metadata().expect("it is there").len();
    let name = log.file_name().expect("it has a name").to_owned();
    // A prime step, so that all parts of a record have a turn.
    for at in (0..length).step_by(13) {
        for cut in [false, true] {
            let dir = tempfile::tempdir().expect("a directory");
            copy(keep.path(), dir.path());
            let path = dir.path().join(&name);
            let mut bytes = std::fs::read(&path).expect("it is there");
            let at = usize::try_from(at).expect("small");
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << (at % 8);
            }
            std::fs::write(&path, bytes).expect("it is written");
            let (rocks, catalog) = open(dir.path());
            assert_eq!(catalog.blocks(), rows, "byte {at}, cut: {cut}");
            assert_eq!(rocks.block_ids().expect("a list"), ids, "byte {at}, cut: {cut}");
            assert_eq!(catalog.tenant("fleet"), Some(tenant));
        }
    }
}

#[test]
fn without_catalog_and_copy_nothing_is_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rocks, catalog) = open(dir.path());
    let added = vec![ingest(&rocks, catalog.next_block_id())];
    catalog.commit(CatalogChange { added, ..Default::default() }).expect("it is written");
    drop((rocks, catalog));
    let log = files(dir.path(), ".log").pop().expect("RocksDB has a log");
    for path in [log, dir.path().join("copy")] {
        let mut bytes = std::fs::read(&path).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("it is written");
    }
    let blocks = files(dir.path(), ".sst");
    let rocks = Rocks::open(dir.path()).expect("RocksDB takes what it can read");
    let error = Catalog::open(rocks, &dir.path().join("copy")).err().expect("rows may be lost");
    assert!(error.to_string().contains("start on a snapshot"), "{error}");
    let left = files(dir.path(), ".sst");
    assert!(blocks.iter().all(|path| left.contains(path)));
}
