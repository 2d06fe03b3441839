//! What goes wrong between this operator and AWS, as far as a decision or a
//! person needs it.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_route53::types::error::InvalidChangeBatch;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::call::Target;
use super::text::legible;

/// What kind of failure; bounded, so that it may label a metric.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// IAM does not allow the action.
    AccessDenied,
    /// There are no credentials, or AWS does not accept them.
    Credentials,
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
}

impl ErrorKind {
    /// UpperCamelCase, bounded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::Credentials => "Credentials",
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::NotFound => "NotFound",
            Self::NotVerified => "NotVerified",
            Self::InvalidChangeBatch => "InvalidChangeBatch",
            Self::PriorRequest => "PriorRequest",
            Self::BadRequest => "BadRequest",
            Self::LimitExceeded => "LimitExceeded",
        }
    }
}

/// A failed call. Its message is the same for the same failure: it holds no
/// request id, no time and no count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    kind: ErrorKind,
    /// `ses:GetEmailIdentity`, as IAM policies write it.
    action: String,
    /// What it was about.
    thing: String,
    /// AWS's own words where they tell something, made legible.
    detail: String,
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
        matches!(self.kind, PriorRequest | Throttled | Unavailable) || self.is_outdated()
    }

    /// Whether a compare-and-swap was lost: what the change rested on is not
    /// so any more, and a new look will show it.
    pub fn is_outdated(&self) -> bool {
        const LOST: [&str; 3] = ["already exists", "was not found", "do not match the current"];
        self.kind == ErrorKind::InvalidChangeBatch
            && LOST.iter().any(|text| self.detail.contains(text))
    }

    /// A request that this operator must not send.
    pub(super) fn refused(target: &Target, detail: &str) -> Self {
        Self::new(target, ErrorKind::BadRequest, detail)
    }

    /// An answer without the parts that it must have.
    pub(super) fn incomplete(target: &Target, missing: &str) -> Self {
        Self::new(target, ErrorKind::Unavailable, &format!("the answer lacks {missing}"))
    }

    fn new(target: &Target, kind: ErrorKind, detail: &str) -> Self {
        let action = target.operation.iam_action();
        Self { kind, action, thing: target.thing.clone(), detail: legible(detail) }
    }

    pub(super) fn from_sdk<E>(target: &Target, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let (kind, detail) = classify(error);
        Self::new(target, kind, &detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, action, thing, detail } = self;
        write!(f, "{action} on {thing}: ")?;
        match kind {
            ErrorKind::AccessDenied => {
                f.write_str("access denied; allow the action to the operator's role")
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
            ErrorKind::NotFound | ErrorKind::InvalidChangeBatch | ErrorKind::BadRequest => {
                f.write_str(detail)
            }
        }
    }
}

impl StdError for Error {}

/// The kind, and AWS's own words as far as they may be repeated.
fn classify<E>(error: &SdkError<E, HttpResponse>) -> (ErrorKind, String)
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    if source::<CredentialsError>(error).is_some() {
        return (ErrorKind::Credentials, "none could be obtained".to_owned());
    }
    let unavailable = |detail: &str| (ErrorKind::Unavailable, detail.to_owned());
    match error {
        SdkError::TimeoutError(_) => unavailable("no answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            unavailable("no answer in time")
        }
        SdkError::DispatchFailure(_) => unavailable("AWS could not be reached"),
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            of_service(status, service.err(), batch_texts(error).as_deref())
        }
        SdkError::ConstructionFailure(_) => {
            (ErrorKind::BadRequest, "the request could not be built".to_owned())
        }
        _ => unavailable("the answer could not be read"),
    }
}

fn of_service(
    status: u16,
    error: &impl ProvideErrorMetadata,
    batch: Option<&str>,
) -> (ErrorKind, String) {
    let code = error.code().unwrap_or_default();
    let said = batch.or_else(|| error.message()).unwrap_or_default();
    // A code may carry a namespace before '#' or a place after ':'.
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    let kind = kind_of(code, status, said);
    let detail = match kind {
        ErrorKind::Credentials => code.to_owned(),
        ErrorKind::Unavailable => "AWS answered with an error of its own".to_owned(),
        _ if said.is_empty() => format!("{code} ({status})"),
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
        "InvalidChangeBatch" => ErrorKind::InvalidChangeBatch,
        "NotFoundException" | "NoSuchHostedZone" | "NoSuchChange" => ErrorKind::NotFound,
        // SES words these two as bad requests.
        "BadRequestException" if said.contains("does not exist") => ErrorKind::NotFound,
        "BadRequestException" if said.contains("not verified") => ErrorKind::NotVerified,
        _ if status >= 500 => ErrorKind::Unavailable,
        _ if status == 429 => ErrorKind::Throttled,
        _ if status == 403 => ErrorKind::AccessDenied,
        _ => ErrorKind::BadRequest,
    }
}

/// Route 53 may say why in a list beside the message.
fn batch_texts(error: &(dyn StdError + 'static)) -> Option<String> {
    let batch = source::<InvalidChangeBatch>(error)?;
    let texts = batch.messages();
    (!texts.is_empty()).then(|| texts.join("; "))
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
