//! Sending and verifying, against a server that keeps everything in memory. A server that loses or
//! changes anything must be found out.

mod celestrak;
mod constellation;
mod crash;
mod memory_server;

use ephemeris_benches::celestrak::Elements;
use ephemeris_benches::quick::verify;
use ephemeris_benches::send::send;
use ephemeris_benches::workload::{Shape, Size, Workload};
use memory_server::{Fault, MemoryServer};

fn shape() -> Shape {
    let (series_count, scrape_count) = Size::Tiny.counts();
    Shape {
        series_count,
        scrape_count,
        connection_count: 2,
        interval_ms: 15_000,
        start_ms: 1_790_000_000_000,
        seed: 3,
    }
}

/// What verifying says after a workload went to a server with this fault.
fn verdict(fault: Fault) -> Result<usize, String> {
    let workload = Workload::generate(&shape()).expect("small");
    let server = MemoryServer::start(fault);
    let sent = send(server.address(), &workload.lanes).map_err(|e| e.to_string())?;
    assert_eq!(sent.sample_count, 16_000);
    assert_eq!(sent.latencies_ms.len(), workload.lanes.iter().map(Vec::len).sum::<usize>());
    verify(server.address(), &workload, &shape()).map_err(|e| e.to_string())
}

#[test]
fn what_was_sent_is_found_again() {
    assert_eq!(verdict(Fault::None), Ok(10));
}

#[test]
fn a_server_that_asks_to_wait_gets_the_body_again() {
    assert_eq!(verdict(Fault::BusyOnce), Ok(10));
}

#[test]
fn a_refusal_ends_the_measurement() {
    let text = verdict(Fault::Refuse).expect_err("refused");
    assert_eq!(text, "write was refused: 400 no");
}

#[test]
fn a_lost_sample_is_found_out() {
    let text = verdict(Fault::LoseOne).expect_err("a sample is missing");
    assert!(text.starts_with("1600 series and 15999 samples came back"), "{text}");
}

#[test]
fn a_changed_bit_is_found_out() {
    let text = verdict(Fault::ChangeBits).expect_err("values differ");
    assert!(text.ends_with("did not come back as it was sent"), "{text}");
}

const ELEMENTS: &str = "norad_id,group,name,intl_designator,epoch_unix_ms,mean_motion_dot,bstar,\
    inclination_deg,raan_deg,eccentricity,arg_perigee_deg,mean_anomaly_deg,\
    mean_motion_rev_per_day,rev_number,first_seen_unix_s\n\
    7,geo,TDRS 3,88091B,2000,-3.12e-06,0,12.5,1,2,3,4,1.5,12,300\n\
    7,geo,TDRS 3,88091B,1000,-3.11e-06,0,12.5,1,2,3,4,1.5,12,200\n\
    7,geo,TDRS 3,88091B,2000,-3.13e-06,0,12.75,1,2,3,4,1.5,12,400\n";

#[test]
fn elements_come_back_whole_or_are_found_out() {
    let elements = Elements::parse(ELEMENTS).expect("valid");
    for (fault, is_whole) in [(Fault::None, true), (Fault::LoseOne, false)] {
        let server = MemoryServer::start(fault);
        send(server.address(), &[elements.bodies().expect("small")]).expect("taken");
        let compared = elements.compare(server.address());
        assert_eq!(compared.is_ok(), is_whole, "{fault:?}: {compared:?}");
    }
}
