//! Signed zones of the tests, and denials read as a validator would, apart from the code that makes them.
//!
//! An NSEC is written `OWNER NSEC NEXT TYPES`, where `+` is the label of one zero octet in front of the
//! owner; an NSEC3 as `matches NAME TYPES` or `covers NAME`, if that is the one name, of those that
//! matter for a question, that its hashes speak of. Signed sets end with `!`.

use std::sync::Arc;

use data_encoding::BASE32HEX_NOPAD;
use meridian_dns_core::dnssec::{Algorithm, Denial, DnsKey, NameHash, Signers, ZoneKey, prove, signers};
use meridian_dns_core::{Answer, DnsName, Dnssec, Outcome, RecordData, RecordSet, RecordType, Snapshot};

use super::{ask, question, relative};

/// One key for everything, published and vouched for.
pub(crate) fn dnssec(denial: Denial) -> Arc<Dnssec> {
    let key = DnsKey {
        secure_entry_point: true,
        algorithm: Algorithm::Ed25519,
        public_key: [7; 32].into(),
    };
    Arc::new(Dnssec {
        delete_ds: false,
        key_ttl: 3600,
        keys: vec![ZoneKey {
            key,
            published: true,
            signs_keys: true,
            signs_data: true,
            wants_ds: true,
        }],
        denial,
    })
}

/// Owner, next name and types of an NSEC.
pub(crate) struct Nsec {
    pub(crate) owner: DnsName,
    pub(crate) next: DnsName,
    pub(crate) types: Vec<RecordType>,
}

/// Own hash, next hash and types of an NSEC3.
pub(crate) struct Nsec3 {
    pub(crate) hash: [u8; 20],
    pub(crate) next: [u8; 20],
    pub(crate) types: Vec<RecordType>,
}

impl Nsec3 {
    /// Whether a hash lies between the two, on a circle (RFC 5155 section 1.3).
    pub(crate) fn covers(&self, hash: &[u8; 20]) -> bool {
        if self.hash < self.next {
            self.hash < *hash && *hash < self.next
        } else {
            self.hash < *hash || *hash < self.next
        }
    }
}

fn octets(set: &RecordSet, record_type: RecordType) -> Option<&[u8]> {
    match set.data.as_slice() {
        [RecordData::Opaque(opaque)] if opaque.record_type == record_type => Some(&opaque.octets),
        _ => None,
    }
}

pub(crate) fn read_nsec(set: &RecordSet) -> Option<Nsec> {
    let mut rest = octets(set, RecordType::NSEC)?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first().expect("a label");
        if *length == 0 {
            rest = after;
            break;
        }
        let (label, after) = after.split_at(usize::from(*length));
        labels.push(label);
        rest = after;
    }
    Some(Nsec {
        owner: set.name.clone(),
        next: DnsName::from_labels(labels).expect("a name"),
        types: read_types(rest),
    })
}

pub(crate) fn read_nsec3(set: &RecordSet) -> Option<Nsec3> {
    let data = octets(set, RecordType::NSEC3)?;
    assert_eq!(
        data[..6],
        [1, 0, 0, 0, 0, 20],
        "RFC 9276: SHA-1, no flags, no iterations, no salt"
    );
    let label = set.name.labels().next().expect("a label").to_ascii_uppercase();
    let hash = BASE32HEX_NOPAD.decode(&label).expect("a hash");
    Some(Nsec3 {
        hash: hash.try_into().expect("20 octets"),
        next: data[6..26].try_into().expect("20 octets"),
        types: read_types(&data[26..]),
    })
}

fn read_types(mut rest: &[u8]) -> Vec<RecordType> {
    let mut types = Vec::new();
    while let [window, length, after @ ..] = rest {
        assert!((1..=32).contains(length), "the length of a window");
        let (bits, after) = after.split_at(usize::from(*length));
        assert_ne!(bits.last(), Some(&0), "zero octets at the end");
        for (at, octet) in (0_u16..).zip(bits) {
            let of_octet = (0..8).filter(|bit| octet & (0x80 >> bit) != 0);
            types.extend(of_octet.map(|bit| RecordType::from(u16::from(*window) << 8 | (at * 8 + bit))));
        }
        rest = after;
    }
    types
}

