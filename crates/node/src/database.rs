//! Where a node keeps what it remembers: SQLite in its directory, or PostgreSQL, which several instances of the node can share ([`crate::lease`]).

use crate::NodeError;
use crate::store::Store;
use serde::{Deserialize, Serialize};
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Row, Transaction};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// Connections to PostgreSQL. One transaction writes at a time: the others read.
const CONNECTIONS: u32 = 8;
/// A connection that cannot be had for so long is an error.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the database did not do, because it was not there for a moment, is tried again for so long: longer than an instance of a node lives without it.
const TRIED: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
/// Whoever sleeps in the middle of a transaction holds up nobody for longer.
const ASLEEP: &str = "5000";
/// A number that only these programs lock in a database: while tables are made.
const MAKING: i64 = 0x7072_6976_6974_7900;

/// `database` of `node.toml`: empty for SQLite in the node's directory, or the URL of a PostgreSQL database. That may hold a password: it is shown nowhere, and
/// written to `node.toml` only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Database(String);

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_postgres() { "Database(PostgreSQL)" } else { "Database(SQLite)" })
    }
}

impl From<String> for Database {
    fn from(url: String) -> Self {
        Database(url)
    }
}

impl Database {
    /// Whether it is PostgreSQL, which instances can share.
    pub fn is_postgres(&self) -> bool {
        !self.0.is_empty()
    }

    /// Looks whether this is the URL of a PostgreSQL database. What is wrong is said without any of its words.
    pub(crate) fn check(&self) -> Result<(), NodeError> {
        if self.is_postgres() { self.options().map(drop) } else { Ok(()) }
    }

    /// How it is reached. Over a network that is not this machine's the server shows a certificate, unless the URL or `PGSSLMODE` says otherwise.
    fn options(&self) -> Result<AnyConnectOptions, NodeError> {
        let bad = |problem: &str| NodeError::Config {
            problem: format!(
                "database {problem}: write postgres://USER@HOST:PORT/NAME?sslmode=verify-full, or nothing for SQLite in the node's directory"
            ),
        };
        if !["postgres://", "postgresql://"].iter().any(|scheme| self.0.starts_with(scheme)) {
            return Err(bad("is no URL of PostgreSQL"));
        }
        let mut options = AnyConnectOptions::from_str(&self.0).map_err(|_| bad("is no URL that can be read"))?;
        let url = &mut options.database_url;
        let told = |key: &str| url.query_pairs().any(|(name, _)| name == key);
        let secured = told("sslmode") || told("ssl-mode") || std::env::var_os("PGSSLMODE").is_some();
        // Any that may count: in the URL, its parameters, or the environment.
        let mut hosts: Vec<String> = (url.query_pairs())
            .filter(|(name, _)| name == "host" || name == "hostaddr")
            .map(|(_, host)| host.into_owned())
            .collect();
        hosts.extend(url.host_str().map(str::to_owned));
        hosts.extend(["PGHOST", "PGHOSTADDR"].iter().filter_map(|key| std::env::var(key).ok()));
        let named = told("application_name");
        let mut more = url.query_pairs_mut();
        if !secured && !hosts.iter().all(|host| is_here(host)) {
            more.append_pair("sslmode", "verify-full");
        }
        if !named {
            more.append_pair("application_name", "privity");
        }
        more.append_pair("options[idle_in_transaction_session_timeout]", ASLEEP);
        drop(more);
        Ok(options)
    }

    /// Connections to PostgreSQL.
    pub(crate) async fn connect(&self, connections: u32, patience: Duration) -> Result<AnyPool, NodeError> {
        install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(connections).acquire_timeout(patience);
        Ok(pool.connect_with(self.options()?).await?)
    }

    /// The pool that a [`Store`] uses.
    pub(crate) async fn pool(&self) -> Result<AnyPool, NodeError> {
        self.connect(CONNECTIONS, PATIENCE).await
    }
}

