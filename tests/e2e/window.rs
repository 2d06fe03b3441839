//! The 72 hours in which SES looks for the MX, and what comes of them.

use std::time::Duration;

use aws_simulator::{
    ACCOUNT, CheckSchedule, Config, ForeignMx, MailFromStatus, PutInFailed, SesConfig, World,
};
use serde_json::{Value, json};
use ses_mailfrom::api::{RegionStatus, Sending};

use crate::stage::{DOMAIN, NAME, REGIONS, Stage, instant, region};
use crate::story::{
    DEFAULT, REJECT, behaviors, delegate, puts, puts_in, reaches, values, was_rejected,
};

const WINDOW: Duration = Duration::from_hours(72);
/// Longer than any resolver of the simulated world remembers anything.
const HALF_AN_HOUR: Duration = Duration::from_mins(30);

/// SES that stays Pending until simulated time is moved on.
fn patient(ses: SesConfig) -> Config {
    let checks = CheckSchedule { first: Duration::from_mins(1), ..CheckSchedule::default() };
    Config { ses: SesConfig { checks, ..ses }, ..instant() }
}

fn in_both() -> Value {
    json!({"regions": REGIONS.map(|name| json!({"name": name}))})
}

/// The parent forgets the zone, and so does every resolver.
fn undelegate(stage: &Stage) {
    stage.aws.with(|world| {
        world.undelegate(DOMAIN).expect("no delegation");
        world.flush_resolvers();
    });
}

/// Waits until status tells `status` of every region.
async fn told(stage: &Stage, status: MailFromStatus) -> Vec<RegionStatus> {
    let word = format!("{status:?}");
    stage
        .until("example", &format!("{word} in every region"), |object| {
            let regions = &object.status.as_ref()?.regions;
            let all = regions.iter().all(|region| format!("{:?}", region.mail_from_status) == word);
            (!regions.is_empty() && all).then(|| regions.clone())
        })
        .await
}

async fn without_an_mx_for_72_hours(test: &str, put_in_failed: PutInFailed, way_out: &[&str]) {
    let config = patient(SesConfig { put_in_failed, ..SesConfig::default() });
    let stage = Stage::with(test, config).await.flag("--verification-window", "72h");
    let _operator = stage.operator().await;
    stage.apply("example", in_both()).await;
    for region in told(&stage, MailFromStatus::Pending).await {
        let (since, deadline) = (region.since.unwrap().0, region.deadline.unwrap().0);
        assert_eq!(deadline.duration_since(since).as_secs(), 72 * 3600);
    }
    undelegate(&stage);
    stage.aws.advance(WINDOW - Duration::from_mins(1));
    stage.rounds(6).await;
    stage.condition("example", "Reconciling", "True Pending").await;

    stage.aws.advance(Duration::from_mins(2));
    let message = stage.condition("example", "Stalled", "True VerificationFailed").await;
    assert!(message.contains("does not delegate"), "it says what is wrong: {message}");
    for region in told(&stage, MailFromStatus::Failed).await {
        assert_eq!((region.deadline, region.sending), (None, Sending::DefaultMailFrom));
    }
    stage.rounds(6).await;
    for name in REGIONS {
        assert_eq!(puts(&stage, name).len(), 1, "{name}: no put while DNS is wrong");
    }

    delegate(&stage);
    for name in REGIONS {
        reaches(&stage, name, MailFromStatus::Pending).await;
    }
    stage.aws.advance(HALF_AN_HOUR);
    let status = stage.ready("example").await;
    stage.rounds(6).await;
    for name in REGIONS {
        let domains: Vec<String> = puts(&stage, name).into_iter().map(|put| put.domain).collect();
        assert_eq!(domains, way_out, "{name}");
        assert!(behaviors(&stage, name).iter().all(|behavior| behavior == DEFAULT));
        assert_eq!(region(&status, name).restarts, 0, "forgotten with the Success");
    }
}

#[tokio::test]
async fn a_failed_setup_is_put_again_once_dns_is_repaired() {
    without_an_mx_for_72_hours("failed", PutInFailed::Restarts, &[NAME, NAME]).await;
}

#[tokio::test]
async fn a_failed_setup_that_a_put_does_not_restart_is_cleared_and_put() {
    let way_out = [NAME, NAME, "", NAME];
    without_an_mx_for_72_hours("cleared", PutInFailed::Ignored, &way_out).await;
}

#[tokio::test]
async fn past_its_deadline_and_still_pending_it_is_overdue_and_left_alone() {
    let config = patient(SesConfig::default());
    let stage = Stage::with("overdue", config).await.flag("--verification-window", "1s");
    let _operator = stage.operator().await;
    stage.apply("example", in_both()).await;
    stage.condition("example", "Reconciling", "True VerificationOverdue").await;
    stage.rounds(6).await;
    for name in REGIONS {
        assert_eq!(puts(&stage, name).len(), 1, "{name}");
    }
    stage.aws.advance(HALF_AN_HOUR);
    stage.ready("example").await;
}

