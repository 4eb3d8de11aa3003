//! From kube's watcher to [`Event`]s: a list becomes one reset, a failure becomes its text.
//!
//! The watcher goes on by itself after a failure, with a back-off that is short: a member that is back must
//! be seen soon, and one list every three seconds harms no API server. It asks for a new watch every minute,
//! so that a connection that died without a word is noticed.

use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource};
use meridian_controller_apply::describe;
use meridian_controller_index::{Event, WatchFailure};
use serde::de::DeserializeOwned;

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(3);
/// Seconds after which the server ends a watch and a new one begins where it ended.
const WATCH_SECONDS: u32 = 60;

/// Watches the objects with that label (all, when it is empty).
pub(crate) fn watch<K>(api: Api<K>, label: &str) -> impl Stream<Item = Result<Event<K>, WatchFailure>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    if !label.is_empty() {
        config = config.labels(label);
    }
    let mut listed = Vec::new();
    watcher(api, config).backoff(Retry::default()).filter_map(move |event| {
        let event = match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                None
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.push(object);
                None
            }
            Ok(watcher::Event::InitDone) => Some(Ok(Event::Reset(std::mem::take(&mut listed)))),
            Ok(watcher::Event::Apply(object)) => Some(Ok(Event::Apply(object))),
            Ok(watcher::Event::Delete(object)) => Some(Ok(Event::Delete(object))),
            Err(error) => Some(Err(failure_of(&error))),
        };
        std::future::ready(event)
    })
}

/// What a failure means: 404 says that the kind is not served, 403 that we may not read it.
fn failure_of(error: &watcher::Error) -> WatchFailure {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => 0,
    };
    match code {
        404 => WatchFailure::NotServed,
        403 => WatchFailure::Forbidden(describe(error)),
        _ => WatchFailure::Broken(describe(error)),
    }
}

/// Doubles from 200 ms to 3 s; the first success starts it again.
#[derive(Debug, Default)]
struct Retry(u32);

impl Iterator for Retry {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let wait = FIRST_RETRY
            .saturating_mul(1_u32.checked_shl(self.0).unwrap_or(u32::MAX))
            .min(LAST_RETRY);
        self.0 = self.0.saturating_add(1);
        Some(wait)
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn check(code: u16, expected: impl Fn(&WatchFailure) -> bool) {
        let status = Status::failure("no", "Because").with_code(code).boxed();
        for error in [
            watcher::Error::InitialListFailed(kube::Error::Api(status.clone())),
            watcher::Error::WatchStartFailed(kube::Error::Api(status.clone())),
            watcher::Error::WatchError(status),
        ] {
            let failure = failure_of(&error);
            assert!(expected(&failure), "{code}: {failure:?}");
        }
    }

    #[test]
    fn a_missing_kind_and_a_missing_right_are_told_from_trouble() {
        check(404, |failure| *failure == WatchFailure::NotServed);
        check(403, |failure| matches!(failure, WatchFailure::Forbidden(_)));
        check(410, |failure| matches!(failure, WatchFailure::Broken(_)));
        check(500, |failure| matches!(failure, WatchFailure::Broken(_)));
        let failure = failure_of(&watcher::Error::NoResourceVersion);
        assert!(matches!(failure, WatchFailure::Broken(_)));
    }

    #[test]
    fn retries_come_soon_and_stay_bounded() {
        let mut retry = Retry::default();
        let waits: Vec<_> = retry.by_ref().take(6).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3000, 3000]);
        retry.reset();
        assert_eq!(retry.next(), Some(FIRST_RETRY));
    }
}
