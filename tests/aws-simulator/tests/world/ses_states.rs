//! The states of a MAIL FROM domain, as the developer guide describes them.
use std::time::Duration;

use crate::stage::{MX, REGION, Stage, batch, quiet, set};
use aws_sdk_route53::types::{ChangeAction, RrType};
use aws_sdk_sesv2::types::BehaviorOnMxFailure;
use aws_simulator::{
    ACCOUNT, Behavior, BehaviorPut, CheckSchedule, Config, EqualPut, ForeignMx, MailFromStatus,
    PutInFailed, RecordSet, RecordType, Sending, SesConfig, SeveralMx,
};

pub(crate) const HOURS: fn(u64) -> Duration = Duration::from_hours;

pub(crate) fn ses(ses: SesConfig) -> Config {
    Config { ses, ..quiet() }
}

pub(crate) async fn put(stage: &Stage, domain: &str, behavior: BehaviorOnMxFailure) {
    let put = stage
        .ses(REGION)
        .put_email_identity_mail_from_attributes()
        .email_identity("example.com");
    put.mail_from_domain(domain)
        .behavior_on_mx_failure(behavior)
        .send()
        .await
        .unwrap();
}

pub(crate) fn publish(stage: &Stage, zone: &str, values: &[&str]) {
    let record = RecordSet::new("bounce.example.com", RecordType::MX, 300, values).unwrap();
    stage
        .simulator
        .with(|world| world.put_record_set(zone, record).unwrap());
}

pub(crate) fn sends(stage: &Stage) -> Sending {
    stage
        .simulator
        .with(|world| world.would_send(ACCOUNT, REGION, "info@example.com"))
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
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    let got = stage
        .ses(REGION)
        .get_email_identity()
        .email_identity("example.com")
        .send()
        .await
        .unwrap();
    let attributes = got.mail_from_attributes().unwrap();
    assert_eq!(attributes.mail_from_domain(), "bounce.example.com");
    assert_eq!(attributes.mail_from_domain_status().as_str(), "SUCCESS");
    assert_eq!(sends(&stage), Sending::CustomMailFrom);
}

#[tokio::test]
async fn pending_for_72_hours_then_failed_and_nothing_more_after_that() {
    let (stage, zone) = Stage::example(quiet()).await;
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::RejectMessage,
    )
    .await;
    assert_eq!(
        (stage.status(), sends(&stage)),
        (Some(MailFromStatus::Pending), Sending::Rejected)
    );
    stage
        .simulator
        .advance(HOURS(72).checked_sub(Duration::from_mins(1)).unwrap());
    assert_eq!(stage.status(), Some(MailFromStatus::Pending));
    stage.simulator.advance(Duration::from_mins(1));
    assert_eq!(
        (stage.status(), sends(&stage)),
        (Some(MailFromStatus::Failed), Sending::Rejected)
    );
    publish(&stage, &zone, &[MX]);
    stage.simulator.advance(HOURS(24 * 30));
    assert_eq!(stage.status(), Some(MailFromStatus::Failed));
}

#[tokio::test]
async fn a_lost_mx_is_a_temporary_failure_for_72_hours_and_may_come_back() {
    for comes_back in [true, false] {
        let (stage, zone) = Stage::example(quiet()).await;
        publish(&stage, &zone, &[MX]);
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
        stage.simulator.with(|world| {
            world
                .delete_record_set(&zone, "bounce.example.com", RecordType::MX)
                .unwrap();
        });
        stage.simulator.advance(HOURS(2));
        assert_eq!(
            (stage.status(), sends(&stage)),
            (
                Some(MailFromStatus::TemporaryFailure),
                Sending::DefaultMailFrom
            )
        );
        if comes_back {
            publish(&stage, &zone, &[MX]);
        }
        stage.simulator.advance(HOURS(72));
        let end = if comes_back {
            MailFromStatus::Success
        } else {
            MailFromStatus::Failed
        };
        assert_eq!(stage.status(), Some(end));
    }
}

#[tokio::test]
async fn looks_get_rarer_so_an_mx_that_comes_late_is_seen_late() {
    let (stage, zone) = Stage::example(quiet()).await;
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    stage.simulator.advance(HOURS(20));
    publish(&stage, &zone, &[MX]);
    stage.simulator.advance(Duration::from_mins(5));
    assert_eq!(
        stage.status(),
        Some(MailFromStatus::Pending),
        "SES looks hourly by now"
    );
    stage.simulator.advance(HOURS(1));
    assert_eq!(stage.status(), Some(MailFromStatus::Success));
}

#[tokio::test]
async fn a_put_before_the_record_is_remembered_for_the_negative_ttl_of_900_seconds() {
    let checks = CheckSchedule::eager();
    let (stage, zone) = Stage::example(ses(SesConfig {
        checks,
        ..SesConfig::default()
    }))
    .await;
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
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
        let (stage, zone) = Stage::example(ses(SesConfig {
            several_mx,
            ..SesConfig::default()
        }))
        .await;
        publish(&stage, &zone, &[MX, second]);
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        assert_eq!(stage.status(), Some(soon));
        stage.simulator.advance(HOURS(72));
        assert_eq!(stage.status(), Some(MailFromStatus::Failed));
    }
}

