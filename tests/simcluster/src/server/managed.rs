//! Who manages which fields: `metadata.managedFields`.
//!
//! What must stay true: a field is in the entry of every manager that set it to its present value and
//! in nobody else's; fields that are no longer in the object are in no entry. A client may rewrite
//! the entries (turn its own `Update` into `Apply`), and `[{}]` clears them.
//!
//! Refused: keeping ownership beside the object. Clients read and write it as a part of the object,
//! and two copies would differ one day.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fields::FieldSet;
use super::merge::Delta;
use super::object;
use super::status::{Failure, Outcome};

/// Entries of updates an object may have; the same number as in real servers.
const UPDATES: usize = 10;

/// Who writes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) apply: bool,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Writer {
    /// Whether an entry of `other` is the entry of this writer; an applier's does not depend on the version.
    fn same(&self, other: &Writer) -> bool {
        self.manager == other.manager
            && self.apply == other.apply
            && self.subresource == other.subresource
            && (self.apply || self.api_version == other.api_version)
    }

    fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if !self.apply {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

#[derive(Clone, Debug)]
struct Entry {
    writer: Writer,
    time: Value,
    fields: FieldSet,
}

/// All entries of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Managers(Vec<Entry>);

impl Managers {
    /// The entries of an object; none when they cannot be read.
    pub(crate) fn of(object: &Value) -> Managers {
        object::meta(object, "managedFields")
            .and_then(Managers::read)
            .unwrap_or_default()
    }

    /// The entries a write starts from: those the client sent, if it sent any that can be read.
    pub(crate) fn for_update(live: &Value, sent: &Value) -> Managers {
        match object::meta(sent, "managedFields") {
            Some(Value::Array(entries)) if entries.len() == 1 && entries[0] == json!({}) => Managers::default(),
            Some(Value::Array(entries)) if !entries.is_empty() => {
                Managers::read(&json!(entries)).unwrap_or_else(|| Managers::of(live))
            }
            _ => Managers::of(live),
        }
    }

    fn read(value: &Value) -> Option<Managers> {
        let entries = value.as_array()?.iter().map(|entry| {
            let text = |name: &str| entry.get(name).and_then(Value::as_str);
            Some(Entry {
                writer: Writer {
                    manager: text("manager").unwrap_or_default().to_owned(),
                    apply: match text("operation")? {
                        "Apply" => true,
                        "Update" => false,
                        _ => return None,
                    },
                    api_version: text("apiVersion").filter(|version| !version.is_empty())?.to_owned(),
                    subresource: text("subresource").unwrap_or_default().to_owned(),
                },
                time: entry.get("time").cloned().unwrap_or(Value::Null),
                fields: match entry.get("fieldsV1") {
                    Some(fields) => FieldSet::from_json(fields)?,
                    None => FieldSet::default(),
                },
            })
        });
        let mut managers = Managers::default();
        for entry in entries {
            let entry = entry?;
            match managers.entry(&entry.writer) {
                Some(known) => known.fields.add(&entry.fields),
                None => managers.0.push(entry),
            }
        }
        Some(managers)
    }

    /// Writes the entries into an object.
    pub(crate) fn store(mut self, object: &mut Value) {
        self.0.retain(|entry| !entry.fields.is_empty());
        self.0.sort_by(|a, b| {
            let key = |entry: &Entry| {
                let writer = &entry.writer;
                (
                    !writer.apply,
                    entry.time.to_string(),
                    writer.manager.clone(),
                    writer.api_version.clone(),
                    writer.subresource.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        let entries: Vec<Value> = self.0.iter().map(Entry::to_json).collect();
        let meta = object::meta_mut(object);
        match entries.is_empty() {
            true => meta.remove("managedFields"),
            false => meta.insert("managedFields".to_owned(), Value::Array(entries)),
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn entry(&mut self, writer: &Writer) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.writer.same(writer))
    }

    /// The fields `writer` has now.
    pub(crate) fn fields(&self, writer: &Writer) -> FieldSet {
        let mine = self.0.iter().find(|entry| entry.writer.same(writer));
        mine.map(|entry| entry.fields.clone()).unwrap_or_default()
    }

    /// The fields anybody but `writer` has.
    pub(crate) fn fields_of_others(&self, writer: &Writer) -> FieldSet {
        let mut others = FieldSet::default();
        for entry in self.0.iter().filter(|entry| !entry.writer.same(writer)) {
            others.add(&entry.fields);
        }
        others
    }

    /// Gives `writer` exactly `fields`, as of now.
    pub(crate) fn set(&mut self, writer: &Writer, fields: FieldSet, now: &Value) {
        let entry = Entry {
            writer: writer.clone(),
            time: now.clone(),
            fields,
        };
        match self.entry(writer) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// The same after a write that changed no value: the time moves only when the fields do.
    pub(crate) fn keep(&mut self, writer: &Writer, fields: FieldSet, now: &Value) {
        match self.entry(writer) {
            Some(entry) if entry.fields == fields && entry.writer == *writer => {}
            _ => self.set(writer, fields, now),
        }
    }

    /// After a write that is no apply: what changed belongs to `writer` alone.
    pub(crate) fn updated(&mut self, writer: &Writer, delta: &Delta, now: &Value) {
        self.take(writer, &delta.changed);
        self.gone(&delta.removed);
        if !delta.changed.is_empty() {
            let mut fields = self.fields(writer);
            fields.add(&delta.changed);
            self.set(writer, fields, now);
            self.merge_oldest_updates(&writer.api_version);
        }
    }

    /// Keeps the number of entries of updates bounded, by merging the oldest ones.
    fn merge_oldest_updates(&mut self, api_version: &str) {
        let mut updates: Vec<Entry> = self.0.extract_if(.., |entry| !entry.writer.apply).collect();
        if updates.len() > UPDATES {
            updates.sort_by_key(|entry| entry.time.to_string());
            let mut merged = Entry {
                writer: Writer {
                    manager: "ancient-changes".to_owned(),
                    apply: false,
                    api_version: api_version.to_owned(),
                    subresource: String::new(),
                },
                time: Value::Null,
                fields: FieldSet::default(),
            };
            for entry in updates.drain(..=updates.len() - UPDATES) {
                merged.fields.add(&entry.fields);
                merged.time = entry.time;
            }
            updates.insert(0, merged);
        }
        self.0.extend(updates);
    }

    /// Takes `fields` from everybody but `writer`.
    pub(crate) fn take(&mut self, writer: &Writer, fields: &FieldSet) {
        for entry in self.0.iter_mut().filter(|entry| !entry.writer.same(writer)) {
            entry.fields = entry.fields.minus(fields);
        }
    }

    /// Forgets fields that are no longer in the object.
    pub(crate) fn gone(&mut self, fields: &FieldSet) {
        for entry in &mut self.0 {
            entry.fields = entry.fields.minus(fields);
        }
    }

    /// Fails when anybody but `writer` has one of `fields`.
    pub(crate) fn check_conflicts(&self, writer: &Writer, fields: &FieldSet) -> Outcome<()> {
        let mut conflicts: Vec<(String, BTreeSet<String>)> = self
            .0
            .iter()
            .filter(|entry| !entry.writer.same(writer))
            .map(|entry| (entry.writer.describe(), entry.fields.common(fields).describe()))
            .filter(|(_, paths)| !paths.is_empty())
            .collect();
        conflicts.sort();
        let causes: Vec<(String, String)> = conflicts
            .iter()
            .flat_map(|(who, paths)| {
                paths
                    .iter()
                    .map(move |path| (path.clone(), format!("conflict with {who}")))
            })
            .collect();
        let message = match causes.as_slice() {
            [] => return Ok(()),
            [(path, with)] => format!("Apply failed with 1 conflict: {with}: {path}"),
            many => {
                let parts = conflicts.iter().map(|(who, paths)| {
                    let paths: String = paths.iter().map(|path| format!("\n- {path}")).collect();
                    format!("conflicts with {who}:{paths}")
                });
                let parts: Vec<String> = parts.collect();
                format!("Apply failed with {} conflicts: {}", many.len(), parts.join("\n"))
            }
        };
        Err(Failure::apply_conflict(message, &causes))
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let mut entry = json!({
            "manager": self.writer.manager,
            "operation": if self.writer.apply { "Apply" } else { "Update" },
            "apiVersion": self.writer.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if !self.time.is_null() {
            entry["time"] = self.time.clone();
        }
        if !self.writer.subresource.is_empty() {
            entry["subresource"] = json!(self.writer.subresource);
        }
        entry
    }
}
