//! watch: where it begins, what it sends, how it ends.

use std::time::Instant;

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, labelled, names, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a watch from a list's version has what came after it, in order",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        from_list
    ),
    case!(
        "an event carries the whole object at the version of its write",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        event_objects
    ),
    case!(
        "a deletion carries the last state at a newer version",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        deletion
    ),
    case!(
        "a watch from a past version replays what happened since",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        replay
    ),
    case!(
        "a watch without a version begins with the objects that are there",
        "kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch",
        [],
        from_nothing
    ),
    case!(
        "a watch from version 0 begins with the objects that are there",
        "kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch",
        [],
        from_zero
    ),
    case!(
        "a watch of one object is a watch with a field selector",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        one_object
    ),
    case!(
        "an object that no longer matches a watch's selector is deleted for it",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        leaves_selector
    ),
    case!(
        "a watch over all namespaces sees each",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        all_namespaces
    ),
    case!(
        "a watch ends after its timeout",
        "kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/#timeoutSeconds",
        [],
        times_out
    ),
    case!(
        "a streaming list sends the objects and then a bookmark that says so",
        "kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists",
        [],
        streaming_list
    ),
    case!(
        "a streaming list goes on with changes",
        "kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists",
        [],
        streaming_goes_on
    ),
    case!(
        "sendInitialEvents wants resourceVersionMatch",
        "KEP-3157, kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists",
        [],
        streaming_match
    ),
    case!(
        "a watch that is told to send no initial events begins now",
        "KEP-3157, kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists",
        [],
        no_initial_events
    ),
    case!(
        "a version that is too old is gone",
        "kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses",
        [],
        gone
    ),
    case!(
        "a version that is not one is no start for a watch",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        bad_version
    ),
    case!(
        "a write that changes nothing is no event",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        no_change
    ),
    case!(
        "an event ends with its line",
        "kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes",
        [],
        many
    ),
];

async fn secret(c: &Case, name: &str, labels: Value) -> Value {
    c.api.post(&c.core("secrets"), labelled(name, labels)).await.created()
}

async fn now(c: &Case) -> String {
    version(&c.api.get(&c.core("secrets")).await.ok())
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

async fn from_list(c: Case) {
    secret(&c, "before", json!({})).await;
    let path = c.core(&format!("secrets?resourceVersion={}", now(&c).await));
    let mut watch = c.api.watch(&path).await;
    assert_eq!(watch.code(), 200);
    secret(&c, "a", json!({})).await;
    c.api
        .merge(&c.core("secrets/before"), json!({"metadata": {"labels": {"x": "1"}}}))
        .await
        .ok();
    c.api.delete(&c.core("secrets/a"), Value::Null).await.ok();
    assert_eq!(watch.next_named().await, pair("ADDED", "a"));
    assert_eq!(watch.next_named().await, pair("MODIFIED", "before"));
    assert_eq!(watch.next_named().await, pair("DELETED", "a"));
}

async fn event_objects(c: Case) {
    let path = c.core(&format!("secrets?resourceVersion={}", now(&c).await));
    let mut watch = c.api.watch(&path).await;
    let made = secret(&c, "a", json!({})).await;
    let event = watch.next_change().await;
    assert_eq!(event["object"], made, "the same in a watch as in the answer");
    let changed = c
        .api
        .merge(&c.core("secrets/a"), json!({"stringData": {"k": "v"}}))
        .await
        .ok();
    let event = watch.next_change().await;
    assert_eq!(version(&event["object"]), version(&changed));
    assert_eq!(event["object"]["kind"], "Secret", "unlike in a list");
}

async fn deletion(c: Case) {
    let made = secret(&c, "a", json!({"x": "1"})).await;
    let path = c.core(&format!("secrets?resourceVersion={}", version(&made)));
    let mut watch = c.api.watch(&path).await;
    c.api.delete(&c.core("secrets/a"), Value::Null).await.ok();
    let event = watch.next_change().await;
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["labels"], json!({"x": "1"}));
    let (before, after) = (version(&made), version(&event["object"]));
    assert!(
        after.parse::<u64>().unwrap() > before.parse().unwrap(),
        "{before} then {after}"
    );
}

