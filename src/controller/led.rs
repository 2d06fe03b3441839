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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::controller::scripted::InMemory;
    use crate::controller::testing::object;
    use crate::lease::Uptime;

    /// Each of the four writes.
    async fn write_all(objects: &impl Objects) -> [Result<(), ObjectError>; 4] {
        let object = object("a", 7);
        let notice = Notice { warning: false, reason: "Succeeded", note: String::new() };
        [
            objects.add_finalizer(&object).await.map(drop),
            objects.remove_finalizer(&object).await.map(drop),
            objects.apply_status(&object, &SesMailFromStatus::default()).await.map(drop),
            objects.post_event(&Subject::of(&object), &notice).await,
        ]
    }

    #[tokio::test]
    async fn nothing_is_written_by_who_does_not_lead() {
        let kubernetes = InMemory::default();
        let not_leading = Leadership::elected(Uptime::system());
        let refused = write_all(&Led::new(kubernetes.clone(), not_leading)).await;
        let not_leading = |write: &_| matches!(write, Err(ObjectError::NotLeading));
        assert!(refused.iter().all(not_leading), "{refused:?}");
        assert!(kubernetes.log.lock().unwrap().is_empty());
        let written =
            write_all(&Led::new(kubernetes.clone(), Leadership::without_election())).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert_eq!(kubernetes.log.lock().unwrap().len(), written.len());
    }
}
