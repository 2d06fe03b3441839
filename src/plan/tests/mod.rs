//! The rules of behaviour, one by one, in a world without AWS or Kubernetes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod crowd;
mod delete;
mod denied;
mod handed;
mod keep;
mod life;
mod living;
mod mode;
mod property;
mod refusals;
mod small_aws;
mod small_world;
mod spf;
mod turns;
