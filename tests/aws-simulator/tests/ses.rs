//! SES as the developer guide and the API reference describe it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use aws_sdk_route53::types::{ChangeAction, RrType};
use aws_sdk_sesv2::types::BehaviorOnMxFailure;
use aws_simulator::{
    ACCOUNT, Behavior, BehaviorPut, CheckSchedule, Config, EqualPut, ForeignMx, MailFromStatus,
    OmittedMember, PutInFailed, RecordSet, RecordType, Sending, SesConfig, SeveralMx,
    UnknownIdentity,
};
use common::{MX, REGION, Stage, batch, code_of, quiet, set};

const HOURS: fn(u64) -> Duration = Duration::from_hours;

fn ses(ses: SesConfig) -> Config {
    Config { ses, ..quiet() }
}

async fn put(stage: &Stage, domain: &str, behavior: BehaviorOnMxFailure) {
    let put =
        stage.ses(REGION).put_email_identity_mail_from_attributes().email_identity("example.com");
    put.mail_from_domain(domain).behavior_on_mx_failure(behavior).send().await.unwrap();
}

fn publish(stage: &Stage, zone: &str, values: &[&str]) {
    let record = RecordSet::new("bounce.example.com", RecordType::MX, 300, values).unwrap();
    stage.simulator.with(|world| world.put_record_set(zone, record).unwrap());
}

fn sends(stage: &Stage) -> Sending {
    stage.simulator.with(|world| world.would_send(ACCOUNT, REGION, "info@example.com"))
}

#[tokio::test]
async fn records_in_sync_before_the_put_make_success_at_the_first_look() {
    let (stage, zone) = Stage::example(quiet()).await;
    let change = stage
        .route53()
        .change_resource_record_sets()
        .hosted_zone_id(&zone)
        .change_batch(batch([(
            ChangeAction::Create,
            set("bounce.example.com", RrType::Mx, 300, &[MX]),
        )]))
        .send()
        .await
        .unwrap();
    assert_eq!(change.change_info().unwrap().status().as_str(), "PENDING");
    stage.simulator.advance(Duration::from_secs(30));
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    let got =
        stage.ses(REGION).get_email_identity().email_identity("example.com").send().await.unwrap();
    let attributes = got.mail_from_attributes().unwrap();
    assert_eq!(attributes.mail_from_domain(), "bounce.example.com");
    assert_eq!(attributes.mail_from_domain_status().as_str(), "SUCCESS");
    assert_eq!(sends(&stage), Sending::CustomMailFrom);
}

#[tokio::test]
async fn pending_for_72_hours_then_failed_and_nothing_more_after_that() {
    let (stage, zone) = Stage::example(quiet()).await;
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::RejectMessage).await;
    assert_eq!((stage.status(), sends(&stage)), (Some(MailFromStatus::Pending), Sending::Rejected));
    stage.simulator.advance(HOURS(72).checked_sub(Duration::from_mins(1)).unwrap());
    assert_eq!(stage.status(), Some(MailFromStatus::Pending));
    stage.simulator.advance(Duration::from_mins(1));
    assert_eq!((stage.status(), sends(&stage)), (Some(MailFromStatus::Failed), Sending::Rejected));
    publish(&stage, &zone, &[MX]);
    stage.simulator.advance(HOURS(24 * 30));
    assert_eq!(stage.status(), Some(MailFromStatus::Failed));
}

#[tokio::test]
async fn a_lost_mx_is_a_temporary_failure_for_72_hours_and_may_come_back() {
    for comes_back in [true, false] {
        let (stage, zone) = Stage::example(quiet()).await;
        publish(&stage, &zone, &[MX]);
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
        stage.simulator.with(|world| {
            world.delete_record_set(&zone, "bounce.example.com", RecordType::MX).unwrap();
        });
        stage.simulator.advance(HOURS(2));
        assert_eq!(
            (stage.status(), sends(&stage)),
            (Some(MailFromStatus::TemporaryFailure), Sending::DefaultMailFrom)
        );
        if comes_back {
            publish(&stage, &zone, &[MX]);
        }
        stage.simulator.advance(HOURS(72));
        let end = if comes_back { MailFromStatus::Success } else { MailFromStatus::Failed };
        assert_eq!(stage.status(), Some(end));
    }
}

