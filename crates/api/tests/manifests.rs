//! What must be refused of a manifest, of a signature under it and of an attempt: a valid manifest of three banks and a helper, altered in one thing at a time.

use privity_api::manifest::{LONGEST, SKEW};
use privity_api::{
    Approval, Attempt, Dataset, Decision, MAX_TEXT, Manifest, ManifestError, NamedModel, Purpose, Release, Statement,
    Time,
};
use privity_job::distil::{Distillation, Privacy, Voting};
use privity_job::file::{Metrics, OnLoss, Predictions, SchemaSource};
use privity_job::{Job, JobFile};
use privity_net::identity::Identity;
use serde_json::{Value, json};
use std::path::Path;

const NOW: Time = 1_780_000_000;
const JOB: &str = r#"
name = "fraud"
protocol = "rep4"

[[participants]]
name = "bank-a"
address = "127.0.0.1:7701"
fingerprint = "1111111111111111111111111111111111111111111111111111111111111111"
rows = 400
test_rows = 100

[[participants]]
name = "bank-b"
address = "127.0.0.1:7702"
fingerprint = "2222222222222222222222222222222222222222222222222222222222222222"
rows = 300
test_rows = 100

[[participants]]
name = "bank-c"
address = "127.0.0.1:7703"
fingerprint = "3333333333333333333333333333333333333333333333333333333333333333"
rows = 200
test_rows = 100

[[participants]]
name = "helper"
address = "127.0.0.1:7704"
fingerprint = "4444444444444444444444444444444444444444444444444444444444444444"
rows = 0

[[data.schema.columns]]
name = "amount"
kind = "number"
min = 0
max = 10000
missing = 0

[[data.schema.columns]]
name = "channel"
kind = "category"
values = ["card", "online"]
missing = "zeros"

[[data.schema.columns]]
name = "day"
kind = "day"

[[data.schema.columns]]
name = "customer"
kind = "person"

[[data.schema.columns]]
name = "fraud"
kind = "label"
values = ["no", "yes"]

[model]
kind = { mlp = { hidden = [8, 4] } }

[training]
epochs = 3
batch = 32

[outputs]
model = ["bank-a"]
metrics = ["bank-a", "bank-b", "bank-c"]
"#;

fn job() -> JobFile {
    let file = JobFile::from_toml(JOB).expect("TOML");
    Job::new(file, Path::new("/nonexistent")).expect("a job").file().clone()
}

fn valid() -> Manifest {
    let table = |organisation: &str| Dataset { organisation: organisation.into(), table: "payments".into() };
    Manifest {
        version: 1,
        id: "00112233445566778899aabbccddeeff".into(),
        project: "fraud-2026".into(),
        submitter: "bank-a".into(),
        person: "alice".into(),
        purpose: "a joint model that scores card payments".into(),
        created: NOW - 60,
        expires: NOW + 86_400,
        attempts: 3,
        build: "5d".repeat(32),
        datasets: vec![table("bank-a"), table("bank-b"), table("bank-c")],
        models: Vec::new(),
        release: Release {
            recipients: ["bank-a", "bank-b", "bank-c"].map(String::from).to_vec(),
            min_cohort: 200,
            until: NOW + 2 * 86_400,
            epsilon_milli: 0,
        },
        job: job(),
    }
}

#[test]
fn the_valid_one_is_valid_and_so_is_the_seed_of_the_fuzzer() {
    let manifest = valid();
    let job = manifest.check(NOW).expect("valid");
    assert_eq!((job.protocol().name(), job.corrupt()), ("rep4", 1));
    let seed = include_bytes!("../../../fuzz/corpus/manifest/small");
    assert_eq!(Manifest::from_json(seed).expect("a manifest"), manifest);
    assert_eq!(seed, manifest.canonical().unwrap().as_bytes());
}

/// The rows of bank-a and bank-c are scored with a model of bank-b; the helper helps.
fn scoring() -> Manifest {
    let text = JOB.split("[training]").next().expect("a beginning").replace("test_rows = 100\n", "");
    let text = text.replace("rows = 300", "rows = 0\nmodel = true") + "[score]\noutput = \"prediction\"\n";
    let file = JobFile::from_toml(&text).expect("TOML");
    let mut manifest = valid();
    manifest.job = Job::new(file, Path::new("/nonexistent")).expect("a job").file().clone();
    manifest.datasets.remove(1);
    manifest.models = vec![NamedModel { organisation: "bank-b".into(), model: "fraud-net".into() }];
    manifest.release.recipients = ["bank-a", "bank-c"].map(String::from).to_vec();
    manifest.release.min_cohort = 0;
    manifest
}

