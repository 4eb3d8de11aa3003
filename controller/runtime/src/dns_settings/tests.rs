//! The settings file: what it says, what it may not say, and how it is followed.

use std::time::Duration;

use meridian_dns_server::CookieSecret;

use super::*;
use crate::testing::within;

const ALL: &str = "
identity: {version: null, identifier: tokyo-1}
udpPayload: 1400
subnets: {trustedResolvers: [192.0.2.0/24, '2001:db8::/32'], strangers: false}
cookies: {policy: Require}
rateLimit: {answers: 1, negatives: 2, errors: 3, all: 4, burst: 5, slip: 0, exempt: [10.0.0.0/8]}
signing: {network: 6, all: 7, burst: 8}
streams:
  idleSeconds: 9
  writeSeconds: 10
  handshakeSeconds: 11
  connections: 12
  connectionsPerClient: 13
  transfers: 14
  streamsPerConnection: 15
";

fn network(text: &str) -> IpNet {
    text.parse().expect("a network")
}

fn cookies(octet: u8) -> Cookies {
    Cookies {
        current: CookieSecret::new([octet; 16]),
        previous: None,
        policy: CookiePolicy::Offer,
    }
}

/// What flags may say.
fn flags() -> Settings {
    let mut settings = Settings {
        cookies: Some(cookies(1)),
        rate: Some(RateLimits::default()),
        ..Settings::default()
    };
    settings.identity.server = Some(b"flag".to_vec());
    settings.subnets.resolvers = vec![network("203.0.113.0/24")];
    settings
}

fn over(text: &str) -> Settings {
    let written = Written::parse(text).expect("good settings");
    let flags = flags();
    written.over(&flags, flags.cookies.as_ref())
}

#[test]
fn everything_can_be_said() {
    let settings = over(ALL);
    assert_eq!(settings.identity.version, None);
    assert_eq!(settings.identity.server.as_deref(), Some(&b"tokyo-1"[..]));
    assert_eq!(settings.udp_payload, 1400);
    assert_eq!(
        settings.subnets.resolvers,
        [network("192.0.2.0/24"), network("2001:db8::/32")]
    );
    assert!(!settings.subnets.strangers);
    let expected = Cookies {
        policy: CookiePolicy::Require,
        ..cookies(1)
    };
    assert_eq!(settings.cookies, Some(expected));
    let rate = settings.rate.expect("limits");
    assert_eq!((rate.answers, rate.negatives, rate.errors, rate.all), (1, 2, 3, 4));
    assert_eq!(
        (rate.burst, rate.slip, rate.exempt),
        (5, 0, vec![network("10.0.0.0/8")])
    );
    let signing = settings.signing;
    assert_eq!((signing.network, signing.all, signing.burst), (6, 7, 8));
    let streams = settings.streams;
    let seconds = [streams.idle, streams.write, streams.handshake].map(|limit| limit.as_secs());
    assert_eq!(seconds, [9, 10, 11]);
    assert_eq!((streams.connections, streams.connections_per_client), (12, 13));
    assert_eq!((streams.transfers, streams.streams_per_connection), (14, 15));
}

#[test]
fn the_example_of_the_documentation_is_good_and_shows_the_defaults() {
    let text = include_str!("../../../../docs/operating.md");
    let (_, behind) = text.split_once("```yaml\nidentity:").expect("an example");
    let (example, _) = behind.split_once("```").expect("its end");
    let written = Written::parse(&format!("identity:{example}")).expect("good settings");
    let shown = written.over(&Settings::default(), None);
    let mut expected = Settings::default();
    expected.identity.server = Some(b"tokyo-1".to_vec());
    expected.subnets.resolvers = vec![network("192.0.2.0/24")];
    expected.rate = Some(RateLimits {
        exempt: vec![network("10.0.0.0/8")],
        ..RateLimits::default()
    });
    assert_eq!(shown, expected);
}

#[test]
fn what_is_not_said_is_as_the_flags_have_it() {
    for text in [
        "",
        "# nothing yet\n",
        "{}",
        "streams: {}",
        "identity: {}\nrateLimit: {}\n",
    ] {
        assert_eq!(over(text), flags(), "{text:?}");
    }
    let off = over("rateLimit: null\nidentity: {identifier: null}");
    assert_eq!((off.rate, off.identity.server), (None, None));
    let written = Written::parse("rateLimit: {slip: 3}").expect("good settings");
    let on = written.over(&Settings::default(), None);
    let expected = RateLimits {
        slip: 3,
        ..RateLimits::default()
    };
    assert_eq!(on.rate, Some(expected));
}

