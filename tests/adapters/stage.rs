//! The adapters on a simulated world or on canned answers, and who is woken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_simulator::{
    ACCESS_KEY, ACCOUNT, Config, Listen, Quotas, RecordSet as SimSet, RecordType as SimType,
    Serving, SimClock, Simulator, ZoneSpec,
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::Timestamp;
use serde_json::json;
use ses_mailfrom::authority::{
    Claimant, Claims, Credentials, Grant, Labels, Look, ObjectKey, Place, Policy, Service,
    ServiceCredentials, Sight, Standing,
};
use ses_mailfrom::aws::{Aws, Call, Changed, Error, Handed, Reply, Settings};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::mail::{
    Change, ChangeBatch, DomainName, HostedZoneId, Identity, MailFromDomain, Owner, RecordSet,
    RecordType, Region, Regions, RoleArn, Routing, Verification,
};
use tokio::sync::mpsc;

/// After this, what should come is given up.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) const REGION: &str = "us-east-1";

/// An `Aws` and the objects that it wakes.
pub(crate) struct Operator {
    pub(crate) aws: Aws,
    pub(crate) clock: Clock,
    woken: mpsc::UnboundedReceiver<ObjectKey>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// Rates that no test waits for.
pub(crate) fn fast() -> Settings {
    Settings {
        ses_rate: 1000.0,
        route53_rate: 1000.0,
        request_timeout: Duration::from_secs(5),
        linger: Duration::from_millis(2),
        linger_max: Duration::from_millis(20),
        ..Settings::default()
    }
}

impl Operator {
    /// # Panics
    /// Where `sdk` would reach the real AWS.
    pub(crate) fn new(sdk: &SdkConfig, settings: Settings, clock: Clock) -> Self {
        let local = sdk.endpoint_url().is_some_and(|url| url.starts_with("http://127."));
        assert!(local, "these tests must not run without an endpoint on loopback");
        let (wake, woken) = mpsc::unbounded_channel();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&calls);
        let aws = Aws::new(
            sdk,
            settings,
            clock.clone(),
            Arc::new(move |object: &ObjectKey| {
                // Nobody listens any more when the test ends.
                let _ = wake.send(object.clone());
            }),
            Arc::new(move |call: &Call| heard.lock().unwrap().push(call.clone())),
        );
        Self { aws, clock, woken, calls }
    }

    /// The next object that is woken.
    pub(crate) async fn woken(&mut self) -> ObjectKey {
        tokio::time::timeout(LIMIT, self.woken.recv()).await.expect("nobody was woken").unwrap()
    }

    /// Whether somebody was woken that nobody has heard of yet.
    pub(crate) fn anybody_woken(&mut self) -> bool {
        self.woken.try_recv().is_ok()
    }

    /// Asks until there is an answer, each time only after having been woken.
    pub(crate) async fn settle<T>(&mut self, ask: impl Fn(&Aws) -> Reply<T>) -> Reply<T> {
        loop {
            match ask(&self.aws) {
                Reply::NotYet => self.woken().await,
                settled => return settled,
            };
        }
    }

    /// Asks until there is an answer, which must be a good one.
    pub(crate) async fn known<T>(&mut self, ask: impl Fn(&Aws) -> Reply<T>) -> T {
        match self.settle(ask).await {
            Reply::Known { value, .. } => value,
            Reply::Failed { error, .. } => panic!("{error}"),
            Reply::NotYet => unreachable!("settled"),
        }
    }

    /// Asks so many questions together, until each has a good answer.
    pub(crate) async fn all_known<T>(
        &mut self,
        count: usize,
        ask: impl Fn(&Aws, usize) -> Reply<T>,
    ) -> Vec<T> {
        let mut known: Vec<Option<T>> = (0..count).map(|_| None).collect();
        loop {
            for (n, known) in known.iter_mut().enumerate().filter(|(_, known)| known.is_none()) {
                match ask(&self.aws, n) {
                    Reply::Known { value, .. } => *known = Some(value),
                    Reply::Failed { error, .. } => panic!("{error}"),
                    Reply::NotYet => {}
                }
            }
            if known.iter().all(Option::is_some) {
                return known.into_iter().flatten().collect();
            }
            self.woken().await;
            while self.anybody_woken() {}
        }
    }

