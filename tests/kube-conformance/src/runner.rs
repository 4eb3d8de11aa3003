//! The suite as a test program: each case is a test with a name and a result of its own.
//!
//! What must stay true: what was not run is never among the passed, and the closing lines say how many
//! that were and why. A panic is told with the line of the case. A case has a limit, so that a server that
//! never answers ends the case and not the patience.
//!
//! Refused: the standard harness with one `#[test]` per case, which cannot say "not run", shares no cluster
//! between tests, and would need each case named twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::case::{Case, Subject};
use crate::context::Context;
use crate::target::Target;

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Cases at a time; they mostly wait.
const CONCURRENCY: usize = 4;

thread_local! {
    /// The last panic of this thread. A case runs on the thread that waits for it.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Why what was not run.
type NotRun = Arc<Mutex<BTreeMap<String, usize>>>;

/// Runs the cases of `subjects` as the command line and the environment say.
pub fn main(subjects: &[Subject]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CONCURRENCY);
    // Two crypto libraries are never both compiled in, but rustls wants to be told all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let target = if arguments.list {
        None
    } else {
        match runtime.block_on(Target::from_environment()) {
            Ok(target) => Some(Arc::new(target)),
            Err(error) => return fail(&format!("no cluster to run against: {error:#}")),
        }
    };
    let not_run = NotRun::default();
    let cases = subjects
        .iter()
        .flat_map(|subject| subject.cases.iter().map(|case| (subject.name, *case)));
    let mut trials: Vec<Trial> = cases
        .enumerate()
        .map(|(number, (subject, case))| {
            let (target, runtime, not_run) = (target.clone(), runtime.clone(), not_run.clone());
            Trial::ignorable_test(format!("{subject}: {}", case.name), move || match target {
                Some(target) => runtime.block_on(run(target, number, case, not_run)),
                None => Ok(Completion::ignored()),
            })
        })
        .collect();
    let faults = faults(subjects);
    trials.push(Trial::test(
        "the suite: every case is told apart and names its source",
        move || {
            if faults.is_empty() {
                Ok(())
            } else {
                Err(faults.join("\n").into())
            }
        },
    ));
    remember_panics();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(target) = target {
        println!(
            "{}",
            closing(&target.name, conclusion.num_passed, conclusion.num_failed, &not_run)
        );
        // The last handle: what the target started ends here, inside its runtime.
        let _inside = runtime.enter();
        drop(target);
    }
    conclusion.exit_code()
}

fn fail(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::FAILURE
}

async fn run(target: Arc<Target>, number: usize, case: Case, not_run: NotRun) -> Result<Completion, Failed> {
    let missing = case
        .needs
        .iter()
        .find_map(|need| Some((need, target.missing.get(need)?)));
    if let Some((need, reason)) = missing {
        let reason = format!("needs {need}: {reason}");
        if let Ok(mut reasons) = not_run.lock() {
            *reasons.entry(reason.clone()).or_default() += 1;
        }
        return Ok(Completion::ignored_with(reason));
    }
    PANIC.take();
    let context = Arc::new(Context::new(target, number).await);
    let check = AssertUnwindSafe((case.run)(context.clone())).catch_unwind();
    let end = tokio::time::timeout(LIMIT, check).await;
    let cleaned = AssertUnwindSafe(context.clean_up()).catch_unwind().await;
    let sentence = match (end, cleaned) {
        (Ok(Ok(())), Ok(())) => return Ok(Completion::Completed),
        (Ok(Err(_)), _) => PANIC.take(),
        (Ok(Ok(())), Err(_)) => format!("cannot clean up: {}", PANIC.take()),
        (Err(_), _) => format!("not finished within {LIMIT:?}"),
    };
    Err(format!("{sentence}\ndocumented: {}", case.documented).into())
}

/// Keeps the text of a panic, with its line, for the report; standard error is no place for it while
/// other cases run.
fn remember_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        PANIC.with_borrow_mut(|kept| {
            // A panic while the case is taken down is a consequence.
            if kept.is_empty() {
                *kept = text;
            }
        });
    }));
}

/// What is wrong with the tables themselves.
fn faults(subjects: &[Subject]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for subject in subjects {
        for case in subject.cases {
            *seen.entry(case.name).or_default() += 1;
            let places = ["kubernetes.io/", "KEP-", "RFC "];
            if !places.iter().any(|place| case.documented.contains(place)) {
                found.push(format!("{}: names no place where Kubernetes documents it", case.name));
            }
        }
    }
    let twice = seen.iter().filter(|(_, times)| **times > 1);
    found.extend(twice.map(|(name, times)| format!("{name}: {times} cases have this name")));
    found
}

fn closing(target: &str, passed: u64, failed: u64, not_run: &NotRun) -> String {
    let reasons = not_run.lock().map(|reasons| reasons.clone()).unwrap_or_default();
    let total: usize = reasons.values().sum();
    let mut text =
        format!("ran against {target}\n  passed   {passed:>4}\n  failed   {failed:>4}\n  not run  {total:>4}\n");
    for (reason, count) in reasons {
        text.push_str(&format!("           {count:>4}  {reason}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case {
        name: "a rule",
        documented: "kubernetes.io/docs",
        needs: &[],
        run: |_| Box::pin(async {}),
    };

    #[test]
    fn a_case_without_a_source_and_a_name_twice_are_faults() {
        let check = |cases: &'static [Case]| faults(&[Subject { name: "s", cases }]);
        assert_eq!(check(&[CASE]), [""; 0]);
        assert_eq!(check(&[CASE, CASE]), ["a rule: 2 cases have this name"]);
        let found = check(&[Case { documented: "", ..CASE }]);
        assert_eq!(found, ["a rule: names no place where Kubernetes documents it"]);
    }

    #[test]
    fn what_was_not_run_is_counted_with_its_reason() {
        let not_run = NotRun::default();
        not_run.lock().unwrap().insert("needs kubectl: none".to_owned(), 3);
        let text = closing("x (v1)", 7, 0, &not_run);
        assert!(
            text.contains("not run     3") && text.contains("3  needs kubectl: none"),
            "{text}"
        );
        assert!(text.contains("passed      7"), "{text}");
    }
}
