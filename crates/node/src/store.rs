//! What a node remembers, in SQLite or PostgreSQL. Statements are kept as they were signed, and verified again whenever they count.

use crate::NodeError;
use crate::admin::Role;
use crate::job::State;
use crate::lease::Lease;
use privity_api::{Approval, Decision, Manifest, Project, Statement, Time};
use privity_policy::Spending;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row};
use std::collections::BTreeSet;
use std::path::Path;

/// The database of a node. Whatever changes something goes through `write` or `begin`: there it is seen that this instance may.
#[derive(Clone)]
pub struct Store(
    pub(crate) AnyPool,
    /// On PostgreSQL, the epoch of this instance's lease.
    pub(crate) Option<i64>,
);

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its number, in hexadecimal.
    pub id: String,
    /// What its code proves the knowledge of, in hexadecimal.
    pub secret: String,
    /// To which project.
    pub project: String,
    /// Whom.
    pub organisation: String,
    /// Whether it comes without data.
    pub helper: bool,
    /// Until when.
    pub expires: Time,
    /// `open`, `joining` (words are shown), `done`.
    pub state: String,
    /// Who uses it, as JSON; empty before.
    pub joiner: String,
    /// The words to compare; empty before.
    pub words: String,
}

/// A table of this organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The file. It is not told to anybody.
    pub path: String,
    /// A second file with rows to evaluate on; empty for none.
    #[serde(default)]
    pub test_path: String,
    /// The contract of its columns, as TOML.
    pub schema: String,
    /// Its rows.
    pub rows: u64,
    /// Projects whose members are shown its name and contract.
    #[serde(default)]
    pub projects: Vec<String>,
    /// Whether they are shown how many rows it has, too.
    #[serde(default)]
    pub shows_rows: bool,
}

/// A job, as the store knows it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Digest of its manifest.
    pub digest: String,
    /// The manifest, signed by its submitter.
    pub manifest: Statement<Manifest>,
    /// Where it stands.
    pub state: State,
    /// The highest attempt that this node signed; 0 before.
    pub attempt: u32,
    /// The last attempt that began here; 0 before.
    pub started: u32,
    /// Exit code of the last attempt.
    pub code: u8,
    /// Why it stands there.
    pub reason: String,
    /// Why the next attempt has not begun yet, if something hinders it.
    pub hindered: String,
    /// The engine's report as JSON, when it is done.
    pub report: String,
    /// When it came in.
    pub created: Time,
    /// When this last changed.
    pub updated: Time,
}

/// A person of this organisation who may sign in.
#[derive(Clone)]
pub struct Person {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Its password, hashed by Argon2id, in PHC form.
    pub password: String,
    /// When it was made known.
    pub created: Time,
    /// When role or password last changed.
    pub changed: Time,
}

/// How it is known which person votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// A tool says so, with the token of the node's directory.
    Tool,
    /// By its password.
    Password,
    /// By the identity provider.
    Provider,
}

impl Vouched {
    fn name(self) -> &'static str {
        match self {
            Vouched::Tool => "tool",
            Vouched::Password => "password",
            Vouched::Provider => "provider",
        }
    }
    fn parse(name: &str) -> Vouched {
        [Vouched::Tool, Vouched::Provider].into_iter().find(|how| how.name() == name).unwrap_or(Vouched::Password)
    }
}

/// A message that waits to be delivered.
pub struct Letter {
    /// Its place in the queue.
    pub seq: i64,
    /// In which project the recipient is known.
    pub project: String,
    /// To whom.
    pub organisation: String,
    /// Where to.
    pub path: String,
    /// What.
    pub body: String,
}

const APPROVE: &str = "approve";
const JOBS: &str =
    "SELECT digest, manifest, state, attempt, code, reason, report, created, updated, hindered, started FROM jobs";

/// A job of a row that [`JOBS`] selects.
fn stored(row: &AnyRow) -> Result<Stored, NodeError> {
    Ok(Stored {
        digest: row.try_get(0)?,
        manifest: json(row.try_get(1)?)?,
        state: State::parse(row.try_get(2)?),
        attempt: row.try_get::<i64, _>(3)? as u32,
        code: row.try_get::<i64, _>(4)? as u8,
        reason: row.try_get(5)?,
        report: row.try_get(6)?,
        created: row.try_get(7)?,
        updated: row.try_get(8)?,
        hindered: row.try_get(9)?,
        started: row.try_get::<i64, _>(10)? as u32,
    })
}

