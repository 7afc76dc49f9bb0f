//! A PostgreSQL server of a test's own, on a free loopback port, in a directory that goes with it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nobody may find it in messages.
pub const PASSWORD: &str = "s3cret-of-the-server";

pub struct Server {
    folder: tempfile::TempDir,
    port: u16,
    /// More of its arguments.
    more: Vec<String>,
    process: Option<Child>,
}

/// Where the system has a program of PostgreSQL's server: Debian puts them beside the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).map(|folder| folder.join(name)));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| {
        panic!(
            "there is no `{name}` here: install the package postgresql, as .ci/run does; without it these tests fail"
        )
    })
}

/// User and group that a server runs as: not the system's administrator, as whom it refuses to.
fn user() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").expect("this process").uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().expect("a number"));
        Some((numbers.next()?, numbers.next()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).expect("a user without rights"))
}

/// A program of the server's, as its user.
fn command(name: &str) -> Command {
    let program = program(name);
    let Some((user, group)) = user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]);
    // Nothing stays behind of a test that is killed.
    command.arg("--pdeathsig=INT").arg(program);
    command
}

impl Server {
    pub fn new() -> Server {
        Server::with(|_| Vec::new())
    }

    /// With more arguments, which may name files of its directory: `make` is told which that is.
    pub fn with(make: impl FnOnce(&Path) -> Vec<String>) -> Server {
        let folder = tempfile::tempdir().expect("a directory");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file");
        let more = make(folder.path());
        if let Some((user, group)) = user() {
            let files = std::fs::read_dir(folder.path()).expect("the server's directory").flatten();
            for path in files.map(|file| file.path()).chain([folder.path().to_owned()]) {
                chown(path, Some(user), Some(group)).expect("the server's directory");
            }
        }
        let made = command("initdb")
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--username=privity", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut server = Server { folder, port, more, process: None };
        server.start();
        server
    }

    pub fn url(&self) -> String {
        format!("postgres://privity:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it says what happens.
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it, also after a crash, of which some processes may still be there for a moment.
    pub fn start(&mut self) {
        let began = Instant::now();
        loop {
            let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log");
            let data = self.folder.path().join("data");
            let process = command("postgres")
                .arg("-D")
                .arg(&data)
                .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "unix_socket_directories="])
                .args(&self.more)
                .current_dir(self.folder.path())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            let mut process = process.expect("postgres starts");
            while process.try_wait().expect("its state").is_none() {
                if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                    self.process = Some(process);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{}", text(&self.log()));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it as a loss of power would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("a server that runs");
        process.kill().and_then(|()| process.wait()).expect("an end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(Command::new("kill").args(["-INT", &process.id().to_string()]).status());
            drop(process.wait());
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
