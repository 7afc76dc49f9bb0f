//! Four members of a project: three banks and a helper, whose logs witness each other.

use privity_api::{Approval, Decision, Manifest, Record, Release, Signer, Statement, Time};
use privity_audit::verify::{Book, Known, Report, check};
use privity_audit::{Filter, Log, Witness, export};
use privity_job::{Job, JobFile};
use privity_net::identity::Identity;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;

pub const START: Time = 1_790_000_000;
pub const NAMES: [&str; 4] = ["bank-a", "bank-b", "bank-c", "helper"];

pub struct Node {
    pub name: &'static str,
    pub identity: Arc<Identity>,
    pub dir: TempDir,
    pub log: Arc<Log>,
    pub witness: Witness,
}

impl Node {
    pub fn root(&self) -> String {
        Signer::fingerprint(&*self.identity)
    }
    pub fn export(&self, filter: &Filter) -> String {
        let mut out = Vec::new();
        export(self.dir.path(), filter, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}

pub struct World {
    pub nodes: Vec<Node>,
    clock: AtomicI64,
}

pub fn manifest(id: u8) -> Manifest {
    let person = |(i, name): (usize, &&str)| {
        let (fingerprint, rows) = (i.to_string().repeat(64), if i < 3 { 24 } else { 0 });
        format!(
            "[[participants]]\nname = \"{name}\"\naddress = \"127.0.0.1:{}\"\nfingerprint = \"{fingerprint}\"\nrows = {rows}\n",
            7700 + i
        )
    };
    let people: String = NAMES.iter().enumerate().map(person).collect();
    let text = format!(
        "name = \"fraud\"\nprotocol = \"rep4\"\n{people}[data]\ninput_bound = 8.0\n\
         [[data.schema.columns]]\nname = \"amount\"\nkind = \"number\"\nmin = 0\nmax = 10000\nmissing = 0\n\
         [[data.schema.columns]]\nname = \"fraud\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n\
         [model]\nkind = {{ mlp = {{ hidden = [5] }} }}\n\
         [training]\nepochs = 2\nbatch = 16\nlearning_rate = 0.1\n[outputs]\nmodel = [\"bank-b\"]\n"
    );
    let job = Job::new(JobFile::from_toml(&text).unwrap(), Path::new("")).unwrap();
    let dataset = |name: &&str| privity_api::Dataset { organisation: (*name).into(), table: "payments".into() };
    Manifest {
        version: 1,
        id: format!("{id:032x}"),
        project: format!("fraud-{}", id % 2),
        submitter: "bank-a".into(),
        person: "ada".into(),
        purpose: "fewer frauds".into(),
        created: START,
        expires: START + 86_400,
        attempts: 3,
        build: "00".into(),
        datasets: NAMES[..3].iter().map(dataset).collect(),
        models: Vec::new(),
        release: Release {
            recipients: NAMES.map(String::from).to_vec(),
            min_cohort: 10,
            until: START + 90_000,
            epsilon_milli: 0,
        },
        job: job.file().clone(),
    }
}

impl World {
    pub fn new() -> World {
        let node = |name: &'static str| {
            let identity = Arc::new(Identity::generate(name).unwrap());
            let dir = tempfile::tempdir().unwrap();
            let root = Signer::fingerprint(&*identity);
            let log = Arc::new(Log::open(dir.path(), name, &root, identity.clone(), START).unwrap());
            let witness = Witness::open(log.clone(), START).unwrap();
            Node { name, identity, dir, log, witness }
        };
        let world = World { nodes: NAMES.map(node).into(), clock: AtomicI64::new(START) };
        for node in &world.nodes {
            for other in world.nodes.iter().filter(|other| other.name != node.name) {
                let record =
                    Record::Joined { project: "fraud-1".into(), organisation: other.name.into(), root: other.root() };
                node.log.append(world.now(), &record).unwrap();
            }
        }
        world
    }
    pub fn now(&self) -> Time {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
    pub fn all(&self, record: &Record) {
        self.nodes.iter().for_each(|node| {
            node.log.append(self.now(), record).unwrap();
        });
    }
    /// A manifest comes in and all owners approve.
    pub fn approved(&self, manifest: &Manifest) -> String {
        let digest = manifest.digest().unwrap();
        for node in &self.nodes {
            assert_eq!(node.log.keep(manifest).unwrap(), digest);
        }
        let (id, project) = (manifest.id.clone(), manifest.project.clone());
        self.all(&Record::Submitted { manifest: digest.clone(), id, project, submitter: "bank-a".into() });
        for owner in &NAMES[..3] {
            self.all(&self.decision(&digest, owner, Decision::Approve));
        }
        digest
    }
    pub fn decision(&self, digest: &str, owner: &str, decision: Decision) -> Record {
        let node = self.nodes.iter().find(|node| node.name == owner).unwrap();
        let (manifest, organisation) = (digest.to_owned(), owner.to_owned());
        let approval = Approval {
            manifest,
            organisation,
            decision,
            reason: "fits".into(),
            by: vec!["eve".into()],
            at: self.now(),
        };
        let signed = Statement::new(approval.clone(), &*node.identity).unwrap();
        Record::decided(&approval, privity_api::sha256(&signed.signature))
    }
    pub fn started(&self, digest: &str, number: u32) {
        let parameters = vec![("protocol".into(), "rep4".into())];
        self.all(&Record::Attempt { manifest: digest.into(), number, build: "00".into(), parameters });
        self.all(&Record::Session { manifest: digest.into(), number, session: format!("{number:032x}") });
    }
    pub fn opened(&self, digest: &str, number: u32, what: &str) {
        self.all(&Record::Opening { manifest: digest.into(), number, what: what.into() });
    }
    pub fn ended(&self, digest: &str, number: u32, end: &str, code: u8) {
        let bytes = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), 1000)).collect::<BTreeMap<_, _>>();
        self.all(&Record::Ended {
            manifest: digest.into(),
            number,
            end: end.into(),
            code,
            reason: "as it went".into(),
            sent: bytes(&NAMES[1..]),
            classes: bytes(&["products", "openings"]),
            verdicts: 3,
            security: "one that deviates".into(),
        });
    }
    /// Everybody shows everybody the head of its log.
    pub fn gossip(&self) {
        for owner in &self.nodes {
            let head = owner.log.head(self.now()).unwrap();
            for other in self.nodes.iter().filter(|other| other.name != owner.name) {
                let proof =
                    owner.log.consistency(other.witness.size_of(owner.name, &owner.root()), head.body.size).unwrap();
                let seen = other.witness.observe(self.now(), owner.name, &owner.root(), &head, &proof).unwrap();
                owner.log.cosigned(other.name, &other.root(), &seen).unwrap();
            }
        }
    }
    /// Two jobs, one in two attempts; and heads of all that each has.
    pub fn busy() -> World {
        let world = World::new();
        let one = world.approved(&manifest(1));
        world.started(&one, 1);
        world.opened(&one, 1, "mean loss");
        world.ended(&one, 1, "paused", 4);
        world.gossip();
        world.started(&one, 2);
        world.opened(&one, 2, "mean loss");
        world.opened(&one, 2, "the model's weights");
        world.ended(&one, 2, "done", 0);
        let two = world.approved(&manifest(2));
        world.started(&two, 1);
        world.opened(&two, 1, "mean loss");
        world.ended(&two, 1, "done", 0);
        world.gossip();
        world.heads();
        world
    }
    pub fn heads(&self) {
        self.nodes.iter().for_each(|node| {
            node.log.head(self.now()).unwrap();
        });
    }
    pub fn exports(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.export(&Filter::default())).collect()
    }
}

pub fn audit(files: &[String]) -> Report {
    audit_with(files, &Known::default())
}

pub fn audit_with(files: &[String], known: &Known) -> Report {
    let books = files.iter().enumerate().map(|(i, file)| Book::load(&format!("file-{i}"), file.as_bytes()));
    check(books.collect(), known)
}
