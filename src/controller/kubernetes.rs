//! The writes to Kubernetes, by the API server.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Config, Resource as _};
use serde_json::{Map, Value, json};

use super::objects::{ObjectError, Objects, Subject, has_finalizer, key_of};
use super::pace::{Pace, Turn};
use crate::api::{FIELD_MANAGER, FINALIZER, SesMailFrom, SesMailFromStatus};
use crate::authority::ObjectKey;
use crate::clock::Clock;
use crate::lease::Leadership;
use crate::plan::Notice;

/// No answer of the API server takes longer; a reconcile ends within 30 s.
const ANSWER: Duration = Duration::from_secs(10);

/// The API server's events accept so many characters in these.
const NOTE_BYTES: usize = 1024;

/// A watch hears more often from the API server, which ends each after 295 s at most.
const SILENCE: Duration = Duration::from_secs(310);

/// Writes through a client of its own, with time-outs and without retries: every
/// object has its own back-off. Nobody but the leader writes.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    instance: String,
    clock: Clock,
    leadership: Leadership,
    /// One for all copies.
    pace: Arc<Pace>,
}

/// A client whose answers are due within seconds.
///
/// # Errors
/// What is wrong with the configuration.
pub fn api_client(config: &Config) -> kube::Result<Client> {
    let mut config = config.clone();
    config.connect_timeout = Some(ANSWER);
    config.read_timeout = Some(ANSWER);
    config.write_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config)
}

/// A client for watches, which stay silent for minutes. One that has died is noticed
/// by its silence, in a list as well; the watcher waits between attempts by itself.
///
/// # Errors
/// What is wrong with the configuration.
pub fn watch_client(config: &Config) -> kube::Result<Client> {
    let mut config = config.clone();
    config.connect_timeout = Some(ANSWER);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config)
}

impl Kubernetes {
    /// `instance` names this process in Events; its writes leave at `pace`, and only
    /// while `leadership` says so.
    pub fn new(
        client: Client,
        instance: String,
        clock: Clock,
        leadership: Leadership,
        pace: Pace,
    ) -> Self {
        Self { client, instance, clock, leadership, pace: Arc::new(pace) }
    }

    /// Waits for the turn of one write. Whether this process leads is asked when the
    /// turn has come: another may have been elected meanwhile.
    async fn turn(&self) -> Result<Turn<'_>, ObjectError> {
        let turn = self.pace.turn().await?;
        if self.leadership.leads() { Ok(turn) } else { Err(ObjectError::NotLeading) }
    }

    fn api(&self, key: &ObjectKey) -> Api<SesMailFrom> {
        Api::namespaced(self.client.clone(), key.namespace())
    }

    async fn set_finalizers(
        &self,
        object: &SesMailFrom,
        finalizers: Vec<&str>,
    ) -> Result<SesMailFrom, ObjectError> {
        let patch = json!({"metadata": {
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
            "finalizers": finalizers,
        }});
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let key = key_of(object);
        let _turn = self.turn().await?;
        let patched = self.api(&key).patch(key.name(), &params, &Patch::Merge(patch)).await;
        // What is invalid (422) no race has made so: one lost is a conflict before that.
        patched.map_err(|error| classified(error, &[404, 409]))
    }

    /// Writes the status whole, whoever wrote what is in its place.
    async fn replace_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> Result<SesMailFrom, ObjectError> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let patch = Patch::Merge(replacing_patch(object, status));
        let _turn = self.turn().await?;
        let key = key_of(object);
        let replaced = self.api(&key).patch_status(key.name(), &params, &patch).await;
        replaced.map_err(|error| classified(error, &[404, 409]))
    }
}

impl Objects for Kubernetes {
    async fn add_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        let mut finalizers = others(object);
        finalizers.push(FINALIZER);
        self.set_finalizers(object, finalizers).await
    }

    async fn remove_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        if !has_finalizer(object) {
            return Ok(object.clone());
        }
        self.set_finalizers(object, others(object)).await
    }

    async fn apply_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> Result<SesMailFrom, ObjectError> {
        let key = key_of(object);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(status_patch(object, status));
        let turn = self.turn().await?;
        let applied = self.api(&key).patch_status(key.name(), &params, &patch).await;
        // What follows takes a turn of its own.
        drop(turn);
        match applied {
            Ok(applied) if says_more(&applied, status) => {
                self.replace_status(&applied, status).await
            }
            // Of an entry that another field manager has put its name to, apply
            // would leave a torso that the schema forbids.
            Err(kube::Error::Api(refused)) if refused.code == 422 => {
                self.replace_status(object, status).await
            }
            applied => applied.map_err(|error| classified(error, &[404, 409])),
        }
    }

    async fn post_event(&self, about: &Subject, notice: &Notice) -> Result<(), ObjectError> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), about.key.namespace());
        let event = event(about, notice, &self.instance, self.clock.now());
        let _turn = self.turn().await?;
        let posted = events.create(&PostParams::default(), &event).await;
        posted.map(|_| ()).map_err(|error| classified(error, &[]))
    }
}