/// Whether a host is this machine: a loopback address, or a directory with a socket.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let socket = host.is_empty() || host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    socket || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What makes the tables of each version from those of the one before, on either database.
const SQLITE: [&str; 8] = [
    include_str!("../migrations/sqlite/0001_begin.sql"),
    include_str!("../migrations/sqlite/0002_people.sql"),
    include_str!("../migrations/sqlite/0003_queue.sql"),
    include_str!("../migrations/sqlite/0004_models.sql"),
    include_str!("../migrations/sqlite/0005_votes.sql"),
    include_str!("../migrations/sqlite/0006_forgotten.sql"),
    include_str!("../migrations/sqlite/0007_left.sql"),
    include_str!("../migrations/sqlite/0008_revoked.sql"),
];
const POSTGRES: [&str; SQLITE.len()] = [
    include_str!("../migrations/postgres/0001_begin.sql"),
    include_str!("../migrations/postgres/0002_people.sql"),
    include_str!("../migrations/postgres/0003_queue.sql"),
    include_str!("../migrations/postgres/0004_models.sql"),
    include_str!("../migrations/postgres/0005_votes.sql"),
    include_str!("../migrations/postgres/0006_forgotten.sql"),
    include_str!("../migrations/postgres/0007_left.sql"),
    include_str!("../migrations/postgres/0008_revoked.sql"),
];

fn newer(version: i64) -> Result<usize, NodeError> {
    match usize::try_from(version) {
        Ok(version) if version <= SQLITE.len() => Ok(version),
        _ => Err(NodeError::Store(format!("it is of version {version}, made by a newer program than this"))),
    }
}

