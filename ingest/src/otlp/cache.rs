//! What translation gave, kept from request to request: a resource, a scope, a metric and the
//! attributes of a point are known by their bytes, so that a point that comes again costs no look
//! at its texts.
//!
//! All of it is made of bytes and options alone, never of what is stored, so nothing but other
//! options makes it wrong. It is forgotten as a whole when it has grown beyond its bound.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::IngestError;
use crate::output::{Output, Sizes, Symbol};
use crate::remote_write::replica::ReplicaLabels;
use crate::wire::Reader;

use super::attributes::ATTRIBUTES_MAX;
use super::family::Family;
use super::keys::{ByKey, Key, Keys};
use super::labels::{Pair, ResourceLabels, labels_bytes, owned, point_labels, scope_labels, set};
use super::message::{Data, resource, scope};
use super::options::Options;
use super::parts::{PartId, Parts};
use super::point::Point;

/// Bytes that something known costs beside its texts.
const KNOWN_BYTES: usize = 128;
/// What the cache of [`Cache::default`] is bounded by.
const BYTES_MAX_DEFAULT: usize = 16 << 20;
/// Labels that some series have beside those of their point.
const OWN_NAMES: [&str; 3] = ["__name__", "le", "quantile"];

/// A resource that is known.
#[derive(Debug)]
pub(super) struct KnownResource {
    key: Key,
    pub(super) labels: ResourceLabels<'static>,
    /// The labels of its `target_info`, if it has one.
    pub(super) info: Option<List>,
    /// Cluster and replica, if it names both and its tenant sends in pairs.
    pub(super) replica: Option<(String, String)>,
}

/// A scope of a resource that is known.
#[derive(Debug)]
pub(super) struct KnownScope {
    key: Key,
    resource: Arc<KnownResource>,
    scope: Vec<Pair<'static>>,
}

/// Where parts of a label set lie in [`Cache::lists`]: one for each label, since what all points
/// share and what is a point's own differ from sender to sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    start: usize,
    end: usize,
}

impl List {
    /// Its parts.
    #[inline]
    pub(super) fn of(self, lists: &[PartId]) -> &[PartId] {
        lists.get(self.start..self.end).unwrap_or_default()
    }
}

/// The labels of a point that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownLabels {
    /// All but the name.
    pub(super) list: List,
    /// Whether one of them has a name that series have for themselves, so that it may have to go.
    pub(super) is_odd: bool,
}

/// What is known. One request at a time uses it.
pub struct Cache {
    bytes_max: usize,
    bytes: usize,
    options: Options,
    keys: Keys,
    resources: ByKey<Arc<KnownResource>>,
    scopes: ByKey<Arc<KnownScope>>,
    places: ByKey<usize>,
    /// Which family comes next, if all goes on as before.
    next_family: usize,
    family_keys: Vec<Key>,
    /// In order of arrival, which is mostly that in which they come again.
    points: Vec<(Key, KnownLabels)>,
    point_places: ByKey<usize>,
    /// Which of them comes next, if all goes on as before.
    next: usize,
    pub(super) families: Vec<Result<Family, BadFamily>>,
    pub(super) parts: Parts,
    /// The part of each label.
    label_parts: ByKey<PartId>,
    pub(super) lists: Vec<PartId>,
    /// Of the message of the last request.
    pub(super) sizes: Sizes,
}

/// A metric of which no point can be used.
#[derive(Debug)]
pub(super) struct BadFamily {
    /// Its name.
    pub(super) metric: String,
    /// Why.
    pub(super) text: String,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(BYTES_MAX_DEFAULT)
    }
}

