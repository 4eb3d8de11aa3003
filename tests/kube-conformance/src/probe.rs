//! What a cluster of the user's has beside its API server, found out by asking it to do something.
//!
//! What must stay true: it looks at what happens and not at names of programs, for a cluster may have other
//! programs that do the same. It takes away what it made.

use std::time::Duration;

use serde_json::{Value, json};

use crate::requests::Requests;

/// How long a controller may take to act on something new.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Found {
    pub(crate) makes_service_accounts: bool,
    pub(crate) acts_on_deployments: bool,
    pub(crate) has_nodes: bool,
}

pub(crate) async fn look(api: &Requests, run: &str) -> Found {
    let namespace = format!("conformance-{run}-probe");
    api.post("/api/v1/namespaces", json!({"metadata": {"name": namespace}}))
        .await
        .created();
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let labels = json!({"app": "probe"});
    let deployment = json!({
        "metadata": {"name": "probe"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "probe"}]},
            },
        },
    });
    api.post(&deployments, deployment).await.created();
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let made = api.until(&accounts, "default", "there", |account| !account.is_null());
    let acted = api.until(&deployments, "probe", "observed", |found| {
        found["status"]["observedGeneration"] == 1
    });
    let (made, acted) = futures::join!(
        tokio::time::timeout(PATIENCE, made),
        tokio::time::timeout(PATIENCE, acted)
    );
    let nodes = api.get("/api/v1/nodes").await;
    let path = format!("/api/v1/namespaces/{namespace}");
    api.delete(&path, Value::Null).await;
    Found {
        makes_service_accounts: made.is_ok(),
        acts_on_deployments: acted.is_ok(),
        has_nodes: nodes.body["items"].as_array().into_iter().flatten().any(is_ready),
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_by_its_condition_alone() {
        let node = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&node("True")));
        assert!(!is_ready(&node("Unknown")));
        assert!(!is_ready(&json!({"metadata": {"name": "ready"}})));
    }
}