fn others(object: &SesMailFrom) -> Vec<&str> {
    let all = object.metadata.finalizers.iter().flatten().map(String::as_str);
    all.filter(|finalizer| *finalizer != FINALIZER).collect()
}

/// A server-side apply of the status alone, which holds only for the object as we
/// know it. What decides is `resourceVersion`, which no object made anew shares:
/// Kubernetes 1.37 looks at `uid` in a patch of the object, not of its status.
fn status_patch(object: &SesMailFrom, status: &SesMailFromStatus) -> Value {
    json!({
        "apiVersion": SesMailFrom::api_version(&()),
        "kind": SesMailFrom::kind(&()),
        "metadata": {
            "namespace": object.metadata.namespace,
            "name": object.metadata.name,
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
        },
        "status": status,
    })
}

/// A merge patch to just this status, which holds only for the object as we know
/// it: lists are replaced whole, and a field that it does not have goes by null.
fn replacing_patch(object: &SesMailFrom, status: &SesMailFromStatus) -> Value {
    let known = json!(object.status);
    let known = known.as_object().into_iter().flatten();
    let mut replaced: Map<String, Value> =
        known.map(|(key, _)| (key.clone(), Value::Null)).collect();
    replaced.extend(json!(status).as_object().cloned().unwrap_or_default());
    let version = &object.metadata.resource_version;
    json!({"metadata": {"resourceVersion": version}, "status": replaced})
}

/// Whether the object's status has anything that `sent` has not: apply leaves in
/// place what another field manager has put in, and a status that says more than
/// is so would be written again for ever.
fn says_more(object: &SesMailFrom, sent: &SesMailFromStatus) -> bool {
    exceeds(&json!(object.status), &json!(sent))
}

/// Lists are compared without their order, which the API server decides.
fn exceeds(kept: &Value, sent: &Value) -> bool {
    match (kept, sent) {
        (Value::Object(kept), Value::Object(sent)) => {
            kept.iter().any(|(key, value)| sent.get(key).is_none_or(|sent| exceeds(value, sent)))
        }
        (Value::Array(kept), Value::Array(sent)) => {
            kept.iter().any(|value| sent.iter().all(|sent| exceeds(value, sent)))
        }
        _ => kept != sent,
    }
}

fn event(about: &Subject, notice: &Notice, instance: &str, now: Timestamp) -> Event {
    let Subject { key, uid } = about;
    let mut note = notice.note.clone();
    note.truncate(note.floor_char_boundary(NOTE_BYTES));
    Event {
        metadata: ObjectMeta {
            namespace: Some(key.namespace().to_string()),
            generate_name: Some(format!("{}-", stem(key.name()))),
            ..Default::default()
        },
        action: Some("Reconcile".into()),
        event_time: Some(MicroTime(now)),
        reason: Some(notice.reason.into()),
        note: Some(note),
        regarding: Some(ObjectReference {
            api_version: Some(SesMailFrom::api_version(&()).into()),
            kind: Some(SesMailFrom::kind(&()).into()),
            namespace: Some(key.namespace().to_string()),
            name: Some(key.name().to_string()),
            uid: Some(uid.clone()),
            ..Default::default()
        }),
        reporting_controller: Some("mailfrom.dev/ses-mailfrom".into()),
        reporting_instance: Some(instance.into()),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.into()),
        ..Default::default()
    }
}

/// What a generated name begins with: the API server adds `-` and a suffix, and
/// wants a DNS name of at most 253 characters.
fn stem(name: &str) -> &str {
    name[..name.floor_char_boundary(240)].trim_end_matches(['.', '-'])
}

