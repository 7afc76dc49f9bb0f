//! Job files, plans and runs.
//!
//! [`JobFile`] is what the parties agree on, [`Job`] its checked form; [`plan::plan`] says what it will cost and open before
//! it runs, [`run::run`] is one party's part of it. The program itself stands in [`program`], once for all protocols.

#![forbid(unsafe_code)]

pub mod canonical;
pub mod checkpoint;
pub mod choice;
pub mod distil;
mod error;
pub mod escrow;
pub mod export;
pub mod file;
pub mod hooks;
mod inference;
mod job;
pub mod ledger;
pub mod loss;
pub mod model_file;
mod noise;
pub mod plan;
pub mod prepare;
pub mod program;
pub mod protocol;
pub mod publish;
pub mod release;
pub mod run;
mod scaling;
pub mod score;
mod write;

pub use error::{ConfigError, JobError, exit};
pub use file::JobFile;
pub use hooks::{Audit, Hooks};
pub use job::{Job, Rows};
pub use model_file::ModelFile;
pub use plan::Plan;
pub use run::{Event, Report, RunOptions};
pub use scaling::Scaling;
pub use score::ModelSource;
