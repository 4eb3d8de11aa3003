//! Who sends a request, once that is known.
//!
//! What must stay true: a user is a name and groups and nothing else decides what it may do; every
//! user but the anonymous one is in `system:authenticated`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Members of this group may do everything, whatever the roles say.
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A user as authorization sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user who proved to be one.
    pub(crate) fn authenticated(name: &str, groups: impl IntoIterator<Item = String>) -> User {
        let mut groups: Vec<String> = groups.into_iter().collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        User {
            name: name.to_owned(),
            groups,
            ..User::default()
        }
    }

    /// Whoever has the token the cluster was started with.
    pub(crate) fn admin() -> User {
        User::authenticated("admin", [MASTERS.to_owned()])
    }

    /// Whoever said nothing about themselves.
    pub(crate) fn anonymous() -> User {
        User {
            name: "system:anonymous".to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..User::default()
        }
    }

    /// A workload that runs under a ServiceAccount.
    pub(crate) fn service_account(namespace: &str, name: &str) -> User {
        let groups = service_account_groups(namespace);
        User::authenticated(&service_account_name(namespace, name), groups)
    }

    /// The user another one wants to be taken for; what the groups of a ServiceAccount are is known.
    pub(crate) fn impersonated(name: &str, mut groups: Vec<String>) -> User {
        if groups.is_empty()
            && let Some((namespace, _)) = service_account_of(name)
        {
            groups.extend(service_account_groups(namespace));
        }
        match name == User::anonymous().name {
            true => User::anonymous(),
            false => User::authenticated(name, groups),
        }
    }

    /// Whether no rule is asked.
    pub(crate) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// A `UserInfo`.
    pub(crate) fn to_json(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

fn service_account_groups(namespace: &str) -> [String; 2] {
    [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]
}

/// The user name of a ServiceAccount.
pub(crate) fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// Namespace and name of the ServiceAccount with this user name.
pub(crate) fn service_account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
}
