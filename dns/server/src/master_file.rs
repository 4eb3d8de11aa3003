//! Records in presentation form: zone files (RFC 1035 section 5) and the records of a `DNSZone`.
//!
//! The `domain` crate reads them. hickory's own reader was refused: it opens the files that an
//! `$INCLUDE` names, whoever wrote the text; it has no DNAME and no unknown types (RFC 3597); it takes
//! the target of a service binding for absolute; and octets above 127 come out as UTF-8. Reading is
//! here and not in `dns-core`, because a reader brings a wire library with it; what comes out are plain
//! record sets.
//!
//! What must stay true: no file is opened, and no text ends the program. The reader has been seen to
//! panic on text that is no zone file, so it gets one entry at a time, and a panic is an error of that
//! entry.

mod entries;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use domain::base::ToName;
use domain::base::iana::Class;
use domain::base::name::Name;
use domain::base::rdata::ComposeRecordData;
use domain::zonefile::inplace::{Entry as Scanned, ScannedRecord, Zonefile};
use meridian_dns_core::{DnsName, ReadText, RecordData, RecordSet, RecordType, TextError, TextRecord};

use self::entries::Entries;

/// Reads master-file form.
#[derive(Debug, Clone, Copy, Default)]
pub struct MasterFile;

fn problem(line: usize, message: impl Into<String>) -> TextError {
    TextError {
        line,
        message: message.into(),
    }
}

impl ReadText for MasterFile {
    fn record(&self, zone: &DnsName, record: &TextRecord<'_>) -> Result<RecordSet, TextError> {
        let Some(record_type) = RecordType::from_mnemonic(record.record_type) else {
            let message = format!(
                "{:?} is not a record type; write a mnemonic such as AAAA, or TYPE and a number",
                record.record_type
            );
            return Err(problem(0, message));
        };
        let name = owner(zone, record.name)?;
        let mut set = RecordSet::new(name, record.ttl, Vec::new());
        for text in record.data {
            // One entry, one record: a line break would begin another.
            if text.contains(['\n', '\r']) {
                return Err(problem(0, format!("{text:?} has a line break")));
            }
            let line = format!("@ {} IN {record_type} {text}\n", record.ttl);
            let mut read =
                read(zone, record.ttl, &line).map_err(|error| problem(0, format!("{text:?}: {}", error.message)))?;
            match (read.pop(), read.is_empty()) {
                (Some(one), true) => set.data.extend(one.data),
                _ => return Err(problem(0, format!("{text:?} is not one record"))),
            }
        }
        if set.data.is_empty() {
            return Err(problem(0, "there is no data; a set has one record or more"));
        }
        Ok(set)
    }

    fn zone_file(&self, zone: &DnsName, default_ttl: u32, text: &str) -> Result<Vec<RecordSet>, TextError> {
        let records = read(zone, default_ttl, text)?;
        Ok(records
            .into_iter()
            .filter(|set| set.record_type() != Some(RecordType::Soa))
            .collect())
    }
}

/// The owner name of a record of a `DNSZone`.
fn owner(zone: &DnsName, text: &str) -> Result<DnsName, TextError> {
    let name = match text {
        "@" => Ok(zone.clone()),
        "" => return Err(problem(0, "the name is empty; @ is the zone itself")),
        absolute if absolute.ends_with('.') => DnsName::parse(absolute),
        relative => zone.prepend(relative),
    };
    name.map_err(|error| problem(0, error.to_string()))
}

/// Reads all records of a text.
fn read(zone: &DnsName, default_ttl: u32, text: &str) -> Result<Vec<RecordSet>, TextError> {
    let origin = origin(zone).ok_or_else(|| problem(0, format!("{zone} cannot be an origin")))?;
    let mut file = Zonefile::new();
    file.set_origin(origin);
    file.set_default_class(Class::IN);
    // RFC 2308 section 4: the TTL of records that have none.
    file.extend_from_slice(format!("$TTL {default_ttl}\n").as_bytes());
    let mut sets = Vec::new();
    for entry in Entries::of(text) {
        let entry = entry?;
        file.extend_from_slice(entry.text.as_bytes());
        if !entry.text.ends_with('\n') {
            file.extend_from_slice(b"\n");
        }
        // The reader asserts what it should refuse, as in `$INCLUDE""`. After a panic it is not used again.
        let read = catch_unwind(AssertUnwindSafe(|| next(&mut file, &mut sets)));
        read.unwrap_or_else(|_| Err("this entry cannot be read".to_owned()))
            .map_err(|message| problem(entry.line, message))?;
    }
    Ok(sets)
}