#[tokio::test]
async fn a_temporary_failure_comes_back_by_itself_and_a_final_one_is_restarted_with_care() {
    let stage = Stage::with("temporary", patient(SesConfig::default())).await;
    let _operator = stage.operator().await;
    let name = REGIONS[0];
    let spec = json!({"regions": [{"name": name}], "behaviorOnMxFailure": "RejectMessage"});
    stage.apply("example", spec).await;
    reaches(&stage, name, MailFromStatus::Pending).await;
    stage.aws.advance(HALF_AN_HOUR);
    stage.ready("example").await;
    assert!(!was_rejected(&stage));

    let lose_sight = async || {
        undelegate(&stage);
        stage.aws.advance(Duration::from_hours(1));
        reaches(&stage, name, MailFromStatus::TemporaryFailure).await;
        stage.condition("example", "Reconciling", "True TemporaryFailure").await;
        stage.condition("example", "Ready", "False TemporaryFailure").await;
    };
    lose_sight().await;
    let says_why = |object: &ses_mailfrom::api::SesMailFrom| {
        let status = object.status.as_ref()?;
        let region = status.regions.iter().find(|region| region.name == name)?;
        region.message.contains("does not delegate").then_some(())
    };
    stage.until("example", "what DNS shows", says_why).await;
    let region = told(&stage, MailFromStatus::TemporaryFailure).await.remove(0);
    assert!(region.deadline.is_some());
    assert_eq!(region.sending, Sending::Rejected, "it is said that mail is refused");
    stage.rounds(6).await;
    delegate(&stage);
    stage.aws.advance(Duration::from_hours(1));
    stage.ready("example").await;
    assert_eq!(behaviors(&stage, name), [DEFAULT, REJECT], "no put, and no other behaviour");

    lose_sight().await;
    stage.aws.advance(WINDOW);
    stage.condition("example", "Stalled", "True VerificationFailed").await;
    stage.rounds(6).await;
    assert_eq!(behaviors(&stage, name), [DEFAULT, REJECT], "what SES holds is left as it is");
    delegate(&stage);
    reaches(&stage, name, MailFromStatus::Pending).await;
    stage.aws.advance(HALF_AN_HOUR);
    stage.ready("example").await;
    assert_eq!(behaviors(&stage, name), [DEFAULT, REJECT, DEFAULT, REJECT]);
}

#[tokio::test]
async fn a_region_that_does_not_accept_another_ones_mx_is_told_to_take_its_own() {
    let config = patient(SesConfig { foreign_mx: ForeignMx::Refused, ..SesConfig::default() });
    let stage = Stage::with("foreign", config).await;
    let _operator = stage.operator().await;
    stage.apply("example", in_both()).await;
    let [at_home, abroad] = REGIONS;
    let pending_after = async |count: usize| {
        let pending = |world: &World| {
            let status = world.mail_from_status(ACCOUNT, abroad, DOMAIN)?;
            let put = puts_in(world, abroad).len() >= count;
            (put && status == MailFromStatus::Pending).then_some(())
        };
        stage.world(&format!("Pending after put {count}"), pending).await;
    };
    reaches(&stage, at_home, MailFromStatus::Pending).await;
    pending_after(1).await;
    stage.aws.advance(WINDOW + HALF_AN_HOUR);
    // A put when DNS is right is the one restart that it is given.
    pending_after(2).await;
    told_apart(&stage, abroad, "Pending").await;
    stage.rounds(12).await;
    stage.next_second().await;
    stage.aws.advance(WINDOW + HALF_AN_HOUR);
    let message = stage.condition("example", "Stalled", "True SharedMxNotAccepted").await;
    assert!(message.contains(abroad) && message.contains("subdomain of its own"), "{message}");
    let status = stage.until("example", "a status", |object| object.status.clone()).await;
    assert_eq!(status.regions_verified.as_deref(), Some("1/2"));
    assert_eq!(region(&status, at_home).sending, Sending::CustomMailFrom);
    stage.rounds(6).await;
    assert_eq!((puts(&stage, at_home).len(), puts(&stage, abroad).len()), (1, 2));

    let own = json!([{"name": at_home}, {"name": abroad, "subdomain": "bounce-eu"}]);
    stage.edit("example", json!({"regions": own})).await;
    pending_after(3).await;
    stage.aws.advance(HALF_AN_HOUR);
    stage.ready("example").await;
    let own =
        values(&stage, crate::stage::ZONE, "bounce-eu.example.com", aws_simulator::RecordType::MX);
    assert_eq!(own, [format!("10 feedback-smtp.{abroad}.amazonses.com")]);
}

/// Waits until status tells `word` of one region.
async fn told_apart(stage: &Stage, name: &str, word: &str) {
    stage
        .until("example", &format!("{word} in {name}"), |object| {
            let regions = &object.status.as_ref()?.regions;
            let found = regions.iter().find(|region| region.name == name)?;
            (format!("{:?}", found.mail_from_status) == word).then_some(())
        })
        .await;
}

#[tokio::test]
async fn stale_reads_after_a_put_are_not_answered_with_another_put() {
    let stale_reads = Duration::from_secs(30);
    let ses = SesConfig { stale_reads, checks: CheckSchedule::eager(), ..SesConfig::default() };
    let stage = Stage::with("stale", Config { ses, ..instant() }).await;
    let stage = stage.flag("--put-hold-off", "60s");
    let _operator = stage.operator().await;
    stage.apply("example", in_both()).await;
    for name in REGIONS {
        reaches(&stage, name, MailFromStatus::Success).await;
    }
    stage.rounds(6).await;
    for name in REGIONS {
        assert_eq!(puts(&stage, name).len(), 1, "{name}: a read that is late is no reason to put");
    }
    stage.aws.advance(stale_reads);
    stage.ready("example").await;
    stage.rounds(6).await;
    for name in REGIONS {
        assert_eq!(puts(&stage, name).len(), 1, "{name}");
    }
}
