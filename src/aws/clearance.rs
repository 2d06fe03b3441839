//! Leave to send: asked right before each transmission.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Says whether a request may leave. Every client here asks it as the last thing
/// before each attempt goes out, reads included.
#[derive(Clone)]
pub struct Clearance(Arc<dyn Fn() -> bool + Send + Sync>);

impl Clearance {
    /// Clearance while `may_send` says so. It must not block.
    pub fn from_fn(may_send: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_send))
    }
}

impl Default for Clearance {
    /// Everything may leave.
    fn default() -> Self {
        Self::from_fn(|| true)
    }
}

impl fmt::Debug for Clearance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clearance({})", (self.0)())
    }
}

impl Intercept for Clearance {
    fn name(&self) -> &'static str {
        "Clearance"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if (self.0)() { Ok(()) } else { Err(NotCleared.into()) }
    }
}

/// A request was held back.
#[derive(Debug)]
pub(super) struct NotCleared;

impl fmt::Display for NotCleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sent, because this process does not lead")
    }
}

impl StdError for NotCleared {}
