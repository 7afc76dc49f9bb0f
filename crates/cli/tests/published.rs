//! A job that publishes noisy answers to public questions, between nodes in processes of their own: what they promise, what it takes of their privacy budgets,
//! and what the logs say. Beside that, what members see of each other's tables.

mod site;

use serde_json::Value;
use site::{NAMES, Node, Site, until};
use std::collections::BTreeMap;
use std::path::PathBuf;

const ROWS: usize = 24;
const EPSILON: f64 = 5.0;
const SCHEMA: &str = "[[columns]]\nname = \"x\"\nkind = \"number\"\nmin = -1.0\nmax = 1.0\n\n[[columns]]\nname = \"who\"\nkind = \"person\"\n\n\
                      [[columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n";
const PROJECT: &str = "tumours-2026";

/// Three members of one project with a table each.
struct Three(Site);

impl Three {
    fn new() -> Three {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let make = |(number, name)| (name, Node::init(folder.path(), (name, number), None, &[], Vec::new()));
        let nodes: BTreeMap<_, _> = NAMES[..3].iter().copied().enumerate().map(make).collect();
        let mut site = Site { folder, nodes, case: ("", "patients") };
        std::fs::write(site.folder.path().join("schema.toml"), SCHEMA).expect("written");
        site.nodes.get_mut(NAMES[0]).expect("a node").start();
        for name in &NAMES[1..3] {
            site.join(name);
            site.nodes.get_mut(name).expect("a node").start();
        }
        let three = Three(site);
        for (i, name) in NAMES[..3].iter().enumerate() {
            // Each person has rows at two owners.
            let row = |r: usize| {
                let x = (r as f64 + i as f64 / 3.0) / ROWS as f64 * 2.0 - 1.0;
                format!("{x},p{},{}\n", (3 * r + i) / 2, if x > 0.1 { "yes" } else { "no" })
            };
            let rows: String = (0..ROWS).map(row).collect();
            std::fs::write(three.file(&format!("{name}.csv")), format!("x,who,y\n{rows}")).expect("written");
            let (data, schema) = (three.file(&format!("{name}.csv")), three.file("schema.toml"));
            let mut args = vec!["table", "add", "patients", "--data", &data, "--schema", &schema];
            match i {
                0 => args.extend(["--project", PROJECT, "--show-rows"]),
                1 => args.extend(["--project", PROJECT]),
                _ => {}
            }
            three.node(i).run(&args);
        }
        three
    }
    fn node(&self, i: usize) -> &Node {
        &self.0.nodes[NAMES[i]]
    }
    fn file(&self, name: &str) -> String {
        self.0.folder.path().join(name).to_str().expect("a path").to_owned()
    }
    /// Puts the questions where a node looks for them.
    fn questions(&self, i: usize) {
        let folder = self.node(i).home.join("questions");
        std::fs::create_dir_all(&folder).expect("a directory");
        let rows: String = (0..12).map(|r| format!("{}\n", f64::from(r) / 6.0 - 1.0)).collect();
        std::fs::write(folder.join("public.csv"), format!("x\n{rows}")).expect("written");
    }
    fn budget(&self, i: usize, epsilon_milli: u64) {
        let folder = self.node(i).home.join("budgets");
        std::fs::create_dir_all(&folder).expect("a directory");
        let text = format!("epsilon_milli_total = {epsilon_milli}\nperiod_days = 0\n");
        std::fs::write(folder.join(format!("{PROJECT}.toml")), text).expect("written");
    }
    fn submit(&self) -> String {
        let participants: String =
            NAMES[..3].iter().map(|name| format!("[[participants]]\nname = \"{name}\"\nrows = {ROWS}\n\n")).collect();
        let job = format!(
            "name = \"public model\"\nprotocol = \"rep3\"\n{participants}[data]\nschema = \"schema.toml\"\n[model]\nkind = \"logistic\"\n\
             [training]\nepochs = 2\nbatch = 24\n[distillation]\nevery = 1\nquestions = \"public.csv\"\n\
             privacy = {{ voting = {{ teachers = 2, epsilon = {EPSILON:?}, delta = 1e-3, epochs = 1 }} }}\n"
        );
        std::fs::write(self.file("job.toml"), job).expect("written");
        let file = self.file("job.toml");
        let mut args = vec!["job", "submit", &file, "--project", PROJECT, "--purpose", "a model for everybody"];
        let tables: Vec<String> = NAMES[..3].iter().map(|name| format!("{name}=patients")).collect();
        tables.iter().for_each(|table| args.extend(["--table", table.as_str()]));
        self.node(0).run(&args).trim().to_owned()
    }
    fn approve(&self, i: usize, digest: &str) {
        until("the manifest arrives", || self.node(i).run(&["jobs"]).contains(&digest[..12]));
        // At the submitter's, whoever submitted it is one of two.
        for person in &["officer", "head"][..if i == 0 { 1 } else { 2 }] {
            self.node(i).run(&["job", "approve", digest, "--person", person]);
        }
    }
}

/// What members show each other.
fn catalogue(three: &Three) {
    // Who joined last is a member for all as soon as the founder's word has reached them.
    let mut said = String::new();
    until("members tell each other", || {
        said = three.node(2).run(&["table", "list", "--project", PROJECT]);
        !said.contains("did not tell")
    });
    assert!(said.contains("hospital-a  patients  24 rows\n    x  number from -1 to 1\n"), "{said}");
    assert!(said.contains("hospital-b  patients  rows not shown\n"), "{said}");
    assert!(said.contains("hospital-c shows no table"), "{said}");
    assert!(!said.contains(".csv"), "{said}");
    let own = three.node(0).run(&["table", "list"]);
    assert!(own.contains("shown to members of tumours-2026, with the number of its rows"), "{own}");
    let json = three.node(1).run(&["table", "list", "--project", PROJECT, "--json"]);
    let told: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&told["members"]["hospital-a"][0]["rows"], &told["silent"]), (&24.into(), &serde_json::json!({})));
}

