//! Log queries of any text: the parser gives a tree or an error, never a panic, and what the
//! printers make of a tree parses to a tree that prints the same.

#![no_main]

use ephemeris_query::logs::parse::{parse, parse_matchers};
use ephemeris_query::logs::print::prettify;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let _ = parse_matchers(query);
    let Ok(expr) = parse(query) else { return };
    let line = expr.to_string();
    for text in [line.as_str(), prettify(&expr).expect("a short query").as_str()] {
        // A query near the longest may print longer than that.
        if let Ok(again) = parse(text) {
            assert_eq!(again.to_string(), line);
        }
    }
});