#[tokio::test]
async fn looks_get_rarer_so_an_mx_that_comes_late_is_seen_late() {
    let (stage, zone) = Stage::example(quiet()).await;
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    stage.simulator.advance(HOURS(20));
    publish(&stage, &zone, &[MX]);
    stage.simulator.advance(Duration::from_mins(5));
    assert_eq!(stage.status(), Some(MailFromStatus::Pending), "SES looks hourly by now");
    stage.simulator.advance(HOURS(1));
    assert_eq!(stage.status(), Some(MailFromStatus::Success));
}

#[tokio::test]
async fn a_put_before_the_record_is_remembered_for_the_negative_ttl_of_900_seconds() {
    let checks = CheckSchedule::eager();
    let (stage, zone) = Stage::example(ses(SesConfig { checks, ..SesConfig::default() })).await;
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    publish(&stage, &zone, &[MX]);
    stage.simulator.advance(Duration::from_mins(14));
    assert_eq!(
        stage.status(),
        Some(MailFromStatus::Pending),
        "the resolver still remembers the no"
    );
    stage.simulator.advance(Duration::from_mins(2));
    assert_eq!(stage.status(), Some(MailFromStatus::Success));
}

#[tokio::test]
async fn exactly_one_mx_counts() {
    let second = "20 feedback-smtp.us-east-1.amazonses.com";
    for (several_mx, soon) in [
        (SeveralMx::WindowRunsOut, MailFromStatus::Pending),
        (SeveralMx::FailsAtOnce, MailFromStatus::Failed),
    ] {
        let (stage, zone) =
            Stage::example(ses(SesConfig { several_mx, ..SesConfig::default() })).await;
        publish(&stage, &zone, &[MX, second]);
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        assert_eq!(stage.status(), Some(soon));
        stage.simulator.advance(HOURS(72));
        assert_eq!(stage.status(), Some(MailFromStatus::Failed));
    }
}

#[tokio::test]
async fn the_mx_must_name_the_feedback_host_and_may_have_any_preference() {
    for (value, seen) in [
        ("5 Feedback-SMTP.us-east-1.amazonses.com.", MailFromStatus::Success),
        ("10 feedback-smtp.us-east-1.amazonaws.com", MailFromStatus::Pending),
        ("10 feedback-smtp..amazonses.com.example.com", MailFromStatus::Pending),
        ("10 inbound-smtp.us-east-1.amazonaws.com", MailFromStatus::Pending),
    ] {
        let (stage, zone) = Stage::example(quiet()).await;
        publish(&stage, &zone, &[value]);
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        assert_eq!(stage.status(), Some(seen), "{value}");
    }
}

#[tokio::test]
async fn another_regions_mx_counts_or_not_by_the_switch() {
    for (foreign_mx, seen) in [
        (ForeignMx::Accepted, MailFromStatus::Success),
        (ForeignMx::Refused, MailFromStatus::Pending),
    ] {
        let (stage, zone) =
            Stage::example(ses(SesConfig { foreign_mx, ..SesConfig::default() })).await;
        publish(&stage, &zone, &["10 feedback-smtp.eu-west-1.amazonses.com"]);
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        assert_eq!(stage.status(), Some(seen));
    }
}

#[tokio::test]
async fn a_put_on_success_resets_it_or_not_by_the_switches() {
    use BehaviorOnMxFailure::{RejectMessage, UseDefaultValue};
    let late = CheckSchedule { first: Duration::from_secs(1), ..CheckSchedule::default() };
    for (equal_put, behavior_put, second, after) in [
        (EqualPut::Keeps, BehaviorPut::Resets, UseDefaultValue, MailFromStatus::Success),
        (EqualPut::Resets, BehaviorPut::Keeps, UseDefaultValue, MailFromStatus::Pending),
        (EqualPut::Resets, BehaviorPut::Keeps, RejectMessage, MailFromStatus::Success),
        (EqualPut::Keeps, BehaviorPut::Resets, RejectMessage, MailFromStatus::Pending),
    ] {
        let config =
            SesConfig { equal_put, behavior_put, checks: late.clone(), ..SesConfig::default() };
        let (stage, zone) = Stage::example(ses(config)).await;
        publish(&stage, &zone, &[MX]);
        put(&stage, "bounce.example.com", UseDefaultValue).await;
        stage.simulator.advance(Duration::from_secs(1));
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
        put(&stage, "bounce.example.com", second.clone()).await;
        assert_eq!(stage.status(), Some(after), "{equal_put:?} {behavior_put:?} {second}");
        stage.simulator.advance(Duration::from_secs(1));
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
    }
}