/// An alteration, and words that the refusal has.
type Case = (&'static str, fn(&mut Manifest), &'static str);

fn all_refused(cases: &[Case]) {
    all_refused_of(valid, cases);
}

fn all_refused_of(sound: fn() -> Manifest, cases: &[Case]) {
    for (name, alter, words) in cases {
        let mut manifest = sound();
        alter(&mut manifest);
        match manifest.check(NOW) {
            Ok(_) => panic!("{name}: accepted"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(words), "{name}: `{text}` does not say `{words}`");
                assert!(!text.contains('\u{1b}'), "{name}: {text:?} steers a terminal");
            }
        }
    }
}

#[test]
fn fields_of_the_manifest_that_make_no_sense_are_refused() {
    all_refused(&[
        ("version of the past", |m| m.version = 0, "version"),
        ("version of the future", |m| m.version = 2, "version"),
        ("id too short", |m| m.id = "00".into(), "id is not 32"),
        ("id too long", |m| m.id.push('0'), "id is not 32"),
        ("id in capitals", |m| m.id = m.id.to_uppercase(), "id is not 32"),
        ("id that is no number", |m| m.id = "g".repeat(32), "id is not 32"),
        ("id of wide characters", |m| m.id = "é".repeat(16), "id is not 32"),
        ("no project", |m| m.project.clear(), "project is"),
        ("project with a path", |m| m.project = "../x".into(), "project is"),
        ("project with a line", |m| m.project = "a\nb".into(), "project is"),
        ("submitter with control characters", |m| m.submitter = "bank-a\u{1b}[2J".into(), "submitter is"),
        ("submitter that takes no part", |m| m.submitter = "bank-d".into(), "submitter takes no part"),
        ("no person", |m| m.person.clear(), "person is"),
        ("person with a null", |m| m.person = "alice\0".into(), "person is"),
        ("person too long", |m| m.person = "a".repeat(65), "person is"),
        ("no purpose", |m| m.purpose = "   ".into(), "purpose is"),
        ("purpose too long", |m| m.purpose = "a".repeat(2001), "purpose is"),
        ("purpose that steers a terminal", |m| m.purpose.push_str("\u{1b}[31m"), "purpose has control"),
        ("purpose of two lines", |m| m.purpose.push_str("\nrecipients: nobody"), "purpose has control"),
        ("purpose written backwards", |m| m.purpose.push('\u{202e}'), "purpose has control"),
        ("build with blanks", |m| m.build = "a b".into(), "build is"),
        ("build with control characters", |m| m.build = "\u{7}".into(), "build has control"),
        ("build too long", |m| m.build = "a".repeat(129), "build is"),
        ("no attempts", |m| m.attempts = 0, "attempts is 0"),
        ("too many attempts", |m| m.attempts = 101, "attempts is 101"),
        ("most attempts", |m| m.attempts = u32::MAX, "attempts is"),
    ]);
}

#[test]
fn times_that_make_no_sense_are_refused() {
    all_refused(&[
        ("from the future", |m| m.created = NOW + SKEW + 1, "created lies in the future"),
        ("from the end of time", |m| m.created = Time::MAX, "created lies in the future"),
        ("expired", |m| m.expires = NOW, "expires is over"),
        ("expires before it was written", |m| m.expires = m.created, "expires is not within"),
        ("lives too long", |m| m.expires = m.created + LONGEST + 1, "expires is not within"),
        ("lives for ever", |m| m.expires = Time::MAX, "expires is not within"),
        ("written at the beginning of time", |m| m.created = Time::MIN, "expires is not within"),
        ("opens until it may not start", |m| m.release.until = m.expires - 1, "release.until ends"),
        ("never opens", |m| m.release.until = Time::MIN, "release.until ends"),
    ]);
    let mut manifest = valid();
    manifest.created = NOW + SKEW;
    assert!(manifest.check(NOW).is_ok(), "a clock that is a little ahead");
    assert!(manifest.check(Time::MAX).is_err() && manifest.check(Time::MIN).is_err(), "clocks that are wrong");
}

