//! Quotas, faults and gates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::stage::{LIMIT, MX, REGION, Stage, batch, code_of, quiet, set};
use aws_sdk_route53::types::{ChangeAction, RrType};
use aws_sdk_sesv2::{
    Client, error::SdkError,
    operation::put_email_identity_mail_from_attributes::PutEmailIdentityMailFromAttributesError as PutError,
};
use aws_simulator::{
    ACCOUNT, Config, Fault, GatePoint, MailFromStatus, Matching, Outcome, Service, SimClock,
    Trouble, WallClock, ZoneSpec,
};

pub(crate) async fn put(client: Client) -> Result<(), Box<SdkError<PutError>>> {
    let put = client.put_email_identity_mail_from_attributes().email_identity("example.com");
    put.mail_from_domain("bounce.example.com").send().await.map(|_| ()).map_err(Box::new)
}

pub(crate) const PUT: &str = "PutEmailIdentityMailFromAttributes";

#[tokio::test]
async fn throttling_is_the_services_own_modelled_error() {
    // A wall clock of its own, so that a slow machine cannot refill a bucket.
    let wall = Arc::new(AtomicU64::new(0));
    let reading = Arc::clone(&wall);
    let clock = WallClock::new(move || Duration::from_millis(reading.load(Ordering::SeqCst)));
    let stage = Stage::timed(Config::default(), SimClock::on(clock, 0.0)).await;
    let zone = stage.simulator.with(|world| {
        world.set_identity(ACCOUNT, REGION, "example.com", true);
        world.create_zone(ZoneSpec::public(ACCOUNT, "example.com")).unwrap()
    });
    let get = async |region: &str| {
        let get = stage.ses(region).get_email_identity();
        get.email_identity("example.com").send().await
    };
    assert!(get(REGION).await.is_ok());
    let error = get(REGION).await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_too_many_requests_exception(), "{error:?}");
    assert!(put(stage.ses(REGION)).await.is_ok(), "each action has a bucket of its own");
    let elsewhere = get("eu-west-1").await.unwrap_err();
    assert_eq!(code_of(&elsewhere).0, "NotFoundException", "and each region");
    let list = async || {
        let list = stage.route53().list_resource_record_sets();
        list.hosted_zone_id(&zone).send().await
    };
    list().await.unwrap();
    let error = list().await.unwrap_err();
    assert_eq!(code_of(&error), ("Throttling".to_owned(), "Rate exceeded".to_owned()));
    wall.store(1_000, Ordering::SeqCst);
    assert!(get(REGION).await.is_ok(), "a second later");
    assert!(list().await.is_ok());
}

#[tokio::test]
async fn another_client_of_the_account_draws_from_the_same_buckets_and_is_in_no_log() {
    let wall = WallClock::new(|| Duration::ZERO);
    let stage = Stage::timed(Config::default(), SimClock::on(wall, 0.0)).await;
    let draw = |account, action| stage.simulator.draw(Service::Ses, account, REGION, action);
    assert!(draw(ACCOUNT, "ListEmailIdentities"));
    assert!(!draw(ACCOUNT, "ListEmailIdentities"), "one a second");
    assert!(draw("999999999999", "ListEmailIdentities"), "another account's");
    let list = stage.ses(REGION).list_email_identities().send().await;
    assert_eq!(code_of(&list.unwrap_err()).0, "TooManyRequestsException");
    assert_eq!(stage.simulator.with(|world| world.calls().len()), 1);
}

