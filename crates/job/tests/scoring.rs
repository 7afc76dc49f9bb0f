//! Jobs that score rows with models of another party, against the models in the clear, their plan and their twin.

mod common;

use privity_data::Table;
use privity_job::prepare::{divide, encode, nothing};
use privity_job::program::{Encoded, Inputs};
use privity_job::run::Done;
use privity_job::score::{self, Scheme};
use privity_job::{ConfigError, Job, JobError, ModelFile, ModelSource, exit, plan, protocol};
use privity_mpc::cost::Speeds;

const MLP: &str = "{ mlp = { hidden = [5] } }";

/// A job of one or two owners of rows, the owner of the models, and whoever the protocol needs besides.
fn text(protocol: &str, kind: &str) -> String {
    let parties: &[(&str, &str)] = match protocol {
        "gmw" => &[("clinic", "rows = 11"), ("bank", "rows = 0\nmodel = true")],
        "additive" | "additive-mac" => {
            &[("dealer", "rows = 0"), ("clinic", "rows = 11"), ("bank", "rows = 0\nmodel = true")]
        }
        "rep4" => {
            &[("clinic", "rows = 11"), ("bank", "rows = 0\nmodel = true"), ("ward", "rows = 7"), ("helper", "rows = 0")]
        }
        "rep3 with a helper" => &[("clinic", "rows = 11"), ("helper", "rows = 0"), ("bank", "rows = 0\nmodel = true")],
        _ => &[("clinic", "rows = 11"), ("bank", "rows = 0\nmodel = true"), ("ward", "rows = 7")],
    };
    let participant = |(i, (name, brings)): (usize, &(&str, &str))| {
        let fingerprint = (i + 1).to_string().repeat(64);
        format!(
            "[[participants]]\nname = \"{name}\"\naddress = \"127.0.0.1:770{i}\"\nfingerprint = \"{fingerprint}\"\n{brings}\n\n"
        )
    };
    let participants: String = parties.iter().enumerate().map(participant).collect();
    let protocol = protocol.split(' ').next().expect("a name");
    format!(
        "name = \"scored\"\nprotocol = \"{protocol}\"\n\n{participants}[data]\nschema = \"wdbc.schema.toml\"\n\n\
         [model]\nkind = {kind}\n\n[numbers]\ntruncation = \"fast\"\n\n[score]\n"
    )
}

fn job(text: &str) -> Job {
    common::parse(text).expect("a sound job")
}

/// A model as a job that trains leaves it, from another start and of another length for each number.
fn model(kind: &str, number: u64) -> ModelFile {
    let text = common::JOB.replacen(MLP, kind, 1).replacen(
        "epochs = 2",
        &format!("epochs = {}\nseed = {number}", number + 1),
        1,
    );
    let trained = common::parse(&text).expect("a sound job");
    let outcome = protocol::twin(&trained, Inputs::all(common::encoded(&trained)), &mut ()).expect("trained");
    let mut model = ModelFile::from_outcome(&trained, &outcome).expect("opened in the twin");
    if number % 2 == 1 {
        let last = model.model.layers.last_mut().expect("layers");
        last.weights.iter_mut().flatten().chain(&mut last.biases).for_each(|w| *w = -*w);
    }
    model
}

/// The rows of a party, if it has any.
fn rows(job: &Job, party: usize) -> Option<Table> {
    let count = job.rows()[party].test;
    (count > 0).then(|| common::tables()[party % 3].select(&(0..count).collect::<Vec<_>>()))
}

fn inputs(job: &Job, models: &[ModelFile]) -> Vec<Encoded<u64>> {
    let bring = |party: usize| {
        let rows = match rows(job, party) {
            Some(table) => divide(job, party, table, None).expect("declared rows"),
            None => nothing(job).expect("an empty table"),
        };
        let mut encoded = encode(job, &rows).expect("in range");
        if job.file().participants[party].model {
            encoded.models = score::encode(job, models).expect("a format with room");
        }
        encoded
    };
    (0..job.names().len()).map(bring).collect()
}

