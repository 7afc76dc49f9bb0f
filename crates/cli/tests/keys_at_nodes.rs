//! Keys of nodes that change while a job runs: one was stolen and is revoked, and another organisation has its root's and its node's in a token (SoftHSM).

mod site;

use privity_net::control;
use privity_net::identity::Identity;
use site::{NAMES, Site, epochs, until};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];
const PIN: &str = "73915-hospital";

/// Makes a token: where the keys are, in the words of `init --keys`, and what its library and the node find in their environment.
fn token(folder: &Path) -> (String, Vec<(&'static str, String)>) {
    let module = MODULES.iter().find(|path| Path::new(path).exists()).expect("SoftHSM: install the package softhsm2");
    let (store, conf) = (folder.join("tokens"), folder.join("softhsm2.conf"));
    std::fs::create_dir(&store).expect("a directory");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", store.display())).expect("a file");
    let conf = conf.display().to_string();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "hospital", "--pin", PIN, "--so-pin", "so-42-so"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .expect("softhsm2-util");
    assert!(made.status.success(), "{made:?}");
    let words = format!("pkcs11:module={module};token=hospital;object=root;pin-env=HOSPITAL_PIN");
    (words, vec![("SOFTHSM2_CONF", conf), ("HOSPITAL_PIN", PIN.into())])
}

/// Whether a node takes whoever shows this certificate for its member.
fn takes(runtime: &tokio::runtime::Runtime, address: &str, identity: &Identity) -> bool {
    let tls = control::client(identity, None, &Default::default()).expect("TLS");
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy();
    // Without it a node that says nothing would be waited for without end.
    let client = client.timeout(Duration::from_secs(10)).build();
    let request = client.expect("a client").post(format!("https://{address}/peer/v1/ping")).body("{}");
    runtime.block_on(async { request.send().await.is_ok_and(|answer| answer.status().is_success()) })
}

/// Certificates that a node's log says were made, with why.
fn made(home: &Path) -> Vec<(String, String)> {
    let mut made = Vec::new();
    for file in std::fs::read_dir(home.join("audit")).expect("a log") {
        let Ok(text) = std::fs::read_to_string(file.expect("a file").path()) else { continue };
        for line in text.lines().filter(|line| line.contains(r#""kind":"key""#)) {
            let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |key: &str| entry["record"][key].as_str().expect("text").to_owned();
            made.push((text("event"), text("fingerprint")));
        }
    }
    made
}

#[test]
fn a_stolen_key_is_refused_everywhere_and_the_job_goes_on_with_new_ones() {
    control::provide();
    let folder = tempfile::tempdir().expect("a directory");
    let (words, env) = token(folder.path());
    let mut site = Site::with(None, &["--keys", &words], env);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (in_token, victim) = (NAMES[0], NAMES[1]);
    assert!(!site.nodes[in_token].home.join("identity").join("key.pem").exists());
    let digest = site.submit(epochs(400), &[]);
    site.approve(&digest);
    until("it runs", || site.nodes[NAMES[3]].state(&digest) == "running");
    std::thread::sleep(Duration::from_secs(1));

    let stolen = Identity::load(&site.nodes[victim].home.join("identity")).expect("a key in a file");
    let others: Vec<String> =
        NAMES.iter().filter(|name| **name != victim).map(|name| site.nodes[name].address()).collect();
    assert!(others.iter().all(|address| takes(&runtime, address, &stolen)));
    let revoked = Instant::now();
    site.nodes[victim].run(&["revoke", "--reason", "a disk was stolen"]);
    until("it is refused everywhere", || !others.iter().any(|address| takes(&runtime, address, &stolen)));
    assert!(revoked.elapsed() < Duration::from_secs(15), "{:?}", revoked.elapsed());
    let own = Identity::load(&site.nodes[victim].home.join("identity")).expect("a key in a file");
    assert!(others.iter().all(|address| takes(&runtime, address, &own)));
    // The same where token and node have made a key and destroyed the one before.
    site.nodes[in_token].run(&["revoke", "--reason", "as agreed"]);
    assert!(!site.nodes[in_token].home.join("identity").join("key.pem").exists());
    site.ends(&digest, "done");
    let attempt = site.nodes[in_token].job(&digest)["line"]["attempt"].as_u64().expect("a number");
    assert!(attempt >= 2, "links of void certificates stood until the end");

    let mut fingerprints = BTreeSet::new();
    for name in [in_token, victim] {
        let made = made(&site.nodes[name].home);
        assert_eq!(made.len(), 1, "{name}: {made:?}");
        assert_eq!(made[0].0, "made in place of one that was revoked");
        fingerprints.insert(made[0].1.clone());
    }
    assert_eq!(fingerprints.len(), 2);
    // An auditor's program reads the log of whose key is in a token, and started anew it finds that.
    let node = site.nodes.get_mut(in_token).expect("a node");
    assert!(node.stop());
    let (log, export) = (node.home.join("audit"), folder.path().join("export.privityaudit"));
    let (log, export) = (log.to_str().expect("a path"), export.to_str().expect("a path"));
    node.run(&["audit", "export", "--log", log, "--out", export]);
    node.run(&["audit", "verify", export]);
    node.start();
    let address = node.address();
    until("it is served", || takes(&runtime, &address, &own));
}
