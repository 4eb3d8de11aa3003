//! Which kinds are federated, and the definition of each federated kind, made at run time.
//!
//! All federated kinds are namespaced, also those of cluster-scoped targets: a FederatedNamespace lives
//! in the namespace that it names, so whoever may write in a namespace may place it, and nobody else.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ApiResource;
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use schemars::{JsonSchema, Schema};

use crate::federated::{FederatedSpec, FederatedStatus};
use crate::{CATEGORY, FEDERATED_GROUP, VERSION};

/// A kind whose objects can be placed in clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetKind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The resource's plural name, in lower case.
    pub plural: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// The resource's short names; the federated kind has them with an `f` in front.
    pub short_names: &'static [&'static str],
}

impl TargetKind {
    /// The kind of the federated objects.
    pub fn federated_kind(&self) -> String {
        federated_kind(self.kind)
    }

    /// The plural name of the federated resource.
    pub fn federated_plural(&self) -> String {
        federated_plural(self.plural)
    }
}

/// `v1` Namespace.
pub const NAMESPACE: TargetKind = TargetKind {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    namespaced: false,
    short_names: &["ns"],
};

/// `apps/v1` Deployment.
pub const DEPLOYMENT: TargetKind = TargetKind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    namespaced: true,
    short_names: &["deploy"],
};

/// `v1` Service.
pub const SERVICE: TargetKind = TargetKind {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    namespaced: true,
    short_names: &["svc"],
};

/// Every kind that is federated; namespaces first, because the others need theirs.
pub const TARGET_KINDS: &[TargetKind] = &[NAMESPACE, DEPLOYMENT, SERVICE];

/// The federated kind's coordinates, for a client that reads and writes [`Federated`](crate::Federated)
/// objects.
pub fn api_resource(target: &TargetKind) -> ApiResource {
    federated_resource(target.kind, target.plural)
}

/// The same for any target, by its kind and plural.
pub fn federated_resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: FEDERATED_GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: format!("{FEDERATED_GROUP}/{VERSION}"),
        kind: federated_kind(kind),
        plural: federated_plural(plural),
    }
}

fn federated_kind(kind: &str) -> String {
    format!("Federated{kind}")
}

fn federated_plural(plural: &str) -> String {
    format!("federated{plural}")
}

/// The definition of the federated kind of a target.
pub fn federated_crd(target: &TargetKind) -> CustomResourceDefinition {
    let (kind, plural) = (target.federated_kind(), target.federated_plural());
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{plural}.{FEDERATED_GROUP}")),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: FEDERATED_GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                categories: Some(vec![CATEGORY.to_owned()]),
                singular: Some(kind.to_lowercase()),
                short_names: Some(target.short_names.iter().map(|short| format!("f{short}")).collect()),
                kind,
                plural,
                list_kind: None,
            },
            scope: "Namespaced".to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                name: VERSION.to_owned(),
                served: true,
                storage: true,
                schema: Some(CustomResourceValidation {
                    open_api_v3_schema: Some(object_schema(target)),
                }),
                subresources: Some(CustomResourceSubresources {
                    status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
                    scale: None,
                }),
                additional_printer_columns: Some(columns()),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

fn columns() -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, type_: &str, json_path: &str, priority: Option<i32>| CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        priority,
        ..CustomResourceColumnDefinition::default()
    };
    let propagation = ".status.conditions[?(@.type==\"Propagation\")]";
    vec![
        column("Propagated", "string", &format!("{propagation}.status"), None),
        column("Reason", "string", &format!("{propagation}.reason"), None),
        column("Clusters", "string", ".status.inventory[*].cluster", Some(1)),
        column("Age", "date", ".metadata.creationTimestamp", None),
    ]
}

/// The schema of the whole object. `apiVersion`, `kind` and `metadata` are left to the API server, as
/// a definition should.
fn object_schema(target: &TargetKind) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        description: Some(format!(
            "A {} that is placed in clusters: its template, where it goes, and how it differs there.",
            target.kind
        )),
        required: Some(vec!["spec".to_owned()]),
        properties: Some(
            [
                ("spec".to_owned(), part_schema::<FederatedSpec>()),
                ("status".to_owned(), part_schema::<FederatedStatus>()),
            ]
            .into(),
        ),
        ..JSONSchemaProps::default()
    }
}

/// The structural schema of a Rust type, made by the same steps as `kube`'s derive.
fn part_schema<T: JsonSchema>() -> JSONSchemaProps {
    let schema: Schema = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator()
        .into_root_schema_for::<T>();
    serde_json::from_value(schema.to_value()).expect("a schema of our own types is a JSONSchemaProps")
}
