//! Members that are none any more, projects that this organisation leaves, and names that are to stand for another root. Whatever is undone here was a person's
//! to do: no other organisation gives a name that is known another root.

use crate::NodeError;
use crate::job::State;
use crate::message::End;
use crate::node::{Node, instant};
use crate::store::{Store, Stored};
use privity_api::member::{ROOT_WORDS, root_words};
use privity_api::{Project, Record, Statement};
use privity_job::exit;
use sqlx::Row;
use std::sync::Arc;
use std::time::Duration;

/// How long leaving a project waits until what runs has stopped and the others have heard it, and how long founders are asked.
const PATIENCE: Duration = Duration::from_secs(20);

impl Node {
    /// An organisation is no member of a project any more, which this one founded. Members are told, and its jobs end at all of them.
    ///
    /// # Errors
    /// Another's project, no such member, the founder itself.
    pub(crate) async fn remove(&self, project: &str, organisation: &str, person: &str) -> Result<(), NodeError> {
        let alone = self.changing.lock().await;
        let mut known = self.project(project).await?;
        if known.founder != self.organisation() {
            return Err(NodeError::State(format!(
                "{} founded project {project}: only its node removes members; `privity project forget {project}` leaves the project",
                known.founder
            )));
        }
        if organisation == self.organisation() {
            return Err(NodeError::State(format!(
                "{organisation} founded project {project}: remove the others, and then forget it by `privity project forget {project}`"
            )));
        }
        let gone = known.member(organisation).cloned();
        let gone = gone.ok_or_else(|| NodeError::missing("member", organisation))?;
        known.members.retain(|member| member.organisation != organisation);
        known.version += 1;
        let statement = Statement::new(known, &*self.root)?;
        self.adopt_alone(&self.root.fingerprint(), &statement, person).await?;
        drop(alone);
        self.tell_all(&statement.body, "project", &statement).await?;
        self.end_jobs_of_strangers(Some(project)).await?;
        // As nobody's letters reach it any more, it hears it now or finds out by itself.
        if let Err(error) = self.peers.ask_member::<_, serde_json::Value>(&gone, "project", &statement).await {
            tracing::warn!(member = organisation, error = %error, "it was not told that it is no member any more");
        }
        Ok(())
    }

    /// Ends jobs, of one project or of all, one of whose participants is no member of the project, or under another root.
    pub(crate) async fn end_jobs_of_strangers(&self, only: Option<&str>) -> Result<(), NodeError> {
        let projects = self.store.projects().await?;
        for stored in self.store.jobs_in(&State::OPEN).await? {
            let name = &stored.manifest.body.project;
            let project = projects.iter().map(|(_, statement)| &statement.body).find(|project| project.name == *name);
            if only.is_none_or(|only| only == name)
                && let Some(why) = project.and_then(|project| stranger(&stored, project))
            {
                self.give_up(&stored, &why).await?;
            }
        }
        Ok(())
    }

    /// Ends a job, now or when what runs of it has stopped. The others end it for the same reason, or hear this one's.
    async fn give_up(&self, stored: &Stored, why: &str) -> Result<(), NodeError> {
        let digest = &stored.digest;
        let number = self.running().get(digest).map_or(stored.attempt, |running| running.number);
        let end = End { again: false, ..End::again(digest, number, exit::NETWORK, why) };
        if self.ended(self.organisation(), end.clone()) {
            self.store.set_over(digest, &format!("{}: {why}", self.organisation())).await?;
        } else {
            self.move_on(digest, &State::WAITS, State::Aborted, (exit::NETWORK, why)).await?;
        }
        self.tell_participants(&stored.manifest.body, "end", &end).await
    }

    /// Whether all participants of a job are members of its project still, under the roots that the manifest names.
    ///
    /// # Errors
    /// One of them is not.
    pub(crate) async fn still_members(&self, stored: &Stored) -> Result<(), NodeError> {
        let project = self.project(&stored.manifest.body.project).await?;
        stranger(stored, &project).map_or(Ok(()), |reason| {
            Err(NodeError::Over {
                manifest: stored.digest.clone(),
                state: "over",
                organisation: self.organisation().into(),
                reason,
            })
        })
    }

