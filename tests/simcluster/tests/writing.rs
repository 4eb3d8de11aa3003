//! Create, update, patch, status, scale, dry runs and bad input.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn what_the_server_sets() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Service>::default_namespaced(client.clone());
    let made = value(&create(&api, service("a")).await);
    let spec = &made["spec"];
    assert_eq!(spec["type"], "ClusterIP");
    assert!(spec["clusterIP"].as_str().unwrap().starts_with("10.96."));
    assert_eq!(spec["clusterIPs"], json!([spec["clusterIP"]]));
    assert_eq!(
        spec["ports"],
        json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}])
    );
    assert_eq!(spec["sessionAffinity"], "None");
    assert_eq!(spec["internalTrafficPolicy"], "Cluster");
    assert_eq!(made["metadata"].get("generation"), None);
    let patch = Patch::Merge(json!({"spec": {"type": "LoadBalancer"}}));
    let balanced = value(&api.patch("a", &Default::default(), &patch).await.unwrap());
    assert!(balanced["spec"]["ports"][0]["nodePort"].as_u64().unwrap() >= 30_000);
    assert_eq!(balanced["spec"]["allocateLoadBalancerNodePorts"], true);
    assert_eq!(balanced["spec"]["clusterIP"], spec["clusterIP"]);
    let patch = Patch::Merge(json!({"spec": {"clusterIP": "10.96.9.9"}}));
    let refused = status(api.patch("a", &Default::default(), &patch).await);
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let generated = create(&maps, json!({"metadata": {"generateName": "x-"}})).await;
    assert_eq!(generated.name_any().len(), 7);
}

#[tokio::test]
async fn deployments_have_defaults_and_a_generation() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Deployment>::default_namespaced(client);
    let mut wanted = deployment("a", 1);
    wanted["spec"].as_object_mut().unwrap().remove("replicas");
    let made = value(&create(&api, wanted).await);
    assert_eq!(made["spec"]["replicas"], 1);
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(
        made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"],
        "IfNotPresent"
    );
    assert_eq!(made["metadata"]["generation"], 1);
    let check = async |patch: Value, generation: u64| {
        let made = api.patch("a", &Default::default(), &Patch::Merge(patch)).await.unwrap();
        assert_eq!(value(&made)["metadata"]["generation"], generation);
    };
    check(json!({"metadata": {"labels": {"a": "b"}}}), 1).await;
    check(json!({"spec": {"replicas": 2}}), 2).await;
    check(json!({"spec": {"replicas": 2}}), 2).await;
    assert!(
        !value(&made)["metadata"]["managedFields"]
            .to_string()
            .contains("f:status")
    );
    let status = Patch::Merge(json!({"spec": {"replicas": 9}, "status": {"replicas": 2}}));
    let made = value(&api.patch_status("a", &Default::default(), &status).await.unwrap());
    assert_eq!(
        (&made["spec"]["replicas"], &made["metadata"]["generation"]),
        (&json!(2), &json!(2))
    );
    let sneaky = Patch::Merge(json!({"spec": {"replicas": 3}, "status": {"replicas": 7}}));
    let made = value(&api.patch("a", &Default::default(), &sneaky).await.unwrap());
    assert_eq!(
        (&made["status"]["replicas"], &made["metadata"]["generation"]),
        (&json!(2), &json!(3))
    );
    let scale = api.get_scale("a").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(3));
    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    api.patch_scale("a", &Default::default(), &patch).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().spec.unwrap().replicas, Some(5));
}

#[tokio::test]
async fn stale_updates_conflict() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let old = create(&api, config_map("a", json!({}))).await;
    let mut new = old.clone();
    new.data.get_or_insert_default().insert("k".into(), "1".into());
    let stored = api.replace("a", &PostParams::default(), &new).await.unwrap();
    let refused = status(api.replace("a", &PostParams::default(), &new).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    let same = api.replace("a", &PostParams::default(), &stored).await.unwrap();
    assert_eq!(same.resource_version(), stored.resource_version(), "nothing changed");
    let again = status(
        api.create(&PostParams::default(), &object(config_map("a", json!({}))))
            .await,
    );
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.details.unwrap().name, "a");
}

