//! The forms in which objects are shown: as they are, as metadata only, or as rows of a table.
//!
//! What must stay true: a form is computed from the object alone and never stored; lists and watches
//! use the same forms.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns;
use super::convert;
use super::kinds::Kind;
use super::list::Page;
use super::request::{Output, Rows};
use super::stored::Stored;

/// One object in the form asked for, as bytes at the end of `bytes`.
pub(crate) fn object(kind: &Kind, object: &Stored, output: Output, now: Timestamp, bytes: &mut Vec<u8>) {
    // Writing a `Value` into memory cannot fail.
    let _ = match output {
        Output::Plain => {
            bytes.extend_from_slice(&convert::json(kind, object));
            Ok(())
        }
        Output::Metadata => serde_json::to_writer(bytes, &metadata_of(&object.value())),
        Output::Table(rows) => {
            let value = convert::value(kind, object);
            let meta = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
            serde_json::to_writer(bytes, &table(kind, &[value], meta, rows, now))
        }
    };
}

/// One object as an item of a list. Those of custom kinds say what they are, as on real servers.
fn item(kind: &Kind, stored: &Stored, output: Output, now: Timestamp, bytes: &mut Vec<u8>) {
    match output {
        Output::Plain if !kind.is_custom() => convert::write_item(kind, stored, bytes),
        _ => object(kind, stored, output, now, bytes),
    }
}

/// A page of a list in the form asked for, as bytes.
pub(crate) fn list(kind: &Kind, page: &Page, output: Output, now: Timestamp) -> Vec<u8> {
    let (list_kind, version) = match output {
        Output::Plain => (kind.list_kind.as_str(), kind.api_version()),
        Output::Metadata => ("PartialObjectMetadataList", "meta.k8s.io/v1".to_owned()),
        Output::Table(rows) => {
            let objects: Vec<Value> = page.items.iter().map(|item| convert::value(kind, item)).collect();
            return table(kind, &objects, page.meta.clone(), rows, now)
                .to_string()
                .into_bytes();
        }
    };
    let head = json!({"kind": list_kind, "apiVersion": version, "metadata": page.meta});
    let mut bytes = head.to_string().into_bytes();
    // Items are written one by one behind the head, so that no copy of the list is made.
    bytes.pop();
    bytes.extend_from_slice(b",\"items\":[");
    for (index, object) in page.items.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        item(kind, object, output, now, &mut bytes);
    }
    bytes.extend_from_slice(b"]}");
    bytes
}

fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// A `Table` of objects.
pub(crate) fn table(kind: &Kind, objects: &[Value], meta: Value, carried: Rows, now: Timestamp) -> Value {
    let columns = columns::of(kind);
    let definitions: Vec<Value> = columns.iter().map(columns::Column::definition).collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| column.cell(object, now)).collect();
            let shown = match carried {
                Rows::Nothing => Value::Null,
                Rows::Metadata => metadata_of(object),
                Rows::Whole => object.clone(),
            };
            json!({"cells": cells, "object": shown})
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}