/// Runs the job, holds it against its plan, and gives what each party has.
fn done(job: &Job, models: &[ModelFile]) -> Vec<Done> {
    let plan = plan::plan(job).expect("a plan");
    let done: Vec<Done> =
        common::parties(job, &inputs(job, models)).into_iter().map(|done| done.expect("the job runs")).collect();
    for (party, done) in plan.parties.iter().zip(&done) {
        assert_eq!(done.measured.bytes_sent, party.bytes_sent, "bytes of {}", party.name);
        assert_eq!(done.measured.rounds, party.rounds, "rounds of {}", party.name);
    }
    assert_eq!(done.iter().map(|d| d.measured.frames).sum::<u64>(), plan.frames);
    let other = plan.alternatives.iter().filter(|other| other.price.is_ok()).count();
    assert!(other > 0 || job.protocol().name() != "gmw", "two owners can add a dealer: {:?}", plan.alternatives);
    let garbled: u64 = done.iter().filter_map(|done| done.measured.operations.get("garbled")).sum();
    assert_eq!(garbled, plan.operations.get("garbled").map_or(0, |price| price.bytes), "bytes garbled");
    assert!(done.iter().all(|done| done.outcome.model.is_none() && done.outcome.moments.is_none()));
    done
}

/// What each owner of rows learned of them; that nobody else did.
fn results(job: &Job, models: &[ModelFile]) -> Vec<(Table, Vec<f64>)> {
    let mut all = Vec::new();
    for (me, done) in done(job, models).into_iter().enumerate() {
        for (party, result) in done.outcome.predictions.into_iter().enumerate() {
            match (result, rows(job, party)) {
                (Some(result), Some(rows)) if party == me => all.push((rows, result)),
                (result, _) => assert!(result.is_none_or(|r| r.is_empty()), "party {me} learned results of {party}"),
            }
        }
    }
    assert!(!all.is_empty());
    all
}

fn twin(job: &Job, models: &[ModelFile]) -> Vec<f64> {
    let outcome = protocol::twin(job, Inputs::all(inputs(job, models)), &mut ()).expect("the twin runs");
    outcome.predictions.into_iter().flatten().flatten().collect()
}

#[test]
fn every_protocol_scores_as_the_model_does() {
    for protocol in ["gmw", "rep3", "rep3 with a helper", "rep4", "additive", "additive-mac", "shamir", "beaver"] {
        for (kind, mode) in [(MLP, "fast"), ("\"logistic\"", "exact"), ("\"linear\"", "fast")] {
            let job = job(&text(protocol, kind).replacen("\"fast\"", &format!("\"{mode}\""), 1));
            let models = [model(kind, 2)];
            let results = results(&job, &models);
            for (rows, predictions) in &results {
                let plain = models[0].predict(rows).expect("the same features");
                assert_eq!(plain.len(), predictions.len());
                for (here, there) in plain.iter().zip(predictions) {
                    assert!((here - there).abs() < 5e-3, "{protocol}, {kind}: in the clear {here}, here {there}");
                }
            }
            if mode == "exact" {
                let found: Vec<f64> = results.into_iter().flat_map(|(_, predictions)| predictions).collect();
                assert_eq!(found, twin(&job, &models), "{protocol}");
            }
        }
    }
}

/// Scores of a row before the logistic function.
fn logits(models: &[ModelFile], rows: &Table) -> Vec<Vec<f64>> {
    let of =
        |model: &ModelFile| ModelFile { logistic: false, ..model.clone() }.predict(rows).expect("the same features");
    let by_model: Vec<Vec<f64>> = models.iter().map(of).collect();
    (0..rows.rows()).map(|r| by_model.iter().map(|scores| scores[r]).collect()).collect()
}

