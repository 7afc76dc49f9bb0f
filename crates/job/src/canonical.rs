//! One text for one JSON value: keys sorted by their bytes, no blanks.

use serde_json::Value;

/// The canonical text.
pub fn write(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            let text = |(key, value): (&String, &Value)| format!("{}:{}", Value::from(key.as_str()), write(value));
            format!("{{{}}}", members.into_iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(write).collect::<Vec<_>>().join(",")),
        leaf => leaf.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn order_and_layout_do_not_count() {
        let parse = |text: &str| serde_json::from_str(text).expect("valid JSON");
        let one = super::write(&parse(r#"{ "b": [1, {"y": null, "x": 2.5}], "a": "q\"" }"#));
        assert_eq!(one, r#"{"a":"q\"","b":[1,{"x":2.5,"y":null}]}"#);
        assert_eq!(one, super::write(&parse(r#"{"a":"q\"","b":[1,{"x":2.5,"y":null}]}"#)));
    }
}
