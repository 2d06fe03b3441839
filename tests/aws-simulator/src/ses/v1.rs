//! SES v1: form in, XML out. Only the reads that take many identities at once.

use super::Input;
use crate::{
    api::{ApiError, Protocol, Success, element, field},
    log::IdentityKey,
    world::World,
};

/// Identities that one call may name.
const MOST: usize = 100;

/// Reads the form.
pub(crate) fn parse(form: &[(String, String)]) -> Result<Input, (&'static str, ApiError)> {
    let identities: Vec<String> = form
        .iter()
        .filter(|(key, _)| key.starts_with("Identities.member."))
        .map(|(_, value)| value.clone())
        .collect();
    let input = match field(form, "Action") {
        Some("GetIdentityMailFromDomainAttributes") => Input::MailFromAttributes(identities),
        Some("GetIdentityVerificationAttributes") => Input::VerificationAttributes(identities),
        other => {
            let what = format!("action {}", other.unwrap_or("without a name"));
            return Err(("Unknown", ApiError::unknown_action(Protocol::SesV1, &what)));
        }
    };
    if input.targets().len() > MOST {
        let message = format!(
            "1 validation error detected: Value at 'identities' failed to satisfy constraint: Member must have \
             length less than or equal to {MOST}"
        );
        return Err((input.action(), ApiError::new(400, "ValidationError", message)));
    }
    Ok(input)
}

/// Identities that do not exist are left out.
fn map(
    world: &World,
    (account, region, identities): (&str, &str, &[String]),
    tag: &str,
    value: impl Fn(&super::Identity) -> String,
) -> Success {
    let entries: String = identities
        .iter()
        .filter_map(|name| {
            let identity = world.ses.identities.get(&IdentityKey::new(account, region, name))?;
            Some(format!(
                "<entry>{}<value>{}</value></entry>",
                element("key", name),
                value(identity)
            ))
        })
        .collect();
    Success(format!("<{tag}>{entries}</{tag}>"))
}

pub(super) fn mail_from(
    world: &World,
    account: &str,
    region: &str,
    identities: &[String],
) -> Success {
    let now = world.now();
    map(world, (account, region, identities), "MailFromDomainAttributes", |identity| {
        let view = identity.read(now);
        let domain = view.domain.as_ref().map_or_else(String::new, |(domain, status)| {
            element("MailFromDomain", domain) + &element("MailFromDomainStatus", status.v1())
        });
        domain + &element("BehaviorOnMXFailure", view.behavior.v1())
    })
}

pub(super) fn verification(
    world: &World,
    account: &str,
    region: &str,
    identities: &[String],
) -> Success {
    map(world, (account, region, identities), "VerificationAttributes", |identity| {
        element("VerificationStatus", if identity.verified { "Success" } else { "Pending" })
    })
}
