//! Routing policies: what the schema's rules say is said again here, for API servers that do not keep them,
//! and every fault that a policy can have by itself is found at its door.

use std::sync::Arc;

use meridian_dns_core::{ClientKey, GeoCondition, LatencyRow};
use meridian_federation_api as api;
use meridian_federation_core::{Branch, ClusterName, PolicySource, RoutePolicy, RoutingPolicy, check_policy};

use super::{ParseError, bad, networks};

/// A routing policy, written at that path of its object.
pub fn routing_policy(field: &str, spec: &api::RoutingPolicySpec) -> Result<RoutingPolicy, ParseError> {
    use api::RoutingPolicyType as Type;
    let kind = spec.kind;
    let misplaced = |name: &str, given: bool, fits: bool| {
        let problem = format!("is not for type {kind:?}; take it away, or choose another type");
        if given && !fits {
            Err(bad(format!("{field}.{name}"), problem))
        } else {
            Ok(())
        }
    };
    let branching = matches!(kind, Type::Weighted | Type::Failover);
    misplaced("branches", spec.branches.is_some(), branching)?;
    misplaced("sites", spec.sites.is_some(), !branching && kind != Type::Geo)?;
    misplaced(
        "withinKilometers",
        spec.within_kilometers.is_some(),
        kind == Type::Nearest,
    )?;
    misplaced("rules", spec.rules.is_some(), kind == Type::Geo)?;
    misplaced("otherwise", spec.otherwise.is_some(), kind == Type::Geo)?;
    misplaced("latency", spec.latency.is_some(), kind == Type::Latency)?;
    let sites = spec
        .sites
        .as_ref()
        .map(|sites| sites.iter().map(|site| site_name(site)).collect());
    let policy = match kind {
        Type::Nearest => RoutingPolicy::Nearest {
            sites,
            within_km: number(&format!("{field}.withinKilometers"), spec.within_kilometers)?,
        },
        Type::Latency => RoutingPolicy::Latency {
            sites,
            matrix: matrix(&format!("{field}.latency"), spec.latency.as_deref().unwrap_or_default())?,
        },
        Type::RoundRobin => RoutingPolicy::RoundRobin { sites },
        Type::Manual => RoutingPolicy::Manual(sites.unwrap_or_default()),
        Type::Weighted => {
            let branches = spec.branches.iter().flatten().enumerate().map(|(index, one)| {
                let at = format!("{field}.branches[{index}]");
                let weight = number(&format!("{at}.weight"), one.weight)?.unwrap_or(1);
                Ok((branch(&at, one.site.as_ref(), one.policy.as_ref())?, weight))
            });
            RoutingPolicy::Weighted(branches.collect::<Result<_, ParseError>>()?)
        }
        Type::Failover => {
            let branches = spec.branches.iter().flatten().enumerate().map(|(index, one)| {
                let at = format!("{field}.branches[{index}]");
                if one.weight.is_some() {
                    return Err(bad(format!("{at}.weight"), "is for type Weighted; take it away"));
                }
                branch(&at, one.site.as_ref(), one.policy.as_ref())
            });
            RoutingPolicy::Failover(branches.collect::<Result<_, _>>()?)
        }
        Type::Geo => {
            let rules = spec.rules.iter().flatten().enumerate();
            let rules = rules.map(|(index, one)| rule(&format!("{field}.rules[{index}]"), one));
            let otherwise = spec.otherwise.as_ref().map(|target| {
                branch(
                    &format!("{field}.otherwise"),
                    target.site.as_ref(),
                    target.policy.as_ref(),
                )
            });
            RoutingPolicy::Geo {
                rules: rules.collect::<Result<_, ParseError>>()?,
                otherwise: otherwise.transpose()?,
            }
        }
    };
    check_policy(&policy).map_err(|error| {
        let dot = if error.field.is_empty() { "" } else { "." };
        bad(format!("{field}{dot}{}", error.field), error.problem)
    })?;
    Ok(policy)
}

/// How a DNSRoute wants its clients routed.
pub(super) fn route_policy(spec: &api::DNSRouteSpec) -> Result<Option<RoutePolicy>, ParseError> {
    let source = match (&spec.policy, &spec.policy_ref) {
        (Some(_), Some(_)) => return Err(bad("spec.policyRef", "give policy or policyRef, not both")),
        (Some(policy), None) => PolicySource::Inline(routing_policy("spec.policy", policy)?),
        (None, Some(name)) => PolicySource::Reference(name.clone()),
        (None, None) => return Ok(None),
    };
    let length = |given: Option<i32>, default| given.map_or(Ok(default), u8::try_from);
    let sticky = spec.sticky.clone().unwrap_or_default();
    let key = length(sticky.ipv4_prefix_length, 24)
        .and_then(|ipv4| Ok((ipv4, length(sticky.ipv6_prefix_length, 48)?)))
        .ok()
        .and_then(|(ipv4, ipv6)| ClientKey::new(ipv4, ipv6).ok());
    let problem = "ipv4PrefixLength is 8 to 32 and ipv6PrefixLength 16 to 128";
    Ok(Some(RoutePolicy {
        source,
        key: key.ok_or_else(|| bad("spec.sticky", problem))?,
        sticky: spec.sticky.is_some(),
    }))
}

fn site_name(name: &str) -> ClusterName {
    ClusterName::new(name)
}

fn number(field: &str, given: Option<i32>) -> Result<Option<u32>, ParseError> {
    given
        .map(u32::try_from)
        .transpose()
        .map_err(|_| bad(field, "must not be negative"))
}

fn branch(field: &str, site: Option<&String>, policy: Option<&String>) -> Result<Branch, ParseError> {
    match (site, policy) {
        (Some(site), None) => Ok(Branch::Site(site_name(site))),
        (None, Some(policy)) => Ok(Branch::Policy(policy.clone())),
        _ => Err(bad(field, "name a site or a policy, one of the two")),
    }
}

fn rule(field: &str, rule: &api::PolicyRule) -> Result<(GeoCondition, Branch), ParseError> {
    let asns = rule.asns.iter().enumerate().map(|(index, number)| {
        let problem = "the number of an autonomous system is 0 to 4294967295";
        u32::try_from(*number).map_err(|_| bad(format!("{field}.asns[{index}]"), problem))
    });
    let condition = GeoCondition {
        continents: rule.continents.clone(),
        countries: rule.countries.clone(),
        subdivisions: rule.subdivisions.clone(),
        asns: asns.collect::<Result<_, _>>()?,
        networks: networks(&format!("{field}.networks"), &rule.networks)?,
    };
    Ok((condition, branch(field, rule.site.as_ref(), rule.policy.as_ref())?))
}

fn matrix(field: &str, rows: &[api::NetworkLatency]) -> Result<Arc<[LatencyRow]>, ParseError> {
    let rows = rows.iter().enumerate().map(|(index, row)| {
        let at = format!("{field}[{index}]");
        let network = row.network.parse::<ipnet::IpNet>().map_err(|_| {
            let problem = format!(
                "{:?} is not a network such as 192.0.2.0/24 or 2001:db8::/48",
                row.network
            );
            bad(format!("{at}.network"), problem)
        })?;
        let milliseconds = row.sites.iter().map(|one| {
            let time = number(&format!("{at}.sites"), Some(one.milliseconds))?;
            Ok((site_name(&one.site), time.unwrap_or_default()))
        });
        Ok(LatencyRow {
            network: network.trunc(),
            milliseconds: milliseconds.collect::<Result<_, ParseError>>()?,
        })
    });
    rows.collect()
}
