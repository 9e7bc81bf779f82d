//! Label sets as symbols: each attribute is looked at once in a request, then known by its bytes.
//!
//! Points of one request share most of their attributes, so the message of an attribute is looked
//! up whole, before its key and value are read; on a hit no text is checked, translated or copied.

use hashbrown::HashMap;

use crate::error::IngestError;
use crate::output::{Output, Symbol};
use crate::wire::Reader;

use super::attributes::{ATTRIBUTES_MAX, Attribute, key_value, value_text};
use super::labels::{Pair, ResourceLabels, point_labels};
use super::naming::{Naming, label_name};
use std::borrow::Cow;

/// A label as symbols: name and value.
pub(super) type Label = [Symbol; 2];

/// Points with more attributes take the slow way, whose cost is not their square.
const QUICK_MAX: usize = 32;
/// Bytes that knowing an attribute or a bound costs.
const KNOWN_BYTES: usize = 144;

/// An attribute that was looked at.
#[derive(Clone, Copy)]
struct Known<'m> {
    key: &'m str,
    /// The number of the key in the request.
    key_number: usize,
    /// None if it is no label: it has no value, or nothing is left of its name.
    label: Option<Label>,
}

/// What all points of a scope have beside their attributes.
pub(super) struct Shared<'s, 'm> {
    pub(super) resource: &'s ResourceLabels<'m>,
    pub(super) scope: &'s [Pair<'m>],
    promoted: Vec<Label>,
    /// `job`, `instance` and the scope.
    own: Vec<Label>,
}

impl<'s, 'm> Shared<'s, 'm> {
    pub(super) fn new(
        resource: &'s ResourceLabels<'m>,
        scope: &'s [Pair<'m>],
        out: &mut Output,
    ) -> Result<Self, IngestError> {
        let promoted = symbols(resource.promoted.iter(), out)?;
        let own = symbols(resource.identity.iter().chain(scope), out)?;
        Ok(Self { resource, scope, promoted, own })
    }
}

fn symbols<'p>(
    pairs: impl Iterator<Item = &'p Pair<'p>>,
    out: &mut Output,
) -> Result<Vec<Label>, IngestError> {
    pairs.map(|(name, value)| Ok([out.symbol(name)?, out.symbol(value)?])).collect()
}

/// The labels of one point after the other.
pub(super) struct PointLabels<'m> {
    naming: Naming,
    known: HashMap<&'m [u8], Known<'m>>,
    keys: HashMap<&'m str, usize>,
    /// Numbers of keys that came one after the other in one point and are sorted.
    sorted: Vec<usize>,
    /// Texts of numbers, by their bits.
    numbers: HashMap<u64, Symbol>,
    /// The attributes of the point.
    current: Vec<Known<'m>>,
    /// Its labels, without a name.
    labels: Vec<Label>,
}

