//! Jobs: pods that end, until enough have succeeded or too many have failed.
//!
//! What must stay true: a Job that is complete or failed is never taken up again; its pods stay to be
//! looked at, those still running go. A pod that fails is followed at once by another.
//!
//! Refused: the pause between failed pods, which would make every test of a failure slow; finalizers on
//! pods, so a pod that ended and is deleted before its Job is done counts no more. Not simulated:
//! `backoffLimitPerIndex`, `podFailurePolicy`, `successPolicy`, `podReplacementPolicy`, and CronJobs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::context::Context;
use super::pods;
use super::status::{Says, counter, find, written};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The pods of a Job.
struct Pods {
    all: Vec<Arc<Pod>>,
    active: Vec<Arc<Pod>>,
    /// By index, if they have indexes.
    succeeded: usize,
    succeeded_indexes: BTreeSet<usize>,
    failed: usize,
}

/// What is to become of a Job.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Run,
    Suspend,
    Complete,
    Fail(&'static str, &'static str),
}

pub(crate) async fn reconcile(context: Context, job: Arc<Job>) {
    let now = Timestamp::now();
    if let Some(since) = finished(&job) {
        return expire(&context, &job, since, now).await;
    }
    let spec = job.spec.clone().unwrap_or_default();
    let pods = Pods::of(&context, &job, &spec);
    let deadline = deadline(&job, &spec, now);
    let verdict = verdict(&spec, &pods, deadline == Some(Duration::ZERO));
    let (keep, missing) = match verdict {
        Verdict::Run => active_wanted(&spec, &pods),
        _ => (0, 0),
    };
    let leaving = pods.active.len().saturating_sub(keep);
    for pod in pods.active.iter().rev().take(leaving) {
        context.delete(&context.cache.pods, &**pod).await;
    }
    for pod in new_pods(&context, &job, &spec, &pods, missing) {
        context.create(&pod).await;
    }
    if let Some(deadline) = deadline.filter(|deadline| !deadline.is_zero()) {
        context.look_again(&*job, deadline);
    }
    context
        .write_status(&*job, status_of(&job, &spec, &pods, leaving, &verdict, now))
        .await;
}

impl Pods {
    fn of(context: &Context, job: &Job, spec: &JobSpec) -> Pods {
        let all = context.cache.pods.owned_by(job);
        let in_phase = |phase| all.iter().filter(move |pod| pods::phase(pod) == phase);
        let succeeded_indexes: BTreeSet<usize> = in_phase("Succeeded").filter_map(|pod| index(pod)).collect();
        Pods {
            active: all.iter().filter(|pod| pods::is_active(pod)).cloned().collect(),
            succeeded: match is_indexed(spec) {
                true => succeeded_indexes.len(),
                false => in_phase("Succeeded").count(),
            },
            failed: in_phase("Failed").count(),
            succeeded_indexes,
            all,
        }
    }

    fn restarts(&self) -> i32 {
        let statuses = self
            .active
            .iter()
            .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref());
        statuses.flatten().map(|container| container.restart_count).sum()
    }
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

fn index(pod: &Pod) -> Option<usize> {
    pod.annotations().get(INDEX)?.parse().ok()
}

fn completions(spec: &JobSpec) -> Option<usize> {
    spec.completions
        .map(|completions| usize::try_from(completions).unwrap_or_default())
}

/// When the Job ended, if it did.
fn finished(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let mut ended = conditions
        .iter()
        .filter(|condition| matches!(&*condition.type_, "Complete" | "Failed") && condition.status == "True");
    let condition = ended.next()?;
    Some(
        condition
            .last_transition_time
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
    )
}

/// Deletes a Job that ended when its time is over.
async fn expire(context: &Context, job: &Job, since: Timestamp, now: Timestamp) {
    let Some(seconds) = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished) else {
        return;
    };
    match remaining(i64::from(seconds), since, now) {
        Duration::ZERO => context.delete(&context.cache.jobs, job).await,
        remaining => context.look_again(job, remaining),
    }
}

fn remaining(seconds: i64, since: Timestamp, now: Timestamp) -> Duration {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).saturating_sub(passed)
}

/// How long the Job may still be active.
fn deadline(job: &Job, spec: &JobSpec, now: Timestamp) -> Option<Duration> {
    let seconds = spec.active_deadline_seconds.filter(|_| spec.suspend != Some(true))?;
    let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
    Some(remaining(seconds, started.map_or(now, |time| time.0), now))
}

fn verdict(spec: &JobSpec, pods: &Pods, too_late: bool) -> Verdict {
    let limit = spec.backoff_limit.unwrap_or(6);
    let failed = i32::try_from(pods.failed).unwrap_or(i32::MAX);
    // Restarts in place count as failures, and reach the limit a step earlier than failed pods.
    let restarts = pods.restarts();
    let enough = match completions(spec) {
        Some(completions) => pods.succeeded >= completions,
        None => pods.succeeded > 0 && pods.active.is_empty(),
    };
    if failed > limit || (restarts > 0 && restarts >= limit) {
        Verdict::Fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    } else if too_late {
        Verdict::Fail("DeadlineExceeded", "Job was active longer than specified deadline")
    } else if enough {
        Verdict::Complete
    } else if spec.suspend == Some(true) {
        Verdict::Suspend
    } else {
        Verdict::Run
    }
}

