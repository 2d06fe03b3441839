//! What concerns a whole cluster: permissions, the CRD, objects that do not
//! parse, the process. One after another, against a control plane that no other
//! test binary uses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crd;
mod permissions;
mod process;
mod seen;

#[path = "../e2e/stage.rs"]
#[allow(dead_code, reason = "the stage is set for more plays than these")]
mod stage;

use tokio::sync::{Mutex, MutexGuard};

/// Held by a test while it runs.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static STAGE: Mutex<()> = Mutex::const_new(());
    STAGE.lock().await
}
