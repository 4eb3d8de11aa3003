//! Tokens of ServiceAccounts.
//!
//! What must stay true: a token says everything about itself and is believed only with this
//! cluster's signature, before it expires, and while the objects it is bound to are the very ones
//! (by uid) it was made for. The server keeps no list of tokens.
//!
//! Refused: keys that others can verify with (and the OIDC documents that publish them); whoever
//! wants to know whether a token is good asks by TokenReview.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use ring::{hmac, rand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::object;
use super::super::store::{Key, State};
use super::user::{User, service_account_name};

/// Who issues the tokens, and the audience they are for if nobody says otherwise.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// An object a token lives with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Bound {
    pub(crate) fn to(object: &Value) -> Bound {
        Bound {
            name: object::name(object).to_owned(),
            uid: object::uid(object).unwrap_or_default().to_owned(),
        }
    }
}

/// What only Kubernetes knows of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Private {
    pub(crate) namespace: String,
    pub(crate) serviceaccount: Bound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Bound>,
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: Vec<String>,
    pub(crate) jti: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    /// Tokens in Secrets do not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<i64>,
    #[serde(rename = "kubernetes.io")]
    pub(crate) private: Private,
}

impl Claims {
    /// Claims of a ServiceAccount, for the API server and without an end.
    pub(crate) fn of(namespace: &str, account: &Value, now: Timestamp) -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            sub: service_account_name(namespace, object::name(account)),
            aud: vec![ISSUER.to_owned()],
            jti: object::new_uid(),
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: None,
            private: Private {
                namespace: namespace.to_owned(),
                serviceaccount: Bound::to(account),
                ..Private::default()
            },
        }
    }

    /// Whom the token stands for, while everything it is bound to is there.
    pub(crate) fn user(&self, state: &State) -> Result<User, &'static str> {
        let Private {
            namespace,
            serviceaccount,
            pod,
            secret,
        } = &self.private;
        let there = |resource: &str, bound: &Bound| {
            let key = Key {
                resource: resource.into(),
                namespace: namespace.as_str().into(),
                name: bound.name.as_str().into(),
            };
            state.get(&key).is_some_and(|object| *object.uid == *bound.uid)
        };
        if !there("serviceaccounts", serviceaccount) {
            return Err("service account token has been invalidated");
        }
        for (resource, bound) in [("pods", pod), ("secrets", secret)] {
            if bound.as_ref().is_some_and(|bound| !there(resource, bound)) {
                return Err("service account token has been invalidated");
            }
        }
        let mut user = User::service_account(namespace, &serviceaccount.name);
        user.uid.clone_from(&serviceaccount.uid);
        let mut tell = |name: &str, value: &str| {
            let key = format!("authentication.kubernetes.io/{name}");
            user.extra.insert(key, vec![value.to_owned()]);
        };
        tell("credential-id", &format!("JTI={}", self.jti));
        if let Some(pod) = pod {
            tell("pod-name", &pod.name);
            tell("pod-uid", &pod.uid);
        }
        Ok(user)
    }
}

/// The key of a cluster.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    pub(crate) fn new() -> std::io::Result<Tokens> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let key = key.map_err(|_| std::io::Error::other("the system has no random numbers"))?;
        Ok(Tokens { key })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let part = |value: Value| BASE64.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(json!({"alg": "HS256", "typ": "JWT"})),
            part(json!(claims))
        );
        let signature = BASE64.encode(hmac::sign(&self.key, text.as_bytes()));
        format!("{text}.{signature}")
    }

    /// What a token says, if this cluster signed it and it is its time.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Result<Claims, &'static str> {
        const INVALID: &str = "invalid bearer token";
        let (text, signature) = token.rsplit_once('.').ok_or(INVALID)?;
        let signature = BASE64.decode(signature).map_err(|_| INVALID)?;
        hmac::verify(&self.key, text.as_bytes(), &signature).map_err(|_| INVALID)?;
        let claims = text.split_once('.').and_then(|(_, claims)| BASE64.decode(claims).ok());
        let claims: Claims = serde_json::from_slice(&claims.ok_or(INVALID)?).map_err(|_| INVALID)?;
        if claims.nbf > now.as_second() {
            return Err("service account token is not valid yet");
        }
        if claims.exp.is_some_and(|end| end <= now.as_second()) {
            return Err("service account token has expired");
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(now: i64) -> Claims {
        let account = json!({"metadata": {"name": "a", "uid": "u"}});
        let mut claims = Claims::of("ns", &account, Timestamp::from_second(now).unwrap());
        claims.exp = Some(now + 600);
        claims
    }

    #[test]
    fn a_token_is_good_from_its_start_until_its_end() {
        let tokens = Tokens::new().unwrap();
        let claims = claims(1_000);
        let token = tokens.sign(&claims);
        let check = |second: i64, wanted: Result<&Claims, &'static str>| {
            let found = tokens.read(&token, Timestamp::from_second(second).unwrap());
            assert_eq!(found.as_ref().map_err(|error| *error), wanted, "{second}");
        };
        check(999, Err("service account token is not valid yet"));
        check(1_000, Ok(&claims));
        check(1_599, Ok(&claims));
        check(1_600, Err("service account token has expired"));
    }

    #[test]
    fn nobody_else_can_make_or_change_a_token() {
        let tokens = Tokens::new().unwrap();
        let now = Timestamp::from_second(1_000).unwrap();
        let token = tokens.sign(&claims(1_000));
        let parts: Vec<&str> = token.split('.').collect();
        let mut other = claims(1_000);
        other.private.serviceaccount.name = "b".to_owned();
        let forged = format!("{}.{}.{}", parts[0], BASE64.encode(json!(other).to_string()), parts[2]);
        let unsigned = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), parts[1]);
        let foreign = Tokens::new().unwrap().sign(&claims(1_000));
        for wrong in [&forged, &unsigned, &foreign, "", ".", "..", "a.b.c", parts[1]] {
            assert_eq!(tokens.read(wrong, now), Err("invalid bearer token"), "{wrong}");
        }
        assert!(tokens.read(&token, now).is_ok());
    }
}
