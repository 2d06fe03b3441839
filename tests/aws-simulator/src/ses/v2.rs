//! SES v2: REST with JSON.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Input, MailFromView, Put, Ses};
use crate::{
    api::{ApiError, Protocol, Success, field, percent_decode},
    log::IdentityKey,
    world::World,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutBody {
    mail_from_domain: Option<String>,
    behavior_on_mx_failure: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListBody {
    page_size: Option<usize>,
    next_token: Option<String>,
}

/// Reads path, query and body.
pub(crate) fn parse(
    method: &Method,
    path: &str,
    query: &[(String, String)],
    body: &str,
) -> Result<Input, (&'static str, ApiError)> {
    let path = path.strip_prefix("/v2/email/").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').collect();
    match (method, parts.as_slice()) {
        // Older and newer models put this list in two places.
        (&Method::GET, ["identities"]) => {
            let size = field(query, "PageSize").map(str::parse).transpose();
            let size =
                size.map_err(|_| ("ListEmailIdentities", bad_request("PageSize is not a number")))?;
            list_input(ListBody {
                page_size: size,
                next_token: field(query, "NextToken").map(str::to_owned),
            })
        }
        (&Method::POST, ["list-identities"]) => {
            let body = if body.is_empty() { "{}" } else { body };
            let list = serde_json::from_str(body);
            list_input(
                list.map_err(|error| ("ListEmailIdentities", bad_request(error.to_string())))?,
            )
        }
        (&Method::GET, ["identities", identity]) => {
            Ok(Input::GetEmailIdentity(percent_decode(identity)))
        }
        (&Method::PUT, ["identities", identity, "mail-from"]) => {
            let body: PutBody = serde_json::from_str(body).map_err(|error| {
                ("PutEmailIdentityMailFromAttributes", bad_request(error.to_string()))
            })?;
            Ok(Input::Put(Put {
                identity: percent_decode(identity),
                domain: body.mail_from_domain,
                behavior: body.behavior_on_mx_failure,
            }))
        }
        _ => {
            Err(("Unknown", ApiError::unknown_action(Protocol::SesV2, &format!("{method} {path}"))))
        }
    }
}

fn list_input(body: ListBody) -> Result<Input, (&'static str, ApiError)> {
    let items = body.page_size.unwrap_or(100);
    if !(1..=1_000).contains(&items) {
        return Err(("ListEmailIdentities", bad_request("PageSize must be between 1 and 1000")));
    }
    Ok(Input::ListEmailIdentities { items, token: body.next_token })
}

pub(super) fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "BadRequestException", message)
}

pub(super) fn get(world: &World, key: &IdentityKey) -> Result<Success, ApiError> {
    let Some(identity) = world.ses.identities.get(key) else {
        let message = format!("Email identity {} does not exist.", key.identity);
        return Err(ApiError::new(404, "NotFoundException", message));
    };
    let body = json!({
        "IdentityType": kind(&key.identity),
        "FeedbackForwardingStatus": true,
        "VerifiedForSendingStatus": identity.verified,
        "VerificationStatus": verification(identity.verified),
        "MailFromAttributes": attributes(identity.read(world.now())),
        "Policies": {},
        "Tags": [],
    });
    Ok(Success(body.to_string()))
}

/// Where nothing is set, only the behaviour is there.
fn attributes(view: &MailFromView) -> Value {
    let mut attributes = json!({ "BehaviorOnMxFailure": view.behavior.v2() });
    if let Some((domain, status)) = &view.domain {
        attributes["MailFromDomain"] = json!(domain);
        attributes["MailFromDomainStatus"] = json!(status.v2());
    }
    attributes
}

fn kind(identity: &str) -> &'static str {
    if identity.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" }
}

fn verification(verified: bool) -> &'static str {
    if verified { "SUCCESS" } else { "PENDING" }
}

/// One page; the token is the name that the next page begins with.
pub(super) fn list(ses: &Ses, account: &str, region: &str, items: usize, token: &str) -> Success {
    let mut rest = ses.from(account, region, token);
    let page: Vec<Value> = rest
        .by_ref()
        .take(items)
        .map(|(key, identity)| {
            json!({
                "IdentityType": kind(&key.identity),
                "IdentityName": key.identity,
                "SendingEnabled": identity.verified,
                "VerificationStatus": verification(identity.verified),
            })
        })
        .collect();
    let mut body = json!({ "EmailIdentities": page });
    if let Some((key, _)) = rest.next() {
        body["NextToken"] = json!(key.identity);
    }
    Success(body.to_string())
}
