//! Accounts, clocks, logs, SES v1 and the door for tests in the same process.

use std::time::Duration;

use crate::faults::{PUT, put};
use crate::stage::{LIMIT, MX, REGION, Stage, batch, quiet, set};
use aws_sdk_route53::types::{ChangeAction, RrType};
use aws_sdk_sesv2::types::BehaviorOnMxFailure;
use aws_simulator::{
    ACCESS_KEY, ACCOUNT, Behavior, CheckSchedule, Config, ConnectionLost, EventKind, Fault, Listen,
    MailFromStatus, Matching, Quotas, SesConfig, SimClock, Simulator, Trouble,
};
use bytes::Bytes;

fn signed(service: &str, method: &str, uri: &str, body: &str) -> http::Request<Bytes> {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request, Signature=0"
    );
    let request = http::Request::builder().method(method).uri(uri).header("authorization", scope);
    request.body(Bytes::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn calls_and_events_stand_in_one_order_and_are_counted() {
    let (stage, zone) = Stage::example(quiet()).await;
    let create = batch([(ChangeAction::Create, set("bounce.example.com", RrType::Mx, 300, &[MX]))]);
    let change =
        stage.route53().change_resource_record_sets().hosted_zone_id(&zone).change_batch(create);
    change.send().await.unwrap();
    stage.simulator.advance(Duration::from_mins(1));
    put(stage.ses(REGION)).await.unwrap();
    stage.simulator.with(|world| {
        let event = |wanted: fn(&EventKind) -> bool| {
            world
                .events()
                .iter()
                .filter(|event| wanted(&event.kind))
                .map(|event| event.order)
                .next_back()
                .unwrap()
        };
        let changed = event(|kind| matches!(kind, EventKind::RecordSet { change: Some(_), .. }));
        let in_sync = event(|kind| matches!(kind, EventKind::InSync { .. }));
        let called = world.calls_of(PUT).next().unwrap();
        let success = event(|kind| {
            matches!(kind, EventKind::MailFromStatus { to: Some(MailFromStatus::Success), .. })
        });
        assert!(changed < in_sync && in_sync < called.order && called.order < success);
        assert_eq!(called.targets, ["example.com"]);
        assert_eq!((called.account.as_str(), called.region.as_str()), (ACCOUNT, REGION));
        assert!(called.parameters.contains("bounce.example.com"));
        assert_eq!(world.counts()[&(ACCOUNT.to_owned(), REGION.to_owned(), PUT.to_owned())], 1);
        let change = world.calls_of("ChangeResourceRecordSets").next().unwrap();
        assert_eq!(change.targets, [zone.as_str(), "bounce.example.com MX"]);
        let times: Vec<_> = world.events().iter().map(|event| (event.order, event.at)).collect();
        assert!(times.is_sorted());
    });
}

#[tokio::test(start_paused = true)]
async fn a_scaled_clock_carries_a_setup_to_failed_by_itself_under_a_paused_runtime() {
    let simulator = Simulator::new(quiet(), SimClock::scaled(4320.0));
    simulator.with(|world| {
        world.set_identity(ACCOUNT, REGION, "example.com", true);
        world
            .put_mail_from(
                ACCOUNT,
                REGION,
                "example.com",
                "bounce.example.com",
                Behavior::UseDefaultValue,
            )
            .unwrap();
    });
    let failed = simulator.wait_for("Failed", Duration::from_secs(61), |world| {
        (world.mail_from_status(ACCOUNT, REGION, "example.com")? == MailFromStatus::Failed)
            .then(|| world.now())
    });
    let at = failed.await.unwrap();
    assert!(at >= Duration::from_hours(72) && at < Duration::from_hours(73), "{at:?}");
    let never = simulator
        .wait_for("what never comes", Duration::from_secs(5), |_| None::<()>)
        .await
        .unwrap_err();
    assert!(never.to_string().contains("what never comes did not come within 5s; last seen: "));
}

#[tokio::test]
async fn a_served_world_moves_on_while_no_one_asks() {
    let checks = CheckSchedule::eager();
    let ses = SesConfig { window: Duration::from_mins(30), checks, ..SesConfig::default() };
    let simulator = Simulator::new(Config { ses, ..quiet() }, SimClock::scaled(6_000.0));
    let _serving = simulator.serve(Listen::default()).await.unwrap();
    simulator.with(|world| {
        world.set_identity(ACCOUNT, REGION, "example.com", true);
        world
            .put_mail_from(
                ACCOUNT,
                REGION,
                "example.com",
                "bounce.example.com",
                Behavior::UseDefaultValue,
            )
            .unwrap();
    });
    let failed = simulator.wait_for("Failed", LIMIT, |world| {
        (world.mail_from_status(ACCOUNT, REGION, "example.com")? == MailFromStatus::Failed)
            .then_some(())
    });
    failed.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_world_answers_in_process() {
    let simulator =
        Simulator::new(Config { quotas: Quotas::off(), ..Config::default() }, SimClock::manual());
    simulator.with(|world| world.set_identity(ACCOUNT, REGION, "example.com", true));
    let uri = "http://email.us-east-1.amazonaws.com/v2/email/identities/example.com";
    let answer = simulator.handle(signed("ses", "GET", uri, "")).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        body["MailFromAttributes"],
        serde_json::json!({ "BehaviorOnMxFailure": "USE_DEFAULT_VALUE" })
    );
    simulator.add_fault(Fault::once(Matching::any(), Trouble::LoseAnswer));
    assert_eq!(simulator.handle(signed("ses", "GET", uri, "")).await.unwrap_err(), ConnectionLost);
    simulator.add_fault(Fault::once(Matching::any(), Trouble::Slow(Duration::from_secs(5))));
    let start = tokio::time::Instant::now();
    simulator.handle(signed("ses", "GET", uri, "")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    let mut unsigned = signed("ses", "GET", uri, "");
    unsigned.headers_mut().clear();
    assert_eq!(simulator.handle(unsigned).await.unwrap().status(), 403);
}

#[tokio::test]
async fn ses_v1_reads_100_identities_at_once_and_leaves_out_what_is_not_there() {
    let simulator = Simulator::new(quiet(), SimClock::manual());
    simulator.with(|world| {
        world.set_identity(ACCOUNT, REGION, "example.com", true);
        world.set_identity(ACCOUNT, REGION, "unset.example", false);
        world
            .put_mail_from(
                ACCOUNT,
                REGION,
                "example.com",
                "bounce.example.com",
                Behavior::RejectMessage,
            )
            .unwrap();
    });
    let call = async |action: &str, identities: &[String]| {
        let mut body = format!("Action={action}&Version=2010-12-01");
        for (index, identity) in identities.iter().enumerate() {
            let member = format!("&Identities.member.{}={identity}", index + 1);
            body.push_str(&member);
        }
        let answer = simulator.handle(signed("ses", "POST", "/", &body)).await.unwrap();
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    };
    let three = ["example.com", "unset.example", "nobody.example"].map(str::to_owned);
    let (_, body) = call("GetIdentityMailFromDomainAttributes", &three).await;
    assert!(body.contains(
        "<entry><key>example.com</key><value><MailFromDomain>bounce.example.com</MailFromDomain>\
         <MailFromDomainStatus>Pending</MailFromDomainStatus><BehaviorOnMXFailure>RejectMessage</BehaviorOnMXFailure>"
    ), "{body}");
    assert!(body.contains("<key>unset.example</key><value><BehaviorOnMXFailure>UseDefaultValue</BehaviorOnMXFailure></value>"));
    assert!(!body.contains("nobody.example"));
    let (_, body) = call("GetIdentityVerificationAttributes", &three).await;
    assert!(
        body.contains(
            "<key>unset.example</key><value><VerificationStatus>Pending</VerificationStatus>"
        ),
        "{body}"
    );
    let many: Vec<String> = (0..101).map(|index| format!("d{index}.example")).collect();
    assert_eq!(call("GetIdentityMailFromDomainAttributes", &many[..100]).await.0, 200);
    assert_eq!(call("GetIdentityMailFromDomainAttributes", &many).await.0, 400);
    simulator.add_fault(Fault::once(Matching::any(), Trouble::Throttle));
    let (status, body) = call("GetIdentityVerificationAttributes", &three).await;
    assert_eq!(status, 400);
    assert!(body.contains("<Code>Throttling</Code><Message>Rate exceeded</Message>"));
}

#[tokio::test]
async fn refused_mail_is_an_event() {
    let (stage, _) = Stage::example(quiet()).await;
    let put =
        stage.ses(REGION).put_email_identity_mail_from_attributes().email_identity("example.com");
    put.mail_from_domain("bounce.example.com")
        .behavior_on_mx_failure(BehaviorOnMxFailure::RejectMessage)
        .send()
        .await
        .unwrap();
    stage.simulator.with(|world| {
        assert!(world.events().iter().any(|event| matches!(
            event.kind,
            EventKind::Sending { to: aws_simulator::Sending::Rejected, .. }
        )));
    });
}
