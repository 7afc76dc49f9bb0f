//! A whole job over memory links, against its plan and its twin.

mod common;

use common::{encoded, finished, parties};
use privity_job::prepare::divide;
use privity_job::program::Inputs;
use privity_job::{JobError, ModelFile, plan, protocol};
use privity_nn::{OpenModel, TrainError};

#[test]
fn bytes_rounds_and_frames_are_as_planned() {
    let variants = [
        ("name = \"small\"", "name = \"small\""),
        ("truncation = \"fast\"", "truncation = \"exact\"\nradix = \"two\""),
        ("{ mlp = { hidden = [5] } }", "\"logistic\""),
        ("model = [\"east\"]", "model = [\"north\", \"south\"]\npredictions = \"nobody\"\nmetrics = [\"north\"]"),
        ("buckets = 8", "metrics = \"owners\""),
        ("[training]", "[training]\nlanes = 3"),
    ];
    for (from, to) in variants {
        let job = common::variant(from, to).expect("a sound job");
        let plan = plan::plan(&job).expect("a plan");
        let done = finished(&job);
        for (party, done) in plan.parties.iter().zip(&done) {
            assert_eq!(done.measured.bytes_sent, party.bytes_sent, "{to}: bytes of {}", party.name);
            assert_eq!(done.measured.rounds, party.rounds, "{to}: rounds of {}", party.name);
        }
        assert_eq!(done.iter().map(|d| d.measured.frames).sum::<u64>(), plan.frames, "{to}: frames");
        assert!(plan.seconds > 0.0 && plan.bytes > 0);
    }
}

#[test]
fn under_shamir_bytes_and_rounds_are_as_planned_and_the_model_is_the_twins() {
    for (text, owners) in [
        (common::polynomial(3), 3),
        (common::polynomial(5), 5),
        (common::polynomial(5).replacen("name = \"small\"", "name = \"small\"\nthreshold = 1", 1), 5),
        (
            common::polynomial(5).replacen(
                "name = \"small\"",
                "name = \"small\"\nthreshold = 1\non_loss = \"survive\"",
                1,
            ),
            5,
        ),
    ] {
        for mode in ["fast", "exact"] {
            let job = common::parse(&text.replacen("\"fast\"", &format!("\"{mode}\""), 1)).expect("a sound job");
            assert_eq!((job.protocol().name(), job.owners()), ("shamir", owners));
            let plan = plan::plan(&job).expect("a plan");
            let done = finished(&job);
            // Who survives others tells all what it opens, those included that are done and gone.
            let survives = text.contains("survive");
            for (party, done) in plan.parties.iter().zip(&done).filter(|_| !survives) {
                assert_eq!(done.measured.bytes_sent, party.bytes_sent, "bytes of {}", party.name);
                assert_eq!(done.measured.rounds, party.rounds, "rounds of {}", party.name);
            }
            if mode == "exact" || job.threshold() > 1 {
                let twin = protocol::twin(&job, Inputs::all(encoded(&job)), &mut ()).expect("the twin runs");
                assert_eq!(done[1].outcome.model, twin.model, "{owners} owners");
            }
        }
    }
}

#[test]
fn under_shamir_active_bytes_and_rounds_are_as_planned_and_the_model_is_the_twins() {
    let in_lanes = common::polynomial_active(3).replacen("[training]", "[training]\nlanes = 2", 1);
    for (text, mode) in [
        (common::polynomial_active(3), "exact"),
        (common::polynomial_active(3), "fast"),
        (common::polynomial_active(5), "exact"),
        (in_lanes, "exact"),
    ] {
        let job = common::parse(&text.replacen("\"fast\"", &format!("\"{mode}\""), 1)).expect("a sound job");
        let plan = plan::plan(&job).expect("a plan");
        let done = finished(&job);
        for (party, done) in plan.parties.iter().zip(&done) {
            assert_eq!(done.measured.bytes_sent, party.bytes_sent, "bytes of {}", party.name);
            assert_eq!(done.measured.rounds, party.rounds, "rounds of {}", party.name);
        }
        if mode == "exact" {
            let twin = protocol::twin(&job, Inputs::all(encoded(&job)), &mut ()).expect("the twin runs");
            assert!(done.iter().all(|done| done.outcome.classification == twin.classification));
            assert_eq!(done[1].outcome.model, twin.model);
        }
    }
}

