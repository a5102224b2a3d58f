//! The Alertmanager inside: takes alerts, groups them, keeps quiet where silences, inhibition and time intervals say so, and tells
//! receivers for certain: what was decided to be told survives any crash until it was delivered or, after a day, listed as dead.
//!
//! `config` reads `alertmanager.yml`. It evaluates no rule and answers no HTTP route.

pub mod alert;
pub mod config;
pub mod notification;