/// The types, each with a blank in front.
pub(crate) fn mnemonics(types: &[RecordType]) -> String {
    types.iter().map(|one| format!(" {}", mnemonic(*one))).collect()
}

fn mnemonic(record_type: RecordType) -> String {
    if record_type == RecordType::NXNAME {
        "NXNAME".to_owned()
    } else {
        record_type.to_string()
    }
}

fn denial(set: &RecordSet, about: &[DnsName]) -> Option<String> {
    if let Some(nsec) = read_nsec(set) {
        let below = nsec.next.labels().next() == Some(vec![0]) && nsec.next.parent() == Some(nsec.owner.clone());
        let next = if below { "+".to_owned() } else { relative(&nsec.next) };
        return Some(format!(
            "{} NSEC {next}{}",
            relative(&nsec.owner),
            mnemonics(&nsec.types)
        ));
    }
    let nsec3 = read_nsec3(set)?;
    let text = |name: &DnsName| {
        let hash = *NameHash::of(name).octets();
        if hash == nsec3.hash {
            Some(format!("matches {}{}", relative(name), mnemonics(&nsec3.types)))
        } else {
            let empty = if nsec3.types.is_empty() { "" } else { " WITH TYPES" };
            nsec3.covers(&hash).then(|| format!("covers {}{empty}", relative(name)))
        }
    };
    let found: Vec<_> = about.iter().filter_map(text).collect();
    Some(found.join(", "))
}

/// A signed answer in a few words: outcome, then one line for each set.
pub(crate) fn render(answer: &Answer, signers: &Signers<'_>) -> Vec<String> {
    let names = answer.findings.iter().flat_map(|finding| finding.name.ancestors());
    let wildcards = |name: &DnsName| {
        DnsName::from_labels(
            std::iter::once(b"*".to_vec())
                .chain(name.labels())
                .collect::<Vec<_>>()
                .iter()
                .map(Vec::as_slice),
        )
    };
    let mut about: Vec<DnsName> = names
        .flat_map(|name| [wildcards(&name).ok(), Some(name)])
        .flatten()
        .collect();
    about.sort();
    about.dedup();
    let outcome = match answer.outcome {
        Outcome::NoError => "NOERROR",
        Outcome::NxDomain => "NXDOMAIN",
        Outcome::YxDomain => "YXDOMAIN",
        Outcome::ServFail => "SERVFAIL",
        Outcome::Refused => "REFUSED",
    };
    let mut lines = vec![outcome.to_owned()];
    for (mark, sets, signers) in [
        ("", &answer.answers, &signers.answers),
        ("authority ", &answer.authorities, &signers.authorities),
        ("additional ", &answer.additionals, &signers.additionals),
    ] {
        assert_eq!(sets.len(), signers.len());
        for (set, signer) in sets.iter().zip(signers) {
            let text = denial(set, &about).unwrap_or_else(|| {
                format!(
                    "{} {}",
                    relative(&set.name),
                    set.record_type().expect("a set with data")
                )
            });
            let signed = signer.map_or(String::new(), |zone| match relative(zone.apex()) {
                at if at == "@" => " !".to_owned(),
                other => format!(" !{other}"),
            });
            lines.push(format!("{mark}{text}{signed}"));
        }
    }
    lines
}

/// Asks as a client that wants DNSSEC and, if so, knows compact denial (RFC 9824 section 5).
pub(crate) fn ask_signed(snapshot: &Snapshot, from: &str, text: &str, compact_ok: bool) -> Answer {
    prove(snapshot, &question(text), ask(snapshot, from, text), compact_ok)
}

/// What [`ask_signed`] gives, in a few words.
pub(crate) fn words(snapshot: &Snapshot, from: &str, text: &str, compact_ok: bool) -> Vec<String> {
    let answer = ask_signed(snapshot, from, text, compact_ok);
    render(&answer, &signers(snapshot, &answer))
}
