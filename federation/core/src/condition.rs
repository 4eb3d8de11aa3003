//! Conditions as the Kubernetes API conventions define them, merged without needless writes.

use crate::Timestamp;

/// The three values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody can tell.
    Unknown,
}

impl ConditionStatus {
    /// As written in an object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition of an object's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// CamelCase type, unique in an object.
    pub kind: String,
    /// Its value.
    pub status: ConditionStatus,
    /// CamelCase word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When `status` last changed.
    pub last_transition: Timestamp,
}

impl Condition {
    /// A condition as decided just now; [`merge_conditions`] finds out since when it holds.
    pub fn new(kind: &str, status: impl Into<ConditionStatus>, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            status: status.into(),
            reason: reason.to_owned(),
            message: message.into(),
            last_transition: Timestamp::default(),
        }
    }
}

/// The conditions to write: `wanted` with transition times kept from `previous` where the status is the
/// same. Conditions of other writers (types that `wanted` does not name) are not touched. `None` when
/// nothing would change.
pub fn merge_conditions(previous: &[Condition], wanted: Vec<Condition>, now: Timestamp) -> Option<Vec<Condition>> {
    let mut merged: Vec<Condition> = previous.to_vec();
    for mut condition in wanted {
        match merged.iter_mut().find(|old| old.kind == condition.kind) {
            Some(old) => {
                condition.last_transition = if old.status == condition.status {
                    old.last_transition
                } else {
                    now
                };
                *old = condition;
            }
            None => {
                condition.last_transition = now;
                merged.push(condition);
            }
        }
    }
    (merged != previous).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let first =
            merge_conditions(&[], vec![Condition::new("Ready", true, "Up", "up")], Timestamp(1)).expect("a change");
        assert_eq!(first[0].last_transition, Timestamp(1));
        assert_eq!(
            merge_conditions(&first, vec![Condition::new("Ready", true, "Up", "up")], Timestamp(2)),
            None
        );
        let reworded = merge_conditions(
            &first,
            vec![Condition::new("Ready", true, "Up", "still up")],
            Timestamp(3),
        )
        .expect("a change");
        assert_eq!(reworded[0].last_transition, Timestamp(1));
        let down = merge_conditions(
            &reworded,
            vec![Condition::new("Ready", false, "Down", "down")],
            Timestamp(4),
        )
        .expect("a change");
        assert_eq!(down[0].last_transition, Timestamp(4));
    }
}
