//! Nobody but the leader writes to Kubernetes.

use super::objects::{ObjectError, Objects, Subject};
use crate::api::{SesMailFrom, SesMailFromStatus};
use crate::lease::Leadership;
use crate::plan::Notice;

/// Passes writes on while this process leads, and asks before each.
#[derive(Clone, Debug)]
pub struct Led<O> {
    objects: O,
    leadership: Leadership,
}

impl<O> Led<O> {
    /// `objects` for as long as `leadership` says.
    pub fn new(objects: O, leadership: Leadership) -> Self {
        Self { objects, leadership }
    }

    fn objects(&self) -> Result<&O, ObjectError> {
        if self.leadership.leads() { Ok(&self.objects) } else { Err(ObjectError::NotLeading) }
    }
}

impl<O: Objects> Objects for Led<O> {
    async fn add_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        self.objects()?.add_finalizer(object).await
    }

    async fn remove_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        self.objects()?.remove_finalizer(object).await
    }

    async fn apply_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> Result<SesMailFrom, ObjectError> {
        self.objects()?.apply_status(object, status).await
    }

    async fn post_event(&self, about: &Subject, notice: &Notice) -> Result<(), ObjectError> {
        self.objects()?.post_event(about, notice).await
    }
}
