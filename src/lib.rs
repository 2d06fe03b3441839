//! The operator as a library: what its binary and its tests are made of.
#![forbid(unsafe_code)]

pub mod api;
pub mod authority;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod compact;
pub mod controller;
pub mod dns;
pub mod iam;
pub mod lease;
pub mod mail;
pub mod plan;
pub mod telemetry;
