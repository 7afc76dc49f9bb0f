//! What is refused, and in which words.

mod common;

use privity_job::ConfigError;
use privity_mpc::Origin;

#[test]
fn every_error_names_the_key_and_a_remedy() {
    let cases = [
        ("name = \"small\"", "name = \"small\"\nprotocol = \"spdz\"", "protocol", "rep3"),
        ("rows = 24", "rows = 0", "participants[0].rows", "at least one row"),
        ("rows = 24", "rows = 99999999", "participants", "sample"),
        ("name = \"north\"", "name = \"no rth\"", "participants[0].name", "letters"),
        ("name = \"north\"", "name = \"east\"", "participants.name", "its own"),
        ("127.0.0.1:7701", "127.0.0.1", "participants[0].address", "host:port"),
        ("127.0.0.1:7701", "127.0.0.1:7702", "participants.address", "appears twice"),
        ("fingerprint = \"1111", "fingerprint = \"XY11", "participants[0].fingerprint", "keys new"),
        ("fingerprint = \"", "certificate = \"absent.pem\"\n#", "participants[0].certificate", "certificate.pem"),
        ("fingerprint = \"", "#", "participants[0]", "keys new"),
        ("fingerprint = \"", "certificate = \"a.pem\"\nfingerprint = \"", "participants[0]", "keep one"),
        ("wdbc.schema.toml", "absent.toml", "data.schema", "absent.toml"),
        ("epochs = 2", "epochs = 0", "training", "epochs"),
        ("truncation = \"fast\"", "frac = 25", "numbers.frac", "12 to 20"),
        ("truncation = \"fast\"", "width = 60", "numbers.width", "16 to 48"),
        ("truncation = \"fast\"", "width = 27", "numbers.width", "28 or more"),
        ("buckets = 8", "buckets = 1", "evaluation.buckets", "2 to 1024"),
        ("buckets = 8", "holdout = { from_day = 3 }", "evaluation.holdout", "random"),
        ("model = [\"east\"]", "model = [\"west\"]", "outputs.model", "east, north, south"),
        ("model = [\"east\"]", "metrics = [\"west\"]", "outputs.metrics", "east, north, south"),
        ("[data]", "[link]\nmbit = 0\n[data]", "link.mbit", "give"),
        ("[data]", "[link]\nrtt_ms = nan\n[data]", "link.rtt_ms", "give"),
    ];
    for (from, to, key, words) in cases {
        let error = common::variant(from, to).expect_err(to).to_string();
        assert!(error.contains(&format!("`{key}`")), "{to}: {error}");
        assert!(error.contains(words), "{to}: {error}");
    }
}

#[test]
fn several_are_reached_through_one_relay() {
    let behind = |job: &str, port: &str| job.replacen(&format!("127.0.0.1:{port}"), "relay:a.example:7443", 1);
    common::parse(&behind(&behind(common::JOB, "7701"), "7702")).expect("addresses through a relay");
}

/// Standardised features must stay within what limiting them reads: 1025 + 8 below 2^(27 - 16).
#[test]
fn widths_that_hold_standardised_features_are_taken() {
    for to in ["width = 28", "frac = 20\nwidth = 32", "width = 36"] {
        common::variant("truncation = \"fast\"", to).expect(to);
    }
    let plain = common::JOB.replacen("truncation = \"fast\"", "width = 24", 1).replacen(
        "[data]",
        "[data]\nstandardise = false",
        1,
    );
    common::parse(&plain).expect("nothing is standardised");
}

#[test]
fn malformed_files_are_refused_with_line_and_key() {
    let cases = [
        ("name = \"small\"", "name = \"small\"\nsurprise = 1", "surprise"),
        ("epochs = 2", "epochs = 2\nmagic = 1", "magic"),
        ("epochs = 2", "epochs = \"two\"", "epochs"),
        ("[model]", "[[model", "line"),
        ("truncation = \"fast\"", "truncation = \"odd\"", "exact"),
        ("kind = { mlp = { hidden = [5] } }", "", "kind"),
    ];
    for (from, to, words) in cases {
        let error = common::variant(from, to).expect_err(to);
        assert!(matches!(error, ConfigError::Parse { .. }), "{to}: {error}");
        assert!(error.to_string().contains(words), "{to}: {error}");
    }
}