#[test]
fn classes_are_the_models_with_the_highest_scores_in_either_scheme() {
    let kind = "\"logistic\"";
    let models = [0, 1, 2].map(|number| model(kind, number));
    for (protocol, mixed) in
        [("gmw", "argmax = \"yao\""), ("gmw", "argmax = \"share\""), ("rep3", ""), ("rep4", ""), ("shamir", "")]
    {
        let text = format!("{}models = 3\noutput = \"class\"\n[mixed]\n{mixed}\n", text(protocol, kind));
        let job = job(&text.replacen("\"fast\"", "\"exact\"", 1));
        let garbled = plan::plan(&job).expect("a plan").operations.get("garbled").map_or(0, |price| price.bytes);
        assert_eq!(garbled > 0, mixed.contains("yao"), "{mixed}: {garbled} bytes garbled");
        let mut seen = [0; 3];
        let mut all = Vec::new();
        for (rows, classes) in results(&job, &models) {
            for (scores, class) in logits(&models, &rows).iter().zip(&classes) {
                let (class, best) = (*class as usize, scores.iter().copied().fold(f64::MIN, f64::max));
                assert!(scores[class] > best - 5e-3, "{protocol} {mixed}: class {class} of {scores:?}");
                seen[class] += 1;
            }
            all.extend(classes);
        }
        assert!(seen.iter().filter(|count| **count > 0).count() > 1, "rows of several classes: {seen:?}");
        assert_eq!(all, twin(&job, &models), "{protocol} {mixed}");
    }
}

#[test]
fn shares_of_classes_are_quotients_in_either_scheme() {
    let kind = "\"logistic\"";
    let models = [0, 1, 2].map(|number| model(kind, number));
    for (protocol, mixed) in
        [("gmw", "division = \"yao\""), ("gmw", "division = \"share\""), ("rep3", ""), ("additive", "")]
    {
        let text = format!("{}models = 3\noutput = \"shares\"\n[mixed]\n{mixed}\n", text(protocol, kind));
        for mode in ["fast", "exact"] {
            let job = job(&text.replacen("\"fast\"", &format!("\"{mode}\""), 1));
            let garbled = plan::plan(&job).expect("a plan").operations.get("garbled").map_or(0, |price| price.bytes);
            assert_eq!(garbled > 0, mixed.contains("yao"), "{mixed}: {garbled} bytes garbled");
            let mut all = Vec::new();
            for (rows, shares) in results(&job, &models) {
                for (scores, shares) in logits(&models, &rows).iter().zip(shares.chunks_exact(3)) {
                    let raised: Vec<f64> = scores.iter().map(|s| 1.0 / (1.0 + (-s).exp()) + 1.0 / 256.0).collect();
                    let total: f64 = raised.iter().sum();
                    for (raised, share) in raised.iter().zip(shares) {
                        assert!((raised / total - share).abs() < 2e-2, "{protocol} {mixed}: {shares:?}");
                    }
                    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{shares:?}");
                }
                all.extend(shares);
            }
            if mode == "exact" {
                assert_eq!(all, twin(&job, &models), "{protocol} {mixed}");
            }
        }
    }
}

/// What is left to the plan is what takes less on the declared link: it need not be one scheme for all links.
#[test]
fn the_scheme_is_the_quicker_one_on_the_declared_link() {
    let mut chosen = Vec::new();
    for output in ["class", "shares"] {
        for (rtt, mbit) in [(0.1, 10_000.0), (40.0, 10_000.0), (40.0, 20.0), (0.1, 20.0)] {
            let text = format!(
                "{}models = 3\noutput = \"{output}\"\n[link]\nrtt_ms = {rtt:?}\nmbit = {mbit:?}\n[mixed]\n",
                text("gmw", "\"logistic\"")
            );
            let speeds = Speeds { latency: rtt / 2e3, bandwidth: mbit * 1e6 / 8.0, ..Speeds::default() };
            let seconds = |job: &Job| protocol::price(job, speeds).expect("a price").seconds();
            let operation = if output == "class" { "argmax" } else { "division" };
            let fixed = |scheme| seconds(&job(&format!("{text}{operation} = \"{scheme}\"\n")));
            let (left, yao, share) = (job(&text), fixed("yao"), fixed("share"));
            assert_eq!(plan::plan(&left).expect("a plan").mixed, left.schemes());
            let scheme = left.schemes().argmax.or(left.schemes().division).expect("settled");
            assert_eq!(scheme == Scheme::Yao, yao < share, "{output} at {rtt} ms and {mbit} Mbit/s: {yao} or {share}");
            assert!((seconds(&left) - yao.min(share)).abs() < 1e-9);
            chosen.push(scheme);
        }
    }
    assert!(chosen.contains(&Scheme::Yao) && chosen.contains(&Scheme::Share), "{chosen:?}");
}

