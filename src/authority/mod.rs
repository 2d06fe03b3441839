//! Who may speak for what, pure: policies, claims between objects, and the
//! proofs that the adapters ask for before they call AWS.

mod claims;
mod credentials;
mod decision;
mod grant;
mod policy;
mod standing;

#[cfg(test)]
mod tests;

pub use claims::{Claimant, Claims};
pub use credentials::{Assumed, Credentials, Service, ServiceCredentials};
pub use decision::{Ask, Denial, Policies};
pub use grant::{Grant, Look, ObjectKey, Place, Sight};
pub use policy::{Labels, Lack, Policy};
pub use standing::{Refusal, Rival, Standing};
