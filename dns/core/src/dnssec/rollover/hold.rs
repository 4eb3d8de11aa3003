//! How long the world may hold on to what a zone showed before a change.
//!
//! What must stay true: a time that is made shorter does not shorten what caches already hold. What was
//! handed out under the longer one counts until it must be gone.

/// A longest time to remember, with the longer one that was in force before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    /// Seconds after a change, as of now: TTL, delay of propagation and margin.
    pub seconds: u64,
    /// A longer one that was in force, and until when it may matter, in seconds since 1970.
    pub earlier: Option<(u64, u64)>,
}

impl Hold {
    /// Makes it that long from now on.
    pub(super) fn set(&mut self, seconds: u64, now: u64) {
        if let Some((longer, until)) = self.earlier
            && (until <= now || longer <= seconds)
        {
            self.earlier = None;
        }
        if seconds < self.seconds {
            let until = now.saturating_add(self.seconds);
            self.earlier = Some(match self.earlier {
                Some((longer, later)) => (longer.max(self.seconds), later.max(until)),
                None => (self.seconds, until),
            });
        }
        self.seconds = seconds;
    }

    /// When no cache holds any more what was there before a change at that time.
    pub(super) fn passed(&self, since: u64) -> u64 {
        let current = since.saturating_add(self.seconds);
        let earlier = self
            .earlier
            .map_or(0, |(longer, until)| until.min(since.saturating_add(longer)));
        current.max(earlier)
    }

    /// The clock was set back by that much.
    pub(super) fn set_back(&mut self, seconds: u64, now: u64) {
        if let Some((longer, until)) = &mut self.earlier {
            *until = until.saturating_sub(seconds).min(now.saturating_add(*longer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_time_counts_for_what_is_handed_out_under_it() {
        let mut hold = Hold::default();
        hold.set(1000, 0);
        assert_eq!(hold.passed(50), 1050);
        hold.set(10, 100);
        // Before the change of the time, shortly after it, and long after it.
        assert_eq!(
            [50, 100, 500, 1095, 5000].map(|since| hold.passed(since)),
            [1050, 1100, 1100, 1105, 5010]
        );
        hold.set(5, 200);
        assert_eq!(hold.passed(900), 1100);
        hold.set(2000, 300);
        assert_eq!((hold.passed(300), hold.earlier), (2300, None));
        hold.set(5, 400);
        hold.set_back(100, 300);
        assert_eq!(hold.earlier, Some((2000, 2300)));
        hold.set_back(0, 100);
        assert_eq!(hold.earlier, Some((2000, 2100)));
    }
}
