//! What became of steps and writes.
//!
//! A write is over when the watch has shown its version, not when the request returned: until then the view
//! is older than what we know.

use std::time::Duration;

use kube::ResourceExt;
use meridian_federation_core::{ClusterName, FederatedKey, Settled, Timestamp};

use super::{Failure, HostUnderWay, HostWriteEnd, StepEnd, UnderWay, reached};
use crate::managed::member_id;
use crate::{Dirty, Index};

impl Index {
    /// A step ended. Returns what to plan anew, and after which time if not at once.
    pub fn step_ended(
        &mut self,
        key: &FederatedKey,
        cluster: &ClusterName,
        end: StepEnd,
        now: Timestamp,
    ) -> (Dirty, Option<Duration>) {
        let mut dirty = Dirty::default();
        if !self.sync.objects.contains_key(key) {
            return (dirty, None);
        }
        let id = member_id(key);
        let seen = self
            .sync
            .view(cluster, &key.kind)
            .objects
            .get(&id)
            .map(|object| object.resource_version.clone());
        let part = self.sync.part(key, cluster);
        let mut retry = None;
        match end {
            StepEnd::Written {
                hash,
                resource_version,
                generation,
            } => {
                let shown = seen.is_some_and(|seen| reached(&seen, &resource_version));
                part.under_way = (!shown).then(|| UnderWay::Until(resource_version.clone()));
                part.settled = Some(Settled {
                    hash,
                    resource_version,
                    generation,
                });
                part.failure = None;
            }
            StepEnd::Removed => {
                part.under_way = seen.is_some().then_some(UnderWay::UntilGone);
                part.failure = None;
            }
            StepEnd::Failed(outcome) => {
                let count = part.failure.as_ref().map_or(1, |failure| failure.count + 1);
                let wait = backoff(count);
                part.under_way = None;
                part.failure = Some(Failure {
                    count,
                    not_before: now + wait,
                    outcome,
                });
                retry = Some(wait);
            }
        }
        dirty.federated.insert(key.clone());
        (dirty, retry)
    }

    /// The connection to a member was made anew: steps that were under way will not be heard of again. What
    /// was written waits for the new connection's list, as it did for the watch.
    pub fn connection_replaced(&mut self, cluster: &ClusterName) -> Dirty {
        let mut dirty = Dirty::default();
        for ((key, of), part) in &mut self.sync.parts {
            if of == cluster
                && part
                    .under_way
                    .take_if(|state| matches!(state, UnderWay::Running))
                    .is_some()
            {
                dirty.federated.insert(key.clone());
            }
        }
        dirty
    }

    /// A write to the federated object ended.
    pub fn host_write_ended(&mut self, key: &FederatedKey, end: HostWriteEnd) -> Dirty {
        let mut dirty = Dirty::default();
        let ended = self.sync.host_writes.remove(key);
        let Some(object) = self.sync.objects.get(key) else {
            return dirty;
        };
        let seen = object.raw.resource_version().unwrap_or_default();
        match end {
            HostWriteEnd::Written(version) if !reached(&seen, &version) => {
                self.sync.host_writes.insert(key.clone(), HostUnderWay::Until(version));
            }
            HostWriteEnd::Written(_) | HostWriteEnd::Failed => {
                dirty.federated.insert(key.clone());
            }
            // The newer version was shown before the write ended, when it could not be decided anew ...
            HostWriteEnd::Superseded if matches!(&ended, Some(HostUnderWay::Running(from)) if *from != seen) => {
                dirty.federated.insert(key.clone());
            }
            // ... or it is on its way and will be planned for.
            HostWriteEnd::Superseded => {}
        }
        dirty
    }
}

/// 1 s doubling to 60 s.
fn backoff(count: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(count.saturating_sub(1)).unwrap_or(60).clamp(1, 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_grows_and_stays_bounded() {
        let seconds: Vec<_> = [1, 2, 3, 6, 7, 100].map(|count| backoff(count).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 32, 60, 60]);
    }
}