async fn replay(c: Case) {
    let at = now(&c).await;
    secret(&c, "a", json!({})).await;
    secret(&c, "b", json!({})).await;
    c.api.delete(&c.core("secrets/a"), Value::Null).await.ok();
    let mut watch = c.api.watch(&c.core(&format!("secrets?resourceVersion={at}"))).await;
    assert_eq!(watch.next_named().await, pair("ADDED", "a"));
    assert_eq!(watch.next_named().await, pair("ADDED", "b"));
    assert_eq!(watch.next_named().await, pair("DELETED", "a"));
}

async fn begins_with_what_is_there(c: &Case, query: &str) {
    secret(c, "a", json!({})).await;
    secret(c, "b", json!({})).await;
    let mut watch = c.api.watch(&c.core(&format!("secrets{query}"))).await;
    let mut first = [watch.next_named().await, watch.next_named().await];
    first.sort();
    assert_eq!(first, [pair("ADDED", "a"), pair("ADDED", "b")]);
    c.api.delete(&c.core("secrets/b"), Value::Null).await.ok();
    assert_eq!(watch.next_named().await, pair("DELETED", "b"));
}

async fn from_nothing(c: Case) {
    begins_with_what_is_there(&c, "").await;
}

async fn from_zero(c: Case) {
    // Version 0 may be from before the writes; wait until the server's own view has them.
    secret(&c, "first", json!({})).await;
    let mut watch = c.api.watch(&c.core("secrets?resourceVersion=0")).await;
    assert_eq!(watch.next_named().await, pair("ADDED", "first"));
    secret(&c, "second", json!({})).await;
    assert_eq!(watch.next_named().await, pair("ADDED", "second"));
}

async fn one_object(c: Case) {
    let at = now(&c).await;
    secret(&c, "a", json!({})).await;
    secret(&c, "b", json!({})).await;
    let path = c.core(&format!("secrets?fieldSelector=metadata.name%3Db&resourceVersion={at}"));
    assert_eq!(c.api.watch(&path).await.next_named().await, pair("ADDED", "b"));
}

