//! Queries of any text: the parser gives a tree or an error, never a panic, and what the printers
//! make of a tree parses to a tree that prints the same.

#![no_main]

use ephemeris_query::promql::parse::{parse, parse_selector};
use ephemeris_query::promql::print::prettify;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let _ = parse_selector(query);
    let Ok(expr) = parse(query) else { return };
    let line = expr.to_string();
    for text in [line.as_str(), prettify(&expr).expect("a short query").as_str()] {
        let again = parse(text).expect("a printed query parses");
        assert_eq!(again.to_string(), line);
    }
});
