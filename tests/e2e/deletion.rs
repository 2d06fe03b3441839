//! Deletion at every stage of a life, under every policy, and with AWS in
//! every state.

use std::time::Duration;

use aws_simulator::{
    ACCESS_KEY, ACCOUNT, CheckSchedule, Config, Fault, Matching, Outcome, RecordSet, RecordType,
    Route53Config, Service, SesConfig, Trouble,
};
use futures::StreamExt as _;
use harness::Operator;
use serde_json::{Value, json};
use ses_mailfrom::api::RecordState;

use crate::held::{Held, assert_never_worse, held, history, written};
use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE, instant};

const OBJECT: &str = "example";
const MOVED: &str = "post.example.com";

/// How far a life has come when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Unpublished,
    NotInSync,
    Pending,
    Success,
    Draining,
}

/// An object at some stage of its life, and what AWS held before it.
struct Life {
    stage: Stage,
    operator: Operator,
    found: Held,
}

fn two_regions(policy: &str) -> Value {
    json!({"regions": REGIONS.map(|name| json!({"name": name})), "deletionPolicy": policy})
}

impl Life {
    /// An operator, and a zone in which somebody's text stands at our name.
    async fn begin(config: Config) -> Self {
        let stage = Stage::with("deletion", config).await;
        stage.aws.with(|world| {
            let text = RecordSet::new(NAME, RecordType::TXT, 300, &["\"somebody's\""]);
            world.put_record_set(ZONE, text.expect("a record set")).expect("a record");
        });
        let (found, operator) = (held(&stage), stage.operator().await);
        Self { stage, operator, found }
    }

    async fn ready(spec: Value) -> Self {
        let life = Self::begin(instant()).await;
        life.stage.apply(OBJECT, spec).await;
        life.stage.ready(OBJECT).await;
        life
    }

    async fn at(at: At, policy: &str) -> Self {
        let never = Duration::from_hours(1);
        let config = match at {
            At::NotInSync => Config {
                route53: Route53Config { in_sync_after: never, ..instant().route53 },
                ..instant()
            },
            At::Pending => {
                let checks = CheckSchedule { first: never, ..CheckSchedule::eager() };
                Config { ses: SesConfig { checks, ..instant().ses }, ..instant() }
            }
            _ => instant(),
        };
        let life = Self::begin(config).await;
        if at == At::Unpublished {
            life.stage.aws.with(|world| {
                for region in REGIONS {
                    world.set_identity(ACCOUNT, region, DOMAIN, false);
                }
            });
        }
        life.stage.apply(OBJECT, two_regions(policy)).await;
        life.come_to(at).await;
        life
    }

    /// Waits until the stage is reached, and makes sure of it.
    async fn come_to(&self, at: At) {
        let stage = &self.stage;
        let reason = match at {
            At::Unpublished => "IdentityNotVerified",
            At::NotInSync => "WaitingForDNS",
            At::Pending => "Pending",
            At::Success | At::Draining => {
                stage.ready(OBJECT).await;
                ""
            }
        };
        if !reason.is_empty() {
            stage.condition(OBJECT, "Ready", &format!("False {reason}")).await;
        }
        if at == At::Draining {
            stage.edit(OBJECT, json!({"subdomain": "post"})).await;
            stage.ready(OBJECT).await;
            let draining = |object: &ses_mailfrom::api::SesMailFrom| {
                let records = &object.status.as_ref()?.records;
                records.iter().any(|record| record.state == RecordState::Draining).then_some(())
            };
            stage.until(OBJECT, "a draining name", draining).await;
        }
        let now = held(stage);
        let published = |name| !now.at(name, RecordType::MX).is_empty();
        assert_eq!(published(NAME), at != At::Unpublished, "{at:?}: {now:?}");
        assert_eq!(published(MOVED), at == At::Draining, "{at:?}: {now:?}");
        let set = now.ses.iter().flatten().filter(|view| view.domain.is_some()).count();
        let told = matches!(at, At::Pending | At::Success | At::Draining);
        assert_eq!(set, if told { REGIONS.len() } else { 0 }, "{at:?}: {now:?}");
    }