/// In exact mode lanes change no bit of what a job gives; in either, each party sends what the plan says.
#[test]
fn a_job_in_lanes_gives_what_it_gives_in_one() {
    for base in [common::active(), common::JOB.to_owned()] {
        let exact = base.replace("\"fast\"", "\"exact\"");
        let lanes = |lanes: usize| {
            let job = common::parse(&exact.replace("[training]", &format!("[training]\nlanes = {lanes}")));
            let job = job.expect("a sound job");
            let plan = plan::plan(&job).expect("a plan");
            let done = finished(&job);
            for (party, done) in plan.parties.iter().zip(&done) {
                assert_eq!((&done.measured.bytes_sent, done.measured.rounds), (&party.bytes_sent, party.rounds));
            }
            done
        };
        let (one, two, many) = (lanes(1), lanes(2), lanes(5));
        for other in [two, many] {
            for (one, other) in one.iter().zip(&other) {
                assert_eq!(one.outcome.model, other.outcome.model);
                assert_eq!(one.outcome.classification, other.outcome.classification);
                assert_eq!(one.outcome.predictions, other.outcome.predictions);
            }
        }
    }
}

#[test]
fn two_or_three_parties_and_a_dealer_do_as_planned_and_as_the_twin() {
    let kinds: [(fn(usize) -> String, _, _); 5] = [
        (common::dealt, 2, "exact"),
        (common::dealt, 3, "exact"),
        (common::dealt, 2, "fast"),
        (common::dealt_and_tagged, 2, "exact"),
        (common::dealt_and_tagged, 3, "fast"),
    ];
    for (dealt, owners, mode) in kinds {
        let text = dealt(owners).replace("\"fast\"", &format!("\"{mode}\""));
        let job = common::parse(&text).expect("a sound job");
        let plan = plan::plan(&job).expect("a plan");
        let done = finished(&job);
        for (party, done) in plan.parties.iter().zip(&done) {
            assert_eq!(done.measured.bytes_sent, party.bytes_sent, "bytes of {}", party.name);
            assert_eq!(done.measured.rounds, party.rounds, "rounds of {}", party.name);
        }
        let twin = protocol::twin(&job, Inputs::all(encoded(&job)), &mut ()).expect("the twin runs");
        let east = &done[2].outcome;
        if mode == "exact" {
            assert_eq!(east.model, twin.model);
            assert_eq!(east.classification, twin.classification);
        } else {
            let (got, want) = (east.model.as_ref().expect("opened"), twin.model.as_ref().expect("opened"));
            let weights = |model: &OpenModel| -> Vec<f64> {
                model.layers.iter().flat_map(|layer| layer.weights.concat()).collect()
            };
            let pairs = weights(got).into_iter().zip(weights(want));
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-2, "weights differ by {off}");
        }
        let dealer = &done[0].outcome;
        assert!(dealer.model.is_none() && dealer.classification.is_none() && dealer.moments.is_none());
        assert!(dealer.predictions.iter().flatten().all(Vec::is_empty), "a dealer learns no prediction");
    }
}

/// The shipped table at two owners without a dealer: by plan and as the twin, in lanes as well.
#[test]
fn two_owners_alone_do_as_planned_and_as_the_twin() {
    let changes = [("\"fast\"", "\"exact\""), ("\"fast\"", "\"fast\""), ("[training]", "[training]\nlanes = 2")];
    alone_as_planned(&common::alone(), &changes);
}

/// Three owners, any two of whom may pool what they see.
#[test]
fn three_owners_alone_do_as_planned_and_as_the_twin() {
    alone_as_planned(&common::by_triples(3), &[("\"fast\"", "\"exact\""), ("[training]", "[training]\nlanes = 2")]);
}

fn alone_as_planned(text: &str, changes: &[(&str, &str)]) {
    for (from, to) in changes {
        let text = text.replacen(from, to, 1).replace("{ mlp = { hidden = [5] } }", "\"logistic\"");
        let job = common::parse(&text).expect("a sound job");
        let plan = plan::plan(&job).expect("a plan");
        let done = finished(&job);
        for (party, done) in plan.parties.iter().zip(&done) {
            assert_eq!(done.measured.bytes_sent, party.bytes_sent, "{to}: bytes of {}", party.name);
            assert_eq!(done.measured.rounds, party.rounds, "{to}: rounds of {}", party.name);
        }
        let twin = protocol::twin(&job, Inputs::all(encoded(&job)), &mut ()).expect("the twin runs");
        let (got, want) = (&done[1].outcome, &twin);
        if text.contains("\"exact\"") {
            assert_eq!((&got.model, &got.classification), (&want.model, &want.classification));
        } else {
            let weights = |model: &Option<OpenModel>| -> Vec<f64> {
                model.iter().flat_map(|m| &m.layers).flat_map(|layer| layer.weights.concat()).collect()
            };
            let pairs = weights(&got.model).into_iter().zip(weights(&want.model));
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-2 && got.model.is_some(), "weights differ by {off}");
        }
        assert!(done[0].outcome.model.is_none(), "only east is to learn the model");
    }
}

