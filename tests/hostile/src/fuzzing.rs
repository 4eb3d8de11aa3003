//! The engine of the library on the command line.

use std::time::Duration;

use anyhow::Context as _;
use meridian_hostile::targets::{TARGETS, Target, target};
use meridian_hostile::{corpus, engine};

/// Fuzzes one target or all; an input that crashes one is kept where libFuzzer would keep it.
pub(crate) fn fuzz(name: Option<&str>, time: Duration, seed: u64) -> anyhow::Result<()> {
    let names = || TARGETS.map(|target| target.name).join(", ");
    let chosen: Vec<&Target> = match name {
        None => TARGETS.iter().collect(),
        Some(name) => vec![target(name).with_context(|| format!("no target {name:?}; there are {}", names()))?],
    };
    // The engine catches panics and tells those that are crashes. Others, which the reader of zone files
    // catches itself, would fill the screen.
    std::panic::set_hook(Box::new(|_| {}));
    for target in chosen {
        let inputs = corpus::inputs(target.name)?.into_iter().map(|(_, input)| input);
        let inputs: Vec<_> = inputs.collect();
        match engine::fuzz(target, &inputs, time, seed) {
            Ok(count) => println!("{}: {count} inputs, none crashes it", target.name),
            Err(crash) => {
                let directory = corpus::directory().join("../artifacts").join(target.name);
                std::fs::create_dir_all(&directory)?;
                let path = directory.join(format!("crash-{seed}"));
                std::fs::write(&path, &crash.input)?;
                anyhow::bail!(
                    "{}: {}; the input is in {}; put it into the corpus when it is repaired",
                    target.name,
                    crash.message,
                    path.display()
                );
            }
        }
    }
    Ok(())
}
