//! Lists in pages and at versions.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::reading::some;
use crate::shared::{Case, labelled, names, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a limited list continues where it ended, at the same version",
        "kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks",
        [],
        pages
    ),
    case!(
        "later pages show the state of the first page",
        "kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks",
        [],
        consistent_pages
    ),
    case!(
        "a limit that all objects fit in gives no token",
        "kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks",
        [],
        one_page
    ),
    case!(
        "a token that is not one is a bad request",
        "kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks",
        [],
        bad_token
    ),
    case!(
        "a list at resourceVersion 0 may be from any time",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        any_version
    ),
    case!(
        "a list not older than a version has what was written at it",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        not_older
    ),
    case!(
        "a list exactly at a version lacks what was written after it",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        exact
    ),
    case!(
        "resourceVersionMatch without a version is refused",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        match_alone
    ),
    case!(
        "a version that is not one is refused",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        bad_version
    ),
    case!(
        "versions of later writes are greater",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions and KEP-5504",
        [],
        versions_grow
    ),
];

async fn pages(c: Case) {
    some(&c, &["a", "b", "c", "d", "e"]).await;
    let (mut found, mut versions, mut token) = (Vec::new(), Vec::new(), String::new());
    let mut remaining = Vec::new();
    loop {
        let page = c
            .api
            .get(&c.core(&format!("secrets?limit=2&continue={token}")))
            .await
            .ok();
        found.push(names(&page));
        versions.push(version(&page));
        remaining.push(page["metadata"]["remainingItemCount"].clone());
        token = text(&page["metadata"]["continue"]);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    assert_eq!(remaining, [json!(3), json!(1), Value::Null]);
    versions.dedup();
    assert_eq!(versions.len(), 1, "{versions:?}");
}

async fn consistent_pages(c: Case) {
    some(&c, &["a", "b", "d"]).await;
    let first = c.api.get(&c.core("secrets?limit=1")).await.ok();
    some(&c, &["c"]).await;
    c.api.delete(&c.core("secrets/d"), Value::Null).await.ok();
    let token = text(&first["metadata"]["continue"]);
    let rest = c
        .api
        .get(&c.core(&format!("secrets?limit=10&continue={token}")))
        .await
        .ok();
    assert_eq!(names(&rest), ["b", "d"]);
    assert_eq!(version(&rest), version(&first));
}

async fn one_page(c: Case) {
    some(&c, &["a", "b"]).await;
    let page = c.api.get(&c.core("secrets?limit=2")).await.ok();
    assert_eq!(names(&page), ["a", "b"]);
    assert!(
        page["metadata"]["continue"].as_str().unwrap_or_default().is_empty(),
        "{page}"
    );
    assert!(page["metadata"]["remainingItemCount"].is_null(), "{page}");
}

async fn bad_token(c: Case) {
    c.api
        .get(&c.core("secrets?limit=2&continue=nonsense"))
        .await
        .refused(400, "BadRequest");
}

async fn any_version(c: Case) {
    some(&c, &["a"]).await;
    let list = c.api.get(&c.core("secrets?resourceVersion=0")).await.ok();
    version(&list);
    assert!(names(&list).len() <= 1);
    let list = c
        .api
        .get(&c.core("secrets?resourceVersion=0&resourceVersionMatch=NotOlderThan"))
        .await
        .ok();
    version(&list);
}

async fn not_older(c: Case) {
    let written = c.api.post(&c.core("secrets"), labelled("a", json!({}))).await.created();
    let at = version(&written);
    for path in [
        format!("secrets?resourceVersion={at}"),
        format!("secrets?resourceVersion={at}&resourceVersionMatch=NotOlderThan"),
    ] {
        let list = c.api.get(&c.core(&path)).await.ok();
        assert_eq!(names(&list), ["a"], "{path}");
        assert!(version(&list).parse::<u64>().unwrap() >= at.parse().unwrap(), "{path}");
    }
    let found = c
        .api
        .get(&c.core(&format!("secrets/a?resourceVersion={at}")))
        .await
        .ok();
    assert_eq!(version(&found), at);
}

async fn exact(c: Case) {
    let before = version(&c.api.post(&c.core("secrets"), labelled("a", json!({}))).await.created());
    some(&c, &["b"]).await;
    let path = c.core(&format!(
        "secrets?resourceVersion={before}&resourceVersionMatch=Exact&limit=10"
    ));
    let list = c.api.get(&path).await.ok();
    assert_eq!(names(&list), ["a"]);
    assert_eq!(version(&list), before);
}

async fn match_alone(c: Case) {
    for path in [
        "secrets?resourceVersionMatch=Exact",
        "secrets?resourceVersionMatch=NotOlderThan",
        "secrets?resourceVersion=1&resourceVersionMatch=Sometimes",
        "secrets?resourceVersion=0&resourceVersionMatch=Exact",
    ] {
        c.api.get(&c.core(path)).await.refused(422, "Invalid");
    }
}

async fn bad_version(c: Case) {
    let answer = c.api.get(&c.core("secrets?resourceVersion=yesterday")).await;
    assert!((400..500).contains(&answer.code), "{}: {}", answer.code, answer.body);
}

async fn versions_grow(c: Case) {
    let mut last = 0;
    for round in 0..5 {
        let written = c
            .api
            .post(&c.core("secrets"), labelled(&format!("s{round}"), json!({})))
            .await
            .created();
        let now: u64 = version(&written).parse().unwrap();
        assert!(now > last, "{now} after {last}");
        last = now;
    }
}
