//! The forms in which objects are shown: as they are, as metadata only, or as rows of a table.
//!
//! What must stay true: a form is computed from the object alone and never stored; lists and watches
//! use the same forms.

use std::sync::Arc;

use serde_json::{Value, json};

use super::columns;
use super::kinds::Kind;
use super::list::Page;
use super::request::Output;

/// One object in the form asked for.
pub(crate) fn object(kind: &Kind, object: &Arc<Value>, output: Output) -> Value {
    match output {
        Output::Plain => Value::clone(object),
        Output::Metadata => metadata_of(object),
        Output::Table(whole) => {
            let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            table(kind, std::slice::from_ref(object), meta, whole)
        }
    }
}

/// A page of a list in the form asked for, as bytes.
pub(crate) fn list(kind: &Kind, page: &Page, output: Output) -> Vec<u8> {
    let (list_kind, version) = match output {
        Output::Plain => (kind.list_kind.as_str(), kind.api_version()),
        Output::Metadata => ("PartialObjectMetadataList", "meta.k8s.io/v1".to_owned()),
        Output::Table(whole) => {
            return table(kind, &page.items, page.meta.clone(), whole)
                .to_string()
                .into_bytes();
        }
    };
    let head = json!({"kind": list_kind, "apiVersion": version, "metadata": page.meta});
    let mut bytes = head.to_string().into_bytes();
    // Items are written one by one behind the head, so that no copy of the list is made.
    bytes.pop();
    bytes.extend_from_slice(b",\"items\":[");
    for (index, item) in page.items.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        // Writing a `Value` into memory cannot fail.
        let _ = match output {
            Output::Metadata => serde_json::to_writer(&mut bytes, &metadata_of(item)),
            _ => serde_json::to_writer(&mut bytes, &**item),
        };
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
pub(crate) fn table(kind: &Kind, objects: &[Arc<Value>], meta: Value, whole: bool) -> Value {
    let columns = columns::of(kind);
    let definitions: Vec<Value> = columns.iter().map(columns::Column::definition).collect();
    let now = jiff::Timestamp::now();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| column.cell(object, now)).collect();
            let shown = if whole {
                Value::clone(object)
            } else {
                metadata_of(object)
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
