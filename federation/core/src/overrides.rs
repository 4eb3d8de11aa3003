//! How an object differs from its template in one cluster: JSON Patch (RFC 6902).
//!
//! What must stay true:
//! - an override never changes which object it is, nor Meridian's marks on it: such a path is an error of
//!   the whole object, found before anything is written anywhere;
//! - the whole document and the whole of `/metadata` are such paths too, since they contain these;
//! - patches apply in the order of the list, so the same overrides give the same object;
//! - a patch that does not fit the template is an error of the clusters it is for, and of no other.
//!
//! KubeFed also refuses the same path twice for one cluster. Refused here: with `add` to a list it is
//! meaningful, and the order of the list says which one counts.

use std::collections::{BTreeMap, BTreeSet};

use json_patch::jsonptr::PointerBuf;
use serde_json::Value;

use crate::names::{CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, MANAGED_LABEL};
use crate::{ClusterName, LabelSelector};

/// Changes to the template for some clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Which clusters.
    pub target: OverrideTarget,
    /// The changes, in order.
    pub patches: Vec<PatchOperation>,
}

/// Which clusters an override is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverrideTarget {
    /// The one of this name.
    Cluster(ClusterName),
    /// Those with matching labels.
    Selector(LabelSelector),
}

/// One operation of JSON Patch.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchOperation {
    /// What to do.
    pub op: PatchOp,
    /// Where: a JSON Pointer (RFC 6901).
    pub path: String,
    /// The new value; `Null` and without meaning for `Remove`.
    pub value: Value,
}

/// The operations that an override may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PatchOp {
    /// Sets a value; in a list, inserts one.
    Add,
    /// Takes out what is there.
    Remove,
    /// Sets a value that must be there.
    #[default]
    Replace,
}

/// What is wrong with overrides, before any template is looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Two overrides name one cluster.
    #[error("cluster {0} has two overrides; put their changes into one")]
    DuplicateCluster(ClusterName),
    /// The path would change the object's identity or Meridian's marks.
    #[error("overrides must not change {path}")]
    ForbiddenPath {
        /// The path as written.
        path: String,
    },
    /// The path is not a JSON Pointer.
    #[error("{path:?} is not a JSON Pointer: it must start with '/', and '~' is written '~0', '/' in a name '~1'")]
    BadPath {
        /// The path as written.
        path: String,
    },
}

impl OverrideError {
    /// A fixed word for conditions and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::DuplicateCluster(_) => "DuplicateCluster",
            Self::ForbiddenPath { .. } => "ForbiddenPath",
            Self::BadPath { .. } => "BadPath",
        }
    }
}

/// A patch that does not fit the object it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("override of {path}: {problem}")]
pub struct PatchFailure {
    /// The path as written.
    pub path: String,
    /// What does not fit.
    pub problem: String,
}

/// Paths that no override may touch; nothing below them and nothing that contains them either.
const FORBIDDEN: &[&[&str]] = &[
    &["kind"],
    &["apiVersion"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "generateName"],
    &["metadata", "labels", MANAGED_LABEL],
    &["metadata", "annotations", CONTROL_PLANE_ANNOTATION],
    &["metadata", "annotations", DESIRED_HASH_ANNOTATION],
    &["metadata", "annotations", CREATED_ANNOTATION],
];

/// Containers that may be set as a whole, although a mark lies in them: the marks are put back after it.
const REPLACEABLE: &[&[&str]] = &[&["metadata", "labels"], &["metadata", "annotations"]];

