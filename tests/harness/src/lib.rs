//! A real control plane and the real operator, started for tests and the demo.
//!
//! [`ControlPlane`] is etcd and kube-apiserver as `make control-plane` builds
//! them; [`Operator`] is the operator's binary run as the rendered Deployment
//! would run it; [`ApiProxy`] and [`ApiGate`] stand between the two and break
//! what goes past. Nothing here knows the operator's code.
//!
//! Everything listens on loopback addresses, keeps its files under the target
//! folder, and is gone when the test process is, however that ended.

mod access;
pub mod audit;
mod binaries;
mod client;
mod control_plane;
mod data_dir;
mod deployment;
mod error;
mod flags;
mod gate;
mod http;
mod key;
mod kubectl;
mod launch;
mod operator;
mod output;
mod ports;
mod process;
mod proxy;
mod wait;
mod watched;

pub use access::Access;
pub use control_plane::ControlPlane;
pub use data_dir::{target_dir, workspace_dir};
pub use deployment::Deployment;
pub use error::Error;
pub use gate::{ApiGate, ApiRequest, Hit, Side};
pub use http::get as http_get;
pub use launch::Launch;
pub use operator::Operator;
pub use output::{Line, Output, Stream};
pub use ports::{loopback_address, own_loopback};
pub use process::{Process, is_running};
pub use proxy::ApiProxy;
pub use wait::{TimedOut, wait_until};
pub use watched::{Objects, Version, Watched, condition};

/// What the harness's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