/// How many pods may be active, and how many are to be made.
fn active_wanted(spec: &JobSpec, pods: &Pods) -> (usize, usize) {
    let parallelism = usize::try_from(spec.parallelism.unwrap_or(1)).unwrap_or_default();
    let wanted = match completions(spec) {
        Some(completions) => parallelism.min(completions.saturating_sub(pods.succeeded)),
        // The first that succeeds says that there is no more work; the others are left to end.
        None if pods.succeeded > 0 => parallelism.min(pods.active.len()),
        None => parallelism,
    };
    (wanted, wanted.saturating_sub(pods.active.len()))
}

fn new_pods(context: &Context, job: &Job, spec: &JobSpec, pods: &Pods, missing: usize) -> Vec<Pod> {
    let names: Vec<(usize, String)> = if is_indexed(spec) {
        let busy: BTreeSet<usize> = pods.active.iter().filter_map(|pod| index(pod)).collect();
        let indexes = 0..completions(spec).unwrap_or_default();
        let open = indexes.filter(|index| !busy.contains(index) && !pods.succeeded_indexes.contains(index));
        open.take(missing)
            .map(|index| (index, indexed_name(job, pods, index)))
            .collect()
    } else {
        pods::free_names(context, job, &pods.all, missing)
    };
    let made = names.into_iter().map(|(number, name)| {
        let mut pod = pods::from_template(context, job, &spec.template, &name, number);
        let uid = job.uid().unwrap_or_default();
        for (label, value) in [("job-name", job.name_any()), ("controller-uid", uid)] {
            pods::set_label(&mut pod, label, &value);
            pods::set_label(&mut pod, &format!("batch.kubernetes.io/{label}"), &value);
        }
        if is_indexed(spec) {
            pods::set_label(&mut pod, INDEX, &number.to_string());
            pod.annotations_mut().insert(INDEX.to_owned(), number.to_string());
            pod.spec.get_or_insert_default().hostname = Some(format!("{}-{number}", job.name_any()));
        }
        pod
    });
    made.collect()
}

/// The name of the next pod for an index: each attempt has its own.
fn indexed_name(job: &Job, pods: &Pods, index: usize) -> String {
    let attempts = (0..=pods.all.len()).map(|attempt| {
        let own = format!("{}/{index}/{attempt}", job.uid().unwrap_or_default());
        format!("{}-{index}-{}", job.name_any(), pods::short_hash(&own, 5))
    });
    let mut free = attempts.filter(|name| !pods.all.iter().any(|pod| pod.name_any() == *name));
    free.next().unwrap_or_default()
}

fn status_of(job: &Job, spec: &JobSpec, pods: &Pods, leaving: usize, verdict: &Verdict, now: Timestamp) -> Value {
    let shown = json!(job.status);
    let started = shown.get("startTime").cloned().unwrap_or_else(|| written(now));
    let stopped = matches!(verdict, Verdict::Fail(..)) as usize * leaving;
    let ready = pods
        .active
        .iter()
        .rev()
        .skip(leaving)
        .filter(|pod| pods::is_ready(pod))
        .count();
    json!({
        "active": counter(pods.active.len() - leaving),
        "ready": ready,
        "terminating": pods.all.iter().filter(|pod| pods::is_ending(pod) && !pods::is_over(pod)).count(),
        "succeeded": counter(pods.succeeded),
        "failed": counter(pods.failed + stopped),
        "completedIndexes": match is_indexed(spec) {
            true => json!(ranges(&pods.succeeded_indexes)),
            false => Value::Null,
        },
        "uncountedTerminatedPods": {},
        "startTime": if *verdict == Verdict::Suspend { Value::Null } else { started },
        "completionTime": if *verdict == Verdict::Complete { written(now) } else { Value::Null },
        "conditions": conditions(&shown, verdict),
    })
}

/// The conditions shown, with what the verdict adds.
fn conditions(shown: &Value, verdict: &Verdict) -> Value {
    let was_suspended = find(shown, "Suspended").is_some();
    let says = match verdict {
        Verdict::Run if was_suspended => vec![Says::new("Suspended", false, "JobResumed", "Job resumed")],
        Verdict::Run => Vec::new(),
        Verdict::Suspend => vec![Says::new("Suspended", true, "JobSuspended", "Job suspended")],
        Verdict::Complete => {
            let says = |kind| {
                Says::new(
                    kind,
                    true,
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                )
            };
            vec![says("SuccessCriteriaMet"), says("Complete")]
        }
        Verdict::Fail(reason, message) => {
            let says = |kind| Says::new(kind, true, reason, message);
            vec![says("FailureTarget"), says("Failed")]
        }
    };
    let mut conditions = shown
        .get("conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for says in says {
        let mut condition = says.condition(find(shown, says.kind));
        condition["lastProbeTime"] = condition["lastTransitionTime"].clone();
        match conditions.iter_mut().find(|known| known["type"] == says.kind) {
            Some(known) => *known = condition,
            None => conditions.push(condition),
        }
    }
    json!(conditions)
}

/// `0-2,5` for 0, 1, 2 and 5.
fn ranges(indexes: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let written = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        // Kubernetes writes two neighbours as two numbers.
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    written.collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_ranges() {
        for (indexes, expected) in [
            (vec![], ""),
            (vec![3], "3"),
            (vec![0, 1], "0,1"),
            (vec![0, 1, 2, 5], "0-2,5"),
        ] {
            assert_eq!(ranges(&indexes.into_iter().collect()), expected);
        }
    }
}
