//! Models of this organisation that rows of others are scored with: read when they are registered, held against what they were then before each attempt, and
//! counted, as results tell of a model. Nobody else sees a path or a weight.

use crate::NodeError;
use crate::checked;
use crate::node::{Node, now};
use crate::store::{Store, Stored};
use privity_api::{Manifest, Record, Time};
use privity_job::{ConfigError, Job, JobError, ModelFile, ModelSource, score};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest files of a model, bytes of all together: they are read anew before each attempt.
const MAX_BYTES: u64 = 64 << 20;
/// Most files of a model: as many as a job has classes.
const MAX_FILES: usize = 64;

/// A model to register.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// Its name.
    pub name: String,
    /// Its files, as jobs that train leave them: one, or one for each class in the order of their numbers.
    pub files: Vec<String>,
    /// So many rows may be scored with each of its files, those of all attempts counted; 0: as many as jobs are approved for. Left out: what it was registered
    /// with before.
    #[serde(default)]
    pub most_rows: Option<u64>,
}

/// A model of this organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its files: one, or one for each class. They are not told to anybody.
    pub files: Vec<Registered>,
    /// What it is, in words.
    pub form: String,
    /// The contract of the columns that it reads, as TOML.
    pub schema: String,
    /// Digest of what its files hold.
    pub digest: String,
    /// So many rows may be scored with each of its files; 0: as many as jobs are approved for.
    pub most_rows: u64,
    /// Rows that began to be scored with the one of its files that has least left, under whatever name.
    #[serde(default)]
    pub scored: u64,
    /// What bounds that: the smallest limit of all models with this file; 0: none has one.
    #[serde(default)]
    pub limit: u64,
}

/// How much a job takes of this organisation's model, for people who decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Use {
    /// The model.
    pub model: String,
    /// Whether one of this name is registered.
    pub registered: bool,
    /// [`Model::scored`].
    pub scored: u64,
    /// [`Model::limit`].
    pub limit: u64,
    /// Rows of each attempt.
    pub rows: u64,
    /// How many attempts there may be.
    pub attempts: u32,
}

/// A file as it was when it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// Where it is.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 digest of it, in hexadecimal.
    pub digest: String,
    /// Digest of the numbers in it, however they are written: rows are counted for it.
    pub model: String,
}

fn wrong(name: &str, problem: impl Into<String>) -> NodeError {
    NodeError::Model { name: name.into(), problem: problem.into() }
}

/// What is wrong, without a path.
fn problem(error: JobError) -> String {
    match error {
        JobError::Model { problem, .. } => problem,
        JobError::Config(ConfigError::Read { problem, .. }) => {
            format!("a file of it cannot be used: {}", without_content(&problem))
        }
        other => other.to_string(),
    }
}

/// A parser's words may hold what stands in a file, which may be no model but somebody's password: its place is enough.
fn without_content(problem: &str) -> String {
    match problem.split_once("not a model file: ") {
        Some((_, words)) => match words.rsplit_once(" at line ") {
            Some((_, place)) => format!("not a model file: see line {place}"),
            None => "not a model file".into(),
        },
        None => problem.to_owned(),
    }
}

/// Reads the files of a model and says what it is.
///
/// # Errors
/// A name that is none; files that cannot be read, are no models, or not of one form and the same columns.
fn read(new: &NewModel) -> Result<Model, NodeError> {
    if !privity_api::is_name(&new.name) {
        return Err(no_name(&new.name));
    }
    if !(1..=MAX_FILES).contains(&new.files.len()) {
        let problem =
            format!("{} files are given; give one, or one for each of 2 to {MAX_FILES} classes", new.files.len());
        return Err(wrong(&new.name, problem));
    }
    let mut left = MAX_BYTES;
    let all = new.files.iter().map(|path| read_file(&new.name, path, &mut left)).collect::<Result<Vec<_>, _>>()?;
    let (first, _) = &all[0];
    let schema = first.feature_schema().map_err(|e| wrong(&new.name, problem(e)))?;
    for (i, (other, _)) in all.iter().enumerate().skip(1) {
        let alike = other.feature_schema().map_err(|e| wrong(&new.name, problem(e)))? == schema
            && (other.logistic, other.input_limit) == (first.logistic, first.input_limit)
            && sizes(other) == sizes(first);
        if !alike {
            let problem = format!("file {} is of another form, or reads other columns, than the first", i + 1);
            return Err(wrong(&new.name, problem));
        }
    }
    let form = form(first, all.len());
    let files: Vec<Registered> = all.into_iter().map(|(_, file)| file).collect();
    let (name, digest) = (new.name.clone(), digest(&files));
    let most_rows = new.most_rows.unwrap_or(0);
    Ok(Model { name, files, form, schema: schema.to_toml(), digest, most_rows, scored: 0, limit: 0 })
}

