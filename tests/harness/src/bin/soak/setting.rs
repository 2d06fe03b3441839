//! The control plane, the operator, and an AWS in which others were there first.

use std::path::Path;
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Behavior, CheckSchedule, Config, IdentityKey, Listen, MailFromStatus, Quotas,
    RecordSet, RecordType, Role, Route53Config, Serving, SesConfig, SimClock, Simulator, World,
    ZoneSpec,
};
use harness::{ControlPlane, Deployment, Launch};
use serde_json::{Value, json};

use crate::Failure;
use crate::ledger::Ledger;
use crate::others::settled;

/// Every domain is an identity there.
pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-2"];
/// The subdomains that specs may ask for.
pub(crate) const LABELS: [&str; 3] = ["bounce", "mail", "post"];

/// Where the policy `default` counts, and where only a policy that comes and goes.
const NAMESPACES: [&str; 2] = ["default", "tenant"];
/// The label of a namespace that the policy `default` is not for.
const OWN_POLICIES: &str = "own-policies";

/// The account that some identities are in, and the role that reaches them.
const OTHER_ACCOUNT: &str = "210987654321";
const ROLE: &str = "arn:aws:iam::210987654321:role/ses";
const OWNER: &str = "soak";

/// Simulated seconds in one of the wall's: 72 hours in a minute.
pub(crate) const PACE: f64 = 4320.0;

/// Short enough for many lives in a run.
const DURATIONS: [(&str, &str); 20] = [
    ("--verification-window", "60s"),
    ("--drain-window", "4s"),
    ("--poll-min", "100ms"),
    ("--poll-max", "1s"),
    ("--resync", "1s"),
    ("--restart-pause-min", "1s"),
    ("--restart-pause-max", "4s"),
    // Longer than SES may answer with what was before a put; status tells whole
    // seconds.
    ("--put-hold-off", "1300ms"),
    ("--stall-grace", "2s"),
    // Longer than any policy stays away: nothing is left in place.
    ("--authority-grace", "10m"),
    ("--stale-after", "20s"),
    ("--drift-loop-window", "3s"),
    ("--insync-fallback", "2s"),
    ("--max-observation-age", "1s"),
    ("--zone-cache", "2s"),
    ("--ses-rate", "50"),
    ("--route53-rate", "100"),
    // A killed operator's lease is waited for.
    ("--lease-duration", "8s"),
    ("--renew-deadline", "6s"),
    ("--retry-period", "1s"),
];

/// A domain with a zone and identities of its own, and the objects for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Slot(usize);

/// Every domain of the run.
pub(crate) fn slots() -> impl Iterator<Item = Slot> {
    (0..8).map(Slot)
}

impl Slot {
    /// The domain.
    pub(crate) fn domain(self) -> String {
        format!("soak{}.example", self.0)
    }

    /// The id of its zone.
    pub(crate) fn zone(self) -> String {
        format!("ZSOAK{}", self.0)
    }

    /// The objects for it: two of them claim one domain.
    pub(crate) fn objects(self) -> Vec<String> {
        let rivals = if self.0 == 4 { &["first", "second"][..] } else { &["only"] };
        rivals.iter().map(|rival| format!("soak{}-{rival}", self.0)).collect()
    }

    /// Where its objects are.
    pub(crate) fn namespace(self) -> &'static str {
        NAMESPACES[usize::from(self.0 >= 6)]
    }

    /// Whether its objects have their leave of a policy that comes and goes.
    pub(crate) fn is_tenant(self) -> bool {
        self.namespace() != NAMESPACES[0]
    }

    /// The role that its objects name for SES: of another account.
    pub(crate) fn role(self) -> Option<&'static str> {
        (self.0 == 7).then_some(ROLE)
    }

    /// The account that its identities are in. Its zone is in the operator's own.
    pub(crate) fn account(self) -> &'static str {
        if self.role().is_some() { OTHER_ACCOUNT } else { ACCOUNT }
    }

    /// Whether its object may say `adoptionPolicy: Always`.
    pub(crate) fn swaps(self) -> bool {
        self.0 == 5
    }

    /// Whether statuses are wiped there and objects deleted in any mode: then names
    /// that drained are forgotten, or nothing is touched, and what stands stays.
    pub(crate) fn forgets(self) -> bool {
        self.0 == 0 || self.0 == 4
    }

    /// Its identities.
    pub(crate) fn identities(self) -> Vec<IdentityKey> {
        let identity = |region| IdentityKey::new(self.account(), region, &self.domain());
        REGIONS.map(identity).into()
    }
}

