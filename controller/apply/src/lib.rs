//! Effects on clusters: what the cores decided is carried out here, and nothing is decided.
//!
//! What must stay true:
//! - every write is conditional where it lands: a create must not find anything, an update and a delete
//!   name the object's UID, a status write names the version it was computed from;
//! - fields are forced only on objects that carry our mark, or that a user let us adopt;
//! - an error says what could not be done, to which object, where and why.

mod client;
mod host;
mod member;

pub use client::{ClientError, IdentityReport, MemberClient, REQUEST_LIMIT, WrongCluster, is_wrong_cluster};
pub use host::{HostObject, write_finalizers, write_status};
pub use member::{StepResult, carry_out, resource_of};

/// An error with its causes in one line, since kube's own text leaves them out.
pub fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