    async fn delete(&self) {
        self.stage.delete(OBJECT).await;
        self.stage.gone(OBJECT).await;
    }
}

async fn at_every_stage(policy: &str, expected: impl Fn(&Held, &Held) -> Held) {
    let stages = [At::Unpublished, At::NotInSync, At::Pending, At::Success, At::Draining];
    let lives = stages.map(async |at| {
        let context = format!("{policy} at {at:?}");
        let life = Life::at(at, policy).await;
        let (before, writes) = (held(&life.stage), written(&life.stage));
        life.delete().await;
        assert_eq!(held(&life.stage), expected(&life.found, &before), "{context}");
        if policy == "Retain" || at == At::Unpublished {
            assert_eq!(written(&life.stage), writes, "{context}");
        }
        assert_never_worse(&life.stage, &context);
    });
    futures::stream::iter(lives).buffer_unordered(3).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn delete_leaves_zone_and_ses_as_found_at_every_stage() {
    at_every_stage("Delete", |found, _| found.clone()).await;
}

#[tokio::test]
async fn retain_dns_leaves_mx_and_spf_at_every_stage() {
    at_every_stage("RetainDNS", |_, before| before.clone().cleared().unmarked()).await;
}

#[tokio::test]
async fn retain_leaves_everything_at_every_stage() {
    at_every_stage("Retain", |_, before| before.clone()).await;
}

#[tokio::test]
async fn retained_dns_is_adopted_by_an_object_created_anew() {
    let life = Life::ready(two_regions("RetainDNS")).await;
    life.delete().await;
    let writes = written(&life.stage);
    assert_eq!(held(&life.stage).at(NAME, RecordType::MX).len(), 1);
    life.stage.apply(OBJECT, two_regions("RetainDNS")).await;
    life.stage.ready(OBJECT).await;
    life.stage.rounds(2 * REGIONS.len()).await;
    let after = history(&life.stage, writes);
    assert_eq!(after.len(), 1 + REGIONS.len(), "the marker and the puts alone: {after:#?}");
    let adopted = " mx=adopted spf=adopted regions=eu-west-1,us-east-1\"";
    assert!(held(&life.stage).at(NAME, RecordType::TXT).iter().any(|v| v.ends_with(adopted)));
}

#[tokio::test]
async fn retained_records_are_taken_up_by_an_object_created_anew() {
    let life = Life::ready(two_regions("Retain")).await;
    let writes = written(&life.stage);
    life.delete().await;
    life.stage.apply(OBJECT, two_regions("Delete")).await;
    life.stage.ready(OBJECT).await;
    life.stage.rounds(2 * REGIONS.len()).await;
    assert_eq!(written(&life.stage), writes);
    life.delete().await;
    assert_eq!(held(&life.stage), life.found);
}

/// Waits until that many more calls of AWS have gone wrong.
async fn more_failures(stage: &Stage, more: usize) {
    let failed = |world: &aws_simulator::World| {
        let wrong = |call: &&aws_simulator::Call| {
            matches!(call.outcome, Outcome::Error { .. } | Outcome::Lost)
        };
        world.calls().iter().filter(wrong).count()
    };
    let before = stage.aws.with(|world| failed(world));
    stage.world("failed calls", |world| (failed(world) >= before + more).then_some(())).await;
}

#[tokio::test]
async fn a_deletion_outlasts_trouble_with_aws() {
    let troubles = [Trouble::Fail(503), Trouble::Throttle, Trouble::LoseAnswer];
    let lives = troubles.map(async |trouble| {
        let life = Life::ready(two_regions("Delete")).await;
        let stage = &life.stage;
        let before = held(stage);
        stage.aws.add_fault(Fault::always(Matching::any(), trouble.clone()));
        stage.delete(OBJECT).await;
        more_failures(stage, 4).await;
        assert!(stage.api().get_opt(OBJECT).await.unwrap().is_some(), "{trouble:?}");
        if trouble != Trouble::LoseAnswer {
            assert_eq!(held(stage), before, "{trouble:?}");
        }
        stage.aws.clear_faults();
        stage.gone(OBJECT).await;
        assert_eq!(held(stage), life.found, "{trouble:?}");
    });
    futures::stream::iter(lives).buffer_unordered(3).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn a_deletion_needs_no_answers_to_its_writes() {
    let life = Life::ready(two_regions("Delete")).await;
    let stage = &life.stage;
    for action in ["PutEmailIdentityMailFromAttributes", "ChangeResourceRecordSets"] {
        let lost = Fault::once(Matching::action(action), Trouble::LoseAnswer);
        stage.aws.add_fault(lost);
    }
    let before = written(stage);
    life.delete().await;
    assert_eq!(held(stage), life.found);
    let writes = history(stage, before);
    assert_eq!(writes.len(), 4, "two clears, MX and TXT, none of them twice: {writes:?}");
}

#[tokio::test]
async fn a_region_that_fails_for_good_holds_up_only_itself() {
    let own = json!({
        "regions": [{"name": REGIONS[0], "subdomain": "a"}, {"name": REGIONS[1], "subdomain": "b"}],
        "deletionPolicy": "Delete",
    });
    let lives =
        [(own, "b.example.com"), (two_regions("Delete"), NAME)].map(async |(spec, kept)| {
            let life = Life::ready(spec).await;
            let stage = &life.stage;
            let before = held(stage);
            let ses = Matching::service(Service::Ses).region(REGIONS[1]);
            stage.aws.add_fault(Fault::always(ses, Trouble::AccessDenied));
            stage.delete(OBJECT).await;
            let is_other = |name: &str| name != kept && name.ends_with(&format!(".{DOMAIN}"));
            stage
                .world("the healthy region cleared", |world| {
                    let now = crate::held::held_in(world);
                    let cleared = now.ses[0].as_ref().is_some_and(|view| view.domain.is_none());
                    let mut mx = now.zone.iter().filter(|set| set.kind == RecordType::MX);
                    (cleared && !mx.any(|set| is_other(&set.name))).then_some(())
                })
                .await;
            let said = stage.until(OBJECT, "how to let go", |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
                let told = ready.message.contains("deletionPolicy to Retain");
                (told && ready.reason == "AccessDenied").then(|| ready.message.clone())
            });
            let message = said.await;
            assert!(message.contains(REGIONS[1]), "{message}");
            more_failures(stage, 2).await;
            let now = held(stage);
            assert_eq!(now.at(kept, RecordType::MX), before.at(kept, RecordType::MX));
            assert_eq!(now.ses[1], before.ses[1]);
            stage.edit(OBJECT, json!({"deletionPolicy": "Retain"})).await;
            stage.gone(OBJECT).await;
            assert_eq!(held(stage), now);
        });
    futures::stream::iter(lives).buffer_unordered(2).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn identities_and_zones_that_are_gone_hold_up_no_deletion() {
    let lives = [(true, false), (false, true), (true, true)].map(async |(identity, zone)| {
        let life = Life::ready(two_regions("Delete")).await;
        let stage = &life.stage;
        stage.aws.with(|world| {
            if identity {
                world.delete_identity(ACCOUNT, REGIONS[1], DOMAIN);
            }
            if zone {
                world.delete_zone(ZONE);
            }
        });
        life.delete().await;
        let mut expected = life.found.clone();
        if identity {
            expected.ses[1] = None;
        }
        if zone {
            expected.zone.clear();
        }
        assert_eq!(held(stage), expected, "identity gone: {identity}, zone gone: {zone}");
    });
    futures::stream::iter(lives).buffer_unordered(3).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn another_account_is_not_taken_for_an_empty_one() {
    let mut life = Life::ready(two_regions("Delete")).await;
    life.operator.kill();
    let stage = &life.stage;
    let before = held(stage);
    stage.aws.with(|world| world.add_account("210987654321", ACCESS_KEY));
    stage.delete(OBJECT).await;
    life.operator = stage.operator().await;
    stage.condition(OBJECT, "Ready", "False AccountChanged").await;
    assert_eq!(held(stage), before);
    life.operator.kill();
    stage.aws.with(|world| world.add_account(ACCOUNT, ACCESS_KEY));
    life.operator = stage.operator().await;
    stage.gone(OBJECT).await;
    assert_eq!(held(stage), life.found);
}
