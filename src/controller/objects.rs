//! The writes to Kubernetes that a reconcile may make.

use std::future::Future;

use thiserror::Error;

use super::pace::Stuck;
use crate::api::{FINALIZER, SesMailFrom, SesMailFromStatus};
use crate::authority::ObjectKey;
use crate::plan::Notice;

/// Why a write to Kubernetes did not happen.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// Somebody else was faster (409), or the object is gone (404): what was
    /// decided on is outdated, and the watch will tell.
    #[error("lost a race: {0}")]
    Raced(String),
    /// The API server refuses it, and will again until a person acts.
    #[error("refused by the API server: {0}")]
    Refused(String),
    /// The API server cannot be reached or is in trouble.
    #[error("the API server did not answer: {0}")]
    Unavailable(String),
    /// Another process may be writing now.
    #[error("not sent, because this process does not lead")]
    NotLeading,
}

impl From<Stuck> for ObjectError {
    fn from(stuck: Stuck) -> Self {
        Self::Unavailable(stuck.to_string())
    }
}

/// The writes to Kubernetes. Each is conditional on the `resourceVersion` and
/// the `uid` of the object that is given, and yields the object as written.
pub trait Objects: Send + Sync + 'static {
    /// Adds our finalizer to those that the object has.
    fn add_finalizer(
        &self,
        object: &SesMailFrom,
    ) -> impl Future<Output = Result<SesMailFrom, ObjectError>> + Send;

    /// Takes our finalizer from those that the object has.
    fn remove_finalizer(
        &self,
        object: &SesMailFrom,
    ) -> impl Future<Output = Result<SesMailFrom, ObjectError>> + Send;

    /// Replaces the status.
    fn apply_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> impl Future<Output = Result<SesMailFrom, ObjectError>> + Send;

    /// Posts an Event about an object.
    fn post_event(
        &self,
        about: &Subject,
        notice: &Notice,
    ) -> impl Future<Output = Result<(), ObjectError>> + Send;
}

/// What an Event is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: String,
}

impl Subject {
    /// An object as the subject of an Event.
    pub fn of(object: &SesMailFrom) -> Self {
        Self { key: key_of(object), uid: object.metadata.uid.clone().unwrap_or_default() }
    }
}

/// Namespace and name. The API server gives every object both.
pub fn key_of(object: &SesMailFrom) -> ObjectKey {
    ObjectKey::new(
        object.metadata.namespace.as_deref().unwrap_or_default(),
        object.metadata.name.as_deref().unwrap_or_default(),
    )
}

/// Whether our finalizer holds the object.
pub fn has_finalizer(object: &SesMailFrom) -> bool {
    object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}
