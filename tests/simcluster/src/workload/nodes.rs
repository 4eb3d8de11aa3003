//! Nodes: those the options ask for, what their kubelets say of them, and which of them takes a pod.
//!
//! What must stay true: every Node is taken to have a simulated kubelet, so nothing else may write their
//! status. Nodes are made only in a cluster that has none when this starts, and before any pod is.
//!
//! Refused: scheduling by resources, affinity or topology. Pods are spread by their number over the
//! nodes that take them, so the same pods are on the same nodes in every run. A pod that no node takes
//! runs without one, as pods do in a cluster without nodes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PodSpec, Taint, Toleration};
use kube::api::{ListParams, Patch};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::WorkloadOptions;
use super::context::{Context, RETRY_AFTER, patch_params, post_params};
use super::pods::short_hash;
use super::script::is_stopped;
use super::status::{Says, conditions, find, says_the_same};

/// The version kubelets say they have.
const KUBELET: &str = "v1.33.0";

/// Taints of nodes that are not ready.
const TROUBLE: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Nodes to make.
#[derive(Clone, Debug)]
pub struct NodePool {
    /// How many.
    pub count: usize,
    /// The region of all of them; empty for none.
    pub region: String,
    /// Their zones, in turn.
    pub zones: Vec<String>,
}

impl NodePool {
    /// One node in each of these zones.
    pub fn one_per_zone(region: &str, zones: &[&str]) -> NodePool {
        NodePool {
            count: zones.len(),
            region: region.to_owned(),
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        }
    }

    fn node(&self, cluster: &str, number: usize) -> Node {
        let name = format!("{cluster}-node-{number}");
        let mut node = Node::default();
        let labels = node.labels_mut();
        labels.insert("kubernetes.io/hostname".to_owned(), name.clone());
        labels.insert("kubernetes.io/os".to_owned(), "linux".to_owned());
        labels.insert("kubernetes.io/arch".to_owned(), "amd64".to_owned());
        if !self.region.is_empty() {
            labels.insert("topology.kubernetes.io/region".to_owned(), self.region.clone());
        }
        let zone = number
            .checked_rem(self.zones.len())
            .and_then(|index| self.zones.get(index));
        if let Some(zone) = zone {
            labels.insert("topology.kubernetes.io/zone".to_owned(), zone.clone());
        }
        node.metadata.name = Some(name);
        node
    }
}

