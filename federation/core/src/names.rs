//! Labels, annotations and the finalizer by which Meridian and its users talk on Kubernetes objects.
//!
//! They are here once. The `MANAGED_LABEL` selects what a member's watch sends, so renaming it makes
//! every object of every member invisible: these names are part of the API, never of a refactoring.

/// Label: this Service (and its EndpointSlices) takes part in service discovery, when `"true"`.
pub const EXPORT_LABEL: &str = "meridian.dev/export";
/// Annotation on an exported Service: its addresses for clients in the cluster's internal networks, such as
/// those of an internal load balancer, with commas between.
pub const INTERNAL_ADDRESSES_ANNOTATION: &str = "meridian.dev/internal-addresses";
/// Label: written by Meridian (`"true"`), or kept from it by its owner (`"false"`).
pub const MANAGED_LABEL: &str = "meridian.dev/managed";
/// Annotation on a member's object: id of the control plane that it belongs to.
pub const CONTROL_PLANE_ANNOTATION: &str = "meridian.dev/control-plane";
/// Annotation on a member's object: hash of what was last written; see [`crate::render`].
pub const DESIRED_HASH_ANNOTATION: &str = "meridian.dev/desired-hash";
/// Annotation on a member's object: `"true"` when Meridian created it, so that it may delete it.
pub const CREATED_ANNOTATION: &str = "meridian.dev/created";
/// Annotation on a federated object: `"true"` takes over objects that are there already.
pub const ADOPT_ANNOTATION: &str = "meridian.dev/adopt";
/// Annotation on a federated object: `"true"` leaves the members' objects when it is deleted.
pub const ORPHAN_ANNOTATION: &str = "meridian.dev/orphan";
/// Annotation on a `Cluster`: how many deletions at once an operator allows there; see
/// [`crate::deletion_holds`].
pub const CONFIRM_DELETIONS_ANNOTATION: &str = "meridian.dev/confirm-deletions";
/// Annotation on a `Cluster` or a `DNSZone`: an operator's word that the verdicts on the cluster, or on the
/// zone's names, that were given until this time (RFC 3339) are true; see [`crate::Breaker`].
pub const RELEASE_ANNOTATION: &str = "meridian.dev/release";
/// Annotation on a `DNSZone`: tags of the DS records that the parent shows, separated by commas, or `none`;
/// for parents that cannot be asked.
pub const DS_SEEN_ANNOTATION: &str = "meridian.dev/ds-seen";
/// Annotation on a `DNSZone`: another text than before replaces the KSK or CSK now.
pub const ROLL_KSK_ANNOTATION: &str = "meridian.dev/dnssec-roll-ksk";
/// Annotation on a `DNSZone`: another text than before replaces the ZSK or CSK now.
pub const ROLL_ZSK_ANNOTATION: &str = "meridian.dev/dnssec-roll-zsk";
/// Annotation on a `DNSZone`: `"true"` makes new keys in place of lost ones.
pub const NEW_KEYS_ANNOTATION: &str = "meridian.dev/dnssec-new-keys";
/// Finalizer on a federated object: its parts in the members are dealt with before it goes.
pub const FINALIZER: &str = "meridian.dev/sync";
/// Field manager of every write to a member.
pub const FIELD_MANAGER: &str = "meridian";
/// Label on an object in which replicas share state: what kind of state.
pub const SHARED_STATE_LABEL: &str = "meridian.dev/shared-state";
/// Annotation on the head object of a piece of shared state: the piece's name.
pub const SHARED_PIECE_ANNOTATION: &str = "meridian.dev/shared-piece";