#[tokio::test]
async fn json_merge_and_strategic_patches() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Pod>::default_namespaced(client.clone());
    let pod = json!({"metadata": {"name": "p", "annotations": {"a": "1"}}, "spec": {"containers": [
        {"name": "one", "image": "x:1"}, {"name": "two", "image": "y:1"}]}});
    create(&api, pod).await;
    let patched = async |patch: Patch<Value>| api.patch("p", &PatchParams::default(), &patch).await;
    let operations = json!([
        {"op": "test", "path": "/metadata/annotations/a", "value": "1"},
        {"op": "replace", "path": "/metadata/annotations/a", "value": "2"},
    ]);
    let json_patch = || Patch::Json(object(operations.clone()));
    let done = patched(json_patch()).await.unwrap();
    assert_eq!(done.annotations()["a"], "2");
    let refused = status(patched(json_patch()).await);
    assert_eq!(refused.code, 422, "the test fails now");
    let done = patched(Patch::Merge(
        json!({"metadata": {"annotations": {"a": null, "b": "3"}}}),
    ))
    .await
    .unwrap();
    assert_eq!(value(done.annotations()), json!({"b": "3"}));
    let strategic = json!({"spec": {"containers": [{"name": "two", "image": "y:2"}]}});
    let done = value(&patched(Patch::Strategic(strategic)).await.unwrap());
    let images = |done: &Value| {
        let containers = done["spec"]["containers"].as_array().unwrap().clone();
        containers
            .iter()
            .map(|container| container["image"].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(images(&done), ["x:1", "y:2"]);
    let delete = json!({"containers": [{"name": "one", "$patch": "delete"}]});
    let delete_from_pod = Patch::Strategic(json!({"spec": delete}));
    assert_eq!(
        status(patched(delete_from_pod).await).code,
        422,
        "a pod keeps its containers"
    );
    let api = Api::<Deployment>::default_namespaced(client);
    create(&api, deployment("d", 1)).await;
    let patched = async |containers: Value| {
        let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
        let done = value(&api.patch("d", &PatchParams::default(), &patch).await.unwrap());
        images(&done["spec"]["template"])
    };
    let image = "example.com/main:1";
    assert_eq!(patched(json!([{"name": "one", "image": "x:1"}])).await, [image, "x:1"]);
    assert_eq!(patched(delete["containers"].clone()).await, [image]);
}

#[tokio::test]
async fn dry_runs_store_nothing() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let made = api.create(&dry, &object(config_map("a", json!({})))).await.unwrap();
    assert!(made.uid().is_some());
    assert_eq!(status(api.get("a").await).code, 404);
    let stored = create(&api, config_map("a", json!({}))).await;
    let patch = Patch::Merge(json!({"data": {"k": "new"}}));
    let shown = api
        .patch(
            "a",
            &PatchParams {
                dry_run: true,
                ..Default::default()
            },
            &patch,
        )
        .await
        .unwrap();
    assert_eq!(shown.data.unwrap()["k"], "new");
    let path = format!("{MAPS}/a?dryRun=All");
    assert_eq!(raw(&cluster, Method::DELETE, &path, &[], "").await.code, 200);
    assert_eq!(api.get("a").await.unwrap(), stored);
}

#[tokio::test]
async fn namespaces_must_exist() {
    let (cluster, client) = cluster().await;
    let path = "/api/v1/namespaces/nowhere/configmaps";
    let status = failed(post(&cluster, path, config_map("a", json!({}))).await, 404, "NotFound");
    assert_eq!(status["message"], "namespaces \"nowhere\" not found");
    create(&Api::<Namespace>::all(client), json!({"metadata": {"name": "nowhere"}})).await;
    assert_eq!(post(&cluster, path, config_map("a", json!({}))).await.code, 201);
}