    /// Asks until there is an answer, which must be a failure.
    pub(crate) async fn failed<T: std::fmt::Debug>(
        &mut self,
        ask: impl Fn(&Aws) -> Reply<T>,
    ) -> Error {
        match self.settle(ask).await {
            Reply::Failed { error, .. } => error,
            other => panic!("no failure: {other:?}"),
        }
    }

    /// Has it ask whose its credentials are, and no call to show for it.
    pub(crate) async fn knows_its_account(&mut self) {
        let anybody = object("anybody", &[]);
        self.known(|aws| aws.account(anybody.sight(), Service::Ses, ANY)).await;
        self.calls.lock().unwrap().clear();
    }

    /// Waits for a permit.
    pub(crate) async fn permit<P>(&mut self, ask: impl Fn(&Aws) -> Option<P>) -> P {
        loop {
            if let Some(permit) = ask(&self.aws) {
                return permit;
            }
            self.woken().await;
        }
    }

    /// Hands a change over and waits for its end.
    pub(crate) async fn change(
        &mut self,
        grant: Grant,
        batch: ChangeBatch,
    ) -> Result<Changed, Error> {
        let object = grant.object().clone();
        assert_eq!(self.aws.change_records(grant, &Arc::new(batch)), Handed::New);
        self.ended(&object).await
    }

    /// Waits until one change of an object has ended.
    pub(crate) async fn ended(&mut self, object: &ObjectKey) -> Result<Changed, Error> {
        loop {
            if let Some((_, ended)) = self.aws.endings(object).ended.pop() {
                return ended;
            }
            self.woken().await;
        }
    }

    /// The calls made so far, as `operation region code`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let line = |call: &Call| format!("{} {} {}", call.operation, call.region, call.code);
        self.calls.lock().unwrap().iter().map(line).collect()
    }
}

/// Credentials and an endpoint on loopback, nothing of the environment.
pub(crate) fn sdk(endpoint: &str, access_key: &str, http: Option<SharedHttpClient>) -> SdkConfig {
    let credentials = Keys::new(access_key, "any", None, None, "test");
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials));
    sdk.set_http_client(http);
    sdk.build()
}

/// A simulated AWS over HTTP and DNS on loopback.
pub(crate) struct Stage {
    pub(crate) sim: Simulator,
    pub(crate) serving: Serving,
}

impl Stage {
    /// With a delegated zone `example.com` that has the id Z1.
    pub(crate) async fn with_zone() -> Self {
        let stage = Self::new().await;
        let zone = ZoneSpec::public(ACCOUNT, "example.com").id("Z1");
        stage.sim.with(|world| world.create_zone(zone)).unwrap();
        stage
    }

    /// Puts a record set into that zone.
    pub(crate) fn add(&self, name: &str, kind: SimType, values: &[&str]) {
        self.add_set(SimSet::new(name, kind, 300, values).unwrap());
    }

    pub(crate) fn add_set(&self, set: SimSet) {
        self.sim.with(|world| world.put_record_set("Z1", set)).unwrap();
    }

    pub(crate) async fn new() -> Self {
        Self::with(Config { quotas: Quotas::off(), ..Config::default() }).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let sim = Simulator::new(config, SimClock::manual());
        let serving = sim.serve(Listen::default()).await.unwrap();
        Self { sim, serving }
    }

    pub(crate) fn operator(&self) -> Operator {
        self.operator_with(fast())
    }

    pub(crate) fn operator_with(&self, settings: Settings) -> Operator {
        self.operator_as(ACCESS_KEY, settings)
    }

    pub(crate) fn operator_as(&self, access_key: &str, settings: Settings) -> Operator {
        let sdk = sdk(&self.serving.endpoint(), access_key, None);
        Operator::new(&sdk, settings, Clock::system())
    }
}

/// An object that claims the identity `example.com` in two regions, and names.
pub(crate) fn object(name: &str, names: &[&str]) -> Actor {
    object_with(name, names, ServiceCredentials::default())
}

/// The session of a role for the namespace of every object here.
pub(crate) fn role(arn: &str) -> Credentials {
    Credentials::role(RoleArn::parse(arn).unwrap(), "mail")
}