/// Reads what the file has so far.
fn next(file: &mut Zonefile, sets: &mut Vec<RecordSet>) -> Result<(), String> {
    loop {
        match file.next_entry() {
            Ok(None) => return Ok(()),
            Ok(Some(Scanned::Record(record))) => sets.push(record_set(&record)?),
            Ok(Some(Scanned::Include { path, .. })) => {
                return Err(format!("$INCLUDE {path} is not followed; put its records here"));
            }
            // It says a line and a column first, but counts past the end of the line.
            Err(error) => {
                let error = error.to_string();
                return Err(error.splitn(3, ':').last().unwrap_or(&error).trim().to_owned());
            }
        }
    }
}

fn origin(zone: &DnsName) -> Option<Name<Bytes>> {
    Name::from_octets(Bytes::from(zone.to_octets())).ok()
}

fn record_set(record: &ScannedRecord) -> Result<RecordSet, String> {
    let name = name(record.owner()).ok_or_else(|| format!("{} is not a name", record.owner()))?;
    let record_type = RecordType::from(record.rtype().to_int());
    let mut written = Vec::new();
    // The canonical form (RFC 4034 section 6.2) is what `dns-core` keeps.
    record
        .data()
        .compose_canonical_rdata(&mut written)
        .map_err(|error| format!("{name} {record_type}: {error}"))?;
    let data = RecordData::from_octets(record_type, &written)
        .ok_or_else(|| format!("{name} {record_type}: malformed data"))?;
    Ok(RecordSet::new(name, record.ttl().as_secs(), vec![data]))
}