#[test]
fn two_parties_are_not_three() {
    let (before, rest) = common::JOB.split_once("[[participants]]").expect("participants");
    let (_, rest) = rest.split_once("[[participants]]").expect("participants");
    let error = common::parse(&format!("{before}[[participants]]{rest}")).expect_err("two parties");
    assert!(error.to_string().contains("exactly 3"), "{error}");
}

#[test]
fn the_digest_covers_every_choice_but_no_layout() {
    let digest = |from: &str, to: &str| common::variant(from, to).expect("a sound job").digest();
    let base = common::parse(common::JOB).expect("a sound job").digest();
    assert_eq!(digest("[data]", "# a remark\n\n[data]"), base);
    for (from, to) in [
        ("name = \"small\"", "name = \"other\""),
        ("rows = 24", "rows = 25"),
        ("epochs = 2", "epochs = 3"),
        ("learning_rate = 0.1", "learning_rate = 0.2"),
        ("model = [\"east\"]", "model = [\"north\"]"),
        ("fingerprint = \"1111", "fingerprint = \"1112"),
        ("truncation = \"fast\"", "truncation = \"exact\""),
    ] {
        assert_ne!(digest(from, to), base, "{to}");
    }
}

#[test]
fn a_resolved_file_reads_back_as_the_same_job() {
    let job = common::parse(common::JOB).expect("a sound job");
    let again = common::parse(&job.file().to_toml().expect("writable")).expect("a sound job");
    assert_eq!(again.digest(), job.digest());
}

fn refused(text: String, words: &str) {
    let error = common::parse(&text).expect_err(words).to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn four_parties_need_a_protocol_for_four() {
    common::parse(&common::active()).expect("three owners and a helper");
    refused(common::active().replace("\"rep4\"", "\"rep3\""), "exactly 3");
    refused(common::JOB.replacen("name = \"small\"", "name = \"small\"\nprotocol = \"rep4\"", 1), "exactly 4");
    // Only the last one may be without rows.
    refused(common::active().replacen("rows = 24\ntest_rows = 8", "rows = 0", 1), "only the fourth");
    refused(common::active().replacen("rows = 0", "rows = 0\ntest_rows = 3", 1), "participants[3].rows");
    let fourier = common::active().replacen("[training]", "sigmoid = \"fourier\"\n[training]", 1);
    refused(fourier, "piecewise");
}

#[test]
fn the_template_of_three_banks_and_a_helper_is_sound() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/fraud");
    let job = privity_job::Job::load(&folder.join("job.toml")).expect("a sound job");
    assert_eq!(*job.schema(), privity_data::fraud::schema().expect("the generator's contract"));
    assert_eq!((job.owners(), job.rows().len()), (3, 4));
    assert_eq!(job.protocol().name(), "rep4");
}

#[test]
fn the_template_of_two_parties_and_a_dealer_is_sound() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/two-parties");
    let job = privity_job::Job::load(&folder.join("job.toml")).expect("a sound job");
    assert_eq!(
        (job.protocol().name(), job.owner_names()),
        ("additive", vec!["hospital-a".into(), "hospital-b".into()])
    );
    assert_eq!(job.schema().feature_names().len(), 30);
}

#[test]
fn two_owners_need_nobody_else() {
    let job = common::parse(&common::alone()).expect("a sound job");
    assert_eq!((job.owners(), job.rows().len(), job.protocol().name()), (2, 2, "gmw"));
    assert!(job.protocol().guarantee().contains("as long as both follow"));
    refused(common::dealt(2).replacen("additive", "gmw", 1), "2");
    refused(common::alone().replacen("[data]", "[protection]\nadversary = \"active\"\n[data]", 1), "asks for more");
    let fourier = "sigmoid = \"fourier\"\nkind =";
    refused(common::alone().replacen("kind =", fourier, 1), "which gmw does not have");
}

#[test]
fn three_to_five_owners_need_nobody_else() {
    let job = common::parse(&common::by_triples(3)).expect("a sound job");
    assert_eq!((job.owners(), job.rows().len(), job.protocol().name()), (3, 3, "beaver"));
    common::parse(&common::by_triples(5)).expect("a sound job");
    refused(common::by_triples(6), "3 to 5");
    refused(
        common::by_triples(3).replacen("[data]", "[protection]\nadversary = \"active\"\n[data]", 1),
        "asks for more",
    );
    refused(common::by_triples(3).replacen("kind =", "sigmoid = \"fourier\"\nkind =", 1), "which beaver does not have");
}

