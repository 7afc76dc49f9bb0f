//! In what a manifest differs from an earlier one, field by field.

use crate::error::CliError;
use privity_api::Manifest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Different in any two manifests; how long they last is compared instead.
const ALWAYS: [&str; 4] = ["id", "created", "expires", "release.until"];

/// Paths of fields that differ, each with its value before and now.
pub fn difference(before: &Manifest, now: &Manifest) -> Result<Vec<(String, String, String)>, CliError> {
    let (before, now) = (flat(before)?, flat(now)?);
    let paths: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let of = |all: &BTreeMap<String, String>, path: &str| all.get(path).map_or("not there", String::as_str).to_owned();
    let each = paths.into_iter().map(|path| (path.clone(), of(&before, path), of(&now, path)));
    Ok(each.filter(|(_, before, now)| before != now).collect())
}

fn flat(manifest: &Manifest) -> Result<BTreeMap<String, String>, CliError> {
    let value = serde_json::to_value(manifest).map_err(|e| CliError::Node(e.to_string()))?;
    let mut all = BTreeMap::new();
    flatten(&value, String::new(), &mut all);
    ALWAYS.iter().for_each(|path| drop(all.remove(*path)));
    for (path, end) in [("may start within", manifest.expires), ("may open within", manifest.release.until)] {
        all.insert(path.into(), format!("{} s", end.saturating_sub(manifest.created)));
    }
    Ok(all)
}

fn flatten(value: &Value, at: String, into: &mut BTreeMap<String, String>) {
    let under = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, item)| flatten(item, under(key), into)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let keys: Vec<String> = items.iter().enumerate().map(|(i, item)| key(i, item, items)).collect();
            // Who comes first may play another part.
            into.insert(under("order"), keys.join(", "));
            keys.iter().zip(items).for_each(|(key, item)| flatten(item, under(key), into));
        }
        Value::String(text) => drop(into.insert(at, text.clone())),
        other => drop(into.insert(at, other.to_string())),
    }
}

/// An item of a list by its name, if no other has it, or else by its place.
fn key(place: usize, item: &Value, items: &[Value]) -> String {
    let name = |item: &Value| item.get("name").or(item.get("organisation")).and_then(Value::as_str).map(str::to_owned);
    let own = name(item).filter(|own| items.iter().filter(|other| name(other).as_ref() == Some(own)).count() == 1);
    own.unwrap_or_else(|| format!("#{}", place + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::from_json(include_bytes!("../../../fuzz/corpus/manifest/scores")).expect("a manifest")
    }

    #[test]
    fn whatever_differs_is_named() {
        let differs = |alter: fn(&mut Manifest)| {
            let mut now = manifest();
            alter(&mut now);
            let fields = difference(&manifest(), &now).expect("manifests");
            fields.into_iter().map(|(path, before, now)| format!("{path}: {before} -> {now}")).collect::<Vec<_>>()
        };
        assert!(differs(|_| ()).is_empty());
        assert!(differs(|m| m.id = "f".repeat(32)).is_empty());
        let later = |m: &mut Manifest| {
            for time in [&mut m.created, &mut m.expires, &mut m.release.until] {
                *time += 7;
            }
        };
        assert!(differs(later).is_empty());
        assert_eq!(differs(|m| m.attempts = 9), ["attempts: 3 -> 9"]);
        assert_eq!(differs(|m| m.job.participants[0].rows += 1), ["job.participants.bank-a.rows: 400 -> 401"]);
        assert_eq!(differs(|m| m.models[0].model = "other".into()), ["models.bank-b.model: fraud-net -> other"]);
        assert_eq!(differs(|m| m.expires += 60).len(), 1);
        for alter in [
            (|m| m.job.numbers.width += 1) as fn(&mut Manifest),
            |m| m.job.training.weight_limit += 1.0,
            |m| m.job.data.input_bound += 1.0,
            |m| m.datasets[1].table.push('x'),
            |m| m.build = "0".repeat(64),
        ] {
            assert_eq!(differs(alter).len(), 1);
        }
        assert!(differs(|m| m.job.participants.swap(0, 2))[0].starts_with("job.participants.order: "));
    }
}
