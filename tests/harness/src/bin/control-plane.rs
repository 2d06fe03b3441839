//! Starts a control plane for a person to play with, prints its kubeconfig's path
//! and stays until it is interrupted.

use std::io::Write;

use harness::{ControlPlane, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let io = |source| Error::Io { what: "say where the kubeconfig is".to_owned(), source };
    let plane = ControlPlane::start().await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", plane.kubeconfig().display()).map_err(io)?;
    stdout.flush().map_err(io)?;
    tokio::signal::ctrl_c().await.map_err(io)
}