#[test]
fn whose_data_and_who_learns_must_be_complete() {
    all_refused(&[
        ("a table missing", |m| drop(m.datasets.pop()), "name 0 tables of bank-c"),
        ("no tables", |m| m.datasets.clear(), "name 0 tables of bank-a"),
        ("two tables", |m| m.datasets.push(m.datasets[0].clone()), "name 2 tables of bank-a"),
        (
            "a table of the helper",
            |m| m.datasets.push(Dataset { organisation: "helper".into(), table: "t".into() }),
            "name 1 tables of helper",
        ),
        (
            "a table of a stranger",
            |m| m.datasets.push(Dataset { organisation: "bank-d".into(), table: "t".into() }),
            "datasets name `t` of `bank-d`",
        ),
        ("a table by a path", |m| m.datasets[0].table = "../../etc/passwd".into(), "datasets name"),
        (
            "a table with control characters",
            |m| m.datasets[0].table = "a\u{1b}c".into(),
            "datasets.0.table has control",
        ),
        ("a table without a name", |m| m.datasets[0].table.clear(), "datasets name"),
        ("nobody learns, as it says", |m| m.release.recipients.clear(), "leave out bank-a"),
        ("who learns figures is left out", |m| drop(m.release.recipients.pop()), "leave out bank-c"),
        ("figures to all by default", |m| m.job.outputs.metrics = None, "leave out helper"),
        ("who learns the model is left out", |m| m.job.outputs.model = vec!["helper".into()], "leave out helper"),
        ("a stranger learns", |m| m.release.recipients.push("bank-d".into()), "name `bank-d`, who takes no part"),
        ("a recipient twice", |m| m.release.recipients.push("bank-a".into()), "name somebody twice"),
        ("more rows asked than there are", |m| m.release.min_cohort = 901, "min_cohort is 901"),
        ("more held-out rows asked than there are", |m| m.release.min_cohort = 301, "rests on 300 rows"),
        ("most rows", |m| m.release.min_cohort = u64::MAX, "min_cohort is"),
    ]);
    let mut manifest = valid();
    manifest.job.evaluation.metrics = Metrics::Owners;
    manifest.job.outputs.metrics = None;
    manifest.release.recipients = vec!["bank-a".into()];
    manifest.release.min_cohort = 900;
    assert!(manifest.check(NOW).is_ok(), "no joint figures: only the model is opened, and rests on all rows");
}

#[test]
fn jobs_that_make_no_sense_are_refused() {
    all_refused(&[
        ("job without a name", |m| m.job.name.clear(), "job.name"),
        ("job named to steer a terminal", |m| m.job.name = "a\u{1b}]0;x\u{7}".into(), "job.name"),
        ("a participant twice", |m| m.job.participants[1].name = "bank-a".into(), "appears twice"),
        (
            "an address twice",
            |m| m.job.participants[1].address = m.job.participants[0].address.clone(),
            "participants.address",
        ),
        (
            "a fingerprint twice",
            |m| m.job.participants[1].fingerprint = m.job.participants[0].fingerprint.clone(),
            "participants.fingerprint",
        ),
        ("a fingerprint too short", |m| m.job.participants[0].fingerprint = Some("1".repeat(63)), "fingerprint"),
        ("a fingerprint in capitals", |m| m.job.participants[0].fingerprint = Some("AB".repeat(32)), "fingerprint"),
        ("no fingerprint", |m| m.job.participants[0].fingerprint = None, "fingerprint"),
        ("a participant with control characters", |m| m.job.participants[1].name = "b\u{8}".into(), "name"),
        ("a participant without a port", |m| m.job.participants[1].address = "10.0.0.1".into(), "address"),
        ("three of four parties", |m| drop(m.job.participants.remove(1)), "participants"),
        ("no parties", |m| m.job.participants.clear(), "participants"),
        ("an owner without rows", |m| (m.job.participants[0].rows, m.job.participants[0].test_rows) = (0, 0), "rows"),
        ("more rows than fit", |m| m.job.participants[0].rows = usize::MAX, "rows"),
        ("a protocol that there is none of", |m| m.job.protocol = "rep5".into(), "protocol"),
        ("a protocol of three", |m| m.job.protocol = "rep3".into(), "participants"),
        ("a threshold without shamir", |m| m.job.threshold = Some(1), "threshold"),
        ("more colluding than withstood", |m| m.job.protection = Some(protection(2)), "protection"),
        ("fraction bits too few", |m| m.job.numbers.frac = 4, "numbers.frac"),
        ("fraction bits too many", |m| m.job.numbers.frac = u32::MAX, "numbers.frac"),
        ("comparisons too narrow", |m| m.job.numbers.width = 1, "numbers.width"),
        ("no epochs", |m| m.job.training.epochs = 0, "epochs"),
        ("epochs without end", |m| m.job.training.epochs = usize::MAX, "epochs"),
        ("a batch without end", |m| m.job.training.batch = usize::MAX, "batch"),
        ("lanes without end", |m| m.job.training.lanes = usize::MAX, "lanes"),
        ("a learning rate that is no number", |m| m.job.training.learning_rate = f64::NAN, "learning_rate"),
        ("an infinite learning rate", |m| m.job.training.learning_rate = f64::INFINITY, "learning_rate"),
        ("an input bound that is no number", |m| m.job.data.input_bound = f64::NAN, "input_bound"),
        ("a link that is no number", |m| m.job.link.mbit = f64::NAN, "link.mbit"),
        ("goes on after a loss without saying so", |m| m.job.on_loss = OnLoss::Continue, "on_loss"),
        ("survives without parties to spare", |m| m.job.on_loss = OnLoss::Survive, "on_loss"),
        ("the model goes to a stranger", |m| m.job.outputs.model.push("bank-d".into()), "outputs.model"),
        (
            "a recipient named to steer a terminal",
            |m| m.job.outputs.model.push("\u{1b}c".into()),
            "outputs.model.1 has",
        ),
        ("a protocol named to steer a terminal", |m| m.job.protocol.push('\u{9b}'), "job.protocol has control"),
        ("figures go to a stranger", |m| m.job.outputs.metrics = Some(vec!["bank-d".into()]), "outputs.metrics"),
    ]);
}