/// Checks what can be checked without a template. An error is one of the whole object.
pub fn check_overrides(overrides: &[Override]) -> Result<(), OverrideError> {
    let mut named = BTreeSet::new();
    for each in overrides {
        if let OverrideTarget::Cluster(name) = &each.target
            && !named.insert(name)
        {
            return Err(OverrideError::DuplicateCluster(name.clone()));
        }
        for patch in &each.patches {
            check_path(&patch.path)?;
        }
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), OverrideError> {
    let bad = || OverrideError::BadPath { path: path.to_owned() };
    let pointer = PointerBuf::parse(path).map_err(|_| bad())?;
    let tokens: Vec<String> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
    let starts_with = |long: &[&str], short: &[&str]| long.len() >= short.len() && long[..short.len()] == *short;
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let touches = |forbidden: &&[&str]| starts_with(&tokens, forbidden) || starts_with(forbidden, &tokens);
    if FORBIDDEN.iter().any(touches) && !REPLACEABLE.contains(&tokens.as_slice()) {
        return Err(OverrideError::ForbiddenPath { path: path.to_owned() });
    }
    Ok(())
}

/// Applies every override that is for this cluster, in the order of the list.
pub fn apply_overrides(
    object: &mut Value,
    overrides: &[Override],
    cluster: &ClusterName,
    labels: &BTreeMap<String, String>,
) -> Result<(), PatchFailure> {
    let mine = overrides.iter().filter(|each| match &each.target {
        OverrideTarget::Cluster(name) => name == cluster,
        OverrideTarget::Selector(selector) => selector.matches(labels),
    });
    for patch in mine.flat_map(|each| &each.patches) {
        apply_patch(object, patch).map_err(|problem| PatchFailure {
            path: patch.path.clone(),
            problem,
        })?;
    }
    Ok(())
}

fn apply_patch(object: &mut Value, patch: &PatchOperation) -> Result<(), String> {
    let path = PointerBuf::parse(&patch.path).map_err(|error| error.to_string())?;
    let value = patch.value.clone();
    let operation = match patch.op {
        PatchOp::Add => json_patch::PatchOperation::Add(json_patch::AddOperation { path, value }),
        PatchOp::Remove => json_patch::PatchOperation::Remove(json_patch::RemoveOperation { path }),
        PatchOp::Replace => json_patch::PatchOperation::Replace(json_patch::ReplaceOperation { path, value }),
    };
    json_patch::patch(object, &[operation]).map_err(|_| match patch.op {
        PatchOp::Add => "its parent is not there, or is a list without that position".to_owned(),
        PatchOp::Remove => "there is nothing to remove".to_owned(),
        PatchOp::Replace => "there is nothing to replace; use op add".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patch(op: PatchOp, path: &str, value: Value) -> PatchOperation {
        PatchOperation {
            op,
            path: path.to_owned(),
            value,
        }
    }

    fn for_cluster(name: &str, patches: Vec<PatchOperation>) -> Override {
        Override {
            target: OverrideTarget::Cluster(ClusterName::new(name)),
            patches,
        }
    }

    fn check(path: &str, expected: Option<&str>) {
        let result = check_overrides(&[for_cluster("a", vec![patch(PatchOp::Add, path, json!({}))])]);
        assert_eq!(
            result.as_ref().err().map(OverrideError::reason),
            expected,
            "{path}: {result:?}"
        );
        if let Err(error) = result {
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn identity_and_marks_are_out_of_reach() {
        for path in [
            "",
            "/kind",
            "/apiVersion",
            "/metadata",
            "/metadata/name",
            "/metadata/namespace",
            "/metadata/name/x",
        ] {
            check(path, Some("ForbiddenPath"));
        }
        check("/metadata/generateName", Some("ForbiddenPath"));
        check("/metadata/labels/meridian.dev~1managed", Some("ForbiddenPath"));
        check(
            "/metadata/annotations/meridian.dev~1control-plane",
            Some("ForbiddenPath"),
        );
        check("/metadata/annotations/meridian.dev~1created", Some("ForbiddenPath"));
        check(
            "/metadata/annotations/meridian.dev~1desired-hash",
            Some("ForbiddenPath"),
        );
        // Not the same path: without the escape it is `meridian.dev` and below.
        check("/metadata/labels/meridian.dev/managed", None);
        check("/metadata/labels/meridian.dev~1export", None);
        check("/metadata/labels", None);
        check("/metadata/annotations", None);
        check("/spec", None);
        check("/spec/template/metadata/name", None);
        check("/metadataX", None);
        check("spec/replicas", Some("BadPath"));
        check("/spec/~2", Some("BadPath"));
    }

    #[test]
    fn a_cluster_is_listed_once_but_may_match_selectors_too() {
        let twice = [
            for_cluster("a", vec![]),
            for_cluster("b", vec![]),
            for_cluster("a", vec![]),
        ];
        assert_eq!(
            check_overrides(&twice),
            Err(OverrideError::DuplicateCluster(ClusterName::new("a")))
        );
        let all = Override {
            target: OverrideTarget::Selector(LabelSelector::default()),
            patches: vec![],
        };
        assert_eq!(check_overrides(&[all.clone(), for_cluster("a", vec![]), all]), Ok(()));
    }

    #[test]
    fn patches_apply_in_order_and_only_where_they_are_for() {
        let all = Override {
            target: OverrideTarget::Selector(LabelSelector::default()),
            patches: vec![patch(PatchOp::Replace, "/spec/replicas", json!(2))],
        };
        let overrides = [
            all,
            for_cluster("b", vec![patch(PatchOp::Replace, "/spec/replicas", json!(9))]),
            for_cluster(
                "a",
                vec![
                    patch(PatchOp::Add, "/spec/args", json!(["x"])),
                    patch(PatchOp::Add, "/spec/args/-", json!("y")),
                    patch(PatchOp::Add, "/spec/args/-", json!("z")),
                    patch(PatchOp::Remove, "/spec/paused", Value::Null),
                ],
            ),
        ];
        let template = json!({"spec": {"replicas": 1, "paused": true}});
        let mut object = template.clone();
        apply_overrides(&mut object, &overrides, &ClusterName::new("a"), &BTreeMap::new()).expect("fits");
        assert_eq!(object, json!({"spec": {"replicas": 2, "args": ["x", "y", "z"]}}));
        let mut object = template;
        apply_overrides(&mut object, &overrides, &ClusterName::new("b"), &BTreeMap::new()).expect("fits");
        assert_eq!(object, json!({"spec": {"replicas": 9, "paused": true}}));
    }

    #[test]
    fn a_patch_that_does_not_fit_names_its_path() {
        for (op, path) in [
            (PatchOp::Replace, "/spec/none"),
            (PatchOp::Remove, "/spec/none"),
            (PatchOp::Add, "/spec/none/deeper"),
            (PatchOp::Add, "/spec/list/7"),
            (PatchOp::Add, "/spec/list/one"),
            (PatchOp::Replace, "/spec/number/x"),
        ] {
            let mut object = json!({"spec": {"list": [1], "number": 3}});
            let overrides = [for_cluster("a", vec![patch(op, path, json!(0))])];
            let failure = apply_overrides(&mut object, &overrides, &ClusterName::new("a"), &BTreeMap::new());
            let failure = failure.expect_err(path);
            assert_eq!(failure.path, path);
            assert!(
                failure.to_string().starts_with(&format!("override of {path}: ")),
                "{failure}"
            );
        }
    }
}