fn no_name(name: &str) -> NodeError {
    NodeError::State(format!("{name:?} is no name of a model: use letters, digits, -, _ and ."))
}

fn read_file(name: &str, path: &str, left: &mut u64) -> Result<(ModelFile, Registered), NodeError> {
    let bytes = length(Path::new(path)).map_err(|problem| wrong(name, problem))?;
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| wrong(name, format!("its files have more than {MAX_BYTES} bytes together")))?;
    let (model, digest) =
        ModelFile::load_with_digest(Path::new(path)).map_err(|e| wrong(name, problem(JobError::Config(e))))?;
    let counted = numbers(&model).map_err(|problem| wrong(name, problem))?;
    Ok((model, Registered { path: path.into(), bytes, digest, model: counted }))
}

/// Digest of what a model computes with: blanks, the order of fields and where it came from do not matter.
fn numbers(model: &ModelFile) -> Result<String, String> {
    let bare = ModelFile { job: String::new(), trained_under: String::new(), ..model.clone() };
    let text = serde_json::to_string(&bare).map_err(|e| e.to_string())?;
    Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
}

/// How long a file is; that it is one.
fn length(path: &Path) -> Result<u64, String> {
    let found = std::fs::metadata(path).map_err(|e| format!("a file of it cannot be read: {e}"))?;
    if found.is_file() { Ok(found.len()) } else { Err("what it names is no file".into()) }
}

fn sizes(model: &ModelFile) -> Vec<usize> {
    model.model.layers.iter().map(|layer| layer.biases.len()).collect()
}

fn form(model: &ModelFile, files: usize) -> String {
    let sizes = sizes(model);
    let hidden: Vec<String> = sizes[..sizes.len() - 1].iter().map(usize::to_string).collect();
    let kind = match (hidden.is_empty(), model.logistic) {
        (true, true) => "logistic regression".to_owned(),
        (true, false) => "linear regression".to_owned(),
        (false, true) => format!("neural network with hidden layers of {}, a classifier", hidden.join(", ")),
        (false, false) => format!("neural network with hidden layers of {}, a regression", hidden.join(", ")),
    };
    let features = match model.schema.feature_names().len() {
        1 => "1 feature".to_owned(),
        n => format!("{n} features"),
    };
    match files {
        1 => format!("{kind}, {features}"),
        n => format!("{kind}, {features}, one for each of {n} classes"),
    }
}

