//! Every form of a comparison holds its figures.

use std::path::PathBuf;

use super::super::figures::Figures;
use super::super::peer::Kind;
use super::*;

fn participant(kind: Kind, rate: f64, difference: Difference) -> Participant {
    let mut figures = Figures::default();
    figures.set(Figure::Rate, rate);
    Participant {
        peer: Peer {
            name: kind.name().to_owned(),
            kind,
            binary: PathBuf::new(),
            flags: Vec::new(),
        },
        version: "1<2".to_owned(),
        summary: Summary::of([figures].iter()),
        refusal: None,
        differences: vec![difference],
    }
}

fn comparison() -> Comparison {
    let differs = Difference { points: 9, unpaired: 1, unequal: 2, largest: f64::INFINITY };
    let equal = Difference { points: 9, ..Difference::default() };
    Comparison {
        scenario: "steady",
        load: "a load".to_owned(),
        protocol: "rw1",
        machine: "a machine".to_owned(),
        questions: vec![("q".to_owned(), "sum(x)".to_owned())],
        servers: vec![
            participant(Kind::Ephemeris, 4e6, equal),
            participant(Kind::VictoriaMetrics, 1e6, differs),
        ],
    }
}

#[test]
fn a_comparison_is_a_table_with_ratios_and_verdicts() {
    let expected = "\
steady: a load; a machine
  ephemeris: 1<2; fsynced before the answer
  victoria-metrics: 1<2; in memory at the answer, in files some seconds later
                                     ephemeris                         victoria-metrics  × victoria-metrics
samples/s                            4,000,000                                1,000,000                4.00
q: against Prometheus' answer  equal, 9 points  2 of 9 differ, by up to inf; 1 unpaired                    
× is how many times better Ephemeris is; below 1 it is behind
";
    assert_eq!(comparison().to_string(), expected);
    let markdown = comparison().markdown();
    assert!(markdown.contains("| samples/s | 4,000,000 | 1,000,000 | 4.00 |"), "{markdown}");
}

#[test]
fn json_and_svg_hold_the_same() {
    let json = comparison().json();
    assert_eq!(json["servers"][1]["figures"]["samples/s"]["median"], 1e6);
    assert_eq!(json["servers"][1]["against_prometheus"]["q"]["largest"], f64::MAX);
    let svg = comparison().svg();
    assert!(svg.contains("samples/s · victoria-metrics</text>") && svg.contains(">4.00<"), "{svg}");
}
