//! Facts in words, for people who decide.

use crate::facts::Names;
use crate::{Facts, Price};
use privity_api::printable;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a manifest asks for, as labels and texts, in the order in which people read them. Texts have no control characters.
pub fn explain(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("submitted by", format!("{} ({})", facts.submitter, facts.person)),
        ("project", facts.project.clone()),
        ("purpose", facts.purpose.clone()),
        ("asked", facts.own.clone()),
        (
            "seen before",
            if facts.first_time { "no: nothing like it was approved" } else { "yes: the same work" }.into(),
        ),
        ("what runs", what_runs(facts)),
        ("program", facts.build.clone()),
        ("participants", list(&facts.participants)),
        ("without rows", list(&facts.helpers)),
        ("operators", operators(facts).into()),
        ("own data", own_data(facts)),
        ("own model", own_model(facts)),
        ("rows of all", facts.total_rows.to_string()),
        ("columns", columns(facts)),
        ("predicts", facts.label.clone()),
    ];
    all.extend(who_learns(facts));
    all.extend(protection(facts));
    all.push(("may start", starts(facts)));
    if let Some(price) = facts.price {
        let Price { bytes, rounds, seconds } = price;
        let megabytes = bytes as f64 / 1e6;
        all.push(("price", format!("{megabytes:.1} MB of all parties, {rounds} rounds, about {seconds:.0} s")));
    }
    all.into_iter().map(|(label, text)| (label, printable(&text))).collect()
}

fn what_runs(facts: &Facts) -> String {
    let kind = match facts.model.as_str() {
        "linear" => "linear regression",
        "logistic" => "logistic regression",
        _ => "a neural network",
    };
    if facts.scores() {
        return scored(facts, kind);
    }
    let from = if facts.goes_on { ", going on from another job's model" } else { "" };
    let kept = if facts.keeps { "; shares of the model are kept for another job" } else { "" };
    format!("`{}`: {kind}, {} epochs{from}{kept}", facts.job, facts.epochs)
}

/// Which rows with whose model, who learns what of them, and that the model's owner learns nothing.
fn scored(facts: &Facts, kind: &str) -> String {
    let (owners, owner) = (list(&facts.predictions_to), &facts.model_owner);
    let with = match facts.models {
        0 | 1 => format!("model `{}` of {owner} ({kind})", facts.model_name),
        n => format!("model `{}` of {owner} ({kind}, one for each of {n} classes)", facts.model_name),
    };
    let learns = match facts.predictions_to.len() {
        1 => format!("{owners} learns"),
        _ => format!("each of {owners} learns"),
    };
    format!(
        "`{}`: scores rows of {owners} with {with}; {learns} {} of its own rows; {owner} learns no row and no result; nothing is trained",
        facts.job,
        results(facts)
    )
}

/// What owners learn of each of their rows.
fn results(facts: &Facts) -> &'static str {
    match facts.output.as_str() {
        "class" => "the class",
        "shares" => "the shares of the classes",
        _ => "the prediction",
    }
}

fn operators(facts: &Facts) -> &'static str {
    match facts.distinct_operators {
        true => "each participant has one of its own",
        false => {
            "not known to be different: who runs several participants counts as one that sees what all of them see"
        }
    }
}

fn own_data(facts: &Facts) -> String {
    match facts.own_table.is_empty() {
        true => "none".into(),
        false => format!("table {}, {} rows", facts.own_table, facts.own_rows),
    }
}

/// How much this organisation gives of its model, if it is its own.
fn own_model(facts: &Facts) -> String {
    if !facts.scores() || facts.model_owner != facts.own {
        return "none".into();
    }
    let before = match facts.scored_before {
        0 => String::new(),
        rows => format!(", after {rows} that were scored with it"),
    };
    let Facts { model_name, total_rows, attempts, .. } = facts;
    format!("{model_name}: {total_rows} rows in each of {attempts} attempts at most{before}; results tell of the model")
}

fn columns(facts: &Facts) -> String {
    let kinds = [
        ("numbers", &facts.numbers),
        ("categories", &facts.categories),
        ("days", &facts.days),
        ("persons", &facts.persons),
    ];
    let named = kinds.iter().filter(|(_, names)| !names.is_empty());
    named.map(|(kind, names)| format!("{kind}: {}", list(names))).collect::<Vec<_>>().join("; ")
}

fn who_learns(facts: &Facts) -> Vec<(&'static str, String)> {
    let published = match facts.distillation.as_str() {
        "none" => "nothing".into(),
        "voting" => format!("noisy votes on public questions, to all: {}", facts.promise),
        _ => format!("the secret model's answers to public questions, to all: {}", facts.promise),
    };
    let opened =
        facts.openings.iter().map(|o| format!("{} ({} x {} values to {})", o.what, o.times, o.values, o.to.join(", ")));
    let epsilon = match facts.epsilon_milli {
        0 => "nothing".into(),
        milli => format!("epsilon {}.{:03}", milli / 1000, milli % 1000),
    };
    vec![
        ("model goes to", list(&facts.model_to)),
        ("joint figures go to", list(&facts.metrics_to)),
        (if facts.scores() { "results go to" } else { "predictions go to" }, own_rows(&facts.predictions_to)),
        ("published", published),
        ("recipients", list(&facts.recipients)),
        ("rests on", rests_on(facts)),
        ("takes of the privacy budget", epsilon),
        ("all that is opened", opened.collect::<Vec<_>>().join("; ")),
    ]
}

fn rests_on(facts: &Facts) -> String {
    match facts.scores() {
        true => "one row each; besides, all learn one bit for each owner of rows: whether they are within their ranges"
            .into(),
        false => format!("{} rows at least", facts.min_cohort),
    }
}

fn own_rows(names: &Names) -> String {
    if names.is_empty() { "nobody".into() } else { format!("{}, each those of its own rows", list(names)) }
}

fn protection(facts: &Facts) -> Vec<(&'static str, String)> {
    let who = if facts.threshold == 1 { "one party".into() } else { format!("{} parties together", facts.threshold) };
    let what = if facts.adversary == "active" {
        "that deviates as it likes"
    } else {
        "that is curious and follows the protocol"
    };
    let escrow = match facts.escrow {
        0 => "no".into(),
        n => format!("any {n} other parties together can read a party's checkpoints if they get at its files"),
    };
    vec![
        ("protection", format!("{}: against {who} {what}", facts.security)),
        ("threat model", facts.guarantee.clone()),
        ("if a party is lost", facts.on_loss_meaning.clone()),
        ("escrow of checkpoints", escrow),
    ]
}

fn starts(facts: &Facts) -> String {
    format!("{} times, within {} hours", facts.attempts, facts.expires_in_hours)
}

fn list(names: &Names) -> String {
    if names.is_empty() { "nobody".into() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// A difference between two manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What differs, as [`explain`] calls it.
    pub label: &'static str,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// What differs between the facts of an earlier manifest and of a later one, in the words and the order of [`explain`]. Whether it was seen before, how much
/// was scored before, when it may start and what it takes are no differences of the work.
pub fn diff(before: &Facts, after: &Facts) -> Vec<Change> {
    let earlier: BTreeMap<_, _> = explain(before).into_iter().collect();
    let work = |label: &str| !["seen before", "own model", "may start", "price"].contains(&label);
    let mut changes = Vec::new();
    for (label, after) in explain(after).into_iter().filter(|(label, _)| work(label)) {
        let before = earlier.get(label).cloned().unwrap_or_default();
        if before != after {
            changes.push(Change { label, before, after });
        }
    }
    changes
}
