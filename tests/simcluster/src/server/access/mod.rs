//! Who sends a request, and whether they may do what it asks for.
//!
//! What must stay true: every request has a user before anything of it is looked at, and every one
//! but a master's is judged by the stored roles and bindings; nothing here trusts what a client says
//! about itself.
//!
//! ```text
//! user            names and groups
//! authentication  credentials -> user, and impersonation
//! tokens          the tokens of ServiceAccounts     token_request  how they are asked for
//! accounts        default ServiceAccounts, and what else controllers make for them
//! attributes      what a request wants to do
//! rbac            roles and bindings -> verdict     escalation     who may write them
//! bootstrap       the roles of a new cluster        aggregation    roles made of roles
//! reviews         questions about all of it         messages       in protobuf
//! ```

pub(crate) mod accounts;
pub(crate) mod aggregation;
pub(crate) mod attributes;
pub(crate) mod authentication;
pub(crate) mod bootstrap;
pub(crate) mod escalation;
pub(crate) mod messages;
pub(crate) mod rbac;
pub(crate) mod reviews;
pub(crate) mod token_request;
pub(crate) mod tokens;
pub(crate) mod user;