fn protection(colluding: usize) -> privity_job::file::Protection {
    privity_job::file::Protection { colluding, ..Default::default() }
}

fn columns(manifest: &mut Manifest) -> &mut Vec<toml::Value> {
    let SchemaSource::Inline(table) = &mut manifest.job.data.schema else { panic!("inline") };
    table["columns"].as_array_mut().expect("columns")
}

#[test]
fn what_is_left_to_look_up_is_refused_before_any_file_is_read() {
    all_refused(&[
        ("the protocol is left open", |m| m.job.protocol = "auto".into(), "leaves its protocol open"),
        ("a schema by its path", |m| m.job.data.schema = SchemaSource::Path("fraud.toml".into()), "names a file"),
        // A device that never ends: reading it would hang the node.
        (
            "a schema by an absolute path",
            |m| m.job.data.schema = SchemaSource::Path("/dev/zero".into()),
            "names a file",
        ),
        (
            "a certificate by its path",
            |m| {
                m.job.participants[0].fingerprint = None;
                m.job.participants[0].certificate = Some("/dev/zero".into());
            },
            "names a file instead of a fingerprint",
        ),
        (
            "both a fingerprint and a certificate",
            |m| m.job.participants[0].certificate = Some("/dev/zero".into()),
            "names a file instead of a fingerprint",
        ),
        ("a column without its kind", |m| drop(columns(m)[0].as_table_mut().unwrap().remove("kind")), "schema"),
        ("a bound in another form", |m| columns(m)[0]["max"] = toml::Value::Integer(10_000), "is not resolved"),
        ("a column twice", |m| columns(m)[1] = columns(m)[0].clone(), "schema"),
        ("a range that is no number", |m| columns(m)[0]["max"] = toml::Value::Float(f64::NAN), "schema"),
        ("no label", |m| drop(columns(m).pop()), "no label"),
        ("a column that steers a terminal", |m| columns(m)[2]["name"] = "d\u{1b}ay".into(), "control characters"),
        ("questions of a file", |m| m.job.distillation = Some(distillation("questions.csv")), "asks public questions"),
        (
            "questions of an absolute file",
            |m| m.job.distillation = Some(distillation("/dev/zero")),
            "asks public questions",
        ),
    ]);
}

