//! How much larger a reply over UDP can be than the query that led to it.
//!
//! Whoever forges a source address gains that factor. It is bounded by the size of our replies, 512 octets
//! without an OPT record and 1,232 with one, whatever a zone holds; this test asks for everything that a
//! zone has, with and without EDNS and cookie, prints the figures, and holds them to a bound. Octets are
//! those of DNS messages; with the headers of IP and UDP, 28 octets each way, the factor is smaller.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::{name, snapshot};
use meridian_dns_core::{Liveness, ReadText, Snapshot, StaticRecords};
use meridian_dns_server::{
    Arrival, Context, CookiePolicy, CookieSecret, Cookies, MasterFile, Now, RateLimiter, RateLimits, Settings,
    Transport, respond,
};
use meridian_hostile::query;

/// An ordinary zone, and the largest sets that people really have: a TXT at the apex full of proofs of
/// ownership, mail with five hosts, name servers with both families.
const ZONE: &str = r#"
@ NS ns1
@ NS ns2
@ MX 1 mx1
@ MX 2 mx2
@ MX 3 mx3
@ TXT "v=spf1 include:_spf.example.net include:mail.example.org ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"
@ TXT "proof-of-ownership=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
@ TXT "another-proof-of-ownership=fedcba9876543210fedcba9876543210fedcba9876543210fedcba987654"
@ CAA 0 issue "ca.example.net"
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
ns2 A 198.51.100.53
ns2 AAAA 2001:db8:1::53
mx1 A 192.0.2.25
mx2 A 192.0.2.26
mx3 A 192.0.2.27
alias CNAME web
svc HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1
*.wild TXT "any"
old DNAME new
child NS ns.child
ns.child A 192.0.2.2
"#;

const NAMES: [&str; 20] = [
    "example.test",
    "web.example.test",
    "own.example.test",
    "ns1.example.test",
    "mx1.example.test",
    "alias.example.test",
    "svc.example.test",
    "x.wild.example.test",
    "x.old.example.test",
    "child.example.test",
    "_https._tcp.web.example.test",
    "absent.example.test",
    "elsewhere.test",
    "",
    "version.bind",
    "wild.example.test",
    "ns2.example.test",
    "www.child.example.test",
    "some.example.test",
    "many.example.test",
];

/// Those of large sets; the rest is what an ordinary zone has.
const LARGE: [&str; 2] = ["some.example.test", "many.example.test"];

fn world() -> Snapshot {
    let fleet = snapshot(Liveness::Alive);
    let apex = name("example.test");
    let records = MasterFile.zone_file(&apex, 300, ZONE).expect("a zone file");
    let records = StaticRecords::new(&apex, records).expect("records that go together");
    let zone = fleet.zone(&apex).expect("the zone").with_records(records.into(), 7);
    fleet.with_zone(zone)
}

fn settings() -> Settings {
    Settings {
        cookies: Some(Cookies {
            current: CookieSecret::new([1; 16]),
            previous: None,
            policy: CookiePolicy::Offer,
        }),
        ..Settings::default()
    }
}

/// The reply's octets, and whether it is TC alone.
fn ask(world: &Snapshot, settings: &Settings, limiter: Option<&RateLimiter>, packet: &[u8]) -> Option<(usize, bool)> {
    let arrival = Arrival {
        client: Ipv4Addr::new(192, 0, 2, 7).into(),
        transport: Transport::Udp,
        site: None,
        now: Now {
            unix: 0,
            monotonic: Duration::ZERO,
        },
        idle: None,
    };
    let context = Context {
        snapshot: world,
        settings,
        limiter,
        transfers: None,
        signer: None,
    };
    let mut out = Vec::new();
    respond(packet, &arrival, &context, &mut out).map(|summary| (out.len(), summary.truncated))
}

/// The largest of some factors, what it was for, and their mean.
#[derive(Default)]
struct Factors {
    most: f64,
    of: String,
    sum: f64,
    count: u32,
}

impl Factors {
    fn add(&mut self, factor: f64, of: impl FnOnce() -> String) {
        if factor > self.most {
            (self.most, self.of) = (factor, of());
        }
        self.sum += factor;
        self.count += 1;
    }
}

#[test]
fn replies_over_udp_amplify_no_more_than_their_limits_allow() {
    let (world, settings) = (world(), settings());
    let cookie: &[u8] = &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    // Without EDNS, with it, and with a cookie; bounds of an ordinary zone and of one with large sets.
    for (kind, options, ordinary, large) in [
        ("without EDNS", None, 12.0, 3.0),
        ("with EDNS", Some(&[][..]), 9.0, 20.0),
        ("with a cookie", Some(cookie), 8.0, 17.0),
    ] {
        let (mut of_ordinary, mut of_large) = (Factors::default(), Factors::default());
        for asked in NAMES {
            for record_type in (0..=300).chain([32768, 32769, 65280, 65535]) {
                let packet = query(7, asked, record_type, options);
                let (octets, _) = ask(&world, &settings, None, &packet).expect("a reply");
                let factor = octets as f64 / packet.len() as f64;
                let of = || format!("{asked} TYPE{record_type}, {octets} of {} octets", packet.len());
                if LARGE.contains(&asked) {
                    of_large.add(factor, of);
                } else {
                    of_ordinary.add(factor, of);
                }
            }
        }
        for (what, factors, bound) in [("ordinary", of_ordinary, ordinary), ("large", of_large, large)] {
            let mean = factors.sum / f64::from(factors.count);
            println!(
                "{kind}, {what} sets: at most {:.1} ({}), on average {mean:.2}",
                factors.most, factors.of
            );
            assert!(
                factors.most <= bound,
                "{kind}, {what}: {:.1} for {}",
                factors.most,
                factors.of
            );
            assert!(mean <= 2.0, "{kind}, {what}: {mean:.2} on average");
        }
    }
}

#[test]
fn with_the_rate_limit_a_flood_gets_back_less_than_it_sends() {
    let (world, limiter) = (world(), RateLimiter::default());
    let settings = Settings {
        rate: Some(RateLimits::default()),
        ..settings()
    };
    let packet = query(7, "some.example.test", 1, Some(&[]));
    let (mut sent, mut received) = (0, 0);
    for _ in 0..10_000 {
        sent += packet.len();
        received += ask(&world, &settings, Some(&limiter), &packet).map_or(0, |(octets, _)| octets);
    }
    let factor = f64::from(u32::try_from(received).expect("few")) / f64::from(u32::try_from(sent).expect("few"));
    println!("10,000 queries at once for a set of 50 addresses, with the rate limit: {factor:.2}");
    assert!(factor < 1.0, "{factor:.2}");
}
