//! The node of an organisation. It holds the rows, keys and shares of its organisation and nobody else's, decides on manifests, runs its part of jobs and
//! keeps the audit log. Nodes believe each other nothing: what another says is signed by its organisation's root, and checked against what the organisations approved.

#![forbid(unsafe_code)]

pub mod admin;
mod asked;
mod attempt;
mod budget;
pub mod catalogue;
mod checked;
pub mod config;
mod cosign;
pub mod daemon;
pub mod database;
mod decide;
mod dial;
pub mod doctor;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod hearsay;
pub mod home;
pub mod job;
pub mod join;
mod joining;
pub mod lease;
mod leaving;
mod members;
pub mod message;
pub mod model;
mod monitor;
mod node;
pub mod oidc;
pub mod peer;
pub mod policy;
mod prices;
mod questions;
mod queue;
mod recorded;
mod relay;
mod revoked;
mod run;
mod serve;
#[cfg(test)]
mod sim;
pub mod store;
mod table;
pub mod timeline;
pub mod traces;
mod turns;
mod waiting;
mod watch;

pub use config::Config;
pub use error::NodeError;
pub use node::{Node, now};

/// What a mutex holds, also after a panic elsewhere: everything under one is whole at any time.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