/// Opens or makes the SQLite database of a node's directory, and brings it to this version.
pub(crate) async fn sqlite(home: &Path) -> Result<AnyPool, NodeError> {
    install_default_drivers();
    let url = format!("sqlite://{}?mode=rwc", home.join("node.db").display());
    // SQLite has one writer; more connections would only wait for each other.
    let options = AnyPoolOptions::new().max_connections(1);
    #[cfg(test)]
    let options = crate::sim::server(options);
    let pool = options.connect(&url).await?;
    for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] {
        sqlx::query(pragma).execute(&pool).await?;
    }
    let row = sqlx::query("PRAGMA user_version").fetch_one(&pool).await?;
    for (done, migration) in SQLITE.iter().enumerate().skip(newer(row.try_get(0)?)?) {
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        let mark = format!("PRAGMA user_version = {}", done + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(pool)
}

/// Makes the one row of a PostgreSQL database that says who serves, if it is not there.
pub(crate) async fn prepare(pool: &AnyPool) -> Result<(), NodeError> {
    let encoding: String =
        sqlx::query("SELECT current_setting('server_encoding')").fetch_one(pool).await?.try_get(0)?;
    if encoding != "UTF8" {
        return Err(NodeError::Store(format!("it is encoded in {encoding}: make one in UTF8")));
    }
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING).execute(&mut *transaction).await?;
    let there = sqlx::query("SELECT to_regclass('node') IS NOT NULL").fetch_one(&mut *transaction).await?;
    if there.try_get(0)? {
        return Ok(());
    }
    sqlx::raw_sql(include_str!("../migrations/postgres/0000_node.sql")).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Brings a PostgreSQL database to this version: only the instance that serves does.
pub(crate) async fn migrate(store: &Store) -> Result<(), NodeError> {
    let row = sqlx::query("SELECT version FROM node").fetch_one(&store.0).await?;
    for (done, migration) in POSTGRES.iter().enumerate().skip(newer(row.try_get(0)?)?) {
        let mut transaction = store.begin().await?.ok_or(NodeError::Superseded)?;
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        let mark = sqlx::query("UPDATE node SET version = $1").bind(done as i64 + 1);
        mark.execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Whether a failure may pass by itself, as the database is not there for a moment.
pub(crate) fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => true,
        // Connections that end, servers that stop or start, transactions that slept or met others.
        sqlx::Error::Database(e) => e.code().is_some_and(|code| {
            ["57P01", "57P02", "57P03", "25P03", "40001", "40P01"].contains(&&*code) || code.starts_with("08")
        }),
        _ => false,
    }
}

impl Store {
    /// A transaction that writes. None other does at the same time, on either database, so what is read in it stays so until it ends. None if another instance
    /// of the node serves: whatever this one still does changes nothing.
    pub(crate) async fn begin(&self) -> Result<Option<Transaction<'_, Any>>, sqlx::Error> {
        let mut transaction = self.0.begin().await?;
        if let Some(epoch) = self.1 {
            let row = sqlx::query("SELECT epoch FROM node WHERE epoch = $1 FOR UPDATE").bind(epoch);
            if row.fetch_optional(&mut *transaction).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(transaction))
    }

    /// Runs a statement that changes something; how many rows it changed. A database that is not there for a moment is waited for. So a statement may run
    /// although its answer was lost, and then again: each must find that it has nothing to do, or do no harm by doing it twice.
    pub(crate) async fn write<'q>(
        &self,
        statement: impl Fn() -> Query<'q, Any, AnyArguments>,
    ) -> Result<u64, NodeError> {
        Ok(self.written(statement).await?.0)
    }

    /// As [`Store::write`]; and whether the statement may have run before: then it may have changed by then what it says that it did not.
    pub(crate) async fn written<'q>(
        &self,
        statement: impl Fn() -> Query<'q, Any, AnyArguments>,
    ) -> Result<(u64, bool), NodeError> {
        let (began, mut again) = (crate::node::instant(), false);
        loop {
            match self.once(statement()).await {
                Ok(changed) => return changed.map(|rows| (rows, again)).ok_or(NodeError::Superseded),
                Err(error) if self.is_waited_for() && may_pass(&error) && crate::node::instant() - began < TRIED => {
                    tracing::warn!(error = %error, "the database did not answer; it is asked again");
                    again = true;
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn once(&self, statement: Query<'_, Any, AnyArguments>) -> Result<Option<u64>, sqlx::Error> {
        let Some(mut transaction) = self.begin().await? else { return Ok(None) };
        let done = statement.execute(&mut *transaction).await?;
        #[cfg(test)]
        crate::sim::before_commit()?;
        transaction.commit().await?;
        #[cfg(test)]
        crate::sim::after_commit()?;
        Ok(Some(done.rows_affected()))
    }

    /// Whether a server keeps it, which may start again.
    fn is_waited_for(&self) -> bool {
        #[cfg(test)]
        if crate::sim::has_server() {
            return true;
        }
        self.1.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_shown_nowhere() {
        let database = Database("postgres://privity:s3cret@db.example:x/privity".into());
        let said = [format!("{database:?}"), database.check().expect_err("no port").to_string()];
        assert!(said.iter().all(|said| !said.contains("s3cret") && !said.contains("example:")), "{said:?}");
    }

    #[tokio::test]
    async fn votes_of_before_are_of_the_way_in_which_their_persons_sign_in() {
        install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await.expect("a database");
        let run = async |text: &'static str| {
            sqlx::raw_sql(text).execute(&pool).await.expect(text);
        };
        for migration in &SQLITE[..4] {
            run(migration).await;
        }
        run("INSERT INTO people VALUES ('ann', 'approver', 'oidc:0123', 1, 1), ('bob', 'approver', '$argon2id$x', 1, 1)").await;
        run("INSERT INTO votes (manifest, person, at) VALUES ('m', 'ann', 1), ('m', 'bob', 1), ('m', 'cid', 1)").await;
        run(SQLITE[4]).await;
        let rows = sqlx::query("SELECT person, how FROM votes ORDER BY person").fetch_all(&pool).await.expect("votes");
        let votes: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let expected = [("ann", "provider"), ("bob", "password"), ("cid", "password")];
        assert_eq!(votes, expected.map(|(person, how)| (person.to_owned(), how.to_owned())));
    }

    #[test]
    fn what_crosses_a_network_is_secured_unless_somebody_says_otherwise() {
        let mode = |url: &str| {
            let url = Database(url.into()).options().expect("a URL").database_url;
            url.query_pairs().find(|(key, _)| key == "sslmode").map(|(_, mode)| mode.into_owned())
        };
        assert_eq!(mode("postgres://u@db.example/p").as_deref(), Some("verify-full"));
        assert_eq!(mode("postgres:///p?user=u&host=db.example").as_deref(), Some("verify-full"));
        assert_eq!(mode("postgres://u@localhost/p?host=localhost&hostaddr=10.0.0.5").as_deref(), Some("verify-full"));
        assert_eq!(mode("postgres://u@10.0.0.1:5432/p?sslmode=require").as_deref(), Some("require"));
        for here in [
            "postgres://u@127.0.0.1/p",
            "postgres://u@[::1]/p",
            "postgres://u@localhost/p",
            "postgres://u@%2Frun%2Fpg/p",
        ] {
            assert_eq!(mode(here), None, "{here}");
        }
    }
}
