//! Other people's programs, which are run where they are installed.

use std::process::{Command, Output};

/// What a program does; `None`, and said so, where it is not installed. With `MERIDIAN_PEERS` set, every
/// program must be there.
pub(crate) async fn run(mut command: Command) -> Option<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic");
    match output {
        Ok(output) => Some(output),
        Err(error) if std::env::var_os("MERIDIAN_PEERS").is_some() => {
            panic!("MERIDIAN_PEERS is set, but {program} does not run: {error}")
        }
        Err(_) => {
            println!("skipped: no `{program}` on the PATH");
            None
        }
    }
}

/// All that it prints.
pub(crate) async fn told_by(command: Command) -> Option<String> {
    let output = run(command).await?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