/// Has a message of a project to an organisation delivered: path and body.
pub(crate) const POST: &str = "INSERT INTO outbox (project, organisation, path, body) VALUES ($1, $2, $3, $4)";

/// Names of states as SQL has them in a list.
pub(crate) fn names(states: &[State]) -> String {
    states.iter().map(|state| format!("'{}'", state.name())).collect::<Vec<_>>().join(", ")
}

pub(crate) fn json<T: DeserializeOwned>(text: &str) -> Result<T, NodeError> {
    serde_json::from_str(text).map_err(|e| NodeError::Store(format!("what it holds is not what was written: {e}")))
}

/// A statement without the members, by project and root, that are none any more.
fn without(mut statement: Statement<Project>, gone: &BTreeSet<(String, String)>) -> Statement<Project> {
    let project = &mut statement.body;
    project.members.retain(|member| !gone.contains(&(project.name.clone(), member.root.clone())));
    statement
}

fn text<T: Serialize>(value: &T) -> Result<String, NodeError> {
    serde_json::to_string(value).map_err(|e| NodeError::Store(e.to_string()))
}

impl Store {
    /// Opens or makes the SQLite database of a node's directory.
    ///
    /// # Errors
    /// [`NodeError::Store`].
    pub async fn open(home: &Path) -> Result<Store, NodeError> {
        Ok(Store(crate::database::sqlite(home).await?, None))
    }
    /// Opens or makes the PostgreSQL database that an instance has the lease of.
    ///
    /// # Errors
    /// [`NodeError::Store`]; the lease is another's by now.
    pub async fn under(lease: &Lease) -> Result<Store, NodeError> {
        let store = Store(lease.database().pool().await?, Some(lease.epoch()));
        crate::database::migrate(&store).await?;
        Ok(store)
    }

