//! What an organisation lets run. An officer writes rules in Cedar; a node computes the [`Facts`] of a manifest and asks its [`Policy`]: allow, deny, or let so
//! many people decide. Pure functions of a text and of facts: no I/O, no clock. docs/POLICY.md is for those who write rules.
//!
//! Whatever no rule speaks for is denied; a rule that forbids wins over all others; a rule that cannot be evaluated denies.

#![forbid(unsafe_code)]
// For the one text of all facts.
#![recursion_limit = "256"]

pub mod budget;
mod explain;
mod facts;
mod policy;
mod statements;

pub use budget::{Budget, BudgetError, Spending};
pub use explain::{Change, diff, explain};
pub use facts::{Facts, Opened, Price, work};
pub use policy::{DEFAULT, MAX_APPROVERS, MAX_RULES, MAX_TEXT, Outcome, Policy, PolicyError, Rule};