#[test]
fn what_makes_no_sense_is_refused_by_its_key() {
    let cases = [
        ("model = true", "", "participants.model"),
        ("rows = 0\nmodel = true", "rows = 4\nmodel = true", "participants[1].rows"),
        ("rows = 11", "rows = 11\ntest_rows = 2", "participants.test_rows"),
        ("rows = 11", "rows = 0", "participants.rows"),
        ("[score]\n", "[score]\nmodels = 2\n", "score.models"),
        ("[score]\n", "[score]\noutput = \"class\"\n", "score.models"),
        ("[score]\n", "[score]\n[mixed]\nargmax = \"yao\"\n", "mixed.argmax"),
        ("[score]\n", "[score]\nmodels = 2\noutput = \"class\"\n[mixed]\ndivision = \"share\"\n", "mixed.division"),
        ("[score]\n", "", "participants.model"),
        ("[numbers]", "[training]\nepochs = 3\n[numbers]", "training"),
        ("[numbers]", "[training]\nlanes = 2\n[numbers]", "training"),
        ("[numbers]", "[evaluation]\nbuckets = 4\n[numbers]", "evaluation"),
        ("[numbers]", "[outputs]\nmodel = [\"bank\"]\n[numbers]", "outputs"),
        ("name = \"scored\"", "name = \"scored\"\nkeep = true", "keep"),
    ];
    for (from, to, wanted) in cases {
        let text = text("gmw", "\"logistic\"");
        assert!(text.contains(from), "the job has no `{from}`");
        match common::parse(&text.replacen(from, to, 1)) {
            Err(ConfigError::Field { key, .. }) => assert_eq!(key, wanted, "{from} -> {to}"),
            other => panic!("{from} -> {to}: {:?}", other.map(|_| ())),
        }
    }
    let regression = format!("{}models = 2\noutput = \"shares\"\n", text("gmw", "\"linear\""));
    let elsewhere =
        format!("{}models = 2\noutput = \"class\"\n[mixed]\nargmax = \"yao\"\n", text("rep3", "\"logistic\""));
    let trains = common::JOB.replacen("[data]", "[mixed]\nargmax = \"yao\"\n[data]", 1);
    for (text, wanted) in [(regression, "score.output"), (elsewhere, "mixed.argmax"), (trains, "mixed")] {
        match common::parse(&text) {
            Err(ConfigError::Field { key, .. }) => assert_eq!(key, wanted),
            other => panic!("{wanted}: {:?}", other.map(|_| ())),
        }
    }
}

#[test]
fn models_of_other_jobs_are_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a scratch directory");
    let job = job(&text("gmw", "\"logistic\""));
    let good = model("\"logistic\"", 0);
    let file = |model: &ModelFile| -> Vec<ModelSource> {
        let path = folder.path().join("model.json");
        std::fs::write(&path, serde_json::to_vec(model).expect("JSON")).expect("written");
        vec![path.into()]
    };
    let read = score::load(&job, 1, &file(&good)).expect("its model");
    assert_eq!((read.len(), &read[0].job), (1, &good.job));
    assert!(score::load(&job, 0, &[]).expect("an owner of rows has none").is_empty());
    for (party, files) in [(0, file(&good)), (1, Vec::new())] {
        let error = score::load(&job, party, &files).expect_err("another number");
        assert_eq!(error.exit_code(), exit::CONFIG);
        assert!(matches!(error, JobError::Config(ConfigError::Models { .. })));
    }
    type Change = fn(&mut ModelFile);
    let changes: [(Change, &str); 5] = [
        (|m| m.input_limit = 4.0, "training.input_limit"),
        (|m| m.logistic = false, "a classifier or a regression"),
        (|m| m.model.layers[0].weights[0][3] = 1e3, "training.weight_limit"),
        (|m| m.mean[2] = 1e3, "mean and deviation"),
        (|m| m.inverse_deviation[2] = -1.0, "mean and deviation"),
    ];
    for (change, why) in changes {
        let mut other = good.clone();
        change(&mut other);
        let error = score::load(&job, 1, &file(&other)).expect_err(why);
        assert_eq!(error.exit_code(), exit::DATA);
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = score::load(&job, 1, &file(&model(MLP, 0))).expect_err("another architecture");
    assert!(error.to_string().contains("model.kind"), "{error}");
    // What was settled by its digest is read if it is still that, to the last blank.
    let [mut source]: [ModelSource; 1] = file(&good).try_into().expect("one");
    source.digest = Some(ModelFile::load_with_digest(&source.file).expect("a model").1);
    assert_eq!(score::load(&job, 1, std::slice::from_ref(&source)).expect("unchanged").len(), 1);
    let text = std::fs::read_to_string(&source.file).expect("the model");
    std::fs::write(&source.file, text + " ").expect("written");
    let error = score::load(&job, 1, std::slice::from_ref(&source)).expect_err("changed");
    assert!(error.to_string().contains("was changed since"), "{error}");
    assert!(!error.for_others().contains("model.json"), "{}", error.for_others());
}

