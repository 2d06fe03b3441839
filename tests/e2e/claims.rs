//! Two objects that want the same identity or the same MAIL FROM domain: one
//! holds it, the other says so and takes over when the holder goes.

use aws_simulator::{ACCOUNT, RecordType};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use ses_mailfrom::api::SesMailFrom;

use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE};
use crate::story::{puts, values};

fn at(region: &str, subdomain: &str) -> Value {
    json!({"regions": [{"name": region}], "subdomain": subdomain, "deletionPolicy": "Delete"})
}

/// `second` is refused for `first`'s sake, and has written nothing.
async fn refused(stage: &Stage, second: &str, first: &str) -> String {
    let before = stage.writes();
    let message = stage.condition(second, "Stalled", "True DomainConflict").await;
    stage.condition(second, "Ready", "False DomainConflict").await;
    stage.condition(second, "Authorized", "False DomainConflict").await;
    stage.rounds(4).await;
    assert_eq!(stage.writes(), before, "nothing is written for {second}, nor for {first} anew");
    stage.condition(first, "Ready", "True Succeeded").await;
    message
}

#[tokio::test]
async fn of_two_objects_for_one_identity_the_second_waits_and_takes_over() {
    let stage = Stage::new("identity").await;
    let _operator = stage.operator().await;
    stage.apply("holder", at(REGIONS[0], "bounce")).await;
    stage.ready("holder").await;
    stage.apply("waiter", at(REGIONS[0], "other")).await;
    let message = refused(&stage, "waiter", "holder").await;
    assert!(message.contains("the SesMailFrom holder"), "{message}");
    assert!(message.contains(REGIONS[0]), "{message}");
    assert!(values(&stage, ZONE, "other.example.com", RecordType::MX).is_empty());

    stage.delete("holder").await;
    stage.gone("holder").await;
    stage.ready("waiter").await;
    let domains: Vec<String> = puts(&stage, REGIONS[0]).into_iter().map(|put| put.domain).collect();
    assert_eq!(domains, [NAME, "", "other.example.com"], "cleared, and then set anew");
    assert!(values(&stage, ZONE, NAME, RecordType::MX).is_empty());
}

#[tokio::test]
async fn of_two_objects_for_one_name_the_second_waits_and_takes_over() {
    let stage = Stage::new("name").await;
    let name = "bounce.mail.example.com";
    stage.aws.with(|world| world.set_identity(ACCOUNT, REGIONS[0], "mail.example.com", true));
    let _operator = stage.operator().await;
    stage.apply("holder", at(REGIONS[0], "bounce.mail")).await;
    stage.ready("holder").await;
    let marker = values(&stage, ZONE, name, RecordType::TXT);
    let mut spec = at(REGIONS[0], "bounce");
    spec["domain"] = json!("mail.example.com");
    stage.apply("waiter", spec).await;
    let message = refused(&stage, "waiter", "holder").await;
    assert!(message.contains("the SesMailFrom holder") && message.contains(name), "{message}");
    assert_eq!(values(&stage, ZONE, name, RecordType::TXT), marker);

    stage.delete("holder").await;
    stage.ready("waiter").await;
    stage.gone("holder").await;
    assert_ne!(values(&stage, ZONE, name, RecordType::TXT), marker, "the waiter's own marker");
    let held = |identity: &str| {
        stage.aws.with(|world| {
            let view = world.mail_from(ACCOUNT, REGIONS[0], identity).unwrap();
            view.domain.as_ref().map(|(domain, _)| domain.clone())
        })
    };
    assert_eq!((held(DOMAIN), held("mail.example.com")), (None, Some(name.to_owned())));
}

#[tokio::test]
async fn of_two_objects_found_at_once_one_holds_and_the_other_writes_nothing() {
    let stage = Stage::new("race").await;
    stage.apply("a", at(REGIONS[0], "bounce-a")).await;
    stage.apply("b", at(REGIONS[0], "bounce-b")).await;
    let _operator = stage.operator().await;
    let held = |world: &aws_simulator::World| {
        let view = world.mail_from(ACCOUNT, REGIONS[0], DOMAIN)?;
        Some(view.domain.as_ref()?.0.clone())
    };
    let held = stage.world("a MAIL FROM domain", held).await;
    let (holder, waiter) = if held == "bounce-a.example.com" { ("a", "b") } else { ("b", "a") };
    stage.ready(holder).await;
    refused(&stage, waiter, holder).await;
    assert_eq!(puts(&stage, REGIONS[0]).len(), 1);
    let name = format!("bounce-{waiter}.example.com");
    assert!(!stage.writes().iter().any(|write| write.contains(&name)));
}

#[tokio::test]
async fn objects_that_share_a_domain_but_no_region_and_no_name_leave_each_other_alone() {
    let stage = Stage::new("apart").await;
    let _operator = stage.operator().await;
    stage.apply("one", at(REGIONS[0], "bounce-one")).await;
    stage.apply("two", at(REGIONS[1], "bounce-two")).await;
    stage.ready("one").await;
    stage.ready("two").await;
    // A region is let go by the one and taken up by the other.
    let both: Vec<Value> = REGIONS.iter().map(|name| json!({"name": name})).collect();
    stage.edit("two", json!({"regions": both})).await;
    stage.condition("two", "Stalled", "True DomainConflict").await;
    stage.edit("one", json!({"regions": [{"name": "us-west-2"}]})).await;
    stage.ready("two").await;
    let held = stage.aws.with(|world| {
        world.mail_from(ACCOUNT, REGIONS[0], DOMAIN).unwrap().domain.clone().unwrap().0
    });
    assert_eq!(held, "bounce-two.example.com");
}

#[tokio::test]
async fn a_holder_in_another_namespace_is_not_named() {
    let mut stage = Stage::new("here").await;
    let elsewhere = stage.plane.namespace("secretive").await.expect("a namespace");
    stage.launch = stage.launch.clone().watch_namespace(&elsewhere);
    let _operator = stage.operator().await;
    let api: Api<SesMailFrom> = Api::namespaced(stage.client(), &elsewhere);
    let object = json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "metadata": {"name": "hidden"},
        "spec": {"domain": DOMAIN, "subdomain": "bounce", "regions": [{"name": REGIONS[0]}]},
    });
    let params = PatchParams::apply("person");
    api.patch("hidden", &params, &Patch::Apply(&object)).await.expect("an applied object");
    stage
        .world("the holder's put", |world| {
            (!crate::story::puts_in(world, REGIONS[0]).is_empty()).then_some(())
        })
        .await;
    stage.apply("waiter", at(REGIONS[0], "bounce")).await;
    let message = stage.condition("waiter", "Stalled", "True DomainConflict").await;
    assert!(message.contains("another namespace"), "{message}");
    assert!(!message.contains("hidden") && !message.contains(&elsewhere), "{message}");
    stage.rounds(4).await;
    assert_eq!(puts(&stage, REGIONS[0]).len(), 1);
}