    /// A person of this organisation has it forget which root a name stands for. The name stands for the root with these words from now on, if a founder
    /// states it so; without words for none but whom this organisation itself lets join. What came of asking the founders again.
    ///
    /// # Errors
    /// The own name or an unknown one; a project has such a member still, or a job such a participant.
    pub(crate) async fn forget_name(&self, name: &str, words: &str, person: &str) -> Result<Vec<String>, NodeError> {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if !words.is_empty() && words.split(' ').count() != ROOT_WORDS {
            return Err(NodeError::State(format!(
                "write the {ROOT_WORDS} words of its new root, as a person of {name} reads them out from `privity status` there, or none"
            )));
        }
        let alone = self.changing.lock().await;
        let root = self.may_forget(name).await?;
        self.record(&Record::Forgotten { organisation: name.into(), root, by: person.into() })?;
        self.store.forget_name(name, &words).await?;
        drop(alone);
        self.ask_founders().await
    }

    /// The root that a name stands for, empty for none, if nothing here rests on it.
    async fn may_forget(&self, name: &str) -> Result<String, NodeError> {
        if name == self.organisation() {
            return Err(NodeError::State(format!("{name} is this organisation itself")));
        }
        let known = self.store.names().await?.into_iter().find(|(known, _)| known == name);
        if known.is_none() && !self.store.forgotten().await?.iter().any(|(known, _)| known == name) {
            return Err(NodeError::missing("organisation", name));
        }
        let takes_part = |stored: &&Stored| stored.manifest.body.job.participants.iter().any(|p| p.name == name);
        let open = self.store.jobs_in(&State::OPEN).await?.iter().filter(takes_part).count();
        if open > 0 {
            return Err(NodeError::State(format!(
                "{open} jobs with {name} have not ended: see `privity jobs`, and wait or give them up by `privity job abort`"
            )));
        }
        let projects = self.store.projects().await?;
        if let Some((_, project)) = projects.iter().find(|(_, project)| project.body.member(name).is_some()) {
            let (project, founder) = (&project.body.name, &project.body.founder);
            return Err(NodeError::State(format!(
                "{name} is a member of project {project}: have {founder}, which founded it, run `privity member remove {name} --project {project}` first, or leave the project by `privity project forget {project}`"
            )));
        }
        Ok(known.map(|(_, root)| root).unwrap_or_default())
    }

    /// Asks the founders of projects who their members are: what was refused before may be taken now.
    async fn ask_founders(&self) -> Result<Vec<String>, NodeError> {
        let (mut told, until) = (Vec::new(), instant() + PATIENCE);
        for project in self.own_projects().await? {
            let Some(founder) = project.member(&project.founder).filter(|f| f.organisation != self.organisation())
            else {
                continue;
            };
            if instant() >= until {
                told.push(format!(
                    "project {}: its founder was not asked, as others took long; run this again",
                    project.name
                ));
                continue;
            }
            let asked = self.peers.ask_member::<_, Statement<Project>>(founder, "members", &project.name).await;
            let taken = match asked {
                Ok(statement) => self.receive_project(statement).await,
                Err(error) => Err(error),
            };
            told.extend(taken.err().map(|error| format!("project {}: {error}", project.name)));
        }
        Ok(told)
    }