/// Makes the nodes that are asked for, in a cluster that has none.
pub(crate) async fn make(client: Client, options: Arc<WorkloadOptions>) {
    let Some(pool) = &options.nodes else { return };
    while let Err(error) = make_once(&client, pool, &options.cluster).await {
        tracing::warn!(%error, "nodes cannot be made");
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

async fn make_once(client: &Client, pool: &NodePool, cluster: &str) -> Result<(), kube::Error> {
    let api = Api::<Node>::all(client.clone());
    let names: Vec<String> = api
        .list(&ListParams::default())
        .await?
        .iter()
        .map(|node| node.name_any())
        .collect();
    let wanted: Vec<Node> = (0..pool.count).map(|number| pool.node(cluster, number)).collect();
    // Those of an earlier attempt are no reason to stop.
    if names
        .iter()
        .any(|name| wanted.iter().all(|node| node.name_any() != *name))
    {
        return Ok(());
    }
    for node in wanted.iter().filter(|node| !names.contains(&node.name_any())) {
        api.create(&post_params(), node).await?;
    }
    Ok(())
}

/// Runs until dropped.
pub(crate) async fn run(context: Context) {
    let api = Api::<Node>::all(context.client.clone());
    let mut changes = context.cache.changes().await;
    loop {
        let changed = changes.next().await;
        for place in changed.of::<Node>(|| context.cache.nodes.places()) {
            let Some(node) = context.cache.nodes.get(&place) else {
                continue;
            };
            if let Some(taints) = without_trouble(&node) {
                let change = json!({
                    "metadata": {"resourceVersion": node.resource_version()},
                    "spec": {"taints": taints},
                });
                let patched = api
                    .patch(&node.name_any(), &patch_params(), &Patch::Merge(change))
                    .await;
                context.note("taints", &*node, patched.map(drop));
            }
            let status = status_of(&node);
            if says_the_same(&status, &json!(node.status)) {
                continue;
            }
            let patch = Patch::Merge(json!({"status": status}));
            let patched = api.patch_status(&node.name_any(), &patch_params(), &patch).await;
            context.note("status", &*node, patched.map(drop));
        }
    }
}

/// The taints of a node that is ready, if it has one that says the opposite: API servers give new nodes such
/// a taint, which goes when their kubelet reports.
fn without_trouble(node: &Node) -> Option<Vec<Taint>> {
    let taints = node.spec.as_ref()?.taints.clone()?;
    let ready = find(&json!(node.status), "Ready").is_some_and(|ready| ready["status"] == "True");
    let mut kept = taints.clone();
    kept.retain(|taint| !TROUBLE.contains(&taint.key.as_str()));
    (ready && !is_stopped(node) && kept.len() < taints.len()).then_some(kept)
}

fn status_of(node: &Node) -> Value {
    let name = node.name_any();
    let resources = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
    let ready = match is_stopped(node) {
        false => Says::new("Ready", true, "KubeletReady", "kubelet is posting ready status"),
        true => Says {
            value: None,
            ..Says::new(
                "Ready",
                false,
                "NodeStatusUnknown",
                "Kubelet stopped posting node status.",
            )
        },
    };
    let pressure = |kind: &'static str, reason: &'static str| Says::new(kind, false, reason, "");
    let says = [
        pressure("MemoryPressure", "KubeletHasSufficientMemory"),
        pressure("DiskPressure", "KubeletHasNoDiskPressure"),
        pressure("PIDPressure", "KubeletHasSufficientPID"),
        ready,
    ];
    json!({
        "conditions": conditions(&node.status, &says),
        "addresses": [
            {"type": "InternalIP", "address": address(&name)},
            {"type": "Hostname", "address": name},
        ],
        "capacity": resources,
        "allocatable": resources,
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "simulated://1",
            "kernelVersion": "simulated",
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "Simulated",
            "systemUUID": "",
        },
    })
}

/// An address by the node's name; two nodes may have the same one by chance, and nobody connects to it.
pub(crate) fn address(node: &str) -> String {
    let hash = short_hash(node, 8)
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    format!("192.168.{}.{}", hash / 250 % 250, hash % 250 + 2)
}

/// The node for a pod: the one whose turn it is among those that take it.
pub(crate) fn choose(nodes: &[Arc<Node>], pod: &PodSpec, number: usize) -> Option<String> {
    let takers: Vec<&Arc<Node>> = nodes
        .iter()
        .filter(|node| !is_stopped(node) && takes(node, pod, &[]))
        .collect();
    let index = number.checked_rem(takers.len())?;
    takers.get(index).map(|node| node.name_any())
}

/// Whether a node has the labels a pod wants, and no taint that keeps it off.
pub(crate) fn takes(node: &Node, pod: &PodSpec, more: &[Toleration]) -> bool {
    let mut selector = pod.node_selector.iter().flatten();
    let spec = node.spec.clone().unwrap_or_default();
    let cordoned = spec.unschedulable == Some(true);
    let mut taints = spec.taints.unwrap_or_default();
    if cordoned {
        taints.push(Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        });
    }
    // A node that is not ready yet will be, as soon as its kubelet here has said so.
    let repels = |taint: &&Taint| taint.effect != "PreferNoSchedule" && !TROUBLE.contains(&taint.key.as_str());
    let mut repelling = taints.iter().filter(repels);
    selector.all(|(key, value)| node.labels().get(key) == Some(value))
        && repelling.all(|taint| {
            let mut tolerations = pod.tolerations.iter().flatten().chain(more);
            tolerations.any(|toleration| tolerates(toleration, taint))
        })
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is_or_any = |wanted: &Option<String>, found: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.is_empty() || wanted == found)
    };
    let value = taint.value.as_deref().unwrap_or_default();
    is_or_any(&toleration.effect, &taint.effect)
        && is_or_any(&toleration.key, &taint.key)
        && (toleration.operator.as_deref() == Some("Exists")
            || toleration.value.as_deref().unwrap_or_default() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(node: Value, pod: Value, expected: bool) {
        let taken = takes(
            &serde_json::from_value(node.clone()).unwrap(),
            &serde_json::from_value(pod.clone()).unwrap(),
            &[],
        );
        assert_eq!(taken, expected, "{node} {pod}");
    }

    #[test]
    fn labels_and_taints_keep_pods_off() {
        let pod = |more: Value| {
            let mut pod = json!({"containers": []});
            pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            pod
        };
        let tainted = json!({"spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]}});
        let tolerating = |toleration: Value| pod(json!({"tolerations": [toleration]}));
        check(json!({}), pod(json!({})), true);
        check(json!({}), pod(json!({"nodeSelector": {"a": "b"}})), false);
        check(
            json!({"metadata": {"labels": {"a": "b"}}}),
            pod(json!({"nodeSelector": {"a": "b"}})),
            true,
        );
        check(tainted.clone(), pod(json!({})), false);
        check(tainted.clone(), tolerating(json!({"operator": "Exists"})), true);
        check(tainted.clone(), tolerating(json!({"key": "a", "value": "b"})), true);
        check(tainted.clone(), tolerating(json!({"key": "a", "value": "c"})), false);
        check(
            tainted.clone(),
            tolerating(json!({"key": "a", "operator": "Exists", "effect": "NoExecute"})),
            false,
        );
        check(tainted, tolerating(json!({"key": "c", "operator": "Exists"})), false);
        check(
            json!({"spec": {"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}}),
            pod(json!({})),
            true,
        );
        check(json!({"spec": {"unschedulable": true}}), pod(json!({})), false);
    }
}