async fn leaves_selector(c: Case) {
    let made = secret(&c, "a", json!({"in": "yes"})).await;
    let path = c.core(&format!(
        "secrets?labelSelector=in%3Dyes&resourceVersion={}",
        version(&made)
    ));
    let mut watch = c.api.watch(&path).await;
    let label = async |value: &str| {
        let patch = json!({"metadata": {"labels": {"in": value}}});
        c.api.merge(&c.core("secrets/a"), patch).await.ok();
    };
    label("no").await;
    let event = watch.next_change().await;
    assert_eq!(event["type"], "DELETED");
    assert_eq!(
        event["object"]["metadata"]["labels"]["in"], "yes",
        "as it was when it matched"
    );
    label("not at all".split(' ').next().unwrap()).await;
    label("yes").await;
    let event = watch.next_change().await;
    assert_eq!(
        (&event["type"], &event["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("a"))
    );
}

async fn all_namespaces(c: Case) {
    let at = version(&c.api.get("/api/v1/secrets?limit=1").await.ok());
    let name = c.unique("seen");
    let path = format!("/api/v1/secrets?labelSelector=seen%3D{name}&resourceVersion={at}");
    let mut watch = c.api.watch(&path).await;
    secret(&c, "a", json!({"seen": name})).await;
    let event = watch.next_change().await;
    assert_eq!(event["object"]["metadata"]["namespace"], c.namespace.as_str());
}

async fn times_out(c: Case) {
    let start = Instant::now();
    let mut watch = c.api.watch(&c.core("secrets?timeoutSeconds=1")).await;
    assert_eq!(watch.code(), 200);
    assert_eq!(watch.next_or_end().await, None);
    assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
}

const STREAMING: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

async fn streaming_list(c: Case) {
    secret(&c, "a", json!({})).await;
    let last = secret(&c, "b", json!({})).await;
    let mut watch = c.api.watch(&c.core(&format!("secrets?{STREAMING}"))).await;
    let mut found = [watch.next_named().await, watch.next_named().await];
    found.sort();
    assert_eq!(found, [pair("ADDED", "a"), pair("ADDED", "b")]);
    let mark = watch.next().await;
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(
        mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    assert_eq!(mark["object"]["kind"], "Secret");
    let (at, written) = (version(&mark["object"]), version(&last));
    assert!(
        at.parse::<u64>().unwrap() >= written.parse().unwrap(),
        "{at} before {written}"
    );
}

async fn streaming_goes_on(c: Case) {
    let mut watch = c.api.watch(&c.core(&format!("secrets?{STREAMING}"))).await;
    let mark = watch.next().await;
    assert_eq!(mark["type"], "BOOKMARK", "an empty list has an end too");
    secret(&c, "a", json!({})).await;
    assert_eq!(watch.next_named().await, pair("ADDED", "a"));
}

async fn streaming_match(c: Case) {
    for query in [
        "watch=true&sendInitialEvents=true",
        "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
        "watch=true&resourceVersionMatch=NotOlderThan",
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    ] {
        c.api
            .get(&c.core(&format!("secrets?{query}")))
            .await
            .refused(422, "Invalid");
    }
}

async fn no_initial_events(c: Case) {
    secret(&c, "before", json!({})).await;
    let query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut watch = c.api.watch(&c.core(&format!("secrets?{query}"))).await;
    secret(&c, "after", json!({})).await;
    assert_eq!(watch.next_named().await, pair("ADDED", "after"));
}

async fn gone(c: Case) {
    let mut watch = c.api.watch(&c.core("secrets?resourceVersion=1")).await;
    // A server whose history reaches back to its first write has nothing to complain about.
    match watch.code() {
        410 => assert_eq!(watch.next().await["reason"], "Expired"),
        code => {
            assert_eq!(code, 200);
            secret(&c, "a", json!({})).await;
            let event = watch.next().await;
            if event["type"] == "ERROR" {
                let status = &event["object"];
                assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(410)));
                assert_eq!(status["reason"], "Expired");
            } else {
                assert_eq!(text(&event["object"]["metadata"]["name"]), "a");
            }
        }
    }
}

async fn bad_version(c: Case) {
    let answer = c
        .api
        .get(&c.core("secrets?watch=true&resourceVersion=yesterday&timeoutSeconds=1"))
        .await;
    // Which code it is has changed between releases.
    assert!(answer.code >= 400, "{}: {}", answer.code, answer.body);
}

async fn no_change(c: Case) {
    let made = secret(&c, "a", json!({"x": "1"})).await;
    let path = c.core(&format!("secrets?resourceVersion={}", version(&made)));
    let mut watch = c.api.watch(&path).await;
    let same = c.api.put(&c.core("secrets/a"), &made).await.ok();
    assert_eq!(version(&same), version(&made));
    let same = c
        .api
        .merge(&c.core("secrets/a"), json!({"metadata": {"labels": {"x": "1"}}}))
        .await
        .ok();
    assert_eq!(version(&same), version(&made));
    secret(&c, "b", json!({})).await;
    assert_eq!(watch.next_named().await, pair("ADDED", "b"));
}

async fn many(c: Case) {
    let at = now(&c).await;
    let mut wanted = Vec::new();
    for number in 0..50 {
        let name = format!("s{number:02}");
        let mut object = labelled(&name, json!({}));
        object["metadata"]["annotations"] = json!({"text": "line\nline\n".repeat(number)});
        c.api.post(&c.core("secrets"), object).await.created();
        wanted.push(name);
    }
    let mut watch = c.api.watch(&c.core(&format!("secrets?resourceVersion={at}"))).await;
    for name in &wanted {
        assert_eq!(watch.next_named().await, pair("ADDED", name));
    }
    assert_eq!(names(&c.api.get(&c.core("secrets")).await.ok()), wanted);
}
