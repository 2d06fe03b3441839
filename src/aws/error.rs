//! What goes wrong between this operator and AWS, as far as a decision or a
//! person needs it.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_route53::types::error::InvalidChangeBatch;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::call::{Operation, Target};
use super::clearance::NotCleared;
use super::route53::clauses;
use super::text::legible;
use crate::authority::Credentials;

/// What kind of failure; bounded, so that it may label a metric.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// IAM does not allow the action.
    AccessDenied,
    /// There are no credentials, or AWS does not accept them.
    Credentials,
    /// STS does not let the operator assume the role.
    RoleRefused,
    /// Too many requests.
    Throttled,
    /// AWS failed, was not reached, or did not answer in time. A write may have
    /// been done all the same.
    Unavailable,
    /// AWS knows no such thing.
    NotFound,
    /// The SES identity is not verified in that region.
    NotVerified,
    /// Route 53 refused the whole batch; see [`Error::is_outdated`].
    InvalidChangeBatch,
    /// Route 53 is still busy with another change to the zone.
    PriorRequest,
    /// AWS does not accept the request as it is.
    BadRequest,
    /// A quota on the number of things is used up.
    LimitExceeded,
    /// Not sent: the policies that allowed it have changed meanwhile.
    Revoked,
}

impl ErrorKind {
    /// UpperCamelCase, bounded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::Credentials => "Credentials",
            Self::RoleRefused => "RoleRefused",
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::NotFound => "NotFound",
            Self::NotVerified => "NotVerified",
            Self::InvalidChangeBatch => "InvalidChangeBatch",
            Self::PriorRequest => "PriorRequest",
            Self::BadRequest => "BadRequest",
            Self::LimitExceeded => "LimitExceeded",
            Self::Revoked => "Revoked",
        }
    }
}

/// A failed call. Its message is the same for the same failure: it holds no
/// request id, no time and no count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    kind: ErrorKind,
    operation: Operation,
    /// What it was about.
    thing: Box<str>,
    /// Who asked.
    who: Credentials,
    /// AWS's own words where they tell something, made legible.
    detail: Box<str>,
    /// Of a refused batch: what Route 53 says against it, one by one and whole.
    clauses: Box<[String]>,
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kind as bounded text, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Whether it may go away by itself.
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{PriorRequest, Throttled, Unavailable};
        matches!(self.kind, PriorRequest | Throttled | Unavailable)
            || self.is_outdated()
            || self.ends_session()
    }

    /// Whether nothing was changed, for a reason that has nothing to do with what
    /// stands there: what was read before counts as it did.
    pub(super) fn leaves_readings(&self) -> bool {
        use ErrorKind::{
            AccessDenied, BadRequest, Credentials, LimitExceeded, Revoked, RoleRefused, Throttled,
        };
        match self.kind {
            AccessDenied | BadRequest | Credentials | LimitExceeded | Revoked | RoleRefused
            | Throttled => true,
            // The other change that is on its way may be ours, its answer lost.
            ErrorKind::PriorRequest
            | ErrorKind::InvalidChangeBatch
            | ErrorKind::NotFound
            | ErrorKind::NotVerified
            | ErrorKind::Unavailable => false,
        }
    }

    /// Whether AWS did not take the session of a role: a new one is obtained.
    pub(super) fn ends_session(&self) -> bool {
        self.kind == ErrorKind::Credentials && self.who != Credentials::Ambient
    }

    /// With whose credentials the call was made.
    pub(super) fn met_by(self, credentials: &Credentials) -> Self {
        Self { who: credentials.clone(), ..self }
    }

    /// What Route 53 says against a batch that it refused.
    pub(super) fn clauses(&self) -> &[String] {
        &self.clauses
    }

    /// The same failure of one thing among those that the call was about, in
    /// these words where they are known to be about it.
    pub(super) fn about(&self, thing: String, said: &[&str]) -> Self {
        let detail = if said.is_empty() {
            self.detail.clone()
        } else {
            legible(&format!("[{}]", said.join(", "))).into()
        };
        Self { thing: thing.into(), detail, clauses: Box::default(), ..self.clone() }
    }

    /// Why a role cannot be assumed: what STS refuses there is about the role,
    /// and it takes the external id to allow it.
    pub(super) fn of_role(self, external_id: &str) -> Self {
        use ErrorKind::{AccessDenied, BadRequest, RoleRefused};
        if !matches!(self.kind, AccessDenied | BadRequest) {
            return self;
        }
        let detail = format!(
            "{}; the operator asks with the external id {external_id} and with session tags",
            self.detail
        );
        Self { kind: RoleRefused, detail: detail.into(), ..self }
    }

    /// Whether what the call rested on is not so any more, and a new look will
    /// show it: a compare-and-swap was lost, or policies have changed.
    pub fn is_outdated(&self) -> bool {
        const LOST: [&str; 3] = ["already exists", "was not found", "do not match the current"];
        let lost = self.kind == ErrorKind::InvalidChangeBatch
            && LOST.iter().any(|text| self.detail.contains(text));
        lost || self.kind == ErrorKind::Revoked
    }

    /// A request that this operator must not send.
    pub(super) fn refused(target: &Target, detail: &str) -> Self {
        Self::new(target, ErrorKind::BadRequest, detail)
    }

    /// A request that was allowed and is, for all that is known now, not any more.
    pub(super) fn revoked(target: &Target) -> Self {
        Self::new(target, ErrorKind::Revoked, "policies have changed; it is decided again")
    }

    /// An answer without the parts that it must have.
    pub(super) fn incomplete(target: &Target, missing: &str) -> Self {
        Self::new(target, ErrorKind::Unavailable, &format!("the answer lacks {missing}"))
    }

    fn new(target: &Target, kind: ErrorKind, detail: &str) -> Self {
        Self {
            kind,
            operation: target.operation,
            thing: target.thing.as_str().into(),
            who: Credentials::Ambient,
            detail: legible(detail).into(),
            clauses: Box::default(),
        }
    }

    pub(super) fn from_sdk<E>(target: &Target, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let (kind, detail) = classify(error);
        let clauses = source::<InvalidChangeBatch>(error).map(batch_clauses).unwrap_or_default();
        Self { clauses, ..Self::new(target, kind, &detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, operation, thing, who, detail, clauses: _ } = self;
        write!(f, "{} on {thing}: ", operation.iam_action())?;
        match kind {
            ErrorKind::AccessDenied => write!(f, "access denied to {who}"),
            ErrorKind::Credentials if self.ends_session() => {
                write!(f, "AWS ended the session of {who} ({detail}); another is obtained")
            }
            ErrorKind::Credentials => write!(
                f,
                "AWS credentials do not work ({detail}); check those that the operator runs with"
            ),
            ErrorKind::Throttled => f.write_str("throttled by AWS; it is tried again"),
            ErrorKind::Unavailable => write!(f, "{detail}; it is tried again"),
            ErrorKind::PriorRequest => {
                f.write_str("another change to the zone is not complete; it is tried again")
            }
            ErrorKind::LimitExceeded => {
                write!(f, "{detail}; remove what is not needed or have the quota raised")
            }
            ErrorKind::NotVerified => write!(f, "{detail}; finish its verification in SES"),
            ErrorKind::RoleRefused
            | ErrorKind::NotFound
            | ErrorKind::InvalidChangeBatch
            | ErrorKind::BadRequest
            | ErrorKind::Revoked => f.write_str(detail),
        }
    }
}