#[test]
fn jobs_that_score_name_one_model_and_all_who_learn_results() {
    let manifest = scoring();
    let job = manifest.check(NOW).expect("valid");
    assert_eq!(job.model_owner(), Some(1));
    let canonical = manifest.canonical().unwrap();
    assert_eq!(Manifest::from_json(canonical.as_bytes()).unwrap(), manifest);
    assert_eq!(canonical.as_bytes(), include_bytes!("../../../fuzz/corpus/manifest/scores"));
    assert!(!valid().canonical().unwrap().contains("\"models\""), "manifests of jobs that train have no such field");
    fn named(organisation: &str, model: &str) -> NamedModel {
        NamedModel { organisation: organisation.into(), model: model.into() }
    }
    all_refused_of(
        scoring,
        &[
            ("no model", |m| m.models.clear(), "models name 0 models of bank-b"),
            ("two models of its owner", |m| m.models.push(named("bank-b", "other")), "models name 2 models of bank-b"),
            (
                "a model of an owner of rows",
                |m| m.models.push(named("bank-a", "other")),
                "models name 1 models of bank-a",
            ),
            ("another's model", |m| m.models = vec![named("bank-c", "fraud-net")], "models name 0 models of bank-b"),
            ("a model of the helper", |m| m.models.push(named("helper", "net")), "models name 1 models of helper"),
            ("a model of a stranger", |m| m.models.push(named("bank-d", "net")), "models name `net` of `bank-d`"),
            ("a model by a path", |m| m.models[0].model = "../keys/key.pem".into(), "models name `../keys/key.pem`"),
            ("a model without a name", |m| m.models[0].model.clear(), "models name `` of `bank-b`"),
            ("a model that steers a terminal", |m| m.models[0].model = "a\u{1b}c".into(), "models.0.model has control"),
            (
                "a table of the model's owner",
                |m| {
                    m.datasets.push(Dataset { organisation: "bank-b".into(), table: "t".into() });
                },
                "datasets name 1 tables of bank-b",
            ),
            ("a table missing", |m| drop(m.datasets.pop()), "datasets name 0 tables of bank-c"),
            ("nobody learns, as it says", |m| m.release.recipients.clear(), "leave out bank-a"),
            ("an owner of rows is left out", |m| drop(m.release.recipients.pop()), "leave out bank-c"),
            ("a cohort", |m| m.release.min_cohort = 1, "each result of a job that scores rests on one row"),
            (
                "it takes of the privacy budget",
                |m| m.release.epsilon_milli = 1,
                "release.epsilon_milli is 1, and nothing that a job that scores opens is noised",
            ),
            ("nobody brings the model", |m| m.job.participants[1].model = false, "participants.model"),
            ("two bring models", |m| m.job.participants[3].model = true, "participants.model"),
            ("the model's owner has rows", |m| m.job.participants[1].rows = 5, "participants[1].rows"),
            ("it trains, too", |m| m.job.training.epochs = 3, "training"),
            ("the model is opened", |m| m.job.outputs.model = vec!["bank-a".into()], "outputs"),
            ("it keeps checkpoints", |m| m.job.on_loss = OnLoss::Pause, "is not resolved"),
            ("classes of one model", |m| classes(m, json!({ "output": "class" })), "`score.models` is 1;"),
            ("models without end", |m| classes(m, json!({ "output": "class", "models": 65 })), "`score.models` is 65;"),
            (
                "a scheme left open",
                |m| (classes(m, json!({ "output": "class", "models": 2 })), m.job.mixed.argmax = None).0,
                "leaves open in which scheme",
            ),
            (
                "a scheme of another operation",
                |m| classes(m, json!({ "output": "shares", "models": 2 })),
                "leaves open in which scheme",
            ),
            ("it scores no more", |m| m.job.score = None, "participants.model"),
        ],
    );
    let mut trains = valid();
    trains.models.push(named("bank-b", "fraud-net"));
    let error = trains.check(NOW).unwrap_err().to_string();
    assert!(error.contains("models name 1 models of bank-b"), "a job that trains names no models: {error}");
    let mut more = scoring();
    more.release.recipients.push("bank-b".into());
    assert!(more.check(NOW).is_ok(), "who learns nothing may be named");
    classes(&mut more, json!({ "output": "class", "models": 2 }));
    more.check(NOW).expect("classes of two models, with shares");
}

/// Another output, and the largest of several scores with shares.
fn classes(manifest: &mut Manifest, score: Value) {
    manifest.job.score = serde_json::from_value(score).expect("a section");
    manifest.job.mixed.argmax = Some(privity_job::score::Scheme::Share);
}

fn distillation(questions: &str) -> Distillation {
    let voting = Voting { teachers: 20, epsilon: 3.0004, delta: 1e-6, top: 3.5, rows: 1000, epochs: 10 };
    Distillation {
        every: 1,
        questions: questions.into(),
        digest: Some("0".repeat(64)),
        privacy: Privacy::Voting(voting),
        consent: Vec::new(),
        student: None,
    }
}

#[test]
fn public_questions_are_looked_up_by_name_in_one_folder() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let rows: String = (0..30).map(|i| format!("{},card\n", i)).collect();
    let text = format!("amount,channel\n{rows}");
    std::fs::write(folder.join("questions.csv"), &text).unwrap();
    let mut manifest = valid();
    manifest.job.distillation = Some(distillation("questions.csv"));
    let error = manifest.check_with(NOW, folder).unwrap_err().to_string();
    assert!(error.contains("distillation.digest"), "{error}");
    manifest.job.distillation.as_mut().unwrap().digest = Some(blake3::hash(text.as_bytes()).to_hex().to_string());
    let error = manifest.check_with(NOW, folder).unwrap_err().to_string();
    assert!(error.contains("leave out helper"), "answers are published to all: {error}");
    manifest.release.recipients.push("helper".into());
    manifest.release.epsilon_milli = 3000;
    let error = manifest.check_with(NOW, folder).unwrap_err().to_string();
    assert!(error.contains("release.epsilon_milli is 3000, and the job takes 3001"), "{error}");
    manifest.release.epsilon_milli = 3001;
    assert!(manifest.check_with(NOW, folder).is_ok());
    for name in ["../tmp/questions.csv", "/etc/passwd", "a/b", ".hidden", ""] {
        manifest.job.distillation.as_mut().unwrap().questions = name.into();
        assert!(manifest.check_with(NOW, folder).unwrap_err().to_string().contains("by a path"), "{name}");
    }
}