#[test]
fn a_dealer_is_none_of_the_parties() {
    let job = common::parse(&common::dealt(2)).expect("a sound job");
    assert_eq!((job.owners(), job.rows().len(), job.owner_names()), (2, 3, vec!["north".into(), "east".into()]));
    assert!(job.protocol().guarantee().contains("colludes with nobody"));
    let with_rows = common::dealt(2).replacen("rows = 0", "rows = 24", 1);
    refused(with_rows, "an organisation of its own");
    refused(
        common::dealt(2).replacen("rows = 24", "rows = 0", 1).replacen("test_rows = 8", "test_rows = 0", 1),
        "a dealer without any",
    );
    refused(common::dealt(1), "3 to 8");
    for text in [common::dealt(2), common::dealt_and_tagged(2)] {
        refused(text.replacen("model = [\"east\"]", "model = [\"dealer\"]", 1), "who is to learn nothing");
    }
}

#[test]
fn an_amendment_names_who_is_gone_and_what_is_accepted() {
    let continues = |accept: &str, names: &str| {
        let head =
            format!("[continues]\njob = \"{}\"\nparticipants = {names}\naccept = \"{accept}\"\n", "a".repeat(64));
        common::JOB.replacen("[[participants]]", &format!("{head}[[participants]]"), 1)
    };
    let (accepted, four) = (privity_job::file::ACCEPTED, "[\"north\", \"east\", \"south\", \"helper\"]");
    let job = common::parse(&continues(accepted, four)).expect("a sound amendment");
    assert_eq!(job.goes_on_from(), Some(("a".repeat(64), Origin::Without(3))));
    let refused = |text: String, words: &str| {
        let error = common::parse(&text).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(continues("yes", four), "turns active security off");
    refused(continues(accepted, "[\"a\", \"b\", \"c\", \"d\"]"), "the one that is gone");
    refused(continues(accepted, "[\"gone\", \"north\", \"east\", \"south\"]"), "list south, north, east");
    refused(
        continues(accepted, four).replacen("name = \"small\"", "name = \"small\"\non_loss = \"abort\"", 1),
        "on_loss",
    );
}

#[test]
fn going_on_without_a_party_is_said_in_words() {
    let head = |lines: &str| common::active().replacen("\n[[participants]]", &format!("{lines}\n[[participants]]"), 1);
    let accept = format!("accept = \"{}\"\n", privity_job::file::ACCEPTED);
    let whole = format!("on_loss = \"continue\"\nafter_loss = \"passive\"\n{accept}");
    let refused = |text: String, words: &str| {
        let error = common::parse(&text).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(head("on_loss = \"continue\"\n"), "turns active security off");
    refused(head(&format!("on_loss = \"continue\"\n{accept}")), "after_loss = \"passive\"");
    refused(head("on_loss = \"continue\"\nafter_loss = \"passive\"\naccept = \"yes\"\n"), "turns active security off");
    refused(head("after_loss = \"passive\"\n"), "remove them");
    refused(head(&format!("on_loss = \"pause\"\n{accept}")), "remove them");
    refused(common::JOB.replacen("\n[[participants]]", &format!("{whole}\n[[participants]]"), 1), "three go on");

    // Also where active security was asked for: what is accepted is that a loss turns it off.
    let asked = head(&whole).replacen("[data]", "[protection]\nadversary = \"active\"\n\n[data]", 1);
    let job = common::parse(&asked).expect("a sound job");
    for lost in [0, 2, 3] {
        let amended = job.without(lost).expect("an amendment");
        assert_eq!(amended.goes_on_from(), Some((job.digest_hex(), Origin::Without(lost))));
        assert!(amended.security().contains("passive security only"), "{}", amended.security());
        // What the parties write and resume from is the job they ran.
        let written = amended.file().to_toml().expect("writable");
        assert_eq!(common::parse(&written).expect("readable").digest(), amended.digest());
    }
    let error = job.without(1).expect_err("east alone learns the model").to_string();
    assert!(error.contains("outputs.model") && error.contains("resume with all four"), "{error}");
}

#[test]
fn a_job_that_refits_names_one_that_is_done() {
    let head = |lines: &str| common::JOB.replacen("\n[[participants]]", &format!("{lines}\n[[participants]]"), 1);
    let digest = "c".repeat(64);
    let job = common::parse(&head(&format!("keep = true\n[refits]\njob = \"{digest}\"\n"))).expect("a sound job");
    assert_eq!(job.goes_on_from(), Some((digest.clone(), Origin::Same)));
    assert!(job.file().keep && job.security().contains("going on from what was kept of job ccc"));
    let refused = |text: String, words: &str| {
        let error = common::parse(&text).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(head("[refits]\njob = \"c\"\n"), "privity plan");
    refused(head("on_loss = \"abort\"\nkeep = true\n"), "on_loss");
}

#[test]
fn keys_of_checkpoints_are_in_escrow_with_some_of_the_others() {
    let with = |head: &str, threshold: usize| {
        let text = format!("{}\n[checkpoint]\nescrow = {{ threshold = {threshold} }}\n", common::JOB);
        text.replacen("name = \"small\"", &format!("name = \"small\"\n{head}"), 1)
    };
    let plain = common::parse(common::JOB).expect("a sound job");
    let job = common::parse(&with("", 2)).expect("a sound job");
    assert_ne!(job.digest(), plain.digest());
    let written = common::parse(&job.file().to_toml().expect("writable")).expect("a sound job");
    assert_eq!(written.digest(), job.digest());
    let refused = |text: String, key: &str| {
        let error = common::parse(&text).expect_err(key).to_string();
        assert!(error.contains(key), "{error}");
    };
    for threshold in [0, 1, 3, 300] {
        refused(with("", threshold), "`checkpoint.escrow.threshold`");
    }
    refused(with("on_loss = \"abort\"", 2), "`checkpoint.escrow`");
    refused(format!("{}\n[checkpoint]\n", common::JOB), "escrow");
}

#[test]
fn a_fourth_joins_a_job_of_three_by_an_amendment() {
    let admits = |job: &str, text: String| {
        text.replacen("\n[[participants]]", &format!("\n[admits]\njob = \"{job}\"\n\n[[participants]]"), 1)
    };
    let digest = "b".repeat(64);
    let job = common::parse(&admits(&digest, common::active())).expect("a sound amendment");
    assert_eq!(job.goes_on_from(), Some((digest.clone(), Origin::Joined)));
    assert!(job.security().contains("joined by helper") && job.security().contains("passive security only"));
    // It may lose one again, and says so then.
    assert!(!job.without(3).expect("an amendment").security().contains("joined"));
    let refused = |text: String, words: &str| {
        let error = common::parse(&text).expect_err(words).to_string();
        assert!(error.contains("admits") && error.contains(words), "{error}");
    };
    refused(admits("b", common::active()), "privity plan");
    refused(admits(&digest, common::JOB.into()), "rep4");
    let abort = common::active().replacen("\n[[participants]]", "on_loss = \"abort\"\n\n[[participants]]", 1);
    refused(admits(&digest, abort), "on_loss");
}

/// `auto` takes what fits participants and protection, puts the party without rows where its role is, and leaves a file that names the protocol.
#[test]
fn a_protocol_is_chosen_for_participants_and_protection() {
    let auto = |text: String, protection: &str| {
        let protocol = text
            .contains("protocol = ")
            .then(|| text.lines().find(|l| l.starts_with("protocol")).unwrap_or_default().to_owned());
        let text = match protocol {
            Some(line) => text.replacen(&line, "protocol = \"auto\"", 1),
            None => text.replacen("name = \"small\"", "name = \"small\"\nprotocol = \"auto\"", 1),
        };
        common::parse(&text.replacen("[data]", &format!("{protection}\n[data]"), 1))
    };
    let active = "[protection]\nadversary = \"active\"\n";
    let chosen = |text: String, protection: &str| {
        let job = auto(text, protection).expect("a protocol");
        let rowless = job.file().participants.iter().position(privity_job::file::Participant::is_helper);
        // What was chosen is part of what the parties compare, and of the file that is left.
        assert_eq!(job.file().protocol, job.protocol().name());
        (job.protocol().name(), rowless)
    };
    assert_eq!(chosen(common::JOB.into(), ""), ("rep3", None));
    assert_eq!(chosen(common::dealt(2), ""), ("additive", Some(0)));
    assert_eq!(chosen(common::polynomial(5), "[protection]\ncolluding = 2\n"), ("shamir", None));
    assert_eq!(chosen(common::dealt(3), "[protection]\ncolluding = 2\n"), ("additive", Some(0)));
    assert_eq!(
        chosen(common::active(), "[protection]\ncolluding = 2\n"),
        ("additive", Some(0)),
        "the helper becomes the dealer"
    );
    assert_eq!(chosen(common::dealt(3), active), ("rep4", Some(3)), "the dealer becomes the helper");
    assert_eq!(chosen(common::alone(), ""), ("gmw", None));
    assert_eq!(chosen(common::JOB.into(), "[protection]\ncolluding = 2\n"), ("beaver", None));
    assert_eq!(chosen(common::polynomial(4), "[protection]\ncolluding = 3\n"), ("beaver", None));
    assert_eq!(chosen(common::dealt(2), active), ("additive-mac", Some(0)));
    assert_eq!(chosen(common::JOB.into(), active), ("shamir-active", None));
    let both = "[protection]\nadversary = \"active\"\ncolluding = 2\n";
    assert_eq!(chosen(common::dealt(3), both), ("additive-mac", Some(0)));
    let many = "[protection]\nadversary = \"active\"\ncolluding = 2\n";
    assert_eq!(chosen(common::polynomial(5), many), ("shamir-active", None));
    let error = auto(common::alone(), active).expect_err("two owners alone").to_string();
    assert!(
        error.contains("2 owners, 0 without rows, 1 of them may deviate")
            && error.contains("rep4 (four owners, or three and a helper"),
        "{error}"
    );
    let error = auto(common::dealt(2), "[protection]\ncolluding = 2\n").expect_err("nobody withstands all").to_string();
    assert!(error.contains("2 of them may pool"), "{error}");
    refused(common::JOB.replacen("[data]", &format!("{active}\n[data]"), 1), "asks for more than rep3 gives");
    let met = common::active().replacen("[data]", &format!("{active}\n[data]"), 1);
    common::parse(&met).expect("rep4 withstands a party that deviates");
}

#[test]
fn the_threshold_of_shamir_is_fewer_than_half() {
    let with = |line: &str| common::polynomial(5).replacen("name = \"small\"", &format!("name = \"small\"\n{line}"), 1);
    assert_eq!(common::parse(&with("")).expect("a sound job").threshold(), 2);
    assert_eq!(common::parse(&with("threshold = 1")).expect("a sound job").threshold(), 1);
    refused(with("threshold = 0"), "fewer than half");
    refused(with("threshold = 3"), "choose 1 to 2");
    refused(with("threshold = 1").replacen("[data]", "[protection]\ncolluding = 2\n\n[data]", 1), "raise it");
    refused(common::JOB.replacen("name = \"small\"", "name = \"small\"\nthreshold = 1", 1), "is a choice of shamir");
    // What parties compare before they start has it.
    let digest = |line: &str| common::parse(&with(line)).expect("a sound job").digest();
    assert_ne!(digest("threshold = 1"), digest("threshold = 2"));
}

#[test]
fn parties_that_verify_each_other_are_an_odd_number() {
    for owners in [3, 5, 7] {
        let job = common::parse(&common::polynomial_active(owners)).expect("a sound job");
        assert_eq!((job.protocol().name(), job.threshold()), ("shamir-active", owners / 2));
    }
    refused(common::polynomial_active(4), "needs an odd number");
    let with =
        |line: &str| common::polynomial_active(5).replacen("name = \"small\"", &format!("name = \"small\"\n{line}"), 1);
    refused(with("threshold = 1"), "is a choice of shamir");
    refused(with("on_loss = \"survive\""), "none can be spared");
}

#[test]
fn parties_are_spared_only_where_enough_are_left() {
    let with =
        |lines: &str| common::polynomial(5).replacen("name = \"small\"", &format!("name = \"small\"\n{lines}"), 1);
    common::parse(&with("threshold = 1\non_loss = \"survive\"")).expect("two can be spared");
    refused(with("on_loss = \"survive\""), "none can be spared");
    refused(
        common::JOB.replacen("name = \"small\"", "name = \"small\"\non_loss = \"survive\"", 1),
        "none can be spared",
    );
}