impl StdError for Error {}

const UNREADABLE: &str = "the answer could not be read";

/// The kind, and AWS's own words as far as they may be repeated.
fn classify<E>(error: &SdkError<E, HttpResponse>) -> (ErrorKind, String)
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    if source::<CredentialsError>(error).is_some() {
        return (ErrorKind::Credentials, "none could be obtained".to_owned());
    }
    let unavailable = |detail: &str| (ErrorKind::Unavailable, detail.to_owned());
    if let Some(held) = source::<NotCleared>(error) {
        return unavailable(&held.to_string());
    }
    match error {
        SdkError::TimeoutError(_) => unavailable("no answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            unavailable("no answer in time")
        }
        SdkError::DispatchFailure(_) => unavailable("AWS could not be reached"),
        SdkError::ServiceError(service) => match source::<InvalidChangeBatch>(error) {
            Some(batch) => (ErrorKind::InvalidChangeBatch, batch_text(batch)),
            None => of_service(service.raw().status().as_u16(), service.err()),
        },
        SdkError::ConstructionFailure(_) => {
            (ErrorKind::BadRequest, "the request could not be built".to_owned())
        }
        _ => unavailable(UNREADABLE),
    }
}

fn of_service(status: u16, error: &impl ProvideErrorMetadata) -> (ErrorKind, String) {
    let (code, said) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    // A code may carry a namespace before '#' or a place after ':'.
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    let kind = kind_of(code, status, said);
    let detail = match kind {
        ErrorKind::Credentials => code.to_owned(),
        // The SDK calls an answer of success that it cannot read an error of the service.
        ErrorKind::Unavailable if status < 400 => UNREADABLE.to_owned(),
        ErrorKind::Unavailable => "AWS answered with an error of its own".to_owned(),
        _ if said.is_empty() => format!("HTTP status {status} {code}"),
        _ => said.to_owned(),
    };
    (kind, detail)
}

