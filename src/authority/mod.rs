//! Who may speak for what, pure: claims between objects, and the proofs that
//! the adapters ask for before they call AWS.

mod claims;
mod credentials;
mod grant;

pub use claims::{Claimant, Claims, Rival, Standing};
pub use credentials::{Credentials, Service, ServiceCredentials};
pub use grant::{Grant, ObjectKey, Place, Sight};
