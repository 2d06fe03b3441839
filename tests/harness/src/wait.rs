use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long a probe that said "not yet" is left alone.
const PAUSE: Duration = Duration::from_millis(25);

/// A condition that did not come about in time.
#[derive(Debug, thiserror::Error)]
#[error("{what}: not within {limit:?}; last seen: {last_seen}")]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub limit: Duration,
    /// What the last finished probe said.
    pub last_seen: String,
}

/// Waits until `probe` gives a value. A probe that is not content says what it
/// saw instead, and the last such word stands in the error. A probe that hangs
/// is given up at the limit as well.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// let mut asked = 0;
/// let third = harness::wait_until("third time lucky", Duration::from_secs(5), async || {
///     asked += 1;
///     if asked == 3 { Ok(asked) } else { Err(format!("asked {asked} times")) }
/// })
/// .await;
/// assert_eq!(third.ok(), Some(3));
/// # }
/// ```
pub async fn wait_until<T>(
    what: impl Into<String>,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, TimedOut> {
    let deadline = Instant::now() + limit;
    let mut last_seen = "nothing, the first look never ended".to_owned();
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => last_seen = seen,
            Err(_) => {}
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(TimedOut { what: what.into(), limit, last_seen });
        }
        sleep(PAUSE).await;
    }
}
