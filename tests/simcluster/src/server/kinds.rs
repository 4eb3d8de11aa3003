//! The kinds a server serves: those built in and those defined by CustomResourceDefinitions.
//!
//! What must stay true: every other module asks the `Kind` it was handed and never compares names of
//! kinds, unless a rule of Kubernetes is about one kind. A kind defined by a CRD is served from the
//! write that establishes it, in the same critical section, so no client sees a half-defined kind.
//!
//! Refused: one Rust type per kind behind a trait. Objects stay JSON from the wire to the store, as
//! custom resources must; the typed structs are used for one thing, to find out which fields exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::{
    apps, authentication, authorization, autoscaling, batch, coordination, core, discovery, events, networking, rbac,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::scale::ScalePaths;

/// Reads a value as the typed struct of its kind and writes it again, without what was not understood.
pub(crate) type RoundTrip = fn(&Value) -> Result<Value, serde_json::Error>;

fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(value)?)
}

/// How the fields of a kind are known.
#[derive(Clone, Debug)]
pub(crate) enum Fields {
    /// By the typed struct; lists merge by the table in `shape.rs`.
    Typed(RoundTrip),
    /// By the structural schema of a CustomResourceDefinition.
    Schema(Arc<Value>),
}

/// A column of `kubectl get` for a custom resource.
#[derive(Clone, Debug)]
pub(crate) struct PrinterColumn {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) path: String,
    pub(crate) priority: i64,
}

/// One kind in one version.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    /// Where the scale subresource reads and writes, if there is one.
    pub(crate) scale: Option<ScalePaths>,
    /// Fields by which objects can be selected, besides the name and the namespace.
    pub(crate) selectable: Vec<String>,
    pub(crate) has_generation: bool,
    /// Whether there are such objects; the others are questions that are only asked.
    pub(crate) stored: bool,
    pub(crate) fields: Fields,
    /// The version at which the fields became these: what was stored before may lack defaults.
    pub(crate) fields_since: u64,
    pub(crate) columns: Vec<PrinterColumn>,
}

impl Kind {
    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// `services` or `deployments.apps`: how messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        qualified(&self.group, &self.plural)
    }

    /// How the store files the resource. Both kinds of Event are one resource, as in a real cluster.
    pub(crate) fn storage(&self) -> String {
        match self.group.as_str() {
            "events.k8s.io" => self.plural.clone(),
            _ => self.qualified(),
        }
    }

    /// Whether the kind was defined by a CustomResourceDefinition.
    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.fields, Fields::Schema(_))
    }

    /// Whether `other` has the same schema.
    pub(crate) fn has_fields_of(&self, other: &Kind) -> bool {
        match (&self.fields, &other.fields) {
            (Fields::Schema(mine), Fields::Schema(others)) => mine == others,
            _ => false,
        }
    }

    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

/// `services` or `deployments.apps`.
pub(crate) fn qualified(group: &str, plural: &str) -> String {
    match group {
        "" => plural.to_owned(),
        group => format!("{plural}.{group}"),
    }
}

/// What a server serves now, by group, version and plural.
#[derive(Debug)]
pub(crate) struct Registry {
    kinds: BTreeMap<(String, String, String), Arc<Kind>>,
}

impl Registry {
    /// The kinds built in.
    pub(crate) fn built_in() -> Registry {
        let kinds = built_in().into_iter().map(|kind| (key(&kind), Arc::new(kind)));
        Registry { kinds: kinds.collect() }
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.kinds.get(&key).cloned()
    }

    /// Any version of a resource named `plural.group`.
    pub(crate) fn by_qualified(&self, name: &str) -> Option<Arc<Kind>> {
        self.iter().find(|kind| kind.qualified() == name).cloned()
    }

    /// The kind that an object says it is.
    pub(crate) fn by_type(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mut versions = self.iter().filter(|known| known.version == version);
        versions.find(|known| known.is(group, kind)).cloned()
    }

    /// All kinds, ordered by group, version and plural.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    /// Serves `kinds` in place of every custom kind of that group and plural.
    pub(crate) fn replace_custom(&mut self, group: &str, plural: &str, kinds: Vec<Kind>) {
        self.kinds
            .retain(|_, kind| !(kind.is_custom() && kind.group == group && kind.plural == plural));
        for kind in kinds {
            self.kinds.entry(key(&kind)).or_insert(Arc::new(kind));
        }
    }
}

fn key(kind: &Kind) -> (String, String, String) {
    (kind.group.clone(), kind.version.clone(), kind.plural.clone())
}

/// Traits of a built-in kind, for `built_in` to read as a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trait {
    Cluster,
    Status,
    Scale,
    Generation,
    All,
    Question,
}

