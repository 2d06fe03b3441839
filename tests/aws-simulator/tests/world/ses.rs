//! What SES's API takes, refuses and returns.
use std::time::Duration;

use crate::ses_states::{publish, put, ses};
use crate::stage::{MX, REGION, Stage, code_of, quiet};
use aws_sdk_sesv2::types::BehaviorOnMxFailure;
use aws_simulator::{
    ACCOUNT, Behavior, MailFromStatus, OmittedMember, Sending, SesConfig, UnknownIdentity,
};

#[tokio::test]
async fn what_is_not_set_reads_as_a_behaviour_alone_and_so_does_what_was_cleared() {
    let (stage, _) = Stage::example(quiet()).await;
    for clear_first in [false, true] {
        if clear_first {
            put(
                &stage,
                "bounce.example.com",
                BehaviorOnMxFailure::RejectMessage,
            )
            .await;
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
        assert_eq!(
            attributes.behavior_on_mx_failure().as_str(),
            "USE_DEFAULT_VALUE"
        );
        assert!(got.verified_for_sending_status());
    }
}

#[tokio::test]
async fn an_omitted_name_is_ignored_clears_or_is_refused_by_the_switch() {
    for omitted_member in [
        OmittedMember::Ignored,
        OmittedMember::Clears,
        OmittedMember::Refused,
    ] {
        let (stage, zone) = Stage::example(ses(SesConfig {
            omitted_member,
            ..SesConfig::default()
        }))
        .await;
        publish(&stage, &zone, &[MX]);
        put(
            &stage,
            "bounce.example.com",
            BehaviorOnMxFailure::UseDefaultValue,
        )
        .await;
        let omitted = stage
            .ses(REGION)
            .put_email_identity_mail_from_attributes()
            .email_identity("example.com");
        let result = omitted
            .behavior_on_mx_failure(BehaviorOnMxFailure::RejectMessage)
            .send()
            .await;
        assert_eq!(result.is_err(), omitted_member == OmittedMember::Refused);
        let view = stage.simulator.with(|world| {
            world
                .mail_from(ACCOUNT, REGION, "example.com")
                .cloned()
                .unwrap()
        });
        assert_eq!(
            view.domain.is_none(),
            omitted_member == OmittedMember::Clears
        );
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
        assert!(
            error.as_service_error().unwrap().is_bad_request_exception(),
            "{error:?}"
        );
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
    stage
        .simulator
        .with(|world| world.set_identity(ACCOUNT, REGION, "example.com", false));
    assert_eq!(
        refused("bounce.example.com").await,
        "Provided MAIL-FROM domain <bounce.example.com> or its parents are not verified for identity <example.com>"
    );
}

#[tokio::test]
async fn a_put_to_an_unknown_identity_is_a_bad_request_or_not_found_by_the_switch() {
    for unknown_identity in [UnknownIdentity::BadRequest, UnknownIdentity::NotFound] {
        let (stage, _) = Stage::example(ses(SesConfig {
            unknown_identity,
            ..SesConfig::default()
        }))
        .await;
        let put = stage
            .ses(REGION)
            .put_email_identity_mail_from_attributes()
            .email_identity("nobody.example");
        let error = put
            .mail_from_domain("a.nobody.example")
            .send()
            .await
            .unwrap_err();
        let service = error.as_service_error().unwrap();
        match unknown_identity {
            UnknownIdentity::BadRequest => {
                assert!(service.is_bad_request_exception());
                assert_eq!(
                    code_of(&error).1,
                    "Identity <nobody.example> does not exist."
                );
            }
            UnknownIdentity::NotFound => assert!(service.is_not_found_exception()),
        }
        let get = stage
            .ses(REGION)
            .get_email_identity()
            .email_identity("nobody.example")
            .send()
            .await;
        assert!(
            get.unwrap_err()
                .as_service_error()
                .unwrap()
                .is_not_found_exception()
        );
    }
}

#[tokio::test]
async fn reads_after_a_put_may_be_stale() {
    let stale_reads = Duration::from_secs(10);
    let (stage, zone) = Stage::example(ses(SesConfig {
        stale_reads,
        ..SesConfig::default()
    }))
    .await;
    publish(&stage, &zone, &[MX]);
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    let read = async || {
        let got = stage
            .ses(REGION)
            .get_email_identity()
            .email_identity("example.com")
            .send()
            .await
            .unwrap();
        got.mail_from_attributes()
            .unwrap()
            .mail_from_domain()
            .to_owned()
    };
    assert_eq!(read().await, "");
    assert_eq!(
        stage.status(),
        Some(MailFromStatus::Success),
        "the truth is another"
    );
    stage.simulator.advance(Duration::from_secs(10));
    assert_eq!(read().await, "bounce.example.com");
}

#[tokio::test]
async fn identities_are_per_region_and_account() {
    let (stage, _) = Stage::example(quiet()).await;
    let elsewhere = stage
        .ses("eu-west-1")
        .get_email_identity()
        .email_identity("example.com")
        .send()
        .await;
    assert!(
        elsewhere
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_not_found_exception()
    );
}

#[tokio::test]
async fn identities_are_listed_a_thousand_a_page() {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| {
        for index in 0..1_001 {
            world.set_identity(
                ACCOUNT,
                REGION,
                &format!("d{index:04}.example"),
                index % 2 == 0,
            );
        }
        world.set_identity(ACCOUNT, REGION, "someone@d0000.example", true);
        world.set_identity(ACCOUNT, "eu-west-1", "other-region.example", true);
    });
    let client = stage.ses(REGION);
    let first = client
        .list_email_identities()
        .page_size(1_000)
        .send()
        .await
        .unwrap();
    assert_eq!(first.email_identities().len(), 1_000);
    assert!(first.email_identities()[0].sending_enabled());
    assert!(!first.email_identities()[1].sending_enabled());
    let second = client
        .list_email_identities()
        .page_size(1_000)
        .next_token(first.next_token().unwrap());
    let second = second.send().await.unwrap();
    let names: Vec<&str> = second
        .email_identities()
        .iter()
        .filter_map(|info| info.identity_name())
        .collect();
    assert_eq!(names, ["d1000.example", "someone@d0000.example"]);
    assert_eq!(second.next_token(), None);
    let error = client
        .list_email_identities()
        .page_size(1_001)
        .send()
        .await
        .unwrap_err();
    assert!(error.as_service_error().unwrap().is_bad_request_exception());
}

#[tokio::test]
async fn an_address_or_subdomain_that_is_an_identity_of_its_own_inherits_nothing() {
    let (stage, zone) = Stage::example(quiet()).await;
    publish(&stage, &zone, &[MX]);
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    stage.simulator.with(|world| {
        assert_eq!(
            world.would_send(ACCOUNT, REGION, "a@sub.example.com"),
            Sending::CustomMailFrom
        );
        world.set_identity(ACCOUNT, REGION, "boss@example.com", true);
        world.set_identity(ACCOUNT, REGION, "sub.example.com", true);
        assert_eq!(
            world.would_send(ACCOUNT, REGION, "boss@example.com"),
            Sending::DefaultMailFrom
        );
        assert_eq!(
            world.would_send(ACCOUNT, REGION, "a@sub.example.com"),
            Sending::DefaultMailFrom
        );
        assert_eq!(
            world.would_send(ACCOUNT, REGION, "a@elsewhere.example"),
            Sending::NotVerified
        );
    });
}

#[tokio::test]
async fn a_deleted_identity_is_gone_with_its_setting() {
    let (stage, zone) = Stage::example(quiet()).await;
    publish(&stage, &zone, &[MX]);
    put(
        &stage,
        "bounce.example.com",
        BehaviorOnMxFailure::UseDefaultValue,
    )
    .await;
    stage.simulator.with(|world| {
        world.delete_identity(ACCOUNT, REGION, "example.com");
        world.set_identity(ACCOUNT, REGION, "example.com", true);
    });
    stage.simulator.advance(Duration::from_hours(1));
    assert_eq!(stage.status(), None);
}
