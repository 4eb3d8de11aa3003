//! Kinds that cases define for themselves.

use meridian_kube_conformance::Context;
use serde_json::{Value, json};

use crate::shared::item;

pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A kind of one's own: `Widget`, with `v1` as its only version.
pub(crate) struct Widgets {
    /// Its API group.
    pub(crate) group: String,
    /// The path of its definition.
    pub(crate) definition: String,
}

impl Widgets {
    /// Group and version.
    pub(crate) fn group_version(&self) -> String {
        format!("{}/v1", self.group)
    }

    /// A path in the case's namespace.
    pub(crate) fn path(&self, c: &Context, rest: &str) -> String {
        c.group(&self.group_version(), rest)
    }

    /// An object with this spec.
    pub(crate) fn object(&self, name: &str, spec: Value) -> Value {
        json!({"apiVersion": self.group_version(), "kind": "Widget", "metadata": {"name": name}, "spec": spec})
    }
}

/// A definition with this version, whose name and group are nobody else's. Returns it with its group.
pub(crate) fn definition(c: &Context, version: Value) -> (Value, String) {
    let group = format!("{}.example.com", c.unique("g"));
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version],
        },
    });
    (definition, group)
}

/// Version `v1` whose spec has this schema.
pub(crate) fn version_with(spec: Value) -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": spec,
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    });
    json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}})
}

/// A schema of an object with these properties.
pub(crate) fn object_of(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

/// Defines `Widget` with this schema of its spec.
pub(crate) async fn define(c: &Context, spec: Value) -> Widgets {
    define_version(c, version_with(spec)).await
}

/// Defines `Widget` with this version, and waits until it is served.
pub(crate) async fn define_version(c: &Context, version: Value) -> Widgets {
    let (definition, group) = definition(c, version);
    define_as(c, definition, &group).await
}

/// Creates a definition and waits until it is served.
pub(crate) async fn define_as(c: &Context, definition: Value, group: &str) -> Widgets {
    let name = format!("widgets.{group}");
    let path = format!("{DEFINITIONS}/{name}");
    c.leaves(&path);
    c.api.post(DEFINITIONS, definition).await.created();
    let established = |found: &Value| item(&found["status"]["conditions"], "type", "Established")["status"] == "True";
    c.api.until(DEFINITIONS, &name, "established", established).await;
    let widgets = Widgets {
        group: group.to_owned(),
        definition: path,
    };
    // Between the condition and the first answer there may be a moment, which no watch tells of.
    let collection = format!("/apis/{}/widgets", widgets.group_version());
    for _ in 0..200 {
        if c.api.get(&collection).await.code == 200 {
            return widgets;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{collection} is not served");
}
