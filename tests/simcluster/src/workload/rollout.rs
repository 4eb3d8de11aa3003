//! How fast a Deployment goes from one ReplicaSet to the next: sizes in, sizes out.
//!
//! What must stay true: following these sizes there are never more pods than `maxSurge` allows, nor
//! fewer available ones than `maxUnavailable` allows. A set that was told to shrink and did not do so
//! yet counts as shrunk: what is known of it may be old.
//!
//! Not simulated: sharing out a change of `replicas` in the midst of a rollout in proportion; the old
//! sets keep what they have until the rollout takes it.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a Deployment asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) replicas: i32,
    pub(crate) surge: i32,
    pub(crate) unavailable: i32,
}

/// One ReplicaSet: the pods it is told to have, and those of them that are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) wanted: i32,
    pub(crate) available: i32,
}

impl Limits {
    pub(crate) fn of(spec: &DeploymentSpec) -> Limits {
        let replicas = spec.replicas.unwrap_or(1).max(0);
        let strategy = spec.strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
            return Limits {
                replicas,
                surge: 0,
                unavailable: replicas,
            };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let quarter = IntOrString::String("25%".to_owned());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let surge = share(surge.unwrap_or(&quarter), replicas, true);
        let unavailable = share(unavailable.unwrap_or(&quarter), replicas, false).min(replicas);
        Limits {
            replicas,
            surge,
            // With neither there would be no way forward.
            unavailable: if surge == 0 { unavailable.max(1) } else { unavailable },
        }
    }

    /// How many pods must be available.
    pub(crate) fn at_least(&self) -> i32 {
        (self.replicas - self.unavailable).max(0)
    }
}

/// A number, or that part of the whole.
pub(crate) fn share(value: &IntOrString, whole: i32, up: bool) -> i32 {
    let number = match value {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
            let hundredfold = percent.clamp(0, 1_000).saturating_mul(i64::from(whole));
            if up {
                (hundredfold + 99) / 100
            } else {
                hundredfold / 100
            }
        }
    };
    i32::try_from(number.max(0)).unwrap_or(i32::MAX)
}

/// The next sizes of the new set and of the old ones, oldest first.
pub(crate) fn rolling(limits: &Limits, new: Size, old: &[Size]) -> (i32, Vec<i32>) {
    let mut sizes: Vec<i32> = old.iter().map(|set| set.wanted).collect();
    let total = new.wanted + sizes.iter().sum::<i32>();
    let room = limits
        .replicas
        .saturating_add(limits.surge)
        .saturating_sub(total)
        .max(0);
    let grown = limits.replicas.min(new.wanted.saturating_add(room));
    if grown != new.wanted {
        return (grown, sizes);
    }

    // New pods that are not available yet must not cost an old one.
    let waiting = new.wanted - new.available.min(new.wanted);
    let mut removable = (total - limits.at_least() - waiting).max(0);
    // Old pods that are no use go first, whatever set they are in.
    for (size, set) in sizes.iter_mut().zip(old) {
        let useless = (set.wanted - set.available).clamp(0, removable);
        *size -= useless;
        removable -= useless;
    }
    for size in &mut sizes {
        let taken = (*size).clamp(0, removable);
        *size -= taken;
        removable -= taken;
    }
    (grown, sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(wanted: i32, available: i32) -> Size {
        Size { wanted, available }
    }

    fn limits(replicas: i32, surge: i32, unavailable: i32) -> Limits {
        Limits {
            replicas,
            surge,
            unavailable,
        }
    }

    fn check(limits: Limits, new: Size, old: &[Size], expected: (i32, &[i32])) {
        let (grown, shrunk) = rolling(&limits, new, old);
        assert_eq!((grown, &*shrunk), expected, "{limits:?} {new:?} {old:?}");
    }

    #[test]
    fn a_step_of_a_rollout() {
        let two_of_four = limits(4, 1, 2);
        check(two_of_four, size(0, 0), &[size(4, 4)], (1, &[4]));
        check(two_of_four, size(1, 0), &[size(4, 4)], (1, &[2]));
        check(two_of_four, size(1, 0), &[size(2, 2)], (3, &[2]));
        check(two_of_four, size(4, 4), &[size(1, 1)], (4, &[0]));
        // None may be missing: the old one waits for the new one.
        check(limits(1, 1, 0), size(0, 0), &[size(1, 1)], (1, &[1]));
        check(limits(1, 1, 0), size(1, 0), &[size(1, 1)], (1, &[1]));
        check(limits(1, 1, 0), size(1, 1), &[size(1, 1)], (1, &[0]));
        // None may be too many: the old one goes first.
        check(limits(1, 0, 1), size(0, 0), &[size(1, 1)], (0, &[0]));
        check(limits(1, 0, 1), size(0, 0), &[size(0, 0)], (1, &[0]));
        // What is no use goes first, and costs no available one.
        check(limits(3, 1, 1), size(0, 0), &[size(3, 3), size(1, 0)], (0, &[2, 0]));
        check(limits(3, 1, 0), size(1, 0), &[size(3, 0)], (1, &[3]));
        // Scaled while nothing rolls.
        check(limits(5, 2, 1), size(3, 3), &[], (5, &[]));
        check(limits(1, 1, 0), size(3, 3), &[size(0, 0)], (1, &[0]));
        check(limits(0, 0, 1), size(3, 3), &[size(2, 2)], (0, &[2]));
    }

    #[test]
    fn shares_are_rounded_to_the_safe_side() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        for (value, whole, up, expected) in [
            (percent("25%"), 3, true, 1),
            (percent("25%"), 3, false, 0),
            (percent("100%"), 3, false, 3),
            (percent("x"), 3, true, 0),
            (IntOrString::Int(2), 3, true, 2),
            (IntOrString::Int(-2), 3, true, 0),
        ] {
            assert_eq!(share(&value, whole, up), expected, "{value:?} of {whole}");
        }
    }

    /// Plays a rollout with pods that become available in any order and checks the promise at each step.
    #[test]
    fn every_rollout_ends_and_keeps_its_limits() {
        for (replicas, surge, unavailable) in [(1, 1, 0), (1, 0, 1), (4, 1, 1), (10, 3, 2), (5, 5, 0), (7, 0, 3)] {
            let limits = limits(replicas, surge, unavailable);
            let (mut new, mut old) = (size(0, 0), size(replicas, replicas));
            let mut steps = 0;
            while new != size(replicas, replicas) || old.wanted > 0 {
                let (grown, shrunk) = rolling(&limits, new, &[old]);
                let told = (grown, shrunk[0]) != (new.wanted, old.wanted);
                new.wanted = grown;
                old = size(shrunk[0], old.available.min(shrunk[0]));
                assert!(
                    new.wanted + old.wanted <= replicas + surge,
                    "{limits:?} {new:?} {old:?}"
                );
                assert!(
                    new.available + old.available >= limits.at_least(),
                    "{limits:?} {new:?} {old:?}"
                );
                if !told {
                    new.available = (new.available + 1).min(new.wanted);
                }
                steps += 1;
                assert!(steps < 100, "{limits:?} does not end");
            }
        }
    }
}