/// Rows at the bound give (16 + 15.9) 31.9 + 8 = 1026, which 27 bits with 16 of a fraction do not hold.
#[test]
fn models_whose_features_outgrow_the_width_are_refused() {
    let folder = tempfile::tempdir().expect("a scratch directory");
    let path = folder.path().join("model.json");
    let mut wide = model("\"logistic\"", 0);
    (wide.mean[2], wide.inverse_deviation[2]) = (-15.9, 31.9);
    std::fs::write(&path, serde_json::to_vec(&wide).expect("JSON")).expect("written");
    let read = |width: &str| {
        let text = text("rep3", "\"logistic\"").replacen("[numbers]", &format!("[numbers]\nwidth = {width}"), 1);
        let job = job(&text);
        score::load(&job, 1, &[path.clone().into()]).map(|_| job.schema().feature_names()[2].clone())
    };
    let name = read("28").expect("wide enough");
    let error = read("27").expect_err("too narrow");
    assert!(matches!(error, JobError::Model { .. }));
    for words in [format!("`{name}`"), "`numbers.width` = 28".into()] {
        assert!(error.to_string().contains(&words), "{error}");
    }
}

/// The program checks what an owner shares, not what it says of it.
#[test]
fn values_out_of_range_stop_every_party_with_the_owners_name() {
    let job = job(&text("rep3", "\"logistic\""));
    let models = [model("\"logistic\"", 0)];
    type Lie = fn(&mut Vec<Encoded<u64>>);
    let lies: [(Lie, &str); 4] = [
        (|all| all[2].test.data_mut()[5] = 17 << 16, "ward"),
        (|all| all[1].models[0].layers[0].data_mut()[5] = 17 << 24, "bank"),
        (|all| all[1].models[0].mean.data_mut()[5] = 17 << 16, "bank"),
        (|all| all[1].models[0].inverse_deviation.data_mut()[5] = 33 << 16, "bank"),
    ];
    for (lie, name) in lies {
        let mut inputs = inputs(&job, &models);
        lie(&mut inputs);
        for done in common::parties(&job, &inputs) {
            let error = done.map(|_| ()).expect_err("out of range");
            assert!(matches!(&error, JobError::OutOfRange { owner } if owner == name), "{error}");
        }
    }
}

#[test]
fn rows_without_labels_are_scored() {
    let schema =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/breast-cancer/wdbc.schema.toml"));
    let schema = schema.expect("the schema");
    let unlabelled: Vec<&str> =
        schema.split("\n[[columns]]").filter(|column| !column.contains("kind = \"label\"")).collect();
    let folder = tempfile::tempdir().expect("a scratch directory");
    std::fs::write(folder.path().join("wdbc.schema.toml"), unlabelled.join("\n[[columns]]")).expect("written");
    let file = privity_job::JobFile::from_toml(&text("gmw", "\"logistic\"")).expect("TOML");
    let job = Job::new(file, folder.path()).expect("a sound job");
    let rows = rows(&job, 0).expect("rows");
    let bare = Table::new(rows.names().to_vec(), rows.features().to_vec(), vec![], vec![]).expect("sound");
    let encoded = encode::<u64>(&job, &divide(&job, 0, bare, None).expect("declared rows")).expect("in range");
    assert_eq!(encoded.test.shape().rows(), 11);
    assert!(encoded.test_labels.is_empty() && encoded.labels.is_empty());
}
