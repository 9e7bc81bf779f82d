//! A disk that is nearly full, and retention by bytes.

use ephemeris_model::{TimeRange, TimestampMs};

use super::body::Request;
use super::{DAY, Fixture, NOON, answer, everything};
use crate::disk::Space;

fn request(time: i64) -> Request {
    Request::of(&[("__name__", "up")], time, 1.0)
}

#[test]
fn a_disk_that_is_nearly_full_refuses_writes_until_there_is_room() {
    let fixture = Fixture::with(|config| config.disk_reserve = crate::DiskReserve::Bytes(1000));
    let space = |free_bytes| {
        fixture.faults.set_space(Space { free_bytes, total_bytes: 1 << 40 });
        fixture.store().maintain().expect("the disk is measured");
    };
    space(1000);
    fixture.write("t", &request(NOON));
    space(999);
    let error = fixture.try_write("t", &request(NOON + 1)).expect_err("there is no room");
    assert_eq!(error.kind(), crate::ErrorKind::Busy);
    let text = "the disk is nearly full: 999 bytes are free; 1000 are kept in reserve \
                (disk_reserve)";
    assert_eq!(error.to_string(), text);
    assert_eq!(everything(&fixture.reader("t")).len(), 1, "reads go on");
    fixture.store().seal().expect("the reserve is for sealing");
    let stats = fixture.store().stats();
    assert_eq!((stats.writes_disk_full_total, stats.blocks), (1, 1));
    assert_eq!((stats.disk_free_bytes, stats.disk_reserve_bytes), (999, 1000));
    space(5000);
    fixture.write("t", &request(NOON + 1));
    assert_eq!(everything(&fixture.reader("t")).into_values().flatten().count(), 2);
}

#[test]
fn the_oldest_days_go_when_there_are_too_many_bytes() {
    let mut fixture = Fixture::new();
    for day in 0..4 {
        fixture.write("t", &request(NOON - day * DAY));
    }
    fixture.store().seal().expect("it is sealed");
    fixture.store().maintain().expect("there is no bound");
    let stats = fixture.store().stats();
    assert_eq!(stats.blocks, 4);
    fixture.change = |config| config.retention_bytes = Some(1);
    fixture.reopen();
    fixture.store().maintain().expect("blocks are deleted");
    let stats = fixture.store().stats();
    assert_eq!((stats.blocks, stats.blocks_expired_total), (1, 3), "the newest day stays");
    let today = TimeRange::new(TimestampMs(NOON), TimestampMs::MAX);
    assert_eq!(answer(&fixture.reader("t"), Vec::new(), today).len(), 1);
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")).into_values().flatten().count(), 1);
}
