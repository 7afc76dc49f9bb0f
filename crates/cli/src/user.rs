//! `privity user`: who of this organisation may sign in to the dashboard.

use crate::error::CliError;
use crate::organisation::{Client, Home};
use clap::{Subcommand, ValueEnum};
use privity_node::admin::{Change, Listed, NewPerson, Password, Role};
use std::io::{BufRead, IsTerminal};

/// People who may sign in to the dashboard
#[derive(Subcommand)]
pub enum UserCommand {
    /// Let a person sign in; the password is asked for, or read from standard input
    Add {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
        /// What it may do
        #[arg(long)]
        role: RoleArg,
    },
    /// Give a person another role; its sessions end
    Role {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
        /// What it may do
        #[arg(long)]
        role: RoleArg,
    },
    /// Give a person another password, asked for or read from standard input; its sessions end
    Password {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
    },
    /// Let a person sign in no more; its sessions end
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

/// A role on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub enum RoleArg {
    /// Looks
    Viewer,
    /// Approves and denies jobs, too
    Approver,
    /// May do everything
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Role {
        match role {
            RoleArg::Viewer => Role::Viewer,
            RoleArg::Approver => Role::Approver,
            RoleArg::Admin => Role::Admin,
        }
    }
}

/// A password from the terminal, twice, or the first line of standard input.
fn password(name: &str) -> Result<Password, CliError> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(CliError::system("reading a password"))?;
        let password = line.trim_end_matches(['\r', '\n']).to_owned();
        return Ok(password.into());
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map_err(CliError::system("reading a password"));
    let first = ask(format!("password of {name}, at least 12 characters: "))?;
    match first == ask("once more: ".into())? {
        true => Ok(first.into()),
        false => Err(CliError::Choice("the two passwords differ; nothing was changed")),
    }
}

/// Runs the command.
pub fn run(command: &UserCommand) -> Result<(), CliError> {
    match command {
        UserCommand::Add { home, name, role } => {
            let client = Client::new(home)?;
            let person = NewPerson { name: name.clone(), role: (*role).into(), password: password(name)? };
            let () = client.post("people", &person)?;
            println!("{name} may sign in at {}, as {}", client.page(), person.role.name());
        }
        UserCommand::Role { home, name, role } => {
            let change = Change { role: Some((*role).into()), password: None };
            let () = Client::new(home)?.put(&format!("people/{name}"), &change)?;
            println!("{name} has another role");
        }
        UserCommand::Password { home, name } => {
            let client = Client::new(home)?;
            let change = Change { role: None, password: Some(password(name)?) };
            let () = client.put(&format!("people/{name}"), &change)?;
            println!("{name} has another password");
        }
        UserCommand::Remove { home, name } => {
            let () = Client::new(home)?.delete(&format!("people/{name}"))?;
            println!("{name} may sign in no more");
        }
        UserCommand::List { home } => {
            for Listed { name, role, .. } in Client::new(home)?.get::<Vec<Listed>>("people")? {
                println!("{name}  {}", role.name());
            }
        }
    }
    Ok(())
}
