//! The fuzz targets.
//!
//! What must stay true: a target panics if and only if the server did something it must not do; it is the
//! same for the same octets; and it costs microseconds. To add one:
//! a function here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets` with its `[[bin]]`, and a folder
//! with some good input in `fuzz/corpus`. Tests hold these together.

mod snapshot;
mod tsig;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use meridian_dns_core::{DnsName, ReadText, Snapshot, StaticRecords};
use meridian_dns_server::{
    Arrival, Context, MasterFile, Now, Proxied, ProxyError, RateLimiter, Settings, Summary, Transfers, Transport,
    TsigAlgorithm, TsigKey, proxy_header, respond,
};

pub use self::snapshot::snapshot;
pub use self::tsig::tsig;
use crate::dice::query;
use crate::world;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As `cargo xtask fuzz` and the folders call it.
    pub name: &'static str,
    /// Panics if something is wrong.
    pub run: fn(&[u8]),
    /// Input is not cut beyond that many octets by the engine.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "handler",
        run: handler,
        longest: 1024,
    },
    Target {
        name: "zone_file",
        run: zone_file,
        longest: 2048,
    },
    Target {
        name: "client_subnet",
        run: client_subnet,
        longest: 64,
    },
    Target {
        name: "proxy_header",
        run: proxy,
        longest: 256,
    },
    Target {
        name: "tsig",
        run: tsig,
        longest: 1024,
    },
    Target {
        name: "snapshot",
        run: snapshot,
        longest: 8192,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

static WORLD: LazyLock<Snapshot> = LazyLock::new(|| {
    // A world that cannot be made is found by the first test of this crate.
    world::snapshot().unwrap_or_default()
});
static SETTINGS: LazyLock<[Settings; 2]> = LazyLock::new(|| [Settings::default(), world::settings()]);

/// One key, so that signatures are looked at; its name is the root, which is easily met.
static TRANSFERS: LazyLock<Transfers> = LazyLock::new(|| {
    let key = TsigKey::new(DnsName::root(), TsigAlgorithm::HmacSha256, tsig::SECRET);
    Transfers {
        keys: [(DnsName::root(), key)].into(),
        ..Transfers::default()
    }
});

/// When everything is asked, in seconds since 1970.
const UNIX: u32 = 1_800_000_000;

const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Https,
    Transport::Quic,
];

fn ask(
    snapshot: &Snapshot,
    settings: &Settings,
    transport: Transport,
    limiter: Option<&RateLimiter>,
    packet: &[u8],
) -> Option<(Vec<u8>, Summary)> {
    let arrival = Arrival {
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        transport,
        site: None,
        now: Now {
            unix: UNIX,
            monotonic: Duration::from_secs(1),
        },
        idle: Some(Duration::from_secs(10)),
    };
    let context = Context {
        snapshot,
        settings,
        limiter,
        transfers: Some(&TRANSFERS),
        signer: None,
    };
    let mut out = Vec::new();
    respond(packet, &arrival, &context, &mut out).map(|summary| (out, summary))
}

/// A message as it came: the first octet says over what and to whom, the rest is the message.
///
/// # Panics
///
/// If the reply is not well-formed, not within its size, or not one to this message.
pub fn handler(input: &[u8]) {
    let Some((choice, packet)) = input.split_first() else {
        return;
    };
    let transport = TRANSPORTS[usize::from(choice & 7) % TRANSPORTS.len()];
    let settings = &SETTINGS[usize::from(choice >> 3 & 1)];
    let Some((reply, summary)) = ask(&WORLD, settings, transport, None, packet) else {
        let silent = packet.get(2).is_none_or(|flags| flags & 0x80 != 0) || packet.len() < 12;
        assert!(silent, "no reply to a query");
        return;
    };
    well_formed(packet, &reply, &summary, transport);
}

/// Asserts what is true of every reply.
///
/// # Panics
///
/// If it is not.
pub fn well_formed(packet: &[u8], reply: &[u8], summary: &Summary, transport: Transport) {
    assert!(
        packet.len() >= 12 && packet[2] & 0x80 == 0,
        "a reply to what is no query"
    );
    assert_eq!(reply[..2], packet[..2], "the id");
    assert_eq!(reply[2] & 0x80, 0x80, "QR");
    assert_eq!(reply[3] & 0xe0, 0, "RA, Z and AD");
    assert_eq!(reply[2] & 0x79, packet[2] & 0x79, "the opcode and RD");
    assert_eq!(reply[3] & 0x10, packet[3] & 0x10, "CD");
    assert_eq!(u16::from(reply[3] & 0x0f), summary.code & 0x0f, "the code");
    assert_eq!(reply[2] & 0x02 != 0, summary.truncated, "TC");
    if transport == Transport::Udp {
        assert!(reply.len() <= 1232, "{} octets", reply.len());
    } else {
        assert!(!summary.truncated, "TC over a stream");
    }
    let read = Message::from_vec(reply).unwrap_or_else(|error| panic!("another reader refuses the reply: {error}"));
    if read.metadata.response_code == ResponseCode::NXDomain {
        assert_eq!(read.authorities.len(), 1, "the SOA of a name error");
    }
}