/// The policy of the tenants' namespace: their domains, their role.
pub(crate) fn policy() -> Value {
    let domains: Vec<String> = slots().filter(|slot| slot.is_tenant()).map(Slot::domain).collect();
    json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFromPolicy",
        "metadata": {"name": "tenant"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACES[1]}},
            "domains": domains, "roleARNs": [ROLE], "ambientCredentials": "Allow",
            "spfIncludes": ["*"],
        },
    })
}

/// Everything that runs besides the operator.
pub(crate) struct Setting {
    pub(crate) simulator: Simulator,
    pub(crate) launch: Launch,
    pub(crate) plane: ControlPlane,
    _serving: Serving,
}

impl Setting {
    pub(crate) async fn build(binary: &Path) -> Result<Self, Failure> {
        let plane = ControlPlane::start().await?;
        let simulator = Simulator::new(config(), SimClock::scaled(PACE));
        let serving = simulator.serve(Listen::default()).await?;
        plane.apply_kustomize("deploy").await?;
        let crd = ["wait", "--for=condition=Established", "crd/sesmailfroms.mailfrom.dev"];
        plane.kubectl(crd).await?;
        let tenant = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACES[1], "labels": {OWN_POLICIES: "yes"}},
        });
        plane.apply(&tenant.to_string()).await?;
        let others = json!({"key": OWN_POLICIES, "operator": "DoesNotExist"});
        let narrow = json!({"spec": {"namespaceSelector": {"matchExpressions": [others]}}});
        let narrow = narrow.to_string();
        plane.kubectl(["patch", "smfp/default", "--type=merge", "-p", &narrow]).await?;
        let deployment = Deployment::find(&plane.kustomize("deploy").await?)?;
        let launch = Launch::new(deployment, binary)
            .aws(&serving.endpoint())
            .flag("--owner-id", OWNER)
            .dns(serving.resolver(), serving.dns_port());
        let launch =
            DURATIONS.iter().fold(launch, |launch, (flag, value)| launch.flag(flag, value));
        Ok(Self { simulator, launch, plane, _serving: serving })
    }
}

fn config() -> Config {
    Config {
        ses: SesConfig {
            checks: CheckSchedule { first: Duration::ZERO, ..CheckSchedule::eager() },
            stale_reads: Duration::from_mins(5),
            ..SesConfig::default()
        },
        route53: Route53Config {
            in_sync_after: Duration::from_mins(10),
            ..Route53Config::default()
        },
        quotas: Quotas::off(),
        ..Config::default()
    }
}

/// Zones and identities, and what others had set up by hand in some of them.
pub(crate) fn furnish(simulator: &Simulator, ledger: &mut Ledger) -> Result<(), Failure> {
    simulator.with(|world| {
        let external_id = Some(format!("{OWNER}/{}", NAMESPACES[1]));
        let trusted = vec![ACCOUNT.to_owned()];
        world.add_role(ROLE, Role { external_id, trusted, ..Role::default() });
        for slot in slots() {
            world.create_zone(ZoneSpec::public(ACCOUNT, &slot.domain()).id(&slot.zone()))?;
            for region in REGIONS {
                world.set_identity(slot.account(), region, &slot.domain(), true);
            }
        }
        Ok::<_, Failure>(())
    })?;
    for slot in slots().filter(|slot| slot.swaps()) {
        ledger.let_swap(&slot.domain());
    }
    let by_hand = [
        (Slot(1), "v=spf1 include:amazonses.com -all", true),
        (Slot(2), "v=spf1 a mx ip4:192.0.2.200 ~all", false),
        (Slot(5), "v=spf1 include:amazonses.com ~all", true),
        (Slot(7), "v=spf1 include:amazonses.com -all", true),
    ];
    for (slot, spf, whole) in by_hand {
        let name = format!("{}.{}", LABELS[0], slot.domain());
        ledger.edit(simulator, |world| by_hand_at(world, slot, &name, spf, whole));
        if whole {
            ledger.set(simulator, &slot.identities()[0], Some(&name));
        }
    }
    Ok(())
}

/// A MAIL FROM domain as a person or Terraform leaves it, or its SPF record alone.
fn by_hand_at(world: &mut World, slot: Slot, name: &str, spf: &str, whole: bool) {
    let mut put = |kind, value: &str| {
        if let Ok(set) = RecordSet::new(name, kind, 600, &[value]) {
            settled(world.put_record_set(&slot.zone(), set));
        }
    };
    put(RecordType::TXT, &format!("\"{spf}\""));
    if whole {
        put(RecordType::MX, "10 feedback-smtp.us-east-1.amazonses.com");
        let domain = Some((name, MailFromStatus::Success));
        let behavior = Behavior::UseDefaultValue;
        let held = (slot.account(), REGIONS[0], slot.domain());
        settled(world.force_mail_from(held.0, held.1, &held.2, domain, behavior));
    }
}