#[test]
fn a_mistake_names_its_field_and_says_why() {
    for (text, parts) in [
        ("rateLimits: {}", &["rateLimits", "rateLimit"][..]),
        ("streams: {idle: 5}", &["streams", "idle"]),
        (
            "streams: {connections: 0}",
            &["streams.connections", "0 is not within 1 and"],
        ),
        (
            "streams: {streamsPerConnection: 70000}",
            &["streams.streamsPerConnection"],
        ),
        ("udpPayload: 100", &["udpPayload", "100 is not within 512 and 4096"]),
        ("udpPayload: many", &["udpPayload"]),
        ("rateLimit: {answers: -1}", &["rateLimit.answers"]),
        ("rateLimit: {burst: 0}", &["rateLimit.burst", "0 is not within 1"]),
        (
            "rateLimit: {exempt: [10.0.0.0/8, 10.0.0.0/33]}",
            &["rateLimit.exempt[1]"],
        ),
        ("cookies: {policy: Never}", &["cookies.policy", "Never"]),
        ("subnets: {strangers: 5}", &["subnets.strangers"]),
        ("udpPayload: 512\nudpPayload: 513", &["udpPayload"]),
        ("streams: [", &["line"]),
        ("- a\n- b", &["line"]),
    ] {
        let error = Written::parse(text).expect_err(text);
        for part in parts {
            assert!(error.contains(part), "{text:?}: no {part:?} in {error:?}");
        }
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let long = format!("identity: {{version: {}}}", "x".repeat(256));
    assert!(Written::parse(&long).is_err_and(|error| error.contains("identity.version")));
}

#[test]
fn a_file_that_is_no_good_at_the_start_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("settings.yaml");
    let mut settings = flags();
    let absent = SettingsFile::load(path.clone(), &mut settings).expect_err("no file");
    assert!(format!("{absent:#}").contains("settings.yaml"), "{absent:#}");
    fs::write(&path, "udpPayload: 1").expect("written");
    let bad = SettingsFile::load(path, &mut settings).expect_err("a bad file");
    let text = format!("{bad:#}");
    assert!(text.contains("settings.yaml") && text.contains("udpPayload"), "{text}");
    assert_eq!(settings, flags());
}

#[test]
fn what_is_no_good_changes_nothing() {
    let mut file = SettingsFile {
        path: PathBuf::from("settings.yaml"),
        every: EVERY,
        flags: flags(),
        seen: Ok(String::new()),
    };
    let shared = SharedSettings::new(flags());
    let mut look = |read: Result<&str, &str>| {
        file.look(read.map(str::to_owned).map_err(str::to_owned), &shared);
        shared.load().udp_payload
    };
    assert_eq!(look(Ok("udpPayload: 1000")), 1000);
    assert_eq!(look(Ok("udpPayload: 1001\nstreams: {connections: none}")), 1000);
    assert_eq!(look(Err("no such file")), 1000);
    assert_eq!(look(Ok("udpPayload: 1001")), 1001);
    assert_eq!(look(Ok("")), flags().udp_payload, "what is taken out is undone");
}

async fn until(shared: &SharedSettings, holds: impl Fn(&Settings) -> bool) {
    while !holds(&shared.load()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_changed_file_is_taken_and_shared_secrets_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("settings.yaml");
    let write = |text: &str| fs::write(&path, text).expect("written");
    write("udpPayload: 1000");
    let mut settings = flags();
    let mut file = SettingsFile::load(path.clone(), &mut settings).expect("a good file");
    assert_eq!(settings.udp_payload, 1000);
    file.every = Duration::from_millis(5);
    let shared = SharedSettings::new(settings);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(file.follow(shared.clone()));

    // The secrets of all replicas come from elsewhere.
    shared.update(|settings| settings.cookies = Some(cookies(2)));
    write("udpPayload: 1001\ncookies: {policy: Require}");
    within("the change", until(&shared, |settings| settings.udp_payload == 1001)).await;
    let expected = Cookies {
        policy: CookiePolicy::Require,
        ..cookies(2)
    };
    assert_eq!(shared.load().cookies, Some(expected));

    write("");
    let undone = |settings: &Settings| settings.udp_payload == Settings::default().udp_payload;
    within("the file again", until(&shared, undone)).await;
    assert_eq!(
        shared.load().cookies,
        Some(cookies(2)),
        "the flags' policy, the replicas' secret"
    );
}