/// A zone file. What is read must be answered.
///
/// # Panics
///
/// If records that were taken do not come back.
pub fn zone_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(apex) = DnsName::parse(world::APEX) else {
        return;
    };
    let Ok(records) = MasterFile.zone_file(&apex, 300, &text) else {
        return;
    };
    let Ok(records) = StaticRecords::new(&apex, records) else {
        return;
    };
    let asked: Vec<_> = records
        .iter()
        .flat_map(|(name, sets)| sets.iter().map(|set| (name.clone(), set.clone())))
        .take(16)
        .collect();
    let Ok(zone) = world::zone(Arc::new(records)) else {
        return;
    };
    let snapshot = Snapshot::default().with_zone(zone);
    for (name, set) in asked {
        let Some(record_type) = set.record_type() else {
            continue;
        };
        let mut packet = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.labels() {
            packet.push(label.len() as u8);
            packet.extend(label);
        }
        packet.push(0);
        packet.extend(record_type.number().to_be_bytes());
        packet.extend([0, 1]);
        let Some((reply, summary)) = ask(&snapshot, &SETTINGS[0], Transport::Tcp, None, &packet) else {
            panic!("no reply about {name} {record_type}");
        };
        assert_ne!(summary.code, 1, "FORMERR about {name} {record_type}");
        // Another reader takes no record without data, which RFC 3597 allows; and it reads the data of types
        // that are octets here, which may be anything.
        assert!(reply.len() >= packet.len(), "the question comes back");
    }
}

/// The data of a Client Subnet option.
///
/// # Panics
///
/// If it is neither malformed nor returned as RFC 7871 says.
pub fn client_subnet(input: &[u8]) {
    let data = &input[..input.len().min(512)];
    let length = (data.len() as u16).to_be_bytes();
    let option = [&[0, 8], &length[..], data].concat();
    let packet = query(7, "web.example.test", 1, Some(&option));
    let Some((reply, summary)) = ask(&WORLD, &SETTINGS[0], Transport::Tcp, None, &packet) else {
        panic!("no reply");
    };
    well_formed(&packet, &reply, &summary, Transport::Tcp);
    let Ok(read) = Message::from_vec(&reply) else {
        panic!("another reader refuses the reply");
    };
    let returned = read.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    let returned = returned.and_then(|option| Vec::<u8>::try_from(option).ok());
    match (summary.code, returned) {
        (1, None) => {}
        (0, Some(returned)) => {
            let most = if data[1] == 1 { 32 } else { 128 };
            assert!(
                data[3] == 0 && data[2] <= most && returned[3] <= most,
                "{data:?}, {returned:?}"
            );
            assert_eq!(
                (&returned[..3], &returned[4..]),
                (&data[..3], &data[4..]),
                "family, SOURCE and address come back"
            );
        }
        (code, returned) => panic!("code {code} and {returned:?} for {data:?}"),
    }
}

/// A PROXY header, before a stream or in a datagram.
///
/// # Panics
///
/// If a header depends on what stands behind it, or has no end.
pub fn proxy(input: &[u8]) {
    for kind in [Proxied::Stream, Proxied::Datagram] {
        match proxy_header(input, kind) {
            Ok(header) => {
                assert!(
                    (16..=input.len()).contains(&header.length),
                    "its length is in the input"
                );
                let alone = &input[..header.length];
                assert_eq!(proxy_header(alone, kind), Ok(header), "what follows does not matter");
                let cut = &input[..header.length - 1];
                assert_eq!(proxy_header(cut, kind), Err(ProxyError::Incomplete));
                assert!(
                    header.client.is_none_or(|client| client == client.to_canonical()),
                    "one address has one form"
                );
            }
            Err(ProxyError::Incomplete) => assert!(input.len() < 16 + 2048, "it would be waited for for ever"),
            Err(ProxyError::NotAHeader | ProxyError::Malformed) => {
                let more = [input, b"more"].concat();
                assert!(
                    !matches!(proxy_header(&more, kind), Ok(_) | Err(ProxyError::Incomplete)),
                    "what is wrong does not become right"
                );
            }
        }
    }
}