impl Cache {
    /// Nothing is known yet. What is known may take `bytes_max` before the last request.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            options: Options::default(),
            keys: Keys::default(),
            resources: ByKey::default(),
            scopes: ByKey::default(),
            places: ByKey::default(),
            next_family: 0,
            family_keys: Vec::new(),
            points: Vec::new(),
            point_places: ByKey::default(),
            next: 0,
            families: Vec::new(),
            parts: Parts::default(),
            label_parts: ByKey::default(),
            lists: Vec::new(),
            sizes: Sizes::default(),
        }
    }

    /// Bytes it takes, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes + self.parts.bytes() + self.lists.len() * size_of::<PartId>()
    }

    /// Begins a request with these options.
    pub(super) fn begin(&mut self, options: &Options) {
        let fits = self.bytes() <= self.bytes_max && self.options == *options;
        if !fits || !self.parts.begin() {
            *self = Self { options: options.clone(), ..Self::new(self.bytes_max) };
            self.parts.begin();
        }
    }

    /// Counts something that becomes known; the request pays for it too.
    fn count(&mut self, before: usize, out: &mut Output) -> Result<(), IngestError> {
        self.bytes += KNOWN_BYTES;
        out.take(KNOWN_BYTES + self.bytes().saturating_sub(before))
    }

    /// The parts of these labels.
    fn list(&mut self, labels: &[Pair<'_>]) -> List {
        let start = self.lists.len();
        for (name, value) in labels {
            let (name, value) = (name.as_ref(), value.as_ref());
            let key =
                self.keys.joined(self.keys.of(name.as_bytes()), self.keys.of(value.as_bytes()));
            let parts = &mut self.parts;
            let part = self
                .label_parts
                .entry(key)
                .or_insert_with(|| parts.add([(name, value)].into_iter()));
            self.lists.push(*part);
        }
        List { start, end: self.lists.len() }
    }

    /// The resource of a `ResourceMetrics`, of a tenant that perhaps sends in pairs.
    ///
    /// # Errors
    /// If it is not well-formed, or the message becomes too large.
    pub(super) fn resource(
        &mut self,
        part: Reader<'_>,
        pairs: Option<&ReplicaLabels>,
        out: &mut Output,
    ) -> Result<Arc<KnownResource>, IngestError> {
        let mut key = self.keys.of_fields(part, |number| number == 1)?;
        if let Some(pairs) = pairs {
            let names = [&pairs.cluster, &pairs.replica].map(|name| self.keys.of(name.as_bytes()));
            key = names.iter().fold(key, |key, name| self.keys.joined(key, *name));
        }
        if let Some(known) = self.resources.get(&key) {
            return Ok(Arc::clone(known));
        }
        let before = self.bytes();
        let mut labels = ResourceLabels::new(&resource(part)?, &self.options).into_owned();
        let replica = pairs.and_then(|pairs| labels.take_replica(&pairs.cluster, &pairs.replica));
        let has_info =
            self.options.target_info && !labels.identity.is_empty() && !labels.info.is_empty();
        let info = has_info.then(|| {
            let mut all = labels.info.clone();
            labels.identity.iter().for_each(|pair| set(&mut all, pair.clone()));
            set(&mut all, (Cow::Borrowed("__name__"), Cow::Borrowed("target_info")));
            self.list(&all)
        });
        self.bytes += labels.bytes();
        out.take(labels.bytes())?;
        self.count(before, out)?;
        let known = Arc::new(KnownResource { key, labels, info, replica });
        self.resources.insert(key, Arc::clone(&known));
        Ok(known)
    }

    /// The scope of a `ScopeMetrics`.
    ///
    /// # Errors
    /// If it is not well-formed, or the message becomes too large.
    pub(super) fn scope(
        &mut self,
        resource: &Arc<KnownResource>,
        part: Reader<'_>,
        out: &mut Output,
    ) -> Result<Arc<KnownScope>, IngestError> {
        let own = self.keys.of_fields(part, |number| matches!(number, 1 | 3))?;
        let key = self.keys.joined(resource.key, own);
        if let Some(known) = self.scopes.get(&key) {
            return Ok(Arc::clone(known));
        }
        let before = self.bytes();
        let scope = owned(scope_labels(&scope(part)?, &self.options));
        let bytes = labels_bytes(&scope);
        self.bytes += bytes;
        out.take(bytes)?;
        self.count(before, out)?;
        let resource = Arc::clone(resource);
        let known = Arc::new(KnownScope { key, resource, scope });
        self.scopes.insert(key, Arc::clone(&known));
        Ok(known)
    }

    /// The place of the family that a metric becomes, in `families`.
    ///
    /// # Errors
    /// If the metric is not well-formed, or the message becomes too large.
    pub(super) fn family(
        &mut self,
        part: Reader<'_>,
        data: &Data<'_>,
        out: &mut Output,
    ) -> Result<usize, IngestError> {
        let key = data.key(part, &self.keys);
        let known = match self.family_keys.get(self.next_family) {
            Some(guess) if *guess == key => Some(self.next_family),
            _ => self.places.get(&key).copied(),
        };
        if let Some(at) = known {
            self.next_family = at + 1;
            return Ok(at);
        }
        let before = self.bytes();
        let family = Family::new(part, data, &self.options, &mut self.parts)?;
        let bytes = match &family {
            Ok(family) => family.bytes(),
            Err(bad) => bad.metric.len() + bad.text.len(),
        };
        self.bytes += bytes;
        out.take(bytes)?;
        self.count(before, out)?;
        self.families.push(family);
        self.family_keys.push(key);
        self.next_family = self.families.len();
        self.places.insert(key, self.next_family - 1);
        Ok(self.next_family - 1)
    }

    /// The labels of a point.
    ///
    /// # Errors
    /// If its attributes are not well-formed, or the message becomes too large.
    #[inline]
    pub(super) fn point(
        &mut self,
        point: &Point<'_>,
        scope: &KnownScope,
        out: &mut Output,
    ) -> Result<KnownLabels, IngestError> {
        let key = point.attributes_key(&self.keys) ^ scope.key;
        match self.known(key) {
            Some(known) => Ok(known),
            None => self.new_point(key, point, scope, out),
        }
    }

    /// The labels of a point of this scope with these fields of attributes, if they are known.
    #[inline]
    pub(super) fn known_labels(
        &mut self,
        attributes: &[u8],
        scope: &KnownScope,
    ) -> Option<KnownLabels> {
        self.known(self.keys.of(attributes) ^ scope.key)
    }

    #[inline]
    fn known(&mut self, key: Key) -> Option<KnownLabels> {
        let at = match self.points.get(self.next) {
            Some((guess, _)) if *guess == key => self.next,
            _ => *self.point_places.get(&key)?,
        };
        self.next = at + 1;
        self.points.get(at).map(|(_, known)| *known)
    }

    #[cold]
    fn new_point(
        &mut self,
        key: Key,
        point: &Point<'_>,
        scope: &KnownScope,
        out: &mut Output,
    ) -> Result<KnownLabels, IngestError> {
        let before = self.bytes();
        let labels = scope.labels_of(point, &self.options)?;
        let is_odd = labels.iter().any(|(name, _)| OWN_NAMES.contains(&name.as_ref()));
        let list = self.list(&labels);
        self.count(before, out)?;
        let known = KnownLabels { list, is_odd };
        // One that is refused for their number is not worth it.
        if point.attributes.len() <= ATTRIBUTES_MAX {
            self.point_places.insert(key, self.points.len());
            self.points.push((key, known));
            self.next = self.points.len();
        }
        Ok(known)
    }
}

/// Numbers of parts in the message, in place of what `numbers` held.
///
/// # Errors
/// If the message becomes too large.
#[inline]
pub(super) fn number_all(
    numbers: &mut Vec<Symbol>,
    list: impl Iterator<Item = PartId>,
    (parts, out): (&mut Parts, &mut Output),
) -> Result<(), IngestError> {
    numbers.clear();
    for part in list {
        numbers.push(parts.number(part, out)?);
    }
    Ok(())
}

impl KnownScope {
    /// The labels of a point of this scope, without a name, as texts.
    ///
    /// # Errors
    /// If an attribute is not well-formed.
    pub(super) fn labels_of<'m>(
        &self,
        point: &Point<'m>,
        options: &Options,
    ) -> Result<Vec<Pair<'m>>, IngestError> {
        let mut attributes = point.read_attributes()?;
        Ok(point_labels(&mut attributes, &self.resource.labels, &self.scope, options.naming))
    }
}
