//! Label sets of series: from the attributes of point, resource and scope, in Prometheus' order of
//! precedence.

use std::borrow::Cow;

use super::attributes::Attribute;
use super::message::{Resource, Scope};
use super::naming::{Naming, label_name};
use super::options::Options;

/// Attributes that become `job` and `instance`.
const IDENTIFYING: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// A label, not yet in any message.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The labels that all series of a resource share.
#[derive(Debug, Default)]
pub(super) struct ResourceLabels<'a> {
    /// `job` and `instance`, as far as they are known.
    pub(super) identity: Vec<Pair<'a>>,
    pub(super) promoted: Vec<Pair<'a>>,
    /// Labels of `target_info` beside the identity.
    pub(super) info: Vec<Pair<'a>>,
}

impl<'a> ResourceLabels<'a> {
    pub(super) fn new(resource: &Resource<'a>, options: &Options) -> Self {
        let find = |key: &str| {
            let found = resource.attributes.iter().find(|a| a.key == key);
            found.map(|a| a.value.clone()).filter(|value| !value.is_empty())
        };
        let mut labels = Self::default();
        if let Some(name) = find("service.name") {
            let job = match find("service.namespace") {
                Some(namespace) => Cow::Owned(format!("{namespace}/{name}")),
                None => name,
            };
            labels.identity.push((Cow::Borrowed("job"), job));
        }
        if let Some(instance) = find("service.instance.id") {
            labels.identity.push((Cow::Borrowed("instance"), instance));
        }
        let mut sorted: Vec<_> = resource.attributes.iter().collect();
        sorted.sort_by_key(|a| a.key);
        for attribute in sorted {
            if options.promotes(attribute.key) {
                join(&mut labels.promoted, options.naming, attribute);
            }
            if options.keep_identifying || !IDENTIFYING.contains(&attribute.key) {
                join(&mut labels.info, options.naming, attribute);
            }
        }
        labels
    }
}

impl ResourceLabels<'_> {
    pub(super) fn into_owned(self) -> ResourceLabels<'static> {
        ResourceLabels {
            identity: owned(self.identity),
            promoted: owned(self.promoted),
            info: owned(self.info),
        }
    }

    /// Cluster and replica, if the resource names both; the label of the replica is taken off then.
    pub(super) fn take_replica(
        &mut self,
        cluster: &str,
        replica: &str,
    ) -> Option<(String, String)> {
        let Self { identity, promoted, info } = self;
        let find = |wanted: &str| {
            let all = [&*identity, promoted, info].into_iter().flatten();
            let found = all.into_iter().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.clone().into_owned())
        };
        let found = (find(cluster)?, find(replica)?);
        for labels in [identity, promoted, info] {
            labels.retain(|(name, _)| name != replica);
        }
        Some(found)
    }

    /// Bytes they take.
    pub(super) fn bytes(&self) -> usize {
        [&self.identity, &self.promoted, &self.info].iter().map(|labels| labels_bytes(labels)).sum()
    }
}

/// Bytes that labels take.
pub(super) fn labels_bytes(labels: &[Pair<'_>]) -> usize {
    labels.iter().map(|(name, value)| size_of::<Pair<'_>>() + name.len() + value.len()).sum()
}

/// Labels that outlive the request.
pub(super) fn owned(labels: Vec<Pair<'_>>) -> Vec<Pair<'static>> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    labels.into_iter().map(|(name, value)| (own(name), own(value))).collect()
}

/// The labels of a scope.
pub(super) fn scope_labels<'a>(scope: &Scope<'a>, options: &Options) -> Vec<Pair<'a>> {
    if !options.scope_labels || scope.name.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (name, value) in [
        ("otel_scope_name", scope.name),
        ("otel_scope_version", scope.version),
        ("otel_scope_schema_url", scope.schema_url),
    ] {
        if !value.is_empty() {
            out.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        }
    }
    let mut sorted: Vec<_> = scope.attributes.iter().collect();
    sorted.sort_by_key(|a| a.key);
    for attribute in sorted {
        let name = format!("otel_scope_{}", attribute.key);
        let name = label_name(options.naming, &name).map(Cow::into_owned);
        if let Some(name) = name.filter(|name| !has(&out, name) && !attribute.value.is_empty()) {
            out.push((Cow::Owned(name), attribute.value.clone()));
        }
    }
    out
}

/// The labels of a point, without its name: its own attributes sorted by key, then promoted ones,
/// then `job` and `instance`, then the scope.
pub(super) fn point_labels<'a>(
    attributes: &mut [Attribute<'a>],
    resource: &ResourceLabels<'a>,
    scope: &[Pair<'a>],
    naming: Naming,
) -> Vec<Pair<'a>> {
    let mut out = Vec::with_capacity(attributes.len() + 8);
    attributes.sort_by_key(|a| a.key);
    for attribute in attributes.iter().filter(|a| a.key != "__name__") {
        join(&mut out, naming, attribute);
    }
    for (name, value) in &resource.promoted {
        if !has(&out, name) {
            out.push((name.clone(), value.clone()));
        }
    }
    for pair in resource.identity.iter().chain(scope) {
        set(&mut out, pair.clone());
    }
    out
}

/// Sets a label, whatever its value was.
pub(super) fn set<'a>(out: &mut Vec<Pair<'a>>, pair: Pair<'a>) {
    match out.iter_mut().find(|(name, _)| *name == pair.0) {
        Some(slot) => *slot = pair,
        None => out.push(pair),
    }
}

fn has(out: &[Pair<'_>], name: &str) -> bool {
    out.iter().any(|(n, _)| n == name)
}

/// Adds an attribute; one whose name is there already is joined to its value by a semicolon.
fn join<'a>(out: &mut Vec<Pair<'a>>, naming: Naming, attribute: &Attribute<'a>) {
    if attribute.value.is_empty() {
        return;
    }
    let Some(name) = label_name(naming, attribute.key) else { return };
    match out.iter_mut().find(|(n, _)| *n == name) {
        Some((_, value)) => {
            let value = value.to_mut();
            value.push(';');
            value.push_str(&attribute.value);
        }
        None => out.push((name, attribute.value.clone())),
    }
}
