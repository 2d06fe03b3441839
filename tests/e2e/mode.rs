//! Observe, with credentials that may not write, and Suspend.

use aws_simulator::{Fault, Matching, Trouble};
use serde_json::json;
use ses_mailfrom::api::SesMailFrom;

use crate::adoption::{hand_made, one_region};
use crate::held::{held, history};
use crate::keep::{events, told};
use crate::stage::{DOMAIN, NAME, REGIONS, Stage};
use crate::story::{CHANGE, PUT};

const OBJECT: &str = "example";

fn forbid_writes(stage: &Stage) {
    for action in [CHANGE, PUT] {
        stage.aws.add_fault(Fault::always(Matching::action(action), Trouble::AccessDenied));
    }
}

async fn version(stage: &Stage) -> String {
    let object = stage.api().get(OBJECT).await.expect("the object");
    object.metadata.resource_version.expect("a resourceVersion")
}

async fn finalizers(stage: &Stage) -> Vec<String> {
    let object = stage.api().get(OBJECT).await.expect("the object");
    object.metadata.finalizers.unwrap_or_default()
}

#[tokio::test]
async fn observe_tells_what_manage_would_do_and_writes_nothing() {
    let stage = Stage::new("observe").await;
    forbid_writes(&stage);
    let found = held(&stage);
    let _operator = stage.operator().await;
    stage.apply(OBJECT, one_region(json!({"mode": "Observe"}))).await;
    let message = stage.condition(OBJECT, "Ready", "False ChangesNeeded").await;
    stage.condition(OBJECT, "Stalled", "True ChangesNeeded").await;
    let lines: Vec<&str> = message.lines().filter(|line| line.starts_with("- ")).collect();
    let [mx, txt, put] = lines.as_slice() else { panic!("{message}") };
    let host = "feedback-smtp.us-east-1.amazonses.com";
    assert_eq!(*mx, format!("- publishing {NAME} MX: \"10 {host}\""));
    assert!(
        txt.contains("\"v=spf1 include:amazonses.com ~all\", \"ses-mailfrom-owner=v1 "),
        "{txt}"
    );
    let telling = format!("telling SES in {} of the MAIL FROM domain {NAME}", REGIONS[0]);
    assert!(put.contains(&telling), "{put}");
    stage.rounds(4).await;
    let before = version(&stage).await;
    stage.rounds(4).await;
    assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (0, 0), "not even tried");
    assert_eq!(version(&stage).await, before, "said once");
    assert_eq!(finalizers(&stage).await, Vec::<String>::new());
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), found);
}

#[tokio::test]
async fn from_observe_to_manage_a_hand_made_setup_takes_one_change() {
    let stage = Stage::new("to-manage").await;
    hand_made(&stage);
    forbid_writes(&stage);
    let _operator = stage.operator().await;
    stage.apply(OBJECT, one_region(json!({"mode": "Observe"}))).await;
    let message = stage.condition(OBJECT, "Ready", "True Succeeded").await;
    assert_eq!(message.matches("\n- ").count(), 1, "{message}");
    assert!(message.contains("putting in \"ses-mailfrom-owner=v1 "), "{message}");
    stage.rounds(4).await;
    assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (0, 0), "not even tried");

    stage.aws.clear_faults();
    stage.edit(OBJECT, json!({"mode": "Manage"})).await;
    stage.ready(OBJECT).await;
    stage.rounds(4).await;
    assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (1, 0), "{:?}", stage.writes());
    let writes = history(&stage, 0);
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert!(writes[0].starts_with(&format!("{NAME} TXT: ")), "{writes:?}");
    assert_eq!((told(&stage, "Adopted").await, events(&stage, "DriftRepaired").await), (1, 0));
}

#[tokio::test]
async fn suspend_writes_one_status_and_asks_nothing() {
    let stage = Stage::new("suspend").await;
    let _operator = stage.operator().await;
    stage.apply(OBJECT, one_region(json!({"deletionPolicy": "Delete"}))).await;
    stage.ready(OBJECT).await;
    stage.edit(OBJECT, json!({"mode": "Suspend"})).await;
    stage.condition(OBJECT, "Ready", "Unknown Suspended").await;
    let (before, calls) = (version(&stage).await, stage.aws.with(|world| world.calls().len()));
    let left = held(&stage);
    // Another object keeps the operator busy meanwhile.
    let other = json!({"regions": [{"name": REGIONS[1]}], "subdomain": "post", "mode": "Observe"});
    stage.apply("other", other).await;
    stage.condition("other", "Ready", "False ChangesNeeded").await;
    stage.rounds(6).await;
    assert_eq!(version(&stage).await, before, "nothing more is written");
    let asked = stage.aws.with(|world| {
        let asks = |call: &&aws_simulator::Call| {
            call.region == REGIONS[0]
                && call.targets.iter().any(|target| target == DOMAIN)
                && call.action == "GetIdentityMailFromDomainAttributes"
        };
        world.calls()[calls..].iter().filter(asks).count()
    });
    assert_eq!(asked, 0, "nothing is polled");
    assert!(!finalizers(&stage).await.is_empty(), "it keeps the finalizer");
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), left, "deleting it touches nothing");
    assert_eq!(told(&stage, "Released").await, 1);
}

#[tokio::test]
async fn who_observes_is_in_nobodys_way() {
    let stage = Stage::new("onlooker").await;
    let _operator = stage.operator().await;
    stage.apply(OBJECT, one_region(json!({"mode": "Observe"}))).await;
    stage.condition(OBJECT, "Ready", "False ChangesNeeded").await;
    stage.apply("younger", one_region(json!({}))).await;
    stage.ready("younger").await;
    let message = stage
        .until(OBJECT, "the loss of the name", |object: &SesMailFrom| {
            let conditions = &object.status.as_ref()?.conditions;
            let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
            (ready.reason == "DomainConflict" || ready.reason == "RecordConflict")
                .then(|| ready.message.clone())
        })
        .await;
    assert!(message.contains(NAME) || message.contains(DOMAIN), "{message}");
}
