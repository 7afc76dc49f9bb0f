//! `privity member` and `privity project`: who is in projects, and who is no more.

use crate::error::CliError;
use crate::organisation::{Client, Home, person};
use clap::Subcommand;
use privity_api::Project;
use privity_api::member::root_words;
use privity_node::admin::{Forget, Removal};

/// Members of projects
#[derive(Subcommand)]
pub enum MemberCommand {
    /// List members, with the words of their roots
    List {
        #[command(flatten)]
        home: Home,
        /// Of this project only
        #[arg(long)]
        project: Option<String>,
    },
    /// Remove a member from a project that this organisation founded: members are told, and its jobs end
    Remove {
        #[command(flatten)]
        home: Home,
        /// Whom
        organisation: String,
        /// From which project
        #[arg(long)]
        project: String,
        /// Who removes it; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
    /// Forget for which root a name stands, for an organisation that lost its root and comes back under the name with another.
    ///
    /// First its projects' founders remove it (`privity member remove`), and its jobs end. Then every member runs this once, with the twelve words of the new
    /// root as a person of that organisation reads them out from `privity status` there, and the founders invite it again. A founder itself needs no
    /// words: it compares six at `privity confirm`. Without this no founder can give the name another root here.
    #[command(verbatim_doc_comment)]
    Forget {
        #[command(flatten)]
        home: Home,
        /// The name
        organisation: String,
        /// Words of the root for which it stands from now on; none: for the one of whoever this organisation itself lets join
        words: Vec<String>,
        /// Who has it forgotten; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
}

/// Projects of this organisation
#[derive(Subcommand)]
pub enum ProjectCommand {
    /// Leave a project: its jobs are given up, and its members are known by it no more
    Forget {
        #[command(flatten)]
        home: Home,
        /// Which
        project: String,
        /// Who leaves it; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
}

/// `privity member`.
pub fn member(command: &MemberCommand) -> Result<(), CliError> {
    match command {
        MemberCommand::List { home, project } => {
            let projects: Vec<Project> = Client::new(home)?.get("projects")?;
            for known in projects.iter().filter(|known| project.as_ref().is_none_or(|wanted| *wanted == known.name)) {
                println!("{}, founded by {}, version {}", known.name, known.founder, known.version);
                for member in &known.members {
                    println!("  {}  {}  {}", member.organisation, member.address, root_words(&member.root));
                }
            }
        }
        MemberCommand::Remove { home, organisation, project, person: who } => {
            let removal = Removal { organisation: organisation.clone(), person: person(who) };
            let () = Client::new(home)?.post(&format!("projects/{project}/removals"), &removal)?;
            println!("{organisation} is no member of project {project} any more; its jobs there end");
        }
        MemberCommand::Forget { home, organisation, words, person: who } => {
            let forget = Forget { words: words.join(" "), person: person(who) };
            let told: Vec<String> = Client::new(home)?.post(&format!("members/{organisation}/forget"), &forget)?;
            match words.is_empty() {
                true => println!("{organisation} stands for no root here until this organisation lets it join"),
                false => println!("{organisation} stands for the root with these words from now on, and for no other"),
            }
            told.iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(())
}

/// `privity project`.
pub fn project(command: &ProjectCommand) -> Result<(), CliError> {
    let ProjectCommand::Forget { home, project, person: who } = command;
    let unheard: Vec<String> = Client::new(home)?.post(&format!("projects/{project}/leave"), &person(who))?;
    println!("left project {project}; if another organisation founded it, have that one remove this one, too");
    if !unheard.is_empty() {
        println!(
            "{} did not hear in time that its jobs are given up: they wait there until their time is over",
            unheard.join(", ")
        );
    }
    Ok(())
}
