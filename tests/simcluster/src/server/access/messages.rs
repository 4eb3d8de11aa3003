//! The protobuf messages of roles, bindings and questions, which `kubectl create` and `kubectl auth` send.
//!
//! What must stay true: as in `protobuf.rs`, a field that is not here is refused and never lost; for
//! these kinds a lost field would be a right that nobody meant to give.

use super::super::protobuf::Type::{Ignored, Many, One, SetNumber, Text, Texts};
use super::super::protobuf::{Field, META, SELECTOR};

const RULE: &[Field] = &[
    (1, "verbs", Texts),
    (2, "apiGroups", Texts),
    (3, "resources", Texts),
    (4, "resourceNames", Texts),
    (5, "nonResourceURLs", Texts),
];
const ROLE: &[Field] = &[(1, "metadata", One(META)), (2, "rules", Many(RULE))];
const CLUSTER_ROLE: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "rules", Many(RULE)),
    (
        3,
        "aggregationRule",
        One(&[(1, "clusterRoleSelectors", Many(SELECTOR))]),
    ),
];
const ROLE_BINDING: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "subjects", Many(SUBJECT)),
    (
        3,
        "roleRef",
        One(&[(1, "apiGroup", Text), (2, "kind", Text), (3, "name", Text)]),
    ),
];
const SUBJECT: &[Field] = &[
    (1, "kind", Text),
    (2, "apiGroup", Text),
    (3, "name", Text),
    (4, "namespace", Text),
];
const TOKEN_REQUEST: &[Field] = &[
    (1, "metadata", One(META)),
    (
        2,
        "spec",
        One(&[
            (1, "audiences", Texts),
            (3, "boundObjectRef", One(REFERENCE)),
            (4, "expirationSeconds", SetNumber),
        ]),
    ),
    (3, "status", Ignored),
];
const REFERENCE: &[Field] = &[
    (1, "kind", Text),
    (2, "apiVersion", Text),
    (3, "name", Text),
    (4, "uid", Text),
];
const SELF_REVIEW: &[Field] = &[(1, "metadata", One(META)), (2, "status", Ignored)];
const RULES_REVIEW: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "spec", One(&[(1, "namespace", Text)])),
    (3, "status", Ignored),
];
const ACCESS_REVIEW: &[Field] = &[
    (1, "metadata", One(META)),
    (
        2,
        "spec",
        One(&[
            (1, "resourceAttributes", One(RESOURCE)),
            (2, "nonResourceAttributes", One(&[(1, "path", Text), (2, "verb", Text)])),
        ]),
    ),
    (3, "status", Ignored),
];
const RESOURCE: &[Field] = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
];
/// The fields of a message, if it is one of these.
pub(crate) fn message_of(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (api_version, kind) {
        ("rbac.authorization.k8s.io/v1", "Role") => ROLE,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => CLUSTER_ROLE,
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => ROLE_BINDING,
        ("authentication.k8s.io/v1", "TokenRequest") => TOKEN_REQUEST,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => SELF_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => RULES_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => ACCESS_REVIEW,
        _ => return None,
    })
}
