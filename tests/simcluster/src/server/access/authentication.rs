//! From the credentials of a request to its user.
//!
//! What must stay true: a request with wrong credentials is refused, never taken for an anonymous
//! one; a request without any is the anonymous user's. A certificate counts before a token, as in a
//! real server.
//!
//! kubectl sends no bearer token over plain HTTP, so there a path that starts with `/token/<token>`
//! speaks for a request without an `Authorization` header. Over TLS such a path is a path.

use std::collections::BTreeMap;

use http::{HeaderMap, header};
use jiff::Timestamp;

use super::super::selectors::percent_decode;
use super::super::status::{Failure, Outcome};
use super::super::store::Store;
use super::attributes::Attributes;
use super::rbac::Policy;
use super::tokens::{ISSUER, Tokens};
use super::user::{User, service_account_of};

/// What a connection tells about its client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) encrypted: bool,
    /// The user of the certificate it showed.
    pub(crate) certified: Option<User>,
}

/// The secrets of a cluster.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The administrator's.
    pub(crate) token: String,
    pub(crate) tokens: Tokens,
}

impl Credentials {
    /// The user of a request, and its path without the token that may be in it.
    pub(crate) fn authenticate<'p>(
        &self,
        store: &Store,
        peer: &Peer,
        headers: &HeaderMap,
        path: &'p str,
        now: Timestamp,
    ) -> Outcome<(User, &'p str)> {
        let (vouched, path) = match peer.encrypted {
            true => (None, path),
            false => self.split(path),
        };
        if let Some(user) = &peer.certified {
            return Ok((user.clone(), path));
        }
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let token = match (sent.next(), sent.next()) {
            (None, _) => vouched,
            (Some(sent), None) => Some(bearer(sent.to_str().unwrap_or_default()).ok_or_else(Failure::unauthorized)?),
            // Two of them can only mean that somebody is being deceived.
            (Some(_), Some(_)) => return Err(Failure::unauthorized()),
        };
        let user = match token {
            None => Ok(User::anonymous()),
            Some(token) => self
                .user_of(store, token, &[ISSUER.to_owned()], now)
                .map(|known| known.0),
        };
        Ok((user.map_err(|_| Failure::unauthorized())?, path))
    }

    /// The token at the start of a path, and the rest.
    fn split<'p>(&self, path: &'p str) -> (Option<&'p str>, &'p str) {
        let Some(rest) = path.strip_prefix("/token/") else {
            return (None, path);
        };
        // The administrator's token is whatever the test said, and may have slashes.
        let own = rest
            .strip_prefix(self.token.as_str())
            .map(|tail| (self.token.len(), tail));
        let length = match own {
            Some((length, tail)) if tail.is_empty() || tail.starts_with('/') => length,
            _ => rest.find('/').unwrap_or(rest.len()),
        };
        let (token, rest) = rest.split_at(length);
        (Some(token), rest)
    }

    /// Whose a token is, and for which of the `audiences` it is good.
    pub(crate) fn user_of(
        &self,
        store: &Store,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<(User, Vec<String>), &'static str> {
        if !token.is_empty() && token == self.token {
            return Ok((User::admin(), audiences.to_vec()));
        }
        let claims = self.tokens.read(token, now)?;
        let good: Vec<String> = audiences
            .iter()
            .filter(|audience| claims.aud.contains(audience))
            .cloned()
            .collect();
        if good.is_empty() {
            return Err("token audiences are not among those asked for");
        }
        let user = store.read(|state| claims.user(state))?;
        Ok((user, good))
    }
}

fn bearer(sent: &str) -> Option<&str> {
    let (scheme, token) = sent.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// Whether a request wants to be another user's.
pub(crate) fn impersonates(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("impersonate-"))
}

