//! The flags of leader election.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::values::duration;
use crate::lease::Timing;

/// A renewal deadline leaves room for more than one retry: client-go's factor.
const RETRY_FACTOR: f64 = 1.2;

/// Which of several processes acts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Leader election")]
pub(super) struct ElectionFlags {
    /// Only the process that holds the Lease acts. Without, nothing else may run beside this one.
    #[arg(long, value_name = "BOOL", default_value = "true", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", env = "SES_MAILFROM_LEADER_ELECT")]
    leader_elect: bool,
    /// How long others wait for a leader that is silent before they take over.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, env = "SES_MAILFROM_LEASE_DURATION")]
    lease_duration: Duration,
    /// How long a leader that cannot renew its lease goes on before it stops and exits.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "SES_MAILFROM_RENEW_DEADLINE")]
    renew_deadline: Duration,
    /// How often the leader renews its lease, and the longest that one try may take.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration, env = "SES_MAILFROM_RETRY_PERIOD")]
    retry_period: Duration,
}

impl ElectionFlags {
    /// # Errors
    /// The flags, their values, and what is allowed.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { leader_elect: _, lease_duration, renew_deadline, retry_period } = *self;
        if renew_deadline >= lease_duration {
            return Err(format!(
                "--renew-deadline {renew_deadline:?} is not less than --lease-duration {lease_duration:?}: allowed is less than {lease_duration:?}"
            ));
        }
        let most = renew_deadline.div_f64(RETRY_FACTOR);
        if retry_period >= most {
            return Err(format!(
                "--retry-period {retry_period:?} times {RETRY_FACTOR} is not less than --renew-deadline {renew_deadline:?}: allowed is less than {most:.3?}"
            ));
        }
        Ok(())
    }

    /// The durations of the election; `None` where there is none.
    pub(super) fn timing(&self) -> Option<Timing> {
        let Self { leader_elect, lease_duration, renew_deadline, retry_period } = *self;
        leader_elect.then_some(Timing { lease_duration, renew_deadline, retry_period })
    }
}
