//! What all services share: errors in each protocol's shape, and answers.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use quick_xml::escape::escape;

use crate::log::{Outcome, Service};

/// How a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// SES v2: REST with JSON.
    SesV2,
    /// SES v1: form in, XML out.
    SesV1,
    /// Route 53: REST with XML.
    Route53,
    /// STS: form in, XML out.
    Sts,
}

impl Protocol {
    pub(crate) fn service(self) -> Service {
        match self {
            Self::SesV2 | Self::SesV1 => Service::Ses,
            Self::Route53 => Service::Route53,
            Self::Sts => Service::Sts,
        }
    }

    /// Prefix of this service's actions in IAM.
    pub(crate) fn iam(self) -> &'static str {
        match self.service() {
            Service::Ses => "ses",
            Service::Route53 => "route53",
            Service::Sts => "sts",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::SesV2 => "",
            Self::SesV1 => "http://ses.amazonaws.com/doc/2010-12-01/",
            Self::Route53 => "https://route53.amazonaws.com/doc/2013-04-01/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }
}

/// An error as AWS returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    pub(crate) fn throttled(protocol: Protocol) -> Self {
        match protocol {
            Protocol::SesV2 => Self::new(429, "TooManyRequestsException", "Too Many Requests"),
            _ => Self::new(400, "Throttling", "Rate exceeded"),
        }
    }

    /// `who` is the caller's ARN, `on` the resource's.
    pub(crate) fn access_denied(protocol: Protocol, who: &str, action: &str, on: &str) -> Self {
        let code = match protocol {
            Protocol::SesV2 => "AccessDeniedException",
            _ => "AccessDenied",
        };
        let action = format!("{}:{action}", protocol.iam());
        let message =
            format!("User: {who} is not authorized to perform: {action} on resource: {on}");
        Self::new(403, code, message)
    }

    pub(crate) fn unknown_key(protocol: Protocol) -> Self {
        let code = if protocol == Protocol::SesV2 {
            "UnrecognizedClientException"
        } else {
            "InvalidClientTokenId"
        };
        Self::new(403, code, "The security token included in the request is invalid.")
    }

    pub(crate) fn expired_token(protocol: Protocol) -> Self {
        let code =
            if protocol == Protocol::SesV2 { "ExpiredTokenException" } else { "ExpiredToken" };
        Self::new(403, code, "The security token included in the request is expired")
    }

    pub(crate) fn server(status: u16) -> Self {
        let (code, message) = match status {
            503 => ("ServiceUnavailable", "Service is unable to handle request."),
            _ => (
                "InternalFailure",
                "The request processing has failed because of an unknown error.",
            ),
        };
        Self::new(status, code, message)
    }

    pub(crate) fn unknown_action(protocol: Protocol, what: &str) -> Self {
        match protocol {
            Protocol::SesV2 => {
                Self::new(404, "UnknownOperationException", format!("The simulator has no {what}"))
            }
            _ => Self::new(400, "InvalidAction", format!("The simulator has no {what}")),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        Outcome::Error { status: self.status, code: self.code.clone() }
    }

    /// In the protocol's shape.
    pub(crate) fn response(&self, protocol: Protocol, request_id: &str) -> Response<Bytes> {
        if protocol == Protocol::SesV2 {
            let body = serde_json::json!({ "message": self.message }).to_string();
            let mut response = answer(self.status, "application/json", body, request_id);
            if let Ok(code) = self.code.parse() {
                response.headers_mut().insert("x-amzn-errortype", code);
            }
            return response;
        }
        let kind = if self.status < 500 { "Sender" } else { "Receiver" };
        let body = format!(
            "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"{}\"><Error><Type>{kind}</Type><Code>{}</Code>\
             <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            protocol.namespace(),
            escape(self.code.as_str()),
            escape(self.message.as_str()),
        );
        answer(self.status, "text/xml", body, request_id)
    }
}

/// A successful answer's body, without the protocol's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Success(pub(crate) String);

impl Success {
    pub(crate) fn response(
        self,
        protocol: Protocol,
        action: &str,
        request_id: &str,
    ) -> Response<Bytes> {
        let Self(inner) = self;
        match protocol {
            Protocol::SesV2 => answer(200, "application/json", inner, request_id),
            Protocol::Route53 => {
                let body = format!(
                    "<?xml version=\"1.0\"?>\n<{action}Response xmlns=\"{}\">{inner}</{action}Response>",
                    protocol.namespace()
                );
                answer(200, "text/xml", body, request_id)
            }
            Protocol::SesV1 | Protocol::Sts => {
                let body = format!(
                    "<{action}Response xmlns=\"{}\"><{action}Result>{inner}</{action}Result>\
                     <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>",
                    protocol.namespace()
                );
                answer(200, "text/xml", body, request_id)
            }
        }
    }
}

/// An answer that no client can read.
pub(crate) fn malformed(request_id: &str) -> Response<Bytes> {
    answer(200, "text/html", "<html><body>It works!".to_owned(), request_id)
}

fn answer(
    status: u16,
    content_type: &'static str,
    body: String,
    request_id: &str,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    if let Ok(id) = request_id.parse() {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// `<tag>text</tag>` with the text escaped.
pub(crate) fn element(tag: &str, text: impl AsRef<str>) -> String {
    format!("<{tag}>{}</{tag}>", escape(text.as_ref()))
}

/// `<tag>inner</tag>`, the inner XML as it is.
pub(crate) fn nested(tag: &str, inner: &str) -> String {
    format!("<{tag}>{inner}</{tag}>")
}

/// Decodes `%xx`; a byte that is no UTF-8 becomes a replacement character.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex =
            |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if let ([b'%', high, low, tail @ ..], true) = (rest, *first == b'%')
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            bytes.push(high * 16 + low);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The pairs of a query string or a form, in order.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode(&part.replace('+', " "));
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// The value of one key of a form.
pub(crate) fn field<'a>(form: &'a [(String, String)], key: &str) -> Option<&'a str> {
    form.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}