fn kind_of(code: &str, status: u16, said: &str) -> ErrorKind {
    match code {
        "TooManyRequestsException"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "SlowDown" => ErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "NotAuthorized"
        | "UnauthorizedOperation" => ErrorKind::AccessDenied,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorKind::Credentials,
        "LimitExceededException" | "LimitsExceeded" => ErrorKind::LimitExceeded,
        "PriorRequestNotComplete" => ErrorKind::PriorRequest,
        "NotFoundException" | "NoSuchHostedZone" | "NoSuchChange" => ErrorKind::NotFound,
        // SES words these two as bad requests.
        "BadRequestException" if said.contains("does not exist") => ErrorKind::NotFound,
        "BadRequestException" if said.contains("not verified") => ErrorKind::NotVerified,
        _ if !(400..500).contains(&status) => ErrorKind::Unavailable,
        _ if status == 429 => ErrorKind::Throttled,
        _ if status == 403 => ErrorKind::AccessDenied,
        _ => ErrorKind::BadRequest,
    }
}

/// Route 53 may say why in a list beside the message.
fn batch_text(batch: &InvalidChangeBatch) -> String {
    match batch.messages() {
        [] => batch.message().unwrap_or_default().to_owned(),
        texts => texts.join("; "),
    }
}

fn batch_clauses(batch: &InvalidChangeBatch) -> Box<[String]> {
    let clauses: Vec<String> = match batch.messages() {
        [] => clauses(batch.message().unwrap_or_default()),
        texts => texts.iter().flat_map(|text| clauses(text)).collect(),
    };
    clauses.into()
}

