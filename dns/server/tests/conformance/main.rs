//! Conformance scripts: what the RFCs say of an authoritative server, over real sockets.
//!
//! Each `.txt` file beside this one holds the cases of one section of an RFC, which its first line names;
//! `README.md` explains the format. Each case is a test with its own name, so `cargo test --test
//! conformance rfc4592` runs one section. What must stay true: the number of cases only grows, and every
//! script is run; one that cannot be read fails.

mod exchange;
mod expect;
mod fleet;
mod names;
mod query;
mod reply;
mod script;
mod signed;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::exchange::{Received, Running};
use crate::expect::Kind;
use crate::script::{Case, Over, Step};

/// Fewer would mean that scripts were lost.
const LEAST_CASES: usize = 461;

fn main() {
    let arguments = Arguments::from_args();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let mut trials = vec![Trial::test("the_reader_refuses_what_it_does_not_know", || {
        script::refuses_what_it_does_not_know().map_err(Failed::from)
    })];
    let mut cases = 0;
    for path in scripts() {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        // They live as long as the program.
        let text: &'static str = std::fs::read_to_string(&path).expect("a script").leak();
        match script::read(text).and_then(|script| fleet::world(&script.world).map(|world| (script, world))) {
            Err(problem) => trials.push(Trial::test(format!("{stem}::is_read"), move || {
                Err(format!("{stem}.txt, {problem}").into())
            })),
            Ok((script, world)) => {
                cases += script.cases.len();
                let server = Arc::new(Server::new(world));
                for case in script.cases {
                    let (runtime, server, section) = (runtime.clone(), server.clone(), script.section);
                    let name = format!("{stem}::{}", case.title.replace(' ', "_"));
                    trials.push(Trial::test(name, move || {
                        let run = async { run(server.running().await, &case).await };
                        runtime
                            .block_on(run)
                            .map_err(|text| format!("{section}\n{text}").into())
                    }));
                }
            }
        }
    }
    trials.push(Trial::test("there_are_as_many_cases_as_there_were", move || {
        println!("{cases} cases");
        (cases >= LEAST_CASES)
            .then_some(())
            .ok_or_else(|| format!("{cases} cases, fewer than {LEAST_CASES}").into())
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

/// The scripts, by name.
fn scripts() -> Vec<std::path::PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let entries = std::fs::read_dir(directory).expect("the scripts' directory");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

/// One server per script, started when its first case runs.
struct Server {
    world: std::sync::Mutex<Option<fleet::World>>,
    running: OnceCell<Running>,
}

impl Server {
    fn new(world: fleet::World) -> Self {
        Self {
            world: std::sync::Mutex::new(Some(world)),
            running: OnceCell::new(),
        }
    }

    async fn running(&self) -> &Running {
        self.running
            .get_or_init(|| {
                let world = self.world.lock().expect("nobody panicked").take();
                exchange::start(world.expect("a server is started once"))
            })
            .await
    }
}

/// Runs a case; what is wrong, if anything.
async fn run(server: &Running, case: &Case) -> Result<(), String> {
    let mut client = server.client(case.over, case.prefix.as_deref()).await;
    let told = |step: &Step, sent: &[u8], wrong: Vec<String>| {
        let mut text = format!("line {} over {:?}: {}", step.line, case.over, hexadecimal(sent));
        wrong.iter().for_each(|wrong| _ = write!(text, "\n    {wrong}"));
        if wrong.is_empty() { Ok(()) } else { Err(text) }
    };
    // Over QUIC the id is 0 (RFC 9250 section 4.2.1).
    let id = |step: usize| {
        if case.over == Over::Quic {
            0
        } else {
            0x4d45 + u16::try_from(step).expect("few steps")
        }
    };
    let replies_only = case.steps.iter().all(|step| step.expected.kind == Kind::Reply);
    if case.steps.len() > 1 && replies_only && matches!(case.over, Over::Tcp | Over::Tls) {
        let messages: Vec<_> = (0..)
            .zip(&case.steps)
            .map(|(at, step)| step.query.octets(id(at), None))
            .collect();
        let replies = client.pipeline(&messages).await?;
        for (at, step) in case.steps.iter().enumerate() {
            let reply = replies.iter().find(|reply| reply[..2] == messages[at][..2]);
            let reply = reply.ok_or_else(|| format!("line {}: no reply has its id", step.line))?;
            told(step, &messages[at], compare(step, id(at), reply))?;
        }
        return Ok(());
    }
    let mut cookie: Option<Vec<u8>> = None;
    for (at, step) in case.steps.iter().enumerate() {
        let sent = step.query.octets(id(at), cookie.as_deref());
        let quiet = step.expected.kind != Kind::Reply;
        let (received, http) = client
            .exchange(&sent, quiet)
            .await
            .map_err(|error| format!("line {}: {error}", step.line))?;
        let mut wrong = Vec::new();
        match (step.expected.kind, &received) {
            (Kind::Reply, Received::Reply(octets)) => {
                wrong = compare(step, id(at), octets);
                cookie = reply::read(octets)
                    .ok()
                    .and_then(|reply| reply.option(10).map(<[u8]>::to_vec));
            }
            (Kind::Silence, Received::Silence) | (Kind::Closed, Received::Closed) | (Kind::HttpError, _) => {}
            (kind, received) => wrong.push(format!("expected {kind:?}, received {received:?}")),
        }
        if let (Some((status, cache)), http) = (&step.expected.http, http) {
            let received = http.map(|http| (http.status, http.cache));
            if received
                .as_ref()
                .is_none_or(|(found, text)| found != status || *status == 200 && text != cache)
            {
                wrong.push(format!("HTTP: expected {status} {cache:?}, received {received:?}"));
            }
        }
        told(step, &sent, wrong)?;
    }
    Ok(())
}

fn compare(step: &Step, id: u16, octets: &[u8]) -> Vec<String> {
    match reply::read(octets) {
        Ok(reply) => step.expected.differences(&step.query, step.query.id(id), &reply),
        Err(error) => vec![format!("{error}: {}", hexadecimal(octets))],
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}
