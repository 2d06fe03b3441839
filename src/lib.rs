//! The operator as a library: what its binary and its tests are made of.
#![forbid(unsafe_code)]

pub mod mail;