#[tokio::test]
async fn the_mx_must_name_the_feedback_host_and_may_have_any_preference() {
    for (value, seen) in [
        (
            "5 Feedback-SMTP.us-east-1.amazonses.com.",
            MailFromStatus::Success,
        ),
        (
            "10 feedback-smtp.us-east-1.amazonaws.com",
            MailFromStatus::Pending,
        ),
        (
            "10 feedback-smtp..amazonses.com.example.com",
            MailFromStatus::Pending,
        ),
        (
            "10 inbound-smtp.us-east-1.amazonaws.com",
            MailFromStatus::Pending,
        ),
    ] {
        let (stage, zone) = Stage::example(quiet()).await;
        publish(&stage, &zone, &[value]);
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        assert_eq!(stage.status(), Some(seen), "{value}");
    }
}

#[tokio::test]
async fn another_regions_mx_counts_or_not_by_the_switch() {
    for (foreign_mx, seen) in [
        (ForeignMx::Accepted, MailFromStatus::Success),
        (ForeignMx::Refused, MailFromStatus::Pending),
    ] {
        let (stage, zone) = Stage::example(ses(SesConfig {
            foreign_mx,
            ..SesConfig::default()
        }))
        .await;
        publish(&stage, &zone, &["10 feedback-smtp.eu-west-1.amazonses.com"]);
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        assert_eq!(stage.status(), Some(seen));
    }
}

#[tokio::test]
async fn a_put_on_success_resets_it_or_not_by_the_switches() {
    use BehaviorOnMxFailure::{RejectMessage, UseDefaultValue};
    let late = CheckSchedule {
        first: Duration::from_secs(1),
        ..CheckSchedule::default()
    };
    for (equal_put, behavior_put, second, after) in [
        (
            EqualPut::Keeps,
            BehaviorPut::Resets,
            UseDefaultValue,
            MailFromStatus::Success,
        ),
        (
            EqualPut::Resets,
            BehaviorPut::Keeps,
            UseDefaultValue,
            MailFromStatus::Pending,
        ),
        (
            EqualPut::Resets,
            BehaviorPut::Keeps,
            RejectMessage,
            MailFromStatus::Success,
        ),
        (
            EqualPut::Keeps,
            BehaviorPut::Resets,
            RejectMessage,
            MailFromStatus::Pending,
        ),
    ] {
        let config = SesConfig {
            equal_put,
            behavior_put,
            checks: late.clone(),
            ..SesConfig::default()
        };
        let (stage, zone) = Stage::example(ses(config)).await;
        publish(&stage, &zone, &[MX]);
        put(&stage, "bounce.example.com", UseDefaultValue).await;
        stage.simulator.advance(Duration::from_secs(1));
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
        put(&stage, "bounce.example.com", second.clone()).await;
        assert_eq!(
            stage.status(),
            Some(after),
            "{equal_put:?} {behavior_put:?} {second}"
        );
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
        let (stage, zone) = Stage::example(ses(SesConfig {
            put_in_failed,
            ..SesConfig::default()
        }))
        .await;
        publish(&stage, &zone, &[MX]);
        stage.simulator.with(|world| {
            let failed = Some(("bounce.example.com", MailFromStatus::Failed));
            world
                .force_mail_from(
                    ACCOUNT,
                    REGION,
                    "example.com",
                    failed,
                    Behavior::UseDefaultValue,
                )
                .unwrap();
        });
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        assert_eq!(stage.status(), Some(after));
        put(&stage, "", BehaviorOnMxFailure::UseDefaultValue).await;
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        assert_eq!(stage.status(), Some(MailFromStatus::Success));
    }
}

#[tokio::test]
async fn another_name_is_a_new_setup_in_any_state() {
    let (stage, zone) = Stage::example(quiet()).await;
    publish(&stage, &zone, &[MX]);
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    assert_eq!(stage.status(), Some(MailFromStatus::Success));
    put(
        &stage,
        "other.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    assert_eq!(stage.status(), Some(MailFromStatus::Pending));
}

#[tokio::test]
async fn ses_may_have_a_resolver_of_its_own_which_remembers_no_one_elses_questions() {
    for ses_shares_resolver in [true, false] {
        let mut config = quiet();
        config.dns.ses_shares_resolver = ses_shares_resolver;
        let (stage, zone) = Stage::example(config).await;
        let asked = stage.dns(stage.simulator.resolver());
        assert!(asked.mx_lookup("bounce.example.com.").await.is_err());
        publish(&stage, &zone, &[MX]);
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        let poisoned = stage.status() == Some(MailFromStatus::Pending);
        assert_eq!(
            poisoned, ses_shares_resolver,
            "a question that came too early"
        );
    }
}

#[tokio::test]
async fn ses_can_be_made_to_look_at_once() {
    let (stage, zone) = Stage::example(quiet()).await;
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    publish(&stage, &zone, &[MX]);
    stage.simulator.with(|world| {
        world.flush_resolvers();
        assert_eq!(
            world.mail_from_status(ACCOUNT, REGION, "example.com"),
            Some(MailFromStatus::Pending)
        );
        world.check_mail_from(ACCOUNT, REGION, "example.com");
        assert_eq!(
            world.mail_from_status(ACCOUNT, REGION, "example.com"),
            Some(MailFromStatus::Success)
        );
    });
}