/// One digest for all files.
fn digest(files: &[Registered]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 files of a model");
    for file in files {
        hasher.update(file.digest.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

impl Model {
    /// Its files, as the engine reads them: it refuses what is not what was registered.
    pub(crate) fn sources(&self) -> Vec<ModelSource> {
        let source =
            |file: &Registered| ModelSource { file: PathBuf::from(&file.path), digest: Some(file.digest.clone()) };
        self.files.iter().map(source).collect()
    }

    /// What its rows are counted for: each file once, in whatever order they stand.
    fn counted(&self) -> BTreeSet<&str> {
        self.files.iter().map(|file| file.model.as_str()).collect()
    }

    /// Whether its files are what was registered, and a model for a job in which `own` brings it.
    ///
    /// # Errors
    /// They are not; why, without a path.
    fn check(&self, job: &Job, own: &str) -> Result<(), NodeError> {
        let refused = |problem: String| wrong(&self.name, problem);
        let wanted = job.file().score.map_or(0, |score| score.models);
        if wanted != self.files.len() {
            let problem = format!("it has {} files, and the job wants `score.models` = {wanted}", self.files.len());
            return Err(refused(problem));
        }
        for file in &self.files {
            if length(Path::new(&file.path)).map_err(refused)? != file.bytes {
                return Err(refused("it was changed since it was registered; put it back, or register it anew".into()));
            }
        }
        let me = job.index(own).map_err(|e| refused(e.to_string()))?;
        score::load(job, me, &self.sources()).map(drop).map_err(|e| refused(problem(e)))
    }
}

/// Rows that a manifest has scored in each of its attempts.
fn rows(manifest: &Manifest) -> u64 {
    manifest.job.participants.iter().map(|p| p.rows as u64).sum()
}

/// The smallest limit of all models with a file that holds these numbers; 0: none has one.
fn limit(all: &[Model], counted: &str) -> u64 {
    let with = all.iter().filter(|model| model.most_rows > 0 && model.counted().contains(counted));
    with.map(|model| model.most_rows).min().unwrap_or(0)
}

impl Node {
    /// Registers a model after reading it, or changes it: later attempts use what is registered then. A limit stays unless another is given.
    ///
    /// # Errors
    /// A name or file that is wrong.
    pub async fn register_model(&self, new: NewModel) -> Result<Model, NodeError> {
        let keeps = new.most_rows.is_none();
        let mut model =
            tokio::task::spawn_blocking(move || read(&new)).await.map_err(|e| NodeError::Internal(e.to_string()))??;
        let _alone = self.changing.lock().await;
        let before = self.store.models().await?.into_iter().find(|other| other.name == model.name);
        if let Some(before) = before.filter(|_| keeps) {
            model.most_rows = before.most_rows;
        }
        let (name, digest) = (model.name.clone(), model.digest.clone());
        self.record(&Record::Model { model: name, digest, most_rows: model.most_rows })?;
        self.store.put_model(&model).await?;
        (model.scored, model.limit) = self.standing(&model, &self.store.models().await?).await?;
        Ok(model)
    }

    /// Withdraws a model, and its limit with it. What was scored with its files stays counted.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn withdraw_model(&self, name: &str) -> Result<(), NodeError> {
        if !privity_api::is_name(name) {
            return Err(no_name(name));
        }
        let _alone = self.changing.lock().await;
        if !self.store.models().await?.iter().any(|model| model.name == name) {
            return Err(NodeError::missing("model", name));
        }
        self.record(&Record::Model { model: name.into(), digest: String::new(), most_rows: 0 })?;
        self.store.remove_model(name).await.map(drop)
    }

    /// All models, with how many rows began to be scored with each.
    pub(crate) async fn models(&self) -> Result<Vec<Model>, NodeError> {
        let all = self.store.models().await?;
        let mut models = all.clone();
        for model in &mut models {
            (model.scored, model.limit) = self.standing(model, &all).await?;
        }
        Ok(models)
    }

    /// Rows that were scored with the file of a model that has least left, and what bounds it; without any limit, with the file that was used most.
    async fn standing(&self, model: &Model, all: &[Model]) -> Result<(u64, u64), NodeError> {
        let mut found = Vec::new();
        for counted in model.counted() {
            found.push((self.store.scored(counted).await?, limit(all, counted)));
        }
        let left = |(scored, limit): &(u64, u64)| if *limit == 0 { u64::MAX } else { limit.saturating_sub(*scored) };
        let least = found.into_iter().min_by_key(|file| (left(file), u64::MAX - file.0));
        Ok(least.unwrap_or_default())
    }

    fn named_model<'a>(&self, manifest: &'a Manifest) -> Option<&'a str> {
        manifest.models.iter().find(|m| m.organisation == self.organisation()).map(|m| m.model.as_str())
    }

    /// The model that a manifest names of this organisation, if it brings one.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) async fn own_model(&self, manifest: &Manifest) -> Result<Option<Model>, NodeError> {
        let Some(named) = self.named_model(manifest) else { return Ok(None) };
        let found = self.store.models().await?.into_iter().find(|model| model.name == named);
        // To others this is the same as whatever else may be wrong with it.
        let missing = || wrong(named, "there is none of this name; register it with `privity model add`");
        found.map(Some).ok_or_else(missing)
    }

    /// Whether the model that this organisation brings, if it does, is what was registered, one for the job, and may score so many rows.
    ///
    /// # Errors
    /// It is not, or may not.
    pub(crate) async fn usable_model(&self, manifest: &Manifest) -> Result<(), NodeError> {
        let Some(model) = self.own_model(manifest).await? else { return Ok(()) };
        self.may_score(&model, manifest).await?;
        let (job, own) = (manifest.check(now())?, self.organisation().to_owned());
        // Whoever may ask has files read: one at a time, and none that were read for this job and did not change.
        let _one = self.models_read.reading.lock().await;
        let known = checked::key(&job.digest_hex(), &model.files);
        if known.as_ref().is_some_and(|known| self.models_read.has(known)) {
            return Ok(());
        }
        let checked = tokio::task::spawn_blocking(move || model.check(&job, &own));
        checked.await.map_err(|e| NodeError::Internal(e.to_string()))??;
        known.into_iter().for_each(|known| self.models_read.put(known));
        Ok(())
    }

    async fn may_score(&self, model: &Model, manifest: &Manifest) -> Result<(), NodeError> {
        let (scored, limit) = self.standing(model, &self.store.models().await?).await?;
        let wanted = rows(manifest);
        match limit == 0 || scored.saturating_add(wanted) <= limit {
            true => Ok(()),
            false => {
                let own = self.organisation();
                let problem = format!(
                    "{own} lets no {wanted} rows more be scored with it: each attempt counts, under whatever name; raise its limit, or have fewer scored"
                );
                Err(wrong(&model.name, problem))
            }
        }
    }

    /// Counts the rows of an attempt that begins, if its model is this organisation's, before anything is computed. Whoever calls this holds [`Node::changing`].
    ///
    /// # Errors
    /// More than may be scored with it.
    pub(crate) async fn count_rows(
        &self,
        stored: &Stored,
        number: u32,
        model: Option<&Model>,
    ) -> Result<(), NodeError> {
        let Some(model) = model else { return Ok(()) };
        let manifest = &stored.manifest.body;
        self.may_score(model, manifest).await?;
        // If one of these fails, the attempt does not begin, and what was counted stays counted.
        for counted in model.counted() {
            self.store.add_scored((&stored.digest, number), counted, rows(manifest), now()).await?;
        }
        Ok(())
    }

    /// What a manifest takes of this organisation's model, if it brings one.
    pub(crate) async fn model_use(&self, manifest: &Manifest) -> Result<Option<Use>, NodeError> {
        let Some(named) = self.named_model(manifest) else { return Ok(None) };
        let all = self.store.models().await?;
        let found = all.iter().find(|model| model.name == named);
        let (scored, limit) = match found {
            Some(model) => self.standing(model, &all).await?,
            // It may be registered by and by.
            None => (0, 0),
        };
        let (model, registered) = (named.to_owned(), found.is_some());
        Ok(Some(Use { model, registered, scored, limit, rows: rows(manifest), attempts: manifest.attempts }))
    }

    /// Rows that began to be scored with the model that a manifest names of this organisation.
    pub(crate) async fn scored_before(&self, manifest: &Manifest) -> Result<u64, NodeError> {
        let Some(named) = self.named_model(manifest) else { return Ok(0) };
        let all = self.store.models().await?;
        let mut most = 0;
        // None may be registered yet.
        for counted in all.iter().filter(|model| model.name == named).flat_map(Model::counted) {
            most = most.max(self.store.scored(counted).await?);
        }
        Ok(most)
    }
}

