//! Faults and gates, scripted by action, region and name.

use std::time::Duration;

use tokio::sync::watch;

use crate::log::Service;

/// Which calls are meant. What is not set matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    service: Option<Service>,
    action: Option<String>,
    account: Option<String>,
    region: Option<String>,
    target: Option<String>,
}

impl Matching {
    /// Every call.
    pub fn any() -> Self {
        Self::default()
    }

    /// Calls of one action, such as `ChangeResourceRecordSets`.
    pub fn action(action: &str) -> Self {
        Self { action: Some(action.to_owned()), ..Self::default() }
    }

    /// Calls of one service.
    pub fn service(service: Service) -> Self {
        Self { service: Some(service), ..Self::default() }
    }

    /// Only with that account's credentials.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Only in that region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Only where one of [`crate::Call::targets`] contains this text.
    #[must_use]
    pub fn target(mut self, part: &str) -> Self {
        self.target = Some(part.to_ascii_lowercase());
        self
    }

    pub(crate) fn matches(&self, call: &Asked<'_>) -> bool {
        let is =
            |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|text| text == got);
        self.service.is_none_or(|service| service == call.service)
            && is(&self.action, call.action)
            && is(&self.account, call.account)
            && is(&self.region, call.region)
            && self.target.as_ref().is_none_or(|part| {
                call.targets
                    .iter()
                    .any(|target| target.to_ascii_lowercase().contains(part.as_str()))
            })
    }
}

/// What of a call can be matched.
pub(crate) struct Asked<'a> {
    pub(crate) service: Service,
    pub(crate) action: &'a str,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) targets: &'a [String],
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call is carried out, then the connection is cut without an answer.
    LoseAnswer,
    /// The call is carried out, then answered with this HTTP status (5xx).
    FailAfter(u16),
    /// Not carried out; answered with this HTTP status (5xx).
    Fail(u16),
    /// Not carried out and never answered.
    Hang,
    /// Carried out and never answered.
    HangAfter,
    /// Not carried out; the service's own throttling error.
    Throttle,
    /// Not carried out; the service's own access-denied error.
    AccessDenied,
    /// Carried out; the answer is status 200 with a body that is no answer.
    Malformed,
    /// Carried out and answered after that long on the wall.
    Slow(Duration),
    /// Not carried out; any other error.
    Refuse {
        /// HTTP status.
        status: u16,
        /// AWS error code.
        code: String,
        /// Its message.
        message: String,
    },
}

/// A trouble, when it strikes and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    matching: Matching,
    trouble: Trouble,
    skip: usize,
    times: Option<usize>,
}

impl Fault {
    /// Strikes every matching call until it is removed.
    pub fn always(matching: Matching, trouble: Trouble) -> Self {
        Self { matching, trouble, skip: 0, times: None }
    }

    /// Strikes the next matching call.
    pub fn once(matching: Matching, trouble: Trouble) -> Self {
        Self::always(matching, trouble).times(1)
    }

    /// Strikes that many matching calls.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets that many matching calls pass first.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }
}

/// Names a scripted fault, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(u64);

/// Where a gate stops a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePoint {
    /// Before it is carried out.
    Before,
    /// After it is carried out, before the answer.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Set,
    Reached,
    Released,
    Cut,
}

/// Stops one call. Dropping it releases the call.
#[derive(Debug)]
pub struct Gate(watch::Sender<Stage>);

/// The gate has cut the connection of the call that stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WasCut;

impl Gate {
    /// Returns when a call stands at the gate.
    pub async fn reached(&self) {
        // The sender is this gate's own, so the channel cannot close.
        let _ = self.0.subscribe().wait_for(|stage| *stage >= Stage::Reached).await;
    }

    /// Whether a call stands or stood at the gate.
    pub fn is_reached(&self) -> bool {
        *self.0.borrow() >= Stage::Reached
    }

    /// Lets the call go on.
    pub fn release(self) {
        self.open(Stage::Released);
    }

    /// Cuts the call's connection, as if its client had died right here: at a
    /// gate before, it is never carried out.
    pub fn cut(self) {
        self.open(Stage::Cut);
    }

    /// What was decided first stands.
    fn open(&self, stage: Stage) {
        self.0.send_if_modified(|current| {
            let shut = *current < Stage::Released;
            if shut {
                *current = stage;
            }
            shut
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open(Stage::Released);
    }
}

/// The call's side of a gate.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Stage>);

impl Stop {
    /// Says that a call is here and waits to be let through.
    pub(crate) async fn wait(self) -> Result<(), WasCut> {
        self.0.send_if_modified(|stage| {
            let first = *stage == Stage::Set;
            if first {
                *stage = Stage::Reached;
            }
            first
        });
        let mut stages = self.0.subscribe();
        match stages.wait_for(|stage| *stage >= Stage::Released).await {
            Ok(stage) if *stage == Stage::Cut => Err(WasCut),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Waiting {
    matching: Matching,
    point: GatePoint,
    skip: usize,
    stage: watch::Sender<Stage>,
}

/// What was scripted for one call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) trouble: Option<Trouble>,
    pub(crate) before: Option<Stop>,
    pub(crate) after: Option<Stop>,
}

/// All scripted faults and gates.
#[derive(Debug, Default)]
pub(crate) struct Script {
    next: u64,
    faults: Vec<(FaultId, Fault)>,
    gates: Vec<Waiting>,
}

impl Script {
    pub(crate) fn add(&mut self, fault: Fault) -> FaultId {
        self.next += 1;
        let id = FaultId(self.next);
        self.faults.push((id, fault));
        id
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        self.faults.retain(|(other, _)| *other != id);
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Sets a gate for the `nth` matching call from now, the next being 0.
    pub(crate) fn gate(&mut self, matching: Matching, point: GatePoint, nth: usize) -> Gate {
        let (stage, _) = watch::channel(Stage::Set);
        self.gates.push(Waiting { matching, point, skip: nth, stage: stage.clone() });
        Gate(stage)
    }

    /// What is to happen to a call. Counts are used up here.
    pub(crate) fn judge(&mut self, call: &Asked<'_>) -> Verdict {
        Verdict {
            trouble: self.strike(call),
            before: self.stop(call, GatePoint::Before),
            after: self.stop(call, GatePoint::After),
        }
    }

    /// The first fault that matches and is not used up strikes.
    fn strike(&mut self, call: &Asked<'_>) -> Option<Trouble> {
        for (_, fault) in self.faults.iter_mut().filter(|(_, fault)| fault.matching.matches(call)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times != Some(0) {
                fault.times = fault.times.map(|times| times - 1);
                return Some(fault.trouble.clone());
            }
        }
        None
    }

    fn stop(&mut self, call: &Asked<'_>, point: GatePoint) -> Option<Stop> {
        let mut found = None;
        for (index, gate) in self.gates.iter_mut().enumerate() {
            if gate.point != point || !gate.matching.matches(call) {
                continue;
            }
            if gate.skip > 0 {
                gate.skip -= 1;
            } else if found.is_none() {
                found = Some(index);
            }
        }
        found.map(|index| Stop(self.gates.remove(index).stage))
    }
}
