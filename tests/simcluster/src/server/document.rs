//! What a client sent, read from JSON or YAML, and which of its fields it wrote twice.
//!
//! What must stay true: the last of several values counts, in either language, and each further one is told by
//! its path, so that strict validation can refuse it. A body is read in one pass.
//!
//! Refused: reading a body once for its value and once more for its keys.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

use super::status::{Failure, Outcome};

/// A body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) value: Value,
    /// The paths of the fields that were there before.
    pub(crate) duplicates: Vec<String>,
}

impl Document {
    /// Reads a body as JSON, or as YAML when it may be either.
    pub(crate) fn parse(bytes: &[u8], yaml: bool) -> Outcome<Document> {
        match serde_json::from_slice(bytes) {
            Ok(document) => return Ok(document),
            Err(error) if !yaml => {
                let message = format!("the object provided is unrecognized: {error}");
                return Err(Failure::bad_request(message));
            }
            Err(_) => {}
        }
        let undecodable = |why: &dyn fmt::Display| Failure::bad_request(format!("error decoding YAML: {why}"));
        let text = std::str::from_utf8(bytes).map_err(|error| undecodable(&error))?;
        let options = serde_saphyr::options! {
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| undecodable(&error))
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        let duplicates = RefCell::default();
        let root = Place {
            path: &Path::Root,
            duplicates: &duplicates,
        };
        let value = root.deserialize(deserializer)?;
        Ok(Document {
            value,
            duplicates: duplicates.into_inner(),
        })
    }
}

/// Where in the body the reader is; written out for duplicates only.
enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Place<'p> {
    path: &'p Path<'p>,
    duplicates: &'p RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = Path::Item(self.path, list.len());
            match items.next_element_seed(Place { path: &path, ..self })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = Path::Field(self.path, &name);
            let value = fields.next_value_seed(Place { path: &path, ..self })?;
            if map.contains_key(&name) {
                self.duplicates.borrow_mut().push(path.to_string());
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, value: Value, duplicates: &[&str]) {
        let document = Document::parse(text.as_bytes(), true).unwrap();
        assert_eq!(
            (&document.value, document.duplicates),
            (&value, duplicates.iter().map(|&path| path.to_owned()).collect()),
            "{text}"
        );
    }

    #[test]
    fn the_last_value_of_a_field_counts_and_the_others_are_told() {
        check(
            r#"{"a": {"b": [1, -1, 1.5, true, null, "c"]}}"#,
            json!({"a": {"b": [1, -1, 1.5, true, null, "c"]}}),
            &[],
        );
        check(
            r#"{"a": 1, "a": {"b": 2, "b": 3}}"#,
            json!({"a": {"b": 3}}),
            &["a.b", "a"],
        );
        check(
            r#"{"a": [{}, {"b": 2, "b": 3}]}"#,
            json!({"a": [{}, {"b": 3}]}),
            &["a[1].b"],
        );
        check("a: {b: \"2\"}\na:\n  c: [1]\n", json!({"a": {"c": [1]}}), &["a"]);
    }
}
