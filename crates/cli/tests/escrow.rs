//! A party loses its identity in the middle of a job; two others give back their shares of the key of its checkpoints.

mod common;

use assert_cmd::cargo::cargo_bin;
use common::{NAMES, Site};
use std::path::PathBuf;
use std::process::{Child, Command, Output};

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// `privity checkpoint`, as one of the parties.
    fn checkpoint(&self, what: &str, job: &str, party: &str, rest: &[&str]) -> Output {
        let mut command = Command::new(cargo_bin("privity"));
        command
            .args(["checkpoint", what])
            .arg(self.path(job))
            .args(["--party", party])
            .args(["--out"])
            .arg(self.out(party));
        command.arg("--identity").arg(self.path(party).join("identity")).args(rest).current_dir(self.0.path());
        command.output().expect("the program starts")
    }
    fn run_job(&self, job: &str) -> Vec<Output> {
        let running: Vec<Child> = NAMES.iter().map(|name| self.start_job(job, name, true)).collect();
        running.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_party_that_lost_its_identity_goes_on_from_its_checkpoints() {
    let (site, want) = Site::new();
    let job = site.path("job.toml");
    let text = std::fs::read_to_string(&job).expect("the job file") + "\n[checkpoint]\nescrow = { threshold = 2 }\n";
    std::fs::write(&job, text).expect("written");
    let plan = Command::new(cargo_bin("privity")).arg("plan").arg(&job).output().expect("the program starts");
    assert!(String::from_utf8_lossy(&plan.stdout).contains("any 2 other parties together"), "{plan:?}");
    // Stopped and resumed: checkpoints of an earlier session have another key.
    assert!(site.killed(3, 9, false).iter().all(|(code, _)| *code == Some(4)));
    assert!(site.killed(0, 20, true).iter().all(|(code, _)| *code == Some(4)));

    // The key folder is lost; a new identity, and a job file that names it and goes on from the old one.
    let lost = NAMES[0];
    std::fs::remove_dir_all(site.path(lost).join("identity")).expect("it was there");
    let mut made = Command::new(cargo_bin("privity"));
    made.args(["keys", "new", lost, "--json", "--dir"]).arg(site.path(lost).join("identity"));
    let made = made.output().expect("the program starts");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let old = privity_job::Job::load(&job).expect("the job");
    let mut file = old.file().clone();
    file.participants[0].fingerprint = made["fingerprint"].as_str().map(str::to_owned);
    file.refits = Some(privity_job::file::Refits { job: old.digest_hex() });
    std::fs::write(site.path("second.toml"), file.to_toml().expect("writable")).expect("written");
    let refused = site.run_job("second.toml");
    assert!(refused.iter().all(|output| output.status.code() == Some(2)), "{refused:?}");
    assert!(said(&refused[0]).contains("in common"), "{}", said(&refused[0]));

    // Others give back what they hold, of two sessions perhaps.
    let mut shares: Vec<Vec<String>> = Vec::new();
    for holder in [NAMES[1], NAMES[3]] {
        let given = site.checkpoint("export", "second.toml", holder, &["--of", lost, "--to", "shares"]);
        assert!(given.status.success(), "{}", said(&given));
        let lines = String::from_utf8(given.stdout).expect("text");
        shares.push(lines.lines().skip(1).map(str::to_owned).collect());
        assert!(!shares.last().expect("pushed").is_empty());
    }
    let recover = |shares: &[String]| {
        let shares: Vec<&str> = shares.iter().map(|share| &share[..]).collect();
        site.checkpoint("recover", "second.toml", lost, &shares)
    };
    let few = recover(&shares[0]);
    assert!(few.status.code() == Some(2) && said(&few).contains("2 are needed"), "{}", said(&few));
    // A share that was altered is named, and two are needed beside it.
    let altered = site.path("shares").join("altered");
    let mut bytes = std::fs::read(site.path(&shares[0][0])).expect("a share");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&altered, bytes).expect("written");
    let few = recover(&[&shares[0][..], &["shares/altered".into()]].concat());
    assert!(few.status.code() == Some(2) && said(&few).contains("does not fit its commitments"), "{}", said(&few));
    let done = recover(&[&["shares/altered".into()], &shares[0][..], &shares[1][..]].concat());
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("left out: shares/altered: it does not fit"), "{}", said(&done));
    assert!(String::from_utf8_lossy(&done.stdout).contains(".ckpt"), "{done:?}");

    let done = site.run_job("second.toml");
    assert!(done.iter().all(|output| output.status.success()), "{done:?}");
    assert!(String::from_utf8_lossy(&done[0].stdout).contains("\"event\":\"resumed\""));
    assert_eq!(site.model(), want);
    assert!(
        !site.out(lost).join("checkpoints").exists(),
        "what was kept goes with the end of the job, keys and shares, too"
    );
}
