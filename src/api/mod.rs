//! What users read and write: the resources `SesMailFrom` and
//! `SesMailFromPolicy`, conditions, and the reasons in them.

mod conditions;
mod crd;
mod policy;
mod reason;
mod rules;
mod spec;
mod status;

pub use conditions::ConditionType;
pub use crd::{Crd, CrdError, crds};
pub use policy::{Permission, SesMailFromPolicy, SesMailFromPolicySpec};
pub use reason::{Progress, Reason};
pub use spec::{
    AdoptionPolicy, DeletionPolicy, DnsProvider, DnsSpec, Mode, RegionSpec, Rollout, SesMailFrom,
    SesMailFromSpec, SpfSpec, WildcardPolicy,
};
pub use status::{RecordState, RecordStatus, RegionStatus, Sending, SesMailFromStatus, ZoneStatus};

/// Removes what is ours before the object goes.
pub const FINALIZER: &str = "mailfrom.dev/cleanup";
/// The one field manager of every write to `status`.
pub const FIELD_MANAGER: &str = "ses-mailfrom";
/// A person asks for a reconcile now; echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_REQUESTED_AT: &str = "mailfrom.dev/reconcile-requested-at";

/// So many characters of that annotation are echoed in status.
pub const HANDLED_MAX: usize = 253;
/// A person hands over the marker with exactly this text.
pub const TAKE_OVER: &str = "mailfrom.dev/take-over";
