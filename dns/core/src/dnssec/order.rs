//! The canonical order of names (RFC 4034 section 6.1), and what comes right after a name in it.
//!
//! Names are compared label by label from the right, each label as its octets, and what is missing
//! comes first. It is not the order of [`DnsName`] itself, which is that of its text and only serves
//! maps.
//!
//! What must stay true: [`successor`] is greater than the name, or is the apex, where the order begins
//! again; and no name that could ever be in the zone lies between the two. So an NSEC from a name to its
//! successor denies nothing but types at that name.

use std::cmp::Ordering;

use crate::DnsName;

/// Compares two names in canonical order.
pub fn compare(one: &DnsName, other: &DnsName) -> Ordering {
    key(one).cmp(&key(other))
}

/// What names are sorted by: the labels, the last one first.
pub(super) fn key(name: &DnsName) -> Vec<Vec<u8>> {
    let mut labels: Vec<_> = name.labels().collect();
    labels.reverse();
    labels
}

/// The name that comes right after this one in a zone: a label of one zero octet in front (RFC 9824
/// section 3.1). A name that has no room for it has no names below it either; its
/// successor is the next one beside it or beside a name above it. After the last name of a zone comes the
/// apex again.
pub fn successor(name: &DnsName, apex: &DnsName) -> DnsName {
    if let Some(next) = name.prepend_label(&[0]) {
        return next;
    }
    successor_of_all_below(name, apex)
}

/// The name that comes right after this one and all names below it: an octet of zero at the end of its
/// first label (RFC 9824 section 3.4), or, where there is no room for it, what comes next.
pub fn successor_of_all_below(name: &DnsName, apex: &DnsName) -> DnsName {
    let mut own = name.ancestors().take_while(|above| above != apex);
    own.find_map(|above| beside(&above)).unwrap_or_else(|| apex.clone())
}

/// The next name after all that is below this one, with the same parent.
fn beside(name: &DnsName) -> Option<DnsName> {
    let (label, parent) = (name.labels().next()?, name.parent()?);
    // One octet longer, if the label and the name have room for it.
    let longer = parent.prepend_label(&[&*label, &[0]].concat());
    longer.or_else(|| parent.prepend_label(&increment(&label)?))
}

/// The least label after this one that does not begin with it; `None` if all its octets are the highest.
fn increment(label: &[u8]) -> Option<Vec<u8>> {
    let last = label.iter().rposition(|octet| *octet != u8::MAX)?;
    let mut next = label[..=last].to_vec();
    // Upper case is lower case here (RFC 4034 section 6.2), and would come out too high.
    next[last] = match next[last] {
        b'@' => b'[',
        octet => octet + 1,
    };
    Some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(labels: &[&[u8]]) -> DnsName {
        DnsName::from_labels(labels.iter().copied()).expect("a name")
    }

    /// RFC 4034 section 6.1.
    #[test]
    fn names_are_ordered_as_in_the_published_example() {
        let expected = [
            name(&[b"example"]),
            name(&[b"a", b"example"]),
            name(&[b"yljkjljk", b"a", b"example"]),
            name(&[b"Z", b"a", b"example"]),
            name(&[b"zABC", b"a", b"EXAMPLE"]),
            name(&[b"z", b"example"]),
            name(&[b"\x01", b"z", b"example"]),
            name(&[b"*", b"z", b"example"]),
            name(&[b"\xc8", b"z", b"example"]),
        ];
        let mut sorted = expected.to_vec();
        sorted.reverse();
        sorted.sort_by(compare);
        assert_eq!(sorted, expected);
    }

    /// RFC 9824 sections 3.1 and 3.4.
    #[test]
    fn successors_are_those_of_the_published_examples() {
        let (apex, one) = (name(&[b"example", b"com"]), name(&[b"sub", b"example", b"com"]));
        assert_eq!(successor(&one, &apex), name(&[b"\0", b"sub", b"example", b"com"]));
        assert_eq!(
            successor_of_all_below(&one, &apex),
            name(&[b"sub\0", b"example", b"com"])
        );
    }

    #[test]
    fn a_name_without_room_is_followed_by_the_next_one_beside_it() {
        let long = [b'a'; 63];
        let apex = name(&[&long, &long, &long]);
        // 193 octets so far; a label of 61 fills the name.
        let full = |first: &[u8]| name(&[first, &long, &long, &long]);
        let of = |first: &[u8]| successor(&full(first), &apex);
        let with = |last: &[u8]| [&[b'b'; 60][..], last].concat();
        assert_eq!(of(b"b"), name(&[b"\0", b"b", &long, &long, &long]));
        assert_eq!(of(&with(b"b")), full(&with(b"c")));
        assert_eq!(of(&with(b"@")), full(&with(b"[")));
        assert_eq!(of(&with(b"\xff")), full(&[&[b'b'; 59][..], b"c"].concat()));
        // One octet is left, which is not enough for a label.
        assert_eq!(of(&[b'b'; 60]), full(&with(b"\0")));
        // Nothing comes after it.
        assert_eq!(of(&[0xff; 61]), apex);
        // Beside a name above it.
        let top = name(&[b"test"]);
        let below = name(&[&[0xff; 61], &long, &long, &long[..58], b"test"]);
        assert_eq!(
            successor(&below, &top),
            name(&[&[&long[..62], b"b"].concat(), &long, &long[..58], b"test"])
        );
    }

    fn any_label() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop::sample::select(vec![0_u8, b'@', b'[', b'a', b'_', 0xff]);
        let long = (prop::sample::select(vec![59_usize, 60, 61, 62, 63]), octet.clone())
            .prop_map(|(length, octet)| vec![octet; length]);
        prop_oneof![prop::collection::vec(octet, 1..3), long]
    }

    fn any_name() -> impl Strategy<Value = DnsName> {
        prop::collection::vec(any_label(), 0..5)
            .prop_map(|labels| {
                let all = labels.iter().map(Vec::as_slice).chain([&b"test"[..]]);
                DnsName::from_labels(all)
            })
            .prop_filter_map("a name of 255 octets at most", Result::ok)
    }

    proptest! {
        #[test]
        fn nothing_lies_between_a_name_and_its_successor(one in any_name(), other in any_name()) {
            let apex = name(&[b"test"]);
            let next = successor(&one, &apex);
            prop_assert!(next == apex || compare(&one, &next) == Ordering::Less);
            prop_assert!(next.is_at_or_below(&apex));
            let after = compare(&one, &other) == Ordering::Less;
            let before = next == apex || compare(&other, &next) == Ordering::Less;
            prop_assert!(!(after && before), "{one} {other} {next}");
            let past = successor_of_all_below(&one, &apex);
            prop_assert!(past == apex || !past.is_at_or_below(&one));
            let before = past == apex || compare(&other, &past) == Ordering::Less;
            prop_assert!(!(after && before) || other.is_at_or_below(&one), "{one} {other} {past}");
        }
    }
}
