//! The probes: `/healthz`, `/livez` and `/readyz`, whole or check by check.
//!
//! What must stay true: a simulated server that answers is healthy; what differs between the probes
//! is which checks clients can name.

use super::request::Query;

const CHECKS: [&str; 4] = ["ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles"];

/// The answer to a probe, or to one check of it; `None` when there is no such check.
pub(crate) fn answer(probe: &str, check: &str, query: &Query) -> Option<String> {
    let ready = ["shutdown", "informer-sync"];
    let ready = ready.iter().filter(|_| probe == "readyz");
    let checks: Vec<&str> = CHECKS.iter().chain(ready).copied().collect();
    if !check.is_empty() {
        return checks.contains(&check).then(|| "ok".to_owned());
    }
    if !query.has("verbose") {
        return Some("ok".to_owned());
    }
    let mut lines: Vec<String> = checks
        .iter()
        .map(|check| match query.text("exclude") == *check {
            true => format!("[+]{check} excluded: ok"),
            false => format!("[+]{check} ok"),
        })
        .collect();
    lines.push(format!("{probe} check passed\n"));
    Some(lines.join("\n"))
}