#[test]
fn nodes_publish_noisy_answers_and_count_what_they_promise() {
    let mut three = Three::new();
    catalogue(&three);

    // Where a participant has not the questions, its node says so, and to whom.
    (0..2).for_each(|i| three.questions(i));
    let digest = three.submit();
    until("the job ends", || three.0.state_of(NAMES[0], &digest) == "aborted");
    let why = three.node(0).job(&digest)["line"]["reason"].as_str().expect("words").to_owned();
    assert!(why.contains("hospital-c does not take it") && why.contains("public questions `public.csv`"), "{why}");
    assert!(!why.contains(three.0.folder.path().to_str().expect("a path")), "{why}");

    three.questions(2);
    (0..2).for_each(|i| three.budget(i, 8000));
    let digest = three.submit();
    (0..3).for_each(|i| three.approve(i, &digest));
    for name in &NAMES[..3] {
        until("the job is done", || {
            let state = three.0.state_of(name, &digest);
            assert!(!["aborted", "denied"].contains(&&*state), "{}", three.0.nodes[name].job(&digest));
            state == "done"
        });
    }
    let job = three.node(1).job(&digest);
    assert_eq!(job["manifest"]["release"]["epsilon_milli"], 5000, "what it promises is what it takes");
    assert_eq!(job["manifest"]["job"]["distillation"]["questions"], "public.csv");
    let opens = job["plan"]["openings"].to_string();
    assert!(opens.contains("PUBLISHED: noisy votes on public questions"), "{job}");
    let shown = three.node(1).run(&["job", "show", &digest]);
    assert!(shown.contains("  runs       ") && !shown.contains("not known here"), "{shown}");

    // The same public models everywhere, with the promise in them; both releases together stay within it.
    let out = |i: usize, name: &str| three.node(i).home.join("jobs").join(&digest).join(name);
    let read = |path: PathBuf| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for release in ["public-000001.json", "public-000002.json"] {
        let text = read(out(0, release));
        assert!(text.contains("differential privacy, epsilon 5, delta 1e-3, over all releases"), "{text}");
        (1..3).for_each(|i| assert_eq!(read(out(i, release)), text));
    }
    let report = three.node(2).job(&digest)["report"].clone();
    let releases = report["releases"].as_array().expect("releases");
    assert_eq!(releases.len(), 2, "{report}");
    let spent = releases[1]["epsilon_so_far"].as_f64().expect("a number");
    assert!((spent - EPSILON).abs() < 1e-6, "all of what was promised, and no more: {spent}");

    // Where there is a budget, it is counted: a second such job is too much, and where there is none it is not.
    let second = three.submit();
    until("the manifest arrives", || three.node(1).run(&["jobs"]).contains(&second[..12]));
    three.node(1).run(&["job", "approve", &second, "--person", "officer"]);
    let said = three.node(1).fails(&["job", "approve", &second, "--person", "head"]);
    assert!(said.contains("takes 5000 thousandths of epsilon, and 3000 of 8000 are left"), "{said}");
    three.approve(2, &second);
    // Who raises it is seen to have done so.
    three.budget(1, 9000);
    let log = |three: &Three| std::fs::read_to_string(three.node(1).home.join("audit/log.jsonl")).expect("a log");
    until("the log has the new budget", || log(&three).contains("\"epsilon_milli_total\":9000"));
    let kinds = |text: &str, kind: &str| text.matches(&format!("\"kind\":\"{kind}\"")).count();
    assert_eq!((kinds(&log(&three), "budget"), kinds(&log(&three), "spent")), (2, 1));
    three.node(0).run(&["job", "abort", &second]);

    // An auditor adds it up from the logs, and knows what the job published.
    let export = |name: &str| three.0.folder.path().join(format!("{name}.privityaudit"));
    let exports: Vec<PathBuf> = NAMES[..3].iter().map(|name| export(name)).collect();
    until("the job ends everywhere", || (0..3).all(|i| three.node(i).state(&second) == "denied"));
    for (name, export) in NAMES.iter().zip(&exports) {
        let node = three.0.nodes.get_mut(name).expect("a node");
        assert!(node.stop(), "{name}");
        let log = node.home.join("audit");
        let (log, export) = (log.to_str().expect("a path"), export.to_str().expect("a path"));
        node.run(&["audit", "export", "--log", log, "--out", export]);
    }
    let files: Vec<&str> = exports.iter().map(|export| export.to_str().expect("a path")).collect();
    let verdict = three.node(0).run(&[&["audit", "verify"], &files[..]].concat());
    assert!(verdict.contains("3 logs") && !verdict.contains("!!"), "{verdict}");
    let questions = three.node(0).home.join("questions").to_str().expect("a path").to_owned();
    let learned = ["--who-learned-what", "--questions", &questions];
    let traced = three.node(0).run(&[&["audit", "trace", &digest[..12]], &files[..], &learned].concat());
    assert!(traced.contains("took 5000 thousandths of epsilon of the privacy budget"), "{traced}");
    assert!(traced.contains("PUBLISHED: noisy votes on public questions, 2 times 12 values"), "{traced}");
}
