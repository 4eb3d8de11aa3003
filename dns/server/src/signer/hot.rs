//! Which signed answers are asked for often.
//!
//! Replies tell of their question, one in sixteen, through a bounded channel; the task that signs
//! ahead keeps the record. What must stay true:
//! - whoever replies waits for nobody: a full channel drops the sample;
//! - memory is bounded, and a flood of other names cannot push out what is asked for often: a full record
//!   takes nothing new until the scores of all have been halved, which ends those that were seen once.
//!
//! Refused: to read it from the cache of signatures. That knows digests, and the sets that are wanted
//! after a failover are those that nobody has asked for yet.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use meridian_dns_core::{DnsName, Question, RecordType};

/// Samples that wait for the task, which looks every second: 16,000 questions' worth.
const WAITING: usize = 1024;

/// Questions in the record: some megabytes.
const MOST: usize = 10_000;

/// One in so many replies is a sample.
const SAMPLE: u16 = 16;

/// From the replies to the task.
pub(crate) struct Samples {
    sender: SyncSender<Question>,
    /// Of the tasks alone.
    receiver: Mutex<Receiver<Question>>,
}

impl Default for Samples {
    fn default() -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}

impl Samples {
    /// Takes note of a reply. By the message's id, which is as good as random: a client that chooses its
    /// own only decides how much it is noticed itself.
    pub(crate) fn note(&self, id: u16, question: &Question) {
        if id.is_multiple_of(SAMPLE) {
            let _ = self.sender.try_send(question.clone());
        }
    }

    /// What has been noted since.
    pub(crate) fn take(&self) -> Vec<Question> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.try_iter().take(WAITING).collect()
    }
}

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    scores: BTreeMap<(DnsName, u16), u32>,
}

impl Hot {
    /// Counts a sample; whether the question is new.
    pub(crate) fn add(&mut self, question: Question) -> bool {
        let full = self.scores.len() >= MOST;
        let key = (question.name, question.record_type.number());
        match self.scores.get_mut(&key) {
            Some(score) => *score = score.saturating_add(1),
            None if full => return false,
            None => {
                self.scores.insert(key, 1);
                return true;
            }
        }
        false
    }

    /// Halves the scores. What was seen once is forgotten.
    pub(crate) fn fade(&mut self) {
        self.scores.retain(|_, score| {
            *score /= 2;
            *score > 0
        });
    }

    /// All questions, in the order of names.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let question = |(name, number): &(DnsName, u16)| Question {
            name: name.clone(),
            record_type: RecordType::from(*number),
        };
        self.scores.keys().map(question).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str) -> Question {
        Question {
            name: DnsName::parse(name).expect("a name"),
            record_type: RecordType::A,
        }
    }

    #[test]
    fn a_flood_of_names_does_not_push_out_what_is_asked_for_often() {
        let mut hot = Hot::default();
        for _ in 0..4 {
            hot.add(question("web.example.test"));
        }
        for number in 0..2 * MOST {
            hot.add(question(&format!("x{number}.example.test")));
        }
        assert_eq!(hot.questions().len(), MOST);
        hot.fade();
        assert_eq!(hot.questions(), [question("web.example.test")]);
        assert!(hot.add(question("new.example.test")), "there is room again");
        assert!(!hot.add(question("new.example.test")), "and it is known now");
        hot.fade();
        hot.fade();
        assert!(hot.questions().is_empty());
    }

    #[test]
    fn one_in_sixteen_is_noted_and_a_full_channel_drops() {
        let samples = Samples::default();
        for id in 0..u16::MAX {
            samples.note(id, &question("web.example.test"));
        }
        assert_eq!(samples.take().len(), WAITING);
        for id in 0..160 {
            samples.note(id, &question("web.example.test"));
        }
        assert_eq!(samples.take().len(), 10);
    }
}