fn name(name: &impl ToName) -> Option<DnsName> {
    let labels: Vec<_> = name.iter_labels().filter(|label| !label.is_root()).collect();
    DnsName::from_labels(labels.iter().map(|label| label.as_slice())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> DnsName {
        DnsName::parse("example.test").expect("a valid name")
    }

    #[track_caller]
    fn file(text: &str, expected: &[&str]) {
        let lines: Vec<_> = match MasterFile.zone_file(&zone(), 60, text) {
            Ok(sets) => sets.iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(lines, expected, "{text}");
    }

    #[track_caller]
    fn record(record_type: &str, data: &str, expected: &str) {
        let data = [data.to_owned()];
        let text = TextRecord {
            name: "www",
            record_type,
            ttl: 300,
            data: &data,
        };
        let read = MasterFile.record(&zone(), &text);
        let line = read.map_or_else(|error| error.to_string(), |set| set.to_string());
        let line = line.strip_prefix("www.example.test. 300 IN ").unwrap_or(&line);
        assert_eq!(line, expected);
    }

    #[test]
    fn every_type_of_a_zone_is_read() {
        record("A", "192.0.2.1", "A 192.0.2.1");
        record("aaaa", "2001:DB8::1", "AAAA 2001:db8::1");
        record("CNAME", "Other", "CNAME other.example.test.");
        record("CNAME", "other.test.", "CNAME other.test.");
        record("MX", "10 mail", "MX 10 mail.example.test.");
        record("MX", "0 .", "MX 0 .");
        record(
            "TXT",
            r#""v=spf1 -all" "a\"b" \200"#,
            r#"TXT "v=spf1 -all" "a\"b" "\200""#,
        );
        record("SRV", "0 5 443 www", "SRV 0 5 443 www.example.test.");
        record("NS", "ns1.elsewhere.test.", "NS ns1.elsewhere.test.");
        record("PTR", "Host", r"PTR \# 19 04686F7374076578616D706C65047465737400");
        record("DNAME", "other.test.", "DNAME other.test.");
        record("CAA", r#"0 issue "ca.test""#, r"CAA \# 14 0005697373756563612E74657374");
        record(
            "HTTPS",
            "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1",
            "HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1",
        );
        record("SVCB", "0 svc", "SVCB 0 svc.example.test.");
        record("TLSA", "3 1 1 0123AB", r"TLSA \# 6 0301010123AB");
        record("DS", "60485 5 1 2BB183AF", r"DS \# 8 EC4505012BB183AF");
        record(
            "NAPTR",
            r#"100 10 "u" "sip+E2U" "" ."#,
            r"NAPTR \# 16 0064000A0175077369702B4532550000",
        );
    }

    #[test]
    fn types_that_nobody_knows_are_octets() {
        record("TYPE65280", r"\# 3 010203", r"TYPE65280 \# 3 010203");
        record("TYPE65280", r"\# 0", r"TYPE65280 \# 0");
        record("TYPE1", r"\# 4 C0000201", "A 192.0.2.1");
    }

    #[test]
    fn what_is_not_one_record_is_refused_with_its_reason() {
        for (record_type, data) in [
            ("A", "192.0.2.256"),
            ("A", ""),
            ("A", "192.0.2.1 192.0.2.2"),
            ("A", "192.0.2.1\n@ 5 IN A 192.0.2.2"),
            ("A", "("),
            ("TXT", "\"open"),
            ("NONSENSE", "x"),
            ("TYPE65280", r"\# 3 0102"),
            ("AXFR", "x"),
        ] {
            let data = [data.to_owned()];
            let text = TextRecord {
                name: "www",
                record_type,
                ttl: 300,
                data: &data,
            };
            let read = MasterFile.record(&zone(), &text);
            assert!(read.is_err(), "{record_type} {data:?}: {read:?}");
        }
        let empty = TextRecord {
            name: "www",
            record_type: "A",
            ttl: 300,
            data: &[],
        };
        assert!(MasterFile.record(&zone(), &empty).is_err());
    }

    #[test]
    fn owners_are_relative_to_the_zone() {
        for (name, expected) in [
            ("@", Some("example.test")),
            ("a.b", Some("a.b.example.test")),
            ("*.b", Some("*.b.example.test")),
            ("x.elsewhere.test.", Some("x.elsewhere.test")),
            ("", None),
            ("a..b", None),
        ] {
            assert_eq!(
                owner(&zone(), name).ok(),
                expected.map(|text| DnsName::parse(text).expect("a name"))
            );
        }
    }

    #[test]
    fn a_zone_file_is_read_without_its_soa() {
        file(
            "@ IN SOA ns1 hostmaster 1 2 3 4 5\n  NS ns1\nns1 30 A 192.0.2.53 ; glue\n$ORIGIN sub\n$TTL 7\na IN TXT ( \"x\"\n  \"y\" )\n",
            &[
                "example.test. 60 IN NS ns1.example.test.",
                "ns1.example.test. 30 IN A 192.0.2.53",
                r#"a.sub.example.test. 7 IN TXT "x" "y""#,
            ],
        );
        file("", &[]);
    }

    #[test]
    fn problems_name_their_line_and_no_file_is_opened() {
        file("@ A nonsense", &["line 1: expected IPv4 address"]);
        file(
            "@ A 192.0.2.1\n; two\n\nb A nonsense\nc A 192.0.2.2",
            &["line 4: expected IPv4 address"],
        );
        file(
            "@ TXT ( a\n b )\nb A nonsense more\n",
            &["line 3: expected IPv4 address"],
        );
        file(
            "@ A 192.0.2.1\n$INCLUDE /etc/hostname\n",
            &["line 2: $INCLUDE /etc/hostname is not followed; put its records here"],
        );
        file("@ CH TXT x\n", &["line 1: different class: CH != IN"]);
        file(
            "@ TXT (x\n@ TXT y\n",
            &["line 1: an entry begins here whose quotes or parentheses are not closed"],
        );
    }
}