#[test]
fn texts_that_are_no_manifest_are_refused() {
    let text = valid().canonical().unwrap();
    let with = |from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    };
    let bad = [
        ("nothing", String::new()),
        ("half of it", text[..text.len() / 2].into()),
        ("something behind it", format!("{text} 1")),
        ("a list", format!("[{text}]")),
        ("an unknown field", with(r#""attempts":3"#, r#""attempts":3,"priority":1"#)),
        ("an unknown field of the release", with(r#""epsilon_milli":0"#, r#""epsilon_milli":0,"to":"all""#)),
        ("a field twice", with(r#""attempts":3"#, r#""attempts":3,"attempts":4"#)),
        ("a field missing", with(r#""attempts":3,"#, "")),
        ("a number as a text", with(r#""attempts":3"#, r#""attempts":"3""#)),
        ("a text as a number", with(r#""person":"alice""#, r#""person":7"#)),
        ("a negative number", with(r#""attempts":3"#, r#""attempts":-3"#)),
        ("a broken number", with(r#""attempts":3"#, r#""attempts":3.5"#)),
        ("a number that is too large", with(r#""attempts":3"#, r#""attempts":4294967296"#)),
        ("a number that no float holds", with(r#""input_bound":64.0"#, r#""input_bound":1e999"#)),
        ("NaN", with(r#""input_bound":64.0"#, r#""input_bound":NaN"#)),
        ("null for a number", with(r#""input_bound":64.0"#, r#""input_bound":null"#)),
        ("null for a text", with(r#""person":"alice""#, r#""person":null"#)),
        ("an unknown field of the job", with(r#""name":"fraud","numbers""#, r#""name":"fraud","gpu":true,"numbers""#)),
        ("nested without end", "[".repeat(100_000)),
        ("half of a character", with(r#""person":"alice""#, r#""person":"\ud800""#)),
    ];
    for (name, text) in bad {
        assert!(matches!(Manifest::from_json(text.as_bytes()), Err(ManifestError::Form { .. })), "{name}");
    }
    let steering = with(r#""attempts":3"#, r#""attempts":3,"\u001b[2J":1"#);
    assert!(!Manifest::from_json(steering.as_bytes()).unwrap_err().to_string().contains('\u{1b}'));
    assert!(Manifest::from_json(b"\xff\xfe").is_err(), "no text");
    let long = format!("{text}{}", " ".repeat(MAX_TEXT));
    let error = Manifest::from_json(long.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("more than 1048576"), "{error}");
}

/// Every leaf of a value, altered, one at a time.
fn altered(value: &Value, to: &mut dyn FnMut(Value)) {
    match value {
        Value::Object(map) => {
            for (key, item) in map {
                let mut with = |new: Value| {
                    let mut map = map.clone();
                    map.insert(key.clone(), new);
                    to(Value::Object(map));
                };
                altered(item, &mut with);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let mut with = |new: Value| {
                    let mut items = items.clone();
                    items[i] = new;
                    to(Value::Array(items));
                };
                altered(item, &mut with);
            }
            to(Value::Array(items.iter().skip(1).cloned().collect()));
        }
        Value::String(text) => to(json!(format!("{text}x"))),
        Value::Bool(yes) => to(json!(!yes)),
        Value::Null => to(json!(1)),
        Value::Number(n) => match n.as_i64() {
            Some(n) => to(json!(n + 1)),
            None => to(json!(n.as_f64().unwrap() + 0.5)),
        },
    }
}

#[test]
fn whatever_is_altered_after_signing_is_seen() {
    let identity = Identity::generate("bank-a").unwrap();
    let root = identity.fingerprint();
    let signed = Statement::new(valid(), &identity).unwrap();
    assert_eq!(signed.verify("bank-a", &root).unwrap(), &valid());
    let digest = valid().digest().unwrap();
    let (mut read, mut unread) = (0, 0);
    altered(&serde_json::to_value(valid()).unwrap(), &mut |value: Value| {
        let Ok(body) = serde_json::from_value::<Manifest>(value.clone()) else {
            unread += 1;
            return;
        };
        if body == valid() {
            return;
        }
        read += 1;
        assert_ne!(body.digest().unwrap(), digest, "{value}");
        let altered = Statement { body, ..signed.clone() };
        assert!(altered.verify("bank-a", &root).is_err(), "{value}");
    });
    assert!(read >= 60, "{read} altered manifests, {unread} that were none");
}

#[test]
fn only_the_organisations_own_signature_for_this_purpose_counts() {
    let (bank, other) = (Identity::generate("bank-a").unwrap(), Identity::generate("bank-b").unwrap());
    let manifest = valid();
    let signed = Statement::new(manifest.clone(), &bank).unwrap();
    let root = bank.fingerprint();
    let refused = |name: &str, statement: &Statement<Manifest>, pinned: &str| {
        let error = statement.verify("bank-a", pinned).expect_err(name).to_string();
        assert!(error.contains("manifest of a job") && error.contains("bank-a"), "{name}: {error}");
    };
    refused("pinned is another", &signed, &other.fingerprint());
    refused("nothing is pinned", &signed, "");
    refused("signed by another", &Statement::new(manifest.clone(), &other).unwrap(), &root);
    let unsigned = Statement { signature: Vec::new(), ..signed.clone() };
    refused("unsigned", &unsigned, &root);
    refused("no certificate", &Statement { certificate: Vec::new(), ..signed.clone() }, &root);
    let mut forged = Statement::new(manifest.clone(), &other).unwrap();
    forged.certificate = signed.certificate.clone();
    refused("another's signature under this certificate", &forged, &root);
    let mut cut = signed.clone();
    cut.signature.pop();
    refused("a signature that is cut", &cut, &root);
    let mut flipped = signed.clone();
    flipped.signature[5] ^= 1;
    refused("a signature with another bit", &flipped, &root);
    // The same bytes, signed as another statement.
    for purpose in [Approval::PURPOSE, Attempt::PURPOSE, ""] {
        let as_other = bank.sign(purpose, manifest.canonical().unwrap().as_bytes()).unwrap();
        let statement =
            Statement { body: manifest.clone(), certificate: as_other.certificate, signature: as_other.signature };
        refused(purpose, &statement, &root);
    }
    let rightly = bank.sign(Manifest::PURPOSE, manifest.canonical().unwrap().as_bytes()).unwrap();
    let statement = Statement { body: manifest, certificate: rightly.certificate, signature: rightly.signature };
    assert!(statement.verify("bank-a", &root).is_ok());
}

#[test]
fn an_approval_is_of_one_manifest_and_one_decision() {
    let identity = Identity::generate("bank-b").unwrap();
    let root = identity.fingerprint();
    let approval = Approval {
        manifest: valid().digest().unwrap(),
        organisation: "bank-b".into(),
        decision: Decision::Deny,
        reason: "not in the purpose".into(),
        by: vec!["bob".into()],
        at: NOW,
    };
    let signed = Statement::new(approval, &identity).unwrap();
    assert!(signed.verify("bank-b", &root).is_ok());
    let alterations: [fn(&mut Approval); 6] = [
        |a| a.manifest = "0".repeat(64),
        |a| a.organisation = "bank-c".into(),
        |a| a.decision = Decision::Approve,
        |a| a.reason.clear(),
        |a| a.by.push("carol".into()),
        |a| a.at += 1,
    ];
    for (i, alter) in alterations.into_iter().enumerate() {
        let mut altered = signed.clone();
        alter(&mut altered.body);
        assert!(altered.verify("bank-b", &root).is_err(), "alteration {i}");
    }
    let text = serde_json::to_string(&signed).unwrap();
    let as_manifest: Result<Statement<Manifest>, _> = serde_json::from_str(&text);
    assert!(as_manifest.is_err(), "an approval is no manifest");
    let unknown = text.replacen('{', r#"{"more":1,"#, 1);
    assert!(serde_json::from_str::<Statement<Approval>>(&unknown).is_err(), "an unknown field of a statement");
    let broken = text.replace(r#""signature":""#, r#""signature":"*"#);
    assert!(serde_json::from_str::<Statement<Approval>>(&broken).is_err(), "no base64");
}

#[test]
fn a_replayed_manifest_is_known_by_its_digest_and_another_of_the_same_id_is_not_it() {
    let (first, replayed) = (valid(), valid());
    assert_eq!(first.digest().unwrap(), replayed.digest().unwrap());
    let mut other = valid();
    other.purpose = "something else".into();
    assert_eq!(other.id, first.id);
    assert_ne!(other.digest().unwrap(), first.digest().unwrap());
    let mut again = valid();
    again.id = "f".repeat(32);
    assert_ne!(again.digest().unwrap(), first.digest().unwrap(), "the same work submitted twice is two jobs");
}

fn attempt(manifest: &Manifest, organisation: &str) -> Attempt {
    let job = manifest.check(NOW).expect("valid");
    let parameters = manifest.parameters(&job);
    Attempt {
        manifest: valid().digest().unwrap(),
        number: 1,
        organisation: organisation.into(),
        build: "5d".repeat(32),
        parameters,
        at: NOW,
    }
}

#[test]
fn the_first_difference_between_two_nodes_is_named_with_both_values() {
    let ours = attempt(&valid(), "bank-a");
    assert_eq!(ours.difference(&attempt(&valid(), "bank-b")), None);
    let differs = |alter: &dyn Fn(&mut Manifest)| {
        let mut manifest = valid();
        alter(&mut manifest);
        ours.difference(&attempt(&manifest, "bank-b")).expect("a difference")
    };
    let named = |field: &str, ours: &str, theirs: &str| (field.to_owned(), ours.to_owned(), theirs.to_owned());
    assert_eq!(differs(&|m| m.job.protocol = "shamir".into()), named("protocol", "rep4", "shamir"));
    assert_eq!(differs(&|m| m.job.numbers.frac = 14), named("fraction bits", "16", "14"));
    assert_eq!(differs(&|m| m.job.numbers.width = 32), named("comparison width", "36", "32"));
    let exact = |m: &mut Manifest| m.job.numbers.truncation = privity_job::file::Truncation::Exact;
    assert_eq!(differs(&exact), named("truncation", "fast", "exact"));
    assert_eq!(differs(&|m| m.job.on_loss = OnLoss::Abort), named("on loss", "pause", "abort"));
    let (field, one, other) = differs(&|m| m.job.outputs.predictions = Predictions::Nobody);
    assert_eq!((field.as_str(), one == other), ("job", false), "everything else is in the digest of the job");
    // What a node reads otherwise than its peer, whatever it is.
    for (i, (field, value)) in ours.parameters.iter().enumerate() {
        let mut theirs = attempt(&valid(), "bank-b");
        theirs.parameters[i].1 = "passive".into();
        if value != "passive" {
            assert_eq!(ours.difference(&theirs), Some(named(field, value, "passive")));
        }
    }
    let fields: Vec<&str> = ours.parameters.iter().map(|(field, _)| field.as_str()).collect();
    assert!(
        ["protocol", "adversary", "threshold", "security parameter", "modulus", "fraction bits"]
            .iter()
            .all(|f| fields.contains(f))
    );
    let mut theirs = attempt(&valid(), "bank-b");
    theirs.parameters.pop();
    let (field, _, other) = ours.difference(&theirs).expect("a difference");
    assert_eq!((field.as_str(), other.as_str()), ("job", "nothing"), "one that a node leaves out");
    assert_eq!(theirs.difference(&ours).expect("a difference").0, "job");
    let again = Attempt { number: 2, ..ours.clone() };
    assert_eq!(ours.difference(&again), Some(named("attempt", "1", "2")));
    let drifted = Attempt { build: "77".repeat(32), ..ours.clone() };
    assert_eq!(ours.difference(&drifted).expect("a difference").0, "build");
}

#[test]
fn the_threshold_that_is_negotiated_is_what_the_protocol_withstands() {
    let with = |file: JobFile| {
        let job = Job::new(file, Path::new("/nonexistent")).expect("a job");
        let parameters = valid().parameters(&job);
        parameters.into_iter().find(|(field, _)| field == "threshold").expect("there").1
    };
    let parties = |order: &[usize], protocol: &str| {
        let file = job();
        let participants = order.iter().map(|i| file.participants[*i].clone()).collect();
        let mut outputs = file.outputs.clone();
        outputs.metrics = Some(vec!["bank-a".into()]);
        JobFile { participants, protocol: protocol.into(), outputs, ..file }
    };
    assert_eq!(with(parties(&[0, 1], "gmw")), "1");
    assert_eq!(with(parties(&[0, 1, 2], "rep3")), "1");
    assert_eq!(with(parties(&[3, 0, 1, 2], "additive")), "2");
    assert_eq!(with(parties(&[3, 0, 1, 2], "additive-mac")), "2");
    let shamir = JobFile { threshold: Some(1), ..parties(&[0, 1, 2, 3], "shamir") };
    assert_eq!(with(shamir), "1");
}

mod numbers {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_reads_back_as_it_was_signed(rate in 1e-6f64..64.0, bound in 1e-3f64..1e9) {
            let mut manifest = valid();
            manifest.job.training.learning_rate = rate;
            manifest.job.data.input_bound = bound;
            let text = manifest.canonical().unwrap();
            let read = Manifest::from_json(text.as_bytes()).unwrap();
            prop_assert_eq!(&read, &manifest);
            prop_assert_eq!(read.canonical().unwrap(), text);
        }
    }
}