impl<'m> PointLabels<'m> {
    pub(super) fn new(naming: Naming) -> Self {
        Self {
            naming,
            known: HashMap::new(),
            keys: HashMap::new(),
            sorted: Vec::new(),
            numbers: HashMap::new(),
            current: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Takes the attributes of the next point.
    ///
    /// # Errors
    /// If one is not well-formed.
    pub(super) fn take(
        &mut self,
        attributes: &[Reader<'m>],
        out: &mut Output,
    ) -> Result<(), IngestError> {
        self.current.clear();
        for attribute in attributes.iter().take(ATTRIBUTES_MAX + 1) {
            let known = match self.known.get(attribute.rest()) {
                Some(known) => *known,
                None => self.look_at(*attribute, out)?,
            };
            self.current.push(known);
        }
        Ok(())
    }

    #[cold]
    fn look_at(&mut self, message: Reader<'m>, out: &mut Output) -> Result<Known<'m>, IngestError> {
        let Attribute { key, value } = attribute(message)?;
        let name = label_name(self.naming, key).filter(|_| key != "__name__" && !value.is_empty());
        let label = match name {
            Some(name) => Some([out.symbol(&name)?, out.symbol(&value)?]),
            None => None,
        };
        out.take(KNOWN_BYTES)?;
        let next = self.keys.len();
        let key_number = *self.keys.entry(key).or_insert(next);
        let known = Known { key, key_number, label };
        self.known.insert(message.rest(), known);
        Ok(known)
    }

    /// Makes the labels of the point whose attributes were taken last.
    ///
    /// # Errors
    /// If the message becomes too large.
    pub(super) fn make(
        &mut self,
        attributes: &[Reader<'m>],
        shared: &Shared<'_, 'm>,
        out: &mut Output,
    ) -> Result<(), IngestError> {
        if !self.make_quick(shared) {
            let pairs = self.pairs(attributes, shared)?;
            self.labels = symbols(pairs.iter(), out)?;
        }
        Ok(())
    }

    /// False if attributes fall together in one label.
    fn make_quick(&mut self, shared: &Shared<'_, 'm>) -> bool {
        let Self { current, labels, sorted, .. } = self;
        labels.clear();
        if current.len() > QUICK_MAX {
            return false;
        }
        // The points of a metric have the same keys, as a rule.
        if !current.iter().map(|known| known.key_number).eq(sorted.iter().copied()) {
            if !current.is_sorted_by_key(|known| known.key) {
                current.sort_by_key(|known| known.key);
            }
            sorted.clear();
            sorted.extend(current.iter().map(|known| known.key_number));
        }
        for label in current.iter().filter_map(|known| known.label) {
            if labels.iter().any(|other| other[0] == label[0]) {
                return false;
            }
            labels.push(label);
        }
        for label in &shared.promoted {
            if labels.iter().all(|other| other[0] != label[0]) {
                labels.push(*label);
            }
        }
        for label in &shared.own {
            match labels.iter_mut().find(|other| other[0] == label[0]) {
                Some(slot) => *slot = *label,
                None => labels.push(*label),
            }
        }
        true
    }

    /// The labels that were made last.
    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The labels of a point as texts.
    ///
    /// # Errors
    /// If an attribute is not well-formed.
    pub(super) fn pairs(
        &self,
        attributes: &[Reader<'m>],
        shared: &Shared<'_, 'm>,
    ) -> Result<Vec<Pair<'m>>, IngestError> {
        let attributes = attributes.iter().take(ATTRIBUTES_MAX + 1);
        let mut attributes =
            attributes.map(|message| attribute(*message)).collect::<Result<Vec<_>, _>>()?;
        Ok(point_labels(&mut attributes, shared.resource, shared.scope, self.naming))
    }

    /// The text of a number as a symbol.
    ///
    /// # Errors
    /// If the message becomes too large.
    pub(super) fn number(&mut self, number: f64, out: &mut Output) -> Result<Symbol, IngestError> {
        if let Some(symbol) = self.numbers.get(&number.to_bits()) {
            return Ok(*symbol);
        }
        let symbol = out.symbol(&number.to_string())?;
        out.take(KNOWN_BYTES)?;
        self.numbers.insert(number.to_bits(), symbol);
        Ok(symbol)
    }
}

fn attribute<'m>(message: Reader<'m>) -> Result<Attribute<'m>, IngestError> {
    let (key, value) = key_value(message)?;
    let value = value.map_or(Ok(Cow::Borrowed("")), |value| value_text(value, 0))?;
    Ok(Attribute { key, value })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::otlp::message::Resource;
    use crate::otlp::options::Options;
    use crate::proto::otlp::KeyValue;

    /// Names that fall together, or with those of the resource, and values that may be empty.
    fn pairs(most: usize) -> impl Strategy<Value = Vec<(String, String)>> {
        let name = "[ab][._]?[ab]?|__name__|job|service.name|le|\\.|é";
        vec((name, "[xy]{0,2}"), 0..most)
    }

    fn encoded(pairs: &[(String, String)]) -> Vec<Vec<u8>> {
        pairs.iter().map(|(key, value)| KeyValue::text(key, value).encode_to_vec()).collect()
    }

    fn compare(points: &[Vec<Vec<u8>>], resource: &[Vec<u8>], naming: Naming) {
        let attributes = resource.iter().map(|m| attribute(Reader::new(m)).expect("well-formed"));
        let resource = Resource { attributes: attributes.collect() };
        let promoted = vec!["*".to_owned()];
        let options = Options { naming, promoted, ..Options::default() };
        let resource = ResourceLabels::new(&resource, &options);
        let scope = [(Cow::Borrowed("otel_scope_name"), Cow::Borrowed("s"))];
        let mut out = Output::new(1 << 20);
        let shared = Shared::new(&resource, &scope, &mut out).expect("small");
        let mut labels = PointLabels::new(naming);
        for point in points {
            let readers: Vec<_> = point.iter().map(|m| Reader::new(m)).collect();
            labels.take(&readers, &mut out).expect("well-formed");
            labels.make(&readers, &shared, &mut out).expect("small");
            let slow = labels.pairs(&readers, &shared).expect("well-formed");
            let slow = symbols(slow.iter(), &mut out).expect("small");
            assert_eq!(labels.labels(), slow);
        }
    }

    proptest! {
        #[test]
        fn labels_made_from_known_attributes_are_those_made_from_texts(
            points in vec(pairs(6), 1..8),
            many in pairs(40),
            resource in pairs(5),
            naming in 0..Naming::ALL.len(),
        ) {
            let points: Vec<_> = points.iter().chain([&many]).map(|p| encoded(p)).collect();
            compare(&points, &encoded(&resource), Naming::ALL[naming].0);
        }
    }

    #[test]
    fn an_attribute_that_is_damaged_is_told_each_time() {
        let mut labels = PointLabels::new(Naming::default());
        let mut out = Output::new(1 << 20);
        for _ in 0..2 {
            let taken = labels.take(&[Reader::new(b"\x0a\x01\xff")], &mut out);
            assert!(taken.expect_err("not UTF-8").to_string().contains("UTF-8"));
        }
    }
}
