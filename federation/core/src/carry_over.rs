//! What a restarted server still knows: the part of a saved name that nobody could have confirmed yet.
//!
//! What must stay true: a site's saved part stays exactly while that site is *pending*, that is, until its
//! cluster was listed, or is known not to exist. What is seen comes before what was saved.

use std::sync::Arc;

use meridian_dns_core::RoutedName;

use crate::ClusterName;

/// The name to answer: what is seen of it, with the saved parts of pending sites. `None` if there is neither.
pub fn carry_over(
    seen: Option<&Arc<RoutedName>>,
    saved: &Arc<RoutedName>,
    pending: impl Fn(&ClusterName) -> bool,
) -> Option<Arc<RoutedName>> {
    let is_seen = |site: &ClusterName| seen.is_some_and(|seen| seen.shards.contains_key(site));
    let kept = |site: &ClusterName| pending(site) && !is_seen(site);
    match (saved.shards.keys().filter(|site| kept(site)).count(), seen) {
        (0, seen) => seen.cloned(),
        (all, None) if all == saved.shards.len() => Some(saved.clone()),
        _ => {
            let mut name = RoutedName::clone(seen.unwrap_or(saved));
            name.shards.retain(|site, _| is_seen(site));
            let saved = saved.shards.iter().filter(|(site, _)| kept(site));
            name.shards
                .extend(saved.map(|(site, shard)| (site.clone(), shard.clone())));
            name.ipv6 = RoutedName::every_site_has_ipv6(&name.shards);
            Some(Arc::new(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use meridian_dns_core::{DnsName, Fallback, Shard, ShardData, ShardHealth};

    use super::*;

    /// A name with these sites, each with an address that ends in that number.
    fn name(sites: &[(&str, u8)]) -> Arc<RoutedName> {
        let shard = |host| {
            Shard::new(
                ShardData::Addresses(vec![[192, 0, 2, host].into()]),
                ShardHealth::Healthy,
            )
        };
        Arc::new(RoutedName {
            name: DnsName::parse("web.example.test").expect("a name"),
            ttl: 30,
            shards: sites
                .iter()
                .map(|(site, host)| (ClusterName::new(*site), shard(*host)))
                .collect(),
            fallback: Fallback::Always,
            ipv6: false,
            https: None,
            policy: None,
        })
    }

    #[test]
    fn saved_parts_stay_while_their_sites_are_pending() {
        type Sites<'a> = &'a [(&'a str, u8)];
        let check = |seen: Option<Sites<'_>>, saved: Sites<'_>, pending: &[&str], expected: Option<Sites<'_>>| {
            let found = carry_over(seen.map(name).as_ref(), &name(saved), |site| {
                pending.contains(&site.as_str())
            });
            assert_eq!(found, expected.map(name), "{seen:?} {saved:?} {pending:?}");
        };
        let saved: Sites<'_> = &[("a", 1), ("b", 2)];
        check(None, saved, &["a", "b"], Some(saved));
        check(None, saved, &["b"], Some(&[("b", 2)]));
        check(None, saved, &[], None);
        check(Some(&[("a", 9)]), saved, &["a", "b"], Some(&[("a", 9), ("b", 2)]));
        check(Some(&[("a", 9)]), saved, &["b", "c"], Some(&[("a", 9), ("b", 2)]));
        check(Some(&[("a", 9)]), saved, &[], Some(&[("a", 9)]));
    }
}