    /// Keeps a project's members, unless those kept are of a higher version.
    pub async fn put_project(&self, root: &str, statement: &Statement<Project>) -> Result<(), NodeError> {
        self.put_project_telling(root, statement, &[]).await
    }
    /// As [`Store::put_project`]; these letters, to whom, where to and what, are delivered, now or later, if and only if it is kept.
    pub(crate) async fn put_project_telling(
        &self,
        root: &str,
        statement: &Statement<Project>,
        letters: &[(String, &'static str, String)],
    ) -> Result<(), NodeError> {
        let mut transaction = self.begin().await?.ok_or(NodeError::Superseded)?;
        let known = sqlx::query("SELECT statement FROM projects WHERE name = $1").bind(&statement.body.name);
        let known = known.fetch_optional(&mut *transaction).await?;
        let known = known.map(|row| json::<Statement<Project>>(row.try_get(0)?)).transpose()?;
        if known.is_some_and(|known| known.body.version >= statement.body.version) {
            return Ok(());
        }
        let query = "INSERT INTO projects (name, root, statement, heard) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (name) DO UPDATE SET statement = excluded.statement, heard = excluded.heard";
        sqlx::query(query)
            .bind(&statement.body.name)
            .bind(root)
            .bind(text(statement)?)
            .bind(i64::from(statement.body.version))
            .execute(&mut *transaction)
            .await?;
        let query = sqlx::query("DELETE FROM removed WHERE project = $1").bind(&statement.body.name);
        query.execute(&mut *transaction).await?;
        for (organisation, path, body) in letters {
            let query = sqlx::query(POST);
            let query = query.bind(&statement.body.name).bind(organisation).bind(*path).bind(body);
            query.execute(&mut *transaction).await?;
        }
        for member in &statement.body.members {
            let query = sqlx::query("INSERT INTO names (name, root) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            query.bind(&member.organisation).bind(&member.root).execute(&mut *transaction).await?;
            let query = sqlx::query("DELETE FROM forgotten WHERE name = $1").bind(&member.organisation);
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
    /// Names that organisations have, with their roots: also of members that are none any more, until a person has a name forgotten.
    pub async fn names(&self) -> Result<Vec<(String, String)>, NodeError> {
        let rows = sqlx::query("SELECT name, root FROM names").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
    /// A project: its founder's root, pinned when this node joined, and the members as the founder states them, without those that a newer statement leaves
    /// out of which not all could be taken.
    pub async fn project(&self, name: &str) -> Result<Option<(String, Statement<Project>)>, NodeError> {
        let gone = self.removed().await?;
        Ok(self.statement(name).await?.map(|(root, statement)| (root, without(statement, &gone))))
    }
    /// The statement that is kept of a project, as its founder signed it.
    pub(crate) async fn statement(&self, name: &str) -> Result<Option<(String, Statement<Project>)>, NodeError> {
        // Others choose what is asked for, and databases differ in what they take as text.
        if !privity_api::is_name(name) {
            return Ok(None);
        }
        let query = sqlx::query("SELECT root, statement FROM projects WHERE name = $1").bind(name.to_owned());
        let row = query.fetch_optional(&self.0).await?;
        row.map(|row| Ok((row.try_get(0)?, json(row.try_get(1)?)?))).transpose()
    }
    /// All projects.
    pub async fn projects(&self) -> Result<Vec<(String, Statement<Project>)>, NodeError> {
        let gone = self.removed().await?;
        let rows = sqlx::query("SELECT root, statement FROM projects ORDER BY name").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, without(json(row.try_get(1)?)?, &gone)))).collect()
    }

    /// Keeps an invitation, new or changed.
    pub async fn put_invitation(&self, i: &Invitation) -> Result<(), NodeError> {
        let query = "INSERT INTO invitations (id, secret, project, organisation, helper, expires, state, joiner, words) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET \
                     state = excluded.state, joiner = excluded.joiner, words = excluded.words";
        let query = || {
            let query = sqlx::query(query).bind(&i.id).bind(&i.secret).bind(&i.project).bind(&i.organisation);
            query.bind(i64::from(i.helper)).bind(i.expires).bind(&i.state).bind(&i.joiner).bind(&i.words)
        };
        self.write(query).await.map(drop)
    }
    /// An invitation by its number, if its time is not over.
    pub async fn invitation(&self, id: &str, now: Time) -> Result<Option<Invitation>, NodeError> {
        Ok(self.invitations().await?.into_iter().find(|i| i.id == id && i.expires > now))
    }
    /// Invitations, the newest first.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, NodeError> {
        let query = "SELECT id, secret, project, organisation, helper, expires, state, joiner, words FROM invitations \
                     ORDER BY expires DESC";
        let of = |row: &AnyRow| -> Result<Invitation, NodeError> {
            Ok(Invitation {
                id: row.try_get(0)?,
                secret: row.try_get(1)?,
                project: row.try_get(2)?,
                organisation: row.try_get(3)?,
                helper: row.try_get::<i64, _>(4)? != 0,
                expires: row.try_get(5)?,
                state: row.try_get(6)?,
                joiner: row.try_get(7)?,
                words: row.try_get(8)?,
            })
        };
        sqlx::query(query).fetch_all(&self.0).await?.iter().map(of).collect()
    }

    /// Keeps a person, new or changed.
    pub async fn put_person(&self, person: &Person) -> Result<(), NodeError> {
        let query = "INSERT INTO people (name, role, password, created, changed) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) \
                     DO UPDATE SET role = excluded.role, password = excluded.password, changed = excluded.changed";
        let query = || {
            let query = sqlx::query(query).bind(&person.name).bind(person.role.name()).bind(&person.password);
            query.bind(person.created).bind(person.changed)
        };
        self.write(query).await.map(drop)
    }
    /// Forgets a person; whether it was there.
    pub async fn remove_person(&self, name: &str) -> Result<bool, NodeError> {
        let query = || sqlx::query("DELETE FROM people WHERE name = $1").bind(name.to_owned());
        let (removed, again) = self.written(query).await?;
        Ok(removed > 0 || again)
    }
    /// All who may sign in.
    pub async fn people(&self) -> Result<Vec<Person>, NodeError> {
        let of = |row: &AnyRow| -> Result<Person, NodeError> {
            Ok(Person {
                name: row.try_get(0)?,
                role: Role::parse(row.try_get(1)?),
                password: row.try_get(2)?,
                created: row.try_get(3)?,
                changed: row.try_get(4)?,
            })
        };
        let query = sqlx::query("SELECT name, role, password, created, changed FROM people ORDER BY name");
        query.fetch_all(&self.0).await?.iter().map(of).collect()
    }

    /// Registers a table, or changes it.
    pub async fn put_table(&self, table: &Table) -> Result<(), NodeError> {
        let query =
            "INSERT INTO tables (name, entry) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET entry = excluded.entry";
        let entry = text(table)?;
        self.write(|| sqlx::query(query).bind(&table.name).bind(entry.clone())).await.map(drop)
    }
    /// Withdraws a table; whether it was there.
    pub async fn remove_table(&self, name: &str) -> Result<bool, NodeError> {
        let query = || sqlx::query("DELETE FROM tables WHERE name = $1").bind(name.to_owned());
        let (removed, again) = self.written(query).await?;
        Ok(removed > 0 || again)
    }
    /// All tables.
    pub async fn tables(&self) -> Result<Vec<Table>, NodeError> {
        let rows = sqlx::query("SELECT entry FROM tables ORDER BY name").fetch_all(&self.0).await?;
        rows.iter().map(|row| json(row.try_get(0)?)).collect()
    }

    /// Whether there is a job of this id.
    pub async fn has_id(&self, id: &str) -> Result<bool, NodeError> {
        let query = sqlx::query("SELECT 1 FROM jobs WHERE id = $1").bind(id.to_owned());
        Ok(query.fetch_optional(&self.0).await?.is_some())
    }
    /// Keeps a manifest that came in, with a priority that is this node's own affair. Of each digest and each id there is one only; one that is kept already
    /// may have come in just before, when the answer of the database was lost.
    pub async fn add_job(
        &self,
        digest: &str,
        manifest: &Statement<Manifest>,
        priority: u8,
        now: Time,
    ) -> Result<(), NodeError> {
        let query = "INSERT INTO jobs (digest, id, project, manifest, state, attempt, code, reason, report, created, updated, \
                     submitter, work, priority, expires, participants) \
                     VALUES ($1, $2, $3, $4, $5, 0, 0, '', '', $6, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
        let body = &manifest.body;
        let names: Vec<&str> = body.job.participants.iter().map(|p| p.name.as_str()).collect();
        let (kept, work, names) = (text(manifest)?, privity_policy::work(body)?, names.join(" "));
        let query = || {
            let query = sqlx::query(query).bind(digest.to_owned()).bind(&body.id).bind(&body.project);
            let query = query.bind(kept.clone()).bind(State::Pending.name()).bind(now).bind(&body.submitter);
            query.bind(work.clone()).bind(i64::from(priority)).bind(body.expires).bind(names.clone())
        };
        if self.write(query).await? == 1 {
            return Ok(());
        }
        let known = sqlx::query("SELECT manifest FROM jobs WHERE digest = $1").bind(digest.to_owned());
        let known = known.fetch_optional(&self.0).await?.map(|row| row.try_get::<String, _>(0)).transpose()?;
        match known.is_some_and(|known| known == kept) {
            true => Ok(()),
            false => Err(NodeError::State(format!("there is another manifest with id {}; submit it anew", body.id))),
        }
    }
    /// A job stands somewhere else from now on, if it stands in one of these states; whether it did.
    pub async fn set_state(
        &self,
        digest: &str,
        from: &[State],
        to: State,
        (code, reason): (u8, &str),
        now: Time,
    ) -> Result<bool, NodeError> {
        let query = "UPDATE jobs SET state = $1, code = $2, reason = $3, updated = $4, hindered = '' WHERE digest = $5 AND state IN";
        let query = format!("{query} ({})", names(from));
        let query = || {
            let query = sqlx::query(sqlx::AssertSqlSafe(query.clone())).bind(to.name()).bind(i64::from(code));
            query.bind(reason.to_owned()).bind(now).bind(digest.to_owned())
        };
        let (changed, again) = self.written(query).await?;
        if changed == 1 || !again {
            return Ok(changed == 1);
        }
        // It may have gone there, and the answer was lost.
        let query =
            "SELECT 1 FROM jobs WHERE digest = $1 AND state = $2 AND code = $3 AND reason = $4 AND updated = $5";
        let query = sqlx::query(query).bind(digest.to_owned()).bind(to.name()).bind(i64::from(code));
        Ok(query.bind(reason.to_owned()).bind(now).fetch_optional(&self.0).await?.is_some())
    }
    /// What a job's engine reported.
    pub async fn set_report(&self, digest: &str, report: &str) -> Result<(), NodeError> {
        let query = "UPDATE jobs SET report = $1 WHERE digest = $2";
        self.write(|| sqlx::query(query).bind(report.to_owned()).bind(digest.to_owned())).await.map(drop)
    }
    /// Why the next attempt of a job has not begun yet.
    pub async fn set_hindered(&self, digest: &str, why: &str) -> Result<(), NodeError> {
        let query = "UPDATE jobs SET hindered = $1 WHERE digest = $2";
        self.write(|| sqlx::query(query).bind(why.to_owned()).bind(digest.to_owned())).await.map(drop)
    }
    /// That nothing can follow an attempt that runs, for whoever looks after a crash.
    pub async fn set_over(&self, digest: &str, why: &str) -> Result<(), NodeError> {
        let query = "UPDATE jobs SET hindered = $1 WHERE digest = $2 AND state = 'running'";
        self.write(|| sqlx::query(query).bind(why.to_owned()).bind(digest.to_owned())).await.map(drop)
    }
    /// Takes an attempt's number for good; whether it was higher than all before, and the job one that may be attempted. No number is signed twice.
    /// A number whose answer was lost counts as taken and is not signed: nobody can tell then for whom it was.
    pub async fn take_attempt(&self, digest: &str, number: u32) -> Result<bool, NodeError> {
        let query = format!(
            "UPDATE jobs SET attempt = $1 WHERE digest = $2 AND attempt < $1 AND state IN ({})",
            names(&State::STARTS)
        );
        let query = || sqlx::query(sqlx::AssertSqlSafe(query.clone())).bind(i64::from(number)).bind(digest.to_owned());
        Ok(self.write(query).await? == 1)
    }
    /// An attempt begins; whether it is the one whose number was taken last, did not begin before, and nothing else came between. No attempt runs twice.
    pub async fn begin_attempt(&self, digest: &str, number: u32, now: Time) -> Result<bool, NodeError> {
        let query = format!(
            "UPDATE jobs SET started = $1, state = $2, code = 0, reason = $3, updated = $4, hindered = '' \
             WHERE digest = $5 AND attempt = $1 AND started < $1 AND state IN ({})",
            names(&State::STARTS)
        );
        let query = || {
            let query = sqlx::query(sqlx::AssertSqlSafe(query.clone())).bind(i64::from(number));
            query.bind(State::Running.name()).bind(format!("attempt {number}")).bind(now).bind(digest.to_owned())
        };
        Ok(self.write(query).await? == 1)
    }
    /// A job, by its digest or id, or as many digits at their beginning as are enough: for people.
    pub async fn find_job(&self, name: &str) -> Result<Stored, NodeError> {
        let hexadecimal = name.len() >= 6 && name.len() <= 64 && name.chars().all(|c| c.is_ascii_hexdigit());
        if !hexadecimal {
            return Err(NodeError::missing("job", &privity_api::printable(&name.chars().take(64).collect::<String>())));
        }
        let query = format!("{JOBS} WHERE (digest >= $1 AND digest < $2) OR (id >= $1 AND id < $2) LIMIT 2");
        let query =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(name.to_lowercase()).bind(format!("{}g", name.to_lowercase()));
        let mut found = query.fetch_all(&self.0).await?.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        match found.len() {
            1 => Ok(found.remove(0)),
            _ => Err(NodeError::missing("job", name)),
        }
    }
    /// A job, by its whole digest: for other nodes and for this one itself.
    pub async fn job(&self, digest: &str) -> Result<Stored, NodeError> {
        // Others choose what is asked for, and databases differ in what they take as text.
        if digest.len() > 64 || !digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NodeError::missing("job", &crate::message::words(digest)));
        }
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{JOBS} WHERE digest = $1"))).bind(digest.to_owned());
        let row = query.fetch_optional(&self.0).await?;
        row.as_ref()
            .map(stored)
            .transpose()?
            .ok_or_else(|| NodeError::missing("job", &digest.chars().take(64).collect::<String>()))
    }
    /// All jobs, the newest first.
    pub async fn jobs(&self) -> Result<Vec<Stored>, NodeError> {
        self.newest(u32::MAX).await
    }
    /// The newest jobs, no more than so many.
    pub async fn newest(&self, most: u32) -> Result<Vec<Stored>, NodeError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{JOBS} ORDER BY created DESC, digest LIMIT $1")));
        let query = query.bind(i64::from(most));
        query.fetch_all(&self.0).await?.iter().map(stored).collect()
    }
    /// The newest job of the same project and name, submitted no later than this one, that an organisation approved.
    pub async fn last_approved(&self, organisation: &str, job: &Stored) -> Result<Option<Stored>, NodeError> {
        let body = &job.manifest.body;
        let query = format!(
            "{JOBS} WHERE project = $1 AND digest IN (SELECT manifest FROM approvals WHERE organisation = $2 AND decision = $3) \
             ORDER BY created DESC, digest"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(body.project.clone()).bind(organisation.to_owned());
        let rows = query.bind(APPROVE).fetch_all(&self.0).await?;
        // Reading them all takes long where there are many; most have another name.
        let name = text(&body.job.name)?;
        for row in rows {
            if row.try_get::<&str, _>(1)?.contains(&name) {
                let earlier = stored(&row)?;
                let other = &earlier.manifest.body;
                let matches = other.job.name == body.job.name && other.created <= body.created;
                if matches && earlier.digest != job.digest {
                    return Ok(Some(earlier));
                }
            }
        }
        Ok(None)
    }
    /// How many jobs are in each state that any is in.
    pub async fn counts(&self) -> Result<Vec<(String, i64)>, NodeError> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
    /// Jobs in these states.
    pub async fn jobs_in(&self, states: &[State]) -> Result<Vec<Stored>, NodeError> {
        let query = format!("{JOBS} WHERE state IN ({}) ORDER BY created, digest", names(states));
        sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&self.0).await?.iter().map(stored).collect()
    }

    /// Whether a decision would be news: the first counts, but that a denial takes the place of an approval.
    pub async fn is_news(&self, approval: &Approval) -> Result<bool, NodeError> {
        let query = sqlx::query("SELECT decision FROM approvals WHERE manifest = $1 AND organisation = $2");
        let row =
            query.bind(approval.manifest.clone()).bind(approval.organisation.clone()).fetch_optional(&self.0).await?;
        let known: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(known.is_none_or(|known| known == APPROVE && approval.decision == Decision::Deny))
    }
    /// Keeps an organisation's decision, if it is news.
    pub async fn put_approval(&self, approval: &Statement<Approval>) -> Result<(), NodeError> {
        let body = &approval.body;
        let query = "INSERT INTO approvals (manifest, organisation, decision, statement) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (manifest, organisation) DO UPDATE SET statement = excluded.statement, decision = excluded.decision \
                     WHERE approvals.decision = 'approve' AND excluded.decision = 'deny'";
        let decision = if body.decision == Decision::Approve { APPROVE } else { "deny" };
        let kept = text(approval)?;
        let query =
            || sqlx::query(query).bind(&body.manifest).bind(&body.organisation).bind(decision).bind(kept.clone());
        self.write(query).await.map(drop)
    }
    /// Manifests that wait for decisions, on which this organisation has decided.
    pub async fn decided(&self, organisation: &str) -> Result<BTreeSet<String>, NodeError> {
        let query = "SELECT approvals.manifest FROM approvals JOIN jobs ON jobs.digest = approvals.manifest \
                     WHERE approvals.organisation = $1 AND jobs.state = 'pending'";
        let rows = sqlx::query(query).bind(organisation.to_owned()).fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
    /// All decisions on a manifest.
    pub async fn approvals(&self, manifest: &str) -> Result<Vec<Statement<Approval>>, NodeError> {
        let query = sqlx::query("SELECT statement FROM approvals WHERE manifest = $1 ORDER BY organisation");
        let rows = query.bind(manifest.to_owned()).fetch_all(&self.0).await?;
        rows.iter().map(|row| json(row.try_get(0)?)).collect()
    }
    /// A person of this organisation wants a manifest approved.
    pub async fn vote(&self, manifest: &str, (person, how): (&str, Vouched), now: Time) -> Result<(), NodeError> {
        let query = "INSERT INTO votes (manifest, person, at, how) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (manifest, person) DO UPDATE SET how = excluded.how";
        let query = || {
            let query = sqlx::query(query).bind(manifest.to_owned()).bind(person.to_owned());
            query.bind(now).bind(how.name())
        };
        self.write(query).await.map(drop)
    }

    /// Persons of this organisation who wanted a manifest approved, and how that is known. Not all of them need count any more.
    pub async fn votes(&self, manifest: &str) -> Result<Vec<(String, Vouched)>, NodeError> {
        let query = sqlx::query("SELECT person, how FROM votes WHERE manifest = $1 ORDER BY at, person");
        let rows = query.bind(manifest.to_owned()).fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, Vouched::parse(row.try_get(1)?)))).collect()
    }

    /// Keeps what an engine tells.
    pub async fn add_event(&self, manifest: &str, at: Time, event: &str) -> Result<(), NodeError> {
        let query = "INSERT INTO events (manifest, seq, at, event) \
                     SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3 FROM events WHERE manifest = $1";
        self.write(|| sqlx::query(query).bind(manifest.to_owned()).bind(at).bind(event.to_owned())).await.map(drop)
    }
    /// What an engine told after the first `after`: number, time, event.
    pub async fn events(&self, manifest: &str, after: i64) -> Result<Vec<(i64, Time, String)>, NodeError> {
        let query = "SELECT seq, at, event FROM events WHERE manifest = $1 AND seq > $2 ORDER BY seq LIMIT 1000";
        let rows = sqlx::query(query).bind(manifest.to_owned()).bind(after).fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    /// A job takes its share of its project's privacy budget, once.
    pub async fn spend(&self, manifest: &str, project: &str, at: Time, epsilon_milli: u64) -> Result<(), NodeError> {
        let query = "INSERT INTO spending (manifest, project, at, epsilon_milli) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let taken = i64::try_from(epsilon_milli).unwrap_or(i64::MAX);
        let query = || sqlx::query(query).bind(manifest.to_owned()).bind(project.to_owned()).bind(at).bind(taken);
        self.write(query).await.map(drop)
    }
    /// What jobs of a project took of its privacy budget.
    pub async fn spending(&self, project: &str) -> Result<Vec<(String, Spending)>, NodeError> {
        let query = sqlx::query("SELECT manifest, at, epsilon_milli FROM spending WHERE project = $1");
        let rows = query.bind(project.to_owned()).fetch_all(&self.0).await?;
        let of = |row: &AnyRow| -> Result<(String, Spending), NodeError> {
            let epsilon_milli = row.try_get::<i64, _>(2)?.unsigned_abs();
            Ok((row.try_get(0)?, Spending { at: row.try_get(1)?, epsilon_milli }))
        };
        rows.iter().map(of).collect()
    }

    /// Has a message delivered, now or later.
    pub async fn post(&self, project: &str, organisation: &str, path: &str, body: String) -> Result<(), NodeError> {
        let query = || {
            let query = sqlx::query(POST).bind(project.to_owned()).bind(organisation.to_owned());
            query.bind(path.to_owned()).bind(body.clone())
        };
        self.write(query).await.map(drop)
    }
    /// How many messages wait.
    pub async fn waiting(&self) -> Result<i64, NodeError> {
        Ok(sqlx::query("SELECT COUNT(*) FROM outbox").fetch_one(&self.0).await?.try_get(0)?)
    }
    /// To whom messages wait.
    pub async fn recipients(&self) -> Result<Vec<String>, NodeError> {
        let rows = sqlx::query("SELECT DISTINCT organisation FROM outbox").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
    /// The first messages that wait for an organisation.
    pub async fn letters(&self, organisation: &str) -> Result<Vec<Letter>, NodeError> {
        let query = "SELECT seq, project, organisation, path, body FROM outbox WHERE organisation = $1 ORDER BY tries, seq LIMIT 50";
        let of = |row: &AnyRow| -> Result<Letter, NodeError> {
            Ok(Letter {
                seq: row.try_get(0)?,
                project: row.try_get(1)?,
                organisation: row.try_get(2)?,
                path: row.try_get(3)?,
                body: row.try_get(4)?,
            })
        };
        let query = sqlx::query(query).bind(organisation.to_owned());
        query.fetch_all(&self.0).await?.iter().map(of).collect()
    }
    /// A message came too early, or to a node in trouble: whether it may be tried again.
    pub async fn early(&self, seq: i64) -> Result<bool, NodeError> {
        const MOST: i64 = 3600;
        self.write(|| sqlx::query("UPDATE outbox SET tries = tries + 1 WHERE seq = $1").bind(seq)).await?;
        let row = sqlx::query("SELECT tries FROM outbox WHERE seq = $1").bind(seq).fetch_optional(&self.0).await?;
        Ok(row.map(|row| row.try_get::<i64, _>(0)).transpose()?.is_some_and(|tries| tries < MOST))
    }
    /// A message is delivered.
    pub async fn delivered(&self, seq: i64) -> Result<(), NodeError> {
        self.write(|| sqlx::query("DELETE FROM outbox WHERE seq = $1").bind(seq)).await.map(drop)
    }
}