/// `raced` are the statuses that mean a lost race for this request.
fn classified(error: kube::Error, raced: &[u16]) -> ObjectError {
    match error {
        kube::Error::Api(status) if raced.contains(&status.code) => {
            ObjectError::Raced(status.message)
        }
        kube::Error::Api(status) if status.code < 500 && status.code != 429 => {
            ObjectError::Refused(status.message)
        }
        kube::Error::Api(status) => ObjectError::Unavailable(status.message),
        other => ObjectError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kube::core::Status;

    use super::*;
    use crate::controller::testing::object;
    use crate::lease::{Moment, Uptime};

    /// Writes to where nobody listens, one a second.
    fn writer(leadership: Leadership) -> Kubernetes {
        let config = Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = api_client(&config).unwrap();
        let clock = Clock::from_fn(|| Timestamp::UNIX_EPOCH);
        Kubernetes::new(client, "test".to_owned(), clock, leadership, Pace::new(1.0))
    }

    #[tokio::test]
    async fn nothing_is_written_by_who_does_not_lead() {
        let writer = writer(Leadership::elected(Uptime::system()));
        let mut object = object("a", 7);
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        let notice = Notice { warning: false, reason: "Succeeded", note: String::new() };
        let refused = [
            writer.add_finalizer(&object).await.map(drop),
            writer.remove_finalizer(&object).await.map(drop),
            writer.apply_status(&object, &SesMailFromStatus::default()).await.map(drop),
            writer.replace_status(&object, &SesMailFromStatus::default()).await.map(drop),
            writer.post_event(&Subject::of(&object), &notice).await,
        ];
        let not_leading = |write: &_| matches!(write, Err(ObjectError::NotLeading));
        assert!(refused.iter().all(not_leading), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leads_no_more_when_its_turn_comes_writes_nothing() {
        let begun = tokio::time::Instant::now();
        let leadership = Leadership::elected(Uptime::from_fn(move || Moment::at(begun.elapsed())));
        leadership.extend(Moment::at(Duration::from_millis(1_500)));
        let writer = writer(leadership);
        let turns = [writer.turn().await, writer.turn().await, writer.turn().await];
        assert!(matches!(turns, [Ok(_), Ok(_), Err(ObjectError::NotLeading)]), "{turns:?}");
    }

    #[test]
    fn status_is_applied_alone_and_conditionally() {
        let mut object = object("a", 7);
        object.metadata.labels = Some([("team".to_owned(), "x".to_owned())].into());
        let patch = status_patch(&object, &SesMailFromStatus::default());
        let keys: Vec<_> = patch.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["apiVersion", "kind", "metadata", "status"]);
        let metadata = json!({
            "namespace": "mail", "name": "a", "uid": "uid-a", "resourceVersion": "7",
        });
        assert_eq!(patch["metadata"], metadata);
        assert!(!patch["status"].to_string().contains("null"));
    }

    #[test]
    fn a_status_is_replaced_where_it_says_more_than_was_sent() {
        let status = |text: Value| serde_json::from_value::<SesMailFromStatus>(text).unwrap();
        let region = |name: &str| json!({"name": name, "sending": "Unknown"});
        let ours = status(json!({
            "observedGeneration": 1, "regions": [region("eu-west-1"), region("us-east-1")],
        }));
        let applied = |text: Value| {
            let mut object = object("a", 7);
            object.status = Some(status(text));
            object
        };
        let same = [region("us-east-1"), region("eu-west-1")];
        assert!(!says_more(&applied(json!({"observedGeneration": 1, "regions": same})), &ours));
        let mut dressed = region("us-east-1");
        dressed["account"] = json!("123456789012");
        let dressed = json!({"observedGeneration": 1, "regions": [dressed]});
        assert!(says_more(&applied(dressed), &ours), "a field of an entry of ours");
        let forged = applied(json!({
            "observedGeneration": 1, "regions": [region("us-east-1"), region("us-west-2")],
            "lastHandledReconcileAt": "now",
        }));
        assert!(says_more(&forged, &ours));
        let mut wanted = json!(ours);
        wanted["lastHandledReconcileAt"] = Value::Null;
        let patch = json!({"metadata": {"resourceVersion": "7"}, "status": wanted});
        assert_eq!(replacing_patch(&forged, &ours), patch);
    }

    #[test]
    fn other_finalizers_are_left() {
        let mut object = object("a", 7);
        let both = ["other.example/x", FINALIZER].map(str::to_owned).to_vec();
        object.metadata.finalizers = Some(both);
        assert_eq!(others(&object), ["other.example/x"]);
    }

    #[test]
    fn an_event_fits_what_the_api_server_takes() {
        let about = Subject::of(&object("a", 1));
        let notice = Notice { warning: true, reason: "Failed", note: "é".repeat(800) };
        let event = event(&about, &notice, "pod", Timestamp::UNIX_EPOCH);
        assert_eq!(event.note.unwrap().len(), 1024);
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.kind.as_deref(), Some("SesMailFrom"));
        assert_eq!(regarding.api_version.as_deref(), Some("mailfrom.dev/v1alpha1"));
        assert_eq!(regarding.uid.as_deref(), Some("uid-a"));
    }

    #[test]
    fn a_generated_name_is_a_dns_name() {
        assert_eq!(stem("example-com"), "example-com");
        assert_eq!(stem(&format!("{}.tail", "a".repeat(239))), "a".repeat(239));
    }

    #[test]
    fn races_refusals_and_outages_are_told_apart() {
        let api = |code| {
            let status = Status { code, message: format!("{code}"), ..Status::default() };
            classified(kube::Error::Api(status.boxed()), &[404, 409])
        };
        assert!(matches!(api(409), ObjectError::Raced(_)));
        assert!(matches!(api(404), ObjectError::Raced(_)));
        assert!(matches!(api(422), ObjectError::Refused(_)));
        assert!(matches!(api(403), ObjectError::Refused(_)));
        assert!(matches!(api(429), ObjectError::Unavailable(_)));
        assert!(matches!(api(500), ObjectError::Unavailable(_)));
    }
}
