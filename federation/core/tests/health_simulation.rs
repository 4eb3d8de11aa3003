//! Rounds of probes over a network that loses packets, simulated with the settings that users get.
//!
//! A connect sends a SYN at once and, as Linux does, again after a second (RFC 6298 section 2.1, with the
//! initial timeout of one second); each is lost with the given chance, and so is its answer. The numbers
//! are drawn from a seed, so that a failure can be seen again.

use meridian_dns_core::Liveness;
use meridian_federation_core::{ClusterHealth, HealthSettings, Timestamp};

/// The second SYN, in milliseconds.
const RETRANSMISSION: u64 = 1000;
/// What a packet needs to the site and back, in milliseconds: around the globe.
const ROUND_TRIP: u64 = 180;

/// Deterministic (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// True with that chance.
    fn happens(&mut self, percent: u64) -> bool {
        self.roll() % 100 < percent
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("short")
}

/// Whether a connect succeeds within its limit.
fn connects(dice: &mut Dice, loss: u64, settings: &HealthSettings) -> bool {
    let limit = millis(settings.connect_limit);
    [0, RETRANSMISSION]
        .into_iter()
        .filter(|sent| sent + ROUND_TRIP <= limit)
        .any(|_| !dice.happens(loss) && !dice.happens(loss))
}

/// Rounds for as long as they are wanted, which here is always: nothing ends the suspicion.
fn false_verdicts(seed: u64, hours: u64, loss: u64, settings: &HealthSettings) -> u32 {
    let mut dice = Dice(seed);
    let mut health = ClusterHealth::new(Timestamp(0));
    health.suspect("the API is in trouble".to_owned());
    let mut verdicts = 0;
    for round in 0..hours * 3_600_000 / millis(settings.round_interval) {
        let connected = (0..settings.connects).any(|_| connects(&mut dice, loss, settings));
        let now = Timestamp(round * millis(settings.round_interval));
        health.round_result(connected, settings, now);
        if health.liveness() == Liveness::Dead {
            verdicts += 1;
            health = ClusterHealth::new(now);
            health.suspect("the API is in trouble".to_owned());
        }
    }
    verdicts
}

#[test]
fn packet_loss_is_not_death() {
    let settings = HealthSettings::default();
    assert_eq!(false_verdicts(7, 10_000, 10, &settings), 0, "at 10 % loss each way");
    // The simulation can find false verdicts: a single connect in a round would give them.
    let careless = HealthSettings {
        connects: 1,
        ..settings
    };
    assert!(false_verdicts(7, 100, 10, &careless) > 10);
}

/// Milliseconds from a site's death, `phase` after a health request was answered, to the verdict. The API
/// server hangs: it closes nothing and answers nothing.
fn detection(phase: u64, settings: &HealthSettings) -> u64 {
    let mut health = ClusterHealth::new(Timestamp(0));
    let request = millis(settings.api_interval) - phase;
    // The request that finds nobody is slow before it fails, which starts the rounds.
    let mut at = request + millis(settings.api_slow);
    health.suspect("no answer yet".to_owned());
    assert!(health.wants_rounds());
    loop {
        let ended = at + millis(settings.connect_limit);
        health.round_result(false, settings, Timestamp(ended));
        if health.liveness() == Liveness::Dead {
            return ended;
        }
        at += millis(settings.round_interval);
    }
}

#[test]
fn a_killed_site_is_out_within_five_seconds_also_when_its_api_hangs() {
    let settings = HealthSettings::default();
    let mut dice = Dice(11);
    let mut times: Vec<_> = (0..10_000)
        .map(|_| detection(dice.roll() % millis(settings.api_interval), &settings))
        .collect();
    times.sort_unstable();
    assert!(times[9_900] < 5_000, "p99 is {} ms", times[9_900]);
    assert!(times[0] > 2_000, "two rounds take their time: {} ms", times[0]);
}
