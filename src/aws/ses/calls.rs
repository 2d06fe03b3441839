//! The calls that read identities: a hundred at once in the first API, a
//! thousand a page in the second, one by one where IAM allows nothing else.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ses::types as v1;
use aws_sdk_sesv2::types as v2;

use super::super::call::{Operation, Target};
use super::super::clients::Clients;
use super::super::{Error, ErrorKind};
use super::group::Line;
use crate::mail::{
    BehaviorOnMxFailure, DomainName, Identity, MailFrom, MailFromStatus, Verification,
};

/// Identities that a call of the first API may name (API,
/// `GetIdentityMailFromDomainAttributes`).
pub(super) const AT_ONCE: usize = 100;

/// Identities on a page (API v2, `ListEmailIdentities`).
pub(super) const PAGE: usize = 1_000;

/// The MAIL FROM settings of identities; those not known to SES are left out.
pub(super) async fn mail_from_attributes(
    line: &Line<'_>,
    identities: &[DomainName],
) -> Result<HashMap<DomainName, MailFrom>, Error> {
    let operation = Operation::GetIdentityMailFromDomainAttributes;
    let send = |clients: &Clients| {
        let call = clients.ses_v1(line.region()).get_identity_mail_from_domain_attributes();
        call.set_identities(Some(names(identities))).send()
    };
    let answer = line.transmit(operation, &about(identities), send).await?;
    let attributes = answer.mail_from_domain_attributes.into_iter();
    let known = attributes.filter_map(|(name, of)| Some((known_name(&name)?, setting(&of)?)));
    Ok(known.collect())
}

/// Whether identities are verified; those not known to SES are left out.
pub(super) async fn verification_attributes(
    line: &Line<'_>,
    identities: &[DomainName],
) -> Result<HashMap<DomainName, Verification>, Error> {
    let operation = Operation::GetIdentityVerificationAttributes;
    let send = |clients: &Clients| {
        let call = clients.ses_v1(line.region()).get_identity_verification_attributes();
        call.set_identities(Some(names(identities))).send()
    };
    let answer = line.transmit(operation, &about(identities), send).await?;
    let attributes = answer.verification_attributes.into_iter();
    let verified = |of: &v1::IdentityVerificationAttributes| {
        verification(of.verification_status == v1::VerificationStatus::Success)
    };
    Ok(attributes.filter_map(|(name, of)| Some((known_name(&name)?, verified(&of)))).collect())
}

/// One page of all identities, addresses left out, and the token of the next.
pub(super) async fn list_page(
    line: &Line<'_>,
    token: Option<&String>,
) -> Result<(BTreeMap<DomainName, Verification>, Option<String>), Error> {
    let operation = Operation::ListEmailIdentities;
    let size = i32::try_from(PAGE).unwrap_or(i32::MAX);
    let send = |clients: &Clients| {
        let call = clients.ses(line.region()).list_email_identities().page_size(size);
        call.set_next_token(token.cloned()).send()
    };
    let answer = line.transmit(operation, "all identities", send).await?;
    let identities = answer.email_identities.unwrap_or_default().into_iter();
    let known = identities.filter_map(|of| {
        let verified = of.verification_status == Some(v2::VerificationStatus::Success);
        Some((known_name(&of.identity_name?)?, verification(verified)))
    });
    let next = answer.next_token.filter(|next| !next.is_empty());
    if next.is_some() && next.as_ref() == token {
        let target = Target::regional(operation, line.region(), "all identities");
        return Err(Error::incomplete(&target, "a next page"));
    }
    Ok((known.collect(), next))
}

/// One identity; `None` where SES knows no such identity.
pub(super) async fn identity(
    line: &Line<'_>,
    identity: &DomainName,
) -> Result<Option<Identity>, Error> {
    let send = |clients: &Clients| {
        let call = clients.ses(line.region()).get_email_identity();
        call.email_identity(identity.as_str()).send()
    };
    match line.transmit(Operation::GetEmailIdentity, identity.as_str(), send).await {
        Ok(answer) => Ok(Some(Identity {
            verified: answer.verified_for_sending_status,
            mail_from: answer.mail_from_attributes.as_ref().and_then(setting_v2),
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn names(identities: &[DomainName]) -> Vec<String> {
    identities.iter().map(ToString::to_string).collect()
}

/// For a person.
fn about(identities: &[DomainName]) -> String {
    match identities {
        [one] => one.to_string(),
        many => format!("{} identities", many.len()),
    }
}

fn known_name(name: &str) -> Option<DomainName> {
    DomainName::parse(&name.trim_end_matches('.').to_ascii_lowercase()).ok()
}

fn verification(verified: bool) -> Verification {
    if verified { Verification::Verified } else { Verification::Unverified }
}

/// The setting, if one is made: unset, the SDK shows an empty domain.
fn setting(attributes: &v1::IdentityMailFromDomainAttributes) -> Option<MailFrom> {
    use v1::CustomMailFromStatus::{Failed, Pending, Success, TemporaryFailure};
    let status = match &attributes.mail_from_domain_status {
        Pending => MailFromStatus::Pending,
        Success => MailFromStatus::Success,
        TemporaryFailure => MailFromStatus::TemporaryFailure,
        Failed => MailFromStatus::Failed,
        _ => MailFromStatus::NotStarted,
    };
    let rejects = attributes.behavior_on_mx_failure == v1::BehaviorOnMxFailure::RejectMessage;
    made(&attributes.mail_from_domain, status, rejects)
}

fn setting_v2(attributes: &v2::MailFromAttributes) -> Option<MailFrom> {
    use v2::MailFromDomainStatus::{Failed, Pending, Success, TemporaryFailure};
    let status = match &attributes.mail_from_domain_status {
        Pending => MailFromStatus::Pending,
        Success => MailFromStatus::Success,
        TemporaryFailure => MailFromStatus::TemporaryFailure,
        Failed => MailFromStatus::Failed,
        _ => MailFromStatus::NotStarted,
    };
    let rejects = attributes.behavior_on_mx_failure == v2::BehaviorOnMxFailure::RejectMessage;
    made(&attributes.mail_from_domain, status, rejects)
}

fn made(domain: &str, status: MailFromStatus, rejects: bool) -> Option<MailFrom> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let behavior = if rejects {
        BehaviorOnMxFailure::RejectMessage
    } else {
        BehaviorOnMxFailure::UseDefaultValue
    };
    (!domain.is_empty()).then(|| MailFrom { domain: domain.into(), status, behavior })
}
