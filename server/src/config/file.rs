//! The configuration file: YAML whose keys are those of the table of settings.

use std::fs;
use std::path::Path;

use serde_yaml_ng::Value;

use super::settings::find;
use super::{Config, ConfigError};

/// Puts the settings written in the file at `path` in place.
///
/// # Errors
/// If the file cannot be read, has a key that no setting has, or a value that is not allowed.
pub fn apply(config: &mut Config, path: &Path) -> Result<(), ConfigError> {
    let failed = |cause: String| ConfigError::File { path: path.to_owned(), cause };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let root: Value = serde_yaml_ng::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let mut pairs = Vec::new();
    match root {
        Value::Null => {}
        Value::Mapping(_) => flatten("", &root, &mut pairs).map_err(failed)?,
        _ => return Err(failed("its content is not a mapping".to_owned())),
    }
    for (key, value) in pairs {
        let unknown = || ConfigError::UnknownKey { path: path.to_owned(), key: key.clone() };
        let setting = find(&key).ok_or_else(unknown)?;
        setting.apply(config, &format!("{}: {key}", path.display()), &value)?;
    }
    Ok(())
}

/// Lists the leaves with their keys, levels joined by dots. A dash in a key is as good as an
/// underscore, so that the name of a flag can be copied.
fn flatten(prefix: &str, value: &Value, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                let Value::String(key) = key else {
                    return Err(format!("a key below {prefix:?} is not a text"));
                };
                let key = key.replace('-', "_");
                let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&key, value, pairs)?;
            }
            return Ok(());
        }
        Value::String(text) => pairs.push((prefix.to_owned(), text.clone())),
        Value::Number(number) => pairs.push((prefix.to_owned(), number.to_string())),
        Value::Bool(switch) => pairs.push((prefix.to_owned(), switch.to_string())),
        Value::Null | Value::Sequence(_) | Value::Tagged(_) => {
            return Err(format!("{prefix}: the value must be a text or a number"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("ephemeris.yaml");
        fs::write(&path, text).expect("the file is written");
        let mut config = Config::default();
        apply(&mut config, &path).map(|()| config)
    }

    #[test]
    fn keys_may_be_nested_or_dotted() {
        let text = "listen: 127.0.0.1:1\nself-metrics-interval: 0\n\
                    query:\n  samples_max: 7\nquery.timeout: 5s\nadmin_api: off\n";
        let config = load(text).expect("all keys are known");
        assert_eq!(config.listen, "127.0.0.1:1");
        assert!(config.self_metrics_interval.is_zero());
        assert_eq!((config.query.samples_max, config.query.timeout.as_secs()), (7, 5));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        let error = load("query:\n  colour: red\n").expect_err("there is no such key");
        assert!(error.to_string().ends_with("unknown key \"query.colour\""), "{error}");
        let error = load("retention: never\n").expect_err("not a duration");
        assert!(error.to_string().contains("retention: \"never\" is no duration"), "{error}");
        for text in ["- a\n", "listen: [1]\n", "1: 2\n", "a: b: c\n"] {
            assert!(load(text).is_err(), "{text}");
        }
        assert!(load("").is_ok());
    }
}