#[tokio::test]
async fn a_put_restarts_failed_or_only_a_clear_and_a_put_does_by_the_switch() {
    for (put_in_failed, after) in [
        (PutInFailed::Restarts, MailFromStatus::Success),
        (PutInFailed::Ignored, MailFromStatus::Failed),
    ] {
        let (stage, zone) =
            Stage::example(ses(SesConfig { put_in_failed, ..SesConfig::default() })).await;
        publish(&stage, &zone, &[MX]);
        stage.simulator.with(|world| {
            let failed = Some(("bounce.example.com", MailFromStatus::Failed));
            world
                .force_mail_from(ACCOUNT, REGION, "example.com", failed, Behavior::UseDefaultValue)
                .unwrap();
        });
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        assert_eq!(stage.status(), Some(after));
        put(&stage, "", BehaviorOnMxFailure::UseDefaultValue).await;
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
    }
}

#[tokio::test]
async fn another_name_is_a_new_setup_in_any_state() {
    let (stage, zone) = Stage::example(quiet()).await;
    publish(&stage, &zone, &[MX]);
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    assert_eq!(stage.status(), Some(MailFromStatus::Success));
    put(&stage, "other.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    assert_eq!(stage.status(), Some(MailFromStatus::Pending));
}

#[tokio::test]
async fn what_is_not_set_reads_as_a_behaviour_alone_and_so_does_what_was_cleared() {
    let (stage, _) = Stage::example(quiet()).await;
    for clear_first in [false, true] {
        if clear_first {
            put(&stage, "bounce.example.com", BehaviorOnMxFailure::RejectMessage).await;
            put(&stage, "", BehaviorOnMxFailure::RejectMessage).await;
        }
        let got = stage
            .ses(REGION)
            .get_email_identity()
            .email_identity("example.com")
            .send()
            .await
            .unwrap();
        let attributes = got.mail_from_attributes().unwrap();
        assert_eq!(attributes.mail_from_domain(), "");
        assert!(
            !["PENDING", "SUCCESS", "FAILED", "TEMPORARY_FAILURE"]
                .contains(&attributes.mail_from_domain_status().as_str())
        );
        assert_eq!(attributes.behavior_on_mx_failure().as_str(), "USE_DEFAULT_VALUE");
        assert!(got.verified_for_sending_status());
    }
}

#[tokio::test]
async fn an_omitted_name_is_ignored_clears_or_is_refused_by_the_switch() {
    for omitted_member in [OmittedMember::Ignored, OmittedMember::Clears, OmittedMember::Refused] {
        let (stage, zone) =
            Stage::example(ses(SesConfig { omitted_member, ..SesConfig::default() })).await;
        publish(&stage, &zone, &[MX]);
        put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
        let omitted = stage
            .ses(REGION)
            .put_email_identity_mail_from_attributes()
            .email_identity("example.com");
        let result =
            omitted.behavior_on_mx_failure(BehaviorOnMxFailure::RejectMessage).send().await;
        assert_eq!(result.is_err(), omitted_member == OmittedMember::Refused);
        let view = stage
            .simulator
            .with(|world| world.mail_from(ACCOUNT, REGION, "example.com").cloned().unwrap());
        assert_eq!(view.domain.is_none(), omitted_member == OmittedMember::Clears);
        let rejects = omitted_member == OmittedMember::Ignored;
        assert_eq!(view.behavior == Behavior::RejectMessage, rejects);
    }
}

#[tokio::test]
async fn a_name_that_is_no_subdomain_and_an_unverified_identity_are_bad_requests() {
    let (stage, _) = Stage::example(quiet()).await;
    let refused = async |domain: &str| {
        let put = stage
            .ses(REGION)
            .put_email_identity_mail_from_attributes()
            .email_identity("example.com");
        let error = put.mail_from_domain(domain).send().await.unwrap_err();
        assert!(error.as_service_error().unwrap().is_bad_request_exception(), "{error:?}");
        code_of(&error).1
    };
    for domain in ["example.com", "bounce.example.org", "bounce.badexample.com"] {
        assert_eq!(
            refused(domain).await,
            format!(
                "Provided MAIL-FROM domain <{domain}> is not subdomain of the domain of the identity <example.com>"
            )
        );
    }
    stage.simulator.with(|world| world.set_identity(ACCOUNT, REGION, "example.com", false));
    assert_eq!(
        refused("bounce.example.com").await,
        "Provided MAIL-FROM domain <bounce.example.com> or its parents are not verified for identity <example.com>"
    );
}

#[tokio::test]
async fn a_put_to_an_unknown_identity_is_a_bad_request_or_not_found_by_the_switch() {
    for unknown_identity in [UnknownIdentity::BadRequest, UnknownIdentity::NotFound] {
        let (stage, _) =
            Stage::example(ses(SesConfig { unknown_identity, ..SesConfig::default() })).await;
        let put = stage
            .ses(REGION)
            .put_email_identity_mail_from_attributes()
            .email_identity("nobody.example");
        let error = put.mail_from_domain("a.nobody.example").send().await.unwrap_err();
        let service = error.as_service_error().unwrap();
        match unknown_identity {
            UnknownIdentity::BadRequest => {
                assert!(service.is_bad_request_exception());
                assert_eq!(code_of(&error).1, "Identity <nobody.example> does not exist.");
            }
            UnknownIdentity::NotFound => assert!(service.is_not_found_exception()),
        }
        let get =
            stage.ses(REGION).get_email_identity().email_identity("nobody.example").send().await;
        assert!(get.unwrap_err().as_service_error().unwrap().is_not_found_exception());
    }
}

#[tokio::test]
async fn reads_after_a_put_may_be_stale() {
    let stale_reads = Duration::from_secs(10);
    let (stage, zone) =
        Stage::example(ses(SesConfig { stale_reads, ..SesConfig::default() })).await;
    publish(&stage, &zone, &[MX]);
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    let read = async || {
        let got = stage
            .ses(REGION)
            .get_email_identity()
            .email_identity("example.com")
            .send()
            .await
            .unwrap();
        got.mail_from_attributes().unwrap().mail_from_domain().to_owned()
    };
    assert_eq!(read().await, "");
    assert_eq!(stage.status(), Some(MailFromStatus::Success), "the truth is another");
    stage.simulator.advance(Duration::from_secs(10));
    assert_eq!(read().await, "bounce.example.com");
}

#[tokio::test]
async fn identities_are_per_region_and_account() {
    let (stage, _) = Stage::example(quiet()).await;
    let elsewhere =
        stage.ses("eu-west-1").get_email_identity().email_identity("example.com").send().await;
    assert!(elsewhere.unwrap_err().as_service_error().unwrap().is_not_found_exception());
}

#[tokio::test]
async fn identities_are_listed_a_thousand_a_page() {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| {
        for index in 0..1_001 {
            world.set_identity(ACCOUNT, REGION, &format!("d{index:04}.example"), index % 2 == 0);
        }
        world.set_identity(ACCOUNT, REGION, "someone@d0000.example", true);
        world.set_identity(ACCOUNT, "eu-west-1", "other-region.example", true);
    });
    let client = stage.ses(REGION);
    let first = client.list_email_identities().page_size(1_000).send().await.unwrap();
    assert_eq!(first.email_identities().len(), 1_000);
    assert!(first.email_identities()[0].sending_enabled());
    assert!(!first.email_identities()[1].sending_enabled());
    let second =
        client.list_email_identities().page_size(1_000).next_token(first.next_token().unwrap());
    let second = second.send().await.unwrap();
    let names: Vec<&str> =
        second.email_identities().iter().filter_map(|info| info.identity_name()).collect();
    assert_eq!(names, ["d1000.example", "someone@d0000.example"]);
    assert_eq!(second.next_token(), None);
    let error = client.list_email_identities().page_size(1_001).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_bad_request_exception());
}

#[tokio::test]
async fn an_address_or_subdomain_that_is_an_identity_of_its_own_inherits_nothing() {
    let (stage, zone) = Stage::example(quiet()).await;
    publish(&stage, &zone, &[MX]);
    put(&stage, "bounce.example.com", BehaviorOnMxFailure::UseDefaultValue).await;
    stage.simulator.with(|world| {
        assert_eq!(world.would_send(ACCOUNT, REGION, "a@sub.example.com"), Sending::CustomMailFrom);
        world.set_identity(ACCOUNT, REGION, "boss@example.com", true);
        world.set_identity(ACCOUNT, REGION, "sub.example.com", true);
        assert_eq!(world.would_send(ACCOUNT, REGION, "boss@example.com"), Sending::DefaultMailFrom);
        assert_eq!(
            world.would_send(ACCOUNT, REGION, "a@sub.example.com"),
            Sending::DefaultMailFrom
        );
        assert_eq!(world.would_send(ACCOUNT, REGION, "a@elsewhere.example"), Sending::NotVerified);
    });
}
