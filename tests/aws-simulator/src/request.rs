//! Tells services apart and reads requests.

use bytes::Bytes;
use http::{Request, header};

use crate::{
    api::{ApiError, Protocol, Success, form},
    faults::Asked,
    iam::Question,
    log::{Call, Outcome},
    route53, ses, sts,
    world::World,
};

/// Whoever signed a request, and for where (SigV4's credential scope).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
    /// Of a session.
    pub(crate) token: Option<String>,
}

impl Scope {
    /// `AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`.
    /// Signatures are not checked.
    fn read(request: &Request<Bytes>) -> Option<Self> {
        let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let credential = header.split("Credential=").nth(1)?.split(',').next()?;
        let mut parts = credential.trim().split('/');
        let (access_key, _date) = (parts.next()?.to_owned(), parts.next()?);
        let (region, service) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let token = request.headers().get("x-amz-security-token");
        let token = token.and_then(|token| token.to_str().ok()).map(str::to_owned);
        Some(Self { access_key, region, service, token })
    }
}

/// What a request asks of its service.
#[derive(Clone, Debug)]
enum Input {
    Ses(ses::Input),
    Route53(route53::Input),
    Sts(sts::Input),
}

/// A request that was read.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) protocol: Protocol,
    pub(crate) scope: Scope,
    pub(crate) action: &'static str,
    pub(crate) targets: Vec<String>,
    parameters: String,
    input: Result<Input, ApiError>,
}

impl Parsed {
    /// Reads a request; what is wrong with it is answered later, in order.
    pub(crate) fn read(request: &Request<Bytes>) -> Self {
        let scope = Scope::read(request);
        let path = request.uri().path();
        let protocol = match scope.as_ref().map(|scope| scope.service.as_str()) {
            Some("route53") => Protocol::Route53,
            Some("ses") if path.starts_with("/v2/") => Protocol::SesV2,
            Some("ses") => Protocol::SesV1,
            _ => Protocol::Sts,
        };
        let known = scope
            .as_ref()
            .is_some_and(|scope| matches!(scope.service.as_str(), "route53" | "sts" | "ses"));
        let scope = scope.unwrap_or_default();
        if !known {
            let error = ApiError::new(
                403,
                "MissingAuthenticationToken",
                "Missing or unknown credential scope",
            );
            let (targets, parameters) = (Vec::new(), format!("{} {path}", request.method()));
            return Self {
                protocol,
                scope,
                action: "Unknown",
                targets,
                parameters,
                input: Err(error),
            };
        }
        match parse(protocol, request) {
            Ok(input) => {
                let (action, targets, parameters) = input.describe();
                Self { protocol, scope, action, targets, parameters, input: Ok(input) }
            }
            Err((action, error)) => {
                let parameters = format!("{} {path}", request.method());
                Self { protocol, scope, action, targets: Vec::new(), parameters, input: Err(error) }
            }
        }
    }

    pub(crate) fn asked<'a>(&'a self, account: &'a str) -> Asked<'a> {
        Asked {
            service: self.protocol.service(),
            action: self.action,
            account,
            region: &self.scope.region,
            targets: &self.targets,
        }
    }

    pub(crate) fn call(&self, account: &str) -> Call {
        Call {
            order: 0,
            at: crate::clock::SimTime::ZERO,
            account: account.to_owned(),
            access_key: self.scope.access_key.clone(),
            region: self.scope.region.clone(),
            service: self.protocol.service(),
            action: self.action.to_owned(),
            targets: self.targets.clone(),
            parameters: self.parameters.clone(),
            outcome: Outcome::Unanswered,
        }
    }

    /// ARN of what it is about, as the service authorization reference has it:
    /// lists, and SES's reads of many identities, are about `*`.
    pub(crate) fn resource(&self, account: &str) -> String {
        let region = &self.scope.region;
        let partition = partition(region);
        match (self.protocol, self.targets.first()) {
            (Protocol::SesV2, Some(identity)) => {
                format!("arn:{partition}:ses:{region}:{account}:identity/{identity}")
            }
            (Protocol::Route53, Some(id)) if self.action == "GetChange" => {
                format!("arn:{partition}:route53:::change/{id}")
            }
            (Protocol::Route53, Some(id)) if self.action != "ListHostedZonesByName" => {
                format!("arn:{partition}:route53:::hostedzone/{id}")
            }
            (Protocol::Sts, Some(role)) => role.clone(),
            _ => "*".to_owned(),
        }
    }

    /// What IAM is asked about it, all of which has to be allowed; nothing for
    /// what needs no permission, or was not understood and so is answered with
    /// an error of its own.
    pub(crate) fn questions(&self, who: &str, account: &str) -> Vec<Question> {
        let Ok(input) = &self.input else { return Vec::new() };
        if self.action == "GetCallerIdentity" {
            return Vec::new();
        }
        let action = format!("{}:{}", self.protocol.iam(), self.action);
        let question = Question::new(&action, &self.resource(account))
            .with("aws:PrincipalArn", [who])
            .with("aws:PrincipalAccount", [account])
            .with("aws:RequestedRegion", [self.scope.region.as_str()]);
        match input {
            Input::Route53(input) => vec![input.describe_to_iam(question)],
            Input::Sts(input) => input.describe_to_iam(question),
            Input::Ses(_) => vec![question],
        }
    }

    /// The zone that it changes.
    pub(crate) fn changed_zone(&self) -> Option<&str> {
        match &self.input {
            Ok(Input::Route53(input)) => input.changed_zone(),
            _ => None,
        }
    }

    /// Carries it out.
    pub(crate) fn run(&self, world: &mut World, account: &str) -> Result<Success, ApiError> {
        match self.input.as_ref().map_err(ApiError::clone)? {
            Input::Ses(input) => ses::run(world, account, &self.scope.region, input),
            Input::Route53(input) => route53::run(world, account, input),
            Input::Sts(input) => sts::run(world, account, &self.scope.access_key, input),
        }
    }
}

fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ if region.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    }
}

fn parse(protocol: Protocol, request: &Request<Bytes>) -> Result<Input, (&'static str, ApiError)> {
    let (method, path) = (request.method(), request.uri().path());
    let query = form(request.uri().query().unwrap_or_default());
    let body = String::from_utf8_lossy(request.body());
    match protocol {
        Protocol::SesV2 => ses::parse_v2(method, path, &query, &body).map(Input::Ses),
        Protocol::SesV1 => ses::parse_v1(&form(&body)).map(Input::Ses),
        Protocol::Route53 => route53::Input::parse(method, path, &query, &body).map(Input::Route53),
        Protocol::Sts => sts::Input::parse(&form(&body)).map(Input::Sts),
    }
}

impl Input {
    fn describe(&self) -> (&'static str, Vec<String>, String) {
        match self {
            Self::Ses(input) => (input.action(), input.targets(), input.parameters()),
            Self::Route53(input) => (input.action(), input.targets(), input.parameters()),
            Self::Sts(input) => (input.action(), input.targets(), input.parameters()),
        }
    }
}
