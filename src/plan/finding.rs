//! What stands at one place, and why.

use super::world::Fault;
use crate::api::{DeletionPolicy, Reason};
use crate::authority::{Denial, ObjectKey, Refusal, Rival};

/// What stands at one place: a reason, and a message for a person. Messages
/// are stable: no request ids, no timestamps, no counts of attempts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub reason: Reason,
    pub message: String,
}

impl Finding {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// A read or write that AWS failed.
    pub(super) fn of_fault(fault: &Fault) -> Self {
        Self::new(fault.reason, fault.message.clone())
    }

    /// No policy allows it.
    pub(super) fn denied(denial: &Denial) -> Self {
        Self::new(Reason::PolicyDenied, denial.to_string())
    }

    /// Why `what` is not this object's to write to.
    pub(super) fn refused(refusal: &Refusal, me: &ObjectKey, what: &str) -> Self {
        match refusal {
            Refusal::Denied(denial) => Self::denied(denial),
            Refusal::Lost(rival) => Self::lost_to(rival, me, what),
            Refusal::Undecided => Self::new(
                Reason::Observing,
                format!(
                    "{what} is claimed by another object, and whether in the same AWS account is not known yet"
                ),
            ),
        }
    }

    /// Another object holds `what`. It is named only where this object's
    /// owners may see it, in the same namespace.
    fn lost_to(rival: &Rival, me: &ObjectKey, what: &str) -> Self {
        let holder = if rival.key.namespace() == me.namespace() {
            format!("the SesMailFrom {}", rival.key.name())
        } else {
            "a SesMailFrom in another namespace".to_owned()
        };
        Self::new(Reason::DomainConflict, format!("{what} is held by {holder}"))
    }

    /// The message with the cure behind it.
    pub(super) fn sentence(&self) -> String {
        match self.reason.cure() {
            "" => self.message.clone(),
            cure => format!("{}: {cure}", self.message),
        }
    }

    /// The way out that a person has while a deletion waits.
    pub(super) fn waiting_deletion(self, policy: DeletionPolicy) -> Self {
        if policy == DeletionPolicy::Retain {
            return self;
        }
        let message = format!(
            "{}; to let the object go without cleaning up, set deletionPolicy to Retain",
            self.message
        );
        Self { message, ..self }
    }
}
