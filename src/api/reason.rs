//! The one table of reasons: how far each is from Ready, and its cure.

/// What a reason means for kstatus: `Reconciling` reads as in progress,
/// `Stalled` as failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Nothing is left to do.
    Done,
    /// Advances by itself, or waits for something that is on its way.
    Reconciling,
    /// A person must act, and gets `--stall-grace` to do so before it says so.
    StalledAfterGrace,
    /// A person must act.
    Stalled,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $progress:ident, $cure:literal;)+) => {
        /// Why a condition holds. Listed from worst to best: of several, the
        /// first is the one that `Ready` shows.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, from worst to best.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As conditions, Events and metrics write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means for `Reconciling` and `Stalled`.
            pub fn progress(self) -> Progress {
                match self { $(Self::$name => Progress::$progress,)+ }
            }

            /// What a person does about it; empty where there is nothing to do.
            pub fn cure(self) -> &'static str {
                match self { $(Self::$name => $cure,)+ }
            }

            /// What it means, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The spec asks for something that does not exist, such as a region without SES.
    InvalidSpec: Stalled, "correct the spec";
    /// No SesMailFromPolicy allows the whole of what the object asks for.
    PolicyDenied: Stalled, "ask a cluster administrator for a SesMailFromPolicy that allows it, or ask for less";
    /// Another AWS account answers than the one in which the setting or the records were made.
    AccountChanged: Stalled, "use a role or credentials of the account that status names, or delete the object with deletionPolicy Retain and create it anew";
    /// Another SesMailFrom holds the same identity and region, or the same MAIL FROM domain.
    DomainConflict: Stalled, "delete one of the two objects, or let them name different regions and subdomains";
    /// SES holds a MAIL FROM domain for the identity that this object did not set.
    MailFromConflict: Stalled, "clear the MAIL FROM domain of the identity in that region, let adoptionPolicy take it, or delete this object";
    /// Records that this object did not make stand at the MAIL FROM domain.
    RecordConflict: Stalled, "remove the records that the message names, let adoptionPolicy take them where the message says so, or choose another subdomain";
    /// The name is taken by records that a MAIL FROM domain cannot stand beside.
    NameOccupied: Stalled, "choose another subdomain";
    /// The hosted zone belongs to another AWS service and cannot be edited.
    ZoneNotEditable: Stalled, "set spec.dns.hostedZoneID to a zone that can be edited";
    /// Something else keeps changing what this object keeps up: three repairs within the window.
    DriftLoop: Stalled, "find the other writer and stop it, then request a reconcile";
    /// SES dropped its Success when RejectMessage was asked for.
    RejectMessageUnreachable: Stalled, "set behaviorOnMxFailure to UseDefaultValue, or change the spec to have it tried again";
    /// SES in this region does not accept the MX of another region, also after a restart.
    SharedMxNotAccepted: Stalled, "give the region a subdomain of its own";
    /// SES gave up on the MX, and what DNS answers is not ours to mend.
    VerificationFailed: Stalled, "publish what status.records lists";
    /// In mode Observe: not everything is as the spec wants it, and the message says what Manage would do.
    ChangesNeeded: Stalled, "set spec.mode to Manage to have it done";
    /// The hosted zone is not what the parent zone delegates to.
    ZoneNotDelegated: StalledAfterGrace, "let the parent zone name the hosted zone's name servers, or set spec.dns.hostedZoneID";
    /// Several public hosted zones have the same name.
    ZoneAmbiguous: StalledAfterGrace, "set spec.dns.hostedZoneID";
    /// The role that the spec names cannot be assumed.
    RoleNotAssumable: StalledAfterGrace, "let the role's trust policy and the operator's own IAM policy allow it";
    /// AWS refuses an action to the credentials that it is asked with.
    AccessDenied: StalledAfterGrace, "allow the action to the credentials that the message names";
    /// The last good reading of AWS is older than the operator trusts.
    ObservationStale: Reconciling, "see the operator's log and metrics for AWS errors";
    /// No public hosted zone holds the MAIL FROM domain.
    ZoneNotFound: Reconciling, "create the public hosted zone";
    /// SES knows no such identity in that region.
    IdentityNotFound: Reconciling, "create and verify the identity in SES";
    /// The SES identity is not verified in that region.
    IdentityNotVerified: Reconciling, "finish the verification of the identity in SES";
    /// SES did not decide within its 72 hours.
    VerificationOverdue: Reconciling, "";
    /// SES gave up and the setup is being restarted.
    Restarting: Reconciling, "";
    /// SES does not see the MX any more and looks again for 72 hours.
    TemporaryFailure: Reconciling, "";
    /// AWS could not be asked or told just now.
    AwsUnavailable: Reconciling, "";
    /// The object is being deleted.
    Deleting: Reconciling, "";
    /// AWS and DNS are being read.
    Observing: Reconciling, "";
    /// Records are being written.
    Publishing: Reconciling, "";
    /// Records are written and not yet seen at the zone's name servers.
    WaitingForDNS: Reconciling, "";
    /// SES is being told.
    SettingMailFrom: Reconciling, "";
    /// SES looks for the MX.
    Pending: Reconciling, "";
    /// `Aligned` only: mail does not leave with the custom MAIL FROM domain yet.
    MailFromNotVerified: Done, "";
    /// `Aligned` only: the text of the SPF record rules out that SPF passes.
    SpfNotPassing: Done, "repair the SPF record at the MAIL FROM domain";
    /// `Aligned` only: the domain's DMARC record is not read by this version.
    DmarcNotChecked: Done, "";
    /// In mode Suspend: nothing is read or changed.
    Suspended: Done, "";
    /// Nothing is wrong.
    Succeeded: Done, "";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_act_is_told_how() {
        for reason in Reason::ALL {
            let person =
                matches!(reason.progress(), Progress::Stalled | Progress::StalledAfterGrace);
            assert!(!person || !reason.cure().is_empty(), "{reason:?} has no cure");
            assert!(!reason.meaning().is_empty());
        }
    }

    #[test]
    fn what_needs_a_person_comes_before_what_does_not() {
        let rank = |reason: &Reason| match reason.progress() {
            Progress::Stalled => 0,
            Progress::StalledAfterGrace => 1,
            Progress::Reconciling => 2,
            Progress::Done => 3,
        };
        assert!(Reason::ALL.is_sorted_by_key(rank));
    }
}