#[test]
fn four_parties_do_as_planned_and_as_the_twin() {
    for mode in ["fast", "exact"] {
        let job = common::parse(&common::active().replace("\"fast\"", &format!("\"{mode}\""))).expect("a sound job");
        let plan = plan::plan(&job).expect("a plan");
        let passive =
            plan.alternatives.iter().find(|other| other.protocol == "rep3").expect("three owners can do without");
        let price = passive.price.as_ref().expect("a price");
        assert!(price.bytes < plan.bytes && price.rounds < plan.rounds && passive.change.contains("without the party"));
        let done = finished(&job);
        for (party, done) in plan.parties.iter().zip(&done) {
            assert_eq!(done.measured.bytes_sent, party.bytes_sent, "bytes of {}", party.name);
            assert_eq!(done.measured.rounds, party.rounds, "rounds of {}", party.name);
        }
        assert_eq!(done.iter().map(|d| d.measured.frames).sum::<u64>(), plan.frames);
        let twin = protocol::twin(&job, Inputs::all(encoded(&job)), &mut ()).expect("the twin runs");
        assert!(done[3].outcome.model.is_none() && done[3].outcome.predictions.iter().all(Option::is_none));
        assert!(done[3].outcome.classification.is_some(), "joint figures go to everybody by default");
        if mode == "exact" {
            assert_eq!(done[1].outcome.model, twin.model);
            assert_eq!(done[3].outcome.classification, twin.classification);
            assert_eq!(done[0].outcome.predictions[0], twin.predictions[0]);
        }
    }
}

#[test]
fn exact_mode_equals_the_twin_bit_for_bit() {
    for model in ["{ mlp = { hidden = [5] } }", "\"logistic\"", "\"linear\""] {
        let text = common::JOB.replace("{ mlp = { hidden = [5] } }", model).replace("\"fast\"", "\"exact\"");
        let job = common::parse(&text).expect("a sound job");
        let twin = protocol::twin(&job, Inputs::all(encoded(&job)), &mut ()).expect("the twin runs");
        let done = finished(&job);
        assert!(done[1].outcome.model.is_some());
        assert_eq!(done[1].outcome.model, twin.model);
        assert_eq!(done[1].outcome.moments, twin.moments);
        for (me, done) in done.iter().enumerate() {
            assert_eq!(done.outcome.predictions[me], twin.predictions[me]);
            assert_eq!(done.outcome.classification, twin.classification);
            assert_eq!(done.outcome.mean_squared_error, twin.mean_squared_error);
        }
    }
}

#[test]
fn results_reach_their_recipients_and_nobody_else() {
    let job = common::parse(common::JOB).expect("a sound job");
    let done = finished(&job);
    for (me, done) in done.iter().enumerate() {
        assert_eq!(done.outcome.model.is_some(), me == 1);
        assert_eq!(done.outcome.moments.is_some(), me == 1);
        let opened: Vec<bool> = done.outcome.predictions.iter().map(Option::is_some).collect();
        assert_eq!(opened, [me == 0, me == 1, me == 2]);
        assert!(done.outcome.classification.is_some());
    }
}

#[test]
fn an_opened_model_predicts_what_the_run_predicted() {
    let job = common::parse(common::JOB).expect("a sound job");
    let done = finished(&job);
    let model = ModelFile::from_outcome(&job, &done[1].outcome).expect("opened to east");
    let rows = divide(&job, 1, common::tables().remove(1), None).expect("declared rows");
    let predicted = model.predict(&rows.test).expect("the same contract");
    let opened = done[1].outcome.predictions[1].as_ref().expect("opened to east");
    for (here, there) in predicted.iter().zip(opened) {
        assert!((here - there).abs() < 0.01, "local {here}, secure {there}");
    }
}

#[test]
fn a_lie_about_the_range_stops_every_party_with_the_owners_name() {
    let job = common::parse(common::JOB).expect("a sound job");
    let mut inputs = encoded(&job);
    inputs[2].train.data_mut()[7] = 17 << 16;
    for done in parties(&job, &inputs) {
        let error = done.map(|_| ()).expect_err("out of range");
        assert!(matches!(&error, JobError::OutOfRange { owner } if owner == "south"), "{error}");
        assert_eq!(error.exit_code(), 5);
    }
}

#[test]
fn divergence_stops_every_party_with_the_same_words() {
    let text = common::JOB.replace("learning_rate = 0.1", "learning_rate = 60").replace("epochs = 2", "epochs = 6");
    let job = common::parse(&text).expect("a sound job");
    let errors: Vec<JobError> =
        parties(&job, &encoded(&job)).into_iter().map(|d| d.map(|_| ()).expect_err("diverges")).collect();
    for error in &errors {
        assert!(matches!(error, JobError::Train(TrainError::Diverged { .. })), "{error}");
        assert_eq!(error.to_string(), errors[0].to_string());
    }
}
