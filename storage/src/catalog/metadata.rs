//! Metadata of metric families: a few variants each, kept in memory, written when they change.

use ephemeris_model::{Metadata, MetricType};
use hashbrown::HashMap;

use crate::encoding::{Damage, Input, put_bytes, put_varint};
use crate::series::TenantId;

/// Variants kept of one metric family; the oldest gives way.
const VARIANTS_MAX: usize = 4;
/// Metric families kept per tenant; what comes after is not stored.
const FAMILIES_PER_TENANT_MAX: usize = 100_000;
/// Longest help or unit kept, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;
const VERSION: u8 = 1;

/// Type, help and unit, without the name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variant {
    metric_type: MetricType,
    help: String,
    unit: String,
}

/// All metadata.
#[derive(Default)]
pub(super) struct MetadataTable {
    tenants: HashMap<TenantId, HashMap<String, Vec<Variant>>>,
}

impl MetadataTable {
    /// Takes in a row found on disk.
    pub(super) fn load(
        &mut self,
        tenant: TenantId,
        metric: &str,
        row: &[u8],
    ) -> Result<(), Damage> {
        let variants = decode(row)?;
        self.tenants.entry(tenant).or_default().insert(metric.to_owned(), variants);
        Ok(())
    }

    /// Adds `new`; answers the row to write if something changed.
    pub(super) fn put(&mut self, tenant: TenantId, new: &Metadata) -> Option<Vec<u8>> {
        let same = |v: &Variant| {
            v.metric_type == new.metric_type && v.help == cut(&new.help) && v.unit == cut(&new.unit)
        };
        let families = self.tenants.entry(tenant).or_default();
        let full = families.len() >= FAMILIES_PER_TENANT_MAX;
        match families.get(&new.metric) {
            Some(variants) if variants.iter().any(same) => return None,
            None if full => return None,
            _ => {}
        }
        let variants = families.entry_ref(new.metric.as_str()).or_default();
        if variants.len() >= VARIANTS_MAX {
            variants.remove(0);
        }
        variants.push(Variant {
            metric_type: new.metric_type,
            help: cut(&new.help).to_owned(),
            unit: cut(&new.unit).to_owned(),
        });
        Some(encode(variants))
    }

    /// Metadata of all families, or of one, by name; the newest variant of a family first.
    pub(super) fn get(&self, tenant: TenantId, metric: Option<&str>) -> Vec<Metadata> {
        let Some(families) = self.tenants.get(&tenant) else { return Vec::new() };
        let mut names: Vec<&str> = match metric {
            Some(metric) => vec![metric],
            None => families.keys().map(String::as_str).collect(),
        };
        names.sort_unstable();
        let variants_of = |name| families.get(name).into_iter().flatten().rev();
        let full = |name: &str, v: &Variant| Metadata {
            metric: name.to_owned(),
            metric_type: v.metric_type,
            help: v.help.clone(),
            unit: v.unit.clone(),
        };
        names.iter().flat_map(|&name| variants_of(name).map(move |v| full(name, v))).collect()
    }
}

/// The text up to the limit, at a border of characters.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn encode(variants: &[Variant]) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, variants.len() as u64);
    for variant in variants {
        out.push(variant.metric_type as u8);
        put_bytes(&mut out, variant.help.as_bytes());
        put_bytes(&mut out, variant.unit.as_bytes());
    }
    out
}

fn decode(row: &[u8]) -> Result<Vec<Variant>, Damage> {
    let mut input = Input::new(row);
    if input.u8()? != VERSION {
        return Err(Damage("the version is not known"));
    }
    let count = input.count()?;
    let mut variants = Vec::with_capacity(count);
    for _ in 0..count {
        let metric_type = MetricType::from_number(u64::from(input.u8()?));
        let (help, unit) = (input.text()?.to_owned(), input.text()?.to_owned());
        variants.push(Variant { metric_type, help, unit });
    }
    input.end()?;
    Ok(variants)
}