#[tokio::test]
async fn bad_input_is_answered_with_a_status() {
    let (cluster, _client) = cluster().await;
    let json_type = [(header::CONTENT_TYPE, "application/json")];
    let send = async |body: Vec<u8>| raw(&cluster, Method::POST, MAPS, &json_type, body).await;
    failed(send(b"{".to_vec()).await, 400, "BadRequest");
    failed(send(b"[]".to_vec()).await, 400, "BadRequest");
    failed(send(b"\xff\xfe".to_vec()).await, 400, "BadRequest");
    failed(
        send(vec![b' '; 3 * 1024 * 1024 + 1]).await,
        413,
        "RequestEntityTooLarge",
    );
    let mut deep = vec![b'['; 100_000];
    deep.extend(vec![b']'; 100_000]);
    failed(send(deep).await, 400, "BadRequest");
    failed(
        post(&cluster, MAPS, json!({"kind": "Pod", "apiVersion": "v1"})).await,
        400,
        "BadRequest",
    );
    failed(post(&cluster, MAPS, json!({"metadata": 7})).await, 400, "BadRequest");
    failed(
        post(&cluster, MAPS, json!({"metadata": {"name": "a", "labels": [1]}})).await,
        400,
        "BadRequest",
    );
    failed(
        post(&cluster, MAPS, json!({"metadata": {"name": "a"}, "data": {"k": 1}})).await,
        400,
        "BadRequest",
    );
    let nameless = failed(post(&cluster, MAPS, json!({"metadata": {}})).await, 422, "Invalid");
    assert_eq!(nameless["details"]["causes"][0]["field"], "metadata.name");
    failed(
        post(&cluster, MAPS, config_map("Not_A_Name", json!({}))).await,
        422,
        "Invalid",
    );
    failed(
        post(&cluster, MAPS, config_map("a", json!({"x": "not a label!"}))).await,
        422,
        "Invalid",
    );
    let elsewhere = json!({"metadata": {"name": "a", "namespace": "other"}});
    failed(post(&cluster, MAPS, elsewhere).await, 400, "BadRequest");
    let versioned = json!({"metadata": {"name": "a", "resourceVersion": "1"}});
    assert_eq!(post(&cluster, MAPS, versioned).await.code, 500);
    let plain = [(header::CONTENT_TYPE, "text/plain")];
    failed(
        raw(&cluster, Method::POST, MAPS, &plain, "x").await,
        415,
        "UnsupportedMediaType",
    );
    failed(
        raw(&cluster, Method::PATCH, &format!("{MAPS}/a"), &plain, "x").await,
        415,
        "UnsupportedMediaType",
    );
    failed(
        raw(&cluster, Method::PUT, MAPS, &json_type, "{}").await,
        405,
        "MethodNotAllowed",
    );
    failed(
        raw(&cluster, Method::PUT, &format!("{MAPS}/none"), &json_type, "{}").await,
        404,
        "NotFound",
    );
    failed(
        post(&cluster, "/api/v1/configmaps", json!({})).await,
        405,
        "MethodNotAllowed",
    );
    failed(get(&cluster, &format!("{MAPS}?limit=x")).await, 400, "BadRequest");
    failed(get(&cluster, &format!("{MAPS}?continue=x")).await, 400, "BadRequest");
    failed(get(&cluster, &format!("{MAPS}?watch=perhaps")).await, 400, "BadRequest");
    let strict = format!("{MAPS}?fieldValidation=Strict");
    let unknown = json!({"metadata": {"name": "a"}, "dota": {}});
    let status = failed(post(&cluster, &strict, unknown.clone()).await, 400, "BadRequest");
    assert!(status["message"].as_str().unwrap().contains("unknown field \"dota\""));
    let pruned = post(&cluster, MAPS, unknown).await;
    assert_eq!((pruned.code, pruned.body.get("dota")), (201, None));
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let (cluster, _client) = cluster().await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<http_body_util::Full<hyper::body::Bytes>>();
    let uri = format!("http://{}/version", cluster.address()).parse().unwrap();
    let response = client.get(uri).await.unwrap();
    assert_eq!(
        (response.version(), response.status().as_u16()),
        (http::Version::HTTP_2, 200)
    );
}

#[tokio::test]
async fn both_kinds_of_event_are_one() {
    let (cluster, client) = cluster().await;
    let reporter = kube::runtime::events::Reporter::from("tester");
    let recorder = kube::runtime::events::Recorder::new(client.clone(), reporter);
    let about = create(
        &Api::<ConfigMap>::default_namespaced(client.clone()),
        config_map("a", json!({})),
    )
    .await;
    let event = kube::runtime::events::Event {
        type_: kube::runtime::events::EventType::Normal,
        reason: "Tested".into(),
        note: Some("it works".into()),
        action: "Test".into(),
        secondary: None,
    };
    recorder
        .publish(&event, &kube::Resource::object_ref(&about, &()))
        .await
        .unwrap();
    recorder
        .publish(&event, &kube::Resource::object_ref(&about, &()))
        .await
        .unwrap();
    let path = "/api/v1/events?fieldSelector=involvedObject.name%3Da";
    let found = get(&cluster, path).await.body["items"][0].clone();
    assert_eq!(
        (&found["message"], &found["involvedObject"]["name"]),
        (&json!("it works"), &json!("a"))
    );
    assert_eq!((found.get("note"), &found["series"]["count"]), (None, &json!(2)));
    let other = get(&cluster, "/apis/events.k8s.io/v1/events").await.body["items"][0].clone();
    assert_eq!(other["note"], "it works");
    assert_eq!(other["metadata"], found["metadata"]);
}