#[tokio::test]
async fn a_lost_answer_is_a_change_that_was_made() {
    let (stage, _) = Stage::example(quiet()).await;
    stage.simulator.add_fault(Fault::once(Matching::action(PUT), Trouble::LoseAnswer));
    let error = put(stage.ses(REGION)).await.unwrap_err();
    assert!(matches!(*error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(stage.status(), Some(MailFromStatus::Pending));
    assert!(put(stage.ses(REGION)).await.is_ok());
    let outcomes = stage
        .simulator
        .with(|world| world.calls_of(PUT).map(|call| call.outcome.clone()).collect::<Vec<_>>());
    assert_eq!(outcomes, [Outcome::Lost, Outcome::Ok]);
}

#[tokio::test]
async fn a_failure_before_changes_nothing_and_one_after_does() {
    for (trouble, status) in
        [(Trouble::Fail(503), None), (Trouble::FailAfter(500), Some(MailFromStatus::Pending))]
    {
        let (stage, _) = Stage::example(quiet()).await;
        stage
            .simulator
            .add_fault(Fault::once(Matching::service(Service::Ses).region(REGION), trouble));
        let error = put(stage.ses(REGION)).await.unwrap_err();
        assert!(error.raw_response().unwrap().status().is_server_error());
        assert_eq!(stage.status(), status);
    }
}

#[tokio::test]
async fn faults_strike_by_target_after_so_many_and_so_often() {
    let (stage, _) = Stage::example(quiet()).await;
    let denied = Fault::always(
        Matching::action(PUT).target("example.com").account(ACCOUNT),
        Trouble::AccessDenied,
    );
    let id = stage.simulator.add_fault(denied.after(1).times(2));
    let mut results = Vec::new();
    for _ in 0..4 {
        results.push(put(stage.ses(REGION)).await.map_err(|error| code_of(&error).0));
    }
    let no = || Err("AccessDeniedException".to_owned());
    assert_eq!(results, [Ok(()), no(), no(), Ok(())]);
    stage.simulator.remove_fault(id);
    stage
        .simulator
        .add_fault(Fault::always(Matching::any().target("another.example"), Trouble::AccessDenied));
    assert!(put(stage.ses(REGION)).await.is_ok());
}

#[tokio::test]
async fn a_body_that_is_no_answer_cannot_be_read() {
    let (stage, zone) = Stage::example(quiet()).await;
    stage.simulator.add_fault(Fault::always(Matching::any(), Trouble::Malformed));
    let get = stage.ses(REGION).get_email_identity().email_identity("example.com").send().await;
    assert_eq!(get.unwrap_err().raw_response().unwrap().status().as_u16(), 200);
    let list = stage.route53().list_resource_record_sets().hosted_zone_id(&zone).send().await;
    assert_eq!(list.unwrap_err().raw_response().unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn a_gate_stops_the_nth_call_before_or_after_it_is_carried_out() {
    for (point, seen) in
        [(GatePoint::Before, None), (GatePoint::After, Some(MailFromStatus::Pending))]
    {
        let (stage, _) = Stage::example(quiet()).await;
        let gate = stage.simulator.gate(Matching::action(PUT), point, 1);
        stage.simulator.with(|world| world.set_identity(ACCOUNT, "eu-west-1", "example.com", true));
        put(stage.ses("eu-west-1")).await.unwrap();
        let stopped = tokio::spawn(put(stage.ses(REGION)));
        tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
        assert_eq!(stage.status(), seen);
        gate.release();
        stopped.await.unwrap().unwrap();
        assert_eq!(stage.status(), Some(MailFromStatus::Pending));
    }
}

#[tokio::test]
async fn a_call_that_is_cut_at_a_gate_before_is_never_carried_out() {
    for (point, seen) in
        [(GatePoint::Before, None), (GatePoint::After, Some(MailFromStatus::Pending))]
    {
        let (stage, _) = Stage::example(quiet()).await;
        let gate = stage.simulator.gate(Matching::action(PUT), point, 0);
        let stopped = tokio::spawn(put(stage.ses(REGION)));
        tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
        gate.cut();
        assert!(matches!(*stopped.await.unwrap().unwrap_err(), SdkError::DispatchFailure(_)));
        assert_eq!(stage.status(), seen);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_at_a_gate_before_leaves_nothing_behind() {
    let (stage, zone) = Stage::example(quiet()).await;
    let action = Matching::action("ChangeResourceRecordSets");
    let gate = stage.simulator.gate(action, GatePoint::Before, 0);
    let (client, hosted) = (stage.route53(), zone.clone());
    let create =
        || batch([(ChangeAction::Create, set("bounce.example.com", RrType::Mx, 300, &[MX]))]);
    let first = create();
    let stopped = tokio::spawn(async move {
        client.change_resource_record_sets().hosted_zone_id(hosted).change_batch(first).send().await
    });
    tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
    stopped.abort();
    let idle = stage.simulator.wait_for("the zone to be free again", LIMIT, |world| {
        (!world.zone(&zone)?.is_in_submission()).then_some(())
    });
    idle.await.unwrap();
    gate.release();
    let second =
        stage.route53().change_resource_record_sets().hosted_zone_id(&zone).change_batch(create());
    second.send().await.unwrap();
}

#[tokio::test]
async fn a_hanging_call_is_not_answered() {
    let (stage, _) = Stage::example(quiet()).await;
    stage.simulator.add_fault(Fault::once(Matching::action(PUT), Trouble::Hang));
    let hanging = tokio::spawn(put(stage.ses(REGION)));
    let seen =
        stage.simulator.wait_for("the call", LIMIT, |world| world.calls_of(PUT).next().cloned());
    assert_eq!(seen.await.unwrap().outcome, Outcome::Unanswered);
    put(stage.ses(REGION)).await.unwrap();
    assert!(!hanging.is_finished());
    hanging.abort();
}

#[tokio::test]
async fn a_call_may_hang_after_it_was_carried_out_and_be_refused_in_any_words() {
    let (stage, _) = Stage::example(quiet()).await;
    stage.simulator.add_fault(Fault::once(Matching::action(PUT), Trouble::HangAfter));
    let hanging = tokio::spawn(put(stage.ses(REGION)));
    let pending = stage
        .simulator
        .wait_for("Pending", LIMIT, |world| world.mail_from_status(ACCOUNT, REGION, "example.com"));
    assert_eq!(pending.await.unwrap(), MailFromStatus::Pending);
    assert!(!hanging.is_finished());
    hanging.abort();
    let (code, message) = ("LimitExceededException".to_owned(), "Too many".to_owned());
    let refuse = Trouble::Refuse { status: 400, code: code.clone(), message: message.clone() };
    stage.simulator.add_fault(Fault::once(Matching::action(PUT), refuse));
    assert_eq!(code_of(&put(stage.ses(REGION)).await.unwrap_err()), (code, message));
}

#[tokio::test]
async fn a_gate_that_is_dropped_lets_its_call_go_on() {
    let (stage, _) = Stage::example(quiet()).await;
    let gate = stage.simulator.gate(Matching::action(PUT), GatePoint::Before, 0);
    let stopped = tokio::spawn(put(stage.ses(REGION)));
    tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
    drop(gate);
    stopped.await.unwrap().unwrap();
}