impl Store {
    /// Registers a model, or changes it.
    pub async fn put_model(&self, model: &Model) -> Result<(), NodeError> {
        let query =
            "INSERT INTO models (name, entry) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET entry = excluded.entry";
        let entry = serde_json::to_string(model).map_err(|e| NodeError::Store(e.to_string()))?;
        self.write(|| sqlx::query(query).bind(&model.name).bind(entry.clone())).await.map(drop)
    }
    /// Withdraws a model; whether it was there.
    pub async fn remove_model(&self, name: &str) -> Result<bool, NodeError> {
        let query = || sqlx::query("DELETE FROM models WHERE name = $1").bind(name.to_owned());
        Ok(self.write(query).await? > 0)
    }
    /// All models.
    pub async fn models(&self) -> Result<Vec<Model>, NodeError> {
        let rows = sqlx::query("SELECT entry FROM models ORDER BY name").fetch_all(&self.0).await?;
        let of = |row: &sqlx::any::AnyRow| -> Result<Model, NodeError> {
            serde_json::from_str(row.try_get(0)?).map_err(|e| NodeError::Store(format!("a model in it: {e}")))
        };
        rows.iter().map(of).collect()
    }
    /// An attempt takes rows of what may be scored with the file of this digest, once.
    pub async fn add_scored(
        &self,
        (manifest, number): (&str, u32),
        model: &str,
        rows: u64,
        at: Time,
    ) -> Result<(), NodeError> {
        let query = "INSERT INTO scored (manifest, number, model, row_count, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let query = || {
            let query = sqlx::query(query).bind(manifest.to_owned()).bind(i64::from(number));
            query.bind(model.to_owned()).bind(rows).bind(at)
        };
        self.write(query).await.map(drop)
    }
    /// Rows of all attempts with the file of this digest.
    pub async fn scored(&self, model: &str) -> Result<u64, NodeError> {
        let query = "SELECT CAST(COALESCE(SUM(row_count), 0) AS BIGINT) FROM scored WHERE model = $1";
        let row = sqlx::query(query).bind(model.to_owned()).fetch_one(&self.0).await?;
        Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn model(bias: f64) -> Value {
        json!({
            "format": 2, "job": "00", "trained_under": "rep3 (passive)",
            "schema": { "columns": [
                { "name": "amount", "kind": "number", "min": 0.0, "max": 1.0, "missing": 0.0 },
                { "name": "fraud", "kind": "label", "values": ["no", "yes"] }
            ] },
            "scaling": { "centre": [0.5], "factor": [2.0], "bound": 16.0 }, "mean": [0.0], "inverse_deviation": [1.0],
            "input_limit": 8.0, "logistic": true, "model": { "layers": [{ "weights": [[0.25]], "biases": [bias] }] }
        })
    }

    fn deeper() -> Value {
        let mut model = model(0.5);
        model["model"]["layers"] =
            json!([{ "weights": [[1.0], [2.0]], "biases": [0.0, 0.5] }, { "weights": [[1.0, 1.0]], "biases": [0.0] }]);
        model
    }

    fn elsewhere() -> Value {
        let mut model = model(0.5);
        model["schema"]["columns"][0]["name"] = "sum".into();
        model
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn put(&self, name: &str, text: &str) -> String {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        }
        fn read(&self, name: &str, files: &[Value]) -> Result<Model, NodeError> {
            let put = |(i, value): (usize, &Value)| self.put(&format!("{i}.json"), &value.to_string());
            read(&NewModel {
                name: name.into(),
                files: files.iter().enumerate().map(put).collect(),
                most_rows: Some(9),
            })
        }
    }

    #[test]
    fn what_is_registered_is_what_the_files_hold() {
        let folder = Folder(tempfile::tempdir().expect("a directory"));
        let one = folder.read("net", &[model(0.5)]).expect("a model");
        assert_eq!((one.form.as_str(), one.most_rows, one.files.len()), ("logistic regression, 1 feature", 9, 1));
        assert!(one.schema.contains("amount") && !one.schema.contains("fraud"), "{}", one.schema);
        let again = folder.read("other-name", &[model(0.5)]).expect("a model");
        assert_eq!(again.digest, one.digest, "what is counted does not hang on the name");
        let other = folder.read("net", &[model(0.25)]).expect("a model");
        assert!(other.digest != one.digest && other.counted() != one.counted());
        // Rows are counted for the numbers, however they are written, and for each file of several in any order.
        let mut elsewhere = model(0.5);
        (elsewhere["job"], elsewhere["trained_under"]) = ("11".into(), "gmw".into());
        let path = folder.put("spaced.json", &format!("{elsewhere:#}\n"));
        let spaced = read(&NewModel { name: "net".into(), files: vec![path], most_rows: None }).expect("a model");
        assert!(spaced.digest != one.digest && spaced.counted() == one.counted());
        let two = folder.read("net", &[model(0.5), model(0.25)]).expect("two classes");
        assert!(two.form.ends_with("one for each of 2 classes"), "{}", two.form);
        let turned = folder.read("net", &[model(0.25), model(0.5)]).expect("two classes");
        assert!(two.digest != turned.digest && two.counted() == turned.counted());
        assert!(two.counted().is_superset(&one.counted()) && two.counted().is_superset(&other.counted()));
        assert!(folder.read("net", &[deeper()]).expect("a network").form.contains("hidden layers of 2, a classifier"));
    }

    #[test]
    fn of_all_models_with_a_file_the_smallest_limit_counts() {
        let folder = Folder(tempfile::tempdir().expect("a directory"));
        let of = |most_rows: u64, files: &[Value]| Model { most_rows, ..folder.read("net", files).expect("a model") };
        let half = of(0, &[model(0.5)]);
        let counted = *half.counted().first().expect("a file");
        let quarter = of(3, &[model(0.25)]);
        assert_eq!(limit(&[half.clone(), quarter.clone()], counted), 0, "a limit of another file is none");
        let both = of(70, &[model(0.25), model(0.5)]);
        assert_eq!(limit(&[half.clone(), both.clone(), quarter.clone()], counted), 70);
        assert_eq!(limit(&[of(90, &[model(0.5)]), both.clone(), quarter.clone()], counted), 70);
        assert_eq!(limit(&[of(20, &[model(0.5)]), both, quarter], counted), 20);
    }

    #[test]
    fn what_a_file_holds_is_not_repeated() {
        let folder = Folder(tempfile::tempdir().expect("a directory"));
        for text in ["{\"hunter2 at line x\": 1}", "\"hunter2\"", "hunter2", "{\"format\": \"hunter2\"}"] {
            let path = folder.put("password", text);
            let error = read(&NewModel { name: "net".into(), files: vec![path], most_rows: None }).expect_err(text);
            let said = error.to_string();
            assert!(said.contains("not a model file: see line 1 column") && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn others_hear_the_same_whatever_is_wrong() {
        let told = |problem: &str| wrong("net", problem).for_others();
        assert_eq!(told("there is none of this name"), told("it was changed since it was registered"));
        assert_eq!(
            told("a lets no 7 rows more be scored"),
            "E1021 model net cannot be used as it is; its owner's node says why"
        );
    }

    #[test]
    fn what_is_no_model_is_refused_without_its_path() {
        let folder = Folder(tempfile::tempdir().expect("a directory"));
        let cases: [(&str, Vec<Value>, &str); 7] = [
            ("../net", vec![model(0.5)], "no name of a model"),
            ("net", Vec::new(), "0 files are given"),
            ("net", vec![model(0.5); 65], "65 files are given"),
            ("net", vec![json!({ "format": 2 })], "not a model file"),
            ("net", vec![json!({ "format": 1 })], "not a model file"),
            ("net", vec![model(0.5), deeper()], "file 2 is of another form"),
            ("net", vec![model(0.5), elsewhere()], "file 2 is of another form"),
        ];
        let here = folder.0.path().display().to_string();
        for (name, files, words) in cases {
            let error = folder.read(name, &files).expect_err(words);
            let (said, told) = (error.to_string(), error.for_others());
            assert!(said.contains(words) && !said.contains(&here) && !told.contains(&here), "{said}");
        }
        let paths = ["/dev/zero".into(), "/etc".into(), here.clone() + "/none.json"];
        for path in paths {
            let error =
                read(&NewModel { name: "net".into(), files: vec![path], most_rows: None }).expect_err("no file");
            assert!(error.code() == "E1021" && !error.to_string().contains("/none.json"), "{error}");
        }
        let long = folder.put("long.json", "");
        std::fs::File::options().write(true).open(&long).and_then(|f| f.set_len(MAX_BYTES + 1)).expect("a long file");
        let error = read(&NewModel { name: "net".into(), files: vec![long], most_rows: None }).expect_err("too long");
        assert!(error.to_string().contains("more than 67108864 bytes"), "{error}");
    }
}