/// The first error of a type on the way to the root cause.
fn source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
    use aws_sdk_sesv2::error::ErrorMetadata;
    use aws_sdk_sesv2::operation::get_email_identity::GetEmailIdentityError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::mail::RoleArn;

    fn answer(status: u16) -> HttpResponse {
        let status = StatusCode::try_from(status).unwrap_or_else(|_| unreachable!("a status"));
        HttpResponse::new(status, SdkBody::empty())
    }

    fn error(status: u16, code: &str, message: &str) -> Error {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        let error = SdkError::service_error(GetEmailIdentityError::generic(meta), answer(status));
        Error::from_sdk(&Target::global(Operation::GetEmailIdentity, "example.com"), &error)
    }

    #[test]
    fn codes_and_statuses_tell_the_kind() {
        use ErrorKind as Kind;
        for (status, code, message, kind, transient) in [
            (429, "TooManyRequestsException", "", Kind::Throttled, true),
            (400, "Throttling", "Rate exceeded", Kind::Throttled, true),
            (429, "", "", Kind::Throttled, true),
            (403, "AccessDeniedException", "User: arn…", Kind::AccessDenied, false),
            (403, "", "", Kind::AccessDenied, false),
            (403, "ExpiredTokenException", "", Kind::Credentials, false),
            (403, "UnrecognizedClientException", "", Kind::Credentials, false),
            (503, "ServiceUnavailable", "", Kind::Unavailable, true),
            (500, "", "", Kind::Unavailable, true),
            (404, "NotFoundException", "no", Kind::NotFound, false),
            (400, "BadRequestException", "Identity <x> does not exist.", Kind::NotFound, false),
            (400, "BadRequestException", "…are not verified for…", Kind::NotVerified, false),
            (400, "BadRequestException", "other", Kind::BadRequest, false),
            (400, "LimitExceededException", "", Kind::LimitExceeded, false),
            (400, "PriorRequestNotComplete", "", Kind::PriorRequest, true),
            (400, "com.amazon#AccessDenied:http://x", "", Kind::AccessDenied, false),
            (418, "Surprise", "", Kind::BadRequest, false),
            (200, "", "", Kind::Unavailable, true),
        ] {
            let error = error(status, code, message);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{code} {status}");
        }
    }

    #[test]
    fn messages_name_action_thing_and_cure_and_nothing_that_differs() {
        let denied = error(403, "AccessDenied", "User: arn:aws:sts::1:assumed-role/r/17000000 …");
        assert_eq!(
            denied.to_string(),
            "ses:GetEmailIdentity on example.com: access denied to the operator's credentials"
        );
        let bad =
            |id: &str| error(400, "BadRequestException", &format!("no\u{7} (RequestId: {id})"));
        let first = bad("0a1b2c3d-0000-1111-2222-333344445555").to_string();
        assert_eq!(first, bad("ffffffff-0000-1111-2222-333344445555").to_string());
        assert_eq!(first, "ses:GetEmailIdentity on example.com: no\\u{7}");
        assert_eq!(error(500, "A", "x").to_string(), error(503, "B", "y").to_string());
        let credentials = error(403, "ExpiredToken", "expired at 2026-08-01T10:00:00Z").to_string();
        assert!(credentials.contains("(ExpiredToken)"), "{credentials}");
    }

    fn role() -> Credentials {
        let arn = RoleArn::parse("arn:aws:iam::123456789012:role/dns");
        let arn = arn.unwrap_or_else(|_| unreachable!("the ARN of a role"));
        Credentials::role(arn, "mail")
    }

    #[test]
    fn a_role_that_is_refused_something_is_named() {
        let denied = error(403, "AccessDenied", "no").met_by(&role());
        assert!(
            denied
                .to_string()
                .ends_with("access denied to the role arn:aws:iam::123456789012:role/dns")
        );
        let ended = error(403, "ExpiredTokenException", "no");
        assert!(!ended.is_transient(), "the operator's own do not renew themselves");
        let ended = ended.met_by(&role());
        assert!(ended.is_transient() && ended.ends_session());
        assert!(ended.to_string().contains("the session of the role arn:"), "{ended}");
    }

    #[test]
    fn what_sts_says_of_a_role_is_the_same_for_each_session_of_the_operator() {
        let said = |session: &str| {
            error(403, "AccessDenied", &format!("User: arn:aws:sts::1:assumed-role/op/{session} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/x")).of_role("owner/mail")
        };
        let (one, other) = (said("web-identity-token-1700000000000"), said("s2"));
        assert_eq!(one, other);
        assert_eq!((one.kind(), one.is_transient()), (ErrorKind::RoleRefused, false));
        let text = one.to_string();
        for part in ["assumed-role/op is not", "arn:aws:iam::2:role/x", "external id owner/mail "] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let busy = error(503, "ServiceUnavailable", "").of_role("owner/mail");
        assert_eq!(busy.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_refused_batch_is_outdated_only_if_a_swap_was_lost() {
        let refused = |list: &[&str], message: &str| {
            let list = list.iter().map(|text| (*text).to_owned()).collect();
            let batch =
                InvalidChangeBatch::builder().set_messages(Some(list)).message(message).build();
            let error = ChangeResourceRecordSetsError::InvalidChangeBatch(batch);
            let target = Target::global(Operation::ChangeResourceRecordSets, "a in hosted zone Z");
            Error::from_sdk(&target, &SdkError::service_error(error, answer(400)))
        };
        for text in [
            "[Tried to create resource record set [name='a.', type='MX'] but it already exists]",
            "[Tried to delete resource record set [name='a.', type='MX'] but it was not found]",
            "[… but the values provided do not match the current values]",
        ] {
            for error in [refused(&[], text), refused(&[text], "")] {
                assert_eq!(error.kind(), ErrorKind::InvalidChangeBatch);
                assert!(error.is_outdated() && error.is_transient(), "{error}");
            }
        }
        let other = refused(&[], "[Invalid Resource Record: 'FATAL problem: UnparseableTXT']");
        assert!(!other.is_outdated() && !other.is_transient(), "{other}");
    }

    #[test]
    fn an_answer_that_did_not_come_is_transient() {
        type Failed = SdkError<GetEmailIdentityError, HttpResponse>;
        use aws_smithy_runtime_api::client::result::ConnectorError;
        let target = Target::global(Operation::GetEmailIdentity, "example.com");
        let lost = || std::io::Error::other("reset by 10.0.0.1:4711");
        for (error, text) in [
            (Failed::timeout_error("late"), "no answer in time"),
            (Failed::dispatch_failure(ConnectorError::timeout(lost().into())), "no answer in time"),
            (
                Failed::dispatch_failure(ConnectorError::io(lost().into())),
                "AWS could not be reached",
            ),
            (Failed::response_error("torn", answer(200)), "the answer could not be read"),
        ] {
            let error = Error::from_sdk(&target, &error);
            assert!(error.is_transient());
            let whole = format!("ses:GetEmailIdentity on example.com: {text}; it is tried again");
            assert_eq!(error.to_string(), whole);
        }
    }

    #[test]
    fn credentials_that_cannot_be_had_are_told_apart() {
        use aws_smithy_runtime_api::client::result::ConnectorError;
        let cause = CredentialsError::not_loaded("nothing in the chain");
        let error = SdkError::<GetEmailIdentityError, HttpResponse>::dispatch_failure(
            ConnectorError::other(cause.into(), None),
        );
        let target = Target::global(Operation::GetEmailIdentity, "example.com");
        let error = Error::from_sdk(&target, &error);
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(error.to_string().contains("none could be obtained"), "{error}");
    }
}