fn built_in() -> Vec<Kind> {
    use Trait::{All, Cluster, Generation, Question, Scale, Status};
    vec![
        kind::<core::v1::Namespace>("v1", "Namespace", "namespaces", "ns", &[Cluster, Status]),
        kind::<core::v1::Service>("v1", "Service", "services", "svc", &[Status, All]),
        kind::<core::v1::Endpoints>("v1", "Endpoints", "endpoints", "ep", &[]),
        kind::<core::v1::Pod>("v1", "Pod", "pods", "po", &[Status, All]),
        kind::<core::v1::Node>("v1", "Node", "nodes", "no", &[Cluster, Status]),
        kind::<core::v1::ConfigMap>("v1", "ConfigMap", "configmaps", "cm", &[]),
        kind::<core::v1::Secret>("v1", "Secret", "secrets", "", &[]),
        kind::<core::v1::ServiceAccount>("v1", "ServiceAccount", "serviceaccounts", "sa", &[]),
        kind::<core::v1::Event>("v1", "Event", "events", "ev", &[]),
        kind::<apps::v1::Deployment>(
            "apps/v1",
            "Deployment",
            "deployments",
            "deploy",
            &[Status, Scale, Generation, All],
        ),
        kind::<apps::v1::ReplicaSet>(
            "apps/v1",
            "ReplicaSet",
            "replicasets",
            "rs",
            &[Status, Scale, Generation, All],
        ),
        kind::<apps::v1::StatefulSet>(
            "apps/v1",
            "StatefulSet",
            "statefulsets",
            "sts",
            &[Status, Scale, Generation, All],
        ),
        kind::<apps::v1::DaemonSet>("apps/v1", "DaemonSet", "daemonsets", "ds", &[Status, Generation, All]),
        kind::<batch::v1::Job>("batch/v1", "Job", "jobs", "", &[Status, Generation, All]),
        kind::<batch::v1::CronJob>("batch/v1", "CronJob", "cronjobs", "cj", &[Status, Generation, All]),
        kind::<autoscaling::v2::HorizontalPodAutoscaler>(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "hpa",
            &[Status, All],
        ),
        kind::<networking::v1::Ingress>(
            "networking.k8s.io/v1",
            "Ingress",
            "ingresses",
            "ing",
            &[Status, Generation],
        ),
        kind::<networking::v1::IngressClass>(
            "networking.k8s.io/v1",
            "IngressClass",
            "ingressclasses",
            "",
            &[Cluster, Generation],
        ),
        kind::<networking::v1::NetworkPolicy>(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "networkpolicies",
            "netpol",
            &[Generation],
        ),
        kind::<rbac::v1::Role>("rbac.authorization.k8s.io/v1", "Role", "roles", "", &[]),
        kind::<rbac::v1::RoleBinding>("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", "", &[]),
        kind::<rbac::v1::ClusterRole>(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            "clusterroles",
            "",
            &[Cluster],
        ),
        kind::<rbac::v1::ClusterRoleBinding>(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
            "",
            &[Cluster],
        ),
        kind::<authentication::v1::SelfSubjectReview>(
            "authentication.k8s.io/v1",
            "SelfSubjectReview",
            "selfsubjectreviews",
            "",
            &[Cluster, Question],
        ),
        kind::<authentication::v1::TokenReview>(
            "authentication.k8s.io/v1",
            "TokenReview",
            "tokenreviews",
            "",
            &[Cluster, Question],
        ),
        kind::<authorization::v1::SelfSubjectAccessReview>(
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "",
            &[Cluster, Question],
        ),
        kind::<authorization::v1::SelfSubjectRulesReview>(
            "authorization.k8s.io/v1",
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "",
            &[Cluster, Question],
        ),
        kind::<authorization::v1::SubjectAccessReview>(
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            "subjectaccessreviews",
            "",
            &[Cluster, Question],
        ),
        kind::<authorization::v1::LocalSubjectAccessReview>(
            "authorization.k8s.io/v1",
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            "",
            &[Question],
        ),
        kind::<discovery::v1::EndpointSlice>(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "endpointslices",
            "",
            &[Generation],
        ),
        kind::<coordination::v1::Lease>("coordination.k8s.io/v1", "Lease", "leases", "", &[]),
        kind::<events::v1::Event>("events.k8s.io/v1", "Event", "events", "ev", &[]),
        kind::<apiextensions::CustomResourceDefinition>(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "crd,crds",
            &[Cluster, Status, Generation],
        ),
    ]
}

/// The body of `serviceaccounts/token`, which is no resource of its own.
pub(crate) fn token_request() -> Kind {
    kind::<authentication::v1::TokenRequest>(
        "authentication.k8s.io/v1",
        "TokenRequest",
        "tokenrequests",
        "",
        &[Trait::Question],
    )
}

fn kind<T: DeserializeOwned + Serialize>(
    api_version: &str,
    name: &str,
    plural: &str,
    short: &str,
    traits: &[Trait],
) -> Kind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: name.to_owned(),
        list_kind: format!("{name}List"),
        plural: plural.to_owned(),
        singular: name.to_lowercase(),
        short_names: short
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        categories: match (traits.contains(&Trait::All), group) {
            (true, _) => vec!["all".to_owned()],
            (false, "apiextensions.k8s.io") => vec!["api-extensions".to_owned()],
            _ => Vec::new(),
        },
        namespaced: !traits.contains(&Trait::Cluster),
        has_status: traits.contains(&Trait::Status),
        scale: traits.contains(&Trait::Scale).then(ScalePaths::of_workloads),
        selectable: selectable(group, name).iter().map(|&path| path.to_owned()).collect(),
        has_generation: traits.contains(&Trait::Generation),
        stored: !traits.contains(&Trait::Question),
        fields: Fields::Typed(round_trip::<T>),
        fields_since: 0,
        columns: Vec::new(),
    }
}

/// The fields a field selector may name, as the API reference lists them.
fn selectable(group: &str, kind: &str) -> &'static [&'static str] {
    match (group, kind) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "Secret") => &["type"],
        ("", "Service") => &["spec.clusterIP", "spec.type"],
        ("", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "Event") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("apps", "ReplicaSet") => &["status.replicas"],
        ("batch", "Job") => &["status.successful"],
        _ => &[],
    }
}
