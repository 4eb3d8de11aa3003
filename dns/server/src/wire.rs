//! Between `dns-core`'s values and the wire library's, both ways.
//!
//! What must stay true: a name or record of `dns-core` always has a wire form, because `DnsName`
//! checks the limits when it is made. The `Result`s here exist because the wire library checks again;
//! they are passed on, not unwrapped. Types that the wire library would compress have its form, all
//! others are octets (RFC 3597 section 4 forbids to compress their names).

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, NULL, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use meridian_dns_core::{DnsName, NameError, RecordData, RecordSet, RecordType};

/// TTLs are 31 bits wide (RFC 2181 section 8).
pub(crate) const MAX_TTL: u32 = 0x7fff_ffff;

/// The name as the wire library has it, in lower case.
pub(crate) fn to_wire(name: &DnsName) -> Result<Name, ProtoError> {
    let text = name.as_str();
    if text.contains('\\') || text.is_empty() {
        return Name::from_labels(name.labels());
    }
    // The common case without a copy of each label.
    Name::from_labels(text.split('.').map(str::as_bytes))
}

/// The name as `dns-core` has it, folded to lower case.
pub(crate) fn from_wire(name: &Name) -> Result<DnsName, NameError> {
    DnsName::from_labels(name.iter())
}

/// The type by its number.
pub(crate) fn type_from_wire(record_type: hickory_proto::rr::RecordType) -> RecordType {
    RecordType::from(u16::from(record_type))
}

/// The type by its number.
pub(crate) fn type_to_wire(record_type: RecordType) -> hickory_proto::rr::RecordType {
    hickory_proto::rr::RecordType::from(record_type.number())
}

/// The data as the wire library has it.
pub(crate) fn data_to_wire(data: &RecordData) -> Result<RData, ProtoError> {
    Ok(match data {
        RecordData::A(address) => RData::A(A(*address)),
        RecordData::Aaaa(address) => RData::AAAA(AAAA(*address)),
        RecordData::Cname(target) => RData::CNAME(CNAME(to_wire(target)?)),
        RecordData::Ns(server) => RData::NS(NS(to_wire(server)?)),
        RecordData::Soa(soa) => {
            // The wire library has these three as signed numbers. The octets are those that are signed.
            let signed = u32::cast_signed;
            RData::SOA(SOA::new(
                to_wire(&soa.primary)?,
                to_wire(&soa.mailbox)?,
                soa.serial,
                signed(soa.refresh),
                signed(soa.retry),
                signed(soa.expire),
                soa.minimum,
            ))
        }
        RecordData::Srv(srv) => RData::SRV(SRV::new(srv.priority, srv.weight, srv.port, to_wire(&srv.target)?)),
        RecordData::Mx(mx) => RData::MX(MX::new(mx.preference, to_wire(&mx.exchange)?)),
        RecordData::Dname(_) | RecordData::Svcb(_) | RecordData::Https(_) | RecordData::Opaque(_) => {
            let written = data.to_octets();
            RData::Unknown {
                code: type_to_wire(data.record_type()),
                rdata: if written.is_empty() {
                    NULL::new()
                } else {
                    NULL::with(written)
                },
            }
        }
    })
}

/// Groups records of a section into sets, in the order of first appearance. A set's TTL is the
/// smallest of its records.
pub(crate) fn record_sets(records: &[Record]) -> Result<Vec<RecordSet>, NameError> {
    let mut sets: Vec<RecordSet> = Vec::new();
    for record in records {
        let Some(data) = data_from_wire(&record.data) else {
            continue;
        };
        let name = from_wire(&record.name)?;
        let same = |set: &&mut RecordSet| {
            set.name == name
                && set
                    .data
                    .first()
                    .is_some_and(|first| first.record_type() == data.record_type())
        };
        if let Some(set) = sets.iter_mut().find(same) {
            set.ttl = set.ttl.min(record.ttl);
            set.original_ttl = set.ttl;
            set.data.push(data);
        } else {
            sets.push(RecordSet::new(name, record.ttl, vec![data]));
        }
    }
    Ok(sets)
}

/// `None` for data that is malformed, or that is no record's.
fn data_from_wire(data: &RData) -> Option<RecordData> {
    let mut written = Vec::new();
    let mut encoder = BinEncoder::new(&mut written);
    encoder.set_canonical_form(true);
    data.emit(&mut encoder).ok()?;
    RecordData::from_octets(type_from_wire(data.record_type()), &written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_the_wire_and_back() {
        for text in ["", "example.test", "*.a-b._c.example.test"] {
            let name = DnsName::parse(text).expect("a valid name");
            assert_eq!(from_wire(&to_wire(&name).expect("a wire form")), Ok(name));
        }
        let odd = DnsName::from_labels([&b"a.b\\\0\xff"[..], b"test"]).expect("a valid name");
        assert_eq!(from_wire(&to_wire(&odd).expect("a wire form")), Ok(odd));
    }
}
