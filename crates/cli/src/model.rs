//! `privity model`: models of this organisation that rows of others are scored with.

use crate::error::CliError;
use crate::organisation::{Client, Home};
use clap::Subcommand;
use privity_node::model::{Model, NewModel};
use std::path::PathBuf;

/// Models that jobs may name
#[derive(Subcommand)]
pub enum ModelCommand {
    /// Register a model, or change it
    Add {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
        /// Its file, as a job that trained it left it; once for each class, in the order of their numbers
        #[arg(long = "file", required = true)]
        files: Vec<PathBuf>,
        /// So many rows may be scored with each of its files in all, each attempt counted: results tell of a model. Default: as before under this name
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        most_rows: Option<u64>,
        /// As many as jobs are approved for
        #[arg(long, conflicts_with = "most_rows")]
        no_limit: bool,
    },
    /// Withdraw a model
    Remove {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
    },
    /// List them
    List {
        #[command(flatten)]
        home: Home,
    },
}

/// Runs it.
pub fn run(command: &ModelCommand) -> Result<(), CliError> {
    match command {
        ModelCommand::Add { home, name, files, most_rows, no_limit } => {
            let absolute = |file: &PathBuf| {
                std::path::absolute(file).map(|p| p.display().to_string()).map_err(CliError::system("finding a file"))
            };
            let files = files.iter().map(absolute).collect::<Result<_, _>>()?;
            let new = NewModel { name: name.clone(), files, most_rows: if *no_limit { Some(0) } else { *most_rows } };
            let model: Model = Client::new(home)?.post("models", &new)?;
            println!("model {}: {}; {}", model.name, model.form, counted(&model));
        }
        ModelCommand::Remove { home, name } => {
            let () = Client::new(home)?.delete(&format!("models/{name}"))?;
            println!("model {name} is withdrawn");
        }
        ModelCommand::List { home } => {
            for model in Client::new(home)?.get::<Vec<Model>>("models")? {
                let paths: Vec<&str> = model.files.iter().map(|file| file.path.as_str()).collect();
                println!("{}  {}  {}  {}", model.name, model.form, counted(&model), paths.join(" "));
            }
        }
    }
    Ok(())
}

fn counted(model: &Model) -> String {
    match model.limit {
        0 => format!("{} rows scored, no limit", model.scored),
        most => format!("{} of {most} rows scored", model.scored),
    }
}
