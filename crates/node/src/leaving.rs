//! Members that are none any more, projects that this organisation leaves, and names that are to stand for another root. Whatever is undone here was a person's
//! to do: no other organisation gives a name that is known another root.

use crate::NodeError;
use crate::job::State;
use crate::message::End;
use crate::node::{Node, instant};
use crate::store::{Store, Stored, json};
use privity_api::member::{ROOT_WORDS, root_words};
use privity_api::{Project, Record, Statement};
use privity_job::exit;
use sqlx::Row;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long leaving a project waits until what runs has stopped and the others have heard it.
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
        // Members hear it as surely as it is kept; and whoever was invited anew under the name would have to be so again.
        self.adopt_alone(&self.root.fingerprint(), &statement, person).await?;
        self.store.void_invitations(project, organisation).await?;
        drop(alone);
        self.peers.wake();
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
    pub(crate) async fn forget_name(
        self: &Arc<Self>,
        name: &str,
        words: &str,
        person: &str,
    ) -> Result<Vec<String>, NodeError> {
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
    async fn ask_founders(self: &Arc<Self>) -> Result<Vec<String>, NodeError> {
        let (mut told, mut asked) = (Vec::new(), JoinSet::new());
        for project in self.own_projects().await? {
            let founder = project.member(&project.founder).filter(|f| f.organisation != self.organisation()).cloned();
            let Some(founder) = founder else { continue };
            let node = self.clone();
            asked.spawn(async move {
                let stated = node.peers.ask_member::<_, Statement<Project>>(&founder, "members", &project.name).await;
                let taken = match stated {
                    Ok(statement) => node.receive_project(statement).await,
                    Err(error) => Err(error),
                };
                taken.err().map(|error| format!("project {}: {error}", project.name))
            });
        }
        while let Some(problem) = asked.join_next().await {
            told.extend(problem.map_err(|e| NodeError::State(e.to_string()))?);
        }
        told.sort();
        Ok(told)
    }

    /// Leaves a project: its jobs are given up, which the others hear, and nobody is known by it any more. Who did not hear it in time.
    ///
    /// # Errors
    /// This node founded it and it has other members; what runs of it does not stop.
    pub(crate) async fn leave(self: &Arc<Self>, name: &str, person: &str) -> Result<Vec<String>, NodeError> {
        self.may_leave(name).await?;
        // From here on no manifest of the project comes in.
        let _leaving = Leaving::begin(self, name)?;
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
        // Somebody may have come meanwhile.
        self.may_leave(name).await?;
        if self.runs_any(name).await? || !self.open_jobs(name).await?.is_empty() {
            return Err(NodeError::State(format!(
                "jobs of project {name} have not stopped, or came in meanwhile: run this again in a moment"
            )));
        }
        // Whoever founds another project under this name is shown nothing.
        self.hide_tables(name).await?;
        let (organisation, root) = (self.organisation().to_owned(), self.root.fingerprint());
        self.record(&Record::Left { project: name.into(), organisation, root, by: person.into() })?;
        let unheard = self.store.letters_in(name).await?;
        self.store.forget_project(name).await?;
        Ok(unheard)
    }

    /// A founder leaves its project when nobody else is in it.
    async fn may_leave(&self, name: &str) -> Result<(), NodeError> {
        let project = self.project(name).await?;
        match project.founder == self.organisation() && project.members.len() > 1 {
            false => Ok(()),
            true => Err(NodeError::State(format!(
                "this organisation founded project {name}: remove its other members first, by `privity member remove NAME --project {name}`"
            ))),
        }
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

/// A project that is being left, as long as this lasts.
struct Leaving<'a>(&'a Node, String);

impl<'a> Leaving<'a> {
    fn begin(node: &'a Node, project: &str) -> Result<Leaving<'a>, NodeError> {
        match crate::lock(&node.leaving).insert(project.to_owned()) {
            true => Ok(Leaving(node, project.to_owned())),
            false => Err(NodeError::State(format!("project {project} is being left already"))),
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        crate::lock(&self.0.leaving).remove(&self.1);
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

/// Whoever was forgotten comes back under the root whose words a person here gave, and that root under no other name. The founder itself may have given none: it
/// compares six words with whom it lets join.
pub(crate) async fn check_forgotten(store: &Store, project: &Project, founds: bool) -> Result<(), NodeError> {
    let forgotten = store.forgotten().await?;
    for member in &project.members {
        let words = root_words(&member.root);
        if let Some((name, _)) =
            forgotten.iter().find(|(name, expected)| *expected == words && *name != member.organisation)
        {
            return Err(NodeError::State(format!(
                "project {} has {} under the root that is expected here for {name}: ask its founder",
                project.name, member.organisation
            )));
        }
        let Some((name, expected)) = forgotten.iter().find(|(name, _)| *name == member.organisation) else { continue };
        // People confirm what they are shown, so what the founder says is not.
        if words != *expected && !(founds && expected.is_empty()) {
            return Err(NodeError::State(format!(
                "the root of {name} was forgotten here, and the words of the one under which project {} has {name} are not those that were given here for it: have a person of {name} read out the {ROOT_WORDS} words that `privity status` shows there, and run `privity member forget {name} WORDS` with these",
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
        // Whatever its founder signed before counts no more, also if the project is founded or joined again.
        let kept = sqlx::query("SELECT root, statement, heard FROM projects WHERE name = $1").bind(name);
        if let Some(row) = kept.fetch_optional(&mut *transaction).await? {
            let (root, heard): (String, i64) = (row.try_get(0)?, row.try_get(2)?);
            let version = heard.max(json::<Statement<Project>>(row.try_get(1)?)?.body.version.into());
            let query = "INSERT INTO left_projects (name, root, version) VALUES ($1, $2, $3) ON CONFLICT (name, root) DO UPDATE \
                         SET version = excluded.version WHERE left_projects.version < excluded.version";
            sqlx::query(query).bind(name).bind(root).bind(version).execute(&mut *transaction).await?;
        }
        for query in [
            "DELETE FROM projects WHERE name = $1",
            "DELETE FROM removed WHERE project = $1",
            "DELETE FROM outbox WHERE project = $1",
            "DELETE FROM invitations WHERE project = $1",
        ] {
            sqlx::query(query).bind(name).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
    /// The highest version that the founder with this root is known to have signed of a project, also of one that was left; 0 for none.
    pub(crate) async fn heard(&self, name: &str, root: &str) -> Result<u32, NodeError> {
        if !privity_api::is_name(name) {
            return Ok(0);
        }
        let mut most: i64 = 0;
        for query in [
            "SELECT heard FROM projects WHERE name = $1 AND root = $2",
            "SELECT version FROM left_projects WHERE name = $1 AND root = $2",
        ] {
            let row = sqlx::query(query).bind(name.to_owned()).bind(root.to_owned()).fetch_optional(&self.0).await?;
            most = most.max(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0));
        }
        Ok(u32::try_from(most).unwrap_or(u32::MAX))
    }
    /// Members, by project and root, whom a newer statement of the founder leaves out than the one that is kept.
    pub(crate) async fn removed(&self) -> Result<BTreeSet<(String, String)>, NodeError> {
        let rows = sqlx::query("SELECT project, root FROM removed").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
    /// The founder signed this version, without the members with these roots; nothing else of it is taken.
    pub(crate) async fn remove_members(&self, project: &str, version: u32, roots: &[&str]) -> Result<(), NodeError> {
        let mut transaction = self.begin().await?.ok_or(NodeError::Superseded)?;
        let query = sqlx::query("UPDATE projects SET heard = $1 WHERE name = $2 AND heard < $1");
        query.bind(i64::from(version)).bind(project).execute(&mut *transaction).await?;
        for root in roots {
            let query = sqlx::query("INSERT INTO removed (project, root) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            query.bind(project).bind(*root).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
    /// Nobody gets messages of a project any more: this organisation is no member.
    pub(crate) async fn drop_letters(&self, project: &str) -> Result<(), NodeError> {
        self.write(|| sqlx::query("DELETE FROM outbox WHERE project = $1").bind(project.to_owned())).await.map(drop)
    }
    /// Invitations of an organisation to a project count no more.
    pub(crate) async fn void_invitations(&self, project: &str, organisation: &str) -> Result<(), NodeError> {
        let query = "DELETE FROM invitations WHERE project = $1 AND organisation = $2";
        self.write(|| sqlx::query(query).bind(project.to_owned()).bind(organisation.to_owned())).await.map(drop)
    }
    /// To whom messages of a project wait.
    pub(crate) async fn letters_in(&self, project: &str) -> Result<Vec<String>, NodeError> {
        let query = sqlx::query("SELECT DISTINCT organisation FROM outbox WHERE project = $1 ORDER BY organisation");
        let rows = query.bind(project.to_owned()).fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::adopt;
    use privity_api::{Member, Signer};
    use privity_audit::Log;
    use privity_net::identity::Identity;

    /// What a node has, and identities of members.
    struct Kept {
        store: Store,
        log: Log,
        own: Arc<Identity>,
        _folder: tempfile::TempDir,
    }

    fn identity(name: &str) -> Arc<Identity> {
        Arc::new(Identity::generate(name).expect("an identity"))
    }

    fn member(name: &str, identity: &Identity) -> Member {
        Member {
            organisation: name.into(),
            operator: name.into(),
            root: Signer::fingerprint(identity),
            address: "127.0.0.1:1".into(),
            helper: false,
        }
    }

    fn stated(founder: &Identity, version: u32, members: &[&Member]) -> Statement<Project> {
        let members = members.iter().map(|member| (*member).clone()).collect();
        let project = Project { name: "fraud".into(), founder: "bank-a".into(), version, members };
        Statement::new(project, founder).expect("a signature")
    }

    impl Kept {
        async fn new(name: &str, own: Arc<Identity>) -> Kept {
            let folder = tempfile::tempdir().expect("a directory");
            let store = Store::open(folder.path()).await.expect("a database");
            let log = Log::open(&folder.path().join("audit"), name, &own.fingerprint(), own.clone(), 1).expect("a log");
            Kept { store, log, own, _folder: folder }
        }
        async fn takes(&self, founder: &Identity, statement: &Statement<Project>) -> Result<(), NodeError> {
            let own = (self.log.organisation(), Signer::fingerprint(&*self.own));
            adopt(&self.store, &self.log, own, &Signer::fingerprint(founder), statement, "bank-a").await
        }
        async fn members(&self) -> Vec<String> {
            let kept = self.store.project("fraud").await.expect("a database").expect("a project").1;
            kept.body.members.into_iter().map(|member| member.organisation).collect()
        }
    }

    #[tokio::test]
    async fn a_project_that_was_forgotten_comes_back_with_nothing_older() {
        let [a, b, c, d] = ["bank-a", "bank-b", "bank-c", "bank-d"].map(identity);
        let all = [member("bank-a", &a), member("bank-b", &b), member("bank-c", &c), member("bank-d", &d)];
        let old = stated(&a, 4, &all.each_ref());
        // At the founder, which tells the others what it keeps.
        let founder = Kept::new("bank-a", a.clone()).await;
        founder.takes(&a, &old).await.expect("it is kept");
        assert_eq!(founder.store.waiting().await.expect("letters"), 3);
        founder.takes(&a, &stated(&a, 7, &[&all[0]])).await.expect("it is kept");
        founder.store.forget_project("fraud").await.expect("it is forgotten");
        assert!(founder.takes(&a, &old).await.is_err());
        assert_eq!(founder.store.heard("fraud", &Signer::fingerprint(&*a)).await.expect("a version"), 7);
        founder.takes(&a, &stated(&a, 8, &[&all[0]])).await.expect("it is founded again");
        founder.takes(&a, &old).await.expect("it is passed over");
        assert_eq!(founder.members().await, ["bank-a"]);
        // At a member that left, and is invited again.
        let left = Kept::new("bank-b", b.clone()).await;
        left.takes(&a, &stated(&a, 5, &[&all[0], &all[1]])).await.expect("it is kept");
        left.store.forget_project("fraud").await.expect("it is left");
        assert!(left.takes(&a, &old).await.is_err_and(|e| e.to_string().contains("was left here at version 5")));
        left.takes(&a, &stated(&a, 9, &[&all[0], &all[1]])).await.expect("it is a member again");
        assert_eq!(left.store.waiting().await.expect("letters"), 0, "only the founder tells");
        assert_eq!(left.members().await, ["bank-a", "bank-b"]);
    }

    #[tokio::test]
    async fn removals_count_also_where_additions_are_refused() {
        let [a, b, c, d, other] = ["bank-a", "bank-b", "bank-c", "bank-d", "bank-c"].map(identity);
        let [ma, mb, mc, md] = [member("bank-a", &a), member("bank-b", &b), member("bank-c", &c), member("bank-d", &d)];
        let other = member("bank-c", &other);
        let kept = Kept::new("bank-b", b.clone()).await;
        kept.takes(&a, &stated(&a, 2, &[&ma, &mb, &mc, &md])).await.expect("it is kept");
        kept.takes(&a, &stated(&a, 3, &[&ma, &mb, &md])).await.expect("it is kept");
        // The founder has bank-c under another root, which nobody here gave words of, and removes bank-d.
        assert!(kept.takes(&a, &stated(&a, 4, &[&ma, &mb, &md, &other])).await.is_err());
        assert_eq!(kept.members().await, ["bank-a", "bank-b", "bank-d"]);
        let refused = stated(&a, 5, &[&ma, &mb, &other]);
        assert!(kept.takes(&a, &refused).await.is_err());
        assert_eq!(kept.members().await, ["bank-a", "bank-b"]);
        // What is older brings nobody back.
        for version in [3, 4] {
            kept.takes(&a, &stated(&a, version, &[&ma, &mb, &md])).await.expect("it is passed over");
            assert_eq!(kept.members().await, ["bank-a", "bank-b"]);
        }
        // Whoever signs it is the founder.
        assert!(kept.takes(&a, &stated(&d, 9, &[&ma, &mb])).await.is_err());
        // With the words all of it is taken.
        kept.store.forget_name("bank-c", &root_words(&other.root)).await.expect("it is forgotten");
        kept.takes(&a, &refused).await.expect("it is kept");
        assert_eq!(kept.members().await, ["bank-a", "bank-b", "bank-c"]);
        // What waits for a project goes with the membership.
        kept.store.post("fraud", "bank-a", "end", "1".into()).await.expect("it is posted");
        kept.takes(&a, &stated(&a, 6, &[&ma])).await.expect("it is kept");
        assert_eq!(kept.store.waiting().await.expect("letters"), 0);
        let entries = kept.log.entries(0..kept.log.size()).expect("a log");
        let left = entries.iter().filter(|entry| matches!(entry.record, Record::Left { .. })).count();
        assert_eq!(left, 4, "bank-c, bank-d, and then bank-b and bank-c");
    }

    #[tokio::test]
    async fn words_bind_the_founder_too_and_no_words_do_not() {
        let [a, c, other] = ["bank-a", "bank-c", "bank-c"].map(identity);
        let (ma, mc, other) = (member("bank-a", &a), member("bank-c", &c), member("bank-c", &other));
        let kept = Kept::new("bank-a", a.clone()).await;
        kept.takes(&a, &stated(&a, 1, &[&ma])).await.expect("it is kept");
        kept.store.forget_name("bank-c", &root_words(&other.root)).await.expect("it is forgotten");
        assert!(kept.takes(&a, &stated(&a, 2, &[&ma, &mc])).await.is_err());
        kept.store.forget_name("bank-c", "").await.expect("it is forgotten");
        kept.takes(&a, &stated(&a, 3, &[&ma, &mc])).await.expect("it is kept");
        assert_eq!(kept.members().await, ["bank-a", "bank-c"]);
    }
}
