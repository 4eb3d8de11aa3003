//! A writer of MaxMind DB files (format version 2.0), as far as the tests need it.
//!
//! It follows the published description of the format, not the reader's source: data first as the tests write
//! it, then a tree of 28-bit records, and the metadata at the end.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A value of the data section.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Text(&'static str),
    Double(f64),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(&'static str, Data)>),
    List(Vec<Data>),
}

/// A map of the data section.
pub(crate) fn map(entries: &[(&'static str, Data)]) -> Data {
    Data::Map(entries.to_vec())
}

fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (low, rest) = match size {
        0..=28 => (size as u8, None),
        _ => (29, Some((size - 29) as u8)),
    };
    if kind < 8 {
        out.push(kind << 5 | low);
    } else {
        out.extend([low, kind - 7]);
    }
    out.extend(rest);
}

fn write(out: &mut Vec<u8>, data: &Data) {
    match data {
        Data::Text(text) => {
            control(out, 2, text.len());
            out.extend(text.as_bytes());
        }
        Data::Double(number) => {
            control(out, 3, 8);
            out.extend(number.to_be_bytes());
        }
        Data::Short(number) => {
            control(out, 5, 2);
            out.extend(number.to_be_bytes());
        }
        Data::Long(number) => {
            control(out, 9, 8);
            out.extend(number.to_be_bytes());
        }
        Data::Number(number) => {
            control(out, 6, 4);
            out.extend(number.to_be_bytes());
        }
        Data::Map(entries) => {
            control(out, 7, entries.len());
            for (key, value) in entries {
                write(out, &Data::Text(key));
                write(out, value);
            }
        }
        Data::List(values) => {
            control(out, 11, values.len());
            values.iter().for_each(|value| write(out, value));
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A file with these networks. With an IPv6 network among them it is one for both families, and the IPv4
/// networks lie below `::/96`.
pub(crate) fn mmdb(networks: &[(&str, Data)]) -> Vec<u8> {
    let networks: Vec<(ipnet::IpNet, &Data)> = networks
        .iter()
        .map(|(network, data)| (network.parse().expect("a network"), data))
        .collect();
    let ipv6 = networks.iter().any(|(network, _)| network.addr().is_ipv6());
    let mut nodes = vec![[Side::Nothing; 2]];
    let (mut data, mut offsets) = (Vec::new(), BTreeMap::new());
    for (network, value) in networks {
        let offset = *offsets.entry(format!("{value:?}")).or_insert_with(|| {
            let offset = data.len();
            write(&mut data, value);
            offset
        });
        let (bits, len) = match network.addr() {
            IpAddr::V4(address) if ipv6 => (u128::from(address.to_bits()), network.prefix_len() + 96),
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, network.prefix_len()),
            IpAddr::V6(address) => (address.to_bits(), network.prefix_len()),
        };
        let mut node = 0;
        for depth in 0..len {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == len {
                nodes[node][side] = Side::Data(offset);
            } else if let Side::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Side::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Side::Node(next);
                node = next;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for node in &nodes {
        let [left, right] = node.map(|side| match side {
            Side::Nothing => count as u32,
            Side::Node(node) => node as u32,
            Side::Data(offset) => (count + 16 + offset) as u32,
        });
        let ([a, b, c, d], [e, f, g, h]) = (left.to_be_bytes(), right.to_be_bytes());
        file.extend([b, c, d, a << 4 | e, f, g, h]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    write(
        &mut file,
        &map(&[
            ("binary_format_major_version", Data::Short(2)),
            ("binary_format_minor_version", Data::Short(0)),
            ("build_epoch", Data::Long(1_790_000_000)),
            ("database_type", Data::Text("Meridian-Test")),
            ("description", map(&[("en", Data::Text("made by a test"))])),
            ("ip_version", Data::Short(if ipv6 { 6 } else { 4 })),
            ("languages", Data::List(vec![Data::Text("en")])),
            ("node_count", Data::Number(count as u32)),
            ("record_size", Data::Short(28)),
        ]),
    );
    file
}
