//! The rules of MAIL FROM, pure: names, regions, SES's states, and the records
//! that stand at a MAIL FROM domain.
//!
//! Nothing here knows Kubernetes, AWS clients, a clock or async.

mod identity;
mod marker;
mod mx;
mod name;
mod record;
mod region;
mod role;
mod shared;
mod spf;
mod txt;
mod txt_edit;

pub use identity::{BehaviorOnMxFailure, Identity, MailFrom, MailFromStatus, Verification};
pub use marker::{Marker, MarkerError, Origin, Owner, SpfOrigin};
pub use mx::{MX_PREFERENCE, Mx};
pub use name::{DomainName, MailFromDomain, NameError};
pub use record::{
    Change, ChangeBatch, ChangeState, Delegation, HostedZoneId, NameView, RecordSet, RecordType,
    Routing, Seen, Surroundings, Zone,
};
pub use region::{Partition, Region, RegionError, Regions};
pub use role::{CLUSTER_TAG, NAMESPACE_TAG, RoleArn, RoleArnError};
pub use shared::SharedText;
pub use spf::{
    AMAZON_SES, MergeRefusal, Merged, Spf, SpfAll, SpfFault, SpfInclude, SpfSyntaxError, TermError,
};
pub use txt::{TxtError, decode as decode_txt, encode as encode_txt};
pub use txt_edit::edit as edit_txt;
