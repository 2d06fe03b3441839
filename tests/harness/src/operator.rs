use std::net::SocketAddr;
use std::time::Duration;

use crate::{Output, Process, Result, http_get, wait_until};

/// A running operator. Dropped, it is killed; dropped by a failing test, what it
/// wrote is printed.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    address: SocketAddr,
}

impl Operator {
    pub(crate) fn new(process: Process, address: SocketAddr) -> Self {
        Self { process, address }
    }

    /// Its process, to be signalled, waited for and measured.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it has written.
    pub fn output(&self) -> &Output {
        self.process.output()
    }

    /// Where it serves probes and metrics.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until `/readyz` says 200.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        let name = self.process.name();
        let what = format!("{name} is ready");
        let ready = wait_until(what, limit, async || {
            if self.process.exit_code().is_some() {
                return Ok(());
            }
            match http_get(self.address, "/readyz").await {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{status} {body}")),
                Err(error) => Err(error.to_string()),
            }
        });
        ready.await?;
        self.process.check_running()
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> Result<String> {
        Ok(http_get(self.address, "/metrics").await?.1)
    }

    /// Sends SIGTERM and gives the exit code.
    pub async fn stop(&self, limit: Duration) -> Result<i32> {
        self.process.terminate()?;
        self.process.wait(limit).await
    }

    /// Sends SIGKILL and waits until it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test runner shows it with the failure")]
            {
                eprintln!(
                    "--- {} wrote:\n{}\n---",
                    self.process.name(),
                    self.output().tail(usize::MAX)
                );
            }
        }
    }
}