/// The user a request wants to be taken for, if its own user may do that.
pub(crate) fn impersonate(policy: &Policy, user: &User, headers: &HeaderMap) -> Outcome<User> {
    let texts = |name: &str| -> Outcome<Vec<String>> {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().map(str::to_owned));
        let values: Result<Vec<String>, _> = values.collect();
        values.map_err(|_| Failure::bad_request(format!("the header {name} is no text")))
    };
    let demand = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            verb: "impersonate".to_owned(),
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            path: None,
        };
        policy.demand(user, &attributes)
    };
    let [name] = texts(USER)?
        .try_into()
        .map_err(|_| Failure::bad_request("impersonation needs exactly one Impersonate-User"))?;
    match service_account_of(&name) {
        Some((namespace, account)) => demand("", "serviceaccounts", "", namespace, account)?,
        None => demand("", "users", "", "", &name)?,
    }
    let groups = texts(GROUP)?;
    for group in &groups {
        demand("", "groups", "", "", group)?;
    }
    let mut wanted = User::impersonated(&name, groups);
    if let [uid] = texts(UID)?.as_slice() {
        demand("authentication.k8s.io", "uids", "", "", uid)?;
        wanted.uid.clone_from(uid);
    }
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for header in headers.keys() {
        let Some(key) = header.as_str().strip_prefix(EXTRA) else {
            continue;
        };
        let (key, values) = (percent_decode(key), texts(header.as_str())?);
        for value in &values {
            demand("authentication.k8s.io", "userextras", &key, "", value)?;
        }
        extra.insert(key, values);
    }
    wanted.extra = extra;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::super::store::Key;
    use super::super::tokens::Claims;
    use super::*;
    use http::HeaderValue;
    use serde_json::json;

    /// A store with one ServiceAccount, the secrets of its cluster, and a token good from 1000 to 1600.
    fn cluster() -> (Store, Credentials, String) {
        let (store, tokens) = (Store::new(), Tokens::new().unwrap());
        let account = json!({"metadata": {"name": "a", "uid": "u"}});
        let mut claims = Claims::of("ns", &account, Timestamp::from_second(1_000).unwrap());
        claims.exp = Some(1_600);
        let key = Key {
            resource: "serviceaccounts".into(),
            namespace: "ns".into(),
            name: "a".into(),
        };
        store.write(|state| state.put(key, account));
        let token = tokens.sign(&claims);
        let credentials = Credentials {
            token: "ad/min".to_owned(),
            tokens,
        };
        (store, credentials, token)
    }

    #[test]
    fn users_of_credentials() {
        let (store, credentials, token) = cluster();
        let check = |peer: &Peer, header: &str, path: &str, second: i64, wanted: Option<(&str, &str)>| {
            let mut headers = HeaderMap::new();
            if !header.is_empty() {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap());
            }
            let now = Timestamp::from_second(second).unwrap();
            let found = credentials.authenticate(&store, peer, &headers, path, now);
            let found = found.as_ref().ok().map(|(user, path)| (user.name.as_str(), *path));
            assert_eq!(found, wanted, "{header:?} {path} at {second}");
        };
        let plain = Peer::default();
        let encrypted = Peer {
            encrypted: true,
            certified: None,
        };
        let certified = Peer {
            encrypted: true,
            certified: Some(User::authenticated("alice", [])),
        };
        let (bearer, in_path) = (format!("Bearer {token}"), format!("/token/{token}/api"));
        let account = "system:serviceaccount:ns:a";
        let anonymous = "system:anonymous";
        check(&plain, "", "/api", 1_000, Some((anonymous, "/api")));
        check(&plain, "Bearer ad/min", "/api", 1_000, Some(("admin", "/api")));
        check(&plain, "bearer  ad/min ", "/api", 1_000, Some(("admin", "/api")));
        check(&plain, "Bearer ad", "/api", 1_000, None);
        check(&plain, "", "/token/ad/min/api", 1_000, Some(("admin", "/api")));
        check(&plain, "", "/token/ad/min", 1_000, Some(("admin", "")));
        check(&plain, "", "/token/ad/mint/api", 1_000, None);
        check(&plain, "", "/token/", 1_000, None);
        check(&plain, "Bearer wrong", "/token/ad/min/api", 1_000, None);
        check(
            &encrypted,
            "",
            "/token/ad/min/api",
            1_000,
            Some((anonymous, "/token/ad/min/api")),
        );
        check(&certified, "Bearer wrong", "/api", 1_000, Some(("alice", "/api")));
        // The clock decides, whichever way the token comes.
        for (header, path) in [(bearer.as_str(), "/api"), ("", in_path.as_str())] {
            check(&plain, header, path, 999, None);
            check(&plain, header, path, 1_599, Some((account, "/api")));
            check(&plain, header, path, 1_600, None);
        }
    }
}