/// The same with other credentials.
pub(crate) fn object_with(name: &str, names: &[&str], credentials: ServiceCredentials) -> Actor {
    let domain = domain("example.com");
    let regions = [region(REGION), region("eu-west-1")];
    let name_place = |name: &&str| Place::Name(MailFromDomain::below(name, &domain).unwrap());
    let roles = [&credentials.ses, &credentials.route53].map(role_of);
    let roles: Vec<_> = roles.into_iter().flatten().collect();
    let namespace = roles.first().map_or("mail", |(_, namespace)| namespace);
    let key = ObjectKey::new(namespace, name);
    let mut claims = Claims::default();
    claims.put_namespace(namespace, Labels::new());
    let everything = json!({
        "namespaceSelector": {}, "domains": ["*"], "ambientCredentials": "Allow",
        "roleARNs": roles.iter().map(|(arn, _)| *arn).collect::<Vec<_>>(),
    });
    let everything = serde_json::from_value(everything).unwrap();
    claims.put_policy("default", Policy::parse(&everything).unwrap());
    let places: Arc<[Place]> =
        regions.into_iter().map(Place::Region).chain(names.iter().map(name_place)).collect();
    claims.put(Claimant {
        key: key.clone(),
        uid: name.into(),
        created: Timestamp::UNIX_EPOCH,
        owner: Owner::of("test", namespace, name),
        asked: places.clone(),
        places,
        domain,
        credentials,
        spf_includes: BTreeSet::new(),
        manages: true,
        take_over: None,
    });
    Actor { standing: claims.standing(&key).unwrap(), claims: Mutex::new(claims) }
}

fn role_of(credentials: &Credentials) -> Option<(&str, &str)> {
    match credentials {
        Credentials::Ambient => None,
        Credentials::Role(role) => Some((role.arn.as_str(), &role.namespace)),
    }
}

/// Speaks for an object.
pub(crate) struct Actor {
    standing: Standing,
    claims: Mutex<Claims>,
}

impl Actor {
    /// Has the policy go that what was given out until now rests on.
    pub(crate) fn lose_authority(&self) {
        assert!(!self.claims.lock().unwrap().remove_policy("default").is_empty());
    }

    /// A person waits for what it asks from now on.
    pub(crate) fn with_urgency(self) -> Self {
        Self { standing: self.standing.with_urgency(true), ..self }
    }

    pub(crate) fn key(&self) -> ObjectKey {
        self.standing.key().clone()
    }

    pub(crate) fn sight(&self) -> Sight {
        self.standing.sight(Look::Account(Service::Ses)).unwrap()
    }

    pub(crate) fn grant(&self, region_name: &str) -> Grant {
        self.standing.claim(&Place::Region(region(region_name)), None).unwrap()
    }

    pub(crate) fn name_grant(&self, name: &str) -> Grant {
        let name = MailFromDomain::below(name, &domain("example.com")).unwrap();
        self.standing.claim(&Place::Name(name), None).unwrap()
    }
}

/// Both of what SES says of an identity.
pub(crate) fn ses_says(
    aws: &Aws,
    actor: &Actor,
    identity: &DomainName,
    region: &Region,
    not_before: Timestamp,
) -> Reply<Option<Identity>> {
    let verification = aws.verification(actor.sight(), identity, region, not_before);
    match (verification, aws.mail_from(actor.sight(), identity, region, not_before)) {
        (Reply::Failed { error, retry_at }, _) | (_, Reply::Failed { error, retry_at }) => {
            Reply::Failed { error, retry_at }
        }
        (
            Reply::Known { value: verification, sent: first },
            Reply::Known { value: mail_from, sent: second },
        ) => {
            let verified = verification == Verification::Verified;
            let identity = Identity { verified, mail_from };
            let value = (verification != Verification::Missing).then_some(identity);
            Reply::Known { sent: first.min(second), value }
        }
        _ => Reply::NotYet,
    }
}

pub(crate) fn region(name: &str) -> Region {
    Regions::default().get(name).unwrap()
}

pub(crate) fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

pub(crate) fn mail_from(name: &str) -> MailFromDomain {
    MailFromDomain::below(name, &domain("example.com")).unwrap()
}

pub(crate) fn zone_id(id: &str) -> HostedZoneId {
    HostedZoneId::parse(id).unwrap()
}

pub(crate) fn set(name: &str, rtype: &str, ttl: u32, values: &[&str]) -> RecordSet {
    RecordSet {
        name: domain(name),
        rtype: RecordType::from_name(rtype),
        ttl,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        routing: Routing::Simple,
    }
}

pub(crate) fn batch(zone: &str, changes: Vec<Change>) -> ChangeBatch {
    ChangeBatch { zone: zone_id(zone), changes, comment: "mail/a".into() }
}

/// Long ago: any answer is fresh enough.
pub(crate) const ANY: Timestamp = Timestamp::UNIX_EPOCH;