    /// Leaves a project: its jobs are given up, which the others hear, and nobody is known by it any more. Who did not hear it in time.
    ///
    /// # Errors
    /// This node founded it and it has other members; what runs of it does not stop.
    pub(crate) async fn leave(self: &Arc<Self>, name: &str, person: &str) -> Result<Vec<String>, NodeError> {
        let project = self.project(name).await?;
        if project.founder == self.organisation() && project.members.len() > 1 {
            return Err(NodeError::State(format!(
                "this organisation founded project {name}: remove its other members first, by `privity member remove NAME --project {name}`"
            )));
        }
        for stored in self.open_jobs(name).await? {
            self.abort(&stored.digest, person).await?;
        }
        let until = instant() + PATIENCE;
        while self.runs_any(name).await? || !self.store.letters_in(name).await?.is_empty() {
            if instant() >= until {
                break;
            }
            self.peers.wake();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let _alone = self.changing.lock().await;
        if self.runs_any(name).await? || !self.open_jobs(name).await?.is_empty() {
            return Err(NodeError::State(format!(
                "jobs of project {name} have not stopped, or came in meanwhile: run this again in a moment"
            )));
        }
        let (organisation, root) = (self.organisation().to_owned(), self.root.fingerprint());
        self.record(&Record::Left { project: name.into(), organisation, root, by: person.into() })?;
        let unheard = self.store.letters_in(name).await?;
        self.store.forget_project(name).await?;
        Ok(unheard)
    }

    async fn open_jobs(&self, project: &str) -> Result<Vec<Stored>, NodeError> {
        let open = self.store.jobs_in(&State::OPEN).await?;
        Ok(open.into_iter().filter(|stored| stored.manifest.body.project == project).collect())
    }

    async fn runs_any(&self, project: &str) -> Result<bool, NodeError> {
        for (digest, _) in self.numbers_running() {
            if self.store.job(&digest).await?.manifest.body.project == project {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Why a job cannot be attempted with these members of its project, in words that are the same at all of them.
fn stranger(stored: &Stored, project: &Project) -> Option<String> {
    let is_member =
        |name: &str, root: Option<&str>| project.member(name).is_some_and(|m| Some(m.root.as_str()) == root);
    let participants = &stored.manifest.body.job.participants;
    let gone = participants.iter().find(|p| !is_member(&p.name, p.fingerprint.as_deref()))?;
    Some(format!("{} is no member of project {} any more", gone.name, project.name))
}

/// Whoever was forgotten comes back under the root whose words a person here gave.
pub(crate) async fn check_forgotten(store: &Store, project: &Project) -> Result<(), NodeError> {
    let forgotten = store.forgotten().await?;
    for member in &project.members {
        let Some((name, expected)) = forgotten.iter().find(|(name, _)| *name == member.organisation) else { continue };
        let words = root_words(&member.root);
        if words != *expected {
            return Err(NodeError::State(format!(
                "the root of {name} was forgotten here, and project {} has {name} under one whose words are: {words}. If a person of {name} reads out the same from `privity status` there, run: privity member forget {name} {words}",
                project.name
            )));
        }
    }
    Ok(())
}

impl Store {
    /// Names whose root was forgotten, with the words of the one that they may stand for; none for no other.
    pub async fn forgotten(&self) -> Result<Vec<(String, String)>, NodeError> {
        let rows = sqlx::query("SELECT name, words FROM forgotten").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
    /// A name stands for no root any more. What waits to be delivered was for the one that it stood for.
    pub async fn forget_name(&self, name: &str, words: &str) -> Result<(), NodeError> {
        let mut transaction = self.begin().await?.ok_or(NodeError::Superseded)?;
        for query in ["DELETE FROM names WHERE name = $1", "DELETE FROM outbox WHERE organisation = $1"] {
            sqlx::query(query).bind(name).execute(&mut *transaction).await?;
        }
        let query = "INSERT INTO forgotten (name, words) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET words = excluded.words";
        sqlx::query(query).bind(name).bind(words).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
    /// Nobody is a member of a project here any more.
    pub async fn forget_project(&self, name: &str) -> Result<(), NodeError> {
        let mut transaction = self.begin().await?.ok_or(NodeError::Superseded)?;
        for query in [
            "DELETE FROM projects WHERE name = $1",
            "DELETE FROM outbox WHERE project = $1",
            "DELETE FROM invitations WHERE project = $1",
        ] {
            sqlx::query(query).bind(name).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
    /// To whom messages of a project wait.
    pub(crate) async fn letters_in(&self, project: &str) -> Result<Vec<String>, NodeError> {
        let query = sqlx::query("SELECT DISTINCT organisation FROM outbox WHERE project = $1 ORDER BY organisation");
        let rows = query.bind(project.to_owned()).fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
