//! Certificates of nodes that their organisations declared void (ADR 35). What says so carries its root's signature and proves itself, whoever shows it: whoever has stolen
//! a node's key keeps nobody from hearing it. Members pass it on, and tell it to those that join later.

use crate::NodeError;
use crate::node::{Node, now};
use crate::store::{POST, Store};
use privity_api::{Project, Record, Revocation, Statement, Time};
use privity_net::identity::Identity;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sqlx::Row;

/// Where such statements are sent.
pub(crate) const PATH: &str = "revocation";
/// How far clocks may differ.
const AHEAD: Time = 300;
/// Longest reason, and longest request with one.
const REASON: usize = 2000;
const LONGEST: usize = 16 << 10;

/// BLAKE3 of a node's certificate itself, in hexadecimal; [`Identity::fingerprint`] is that of the root that issued it.
pub(crate) fn fingerprint(identity: &Identity) -> Result<String, NodeError> {
    let leaf = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes());
    leaf.map(|leaf| blake3::hash(&leaf).to_hex().to_string()).map_err(|e| NodeError::Keys(e.to_string()))
}

/// Since when the first certificate of a chain that was accepted is valid.
pub(crate) fn valid_since(chain: &[CertificateDer<'_>]) -> Option<Time> {
    let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    Some(leaf.validity().not_before.timestamp())
}

impl Node {
    /// Declares this organisation's node certificates void, all that were issued before now, makes a new one and tells the members of all its projects.
    ///
    /// # Errors
    /// Log, database or root key. Where only the new certificate could not be made, all else is done, and it is tried again.
    pub async fn revoke(&self, reason: &str) -> Result<(), NodeError> {
        if reason.chars().count() > REASON || reason.chars().any(char::is_control) {
            return Err(NodeError::State(format!("a reason has up to {REASON} characters, in one line")));
        }
        let own = self.root.fingerprint();
        let alone = self.changing.lock().await;
        // Also where the clock was put back meanwhile, and for the certificate that was made in the second of the last revocation.
        let before = now().max(self.store.void_before(&own).await?.saturating_add(1));
        let (organisation, reason) = (self.organisation().to_owned(), reason.to_owned());
        let statement = Statement::new(Revocation { organisation, before, reason, at: now() }, &*self.root)?;
        self.make_void(&own, &statement).await?;
        drop(alone);
        let renewed = self.renew().await;
        self.peers.wake();
        renewed.map_err(|error| {
            NodeError::Keys(format!(
                "the certificates are void and members are told, but there is no new one yet: {error}; it is tried again every minute"
            ))
        })
    }

    /// Somebody shows that an organisation declared its node certificates void: it, another member, anybody.
    pub(crate) async fn receive_revocation(&self, body: &[u8]) -> Result<(), NodeError> {
        if body.len() > LONGEST {
            return Err(NodeError::State("a revocation is no longer than 16 KiB".into()));
        }
        let statement: Statement<Revocation> = crate::serve::read(body)?;
        let revocation = &statement.body;
        // First of all, and by its own certificate: whoever shows what nobody signed has nothing looked up here, and learns of no member.
        let root = blake3::hash(&statement.certificate).to_hex().to_string();
        statement.verify(&crate::message::words(&revocation.organisation), &root)?;
        let organisation = self.caller(&root).await?;
        if revocation.organisation != organisation {
            return Err(NodeError::State(format!("a revocation by {organisation} names another")));
        }
        if revocation.before > now() + AHEAD {
            return Err(NodeError::Clock { organisation });
        }
        let alone = self.changing.lock().await;
        if self.store.void_before(&root).await? >= revocation.before {
            return Ok(());
        }
        // Only the holder of the root makes news, so nobody else empties this bucket.
        self.asked.take(&root, PATH)?;
        self.make_void(&root, &statement).await?;
        drop(alone);
        self.peers.wake();
        // Its own, stated elsewhere with its root, or before its database was put back.
        if root == self.root.fingerprint() { self.renew().await } else { Ok(()) }
    }

    /// Certificates of a root are void from now on, here and in the words that all other members of its projects hear. By whoever holds [`Node::changing`].
    async fn make_void(&self, root: &str, statement: &Statement<Revocation>) -> Result<(), NodeError> {
        let Revocation { organisation, before, .. } = &statement.body;
        let mut tell = Vec::new();
        for project in self.own_projects().await?.into_iter().filter(|project| project.by_root(root).is_some()) {
            let others = project.members.into_iter().map(|member| member.organisation);
            let others = others.filter(|name| name != self.organisation() && name != organisation);
            tell.extend(others.map(|name| (project.name.clone(), name)));
        }
        self.record(&Record::Revoked { organisation: organisation.clone(), before: *before })?;
        self.revocations.revoke(root, *before);
        let text = serde_json::to_string(statement).map_err(|e| NodeError::Store(e.to_string()))?;
        self.store.put_revocation(root, *before, &text, &tell).await
    }

    /// A fresh certificate, if the present one is void or ends soon. Connections that stand go on.
    pub(crate) async fn renew(&self) -> Result<(), NodeError> {
        let _alone = self.renewing.lock().await;
        let before = self.shown.get();
        let (from, until) = before.validity().unwrap_or_default();
        let own = self.root.fingerprint();
        let void = match self.revocations.voids(&own, from) {
            true => Some(self.store.void_before(&own).await?),
            false => None,
        };
        // A third of its time before it ends.
        if void.is_none() && until - now() > (until - from) / 3 {
            return Ok(());
        }
        let fresh = crate::daemon::replace((&self.home, &self.config), (&*self.root, &self.log), &before, void)?;
        self.shown.set(fresh);
        self.root.retire(&before).map_err(|e| NodeError::Keys(e.to_string()))
    }
}

/// What new members of a project are told: by every member of its own certificates that are void, by the founder of those of all members.
pub(crate) async fn for_newcomers(
    store: &Store,
    own_root: &str,
    project: &Project,
    before: Option<&Project>,
) -> Result<Vec<(String, &'static str, String)>, NodeError> {
    let founds = project.member(&project.founder).is_some_and(|founder| founder.root == own_root);
    let said = store.said_void().await?.into_iter();
    let said: Vec<_> =
        said.filter(|(root, _)| root == own_root || (founds && project.by_root(root).is_some())).collect();
    let is_known = |root: &str| root == own_root || before.is_some_and(|before| before.by_root(root).is_some());
    let new = project.members.iter().filter(|member| !is_known(&member.root));
    let told = new.flat_map(|member| {
        let others = said.iter().filter(|(root, _)| *root != member.root);
        others.map(|(_, text)| (member.organisation.clone(), PATH, text.clone()))
    });
    Ok(told.collect())
}

impl Store {
    /// Certificates of a root valid from before this moment are void, as this text says; all of these members, by project and name, are told, now or later.
    pub async fn put_revocation(
        &self,
        root: &str,
        before: Time,
        statement: &str,
        tell: &[(String, String)],
    ) -> Result<(), NodeError> {
        let mut transaction = self.begin().await?.ok_or(NodeError::Superseded)?;
        let query = "INSERT INTO revocations (root, before, statement) VALUES ($1, $2, $3) ON CONFLICT (root) DO UPDATE \
                     SET before = excluded.before, statement = excluded.statement WHERE revocations.before < excluded.before";
        let query = sqlx::query(query).bind(root).bind(before).bind(statement);
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(());
        }
        for (project, organisation) in tell {
            let query = sqlx::query(POST);
            let query = query.bind(project).bind(organisation).bind(PATH).bind(statement);
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
    /// All revocations.
    pub async fn revocations(&self) -> Result<Vec<(String, Time)>, NodeError> {
        let rows = sqlx::query("SELECT root, before FROM revocations").fetch_all(&self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
    /// From before which moment certificates of a root are void; 0 if none is.
    pub(crate) async fn void_before(&self, root: &str) -> Result<Time, NodeError> {
        let query = sqlx::query("SELECT before FROM revocations WHERE root = $1").bind(root.to_owned());
        let row = query.fetch_optional(&self.0).await?;
        row.map(|row| row.try_get(0)).transpose().map(Option::unwrap_or_default).map_err(NodeError::from)
    }
    /// The newest revocation of each root, as it was signed. Those that a program before this one heard are not kept so.
    async fn said_void(&self) -> Result<Vec<(String, String)>, NodeError> {
        let query = sqlx::query("SELECT root, statement FROM revocations WHERE statement <> '' ORDER BY root");
        query.fetch_all(&self.0).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{self, Opened};
    use crate::{Config, home};

    async fn open(home: &std::path::Path, config: &Config) -> (Opened, Vec<Record>) {
        let opened = daemon::open(home, config, None).await.expect("its directory");
        let entries = opened.log.entries(0..opened.log.size()).expect("a log");
        (opened, entries.into_iter().map(|entry| entry.record).collect())
    }

    /// As where a node dies between a revocation and the certificate that follows it, and its clock is put back.
    #[tokio::test]
    async fn a_node_whose_certificate_is_void_makes_another_before_it_serves() {
        let folder = tempfile::tempdir().expect("a directory");
        let home = folder.path().join("bank-b");
        let config = Config::parse("organisation = \"bank-b\"\nlisten = \"127.0.0.1:1\"\n", |_| None).expect("text");
        let root = daemon::init(&home, &config).expect("a directory");
        let (opened, records) = open(&home, &config).await;
        assert!(!records.iter().any(|record| matches!(record, Record::Key { .. })), "{records:?}");
        let first = fingerprint(&opened.identity).expect("a certificate");
        let void = now() + 60;
        opened.store.put_revocation(&root, void, "signed", &[]).await.expect("it is kept");
        drop(opened);
        let (opened, records) = open(&home, &config).await;
        let second = fingerprint(&opened.identity).expect("a certificate");
        assert_eq!(opened.identity.validity().expect("issued").0, void);
        let Some(Record::Key { event, fingerprint, .. }) = records.last() else { panic!("{records:?}") };
        assert_eq!((event.as_str(), fingerprint), ("made in place of one that was revoked", &second));
        assert!(second != first && second != root && first != root);
        drop(opened);
        let (_, again) = open(&home, &config).await;
        assert_eq!(again, records, "once is enough");
    }

    #[tokio::test]
    async fn a_renewal_at_the_start_is_in_the_log() {
        let folder = tempfile::tempdir().expect("a directory");
        let home = folder.path().join("bank-b");
        let config = Config::parse("organisation = \"bank-b\"\nlisten = \"127.0.0.1:1\"\n", |_| None).expect("text");
        daemon::init(&home, &config).expect("a directory");
        let (opened, _) = open(&home, &config).await;
        let mut short = opened.root.issue("bank-b", now() - 3600, now() + 60).expect("a certificate");
        short.succeed(&opened.identity);
        short.save(&home::identity(&home)).expect("it is written");
        drop(opened);
        let (opened, records) = open(&home, &config).await;
        let Some(Record::Key { event, fingerprint: logged, .. }) = records.last() else { panic!("{records:?}") };
        assert_eq!((event.as_str(), logged), ("renewed", &fingerprint(&opened.identity).expect("a certificate")));
    }
}
