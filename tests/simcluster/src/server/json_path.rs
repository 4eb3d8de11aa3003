//! The JSONPath of printer columns.
//!
//! What must stay true: a path that leads nowhere, or is no path, finds nothing; it never fails,
//! because a broken column must not hide the objects.
//!
//! Refused: the whole of JSONPath; definitions may only use this much of it in columns.

use serde_json::Value;

use super::object;

/// A value as text, without the quotes of a string.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The values a simple JSONPath leads to: `.a.b`, `.a['b.c']`, `[0]`, `[*]`, `[?(@.x=="y")]`.
pub(crate) fn json_path<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}');
    rest = rest.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let Some((inside, tail)) = tail.split_once(']') else {
                return Vec::new();
            };
            found = found.into_iter().flat_map(|value| bracket(value, inside)).collect();
            rest = tail;
            continue;
        }
        let tail = rest.strip_prefix('.').unwrap_or(rest);
        let end = tail.find(['.', '[']).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(end);
        if !name.is_empty() {
            found = found.into_iter().filter_map(|value| value.get(name)).collect();
        }
        rest = tail;
    }
    found.retain(|value| !value.is_null());
    found
}

fn bracket<'a>(value: &'a Value, inside: &str) -> Vec<&'a Value> {
    let inside = inside.trim();
    let unquote = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
    if inside == "*" {
        return object::items(Some(value)).collect();
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        let Some((path, wanted)) = filter.split_once("==") else {
            return Vec::new();
        };
        let (path, wanted) = (path.trim().trim_start_matches('@'), unquote(wanted));
        let fits = |item: &&Value| json_path(item, path).iter().any(|value| text_of(value) == wanted);
        return object::items(Some(value)).filter(fits).collect();
    }
    match inside.parse::<usize>() {
        Ok(index) => value.get(index).into_iter().collect(),
        Err(_) => value.get(unquote(inside)).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let object = json!({"a": {"b.c": 1, "l": [{"type": "X", "status": "True"}, {"type": "Y"}]}});
        let check = |path: &str, wanted: &[Value]| {
            let found: Vec<Value> = json_path(&object, path).into_iter().cloned().collect();
            assert_eq!(found, wanted, "{path}");
        };
        check(".a['b.c']", &[json!(1)]);
        check(".a.l[?(@.type==\"X\")].status", &[json!("True")]);
        check(".a.l[*].type", &[json!("X"), json!("Y")]);
        check(".a.l[1].status", &[]);
        check(".a.none.at.all", &[]);
    }
}
